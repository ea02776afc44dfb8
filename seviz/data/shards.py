"""Tar shards, as webdataset names what is in them: ``key.jpg`` with ``key.cls``, ``.json`` or ``.txt``.

The headers are read once, so that every image is known by its place: then shards are matched, divided over
processes, resumed and sampled as folders are. The images are read where they lie. webdataset itself gives a
stream without places, in which none of this can be done; its naming is what people have.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import os
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.data.encoded import EncodedSource, coded, some_without
from seviz.data.rasters import descriptor, has_raster_suffix
from seviz.data.splits import named_split
from seviz.errors import DataError

_BLOCK = 512
_ZEROS = b"\0" * _BLOCK
_CLASS_KEYS = ("label", "cls", "class", "class_name", "target", "y", "category")
# Of a text that says what an image is, and of the names in the headers of pax and GNU tar.
_MOST_TEXT, _MOST_NAME = 2**20, 2**16
_MOST_SHARDS = 10**6
# Read at a time: headers of small images lie close together, and the system reads ahead as much.
_WINDOW = 2**14
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def is_shards(spec: str) -> bool:
    """Return whether something names tar files: one, or several by braces or wildcards.

    >>> is_shards("train-{000..099}.tar"), is_shards("a/*.tar"), is_shards("a.zip")
    (True, True, False)
    """
    return spec.lower().endswith((".tar", ".tar.gz", ".tgz"))


@dataclass(frozen=True, eq=False, kw_only=True)
class ShardSource(EncodedSource):
    """Images in tar files.

    Attributes:
        paths: The files, in order.
        shards: Which of them each image is in, int32 [N].
        offsets: Where it begins, int64 [N].
    """

    paths: tuple[str, ...]
    shards: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def encoded(self, index: int) -> bytes:
        """Return an image as it lies in its shard."""
        size = int(self.sizes[index])
        with open(self.paths[self.shards[index]], "rb", buffering=0) as file:
            file.seek(int(self.offsets[index]))
            content = file.read(size)
        if len(content) < size:
            raise OSError("the shard ends before the image does")
        return content


def open_shards(spec: str, split: str | None = None) -> ShardSource:
    """Return the images of tar shards, in their order.

    Classes are what ``key.cls``, ``key.txt`` or ``key.json`` beside each image says (in JSON under
    ``label``, ``cls``, ``class``, ...); where no image has any, the folders in the shards; else the
    images are one group.

    Args:
        spec: Path of a shard, of several by braces (``{000..099}``, ``{train,val}``) or wildcards.
        split: Shards whose names say so; all by default.

    Raises:
        DataError: If there are none, one is no tar file, or some images have no class.
    """
    paths = _chosen(expanded(spec), split)
    found = _Index()
    for number, path in enumerate(paths):
        try:
            found.add(path, number)
        except OSError as exc:
            raise DataError(
                f"expected a tar file, found {os.path.basename(path)}: {exc.strerror or exc}; check it"
            ) from exc
    if not found.names:
        raise DataError(
            f"expected images in {_shown(paths)}, found none (key.jpg, key.png, ...); check the shards"
        )
    names = np.concatenate(found.names)
    folders, places, labelled, notes = found.classes(names, _shown(paths))
    told = hashlib.sha256()
    for path in paths:
        told.update(f"{os.path.basename(path)}\0{os.path.getsize(path)}\n".encode())
    return ShardSource(
        name=re.sub(r"[-_.]?[{*?\[].*$", "", os.path.basename(spec)) or Path(paths[0]).stem,
        split=split or "",
        folders=folders,
        labels=places,
        notes=notes,
        labelled=labelled,
        names=names,
        sizes=np.array(found.sizes, np.int64),
        origin=told.hexdigest(),
        written=max(os.stat(path).st_mtime_ns for path in paths),
        paths=tuple(paths),
        shards=np.array(found.shards, np.int32),
        offsets=np.array(found.offsets, np.int64),
    )


def expanded(spec: str) -> list[str]:
    """Return the paths that braces and wildcards stand for, absolute.

    Raises:
        DataError: If there is none, one is missing, or there are more than a million.

    >>> [os.path.basename(p) for p in _braces("a-{08..10}-{x,y}.tar", 9)][:3]
    ['a-08-x.tar', 'a-08-y.tar', 'a-09-x.tar']
    """
    paths: list[str] = []
    for pattern in _braces(os.path.expanduser(spec), _MOST_SHARDS):
        if os.path.exists(pattern):
            paths.append(pattern)
        elif glob.has_magic(pattern):
            paths += sorted(glob.glob(pattern))
        else:
            raise DataError(
                f"expected the shard {os.path.basename(pattern)}, found none there; check the numbers in "
                f"{os.path.basename(spec)}"
            )
    if not paths:
        raise DataError(f"expected shards at {os.path.basename(spec)}, found none; check the path")
    return [os.path.abspath(path) for path in paths]


def _braces(pattern: str, most: int) -> Iterator[str]:
    """Yield what a pattern with braces stands for."""
    parts: list[Sequence[str]] = []
    end, count = 0, 1
    for found in _BRACES.finditer(pattern):
        inner = found[1]
        numbers = _RANGE.fullmatch(inner)
        choices: Sequence[str]
        if numbers:
            low, high = int(numbers[1][:18]), int(numbers[2][:18])
            width = len(numbers[1]) if numbers[1].startswith("0") else 0
            if not 0 <= high - low < most:
                raise DataError(
                    f"expected at most {most:,} shards, found {{{inner[:40]}}}; name fewer"
                )
            choices = [f"{n:0{width}d}" for n in range(low, high + 1)]
        elif "," in inner:
            choices = inner.split(",")
        else:
            choices = [found[0]]
        parts += [[pattern[end : found.start()]], choices]
        count *= len(choices)
        end = found.end()
    if count > most:
        raise DataError(f"expected at most {most:,} shards, found {count:,}; name fewer")
    for pieces in itertools.product(*parts, [pattern[end:]]):
        yield "".join(pieces)


def _chosen(paths: list[str], split: str | None) -> list[str]:
    if split is None:
        return paths
    stems = [re.sub(r"[-_.]?\d+$", "", Path(path).stem) for path in paths]
    wanted = named_split(split, dict.fromkeys(stems))
    if wanted is None:
        raise DataError(
            f"expected shards of the split {split!r}, found {', '.join([*dict.fromkeys(stems)][:5])}; name "
            "one of these"
        )
    return [path for path, stem in zip(paths, stems, strict=True) if stem == wanted]


def _shown(paths: Sequence[str]) -> str:
    first = os.path.basename(paths[0])
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"


@dataclass
class _Index:
    """Where the images are; in arrays, since there may be hundreds of millions."""

    names: list[npt.NDArray[np.bytes_]] = field(default_factory=list)
    here: list[bytes] = field(default_factory=list)
    sizes: Any = field(default_factory=lambda: array("q"))
    offsets: Any = field(default_factory=lambda: array("q"))
    shards: Any = field(default_factory=lambda: array("i"))
    said: Any = field(default_factory=lambda: array("i"))
    known: dict[str, int] = field(default_factory=dict)
    _key: bytes = b""

    def add(self, path: str, number: int) -> None:
        """Read the headers of one shard."""
        self._key, held, label = b"", None, None
        with open(descriptor(path), "rb", buffering=0) as stream:
            file = Window(stream)
            for name, offset, size in members(file, os.fstat(stream.fileno()).st_size):
                key, suffix = _split(name)
                if key != self._key:
                    self._keep(held, label, number)
                    self._key, held, label = key, None, None
                kind = suffix.rpartition(b".")[2]
                if held is None and has_raster_suffix(b"x." + kind):
                    held = name, offset, size
                elif kind in (b"cls", b"txt", b"json") and size <= _MOST_TEXT:
                    said = _class_of(file.at(offset, size), kind)
                    label = (
                        said if said is not None and (label is None or kind == b"cls") else label
                    )
            self._keep(held, label, number)
        if self.here:
            self.names.append(np.array(self.here, np.bytes_))
            self.here.clear()

    def _keep(self, held: tuple[bytes, int, int] | None, label: str | None, shard: int) -> None:
        if held is None:
            return
        name, offset, size = held
        self.here.append(name)
        self.offsets.append(offset)
        self.sizes.append(size)
        self.shards.append(shard)
        self.said.append(-1 if label is None else self.known.setdefault(label, len(self.known)))

    def classes(
        self, names: npt.NDArray[np.bytes_], where: str
    ) -> tuple[tuple[str, ...], npt.NDArray[np.int64], bool, tuple[str, ...]]:
        """Return the classes, sorted, that of each image, whether there are any, and remarks."""
        said = np.array(self.said, np.int64)
        missing = np.flatnonzero(said < 0)
        if self.known and len(missing):
            first = bytes(names[missing[0]]).decode("utf-8", "replace")
            raise some_without(len(missing), len(names), first, where)
        if self.known:
            words = sorted(self.known)
            place = np.zeros(len(words), np.int64)
            place[[self.known[word] for word in words]] = np.arange(len(words))
            return tuple(words), place[said], True, ()
        folders = [os.path.basename(os.path.dirname(bytes(name))) for name in names]
        if all(folders) and len(set(folders)) > 1:
            note = "no class beside the images: their folders in the shards are the classes"
            return *coded([os.fsdecode(folder) for folder in folders], len(names)), True, (note,)
        note = "no class beside the images (.cls, .json, .txt): they are one group"
        return *coded(None, len(names)), False, (note,)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Return key and suffixes, which begin at the first dot of the file's name."""
    folder, slash, base = name.rpartition(b"/")
    stem, _, suffix = base.partition(b".")
    return folder + slash + stem, suffix.lower()


