"""Damage for files of results: documents, arrays and archives, changed at random but the same each time."""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Members = dict[str, bytes]
NUMBERS = (
    -1,
    0,
    1,
    2,
    7,
    10**6,
    2**40,
    2**63,
    10**400,
    0.5,
    -0.5,
    1e308,
    float("nan"),
    float("inf"),
)
OTHERS = (
    None,
    True,
    "",
    "x",
    "\ud800",
    "a" * 5000,
    "\x00\n",
    [],
    {},
    [1, "a"],
    {"a": 1},
    [[]],
    [{}],
)


def document(values: Any, rng: random.Random) -> tuple[Any, str]:
    """Return a JSON document with one thing changed, and what that was."""
    values = copy.deepcopy(values)
    places = list(_places(values, ()))
    path = rng.choice(places)
    parent = values
    for key in path[:-1]:
        parent = parent[key]
    key, old = path[-1], parent[path[-1]]
    how = rng.choice(["drop", "replace", "replace", "replace", "twice", "rename"])
    if how == "drop":
        del parent[key]
    elif how == "twice" and isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), copy.deepcopy(old))
    elif how == "rename" and isinstance(parent, dict):
        parent[f"{key}_"] = parent.pop(key)
    else:
        parent[key] = rng.choice([*NUMBERS, *OTHERS])
    return values, f"{how} {'.'.join(map(str, path))}"


def _places(values: Any, path: tuple[Any, ...]) -> Any:
    pairs = (
        values.items()
        if isinstance(values, dict)
        else enumerate(values)
        if isinstance(values, list)
        else ()
    )
    for key, value in pairs:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _one_cell(change: Callable[[Any], Any]) -> Callable[[Array, random.Random], Array]:
    def changed(array: Array, rng: random.Random) -> Array:
        array = array.copy()
        if array.size:
            place = np.unravel_index(rng.randrange(array.size), array.shape)
            with np.errstate(all="ignore"):
                array[place] = np.asarray(change(array[place])).astype(array.dtype)
        return array

    return changed


def _all_cells(change: Callable[[Array], Any]) -> Callable[[Array, random.Random], Array]:
    def changed(array: Array, rng: random.Random) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(change(array)).astype(array.dtype)

    return changed


ARRAYS: Mapping[str, Callable[[Array, random.Random], Array]] = {
    "short": lambda a, rng: a[:-1],
    "long": lambda a, rng: np.concatenate([a, a[-1:]]),
    "flat": lambda a, rng: a.ravel(),
    "turned": lambda a, rng: a.T.copy(),
    "deeper": lambda a, rng: a[None],
    "one number": lambda a, rng: np.array(1),
    "empty": lambda a, rng: a[:0],
    "text": lambda a, rng: np.array(["a", "b"]),
    "float64": lambda a, rng: (
        a.astype(np.float64) if a.dtype != np.float64 else a.astype(np.float32)
    ),
    "int8": lambda a, rng: np.zeros(a.shape, np.int8),
    "other bytes": lambda a, rng: a.astype(a.dtype.newbyteorder(">")),
    "complex": lambda a, rng: a.astype(np.complex128),
    "NaN": _one_cell(lambda v: np.nan if v.dtype.kind == "f" else v + 1),
    "infinity": _one_cell(lambda v: np.inf if v.dtype.kind == "f" else v - 1),
    "one negative": _one_cell(lambda v: -1 - v),
    "one greater": _one_cell(lambda v: v + 1000),
    "one enormous": _one_cell(lambda v: 1e300 if v.dtype.kind == "f" else np.iinfo(v.dtype).max),
    "x 100": _all_cells(lambda a: a * 100 + 1),
    "x 2": _all_cells(lambda a: a * 2 + 1),
    "x -1": _all_cells(lambda a: -a - 1),
}


def members(path: Path) -> Members:
    """Return what is in an archive."""
    return members_of(path.read_bytes())


def members_of(content: bytes) -> Members:
    """Return what is in an archive, whatever its checksums are."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        listed = [copy.copy(info) for info in archive.infolist()]
        for info in listed:
            del info.CRC
        return {info.filename: archive.open(info).read() for info in listed}


def packed(content: Members, **how: Any) -> bytes:
    """Return an archive of these members, in their order."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data, **how)
    return stream.getvalue()


def unpack_array(data: bytes) -> Array:
    """Return an array of NumPy's format."""
    return np.asarray(np.load(io.BytesIO(data)))


def pack_array(array: Array) -> bytes:
    """Return an array in NumPy's format."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def archive(content: Members, described: str, rng: random.Random) -> tuple[bytes, str]:
    """Return an archive with one thing changed, and what that was.

    Args:
        content: Its members.
        described: The member that is a JSON document.
        rng: Where the damage comes from.
    """
    content = dict(content)
    how = rng.choice(["json", "json", "array", "array", "array", "drop", "rename", "cut", "flip"])
    arrays = [n for n in content if n.endswith(".npy")]
    name = rng.choice([n for n in content if n != described] if how != "array" else arrays)
    if how == "json":
        values, what = document(json.loads(content[described]), rng)
        content[described] = json.dumps(values).encode()
        return packed(content), what
    if how == "array":
        what = rng.choice(list(ARRAYS))
        array = unpack_array(content[name])
        changed = ARRAYS[what](np.atleast_1d(array), rng)
        content[name] = pack_array(
            changed.reshape(()) if array.ndim < changed.size == 1 else changed
        )
        return packed(content), f"{what}: {name}"
    if how == "drop":
        name = rng.choice(list(content))
        del content[name]
        return packed(content), f"without {name}"
    if how == "rename":
        content[f"{name[:-4]}_.npy"] = content.pop(name)
        return packed(content), f"other name for {name}"
    whole = packed(content)
    if how == "cut":
        end = rng.randrange(len(whole))
        return whole[:end], f"cut at {end} of {len(whole)}"
    damaged = bytearray(whole)
    places = [rng.randrange(len(whole)) for _ in range(rng.randint(1, 4))]
    for place in places:
        damaged[place] ^= rng.randint(1, 255)
    return bytes(damaged), f"other bytes at {places}"
