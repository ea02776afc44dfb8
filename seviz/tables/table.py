"""What a table is: its columns, each with key, title, unit and format, and its rows as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seviz.analysis.comparison import shown_p
from seviz.analysis.findings.estimates import Estimate
from seviz.errors import printable
from seviz.results.shares import shown_share

P_VALUE = "p"
# Formats of shares of a whole; those with a sign are of changes.
_SHARES = (".1%", ".2%")
NOTHING = "-"


@dataclass(frozen=True)
class Cell:
    """A value that is not shown as the others of its column.

    Attributes:
        value: The value.
        how: ``faint`` where it means little: in brackets, without its interval. ``strong`` where it matters.
        text: What is shown of it; by default what the column makes of it.
        link: Where a page leads to from here.
    """

    value: Any
    how: str = ""
    text: str = ""
    link: str = ""


# Where a row has no such number.
BLANK = Cell(None, text=" ")


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Its name in files and in JSON; empty for what is there for people alone.
        title: Its name for people; empty for what is in files alone.
        form: How a number is shown: a format of Python's, or ``p`` for a p-value; empty for text.
        get: Takes its value from what a row is of; by default the attribute of the key's name.
        unit: Of the numbers as they are shown.
        scale: What a number is multiplied by to be shown.
        ends: Keys of the ends of its interval, where it has one.
        rank: What goes first where a terminal has no room for all: the highest rank; 0 stays.
        brief: Whether a terminal leaves its interval out.
    """

    key: str
    title: str = ""
    form: str = ""
    get: Callable[[Any], Any] | None = None
    unit: str = ""
    scale: float = 1.0
    ends: tuple[str, str] | None = None
    rank: int = 0
    brief: bool = False

    @classmethod
    def measured(
        cls,
        key: str,
        title: str,
        form: str,
        get: Callable[[Any], Any] | None = None,
        **more: Any,
    ) -> Column:
        """Return a column of numbers with intervals; files have the ends as ``KEY_low`` and ``KEY_high``.

        >>> Column.measured("top1", "top-1", ".2%", brief=True).ends
        ('top1_low', 'top1_high')
        """
        return cls(key, title, form, get, ends=(f"{key}_low", f"{key}_high"), **more)

    @property
    def heading(self) -> str:
        """Return the title with the unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def is_text(self) -> bool:
        """Return whether it holds text and no numbers."""
        return not self.form

    def value(self, item: Any) -> Any:
        """Return the value in the row of ``item``."""
        return getattr(item, self.key) if self.get is None else self.get(item)

    def shown(self, value: Any, *, brief: bool = False) -> str:
        """Return a value as people read it, on one line; a dash for what is not known.

        >>> Column("delta", "change", "+.2f", scale=100).shown(Estimate(-0.05, -0.0865, -0.0125))
        '-5.00 [-8.65, -1.25]'
        """
        faint = isinstance(value, Cell) and value.how == "faint"
        if isinstance(value, Cell) and value.text:
            return printable(value.text)
        value = plain(value)
        if value is None:
            return NOTHING
        if isinstance(value, Estimate):
            text = self._number(value.value)
            if value.low is not None and value.high is not None and not (faint or brief):
                ends = (self._number(end).removesuffix("%") for end in (value.low, value.high))
                text += f" [{', '.join(ends)}]"
        elif isinstance(value, str):
            text = printable(value)
        elif isinstance(value, tuple):
            text = printable(", ".join(map(str, value)))
        else:
            text = self._number(value)
        return f"({text})" if faint else text

    def _number(self, value: float) -> str:
        if self.form == P_VALUE:
            return shown_p(value)
        scaled = value * self.scale if self.scale != 1 else value
        if self.form in _SHARES:
            return shown_share(scaled, self.form)
        return format(scaled, self.form)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: What it is called on a page, and in the name of its file.
        caption: What it shows, in a line.
        columns: Its columns.
        rows: Values, row by row, in the order of the columns; a `Cell` where one is shown as no other.
            Rows that are made as they are written may be any iterable.
        notes: What a reader must know to read the numbers.
        foot: How many of the last rows are sums of the others.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: Iterable[Sequence[Any]]
    notes: tuple[str, ...] = ()
    foot: int = 0

    @classmethod
    def of(
        cls,
        name: str,
        caption: str,
        columns: Iterable[Column],
        items: Iterable[Any],
        notes: Iterable[str] = (),
        foot: int = 0,
    ) -> Table:
        """Return the table with a row for each item; arguments as for the attributes."""
        columns = tuple(columns)
        rows = tuple(tuple(c.value(item) for c in columns) for item in items)
        return cls(name, caption, columns, rows, tuple(notes), foot)

    def __len__(self) -> int:
        return len(tuple(self.rows))

    def only(self, keep: Callable[[dict[str, Any]], bool]) -> Table:
        """Return the table of the rows of which ``keep`` holds, given their values by key."""
        keys = [c.key for c in self.columns]
        rows = tuple(r for r in self.rows if keep(dict(zip(keys, map(plain, r), strict=True))))
        return replace(self, rows=rows)

    def first(self, most: int) -> Table:
        """Return the table of the first rows."""
        return replace(self, rows=tuple(self.rows)[:most])

    def records(self) -> list[dict[str, Any]]:
        """Return the rows by key as JSON has them, an interval as its two ends."""
        return [
            {
                key: value
                for c, v in zip(self.columns, row, strict=True)
                for key, value in entries(c, v)
            }
            for row in self.rows
        ]


def entries(column: Column, value: Any) -> list[tuple[str, Any]]:
    """Return what a value is in files: key and value, and those of the ends of its interval."""
    if not column.key:
        return []
    value = plain(value)
    estimate = value if isinstance(value, Estimate) else None
    found = [(column.key, estimate.value if estimate else value)]
    if column.ends is not None:
        ends = (estimate.low, estimate.high) if estimate else (None, None)
        found += zip(column.ends, ends, strict=True)
    return found


def plain(value: Any) -> Any:
    """Return a value alone."""
    return value.value if isinstance(value, Cell) else value


def text_table(name: str, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table of texts as they are, for what has no numbers.

    >>> [c.title for c in text_table("versions", ["library", "version"], [["numpy", "2"]]).columns]
    ['library', 'version']
    """
    return Table(name, "", tuple(Column(t, t) for t in titles), tuple(map(tuple, rows)))
