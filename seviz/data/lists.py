"""Images named in a list: a CSV or TSV file of paths and classes, or one that lies beside the images."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from seviz.data.base import UNLABELLED, ListSource
from seviz.data.rasters import has_raster_suffix
from seviz.data.splits import named_split
from seviz.errors import DataError
from seviz.results.columns import Wanted
from seviz.results.parquet import read_parquet
from seviz.results.totals import is_total

SUFFIXES = (".csv", ".tsv")
PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
    *("img", "img_path", "image_name", "image_file", "images", "name", "id", "image_id"),
)
LABEL_COLUMNS = (
    *("label", "class", "class_name", "classname", "label_name", "category", "target", "wnid"),
    *("labels", "classes", "y", "species", "breed", "diagnosis"),
)
_SPLITS = ("split", "subset", "set", "part", "fold")
# Lists that are known to lie beside images without class folders.
_BESIDE = (
    *("val_annotations.txt", "labels.csv", "labels.tsv", "labels.txt", "metadata.csv", "list.csv"),
    *("list.tsv", "annotations.csv", "annotations.tsv", "train.csv", "val.csv", "test.csv"),
)
# Of a list that is found and not named; and of the images in it.
_MOST_BYTES, _LEAST_LISTED = 2**26, 0.9


@dataclass(frozen=True)
class _Rows:
    """A list that was read: path, class and part of each image; no classes or parts where it has none.

    Attributes:
        paths: As written.
        classes: Likewise.
        splits: Likewise.
        again: Lines that hold the names of the columns once more.
    """

    paths: list[str]
    classes: list[str]
    splits: list[str]
    again: list[int] = field(default_factory=list)


def open_list(path: Path, split: str | None = None, *, name: str | None = None) -> ListSource:
    """Return the images that a list names, in its order.

    The first line may name the columns; else the first column is the path and the second the class.
    Paths are absolute, or relative to the list's folder (or the folder ``images`` there). Without
    classes, the images are one group.

    Args:
        path: A ``.csv`` (comma, semicolon) or ``.tsv`` (tab) file, in UTF-8 or UTF-16.
        split: Rows whose column ``split`` says so; all by default.
        name: Name of the source; the file's own by default.

    Raises:
        DataError: If it cannot be read, names no images, or some have no class.
    """
    path = Path(os.path.abspath(path.expanduser()))
    rows = _read(path)
    return _source(path, path.parent, rows, split, name or path.stem, ())


def open_rows(path: Path, split: str | None = None) -> ListSource:
    """Return the images that a Parquet file names, with a column of paths and one of classes.

    Raises:
        DataError: If it cannot be read, or has no such columns.
        UsageError: If pyarrow is not installed.
    """
    path = Path(os.path.abspath(path.expanduser()))
    roles: dict[str, int | None] = {}

    def choose(names: Sequence[str]) -> Wanted:
        lower = [name.strip().lower().replace(" ", "_") for name in names]
        for role, known in (
            ("path", PATH_COLUMNS),
            ("label", LABEL_COLUMNS),
            ("split", _SPLITS),
        ):
            roles[role] = _one(path, lower, known)
        if roles["path"] is None:
            raise DataError(
                f"expected a column of images or of paths (path, file, image) in {path.name}, found "
                f"{', '.join(names[:6])}; name it so"
            )
        return Wanted(texts={role: place for role, place in roles.items() if place is not None})

    texts = read_parquet(path, choose).texts
    rows = _Rows(texts["path"], texts.get("label", []), texts.get("split", []))
    if not rows.paths:
        raise DataError(f"expected paths of images in {path.name}, found no rows; check it")
    return _source(path, path.parent, rows, split, path.stem, ())


def open_listed(
    path: bytes, root: Path, name: str, split: str, notes: tuple[str, ...]
) -> ListSource:
    """Return the images in ``root`` with their classes from a list that `label_list` found."""
    listed = Path(os.fsdecode(path))
    note = f"the classes of the images are those in {listed.name}"
    source = _source(listed, root, _read(listed), None, name, (*notes, note))
    return replace(source, split=split)


def label_list(place: bytes, folder: bytes, images: Sequence[bytes]) -> bytes | None:
    """Return the file in ``place`` that lists the images of ``folder`` with their classes, if any."""
    try:
        names = {os.fsdecode(n).lower(): n for n in os.listdir(place)}
    except OSError:
        return None
    for known in _BESIDE:
        if known not in names:
            continue
        path = os.path.join(place, names[known])
        try:
            if not os.path.isfile(path) or os.path.getsize(path) > _MOST_BYTES:
                continue
            rows = _read(Path(os.fsdecode(path)))
        except (DataError, OSError):
            continue
        listed = {os.path.basename(p) for p in rows.paths}
        names_there = set(map(os.fsdecode, images))
        known_by = {**{n: n for n in names_there}, **_by_stem(names_there)}
        there = len({known_by[n] for n in listed if n in known_by})
        if rows.classes and there >= _LEAST_LISTED * len(images):
            return path
    return None


def _source(
    path: Path,
    root: Path,
    rows: _Rows,
    split: str | None,
    name: str,
    notes: tuple[str, ...],
) -> ListSource:
    chosen = list(range(len(rows.paths)))
    if split is not None:
        wanted = named_split(split, dict.fromkeys(rows.splits)) if rows.splits else None
        if wanted is None:
            there = ", ".join(dict.fromkeys(rows.splits)) or "no column 'split'"
            raise DataError(
                f"expected rows of the split {split!r} in {path.name}, found {there}; leave out --split"
            )
        chosen = [i for i in chosen if rows.splits[i] == wanted]
        split = wanted
    inner, named = _found(root, [rows.paths[i] for i in chosen])
    if rows.again:
        again = ", ".join(map(str, rows.again[:5])) + ", ..." * (len(rows.again) > 5)
        notes = (
            *notes,
            f"left out of {path.name}: the names of its columns again, in line {again}",
        )
    # Its class would move those after it in the order of names.
    if len(named) > 1 and is_total(rows.paths[chosen[-1]]) and not (inner / named[-1]).exists():
        last = rows.paths[chosen.pop()]
        named.pop()
        notes = (*notes, f"left out of {path.name}: its last line, {last!r}, which is one of sums")
    if rows.classes:
        empty = [i for i in chosen if not rows.classes[i]]
        if empty:
            raise DataError(
                f"expected a class for each image in {path.name}, found none for {len(empty)} of "
                f"{len(chosen)} (first: {os.path.basename(rows.paths[empty[0]])}); fill them in"
            )
        folders = tuple(dict.fromkeys(sorted(rows.classes[i] for i in chosen)))
        number = {folder: n for n, folder in enumerate(folders)}
        labels = [number[rows.classes[i]] for i in chosen]
    else:
        folders, labels = (UNLABELLED,), [0] * len(chosen)
        notes = (*notes, f"no column of classes in {path.name}: the images are one group")
    files = list(map(os.fsencode, named))
    twice = len(files) - len(set(files))
    if twice:
        notes = (*notes, f"{twice} images are in {path.name} more than once, and count as often")
    return ListSource(
        name=name,
        split=split or "",
        folders=folders,
        labels=np.array(labels, np.int64),
        notes=notes,
        labelled=bool(rows.classes),
        root=inner,
        files=np.array(files, np.bytes_),
    )


def _found(root: Path, paths: list[str]) -> tuple[Path, list[str]]:
    """Return the folder that paths of a list begin in, and the paths with suffixes that ids lack."""
    places = root, root / "images"
    for folder in places:
        if (folder / paths[0]).exists():
            return folder, paths
    for folder in places:
        inside = folder / os.path.dirname(paths[0])
        if has_raster_suffix(os.fsencode(paths[0])) or not inside.is_dir():
            continue
        full = _by_stem(os.listdir(inside))
        if os.path.basename(paths[0]) in full:
            places_of = ((os.path.dirname(p), os.path.basename(p)) for p in paths)
            return folder, [os.path.join(head, full.get(tail, tail)) for head, tail in places_of]
    return root, paths


def _by_stem(names: Iterable[str]) -> dict[str, str]:
    """Return images by their names without the suffix, those with one such name alone."""
    images = [name for name in names if has_raster_suffix(os.fsencode(name))]
    stems = Counter(os.path.splitext(name)[0] for name in images)
    return {stem: name for name in images if stems[stem := os.path.splitext(name)[0]] == 1}


def _read(path: Path) -> _Rows:
    try:
        with path.open("rb") as file:
            beginning = file.read(4)
        encoding = "utf-16" if beginning[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        with path.open(encoding=encoding, newline="") as stream:
            return _columns(
                path, csv.reader(_no_nul(stream, path), delimiter=_delimiter(path, encoding))
            )
    except (OSError, UnicodeError, csv.Error) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise DataError(
            f"expected a list of paths and classes as UTF-8 text in {path.name}, found what cannot be read "
            f"({' '.join(str(reason).split())[:120]}); save it as CSV"
        ) from exc


def _no_nul(lines: Iterator[str], path: Path) -> Iterator[str]:
    for line in lines:
        if "\0" in line:
            raise csv.Error("a byte of zero")
        yield line


def _delimiter(path: Path, encoding: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open(encoding=encoding, newline="") as stream:
        first = stream.readline(65536)
    counts = {mark: first.count(mark) for mark in ("\t", ";", ",")}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else (" " if path.suffix.lower() == ".txt" else ",")


def _columns(path: Path, reader: Iterator[list[str]]) -> _Rows:
    header = next(reader, None)
    if not header:
        raise DataError(f"expected paths of images in {path.name}, found an empty file; check it")
    names = [cell.strip().lower().replace(" ", "_") for cell in header]
    place = _one(path, names, PATH_COLUMNS)
    label, part = _one(path, names, LABEL_COLUMNS), _one(path, names, _SPLITS)
    rows = _Rows([], [], [])
    first: list[list[str]] = []
    if place is None:
        if not _is_path(path, header[0]):
            raise DataError(
                f"expected a column of paths in {path.name} (path, file, image), found "
                f"{', '.join(header[:6])}; name it in the first line"
            )
        place, label, part, first = 0, 1 if len(header) > 1 else None, None, [header]
    needed = max(c for c in (place, label, part) if c is not None)
    for number, row in enumerate((*first, *reader), 2 - len(first)):
        if not any(cell.strip() for cell in row):
            continue
        if row == header and not first:  # where lists were put together
            rows.again.append(number)
            continue
        if len(row) <= needed or not row[place].strip():
            raise DataError(
                f"expected {needed + 1} columns in line {number} of {path.name}, found "
                f"{len(row) if len(row) <= needed else 'no path'}; repair it"
            )
        rows.paths.append(row[place].strip())
        if label is not None:
            rows.classes.append(row[label].strip())
        if part is not None:
            rows.splits.append(row[part].strip())
    if not rows.paths:
        raise DataError(f"expected paths of images in {path.name}, found a header alone; check it")
    return rows


def _one(path: Path, names: list[str], known: tuple[str, ...]) -> int | None:
    """Return the column with the first of the known names."""
    for name in known:
        if names.count(name) > 1:
            raise DataError(
                f"expected one column {name!r} in {path.name}, found {names.count(name)}; rename the others"
            )
        if name in names:
            return names.index(name)
    return None


def _is_path(path: Path, cell: str) -> bool:
    cell = cell.strip()
    return has_raster_suffix(os.fsencode(cell)) or (bool(cell) and (path.parent / cell).is_file())
