"""A zip archive of a JSON document and arrays in NumPy's format, as records are: written and read.

It is read within bounds, for it may come from anybody: no object is unpickled, nothing is unpacked that is
larger than its form allows, and whatever is wrong is one kind of error.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from seviz.errors import DataError
from seviz.results.checking import (
    DamageError,
    Facts,
    Form,
    check_complete,
    check_values,
    forms,
)
from seviz.results.files import plain_file
from seviz.results.sample import ROW
from seviz.results.stats import Array
from seviz.results.tables import Tables

_SUFFIX = ".npy"
# Floats hardly shrink; a file that claims to unpack to more than this many times its size, and to more than
# a small record, was made to fill the memory. What mostly is zeros, confusion counts, has a size of its own.
_MOST_EXPANSION, _SMALL = 100, 1 << 30
# Of the document, which is unpacked before anything is known.
_MOST_TEXT_EXPANSION, _SMALL_TEXT = 20, 1 << 24
# What precedes a member in the file: 26 bytes, and how long its name and what is extra are.
_LOCAL, _SIGNATURE = struct.Struct("<4s22sHH"), b"PK\x03\x04"
_PACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


def write_archive(
    file: IO[bytes],
    name: str,
    document: Mapping[str, Any],
    arrays: Mapping[str, Array],
    packed: Iterable[tuple[str, bytes]] = (),
) -> None:
    """Write a document and arrays; the same ones give the same bytes.

    Args:
        file: Open for writing.
        name: Name of the document in the archive.
        document: What is written as JSON.
        arrays: The arrays by name.
        packed: Names and bytes of members that are stored as they are.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(zipfile.ZipInfo(name), json.dumps(document, allow_nan=False))
        for member, array in arrays.items():
            # Floats hardly shrink, and a redraw would wait for their unpacking; counts do.
            kind = zipfile.ZIP_STORED if array.dtype.kind == "f" else zipfile.ZIP_DEFLATED
            data = io.BytesIO()
            np.lib.format.write_array(data, np.asarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{member}{_SUFFIX}")
            archive.writestr(info, data.getbuffer(), kind, compresslevel=1)
        for member, content in packed:
            archive.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_STORED)


