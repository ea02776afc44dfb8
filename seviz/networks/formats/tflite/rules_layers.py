"""Rules of TFLite's layers and of functions of single numbers: from an operator to the step that runs it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from seviz.networks.formats.graph_network import Step
from seviz.networks.formats.tflite import arithmetic
from seviz.networks.formats.tflite.fixed_point import hard_swish
from seviz.networks.formats.tflite.layout import MAP, widened
from seviz.networks.formats.tflite.rounding import rounding_of
from seviz.networks.formats.tflite.use import Rule, Use

_LAYER = ("", "weight", "bias")
_BYTE = 255


def _unary(use: Use) -> Step:
    options: dict[str, Any] = {}
    if use.kind == "LEAKY_RELU":
        options["negative_slope"] = float(use.option("Alpha", 0.0))
    if use.kind == "GELU" and use.option("Approximate", False):
        options["approximate"] = "tanh"
    return use.step(use.kind, (use.value(0),), **options)


def _hard_swish(use: Use) -> Step:
    given, made = rounding_of(use.tensor(0)), rounding_of(use.output)
    if given is None or made is None or given.high - given.low > _BYTE:
        return _unary(use)
    table = use.constant("table", torch.from_numpy(hard_swish(given, made)))
    options = {"scale": given.scale, "low": given.low}
    return use.step("looked up", (use.value(0), table), ("", "table"), **options)


def _binary(use: Use) -> Step:
    use.count(2, 2)
    is_map = any(len(use.tensor(n).shape) == MAP for n in (0, 1))
    options: dict[str, Any] = {}
    inputs: list[str] = []
    widen: list[int] = []
    for position, side in enumerate(("left", "right")):
        numbers = use.numbers(position)
        if numbers is not None and numbers.size == 1 and numbers.dtype.kind == "f":
            options[side] = float(numbers.reshape(()))
            continue
        if is_map and 0 < len(use.tensor(position).shape) < MAP:
            widen.append(len(inputs))
        inputs.append(use.value(position))
    if not inputs:  # of two constants one has to be a tensor
        del options["left"]
        inputs.append(use.value(0))
    if widen:
        options["widen"] = tuple(widen)
    return use.step(use.kind, tuple(inputs), ("weight",) * len(inputs), **options)


def _convolution(use: Use) -> Step:
    use.count(2, 3)
    numbers = use.numbers(1)
    rank = len(use.tensor(1).shape)
    if rank != MAP or len(use.tensor(0).shape) != MAP:
        raise use.refuse(f"a weight of {rank} dimensions")
    if use.kind == "DEPTHWISE_CONV_2D":
        if numbers is None:
            raise use.refuse("a weight that is known only when it runs")
        kernel = torch.from_numpy(np.array(numbers)).permute(3, 0, 1, 2)  # [1, h, w, C]
        weight = use.weight(1, kernel)
    else:
        weight = use.value(1)
    return use.step(
        "convolution",
        (use.value(0), weight, _bias(use, 2)),
        _LAYER,
        stride=use.pair("StrideH", "StrideW"),
        dilation=use.pair("DilationHFactor", "DilationWFactor"),
        same=use.same,
    )


def _bias(use: Use, position: int) -> str:
    """Return the name of a bias; empty where there is none."""
    if not use.has(position):
        return ""
    numbers = use.numbers(position)
    if numbers is None:
        return use.value(position)
    if numbers.dtype.kind != "f":  # whole numbers without a scale: it is that of the products
        given = [use.tensor(n).quantised for n in (0, 1)]
        if None in given:
            raise use.refuse("a bias of whole numbers without a scale")
        scale = math.prod(q.scale for q in given if q is not None)
        numbers = (numbers * scale).astype(np.float32)
    return use.weight(position, torch.from_numpy(np.array(numbers)).reshape(-1))


def _transposed(use: Use) -> Step:
    use.count(3, 4)
    numbers = use.numbers(1)
    if numbers is None or numbers.ndim != MAP or len(use.tensor(2).shape) != MAP:
        raise use.refuse("a weight that is known only when it runs")
    size, traced = use.output.shape[1:3], use.tensor(2).shape[1:3]
    kernel = torch.from_numpy(np.array(numbers)).permute(3, 0, 1, 2)  # [C_out, h, w, C_in]
    return use.step(
        "TRANSPOSE_CONV",
        (use.value(2), use.weight(1, kernel), _bias(use, 3)),
        _LAYER,
        stride=use.pair("StrideH", "StrideW"),
        same=use.same,
        size=size,
        traced=traced,
    )


def _pool(use: Use) -> Step:
    kernel = use.pair("FilterHeight", "FilterWidth")
    shape = use.tensor(0).shape
    if len(shape) != MAP:
        raise use.refuse(f"a map of {len(shape)} dimensions")
    stride = use.pair("StrideH", "StrideW")
    if use.kind == "AVERAGE_POOL_2D" and kernel == shape[1:3] and not use.same:
        return use.step("global average", (use.value(0),))
    return use.step(use.kind, (use.value(0),), kernel=kernel, stride=stride, same=use.same)


def _connected(use: Use) -> Step:
    use.count(2, 3)
    if use.option("WeightsFormat", 0) or len(use.tensor(1).shape) != 2:
        raise use.refuse("shuffled weights")
    return use.step(
        "FULLY_CONNECTED",
        (use.value(0), use.value(1), _bias(use, 2)),
        _LAYER,
        keep=bool(use.option("KeepNumDims", False)),
    )


def _reduction(use: Use) -> Step:
    rank = len(use.tensor(0).shape)
    axes = tuple(sorted({use.axis(n, rank) for n in use.integers(1)}))
    keep = bool(use.option("KeepDims", False))
    return use.step("reduce", (use.value(0),), kind=use.kind, axes=axes, keep=keep)


def _softmax(use: Use) -> Step:
    options: dict[str, Any] = {}
    if use.kind == "SOFTMAX":
        options["beta"] = float(use.option("Beta", 1.0))
    axis = use.held_axis(-1, len(use.tensor(0).shape))
    return use.step(use.kind, (use.value(0),), axis=axis, **options)


def _normalised(use: Use) -> Step:
    return use.step(use.kind, (use.value(0),), axis=use.held_axis(-1, len(use.tensor(0).shape)))


def _prelu(use: Use) -> Step:
    use.count(2, 2)
    numbers, shape = use.numbers(1), use.tensor(0).shape
    if numbers is not None and shape and numbers.size == numbers.shape[-1] == shape[-1]:
        slope = use.weight(1, torch.from_numpy(np.array(numbers)).reshape(-1))
    elif numbers is not None and len(shape) == MAP and 0 < numbers.ndim < MAP:
        slope = use.weight(1, widened(torch.from_numpy(np.array(numbers))))
    else:
        slope = use.value(1)
    return use.step("PRELU", (use.value(0), slope), ("", "weight"))


def _matrix_product(use: Use) -> Step:
    turn = (bool(use.option("AdjX", False)), bool(use.option("AdjY", False)))
    return use.step(use.kind, (use.value(0), use.value(1)), ("weight", "weight"), turn=turn)


LAYERS: Mapping[str, Rule] = {
    **dict.fromkeys(arithmetic.UNARY, _unary),
    **dict.fromkeys(arithmetic.BINARY, _binary),
    "HARD_SWISH": _hard_swish,
    **dict.fromkeys(arithmetic.REDUCTIONS, _reduction),
    "AVERAGE_POOL_2D": _pool,
    "BATCH_MATMUL": _matrix_product,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _connected,
    "L2_NORMALIZATION": _normalised,
    "LOG_SOFTMAX": _softmax,
    "MAX_POOL_2D": _pool,
    "PRELU": _prelu,
    "SOFTMAX": _softmax,
    "TRANSPOSE_CONV": _transposed,
}
