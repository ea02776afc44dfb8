"""Tables as the page shows them: cells as text, with the number that sorts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What is shown.
        sort: What it is sorted by; ``None`` sorts by the text.
        faint: Whether the number means little here and is shown so.
    """

    text: str
    sort: float | None = None
    faint: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Its id on the page, and the name of its CSV file.
        caption: What it shows.
        columns: Names of the columns.
        rows: Cells, row by row; the first of a row names it.
        names: Columns that hold names, not numbers.
        sortable: Whether its columns can be sorted.
        shown: Rows that are printed on paper; all by default.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    names: tuple[int, ...] = (0,)
    sortable: bool = False
    shown: int | None = None


def number(value: float | None, form: str, *, faint: bool = False) -> Cell:
    """Return a number as a cell; a dash where it is not known.

    >>> number(0.5, ".1%").text
    '50.0%'
    """
    return Cell("–" if value is None else format(value, form), value, faint)  # noqa: RUF001


def texts(*values: str) -> tuple[Cell, ...]:
    """Return plain cells."""
    return tuple(Cell(v) for v in values)


def plain_rows(rows: Sequence[Sequence[str]]) -> tuple[tuple[Cell, ...], ...]:
    """Return rows of plain cells."""
    return tuple(texts(*row) for row in rows)
