"""What a TFLite file says, read from its flatbuffer with distrust: plain tensors and operators.

The layout is that of ``schema.fbs`` of TensorFlow Lite, version 3, whose accessors the package ``tflite``
brings. They follow offsets wherever these lead, so every length is checked against the file before it is
believed, and every tensor against the bytes that it has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.errors import CheckpointError, printable

# Numbers of a tensor as they lie in the file, by the schema's TensorType; four bits lie two in a byte.
_NUMBERS: Mapping[str, str] = {
    "FLOAT32": "<f4",
    "FLOAT16": "<f2",
    "FLOAT64": "<f8",
    "INT8": "i1",
    "UINT8": "u1",
    "INT16": "<i2",
    "UINT16": "<u2",
    "INT32": "<i4",
    "UINT32": "<u4",
    "INT64": "<i8",
    "UINT64": "<u8",
    "BOOL": "?",
}
# What a map of one image may hold: 1 GiB of float32. Networks that take images have a hundredth.
MOST_NUMBERS = 1 << 28
_RANK = 8


@dataclass(frozen=True, eq=False)
class Quantised:
    """What whole numbers stand for: ``scale * (q - zero)``.

    Attributes:
        scale: Per tensor [1], or per channel [C]; float64.
        zero: Likewise; int64.
        axis: Dimension of the channels.
    """

    scale: npt.NDArray[np.float64]
    zero: npt.NDArray[np.int64]
    axis: int


@dataclass(frozen=True, eq=False)
class TensorEntry:
    """One tensor of the graph.

    Attributes:
        name: Its name, as TensorFlow gave it.
        shape: Its shape for a batch of the file's own size, channels last.
        kind: The schema's TensorType: ``FLOAT32``, ``UINT8``, ...
        numbers: Its numbers as they are stored; ``None`` for what is computed.
        quantised: What they stand for; ``None`` for floating-point numbers and counts.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    numbers: npt.NDArray[Any] | None
    quantised: Quantised | None


@dataclass(frozen=True, eq=False)
class OperatorEntry:
    """One operator of the graph.

    Attributes:
        kind: The schema's BuiltinOperator: ``CONV_2D``; of custom ones ``CUSTOM`` and the name.
        options: Its options, by the schema's names: ``{"StrideW": 2, ...}``.
        inputs: Positions of the tensors that it takes; -1 for one that is left out.
        outputs: Positions of the tensors that it makes.
    """

    kind: str
    options: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class GraphEntry:
    """The graph of a file: tensors, operators in the order in which they run, inputs and outputs."""

    tensors: tuple[TensorEntry, ...]
    operators: tuple[OperatorEntry, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(content: bytes, name: str) -> GraphEntry:
    """Read the first graph of a TFLite file.

    Args:
        content: The file.
        name: Its name, for messages.

    Raises:
        CheckpointError: If it is damaged, or holds what is not read (several graphs, sparse tensors,
            control flow).
    """
    try:
        import tflite
    except ImportError as exc:
        raise CheckpointError(
            f"expected the package tflite to read the TFLite network {name}, found no {exc.name}; pip "
            "install 'seviz[tflite]'"
        ) from exc
    return _Reading(tflite, content, name).graph()


class _Reading:
    """One reading of a file."""

    def __init__(self, schema: ModuleType, content: bytes, name: str) -> None:
        self._schema, self._content, self._name = schema, content, name
        self._operators = _names(schema.BuiltinOperator)
        self._options = _names(schema.BuiltinOptions)
        self._kinds = _names(schema.TensorType)

    def graph(self) -> GraphEntry:
        model = self._schema.Model.GetRootAs(self._content, 0)
        graphs = self._count(model.SubgraphsLength(), 4, "graphs")
        if graphs != 1:
            raise CheckpointError(
                f"expected one graph in the TFLite file {self._name}, found {graphs}; give a "
                "network without control flow"
            )
        self._model, graph = model, model.Subgraphs(0)
        self._count(model.BuffersLength(), 4, "buffers")
        self._count(model.OperatorCodesLength(), 4, "operator codes")
        count = self._count(graph.TensorsLength(), 4, "tensors")
        tensors = tuple(self._tensor(graph.Tensors(i)) for i in range(count))
        steps = self._count(graph.OperatorsLength(), 4, "operators")
        operators = tuple(self._operator(graph.Operators(i), count) for i in range(steps))
        inputs = self._places(graph.InputsLength, graph.InputsAsNumpy, count, least=0)
        outputs = self._places(graph.OutputsLength, graph.OutputsAsNumpy, count, least=0)
        return GraphEntry(tensors, operators, inputs, outputs)

    def _count(self, number: int, size: int, what: str) -> int:
        """Return the length of a vector, if the file is long enough to hold it."""
        if not 0 <= number * size <= len(self._content):
            raise self._damaged(f"{number:,} {what}")
        return number

    def _damaged(self, found: str) -> CheckpointError:
        size = len(self._content)
        return CheckpointError(
            f"expected a TFLite network in {self._name}, found {found} in a file of {size:,} bytes; is it "
            "complete?"
        )

    def _vector(self, length: Callable[[], int], numbers: Callable[[], Any]) -> npt.NDArray[Any]:
        """Return a vector of numbers; empty where there is none."""
        if not self._count(length(), 1, "numbers"):
            return np.empty(0, dtype=np.int64)
        return np.asarray(numbers())

    def _places(
        self, length: Callable[[], int], numbers: Callable[[], Any], tensors: int, *, least: int
    ) -> tuple[int, ...]:
        places = tuple(int(n) for n in self._vector(length, numbers))
        if any(not least <= n < tensors for n in places):
            raise self._damaged(f"a tensor that is not among its {tensors:,}")
        return places

    def _tensor(self, table: Any) -> TensorEntry:
        name = (table.Name() or b"").decode("utf-8", "replace")
        shape = tuple(int(n) for n in self._vector(table.ShapeLength, table.ShapeAsNumpy))
        kind = self._kinds.get(table.Type(), f"type {table.Type()}")
        numbers = self._numbers(table, name, shape, kind)
        # What is computed may have dimensions that are open until it runs.
        if len(shape) > _RANK or min(shape, default=0) < -1 or math.prod(shape) > MOST_NUMBERS:
            raise self._damaged(f"{printable(name)} of shape {list(shape)[:_RANK]}")
        if table.Sparsity() is not None:
            raise CheckpointError(
                f"expected dense tensors in the TFLite file {self._name}, found {printable(name)} as a "
                "sparse one; convert the network without sparsity"
            )
        return TensorEntry(name, shape, kind, numbers, self._quantised(table, name, shape, kind))

    def _numbers(
        self, table: Any, name: str, shape: tuple[int, ...], kind: str
    ) -> npt.NDArray[Any] | None:
        place = table.Buffer()
        if not 0 <= place < self._model.BuffersLength():
            raise self._damaged(f"{printable(name)} in a buffer that is not there")
        buffer = self._model.Buffers(place)
        if buffer.Offset() > 1:  # files of more than 2 GB keep their numbers behind the flatbuffer
            begin, size = buffer.Offset(), buffer.Size()
            if begin + size > len(self._content):
                raise self._damaged(f"{printable(name)} behind its end")
            raw = np.frombuffer(self._content, np.uint8, size, begin)
        else:
            raw = self._vector(buffer.DataLength, buffer.DataAsNumpy).astype(np.uint8, copy=False)
        if not len(raw):
            return None
        wanted = math.prod(shape)
        if kind == "INT4":
            return _halves(raw, shape) if len(raw) == (wanted + 1) // 2 else self._misfit(name, raw)
        if kind not in _NUMBERS:
            return None  # of text, say: an error only where an operator takes it
        dtype = np.dtype(_NUMBERS[kind])
        if min(shape, default=0) < 0 or len(raw) != wanted * dtype.itemsize:
            return self._misfit(name, raw)
        return raw.view(dtype).reshape(shape)

    def _misfit(self, name: str, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        raise self._damaged(f"{printable(name)} in {len(raw):,} bytes, which is not its size,")

    def _quantised(
        self, table: Any, name: str, shape: tuple[int, ...], kind: str
    ) -> Quantised | None:
        given = table.Quantization()
        if given is None or kind.startswith("FLOAT"):
            return None
        scale = self._vector(given.ScaleLength, given.ScaleAsNumpy).astype(np.float64)
        if not len(scale):
            return None
        zero = self._vector(given.ZeroPointLength, given.ZeroPointAsNumpy).astype(np.int64)
        zero = zero if len(zero) else np.zeros(len(scale), dtype=np.int64)
        axis = given.QuantizedDimension()
        per_channel = len(scale) > 1
        if per_channel and not (0 <= axis < len(shape) and shape[axis] == len(scale)):
            raise self._damaged(f"{len(scale):,} scales of {printable(name)} {list(shape)}")
        if len(zero) not in (1, len(scale)) or not (np.isfinite(scale).all() and (scale > 0).all()):
            raise self._damaged(f"scales of {printable(name)} that are no positive numbers")
        return Quantised(scale, np.broadcast_to(zero, scale.shape), axis)

    def _operator(self, table: Any, tensors: int) -> OperatorEntry:
        place = table.OpcodeIndex()
        if not 0 <= place < self._model.OperatorCodesLength():
            raise self._damaged("an operator without a code")
        code = self._model.OperatorCodes(place)
        # The old field has one byte; the new one is zero in files from before it.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = self._operators.get(number, f"operator {number}")
        if kind == "CUSTOM":
            kind = f"CUSTOM {(code.CustomCode() or b'').decode('utf-8', 'replace')}"
        return OperatorEntry(
            kind,
            self._read_options(table),
            self._places(table.InputsLength, table.InputsAsNumpy, tensors, least=-1),
            self._places(table.OutputsLength, table.OutputsAsNumpy, tensors, least=0),
        )

    def _read_options(self, table: Any) -> dict[str, Any]:
        kind, union = self._options.get(table.BuiltinOptionsType()), table.BuiltinOptions()
        if kind in (None, "NONE") or union is None:
            return {}
        options = getattr(self._schema, kind)()
        options.Init(union.Bytes, union.Pos)
        return {
            name: self._option(options, name)
            for name in vars(type(options))
            if name[0].isupper()
            and name != "Init"
            and not name.startswith("GetRootAs")
            and not name.endswith(("Length", "AsNumpy", "IsNone", "BufferHasIdentifier"))
        }

    def _option(self, options: Any, name: str) -> Any:
        if hasattr(options, f"{name}Length"):
            length = getattr(options, f"{name}Length")
            as_numpy = getattr(options, f"{name}AsNumpy", None)
            return () if as_numpy is None else tuple(map(int, self._vector(length, as_numpy)))
        return getattr(options, name)()


def _names(numbers: Any) -> dict[int, str]:
    return {number: name for name, number in vars(numbers).items() if isinstance(number, int)}


def _halves(raw: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """Return numbers of four bits, the lower half of a byte first, with their sign."""
    pairs = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)[: math.prod(shape)]
    return ((pairs.astype(np.int8) ^ 8) - 8).reshape(shape)
