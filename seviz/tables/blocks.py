"""The rows of what is found in a network: its SE blocks, what only looks like them, what was folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seviz.results.blocks import SE, GateBlock, SEBlock
from seviz.tables.table import Column, Table

NETWORK = "(the network)"  # where the path of a module is empty


def path_of(item: Any) -> str:
    """Return the path of a module as people read it."""
    return item.path or NETWORK


def _fact(name: str, title: str, form: str, rank: int = 0) -> Column:
    return Column(name, title, form, get=lambda block: block.facts.get(name), rank=rank)


# What only some kinds of gates have; a table has the columns that one of its blocks fills.
_FACTS = (
    _fact("hidden", "hidden", "d"),
    _fact("reduction", "r", "g", rank=2),
    _fact("branches", "maps", "d"),
    _fact("kernel", "kernel", "d"),
)
_FIRST = (Column("name", "block"), Column("channels", "channels", "d"))
_LAST = (
    Column("gate", "gate", get=lambda b: b.gate + (" + shift" if b.shift else ""), rank=1),
    Column("map", "map", get=lambda b: "x".join(map(str, b.spatial)), rank=3),
    Column("placement", "place", rank=4),
    Column("params", "parameters", ","),
    Column("path", "path", get=path_of),
)


def blocks_table(blocks: Sequence[GateBlock], caption: str = "") -> Table:
    """Return a row for each block, in forward order."""
    known = {name for block in blocks for name in block.facts} or set(SEBlock.own)
    kinds = dict.fromkeys(block.kind for block in blocks) or (SE,)
    columns = (*_FIRST, *(c for c in _FACTS if c.key in known), *_LAST)
    return Table.of("blocks", caption or f"{', '.join(kinds)} blocks", columns, blocks)


_EXCITATIONS = (
    Column("index", "excitation", "d"),
    Column("channels", "channels", "d"),
    Column("hidden", "hidden", "d"),
    Column("reduction", "r", "g"),
    Column("", "gives", get=lambda b: "scale and shift" if b.shift else "scale", rank=1),
    Column("params", "parameters", ","),
    Column("path", "path"),
)


def excitations_table(blocks: Sequence[SEBlock]) -> Table:
    """Return a row for each pair of matrices that a network which is not known has."""
    return Table.of("excitations", "Excitations", _EXCITATIONS, blocks)


_OTHERS = (
    Column("count", "count", "d"),
    Column("kind", "what"),
    Column("path", "first at", get=path_of),
)


def others_table(others: Sequence[Any], word: str = SE) -> Table:
    """Return what was found beside SE, or what ``word`` says: each has ``count``, ``kind``, ``path``."""
    return Table.of("others", f"Also found, and not {word}", _OTHERS, others)


_FOLDED = (
    Column("name", "block"),
    Column("params", "parameters", ","),
    Column("how", "how"),
    Column("into", "into", get=lambda b: tuple(b.into) or None),
)


def folded_table(blocks: Sequence[Any]) -> Table:
    """Return what became of each block that was folded: each has ``name``, ``params``, ``how``, ``into``."""
    return Table.of("folded", "Folded blocks", _FOLDED, blocks)
