"""The numbers behind a comparison, as CSV."""

from __future__ import annotations

from pathlib import Path

from seviz.analysis import Comparison
from seviz.tables.csv_files import number, write_csv


def write_class_changes_csv(compared: Comparison, path: str | Path) -> Path:
    """Write the recall of each class in both networks, its change and its 95 % interval (shares)."""
    return write_csv(
        path,
        ["class", "images", "recall_a", "recall_b", "delta", "low", "high", "p", "p_adjusted"],
        (
            [
                c.name,
                c.images,
                *(
                    number(value)
                    for value in (
                        c.recall.before,
                        c.recall.after,
                        c.recall.delta,
                        c.recall.low,
                        c.recall.high,
                        c.recall.p_value,
                        c.p_adjusted,
                    )
                ),
            ]
            for c in compared.classes
        ),
    )


def write_block_changes_csv(compared: Comparison, path: str | Path) -> Path:
    """Write drift, correlation, geometry and spreads of each block."""
    return write_csv(
        path,
        ["block", "channels", "drift", "correlation", "geometry", "spread_a", "spread_b"],
        (
            [
                b.block,
                b.channels,
                *(number(v) for v in (b.drift, b.correlation, b.geometry, *b.spreads)),
            ]
            for b in compared.blocks
        ),
    )
