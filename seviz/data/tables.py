"""Images in the rows of a table: Parquet files, and data sets of Hugging Face's ``datasets``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.data.base import Source
from seviz.data.encoded import MOST_BYTES, EncodedSource, coded, some_without
from seviz.data.lists import LABEL_COLUMNS, open_rows
from seviz.data.parts import IMAGES
from seviz.data.rasters import descriptor
from seviz.data.splits import named_split
from seviz.errors import DataError, UsageError
from seviz.results.columns import Wanted
from seviz.results.parquet import pyarrow_for, read_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator

HUB = "hf:"


@dataclass(frozen=True, eq=False, kw_only=True)
class ParquetSource(EncodedSource):
    """Images in a column of a Parquet file; the group of rows that was read last stays in memory.

    Attributes:
        path: The file.
        column: The column.
        ends: Rows up to the end of each group of rows.
    """

    path: str
    column: str
    ends: tuple[int, ...]
    kept: dict[int, Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": {}}

    def encoded(self, index: int) -> bytes:
        """Return an image as it lies in its row."""
        group = int(np.searchsorted(self.ends, index, side="right"))
        if group not in self.kept:
            self.kept.clear()
            _, parquet = pyarrow_for(Path(self.path))
            with parquet.ParquetFile(self.path) as file:
                self.kept[group] = file.read_row_group(
                    group, columns=[self.column], use_threads=False
                ).column(0)
        begin = self.ends[group - 1] if group else 0
        return content_of(self.kept[group][index - begin].as_py())


def open_parquet(path: Path, split: str | None = None) -> Source:
    """Return the images of a Parquet file: their bytes in its rows, or a list of their paths.

    Images are a column of bytes, or one with ``bytes`` in it, as Hugging Face writes them; classes are
    numbers or names, and the names of numbers those that Hugging Face keeps in the file.

    Args:
        path: The file.
        split: The rows whose column ``split`` says so, of a list of paths.

    Raises:
        DataError: If it cannot be read, or there are no images or paths in it.
        UsageError: If pyarrow is not installed.
    """
    path = Path(os.path.abspath(path.expanduser()))
    pyarrow, parquet = pyarrow_for(path)
    try:
        with path.open("rb") as file:
            about = parquet.read_metadata(file)
            schema = about.schema.to_arrow_schema()
    except (OSError, ValueError, pyarrow.ArrowException) as exc:
        raise DataError(
            f"expected a Parquet file, found {path.name} unreadable ({' '.join(str(exc).split())[:100]}); "
            "write it again"
        ) from exc
    column = _image_column(schema)
    if column is None:
        return open_rows(path, split)
    if split is not None:
        raise DataError(
            f"expected one part of a data set in {path.name}, found --split {split}; name the file of it"
        )
    label = next((n for n in LABEL_COLUMNS if n in schema.names and n != column), None)
    rows = about.num_rows
    if not rows:
        raise DataError(f"expected images in {path.name}, found no rows; check it")
    labels = None
    if label is not None:
        place = schema.names.index(label)
        read = read_parquet(path, lambda names: Wanted(classes={"label": place})).classes["label"]
        names = _names_in(schema, label)
        words = [_called(text, names) for text in read.texts]
        empty = [n for n, code in enumerate(read.codes) if not words[code]]
        if empty:
            raise some_without(len(empty), rows, f"row {empty[0]}", path.name)
        labels = [words[code] for code in read.codes]
    folders, places = coded(labels, rows)
    ends = np.cumsum([about.row_group(g).num_rows for g in range(about.num_row_groups)])
    status = path.stat()
    note = () if label is not None else ("no column of classes: the images are one group",)
    return ParquetSource(
        name=path.stem,
        split="",
        folders=folders,
        labels=places,
        notes=note,
        labelled=labels is not None,
        names=np.array([b"row %d" % n for n in range(rows)], np.bytes_),
        sizes=np.zeros(rows, np.int64),
        origin=hashlib.sha256(f"{path.name} {status.st_size}".encode()).hexdigest(),
        written=status.st_mtime_ns,
        path=str(path),
        column=column,
        ends=tuple(int(end) for end in ends),
    )


def content_of(cell: object) -> bytes:
    """Return the bytes of an image in a cell.

    Raises:
        OSError: If there are none, or more than an image has.
    """
    found = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if not isinstance(found, bytes):
        raise OSError("no bytes of an image in this row")
    if len(found) > MOST_BYTES:
        raise OSError(f"{len(found):,} bytes, too large for an image")
    return found


def _image_column(schema: Any) -> str | None:
    """Return the column of images: of several that hold bytes, the one that is called so."""
    from pyarrow import types

    def has_bytes(kind: Any) -> bool:
        if types.is_struct(kind):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    found = [name for name in schema.names if has_bytes(schema.field(name).type)]
    return next((name for name in IMAGES if name in found), found[0] if found else None)


def _names_in(schema: Any, label: str) -> Sequence[str]:
    """Return what Hugging Face calls the numbers of a column, if it says so in the file."""
    try:
        told = json.loads((schema.metadata or {})[b"huggingface"])
        names = told["info"]["features"][label]["names"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ()
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else ()


def _called(text: str, names: Sequence[str]) -> str:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    return names[number] if 0 <= number < len(names) else text


@dataclass(frozen=True, eq=False, kw_only=True)
class HubSource(EncodedSource):
    """Images of a data set that the library ``datasets`` opened.

    Attributes:
        rows: The data set, its images left encoded.
        column: The column of images.
    """

    rows: Any
    column: str

    def encoded(self, index: int) -> bytes:
        """Return an image as it lies there, or the file that its row names."""
        cell = self.rows[int(index)][self.column]
        if cell.get("bytes") is None and cell.get("path"):
            with open(descriptor(cell["path"]), "rb") as file:
                return file.read(MOST_BYTES)
        return content_of(cell)


def open_hub(spec: str, split: str | None = None, *, download: bool = False) -> Source:
    """Return the images of ``hf:FOLDER`` (as ``save_to_disk`` leaves it, or files) or ``hf:NAME``.

    Args:
        spec: What stands after ``--data``.
        split: The part; ``test``, else ``validation``, where there are parts.
        download: Whether a name may be fetched; else it must be in the cache of the library.

    Raises:
        DataError: If there is no such data set, or no images in it.
        UsageError: If the library is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise UsageError(
            f"expected the library datasets for {spec}, found it not installed; pip install "
            "'seviz[datasets]'"
        ) from None
    name = spec.removeprefix(HUB)
    place = Path(name).expanduser()
    try:
        with _quiet(offline=not download):
            if (place / "dataset_info.json").is_file() or (place / "dataset_dict.json").is_file():
                found = datasets.load_from_disk(str(place))
            else:
                found = datasets.load_dataset(name)
    except Exception as exc:  # the library raises nearly anything
        reason = next(iter(str(exc).strip().splitlines()), "no message")[:200]
        hint = "check the name" if download else "--download lets it be fetched"
        hint = "save it anew" if place.exists() else hint
        raise DataError(
            f"expected a data set at {HUB}{place.name}, found {type(exc).__name__}: {reason}; {hint}"
        ) from exc
    part = ""
    notes: tuple[str, ...] = ()
    if isinstance(found, Mapping):
        part, notes = _part(found, split, name)
        found = found[part]
    elif split is not None:
        raise DataError(
            f"expected one of several parts for --split {split}, found a data set without parts; leave it out"
        )
    return _hub_source(found, place.name, part, notes, datasets)


