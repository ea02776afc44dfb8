"""The archive that a record is: its description, and its arrays, each read and checked at its first use."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from seviz.errors import DataError
from seviz.results.checking import DamageError, Facts, check_complete, check_values, forms
from seviz.results.files import META_NAME
from seviz.results.stats import Array

_SUFFIX = ".npy"
# Floats hardly shrink; a file that claims to unpack to more than this many times its size, and to more than
# a small record, was made to fill the memory. What mostly is zeros, confusion counts, has a size of its own.
_MOST_EXPANSION, _SMALL = 100, 1 << 30
# Of the description, which is unpacked before anything is known.
_MOST_TEXT_EXPANSION, _SMALL_TEXT = 20, 1 << 24
_PACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


def damaged(path: Path, found: object) -> DataError:
    """Return the error for a record that is not what a pass left behind."""
    return DataError(
        f"expected an intact record, found {found} in {path}; collect it again (seviz collect)"
    )


def read_description(path: Path) -> bytes:
    """Return the JSON that describes a record.

    Raises:
        DataError: If there is no record, or it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            _check_members(listed, path.stat().st_size)
            member = archive.getinfo(META_NAME)
            if member.file_size > max(_SMALL_TEXT, _MOST_TEXT_EXPANSION * member.compress_size):
                raise DamageError(f"{member.file_size:,} bytes in {META_NAME} (a zip bomb)")
            return archive.read(member)
    except FileNotFoundError:
        raise DataError(
            f"expected a record at {path}, found nothing; make one with 'seviz collect'"
        ) from None
    except DamageError as exc:
        raise damaged(path, exc) from None
    except Exception as exc:  # what a damaged archive makes its reader do is anybody's guess
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise DataError(
            f"expected a seviz record, found something else in {path} ({reason}); make one with 'seviz "
            "collect'"
        ) from exc


def _check_members(listed: list[zipfile.ZipInfo], packed: int) -> None:
    names = [member.filename for member in listed]
    if len(set(names)) < len(names):
        raise DamageError("two members of one name")
    if any(member.compress_type not in _PACKED for member in listed):
        raise DamageError("a compression that records do not have")
    unpacked = sum(m.file_size for m in listed if m.filename != f"confusion{_SUFFIX}")
    if unpacked > max(_SMALL, _MOST_EXPANSION * packed):
        raise DamageError(
            f"an archive of {packed:,} bytes that claims {unpacked:,} bytes (a zip bomb)"
        )


class StoredArrays(Mapping[str, Array]):
    """The arrays of a record file, each read and checked at its first use: a redraw needs few of many.

    Raises:
        DataError: From reading an array that is damaged, or no longer there.
    """

    def __init__(self, path: Path, facts: Facts) -> None:
        self._path, self._facts = path, facts
        self._forms = forms(facts)
        self._read: dict[str, Array] = {}
        self._checked: set[str] = set()
        self._identity = _identity(path)
        with zipfile.ZipFile(path) as archive:
            self._members = {
                m.filename.removesuffix(_SUFFIX): m
                for m in archive.infolist()
                if m.filename.endswith(_SUFFIX)
            }
        try:
            check_complete(list(self._members), facts)
        except DamageError as exc:
            raise damaged(path, exc) from None

    def __getitem__(self, name: str) -> Array:
        if name not in self._members:
            raise KeyError(name)
        if name not in self._checked:
            try:
                check_values(name, _OfTheirForm(self._fetch), self._facts)
            except DamageError as exc:
                raise damaged(self._path, exc) from None
            self._checked.add(name)
        return self._fetch(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def _fetch(self, name: str) -> Array:
        """Return an array of the right type and shape, whose numbers may not have been checked."""
        if name not in self._read:
            try:
                if _identity(self._path) != self._identity:
                    raise DamageError("another file than was opened")
                with zipfile.ZipFile(self._path) as archive:
                    self._read[name] = self._unpack(archive, name)
            except Exception as exc:  # a damaged archive, see above
                found = exc if isinstance(exc, DamageError) else f"damage at {name} ({exc})"
                raise damaged(self._path, found) from exc
        return self._read[name]

    def _unpack(self, archive: zipfile.ZipFile, name: str) -> Array:
        member = self._members[name]
        with archive.open(member) as file:
            dtype, shape, fortran = _read_header(file)
            if name in self._forms:
                self._forms[name].check(name, dtype, shape)
            size = dtype.itemsize * int(np.prod(shape, dtype=object))
            if file.tell() + size != member.file_size:
                raise DamageError(f"{member.file_size:,} bytes instead of {size:,} in {name}")
            data = file.read(size)
            if len(data) != size or file.read(1):  # to the end: only there the checksum is compared
                raise DamageError(f"{len(data):,} bytes instead of {size:,} in {name}")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


class _OfTheirForm(Mapping[str, Array]):
    """The arrays as a check may see them: their numbers are what is being checked."""

    def __init__(self, fetch: Callable[[str], Array]) -> None:
        self._fetch = fetch

    def __getitem__(self, name: str) -> Array:
        return self._fetch(name)

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


def _read_header(file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Return type, shape and order of an array in NumPy's format; objects are refused."""
    if np.lib.format.read_magic(file) != (1, 0):
        raise DamageError("a NumPy array of another version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "iufb" or any(n < 0 for n in shape):
        raise DamageError(f"an array of {dtype} and shape {shape}")
    return dtype, shape, fortran


def _identity(path: Path) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
