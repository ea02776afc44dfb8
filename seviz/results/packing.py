"""Tables of numbers in few bytes, bit for bit, of which some rows can be read without the others.

A table is stored as what it differs from a table that the reader can foretell: as integers, the bits of a
number minus the bits of the one foretold. What is foretold well leaves small integers, whose upper bytes are
zeros. Bytes of one place are stored together (a byte plane), and each plane by itself: nothing where all are
zeros, deflated where that saves something, else as it is. Rows are packed in groups; each has a checksum.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.results.checking import DamageError
from seviz.results.stats import Array

Rows = npt.NDArray[np.intp]
# Numbers of one group; a group is what is read for one row.
GROUP = 2**16
_ZEROS, _PLAIN, _DEFLATED = range(3)
_PLANE = struct.Struct("<BI")
_PLACE = struct.Struct("<QI")
# Deflating random bytes takes long and saves nothing: a part of a plane tells.
_TRIED, _WORTH = 2**12, 0.97


@dataclass(frozen=True)
class Shape:
    """What is known of a table before it is read.

    Attributes:
        rows: Its rows.
        width: Numbers of a row.
        dtype: Their type.
    """

    rows: int
    width: int
    dtype: np.dtype[np.generic]

    @property
    def group(self) -> int:
        """Return the rows of a group."""
        return max(1, GROUP // max(self.width, 1))

    @property
    def groups(self) -> int:
        """Return the number of groups."""
        return -(-self.rows // self.group)

    def span(self, number: int) -> slice:
        """Return the rows of one group."""
        return slice(number * self.group, min((number + 1) * self.group, self.rows))


Foretold = Callable[[slice], Array]


def pack(table: Array, foretold: Foretold) -> bytes:
    """Return a table [R, C] packed.

    Args:
        table: Numbers of two, four or eight bytes.
        foretold: Given rows, what the reader will foretell for them, of the same type.
    """
    rows, width = table.shape
    shape = Shape(rows, width, table.dtype)
    packed, places, begin = [], [], shape.groups * _PLACE.size
    for number in range(shape.groups):
        span = shape.span(number)
        group = _pack_group(_difference(table[span], foretold(span)))
        places.append(_PLACE.pack(begin, zlib.crc32(group)))
        packed.append(group)
        begin += len(group)
    return b"".join([*places, *packed])


class Packed:
    """A packed table, in a file or in memory.

    Args:
        read: Given a place and a number of bytes, returns those.
        size: Bytes in all.
        shape: Of the table.
        name: For errors.
    """

    def __init__(
        self, read: Callable[[int, int], bytes], size: int, shape: Shape, name: str
    ) -> None:
        self._read, self._size, self.shape, self._name = read, size, shape, name
        self._places: list[tuple[int, int]] | None = None

    def rows(self, wanted: slice, foretold: Foretold) -> Array:
        """Return the rows of one group.

        Args:
            wanted: A span of the shape.
            foretold: As when it was packed.

        Raises:
            DamageError: If they are not what was packed.
        """
        places = self._listed()
        number = wanted.start // self.shape.group
        begin, checksum = places[number]
        end = places[number + 1][0] if number + 1 < len(places) else self._size
        most = (wanted.stop - wanted.start) * self.shape.width * self.shape.dtype.itemsize
        if not 0 <= end - begin <= 2 * most + 64:
            raise DamageError(f"a group of {end - begin:,} bytes in {self._name}")
        data = self._read(begin, end - begin)
        if zlib.crc32(data) != checksum:
            raise DamageError(f"a wrong checksum in {self._name}")
        count = wanted.stop - wanted.start
        own = _unpack_group(data, (count, self.shape.width), self.shape.dtype, self._name)
        return _sum(own, foretold(wanted))

    def _listed(self) -> list[tuple[int, int]]:
        if self._places is None:
            size = self.shape.groups * _PLACE.size
            if size > self._size:
                raise DamageError(f"{self._size:,} bytes in {self._name}")
            self._places = list(_PLACE.iter_unpack(self._read(0, size)))
        return self._places


def _unsigned(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def _difference(table: Array, foretold: Array) -> Array:
    """Return bits minus bits, the sign in the last bit (zigzag), unsigned."""
    bits = _unsigned(table)
    apart = (bits - _unsigned(foretold)).view(f"i{bits.dtype.itemsize}")
    last = 8 * bits.dtype.itemsize - 1
    return ((apart << 1) ^ (apart >> last)).view(bits.dtype)


def _sum(apart: Array, foretold: Array) -> Array:
    """Undo `_difference`."""
    signed = (apart >> 1) ^ (0 - (apart & 1))
    return (signed + _unsigned(foretold)).view(foretold.dtype)


def _pack_group(apart: Array) -> bytes:
    size = apart.dtype.itemsize
    little = apart.astype(apart.dtype.newbyteorder("<"), copy=False)
    planes = little.reshape(-1, 1).view(np.uint8).reshape(-1, size).T
    made = []
    for plane in planes:
        kind, data = _pack_plane(np.ascontiguousarray(plane))
        made += [_PLANE.pack(kind, len(data)), data]
    return b"".join(made)


def _pack_plane(plane: Array) -> tuple[int, bytes]:
    if not plane.any():
        return _ZEROS, b""
    data = plane.tobytes()
    tried = data[:_TRIED]
    if len(zlib.compress(tried, 1)) < _WORTH * len(tried):
        deflated = zlib.compress(data, 4)
        if len(deflated) < len(data):
            return _DEFLATED, deflated
    return _PLAIN, data


def _unpack_group(
    data: bytes, shape: Sequence[int], dtype: np.dtype[np.generic], name: str
) -> Array:
    count, size = int(np.prod(shape)), dtype.itemsize
    planes = np.zeros((count, size), np.uint8)
    place = 0
    for number in range(size):
        if place + _PLANE.size > len(data):
            raise DamageError(f"{len(data):,} bytes in a group of {name}")
        kind, length = _PLANE.unpack_from(data, place)
        place += _PLANE.size
        own = data[place : place + length]
        place += length
        if kind == _ZEROS:
            continue
        if kind == _DEFLATED:
            own = _inflated(own, count, name)
        if len(own) != count:
            raise DamageError(f"{len(own):,} bytes instead of {count:,} in a group of {name}")
        planes[:, number] = np.frombuffer(own, np.uint8)
    unsigned = planes.reshape(-1).view(f"<u{size}").astype(f"u{size}", copy=False)
    return unsigned.reshape(shape)


def _inflated(data: bytes, count: int, name: str) -> bytes:
    """Unpack no more than there may be."""
    unpacking = zlib.decompressobj()
    try:
        return unpacking.decompress(data, count + 1)
    except zlib.error as exc:
        raise DamageError(f"damage in {name} ({exc})") from None
