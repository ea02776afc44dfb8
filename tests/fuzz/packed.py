"""Packed tables of a record, unpacked number by number: the reader's judge.

A group is a plane of bytes for each place of a number, lowest first, each with its kind and its length. The
planes put together are how far the bits of a number lie from those that are foretold, the sign in the last
bit. Nothing of ``seviz.results`` is used here.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
# Given a row and a channel, the number that is foretold, as it is stored.
Foretold = Callable[[int, int], bytes]
_GROUP = 1 << 16


def packed_sums(content: Mapping[str, bytes], block: str, count: npt.NDArray[np.int64]) -> Numbers:
    """Return the sums of one block, float64 [K, C], 0 where a class has no image."""
    base = struct.unpack(f"<{len(content[f'packed/{block}']) // 8}d", content[f"packed/{block}"])
    width = len(base) // 3
    seen = [i for i, n in enumerate(count.tolist()) if n > 0]

    def table(field: str, kind: str, foretold: Foretold) -> list[list[float]]:
        data = content[f"packed/gates/{block}/{field}"]
        return _table(data, len(seen), width, kind, foretold)

    least = table("minimum", "f", lambda row, channel: struct.pack("<f", base[channel]))
    most = table("maximum", "f", lambda row, channel: struct.pack("<f", least[row][channel]))

    def total(row: int, channel: int) -> bytes:
        low, high, images = least[row][channel], most[row][channel], int(count[seen[row]])
        if images == 1:
            return struct.pack("<d", low)
        if images == 2:
            return struct.pack("<d", low + high)
        (middle,) = struct.unpack("<f", struct.pack("<f", (low + high) / 2))
        return struct.pack("<d", images * middle)

    sums = np.zeros((len(count), width))
    sums[seen] = table("sum", "d", total)
    return sums


def _table(data: bytes, rows: int, width: int, kind: str, foretold: Foretold) -> list[list[float]]:
    size = struct.calcsize(kind)
    step = max(1, _GROUP // width)
    firsts = range(0, rows, step)
    begins = [struct.unpack_from("<QI", data, 12 * i)[0] for i in range(len(firsts))]
    made = []
    for first, (begin, end) in zip(firsts, itertools.pairwise([*begins, len(data)]), strict=True):
        own = list(range(first, min(first + step, rows)))
        planes = _planes(data[begin:end], size, len(own) * width)
        for place, row in enumerate(own):
            at = [place * width + channel for channel in range(width)]
            apart = [int.from_bytes(bytes(plane[i] for plane in planes), "little") for i in at]
            made.append([_number(a, foretold(row, c), kind) for c, a in enumerate(apart)])
    return made


def _planes(group: bytes, size: int, count: int) -> list[bytes]:
    planes, place = [], 0
    for _ in range(size):
        how, length = struct.unpack_from("<BI", group, place)
        plane = group[place + 5 : place + 5 + length]
        place += 5 + length
        planes.append(bytes(count) if how == 0 else zlib.decompress(plane) if how == 2 else plane)
        assert len(planes[-1]) == count
    return planes


def _number(apart: int, foretold: bytes, kind: str) -> float:
    """Return the number whose bits lie so far from those foretold: 0, -1, 1, -2, ... as 0, 1, 2, 3, ..."""
    away = -(apart + 1) // 2 if apart % 2 else apart // 2
    bits = (int.from_bytes(foretold, "little") + away) % (1 << 8 * len(foretold))
    (number,) = struct.unpack(f"<{kind}", bits.to_bytes(len(foretold), "little"))
    return float(number)
