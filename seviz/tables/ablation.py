"""The table of an ablation as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seviz.analysis import Effect, cumulative_effects, single_effects
from seviz.results.ablation import Ablation
from seviz.tables.csv_files import write_csv

COLUMNS = (
    "kind",
    "name",
    "blocks",
    "images",
    "top1",
    "delta",
    "ci_low",
    "ci_high",
    "lost",
    "won",
    "p",
    "p_holm",
    "params",
    "macs",
)


def write_ablation_csv(ablation: Ablation, path: str | Path) -> Path:
    """Write one row per set of replaced gates: each alone, then more and more of them together.

    Top-1 and its change with the 95 % interval (paired, Agresti and Min) are shares; ``p`` is of the exact
    McNemar test, ``p_holm`` adjusted for all tests of the same kind.
    """
    kinds = (("single", single_effects(ablation)), ("cumulative", cumulative_effects(ablation)))
    return write_csv(path, COLUMNS, (_row(kind, e) for kind, effects in kinds for e in effects))


def _row(kind: str, effect: Effect) -> list[Any]:
    part, d = effect.replaced, effect.difference
    return [
        kind,
        part.name,
        " ".join(part.blocks),
        d.images,
        *(f"{share:.6f}" for share in (d.after, d.delta, d.low, d.high)),
        part.lost,
        part.won,
        *(f"{p:.6g}" for p in (d.p_value, effect.p_adjusted)),
        part.params,
        part.macs,
    ]