def _class_of(content: bytes, kind: bytes) -> str | None:
    """Return the class that a file beside an image says, if it says one."""
    try:
        text = content.decode().strip()
        if kind != b"json":
            return text if text and "\n" not in text else None
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = next((value[key] for key in _CLASS_KEYS if key in value), None)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def members(file: Window, length: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place and size of each file in a tar archive: ustar, GNU or pax.

    Only headers are read. What is compressed, or no tar file, is an ``OSError``.
    """
    place, longer = 0, b""
    while place + _BLOCK <= length:
        header = file.at(place, _BLOCK)
        if header == _ZEROS:
            return  # the end is blocks of zeros
        if not _sums_up(header):
            compressed = header[:2] == b"\x1f\x8b"
            other = "a damaged header" if header[257:262] == b"ustar" else "no tar file"
            raise OSError("compressed: store it as it is" if compressed else other)
        size, kind = _octal(header[124:136]), header[156:157]
        begin = place + _BLOCK
        if size < 0 or begin + size > length:
            raise OSError("it is cut short")
        if kind in (b"L", b"x"):
            content = file.at(begin, min(size, _MOST_NAME))
            longer = content.rstrip(b"\0") if kind == b"L" else _pax_path(content) or longer
        elif kind in (b"0", b"\0", b"7"):
            name = longer or _name(header)
            longer = b""
            yield name.removeprefix(b"./"), begin, size
        else:
            longer = b"" if kind != b"g" else longer
        place = begin + -(-size // _BLOCK) * _BLOCK
    if place != length:  # in the padding of a file, or in a header
        raise OSError("it is cut short")


class Window:
    """A file that is read here and there, mostly forwards and near the last place."""

    def __init__(self, file: Any) -> None:
        self._file, self._begin, self._held = file, 0, b""

    def at(self, place: int, size: int) -> bytes:
        """Return bytes from a place on; fewer at the end of the file."""
        begin = place - self._begin
        if not 0 <= begin <= len(self._held) - size:
            self._file.seek(place)
            self._begin, self._held, begin = place, self._file.read(max(size, _WINDOW)), 0
        return self._held[begin : begin + size]


def _octal(field: bytes) -> int:
    if field[0] & 0x80:  # GNU's binary numbers, for files above 8 GB
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise OSError("a header without a size") from None


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].rstrip(b"\0"), header[345:500].rstrip(b"\0")
    return prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name


def _pax_path(content: bytes) -> bytes:
    found = re.search(rb"(?:^|\n)\d+ path=([^\n]*)\n", content)
    return found[1] if found else b""


def _sums_up(header: bytes) -> bool:
    """Return whether the checksum of a header is right: of its bytes, or, from old systems, with signs."""
    try:
        told = _octal(header[148:156])
    except OSError:
        return False
    summed = sum(header) - sum(header[148:156]) + 8 * 32
    if told == summed:
        return True
    signed = sum(byte >= 128 for byte in header) - sum(byte >= 128 for byte in header[148:156])
    return told == summed - 256 * signed
