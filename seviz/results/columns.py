"""Columns out of tables that any tool wrote as text: CSV or TSV, in any form of Unicode that is marked.

Of columns of classes only the different texts are kept, with their place in each row.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seviz.errors import DataError
from seviz.results.files import lively
from seviz.results.spelling import plain_number

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# ImageNet-21k has 14 million images.
MOST_ROWS = 2**24
_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass(frozen=True, eq=False)
class Column:
    """Cells of few different texts.

    Attributes:
        texts: The different texts, each in some row; empty for a gap.
        codes: Position in ``texts`` of each row's, int64 [N].
    """

    texts: tuple[str, ...]
    codes: Ints

    def first_row(self, text: str) -> int | None:
        """Return the first row that holds a text, from 1, or none."""
        if text not in self.texts:
            return None
        return int(np.argmax(self.codes == self.texts.index(text))) + 1


@dataclass(frozen=True)
class Wanted:
    """Which columns are read, by what they are for: position in the table.

    Attributes:
        classes: Read as `Column`.
        numbers: Read as float64.
        texts: Read as a list.
    """

    classes: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Read:
    """The columns that were wanted, and the number of rows.

    Attributes:
        rows: How many there are.
        classes: By what they are for.
        numbers: Likewise, float64 [N].
        texts: Likewise.
        last: Cells of the last two rows by place in the table, without those of the classes, as far as
            they were read.
    """

    rows: int
    classes: Mapping[str, Column]
    numbers: Mapping[str, Floats]
    texts: Mapping[str, list[str]]
    last: Sequence[Mapping[int, str]] = ()


Choose = Callable[[Sequence[str]], Wanted]


class Codes:
    """A column of classes while it is read."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._rows = array("q")

    def add(self, text: str) -> None:
        """Append a row."""
        self._rows.append(self._places.setdefault(text, len(self._places)))

    def add_many(self, texts: Sequence[str], codes: Ints) -> None:
        """Append rows, given as positions in ``texts``, some of which may stand in no row."""
        places = np.zeros(len(texts), np.int64)
        for code in np.flatnonzero(np.bincount(codes, minlength=len(texts))).tolist():
            places[code] = self._places.setdefault(texts[code], len(self._places))
        self._rows.frombytes(places[codes].tobytes())

    def column(self) -> Column:
        """Return the column."""
        return Column(tuple(self._places), np.frombuffer(self._rows, np.int64))


def too_many_rows(found: int | str, name: str) -> DataError:
    """Return the error for a table that is too long."""
    shown = f"{found:,}" if isinstance(found, int) else found
    return DataError(
        f"expected at most {MOST_ROWS:,} rows in {name}, found {shown}; take a part of it"
    )


def read_text(path: Path, choose: Choose) -> Read:
    """Read some columns of a table.

    Args:
        path: The file.
        choose: Given the names of all columns, returns which are wanted.

    Raises:
        DataError: If it is no text, too long, or no table.
    """
    with path.open("rb") as start:
        head = start.read(4)
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8-sig")
    with _readable(path), path.open(newline="", encoding=encoding) as file:
        # The one of the usual separators that the line of column names has most of.
        first = file.readline(1 << 20)
        if "\0" in first:
            raise ValueError("zero bytes, as in UTF-16 without a mark")
        file.seek(0)
        rows = csv.reader(file, delimiter=max(",;\t", key=first.count))
        names = next(rows, [])
        return _columns(path, names, _rows(path, names, rows), choose(names))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, csv.Error) as exc:
        raise DataError(
            f"expected a table in UTF-8, found {path.name} unreadable ({exc}); save it as CSV in UTF-8"
        ) from exc


def _rows(path: Path, names: Sequence[str], rows: Iterator[list[str]]) -> Iterator[list[str]]:
    number = 0
    for row in rows:
        if not row:
            continue
        number += 1
        if len(row) != len(names):
            raise DataError(
                f"expected {len(names)} cells in each row of {path.name}, found {len(row)} in row "
                f"{number}; quote names that hold the separator"
            )
        if number > MOST_ROWS:
            raise too_many_rows("more", path.name)
        yield row


def _columns(path: Path, names: Sequence[str], rows: Iterator[list[str]], wanted: Wanted) -> Read:
    classes = {role: Codes() for role in wanted.classes}
    numbers = {role: array("d") for role in wanted.numbers}
    texts: dict[str, list[str]] = {role: [] for role in wanted.texts}
    coded = [(classes[role], place) for role, place in wanted.classes.items()]
    counted = [(numbers[role], place, role) for role, place in wanted.numbers.items()]
    listed = [(texts[role], place) for role, place in wanted.texts.items()]
    total = 0
    before: Sequence[str] = ()
    row: Sequence[str] = ()
    for total, following in enumerate(rows, start=1):
        before, row = row, following
        if row == names:
            raise DataError(
                f"expected an image in every row of {path.name}, found the names of the columns again in row "
                f"{total}, as where files were put together; take it out"
            )
        for codes, place in coded:
            codes.add(lively(row[place].strip()))
        for values, place, role in counted:
            values.append(number(row[place], role, total, path.name))
        for cells, place in listed:
            cells.append(lively(row[place].strip()))
    return Read(
        total,
        {role: codes.column() for role, codes in classes.items()},
        {role: np.frombuffer(values, np.float64) for role, values in numbers.items()},
        texts,
        [_without(cells, {*wanted.classes.values()}) for cells in (before, row) if cells],
    )


def _without(row: Sequence[str], classes: set[int]) -> dict[int, str]:
    return {place: cell.strip() for place, cell in enumerate(row) if place not in classes}


def number(text: str, role: str, row: int, name: str) -> float:
    """Return the number in a cell.

    Raises:
        DataError: If it is none.
    """
    try:
        return plain_number(text)
    except ValueError:
        raise DataError(
            f"expected numbers as {role}s in {name}, found {text.strip()!r} in row {row}; write "
            "probabilities, or take the column out"
        ) from None