def _part(found: Mapping[str, Any], split: str | None, name: str) -> tuple[str, tuple[str, ...]]:
    if split is not None:
        wanted = named_split(split, found)
    else:
        usual = (named_split(kind, found) for kind in ("test", "val"))
        wanted = next(filter(None, usual), next(iter(found), None))
    if wanted is None:
        raise DataError(
            f"expected a part {split!r} of {name}, found {', '.join(found)}; name one of them"
        )
    note = f"split {wanted!r} of: {', '.join(found)} (no --split given)"
    return wanted, () if split or len(found) == 1 else (note,)


def _hub_source(
    rows: Any, name: str, part: str, notes: tuple[str, ...], datasets: Any
) -> HubSource:
    features = rows.features
    images = [n for n, kind in features.items() if isinstance(kind, datasets.Image)]
    column = next((n for n in IMAGES if n in images), images[0] if images else None)
    if column is None:
        raise DataError(
            f"expected a column of images in {name}, found {', '.join(features)}; cast one with "
            "datasets.Image()"
        )
    rows = rows.cast_column(column, datasets.Image(decode=False))
    label = next((n for n in LABEL_COLUMNS if n in features and n != column), None)
    labels = None
    if label is not None:
        known = getattr(features[label], "names", None) or ()
        values = rows.select_columns([label])[label]
        labels = [_called(str(value), known) if value is not None else "" for value in values]
        empty = [n for n, text in enumerate(labels) if not text]
        if empty:
            raise some_without(len(empty), len(labels), f"row {empty[0]}", name)
    else:
        notes = (*notes, "no column of classes: the images are one group")
    folders, places = coded(labels, len(rows))
    return HubSource(
        name=name,
        split=part,
        folders=folders,
        labels=places,
        notes=notes,
        labelled=labels is not None,
        names=np.array([b"row %d" % n for n in range(len(rows))], np.bytes_),
        sizes=np.zeros(len(rows), np.int64),
        origin=hashlib.sha256(str(rows._fingerprint).encode()).hexdigest(),
        written=0,
        rows=rows,
        column=column,
    )


@contextmanager
def _quiet(*, offline: bool) -> Iterator[None]:
    """Keep the library from the network, unless it was asked for, and from drawing bars."""
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    bars = datasets.are_progress_bars_disabled()
    datasets.config.HF_HUB_OFFLINE = offline or before
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before
        if not bars:
            datasets.enable_progress_bars()
