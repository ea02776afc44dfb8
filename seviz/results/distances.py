"""How far classes are apart, as a user's file says it. NumPy alone."""

from __future__ import annotations

import csv
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seviz.errors import DataError, UsageError
from seviz.results.classes import ClassTable
from seviz.results.files import plain_file
from seviz.results.spelling import plain_number

# Of 1,000 classes all pairs are 12 megabytes.
_MOST_BYTES = 2**25
Floats = npt.NDArray[np.float64]


def read_distances(path: str | Path, classes: ClassTable) -> Floats:
    """Return the distances of classes, [K, K]; NaN where the file says nothing, 0 on the diagonal.

    Args:
        path: CSV: a line ``class,other,distance`` for each pair; or a square, with the names of classes in
            the first line and in the first column.
        classes: The classes; others in the file are left out. Names as for ``--classes``.

    Raises:
        DataError: If it cannot be read, a distance is no number or negative, two lines differ, or there is
            none of two of these classes.
    """
    try:
        with plain_file(path, _MOST_BYTES).open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise DataError(
            f"expected distances of classes, found nothing to read at {path} ({exc}); give a CSV file"
        ) from exc
    row = cache(partial(_row, classes))  # each name is there once for each of the others
    found = np.full((len(classes), len(classes)), np.nan)
    for one, other, words in _pairs(lines, path):
        rows = [row(name) for name in (one, other)]
        value = _number(words, path)
        if None in rows or one == other:
            continue
        first, second = rows[0] or 0, rows[1] or 0
        known = found[first, second]
        if not np.isnan(known) and known != value:
            raise DataError(
                f"expected one distance of {one!r} and {other!r} in {path}, found {known:g} and {value:g}; "
                "leave one out"
            )
        found[first, second] = found[second, first] = value
    if np.isnan(found).all():
        raise DataError(
            f"expected distances of these classes in {path}, found none of two of them; names are as for "
            f"--classes: {', '.join(classes.labels[:5])}{', ...' * (len(classes) > 5)}"
        )
    np.fill_diagonal(found, 0.0)
    return found


def _pairs(lines: list[list[str]], path: str | Path) -> list[tuple[str, str, str]]:
    """Return both classes and the distance of each pair, whichever form the file has."""
    if not lines:
        raise DataError(
            f"expected distances of classes, found an empty file at {path}; give lines CLASS,CLASS,DISTANCE"
        )
    names = lines[0][1:]
    square = len(lines) == len(names) + 1 and [row[0] for row in lines[1:]] == names
    if square and all(len(row) == len(names) + 1 for row in lines):
        return [
            (row[0], name, cell)
            for row in lines[1:]
            for name, cell in zip(names, row[1:], strict=True)
        ]
    wrong = next((row for row in lines if len(row) != 3), None)
    if wrong is not None:
        raise DataError(
            f"expected lines CLASS,CLASS,DISTANCE or a square of names in {path}, found a line of "
            f"{len(wrong)} cells; write it so"
        )
    begin = 0 if _is_number(lines[0][2]) else 1
    return [(one, other, words) for one, other, words in lines[begin:]]


def _is_number(words: str) -> bool:
    try:
        plain_number(words)
    except ValueError:
        return False
    return True


def _number(words: str, path: str | Path) -> float:
    value = plain_number(words) if _is_number(words) else -1.0
    if not 0 <= value < np.inf:
        raise DataError(
            f"expected distances of 0 or more in {path}, found {words[:40]!r}; write numbers"
        )
    return value


def _row(classes: ClassTable, name: str) -> int | None:
    try:
        return classes.find(name)
    except UsageError:
        return None
