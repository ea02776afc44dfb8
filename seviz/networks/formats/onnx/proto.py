"""ONNX files as they are stored: told from others, and their tensors read with distrust.

A file is a protocol buffer without a magic number. What it says of sizes is compared with the bytes that
are there before any memory is taken.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seviz.errors import CheckpointError, printable
from seviz.networks.formats.file import Seen
from seviz.results.stats import Array

# Fields of ModelProto (onnx.proto), and how each is encoded: 0 is a number, 2 has a length.
_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_VERSION, _GRAPH = 1, 7
# What the pickles of old checkpoints begin with, which people name as they like.
_PICKLE = b"\x80"
# Largest protocol buffer that its own library reads.
_MOST_BYTES = (1 << 31) - 1
# More values than any network has.
MOST_NODES = 100_000
# What an operator in a file may be from.
OWN_DOMAINS = frozenset({"", "ai.onnx"})


def is_onnx(seen: Seen) -> bool:
    """Return whether a file is an ONNX model: by the fields it is made of, or else by its name."""
    if seen.is_archive:
        return False
    try:
        with seen.path.open("rb") as file:
            found = set(_fields(file, os.path.getsize(seen.path)))
    except (OSError, ValueError):
        found = set()
    named = seen.path.suffix.lower() == ".onnx" and not seen.start.startswith(_PICKLE)
    return {_VERSION, _GRAPH} <= found or named


def _fields(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the numbers of the fields of a protocol buffer, without reading what is in them.

    Raises:
        ValueError: If it is none, or one of something else.
    """
    while (position := file.tell()) < size:
        field, kind = divmod(_varint(file), 8)
        if _FIELDS.get(field) != kind or (position == 0 and field not in (1, 2, 7, 8)):
            raise ValueError("no field of a model")
        value = _varint(file)
        if kind == 2:
            if value > size - file.tell():
                raise ValueError("longer than the file")
            file.seek(value, os.SEEK_CUR)
        yield field


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("the end of the file")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number that does not end")


def import_onnx() -> Any:
    """Return the package onnx.

    Raises:
        CheckpointError: If it is not installed.
    """
    try:
        import onnx
    except ImportError as exc:
        raise CheckpointError(
            f"expected the package onnx to read an ONNX model, found no {exc.name}; "
            "pip install 'seviz[onnx]'"
        ) from exc
    return onnx


def read_model(path: Path) -> Any:
    """Return the ModelProto of a file, its tensors not yet looked at.

    Raises:
        CheckpointError: If it is damaged, or none.
    """
    onnx = import_onnx()
    from google.protobuf.message import DecodeError

    size = os.path.getsize(path)
    if size > _MOST_BYTES:
        raise CheckpointError(
            f"expected an ONNX model of less than 2 GiB, found {size:,} bytes in {path.name}; save its "
            "weights as external data"
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, RuntimeError, ValueError) as exc:
        raise damaged(path.name, "a protocol buffer that cannot be decoded") from exc
    if not model.HasField("graph") or not model.graph.output:
        raise damaged(path.name, "no graph with an output")
    return model


def damaged(name: str, found: str) -> CheckpointError:
    """Return the error for a file that is not as ONNX files are."""
    return CheckpointError(
        f"expected an intact ONNX model in {name}, found {found}; copy or export it again"
    )


