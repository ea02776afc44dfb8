"""The rows of a comparison of three networks and more: the networks, every two, class shares, geometries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from seviz.analysis.findings.estimates import estimate_of
from seviz.analysis.geometry import Geometry, relative_depths
from seviz.analysis.proportions import PairedDifference
from seviz.analysis.several import PairComparison, SeveralComparison
from seviz.results.mechanisms import BY_KEY
from seviz.tables.comparison import CHANGE
from seviz.tables.csv_files import write_csv
from seviz.tables.table import Cell, Column, Table

_STILL = "hardly moves: means little"
_DEPTH = Column("depth", "depth", ".2f")
_SHARE = Column.measured("class_share", "class share", ".3f")
_NETWORKS = (
    Column("name", "network"),
    Column("gates", "gates"),
    Column.measured("top1", "top-1", ".2%"),
    Column("params", "parameters", ","),
    Column("gate_params", "gate parameters", ",", rank=1),
    Column("gate_share", "of all parameters", ".2%", rank=2),
    Column("macs", "MACs", ",", rank=3),
    Column("paper_gflops", "paper's GFLOPs", "g", rank=4),
)


def several_networks_table(compared: SeveralComparison) -> Table:
    """Return what is known of each network: its gates, its accuracy, its cost."""
    rows = []
    for place, subject in enumerate(compared.subjects):
        cost, own = subject.cost, compared.gate_params(place)
        total = cost.params if cost is not None else None
        rows.append(
            (
                subject.name,
                _gates(compared.gates(place)),
                estimate_of(compared.top1[place]),
                total,
                own,
                own / total if own is not None and total else None,
                cost.macs if cost is not None else None,
                cost.paper.giga(cost.paper.with_se) if cost is not None else None,
            )
        )
    known = [any(row[i] is not None for row in rows) for i in range(len(_NETWORKS))]
    columns = (
        replace(c, title=c.title if k else "") for c, k in zip(_NETWORKS, known, strict=True)
    )
    caption = f"{len(rows)} networks"
    return Table("networks", caption, tuple(columns), tuple(rows))


def _gates(found: dict[str, int] | None) -> str | None:
    if found is None:
        return None
    return ", ".join(f"{count} {BY_KEY[key].word}" for key, count in found.items()) or "none"


_PAIRS = (
    Column("first", "first"),
    Column("second", "second"),
    replace(CHANGE, get=None),
    Column("lost", "only first right", ",", rank=2),
    Column("won", "only second right", ",", rank=2),
    Column("p", "p", "p", rank=3),
    Column("p_adjusted", "p (Holm)", "p"),
    Column("", "verdict", rank=1),
)


def pairs_of_networks_table(compared: SeveralComparison) -> Table | None:
    """Return how top-1 differs in every two networks; ``None`` where no accuracy is known."""
    if not compared.pairs:
        return None
    rows = tuple(_pair(compared, pair) for pair in compared.pairs)
    test = (
        "exact McNemar test on the same images"
        if compared.paired
        else "score test of independent shares"
    )
    known = [any(row[i] is not None for row in rows) for i in range(len(_PAIRS))]
    columns = tuple(c if k else replace(c, title="") for c, k in zip(_PAIRS, known, strict=True))
    notes = (f"change: the second less the first; p: {test}, p (Holm): adjusted for all pairs",)
    return Table("compare_pairs", "Top-1 of every two networks", columns, rows, notes)


def _pair(compared: SeveralComparison, pair: PairComparison) -> tuple[Any, ...]:
    top1, names = pair.top1, compared.names
    sides = (top1.lost, top1.won) if isinstance(top1, PairedDifference) else (None, None)
    return (
        names[pair.first],
        names[pair.second],
        estimate_of(top1),
        *sides,
        top1.p_value,
        pair.p_adjusted,
        Cell("significant", "strong") if pair.significant else "",
    )


_SHARES = (
    Column("network", "network"),
    Column("block", "block"),
    _DEPTH,
    _SHARE,
    Column("shuffled", "shuffled labels", ".3f", rank=2),
    Column("spread", "spread", ".4f", rank=1),
    Column("", "remark", rank=3),
)


def depth_table(compared: SeveralComparison) -> Table | None:
    """Return the class share of every block by its relative depth; ``None`` without gates."""
    rows = tuple(_shares(compared))
    notes = (
        "class share: of gate variance, explained by class, eta squared [95 % interval]; depth: the i-th of "
        "n blocks is at (i - 1/2) / n, so that networks of other depths can be compared",
    )
    return (
        Table("compare_depth", "Class share along the depth", _SHARES, rows, notes)
        if rows
        else None
    )


def _shares(compared: SeveralComparison) -> Iterator[tuple[Any, ...]]:
    for name, found in zip(compared.names, compared.findings, strict=True):
        blocks = found.blocks if found is not None else ()
        for depth, block in zip(relative_depths(len(blocks)), blocks, strict=True):
            share: Any = block.class_share
            yield (
                name,
                block.block,
                float(depth),
                share if block.moves or share is None else Cell(share, "faint"),
                block.shuffled,
                block.spread.value,
                "" if block.moves else _STILL,
            )


_GEOMETRIES = (
    Column("first", "first"),
    Column("second", "second"),
    Column("first_block", "block"),
    Column("second_block", "block of the second"),
    Column("first_depth", "depth", ".2f", rank=2),
    Column("second_depth", "depth of the second", ".2f", rank=3),
    Column.measured("geometry", "geometry", "+.2f"),
    Column("chosen", "remark", rank=1),
)


def geometries_table(compared: SeveralComparison) -> Table | None:
    """Return how alike classes are gated in every two networks; ``None`` where fewer than two have gates."""
    if not compared.geometries:
        return None
    rows = tuple(_geometry(compared, one) for one in compared.geometries)
    notes = (
        "geometry: correlation, over pairs of classes, of the distances between their mean gates in the two "
        "blocks [95 % interval over classes]; no channel of one need be a channel of the other",
    )
    caption = "Are classes gated alike? Blocks at matching depth"
    return Table("compare_geometry", caption, _GEOMETRIES, rows, notes)


def _geometry(compared: SeveralComparison, one: Geometry) -> tuple[Any, ...]:
    remark = "largest class share of each" if one.chosen else "" if one.moves else _STILL
    shown: Any = one.correlation
    return (
        compared.names[one.first],
        compared.names[one.second],
        *one.blocks,
        *one.depths,
        shown if one.moves or shown is None else Cell(shown, "faint"),
        Cell(one.chosen, text=remark or " "),
    )


def several_tables(compared: SeveralComparison) -> list[Table | None]:
    """Return all tables of a comparison of several networks."""
    return [
        several_networks_table(compared),
        pairs_of_networks_table(compared),
        depth_table(compared),
        geometries_table(compared),
    ]


def write_several_csv(compared: SeveralComparison, folder: str | Path) -> list[Path]:
    """Write the tables as CSV, with every digit: ``compare_networks.csv``, ``compare_pairs.csv``..."""
    return [
        write_csv(table, Path(folder) / f"compare_{table.name.removeprefix('compare_')}.csv")
        for table in several_tables(compared)
        if table is not None
    ]
