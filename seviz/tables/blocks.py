"""The rows of what is found in a network: its SE blocks, what only looks like them, what was folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seviz.results.blocks import SEBlock
from seviz.tables.table import Column, Table

NETWORK = "(the network)"  # where the path of a module is empty


def path_of(item: Any) -> str:
    """Return the path of a module as people read it."""
    return item.path or NETWORK


_BLOCKS = (
    Column("name", "block"),
    Column("channels", "channels", "d"),
    Column("hidden", "hidden", "d"),
    Column("reduction", "r", "g", rank=2),
    Column("gate", "gate", get=lambda b: b.gate + (" + shift" if b.shift else ""), rank=1),
    Column("map", "map", get=lambda b: "x".join(map(str, b.spatial)), rank=3),
    Column("placement", "place", rank=4),
    Column("params", "parameters", ","),
    Column("path", "path", get=path_of),
)


def blocks_table(blocks: Sequence[SEBlock], caption: str = "SE blocks") -> Table:
    """Return a row for each block, in forward order."""
    return Table.of("blocks", caption, _BLOCKS, blocks)


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


def others_table(others: Sequence[Any]) -> Table:
    """Return what was found beside SE: each has ``count``, ``kind`` and ``path``."""
    return Table.of("others", "Also found, and not SE", _OTHERS, others)


_FOLDED = (
    Column("name", "block"),
    Column("params", "parameters", ","),
    Column("how", "how"),
    Column("into", "into", get=lambda b: tuple(b.into) or None),
)


def folded_table(blocks: Sequence[Any]) -> Table:
    """Return what became of each block that was folded: each has ``name``, ``params``, ``how``, ``into``."""
    return Table.of("folded", "Folded blocks", _FOLDED, blocks)
