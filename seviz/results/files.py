"""The files of results: their version, and how a record is told from other files."""

from __future__ import annotations

import csv
import errno
import hashlib
import re
import stat
import zipfile
from pathlib import Path
from typing import Any, TextIO

from seviz.results.writing import written_whole

__all__ = [
    "META_NAME",
    "PREDICTION_SUFFIXES",
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "file_sha256",
    "inert",
    "is_predictions",
    "is_record",
    "lively",
    "plain_file",
    "record_path",
    "written_whole",
]

SCHEMA_VERSION = 1
RECORD_NAME = "record.npz"
META_NAME = "meta.json"
PREDICTION_SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")
# What makes a spreadsheet read a cell as a formula; a plain number is none.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
# Where a cell ends for a spreadsheet that separates by other signs than the file (";" in half of Europe), and
# the next one would be a formula; with quotes before it, which such a spreadsheet takes off.
_WITHIN = re.compile(r"""([,;|\t\r\n])(?=["']*[=+\-@])""")
_MARKED = re.compile(r"""([,;|\t\r\n])'(?=["']*[=+\-@])""")
# Cells that hold one of these are quoted, beside those that hold what the format itself has.
_QUOTED = ";\t\r\n"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def record_path(path: str | Path) -> Path:
    """Return the file of a record that is named by its file or by its folder."""
    source = Path(path)
    return source / RECORD_NAME if source.is_dir() else source


def is_record(path: str | Path) -> bool:
    """Return whether ``path`` is a record, or a folder that holds one.

    A file called ``record.npz`` is one, though a damaged one, whatever it holds: reading it says so. Files of
    other names are told by their content.
    """
    try:
        source = record_path(path)
        if not source.is_file():  # opening a pipe would wait for its writer
            return False
        if source.name == RECORD_NAME:
            return True
        with zipfile.ZipFile(source) as archive:
            return META_NAME in archive.namelist()
    except Exception:  # a damaged directory of an archive is read as anything
        return False


def is_predictions(path: str | Path) -> bool:
    """Return whether ``path`` is named as a table of predictions."""
    return Path(path).suffix.lower() in PREDICTION_SUFFIXES


def plain_file(path: str | Path, most: int = 2**28) -> Path:
    """Return a path that a reader may open.

    Args:
        path: Where a file should be.
        most: The greatest number of bytes that is read.

    Raises:
        OSError: If there is nothing, a pipe or a device, whose end may never come, or a file of more bytes.
    """
    found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "a pipe, a socket or a device")
    if found.st_size > most:
        raise OSError(errno.EFBIG, f"a file of more than {most:,} bytes")
    return Path(path)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Lines:
    """What `csv_writer` writes to: rows end in a line feed alone."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> int:
        return self._file.write(f"{row[: -len(_QUOTED)]}\n")


def csv_writer(file: TextIO, delimiter: str = ",") -> Any:
    """Return a writer of `csv` that quotes cells with any line break in them, a tab or a semicolon.

    Python's own quotes those that hold what ends its lines.
    """
    return csv.writer(_Lines(file), delimiter=delimiter, lineterminator=_QUOTED)


def inert(text: str) -> str:
    """Return a text, such as the name of a class, as a cell of CSV that no spreadsheet runs.

    One that begins as a formula does (with ``= + - @``, a tab or a line break) gets an apostrophe before it,
    as spreadsheets themselves mark text; so does one that has such an apostrophe of its own, and `lively`
    gives back every text as it was. Plain numbers stay as they are. A spreadsheet may split the text where
    it has a separator of its own, so what would then begin as a formula is marked as well.

    >>> inert("=1+1"), inert("-1"), inert("cat"), inert("cat;=1+1")
    ("'=1+1", '-1', 'cat', "cat;'=1+1")
    """
    begins = _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return _WITHIN.sub(r"\1'", f"'{text}" if begins else text)


def lively(cell: str) -> str:
    """Return the text of a cell that `inert` wrote; other cells are their own text.

    >>> lively("'=1+1"), lively("'tis"), lively(inert("'=1"))
    ('=1+1', "'tis", "'=1")
    """
    text = cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell
    return _MARKED.sub(r"\1", text)
