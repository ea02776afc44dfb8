"""TFLite files made here: a writer of the flatbuffer, and small networks with SE in every kind of numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Array = npt.NDArray[Any]
_TYPES = {
    "float32": "FLOAT32",
    "float16": "FLOAT16",
    "int8": "INT8",
    "uint8": "UINT8",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
}
_LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


@dataclass
class Tensor:
    """A tensor to write; ``values`` of what is computed are nothing."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    values: Array | None = None
    scale: tuple[float, ...] = ()
    zero: tuple[int, ...] = ()
    axis: int = 0


@dataclass
class Op:
    """An operator to write."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """A graph that grows: each operator names the tensor that it makes."""

    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def image(self, *shape: int) -> int:
        self.inputs.append(self.add(Tensor("image", shape)))
        return self.inputs[-1]

    def constant(self, name: str, values: Any, dtype: str = "float32") -> int:
        array = np.asarray(values, dtype=dtype)
        return self.add(Tensor(name, array.shape, dtype, array))

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        name: str,
        shape: Sequence[int],
        options: str = "",
        dtype: str = "float32",
        **values: Any,
    ) -> int:
        made = self.add(Tensor(name, tuple(shape), dtype))
        self.ops.append(Op(kind, tuple(inputs), (made,), options, values))
        return made

    def write(self) -> bytes:
        """Return the file."""
        b = flatbuffers.Builder(1024)
        buffers = [_buffer(b, None)] + [_buffer(b, t.values) for t in self.tensors]
        kinds = sorted({op.kind for op in self.ops})
        tensors = [_tensor(b, t, n + 1) for n, t in enumerate(self.tensors)]
        ops = [_operator(b, op, kinds.index(op.kind)) for op in self.ops]
        tables = {
            "Tensors": _vector(b, tensors),
            "Inputs": _integers(b, self.inputs),
            "Outputs": _integers(b, self.outputs),
            "Operators": _vector(b, ops),
        }
        graph = _table(b, "SubGraph", tables)
        codes = []
        for kind in kinds:
            number = getattr(tflite.BuiltinOperator, kind)
            said = {"DeprecatedBuiltinCode": min(number, 127), "Version": 1, "BuiltinCode": number}
            codes.append(_table(b, "OperatorCode", said))
        model = _table(
            b,
            "Model",
            {
                "Version": 3,
                "OperatorCodes": _vector(b, codes),
                "Subgraphs": _vector(b, [graph]),
                "Buffers": _vector(b, buffers),
            },
        )
        b.Finish(model, file_identifier=b"TFL3")
        return bytes(b.Output())


def _table(b: Any, kind: str, values: Mapping[str, Any]) -> int:
    module = vars(tflite)
    module[f"{kind}Start"](b)
    for name, value in values.items():
        module[f"{kind}Add{name}"](b, value)
    return int(module[f"{kind}End"](b))


def _vector(b: Any, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _integers(b: Any, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.asarray(values, dtype=np.int32)))


def _buffer(b: Any, values: Array | None) -> int:
    if values is None:
        return _table(b, "Buffer", {})
    raw = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
    b.StartVector(1, len(raw), 16)
    b.head -= len(raw)
    b.Bytes[b.head : b.head + len(raw)] = raw.tobytes()
    return _table(b, "Buffer", {"Data": b.EndVector()})


def _tensor(b: Any, tensor: Tensor, buffer: int) -> int:
    said = {
        "Shape": _integers(b, tensor.shape),
        "Type": getattr(tflite.TensorType, _TYPES[tensor.dtype]),
        "Buffer": buffer,
        "Name": b.CreateString(tensor.name),
    }
    if tensor.scale:
        quantised = {
            "Scale": b.CreateNumpyVector(np.asarray(tensor.scale, dtype=np.float32)),
            "ZeroPoint": b.CreateNumpyVector(np.asarray(tensor.zero, dtype=np.int64)),
            "QuantizedDimension": tensor.axis,
        }
        said["Quantization"] = _table(b, "QuantizationParameters", quantised)
    return _table(b, "Tensor", said)


def _operator(b: Any, op: Op, code: int) -> int:
    said = {
        "OpcodeIndex": code,
        "Inputs": _integers(b, op.inputs),
        "Outputs": _integers(b, op.outputs),
    }
    if op.options:
        values = {
            name: _integers(b, value) if isinstance(value, tuple) else value
            for name, value in op.values.items()
        }
        said["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, op.options)
        said["BuiltinOptions"] = _table(b, op.options, values)
    return _table(b, "Operator", said)


class Reference:
    """The TFLite interpreter with every tensor kept."""

    def __init__(self, content: bytes, *, plain: bool = False) -> None:
        resolver = OpResolverType.BUILTIN_REF if plain else OpResolverType.AUTO
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # keeping every tensor takes memory
            self._run = Interpreter(
                model_content=content,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=resolver,
                num_threads=1,
            )
        self._run.allocate_tensors()
        self.input = self._run.get_input_details()[0]
        self.output = self._run.get_output_details()[0]
        self._details = {d["index"]: d for d in self._run.get_tensor_details()}

    def run(self, image: Array) -> None:
        """Run one image as the file takes it, [H, W, C]."""
        self._run.set_tensor(self.input["index"], image[None].astype(self.input["dtype"]))
        self._run.invoke()

    def tensor(self, place: int) -> Array:
        """Return a tensor; whole numbers as what they stand for."""
        found = self._run.get_tensor(place)
        given = self._details[place]["quantization_parameters"]
        if not len(given["scales"]):
            return np.asarray(found)
        return (found.astype(np.float64) - given["zero_points"][0]) * given["scales"][0]

    def answer(self) -> Array:
        """Return the first output."""
        return self.tensor(self.output["index"])


SAME = {"Padding": tflite.Padding.SAME}


def _layer(
    graph: Graph,
    x: int,
    name: str,
    channels: int,
    rng: np.random.Generator,
    *,
    kernel: int = 1,
    stride: int = 1,
    activation: str = "NONE",
    depthwise: bool = False,
    gain: float = 1.4,
) -> int:
    """Add a convolution with a bias and an activation."""
    _, h, w, c = graph.tensors[x].shape
    shape = (1, kernel, kernel, c) if depthwise else (channels, kernel, kernel, c)
    fan = kernel**2 * (1 if depthwise else c)
    weight = graph.constant(
        f"{name}/weights", rng.normal(size=shape, scale=gain / fan**0.5), "float32"
    )
    bias = graph.constant(f"{name}/bias", rng.normal(size=shape[3 if depthwise else 0], scale=0.3))
    values: dict[str, Any] = {
        **SAME,
        "StrideH": stride,
        "StrideW": stride,
        "FusedActivationFunction": getattr(tflite.ActivationFunctionType, activation),
    }
    kind, options = "CONV_2D", "Conv2DOptions"
    if depthwise:
        kind, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
        values["DepthMultiplier"] = 1
    out = (1, -(-h // stride), -(-w // stride), c if depthwise else channels)
    suffix = "BiasAdd" if activation == "NONE" else activation.title()
    return graph.op(kind, (x, weight, bias), f"{name}/{suffix}", out, options, **values)


def _hard_block(graph: Graph, x: int, name: str, rng: np.random.Generator) -> tuple[int, int]:
    """Add SE as MobileNetV3 writes it: pooled, two convolutions, ``relu6(x + 3) / 6``."""
    _, h, w, c = graph.tensors[x].shape
    pooled = graph.op(
        "AVERAGE_POOL_2D",
        (x,),
        f"{name}/AvgPool",
        (1, 1, 1, c),
        "Pool2DOptions",
        Padding=tflite.Padding.VALID,
        StrideH=1,
        StrideW=1,
        FilterHeight=h,
        FilterWidth=w,
    )
    squeezed = _layer(graph, pooled, f"{name}/Conv", c // 2, rng, activation="RELU", gain=3.0)
    excited = _layer(graph, squeezed, f"{name}/Conv_1", c, rng, gain=4.0)
    three = graph.constant(f"{name}/Conv_1/add/y", 3.0)
    sixth = graph.constant(f"{name}/Conv_1/mul/y", 1 / 6)
    relu6 = {"FusedActivationFunction": tflite.ActivationFunctionType.RELU6}
    shape = (1, 1, 1, c)
    added = graph.op("ADD", (excited, three), f"{name}/Conv_1/Relu6", shape, "AddOptions", **relu6)
    gate = graph.op("MUL", (added, sixth), f"{name}/Conv_1/mul", shape, "MulOptions")
    return graph.op("MUL", (x, gate), f"{name}/mul", (1, h, w, c), "MulOptions"), gate


def _dense_block(graph: Graph, x: int, name: str, rng: np.random.Generator) -> tuple[int, int]:
    """Add SE as Keras writes it: mean, two fully connected layers, a sigmoid, a change of shape."""
    _, h, w, c = graph.tensors[x].shape
    axes = graph.constant(f"{name}/axes", [1, 2], "int32")
    pooled = graph.op("MEAN", (x, axes), f"{name}/Mean", (1, c), "ReducerOptions", KeepDims=False)
    row = pooled
    for number, (units, activation) in enumerate(((c // 4, "RELU"), (c, "NONE"))):
        inputs = graph.tensors[row].shape[1]
        weight = graph.constant(f"{name}/fc{number}/MatMul", 3 * rng.normal(size=(units, inputs)))
        bias = graph.constant(f"{name}/fc{number}/bias", rng.normal(size=units))
        fused = getattr(tflite.ActivationFunctionType, activation)
        row = graph.op(
            "FULLY_CONNECTED",
            (row, weight, bias),
            f"{name}/fc{number}/out",
            (1, units),
            "FullyConnectedOptions",
            FusedActivationFunction=fused,
        )
    gate = graph.op("LOGISTIC", (row,), f"{name}/Sigmoid", (1, c))
    target = graph.constant(f"{name}/shape", [1, 1, 1, c], "int32")
    placed = graph.op("RESHAPE", (gate, target), f"{name}/Reshape", (1, 1, 1, c), "ReshapeOptions")
    return graph.op("MUL", (placed, x), f"{name}/mul", (1, h, w, c), "MulOptions"), gate


@dataclass(frozen=True)
class Made:
    """A file, and where in it the gates are.

    Attributes:
        content: The file.
        gates: Tensors of the gates, in forward order.
    """

    content: bytes
    gates: tuple[int, ...]


def se_network(seed: int = 0, classes: int = 10, size: int = 33) -> tuple[Graph, tuple[int, ...]]:
    """Return a float network with three SE blocks in two dialects, and the tensors of its gates."""
    rng = np.random.default_rng(seed)
    graph = Graph()
    x = graph.image(1, size, size, 3)
    x = _layer(graph, x, "net/stem", 8, rng, kernel=3, stride=2, activation="RELU6")
    gates = []
    x, gate = _hard_block(graph, x, "net/block1/se", rng)
    gates.append(gate)
    x = _layer(graph, x, "net/block2/expand", 16, rng)
    x = graph.op("HARD_SWISH", (x,), "net/block2/swish", graph.tensors[x].shape)
    x = _layer(graph, x, "net/block2/depthwise", 16, rng, kernel=5, stride=2, depthwise=True)
    before = x
    x, gate = _dense_block(graph, x, "net/block2/se", rng)
    gates.append(gate)
    x = _layer(graph, x, "net/block2/project", 16, rng)
    x = graph.op("ADD", (x, before), "net/block2/add", graph.tensors[x].shape, "AddOptions")
    pool = {"StrideH": 2, "StrideW": 2, "FilterHeight": 3, "FilterWidth": 3, **SAME}
    _, h, w, c = graph.tensors[x].shape
    x = graph.op(
        "MAX_POOL_2D", (x,), "net/pool", (1, -(-h // 2), -(-w // 2), c), "Pool2DOptions", **pool
    )
    x = _layer(graph, x, "net/block3/conv", 24, rng, kernel=3, activation="RELU")
    x, gate = _dense_block(graph, x, "net/block3/se", rng)
    gates.append(gate)
    axes = graph.constant("net/axes", [1, 2], "int32")
    x = graph.op("MEAN", (x, axes), "net/Mean", (1, 24), "ReducerOptions", KeepDims=False)
    weight = graph.constant("net/head/MatMul", rng.normal(size=(classes, 24)))
    bias = graph.constant("net/head/bias", rng.normal(size=classes))
    x = graph.op(
        "FULLY_CONNECTED",
        (x, weight, bias),
        "net/head/out",
        (1, classes),
        "FullyConnectedOptions",
    )
    x = graph.op("SOFTMAX", (x,), "net/Softmax", (1, classes), "SoftmaxOptions", Beta=1.0)
    graph.outputs.append(x)
    return graph, tuple(gates)


def in_half(graph: Graph) -> Graph:
    """Return a network with its weights in 16 bits, each behind an operator that widens it."""
    half = Graph([*graph.tensors], [], [*graph.inputs], [*graph.outputs])
    for place, tensor in enumerate(graph.tensors):
        if tensor.values is not None and tensor.dtype == "float32" and tensor.values.ndim:
            stored = half.add(
                Tensor(f"{tensor.name}_f16", tensor.shape, "float16", tensor.values.astype("<f2"))
            )
            half.tensors[place] = Tensor(tensor.name, tensor.shape)
            half.ops.append(Op("DEQUANTIZE", (stored,), (place,), "DequantizeOptions"))
    half.ops += graph.ops
    return half


def dynamic(graph: Graph) -> Graph:
    """Return a network with weights of 8 bits and maps of floating-point numbers."""

    def weights(op: Op, tensor: Tensor) -> Tensor:
        axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
        return _symmetric(tensor, per_channel=op.kind != "FULLY_CONNECTED", axis=axis)

    return _with_weights(graph, weights)


def quantised(graph: Graph, dtype: str, *, per_channel: bool, images: Array) -> Graph:
    """Return a network of whole numbers, with the ranges that it has on these images [N, H, W, C].

    Args:
        graph: A network of floating-point numbers.
        dtype: ``int8`` or ``uint8``.
        per_channel: Whether the weights of each output have a scale of their own.
        images: Float images.
    """
    reference = Reference(graph.write(), plain=True)
    low = dict.fromkeys(range(len(graph.tensors)), 0.0)
    high = dict.fromkeys(range(len(graph.tensors)), 0.0)
    made = {t for op in graph.ops for t in op.outputs} | set(graph.inputs)
    for image in images:
        reference.run(image)
        for t in made:
            values = reference.tensor(t)
            low[t], high[t] = min(low[t], values.min()), max(high[t], values.max())
    below, above = _LIMITS[dtype]

    def ranged(tensor: Tensor, least: float, most: float) -> Tensor:
        scale = max(most - least, 1e-3) / 255
        zero = round(below - least / scale)
        return Tensor(tensor.name, tensor.shape, dtype, None, (scale,), (zero,))

    def weights(op: Op, tensor: Tensor) -> Tensor:
        assert tensor.values is not None
        if op.kind in {"ADD", "MUL"} or dtype == "uint8":
            most, least = max(0.0, tensor.values.max()), min(0.0, tensor.values.min())
            found = ranged(tensor, least, most)
            whole = np.round(tensor.values / found.scale[0]) + found.zero[0]
            found.values = np.clip(whole, below, above).astype(dtype)
            return found
        axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
        return _symmetric(tensor, per_channel=per_channel, axis=axis)

    whole = _with_weights(graph, weights)
    for t in made:
        tensor = whole.tensors[t]
        if tensor.dtype == "float32":
            whole.tensors[t] = ranged(tensor, low[t], high[t])
    fixed = {"LOGISTIC": 1 / 256, "SOFTMAX": 1 / 256}
    for op in whole.ops:
        (out,) = op.outputs
        if op.kind in fixed:
            whole.tensors[out] = Tensor(
                whole.tensors[out].name,
                whole.tensors[out].shape,
                dtype,
                None,
                (fixed[op.kind],),
                (below,),
            )
        if op.kind in {"RESHAPE", "MAX_POOL_2D", "AVERAGE_POOL_2D"}:  # these keep the scale
            source = whole.tensors[op.inputs[0]]
            whole.tensors[out].scale, whole.tensors[out].zero = source.scale, source.zero
    for op in whole.ops:
        if len(op.inputs) == 3:
            x, weight, bias = (whole.tensors[t] for t in op.inputs)
            scale = np.asarray(weight.scale) * x.scale[0]
            assert bias.values is not None
            stored = np.round(bias.values / scale).astype(np.int32)
            zeros = (0,) * len(scale)
            whole.tensors[op.inputs[2]] = Tensor(
                bias.name, bias.shape, "int32", stored, tuple(scale), zeros
            )
    return whole


def _with_weights(graph: Graph, change: Callable[[Op, Tensor], Tensor]) -> Graph:
    """Return a network with other weights: the second inputs of its layers, and constant factors."""
    changed = Graph([*graph.tensors], graph.ops, [*graph.inputs], [*graph.outputs])
    for op in graph.ops:
        if len(op.inputs) < 2 or op.kind in {"MEAN", "RESHAPE"}:
            continue
        tensor = graph.tensors[op.inputs[1]]
        if tensor.values is not None:
            changed.tensors[op.inputs[1]] = change(op, tensor)
    return changed


def _symmetric(tensor: Tensor, *, per_channel: bool, axis: int = 0) -> Tensor:
    """Return weights as int8 around zero."""
    assert tensor.values is not None
    if tensor.values.ndim == 0:
        return tensor
    others = tuple(d for d in range(tensor.values.ndim) if d != axis) if per_channel else None
    most = np.abs(tensor.values).max(axis=others, keepdims=True)
    scale = most / 127
    whole = np.round(tensor.values / scale).astype(np.int8)
    flat = tuple(float(s) for s in np.ravel(scale))
    return Tensor(tensor.name, tensor.shape, "int8", whole, flat, (0,) * len(flat), axis)


def images(count: int, size: int = 33, seed: int = 1) -> Array:
    """Return smooth random images [N, H, W, 3] from -1 to 1."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-1, 1, size=(count, 4, 4, 3))
    fine = np.kron(coarse, np.ones((1, -(-size // 4), -(-size // 4), 1)))[:, :size, :size]
    return np.clip(fine + rng.normal(size=fine.shape, scale=0.1), -1, 1).astype(np.float32)


def made(kind: str, seed: int = 0) -> Made:
    """Return a network with SE: ``float``, ``half``, ``dynamic``, ``uint8``, ``int8 per channel``."""
    graph, gates = se_network(seed)
    if kind == "half":
        graph = in_half(graph)
    elif kind == "dynamic":
        graph = dynamic(graph)
    elif kind != "float":
        dtype, _, how = kind.partition(" ")
        graph = quantised(graph, dtype, per_channel=bool(how), images=images(16))
    return Made(graph.write(), gates)
