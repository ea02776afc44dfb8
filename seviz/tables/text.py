"""Tables and sentences on a terminal: as wide as it is, broken at spaces and nowhere else.

A word that no line has room for, such as the name of a class of thousands of letters, lacks its middle there;
in a file or a pipe nothing is left out.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from seviz.tables.table import Cell, Column, Table

# How a text is marked: given the text and one of "head", "faint", "strong".
Mark = Callable[[str, str], str]
GAP = "  "
# A column of sentences is at least so wide, or breaks into too many lines to be read.
NARROWEST = 24


def to_text(table: Table, width: int | None = None, mark: Mark | None = None) -> str:
    """Return a table as lines of text, names to the left and numbers to the right.

    Where the lines would be wider than ``width``, titles are broken, then columns left out, the last to be
    missed first, then sentences broken; and where that is not enough, each row becomes a list. Words stay
    whole, unless one alone is wider than the terminal.

    Args:
        table: The table.
        width: Columns of the terminal; ``None`` for a file or a pipe, in which lines are as long as they are.
        mark: Marks the line of titles, and lines with a faint or a strong cell.
    """
    columns = [_Shown.of(table, i, width) for i, c in enumerate(table.columns) if c.title]
    left = []
    if width is not None:
        while _least(columns) > width and (most := max(c.column.rank for c in columns)):
            gone = next(c for c in reversed(columns) if c.column.rank == most)
            columns.remove(gone)
            left.append(gone.column.title)
    if width is not None and _least(columns) > width and len(columns) > 1:
        return "\n".join([*_lists(table, columns, width, mark), *_left_out(left, width)])
    widths = _widths(columns, width)
    lines = _lines(columns, [c.column.heading for c in columns], widths, mark, "head")
    for row, texts in zip(table.rows, zip(*(c.cells for c in columns), strict=True), strict=True):
        lines += _lines(columns, texts, widths, mark, _how(row))
    return "\n".join([*lines, *_left_out(left, width)])


def _left_out(columns: Sequence[str], width: int | None) -> list[str]:
    if not columns:
        return []
    said = f"left out, for the terminal is narrow: {', '.join(reversed(columns))}"
    return [wrapped(said, width)]


def _lists(table: Table, columns: Sequence[_Shown], width: int, mark: Mark | None) -> Iterator[str]:
    """Yield the lines of rows that are too wide: the first cell, and under it a line for each other one."""
    first, *others = columns
    for place, row in enumerate(table.rows):
        how = _how(row)
        texts = [wrapped(first.cells[place], width, indent=GAP)]
        for shown in others:
            line = f"{GAP}{shown.column.heading}: {shown.cells[place]}"
            texts.append(wrapped(line, width, indent=2 * GAP))
        for line in "\n".join(texts).split("\n"):
            yield mark(line, how) if mark and how else line


def wrapped(text: str, width: int | None, *, indent: str = "") -> str:
    """Return a sentence in lines of at most ``width``, of which all but the first are indented.

    >>> print(wrapped("a well-known word", 10, indent="  "))
    a
      well-known
      word
    """
    if width is None:
        return text
    joined = text.replace(" %", "\u00a0%")  # a number and its unit are one word
    return textwrap.fill(
        joined, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    ).replace("\u00a0%", " %")


def columns_of(text: str) -> int:
    r"""Return how many columns of a terminal a text takes: two for wide characters, none for joined marks.

    >>> columns_of("cat"), columns_of("猫"), columns_of("e\u0301")
    (3, 2, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(c) or unicodedata.category(c) in {"Cf", "Me", "Mn"}
        else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def shortened(text: str, most: int, left: int | None = None) -> str:
    """Return a text in which words wider than ``most`` columns lack their middle.

    Args:
        text: The text.
        most: Columns up to which a word stays whole.
        left: Columns of what is left of a wider one; ``most`` by default.

    >>> shortened("a class " + "x" * 1000, 9)
    'a class xxxx…xxxx'
    """
    if len(text) <= most // 2 or max(map(columns_of, text.split()), default=0) <= most:
        return text
    room = (most if left is None else left) - 1

    def short(found: re.Match[str]) -> str:
        word = found[0]
        if columns_of(word) <= most:
            return word
        end = _first(word[::-1], room // 2)[::-1]
        return f"{_first(word, room - room // 2)}…{end}"

    return re.sub(r"\S+", short, text)


def _first(word: str, width: int) -> str:
    """Return the beginning of a word that takes at most so many columns."""
    taken = 0
    for place, letter in enumerate(word):
        taken += columns_of(letter)
        if taken > width:
            return word[:place]
    return word


@dataclass(frozen=True)
class _Shown:
    """A column as it is shown, each cell as text."""

    column: Column
    cells: list[str]

    @classmethod
    def of(cls, table: Table, place: int, width: int | None) -> _Shown:
        column = table.columns[place]
        cells = [column.shown(row[place], brief=column.brief) for row in table.rows]
        if width is not None:
            cells = [shortened(cell, width, max(NARROWEST, width // 2)) for cell in cells]
        return cls(column, cells)

    @property
    def widest(self) -> int:
        """Return the width of the widest cell."""
        return max(map(columns_of, self.cells), default=0)

    @property
    def longest_word(self) -> int:
        """Return the width of the longest word of the title."""
        return max(map(columns_of, self.column.heading.split()), default=0)

    @property
    def breaks(self) -> bool:
        """Return whether its cells are sentences, which may be broken."""
        return self.column.is_text and self.widest > NARROWEST

    @property
    def least(self) -> int:
        """Return the least width: sentences and the title broken at every space they may be."""
        if not self.breaks:
            return max(self.widest, self.longest_word)
        words = (columns_of(word) for text in self.cells for word in text.split())
        return max(NARROWEST, self.longest_word, *words)


def _least(columns: Sequence[_Shown]) -> int:
    return sum(c.least for c in columns) + len(GAP) * (len(columns) - 1)


def _widths(columns: Sequence[_Shown], width: int | None) -> list[int]:
    """Return the width of each column: what it needs, and where that is too much, less."""
    whole = [max(c.widest, columns_of(c.column.heading)) for c in columns]
    room = width - len(GAP) * (len(columns) - 1) if width is not None else sum(whole)
    if sum(whole) <= room:
        return whole
    titles = [max(c.widest, c.longest_word) for c in columns]
    if sum(titles) <= room:
        return titles
    least = [c.least for c in columns]
    spare = max(0, room - sum(least))
    for i, c in sorted(enumerate(columns), key=lambda each: each[1].widest - each[1].least):
        if c.breaks:
            more = min(spare, titles[i] - least[i])
            least[i] += more
            spare -= more
    return least


def _how(row: Sequence[Any]) -> str:
    """Return how a row is marked: as its strongest cell."""
    found = {value.how for value in row if isinstance(value, Cell)}
    return "strong" if "strong" in found else "faint" if "faint" in found else ""


def _lines(
    columns: Sequence[_Shown],
    texts: Sequence[str],
    widths: Sequence[int],
    mark: Mark | None,
    how: str,
) -> list[str]:
    """Return the lines of a row, as many as its tallest cell has."""
    parts = [
        wrapped(text, size).split("\n") if columns_of(text) > size else [text]
        for text, size in zip(texts, widths, strict=True)
    ]
    lines = []
    for level in range(max(map(len, parts))):
        cells = []
        for shown, part, size in zip(columns, parts, widths, strict=True):
            text = part[level] if level < len(part) else ""
            room = " " * (size - columns_of(text))
            cells.append(text + room if shown.column.is_text else room + text)
        line = GAP.join(cells).rstrip()
        lines.append(mark(line, how) if mark and how else line)
    return lines