class TensorReader:
    """Reads the tensors of one model.

    Args:
        path: The file of the model; external data lie in its folder.
    """

    def __init__(self, path: Path) -> None:
        import onnx

        self._onnx, self._path = onnx, path
        # Bytes that may still be claimed of each external file: two tensors may be one, a thousand not.
        self._left: dict[Path, int] = {}

    @property
    def external(self) -> list[Path]:
        """Return the external files that were read, in order."""
        return list(self._left)

    def array(self, tensor: Any) -> Array:
        """Return a TensorProto's numbers, of a type that NumPy has, narrow floating-point ones as float32.

        Raises:
            CheckpointError: If it claims more numbers than there are bytes, or its data lie elsewhere than
                in the folder of the model.
        """
        shape, name = tuple(tensor.dims), printable(tensor.name or "a constant")
        if any(n < 0 for n in shape) or len(shape) > 32:
            raise damaged(self._path.name, f"the shape {shape} of {name}")
        types = self._onnx.TensorProto
        if tensor.data_type in (types.UNDEFINED, types.STRING, types.COMPLEX64, types.COMPLEX128):
            raise damaged(self._path.name, f"{name} of type {tensor.data_type}, which is no number")
        try:
            dtype = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except (KeyError, ValueError) as exc:
            raise damaged(
                self._path.name, f"{name} of the unknown type {tensor.data_type}"
            ) from exc
        count = math.prod(shape)
        if tensor.data_location == types.EXTERNAL:
            found = self._external(tensor, count * dtype.itemsize, dtype, name)
        else:
            self._check_held(tensor, count, dtype, name)
            found = self._onnx.numpy_helper.to_array(tensor)
        # What NumPy itself does not have (bfloat16, 8-bit floating point, 4-bit numbers) is widened.
        if dtype.kind == "V" or dtype.name.startswith(("bfloat", "float8", "float4", "float6")):
            found = found.astype(np.float32)
        elif dtype.name in ("int4", "int2"):
            found = found.astype(np.int8)
        elif dtype.name in ("uint4", "uint2"):
            found = found.astype(np.uint8)
        elif dtype in (np.float16, np.float64):
            found = found.astype(np.float32)
        return np.array(found).reshape(shape)

    def _check_held(self, tensor: Any, count: int, dtype: Any, name: str) -> None:
        field = self._onnx.helper.tensor_dtype_to_field(tensor.data_type)
        held = len(getattr(tensor, field))
        if tensor.HasField("raw_data"):
            bits = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}.get(
                dtype.name
            )
            needed = dtype.itemsize * count if bits is None else -(-count * bits // 8)
            if len(tensor.raw_data) != needed:
                raise damaged(
                    self._path.name,
                    f"{len(tensor.raw_data):,} bytes for the {needed:,} of {name}",
                )
        # A field of whole numbers may hold several small ones in each.
        elif held != count and not (dtype.itemsize == 1 and held <= count <= 8 * held):
            raise damaged(self._path.name, f"{held:,} numbers for the {count:,} of {name}")

    def _external(self, tensor: Any, needed: int, dtype: Any, name: str) -> Array:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = self._beside(entries.get("location", ""), name)
        size = os.path.getsize(file)
        try:
            offset = int(entries.get("offset", 0))
            length = int(entries.get("length", needed))
        except ValueError as exc:
            raise damaged(self._path.name, f"no numbers for the place of {name}") from exc
        if length != needed or offset < 0 or offset + length > size:
            raise damaged(
                self._path.name,
                f"{name} of {needed:,} bytes at {offset:,} of {file.name} ({size:,} bytes)",
            )
        left = self._left.get(file, 2 * size) - length
        if left < 0:
            raise damaged(
                self._path.name, f"tensors that share the bytes of {file.name} many times"
            )
        self._left[file] = left
        return np.fromfile(
            file, dtype, -1 if not dtype.itemsize else length // dtype.itemsize, offset=offset
        )

    def _beside(self, location: str, name: str) -> Path:
        """Return an external file, which must lie in the folder of the model, links followed.

        A model in a hub's cache is a link to a folder of all files, and so are its data.
        """
        real = Path(os.path.realpath(self._path)).parent
        missing = False
        for folder in dict.fromkeys((Path(os.path.abspath(self._path)).parent, real)):
            target = Path(os.path.realpath(folder / location))
            within = Path(os.path.realpath(folder)) in target.parents or target.parent == real
            if not location or os.path.isabs(location) or not within:
                continue
            if target.is_file():
                return target
            missing = True
        shown = printable(location)[:100]
        if missing:
            raise CheckpointError(
                f"expected the data of {name} in {shown} beside {self._path.name}, found no such file; copy "
                "it there"
            )
        raise CheckpointError(
            f"expected the data of {name} in the folder of {self._path.name}, found {shown!r}, which leads "
            "out of it; it was not read"
        )
