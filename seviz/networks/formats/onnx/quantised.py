"""Quantised ONNX networks, computed with the numbers that their whole numbers stand for.

Weights are dequantised once, when the file is read. Between layers nothing is rounded, but what a whole
number cannot hold is cut off as there: the range of a quantised map is often its ReLU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seviz.errors import CheckpointError
from seviz.networks.formats.graph_network import Step
from seviz.networks.formats.onnx.graph import Node, OnnxGraph
from seviz.results.stats import Array

_MICROSOFT = "com.microsoft."
# What is said of such a network.
NOT_ROUNDED = (
    "the network is quantised: it was computed with the numbers that its whole numbers stand for, not "
    "rounded between layers"
)
# What an operator on whole numbers makes before its result is rounded, after the name of that.
BEFORE_ROUNDING = ":whole"
# Whole numbers of 8 bits where no zero point tells which.
_DEFAULT = np.dtype(np.uint8)
_TYPES = {2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32}


def _along(numbers: Any, x: Any, axis: int) -> Array:
    """Return one number, or one for each slice along an axis, so that it broadcasts over ``x``."""
    array = np.asarray(numbers)
    if array.size == 1:
        return array.reshape(())
    if array.ndim == x.ndim:  # blocks
        factors = [n // m for n, m in zip(x.shape, array.shape, strict=True)]
        for dim, factor in enumerate(factors):
            array = array.repeat(factor, dim)
        return array
    return array.reshape([-1 if d == axis % x.ndim else 1 for d in range(x.ndim)])


def quantize(
    x: Any, scale: Any, zero: Any = None, *, axis: int = 1, output_dtype: int = 0, **unused: Any
) -> Any:
    """Return the numbers that are left after quantising: of a map, those within its range."""
    dtype = np.asarray(zero).dtype if zero is not None else _TYPES.get(output_dtype, _DEFAULT)
    limits = np.iinfo(dtype)
    point = np.zeros((), dtype) if zero is None else _along(zero, x, axis)
    factor = _along(scale, x, axis)
    if not isinstance(x, Tensor):
        return np.clip(np.rint(x / factor) + point, limits.min, limits.max).astype(dtype)
    low, high = (
        (np.float64(limit) - point.astype(np.float64)) * factor
        for limit in (limits.min, limits.max)
    )
    if low.size == 1:
        return torch.clamp(x, float(low), float(high))
    bounds = (torch.tensor(b, dtype=x.dtype, device=x.device) for b in (low, high))
    return torch.clamp(x, *bounds)


def _real(whole: Array, scale: Any, zero: Any) -> Array:
    real: Array = (whole.astype(np.float32) - np.asarray(zero).astype(np.float32)) * scale
    return real.astype(np.float32)


def dequantize(x: Any, scale: Any, zero: Any = None, *, axis: int = 1, **unused: Any) -> Any:
    """Return the numbers that whole ones stand for; maps hold those already."""
    if isinstance(x, Tensor):
        return x
    return _real(x, _along(scale, x, axis), 0 if zero is None else _along(zero, x, axis))


def dequantize_input(x: Tensor, scale: Any, zero: Any = None, **unused: Any) -> Tensor:
    """Return the numbers that the whole numbers of an image stand for."""
    point = 0.0 if zero is None else float(np.asarray(zero).reshape(-1)[0])
    return (x - point) * float(np.asarray(scale).reshape(-1)[0])


def stood_for(step: Step, whole: Array) -> Array | None:
    """Return the numbers that the whole ones of a map stand for, if one scale holds for all of them.

    Args:
        step: What rounds the map.
        whole: What onnxruntime gives for it.
    """
    given = dict(step.attributes.get("constants", ()))
    if step.operator != "QuantizeLinear" or np.size(given.get(1, ())) != 1:
        return None
    scale, zero = (np.asarray(given.get(i, 0.0)).reshape(()) for i in (1, 2))
    return _real(whole, scale, zero)


def rewritten(graph: OnnxGraph) -> tuple[OnnxGraph, bool]:
    """Return a graph without operators on whole numbers, and whether there were any.

    Raises:
        CheckpointError: If weights of such an operator are no constants.
    """
    rewriting = _Rewriting(graph)
    for node in graph.nodes:
        rewriting.add(node)
    changed = replace(
        graph,
        nodes=tuple(rewriting.nodes),
        numbers=rewriting.numbers,
        # All numbers that the file does not hold itself: dequantised ones, and scales of maps.
        standing=frozenset(rewriting.numbers.keys() - graph.numbers.keys()),
    )
    return changed, rewriting.found


class _Rewriting:
    """Puts operators on real numbers in place of those on whole ones."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.nodes: list[Node] = []
        self.numbers: dict[str, Array] = dict(graph.numbers)
        self.found = False
        self._name = graph.name
        self._inputs = {value.name for value in graph.inputs}
        self._real: set[str] = set()  # from DynamicQuantizeLinear: numbers, one and nothing

    def add(self, node: Node) -> None:
        kind = node.operator.removeprefix(_MICROSOFT)
        rewrite = getattr(self, f"_{kind}", None) if kind in _REWRITTEN else None
        if rewrite is None:
            self.nodes.append(node)
            return
        self.found = True
        rewrite(node)

    def _put(self, node: Node, operator: str, inputs: tuple[str, ...], **changes: Any) -> None:
        self.nodes.append(replace(node, operator=operator, inputs=inputs, **changes))

    def _then(
        self, node: Node, operator: str, inputs: tuple[str, ...], last: tuple[str, ...]
    ) -> None:
        """Add an operator, and the range of its output: ``last`` is scale and zero point."""
        (made,) = node.outputs
        whole = f"{made}{BEFORE_ROUNDING}"
        self._put(node, operator, inputs, outputs=(whole,))
        self._put(
            node,
            "QuantizeLinear",
            (whole, *last),
            attributes={},
            name=f"{node.name}/range",
        )

    def _weights(self, node: Node, w: str, scale: str, zero: str, axis: int) -> str:
        """Return the name of dequantised weights."""
        made = f"{w}:dequantised"
        if made not in self.numbers:
            number = self.numbers.get(zero) if zero else None
            self.numbers[made] = dequantize(
                self._known(node, w), self._known(node, scale), number, axis=axis
            )
        return made

    def _known(self, node: Node, name: str) -> Array:
        found = self.numbers.get(name)
        if found is None:
            raise CheckpointError(
                f"expected constant weights in node {node.shown} of {self._name}, found others in its "
                f"{node.operator}; export the network before quantisation"
            )
        return found

    def _bias(self, node: Node, bias: str, x_scale: str, w_scale: str) -> str:
        if not bias:
            return ""
        scale = self._known(node, x_scale).reshape(-1) * self._known(node, w_scale).reshape(-1)
        self.numbers[f"{bias}:dequantised"] = (
            self._known(node, bias).astype(np.float64) * scale
        ).astype(np.float32)
        return f"{bias}:dequantised"

    def _QLinearConv(self, node: Node) -> None:  # noqa: N802
        x, xs, _, w, ws, wz, *last = node.inputs
        bias = self._bias(node, last[2] if len(last) > 2 else "", xs, ws)
        self._then(node, "Conv", (x, self._weights(node, w, ws, wz, 0), bias), tuple(last[:2]))

    def _QLinearMatMul(self, node: Node) -> None:  # noqa: N802
        a, as_, az, b, bs, bz, *last = node.inputs
        given = tuple(
            self._weights(node, n, s, z, 1) if n in self.numbers else n
            for n, s, z in ((a, as_, az), (b, bs, bz))
        )
        self._then(node, "MatMul", given, tuple(last))

    def _QGemm(self, node: Node) -> None:  # noqa: N802
        a, as_, _, b, bs, bz, *last = (*node.inputs, "", "", "")[:9]
        bias = self._bias(node, last[0], as_, bs)
        axis = 0 if node.attributes.get("transB") else 1
        given = (a, self._weights(node, b, bs, bz, axis), bias)
        if last[1]:
            self._then(node, "Gemm", given, tuple(last[1:]))
        else:
            self._put(node, "Gemm", given)

    def _two(self, node: Node, operator: str) -> None:
        a, as_, az, b, bs, bz, *last = node.inputs
        given = tuple(
            self._weights(node, n, s, z, 1) if n in self.numbers else n
            for n, s, z in ((a, as_, az), (b, bs, bz))
        )
        self._then(node, operator, given, tuple(last))

    def _QLinearAdd(self, node: Node) -> None:  # noqa: N802
        self._two(node, "Add")

    def _QLinearMul(self, node: Node) -> None:  # noqa: N802
        self._two(node, "Mul")

    def _one(self, node: Node, operator: str) -> None:
        x, _, _, *last = node.inputs
        attributes = {
            k: v for k, v in node.attributes.items() if k not in ("channels_last", "opset")
        }
        if node.attributes.get("channels_last"):
            raise CheckpointError(
                f"expected channels before height and width in node {node.shown} of {self._name}, found them "
                "last; export the network before quantisation"
            )
        self._then(replace(node, attributes=attributes), operator, (x,), tuple(last))

    def _QLinearSigmoid(self, node: Node) -> None:  # noqa: N802
        self._one(node, "Sigmoid")

    def _QLinearLeakyRelu(self, node: Node) -> None:  # noqa: N802
        self._one(node, "LeakyRelu")

    def _QLinearSoftmax(self, node: Node) -> None:  # noqa: N802
        self._one(node, "Softmax")

    def _QLinearGlobalAveragePool(self, node: Node) -> None:  # noqa: N802
        self._one(node, "GlobalAveragePool")

    def _QLinearAveragePool(self, node: Node) -> None:  # noqa: N802
        self._one(node, "AveragePool")

    def _QLinearConcat(self, node: Node) -> None:  # noqa: N802
        scale, zero, *rest = node.inputs
        self._then(node, "Concat", tuple(rest[::3]), (scale, zero))

    def _QuantizeLinear(self, node: Node) -> None:  # noqa: N802
        self._put(node, "QuantizeLinear", node.inputs)

    def _DequantizeLinear(self, node: Node) -> None:  # noqa: N802
        of_image = node.inputs[0] in self._inputs
        self._put(node, "DequantizeInput" if of_image else "DequantizeLinear", node.inputs)

    def _DynamicQuantizeLinear(self, node: Node) -> None:  # noqa: N802
        numbers, scale, zero = node.outputs
        self._put(node, "Identity", node.inputs, outputs=(numbers,))
        self.numbers |= {scale: np.ones((), np.float32), zero: np.zeros((), np.uint8)}
        self._real.add(numbers)

    def _integer(self, node: Node, operator: str, axis: int) -> None:
        x, w, _, zero = (*node.inputs, "", "")[:4]
        if x not in self._real:
            self.nodes.append(node)  # will be named as unknown
            return
        one = f"{w}:one"
        self.numbers[one] = np.ones((), np.float32)
        self._put(node, operator, (x, self._weights(node, w, one, zero, axis)))

    def _ConvInteger(self, node: Node) -> None:  # noqa: N802
        self._integer(node, "Conv", 0)

    def _MatMulInteger(self, node: Node) -> None:  # noqa: N802
        self._integer(node, "MatMul", 1)


_REWRITTEN: Mapping[str, None] = {
    name.removeprefix("_"): None
    for name in vars(_Rewriting)
    if name.startswith(("_Q", "_DequantizeLinear", "_Dynamic", "_ConvInteger", "_MatMulInteger"))
}
