"""A clean copy of the plain numbers and texts of an HDF5 file; run as a script, in a process of its own.

A few wrong bytes make the HDF5 library crash the process that reads them. Only this script opens a file from
elsewhere; everybody else opens what it wrote. It needs nothing but h5py and NumPy, so that it starts quickly.

Usage: ``python hdf5_copy.py SOURCE TARGET LIMIT``, the limit being the number of bytes that the data sets may
claim. Exit code 0: copied. Exit code 3: refused, and stdout says why.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import h5py
import numpy as np

_DEEP, _MANY = 64, 200_000
# What an optimiser kept for going on with the training.
_LEFT_OUT = frozenset({"optimizer", "optimizer_weights"})
REFUSED = 3


class _RefusedError(Exception):
    """The file holds something that has no place among weights; the text says what."""


def _copy(source: Any, target: Any, limit: int) -> None:
    claimed = seen = 0
    todo = [(source, target, 0)]
    while todo:
        group, made, depth = todo.pop()
        _copy_texts(group, made)
        for name in group:
            seen += 1
            if seen > _MANY or depth > _DEEP:
                raise _RefusedError("groups without end")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _RefusedError(f"a link out of its place ({name!r})")
            if depth == 0 and name in _LEFT_OUT:
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                todo.append((item, made.create_group(name), depth + 1))
                continue
            if not isinstance(item, h5py.Dataset) or item.dtype.hasobject or item.shape is None:
                raise _RefusedError(f"something else than numbers ({name!r})")
            if item.is_virtual or item.external:
                raise _RefusedError(f"numbers that lie in another file ({name!r})")
            claimed += int(np.prod(item.shape, dtype=object)) * item.dtype.itemsize
            if claimed > limit:
                raise _RefusedError(f"{claimed:,} bytes or more claimed: a bomb")
            _copy_texts(item, made.create_dataset(name, data=item[()]))


def _copy_texts(source: Any, target: Any) -> None:
    """Copy attributes that are a text, or a list of texts; Keras has no others that matter."""
    for name in source.attrs:
        value = source.attrs[name]
        texts = [
            v.decode() if isinstance(v, bytes) else v for v in np.atleast_1d(value).ravel().tolist()
        ]
        if all(isinstance(t, str) for t in texts):
            kind = h5py.string_dtype()
            target.attrs.create(name, texts if np.ndim(value) else texts[0], dtype=kind)


def _limit_memory(limit: int) -> None:
    """Refuse memory beyond what a sound file needs, where the system can do that."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        most = 2 * limit + (1 << 30)  # the numbers, what HDF5 keeps of them, and Python itself
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _main() -> int:
    source, target, limit = sys.argv[1:]
    _limit_memory(int(limit))
    try:
        with h5py.File(source, "r") as read, h5py.File(target, "w") as written:
            _copy(read, written, int(limit))
    except _RefusedError as exc:
        print(exc)
        return REFUSED
    except Exception as exc:
        print(f"{type(exc).__name__}: {' '.join(str(exc).split())[:160]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