class Archive:
    """An archive that `write_archive` may have written.

    Args:
        path: The file.
        name: Name of the document in the archive.

    Attributes:
        document: The document, as JSON.
        names: Names of the arrays.

    Raises:
        DamageError: If it is damaged.
        Exception: If it is none: whatever the reader of zip archives raises.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._identity = _identity(path)
        with zipfile.ZipFile(plain_file(path, 2**62)) as archive:
            listed = archive.infolist()
            _check_members(listed, self._identity[2])
            member = archive.getinfo(name)
            if member.file_size > max(_SMALL_TEXT, _MOST_TEXT_EXPANSION * member.compress_size):
                raise DamageError(f"{member.file_size:,} bytes in {name} (a zip bomb)")
            self.document = archive.read(member)
        self._members = {
            m.filename.removesuffix(_SUFFIX): m for m in listed if m.filename.endswith(_SUFFIX)
        }
        self.names = tuple(self._members)
        self._stored = {m.filename: m for m in listed if m.compress_type == zipfile.ZIP_STORED}

    def size(self, member: str) -> int:
        """Return the bytes of a member that is stored as it is.

        Raises:
            DamageError: If there is none.
        """
        if member not in self._stored:
            raise DamageError(f"no {member}")
        return self._stored[member].file_size

    def read_at(self, member: str, place: int, size: int) -> bytes:
        """Return bytes of a member that is stored as it is; the others are not read.

        Raises:
            DamageError: If they are not there, or the file is another than was opened.
        """
        if not 0 <= place <= place + size <= self.size(member):
            raise DamageError(f"no byte {place + size:,} in {member}")
        begin = self._stored[member].header_offset
        try:
            if _identity(self._path) != self._identity:
                raise DamageError("another file than was opened")
            with self._path.open("rb") as file:
                file.seek(begin)
                signature, _, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
                if signature != _SIGNATURE:
                    raise DamageError(f"damage at {member}")
                file.seek(begin + _LOCAL.size + name + extra + place)
                found = file.read(size)
        except DamageError:
            raise
        except Exception as exc:  # a file that ends, a disk that fails
            raise DamageError(f"damage at {member} ({exc})") from exc
        if len(found) != size:
            raise DamageError(f"{len(found):,} bytes instead of {size:,} in {member}")
        if size == self.size(member) and zlib.crc32(found) != self._stored[member].CRC:
            raise DamageError(f"a wrong checksum in {member}")
        return found

    def read(self, name: str, form: Form | None) -> Array:
        """Return an array; nothing is unpacked that has not its form.

        Raises:
            DamageError: If it has not, or is damaged, or the file is another than was opened.
        """
        try:
            if _identity(self._path) != self._identity:
                raise DamageError("another file than was opened")
            with _Listed(self._path) as archive, archive.open(self._members[name]) as file:
                return read_array(file, name, self._members[name].file_size, form)
        except DamageError:
            raise
        except Exception as exc:  # what a damaged archive makes its reader do is anybody's guess
            raise DamageError(f"damage at {name} ({exc})") from exc


class _Listed(zipfile.ZipFile):
    """An archive whose members are known: its list of them is not read again for each."""

    def _RealGetContents(self) -> None:  # noqa: N802  # of zipfile; without it the list is read, no more
        return


def _check_members(listed: list[zipfile.ZipInfo], packed: int) -> None:
    names = [member.filename for member in listed]
    if len(set(names)) < len(names):
        raise DamageError("two members of one name")
    if any(member.compress_type not in _PACKED for member in listed):
        raise DamageError("a compression that records do not have")
    unpacked = sum(m.file_size for m in listed if not m.filename.endswith(f"confusion{_SUFFIX}"))
    if unpacked > max(_SMALL, _MOST_EXPANSION * packed):
        raise DamageError(
            f"an archive of {packed:,} bytes that claims {unpacked:,} bytes (a zip bomb)"
        )


def read_array(file: IO[bytes], name: str, member_size: int, form: Form | None) -> Array:
    """Return an array in NumPy's format; no memory is taken for one that is not there, or of another form.

    Args:
        file: Its bytes, from the first to the last.
        name: For errors.
        member_size: How many there are.
        form: What it must fit, if that is known.

    Raises:
        DamageError: If it is no array of numbers of that form, or not all of it is there.
    """
    if np.lib.format.read_magic(file) != (1, 0):
        raise DamageError(f"a NumPy array of another version in {name}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "iufb" or any(n < 0 for n in shape):
        raise DamageError(f"an array of {dtype} and shape {shape} in {name}")
    if form is not None:
        form.check(name, dtype, shape)
    size = dtype.itemsize * int(np.prod(shape, dtype=object))
    if file.tell() + size != member_size:
        raise DamageError(f"{member_size:,} bytes instead of {size:,} in {name}")
    data = file.read(size)
    if len(data) != size or file.read(1):  # to the end: only there the checksum is compared
        raise DamageError(f"{len(data):,} bytes instead of {size:,} in {name}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _identity(path: Path) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class StoredArrays(Mapping[str, Array]):
    """The arrays of a record file, each read and checked at its first use: a redraw needs few of many.

    Args:
        archive: The file.
        facts: What its arrays must fit.
        damaged: Makes the error for what is wrong.
        packed: Types of the arrays that are packed, by name.

    Raises:
        DataError: If an array is missing; and from reading one that is damaged, or no longer there.
    """

    def __init__(
        self,
        archive: Archive,
        facts: Facts,
        damaged: Callable[[object], DataError],
        packed: Mapping[str, str] | None = None,
    ) -> None:
        self._archive, self._facts, self._damaged = archive, facts, damaged
        self._forms = forms(facts)
        self._read: dict[str, Array] = {}
        self._checked: set[str] = set()
        self._tables: Tables | None = None
        self._names: tuple[str, ...] = (*archive.names, *(packed or ()))
        try:
            twice = set(archive.names).intersection(packed or ())
            if twice:
                raise DamageError(f"{min(twice)} both packed and plain")
            check_complete(self._names, facts)
            if packed:
                self._tables = Tables(
                    packed,
                    archive.size,
                    archive.read_at,
                    facts.blocks,
                    self["count"],
                    lambda: self[ROW],
                )
        except DamageError as exc:
            raise damaged(exc) from None

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        try:
            if name not in self._checked:
                check_values(name, _Unchecked(self._fetch), self._facts)
                self._checked.add(name)
            return self._fetch(name)
        except DamageError as exc:
            raise self._damaged(exc) from exc

    def rows(self, name: str, wanted: Array) -> Array:
        """Return some rows of a table of gates, checked; of a packed one only those are read.

        Args:
            name: Of the table.
            wanted: Rows, int64 [R].

        Raises:
            DataError: If they are damaged.
        """
        tables = self._tables
        if tables is None or name not in tables.names or name in self._checked:
            return np.asarray(self[name][wanted])

        def some(other: str) -> Array:
            if other == "count":
                return np.asarray(self["count"][wanted])
            return tables.rows(other, wanted)

        try:
            check_values(name, _Unchecked(some), self._facts)
            return some(name)
        except DamageError as exc:
            raise self._damaged(exc) from exc

    def over_all(self, block: str) -> tuple[Array, Array] | None:
        """Return mean and deviation of a block over all classes, where they are kept beside its tables.

        Raises:
            DataError: If they are damaged.
        """
        if self._tables is None or f"gates/{block}/minimum" not in self._tables.names:
            return None
        try:
            return self._tables.over_all(block)
        except DamageError as exc:
            raise self._damaged(exc) from exc

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _fetch(self, name: str) -> Array:
        if name not in self._read:
            if self._tables is not None and name in self._tables.names:
                self._read[name] = self._tables.whole(name, self._fetch)
            else:
                self._read[name] = self._archive.read(name, self._forms.get(name))
        return self._read[name]


class _Unchecked(Mapping[str, Array]):
    """The arrays as a check sees them: of their form, their numbers being what is checked."""

    def __init__(self, fetch: Callable[[str], Array]) -> None:
        self._fetch = fetch

    def __getitem__(self, name: str) -> Array:
        return self._fetch(name)

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError
