"""Columns out of Parquet files that any tool wrote, in bounded time and memory.

A hundred kilobytes may say that there are a billion rows, or that ten megabytes of text stand in each: only
the columns that are wanted are read, in batches, texts by their place in the file's dictionary, and nothing
past a limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from seviz.errors import DataError, UsageError
from seviz.results.columns import (
    MOST_ROWS,
    Choose,
    Codes,
    Floats,
    Ints,
    Read,
    number,
    too_many_rows,
)

_BATCH = 2**16
# A file that claims to unpack to more than this many times its size, and to more than a large table.
_MOST_EXPANSION, _LARGE = 100, 1 << 30


def pyarrow_for(path: Path) -> tuple[Any, Any]:
    """Return pyarrow, and its module for Parquet.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            f"expected pyarrow for {path.name}, found it not installed; pip install 'seviz[parquet]', or "
            "use .csv"
        ) from None
    return pyarrow, pyarrow.parquet


def read_parquet(path: Path, choose: Choose) -> Read:
    """Read some columns of a table.

    Args:
        path: The file.
        choose: Given the names of all columns, returns which are wanted.

    Raises:
        DataError: If it is damaged, too large, or its columns are no plain values.
        UsageError: If pyarrow is not installed.
    """
    pyarrow, _ = pyarrow_for(path)
    try:
        with path.open("rb") as file:
            return _parquet_columns(path, file, choose)
    except (OSError, ValueError, LookupError, MemoryError, pyarrow.ArrowException) as exc:
        raise DataError(
            f"expected a Parquet file, found {path.name} unreadable ({' '.join(str(exc).split())[:100]}); "
            "write it again"
        ) from exc


def _parquet_columns(path: Path, file: IO[bytes], choose: Choose) -> Read:
    _, parquet = pyarrow_for(path)
    schema = parquet.read_schema(file)
    names = list(schema.names)
    wanted = choose(names)
    places = {*wanted.classes.values(), *wanted.numbers.values(), *wanted.texts.values()}
    used = [names[place] for place in sorted(places)]
    for name in used:
        _check_plain(schema.field(name).type, name, path.name)
    file.seek(0)
    # Texts stay in the file's dictionary: one of ten megabytes may stand in every row.
    table = parquet.ParquetFile(
        file, read_dictionary=[n for n in used if _is_text(schema.field(n).type)]
    )
    _check_size(table, used, path)
    classes = {role: Codes() for role in wanted.classes}
    numbers: dict[str, list[Floats]] = {role: [] for role in wanted.numbers}
    texts: dict[str, list[str]] = {role: [] for role in wanted.texts}
    known: dict[str, tuple[Any, list[str]]] = {}
    total = 0
    for batch in table.iter_batches(_BATCH, columns=used, use_threads=False) if used else ():
        total += batch.num_rows
        if total > MOST_ROWS:
            raise too_many_rows("more", path.name)
        for role, codes in classes.items():
            codes.add_many(*_coded(batch, names[wanted.classes[role]], known, path.name))
        for role, parts in numbers.items():
            parts.append(_floats(batch, names[wanted.numbers[role]], role, path.name))
        for role, cells in texts.items():
            different, rows = _coded(batch, names[wanted.texts[role]], known, path.name)
            cells += [different[code] for code in rows.tolist()]
    return Read(
        total,
        {role: codes.column() for role, codes in classes.items()},
        {role: np.concatenate([*parts, np.zeros(0)]) for role, parts in numbers.items()},
        texts,
        [
            {wanted.texts[role]: cells[place] for role, cells in texts.items()}
            for place in (-2, -1)
            if total > 1
        ],
    )


def _check_plain(kind: Any, name: str, file: str) -> None:
    from pyarrow import types

    if types.is_nested(kind) and not types.is_dictionary(kind):
        raise DataError(
            f"expected one value in each row of {name!r} in {file}, found {str(kind)[:60]}; write names or "
            "numbers"
        )


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _check_size(table: Any, used: Sequence[str], path: Path) -> None:
    about = table.metadata
    if about.num_rows > MOST_ROWS:
        raise too_many_rows(about.num_rows, path.name)
    unpacked = 0
    for group in range(about.num_row_groups):
        columns = about.row_group(group)
        for place in range(columns.num_columns):
            column = columns.column(place)
            if column.path_in_schema in used:
                unpacked += column.total_uncompressed_size
    size = path.stat().st_size
    if unpacked > max(_LARGE, _MOST_EXPANSION * size):
        raise DataError(
            f"expected a table, found {path.name} of {size:,} bytes that claims {unpacked:,} bytes; it was "
            "not unpacked: get the file from a source you trust"
        )


def _coded(
    batch: Any, name: str, known: dict[str, tuple[Any, list[str]]], file: str
) -> tuple[list[str], Ints]:
    """Return the different texts of a column of a batch, the last one empty, and their places [N]."""
    from pyarrow import types

    column = batch.column(name)
    if not types.is_dictionary(column.type):
        column = column.dictionary_encode()
    different = column.dictionary
    # A batch often comes with the dictionary of the one before.
    if name not in known or not known[name][0].equals(different):
        known[name] = different, [_text(v, name, file) for v in different.to_pylist()]
    texts = [*known[name][1], ""]
    codes = column.indices.fill_null(len(texts) - 1) if column.null_count else column.indices
    return texts, codes.to_numpy(zero_copy_only=False).astype(np.int64)


def _text(value: object, name: str, file: str) -> str:
    """Return the text of a cell; gaps are empty, as in CSV."""
    if value is None or (isinstance(value, float) and math.isnan(value)):  # pandas fills gaps so
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode().strip()
        except UnicodeDecodeError:
            raise DataError(
                f"expected text in {name!r} of {file}, found bytes that are no UTF-8 ({value[:20]!r}); write "
                "names as text"
            ) from None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return f"{value:.1f}"
    return str(value).strip()


def _floats(batch: Any, name: str, role: str, file: str) -> Floats:
    from pyarrow import types

    column = batch.column(name)
    if types.is_integer(column.type) or types.is_floating(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
    texts, codes = _coded(batch, name, {}, file)
    values = np.array([np.nan if not t else number(t, role, 1, file) for t in texts])
    return np.asarray(values[codes], np.float64)
