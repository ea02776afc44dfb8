"""Tables as CSV: whole files or none, every digit that matters, and no cell that a spreadsheet runs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from seviz.results.files import csv_writer, inert, written_whole
from seviz.tables.table import Column, Table, entries, plain


def to_csv(table: Table) -> str:
    """Return a table as CSV, its keys in the first line.

    Numbers have nine digits; what is not known is an empty cell. Text that begins as a formula does gets
    an apostrophe before it (`seviz.results.files.inert`).
    """
    text = io.StringIO()
    _write(table, text)
    return text.getvalue()


def write_csv(table: Table, path: str | Path) -> Path:
    """Write a table as CSV; return the path. Its folder is made if need be."""
    target = Path(path)
    with (
        written_whole(target) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        _write(table, file)
    return target


def _write(table: Table, file: TextIO) -> None:
    writer = csv_writer(file)
    writer.writerow([inert(key) for c in table.columns for key in (c.key, *(c.ends or ())) if key])
    if all(c.key and c.ends is None for c in table.columns):
        # A row at a time: of a matrix of a thousand classes, nothing is held twice.
        writer.writerows(map(_cell, row) for row in table.rows)
    else:
        writer.writerows(_cells(table.columns, row) for row in table.rows)


def _cells(columns: Sequence[Column], row: Sequence[Any]) -> Iterator[Any]:
    for column, value in zip(columns, row, strict=True):
        yield from (_cell(v) for _, v in entries(column, value))


def _cell(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, tuple):
        return inert(" ".join(map(str, value)))
    if value is None:
        return ""
    return int(value) if isinstance(value, bool) else value
