"""The kinds of gates as a table, for people."""

from __future__ import annotations

from seviz.results.mechanisms import MECHANISMS
from seviz.tables.table import Column, Table

_COLUMNS = (
    Column("key", "word"),
    Column("prefix", "blocks", get=lambda m: f"{m.prefix}_2_1, ..."),
    Column("title", "what it is"),
    Column("limits", "gates lie between", get=lambda m: " and ".join(f"{n:g}" for n in m.limits)),
    Column("source", "source"),
)


def mechanisms_table() -> Table:
    """Return a row for each kind of gate that is read.

    >>> [column.title for column in mechanisms_table().columns]
    ['word', 'blocks', 'what it is', 'gates lie between', 'source']
    """
    return Table.of("mechanisms", "Kinds of gates", _COLUMNS, MECHANISMS)
