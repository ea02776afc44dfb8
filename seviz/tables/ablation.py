"""The rows of an ablation: what top-1 does where gates are replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seviz.analysis import Effect, cumulative_effects, single_effects
from seviz.analysis.ablation import HELD
from seviz.results.ablation import Ablation
from seviz.results.mechanisms import has_of
from seviz.tables.csv_files import write_csv
from seviz.tables.table import Cell, Column, Table

SINGLE, CUMULATIVE = "single", "cumulative"


def _verdict(effect: Effect) -> str | Cell:
    if not effect.judged:
        return "cannot be said"
    return Cell("significant", "strong") if effect.significant else "by chance"


_COLUMNS = (
    Column("name", "block", get=lambda e: e.replaced.name),
    Column("blocks", get=lambda e: e.replaced.blocks),
    Column("images", get=lambda e: e.difference.images),
    Column("top1", "top-1", ".2%", get=lambda e: e.difference.after),
    Column("delta", "change", "+.2f", unit="points", scale=100, ends=("ci_low", "ci_high")),
    Column("lost", "lost", ",", get=lambda e: e.replaced.lost, rank=4),
    Column("won", "won", ",", get=lambda e: e.replaced.won, rank=4),
    Column("p", "p", "p", get=lambda e: e.difference.p_value, rank=2),
    Column("p_holm", "p (Holm)", "p", get=lambda e: e.p_adjusted),
    Column("", "verdict", get=_verdict, rank=1),
    Column("params", "parameters", ",", get=lambda e: e.replaced.params, rank=1),
    Column("macs", "MACs", ",", get=lambda e: e.replaced.macs, rank=3),
)


def ablation_table(ablation: Ablation, kind: str = SINGLE) -> Table:
    """Return a row for each block or stage alone, or for more and more of them together.

    Args:
        ablation: The result.
        kind: ``single`` or ``cumulative``.
    """
    alone = kind == SINGLE
    effects = single_effects(ablation) if alone else cumulative_effects(ablation)
    many = f"; p (Holm) is adjusted for all {len(effects)} tests" if len(effects) > 1 else ""
    notes = [
        "change: of top-1, with its 95 % interval, paired over the same images (Agresti and Min); p: exact "
        f"McNemar test{many}",
        f"parameters and MACs (one image) that nothing else needs; {has_of(ablation.kinds)} "
        f"{ablation.se_params:,} of the network's {ablation.params:,} parameters",
    ]
    if not alone:
        notes = [
            "the order was found on these images, so its beginning looks a little better than on others"
        ]
    title = ablation.by if alone else f"and {ablation.by}"
    what = (
        f"one {ablation.by}"
        if alone
        else f"more and more {ablation.by}s, the least important first"
    )
    return Table.of(
        "ablation" if alone else "ablation_together",
        f"Top-1 with {HELD[ablation.gates]}: {what}",
        (replace(_COLUMNS[0], title=title), *_COLUMNS[1:]),
        effects,
        notes,
    )


def effects_table(ablation: Ablation) -> Table:
    """Return the rows of both kinds, with the kind in the first column."""
    both = [(kind, ablation_table(ablation, kind)) for kind in (SINGLE, CUMULATIVE)]
    rows = tuple((kind, *row) for kind, table in both for row in table.rows)
    first = both[0][1]
    return replace(first, columns=(Column("kind", "kind"), *first.columns), rows=rows)


def write_ablation_csv(ablation: Ablation, path: str | Path) -> Path:
    """Write one row per set of replaced gates: each alone, then more and more of them together."""
    return write_csv(effects_table(ablation), path)
