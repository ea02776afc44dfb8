"""The numbers behind the findings, as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seviz.analysis.findings import BlockFindings, Estimate, Findings, SelectiveChannel
from seviz.tables.csv_files import number, write_csv

_ESTIMATES = (
    "class_share",
    "corrected",
    "spread",
    "within",
    "correlation",
    "scale_only",
    "high",
    "low",
    "dead_channels",
)
_PLAIN = ("shuffled", "p_value", "p_corrected", "constant")


def write_findings_csv(findings: Findings, path: str | Path) -> Path:
    """Write one row per block with every number; ``_low`` and ``_high`` are the ends of its interval.

    What is undefined, or has no interval, is an empty cell.
    """
    ends = [f"{name}{end}" for name in _ESTIMATES for end in ("", "_low", "_high")]
    header = [
        "block",
        "channels",
        "images",
        "moves",
        "dead",
        *ends,
        *_PLAIN,
        "least_factor",
        "largest_factor",
    ]
    return write_csv(path, header, map(_block_row, findings.blocks))


def write_selective_csv(rows: Sequence[SelectiveChannel], path: str | Path) -> Path:
    """Write one row per class, block and channel, as `selective_channels` returns them."""
    header = ["class", "block", "channel", "gate", "all", "effect", "effect_low", "effect_high"]
    return write_csv(
        path,
        header,
        (
            [
                r.class_name,
                r.block,
                r.channel,
                number(r.own),
                number(r.everything),
                *_ends(r.effect),
            ]
            for r in rows
        ),
    )


def _block_row(block: BlockFindings) -> list[Any]:
    return [
        block.block,
        block.channels,
        block.images,
        int(block.moves),
        int(block.dead),
        *(cell for name in _ESTIMATES for cell in _ends(getattr(block, name))),
        *(number(getattr(block, name)) for name in _PLAIN),
        *(map(number, block.factors or (None, None))),
    ]


def _ends(estimate: Estimate | None) -> list[str]:
    if estimate is None:
        return ["", "", ""]
    return [number(v) for v in (estimate.value, estimate.low, estimate.high)]
