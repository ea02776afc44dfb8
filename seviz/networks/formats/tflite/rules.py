"""What each operator of TFLite becomes: a table from its name to a rule.

A rule reads options and constants of one operator, and returns the step that runs it; activations and
rounding that belong to the operator are added by `seviz.networks.formats.tflite.network`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from seviz.networks.formats.graph_network import Step
from seviz.networks.formats.tflite import arithmetic, shaping, windows
from seviz.networks.formats.tflite.fixed_point import hard_swish
from seviz.networks.formats.tflite.layout import MAP, held_axis, held_order, widened
from seviz.networks.formats.tflite.rounding import looked_up, rounded, rounded_up, rounding_of
from seviz.networks.formats.tflite.use import Use

Rule = Callable[[Use], Step]
# More than this many times larger than itself nothing is made: of a damaged file, it would fill the memory.
_MOST_SIDES = 1 << 14
_LAYER = ("", "weight", "bias")
_BYTE = 255


def _identity(x: Any) -> Any:
    return x


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **arithmetic.UNARY,
    **arithmetic.BINARY,
    "ADD_N": arithmetic.add_all,
    "BATCH_MATMUL": arithmetic.matrix_product,
    "FULLY_CONNECTED": arithmetic.fully_connected,
    "L2_NORMALIZATION": arithmetic.normalised,
    "LOG_SOFTMAX": arithmetic.log_softmax,
    "PRELU": arithmetic.prelu,
    "SOFTMAX": arithmetic.softmax,
    "reduce": arithmetic.reduce,
    "BATCH_TO_SPACE_ND": shaping.batch_to_space,
    "BROADCAST_TO": shaping.broadcast,
    "CONCATENATION": shaping.concatenate,
    "DEPTH_TO_SPACE": shaping.depth_to_space,
    "GATHER": shaping.gather,
    "PACK": shaping.stack,
    "RESHAPE": shaping.reshape,
    "SPACE_TO_BATCH_ND": shaping.space_to_batch,
    "SPACE_TO_DEPTH": shaping.space_to_depth,
    "SPLIT": shaping.split,
    "TILE": shaping.tile,
    "TRANSPOSE": shaping.transpose,
    "UNPACK": shaping.unstack,
    "cut": shaping.cut,
    "pad": shaping.pad,
    "AVERAGE_POOL_2D": windows.average_pool,
    "MAX_POOL_2D": windows.max_pool,
    "TRANSPOSE_CONV": windows.transposed_convolution,
    "convolution": windows.convolution,
    "global average": windows.global_average,
    "resize": windows.resize,
    "identity": _identity,
    "looked up": looked_up,
    "rounding": rounded,
    "rounding up": rounded_up,
}


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
    axes = tuple(sorted({_axis(use, n, rank) for n in use.integers(1)}))
    keep = bool(use.option("KeepDims", False))
    return use.step("reduce", (use.value(0),), kind=use.kind, axes=axes, keep=keep)


def _axis(use: Use, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise use.refuse(f"dimension {axis} of {rank}")
    return axis % rank


def _held_axis(use: Use, axis: int, rank: int) -> int:
    return held_axis(_axis(use, axis, rank), rank)


def _softmax(use: Use) -> Step:
    options: dict[str, Any] = {}
    if use.kind == "SOFTMAX":
        options["beta"] = float(use.option("Beta", 1.0))
    axis = _held_axis(use, -1, len(use.tensor(0).shape))
    return use.step(use.kind, (use.value(0),), axis=axis, **options)


def _normalised(use: Use) -> Step:
    return use.step(use.kind, (use.value(0),), axis=_held_axis(use, -1, len(use.tensor(0).shape)))


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


def _many(use: Use) -> Step:
    inputs = tuple(use.value(n) for n in range(len(use.entry.inputs)))
    rank = len(use.output.shape)
    options: dict[str, Any] = {}
    if use.kind == "CONCATENATION":
        options["axis"] = _held_axis(use, use.option("Axis", 0), rank)
    elif use.kind == "PACK":
        options["axis"] = _axis(use, use.option("Axis", 0), rank)
    return use.step(use.kind, inputs, ("weight",) * len(inputs), **options)


def _unpack(use: Use) -> Step:
    axis = _axis(use, use.option("Axis", 0), len(use.tensor(0).shape))
    return use.step("UNPACK", (use.value(0),), axis=axis)


def _split(use: Use) -> Step:
    by_size = use.kind == "SPLIT_V"
    source, along = (0, 2) if by_size else (1, 0)
    shape = use.tensor(source).shape
    axis = _axis(use, use.integers(along)[0], len(shape))
    parts = len(use.entry.outputs)
    if by_size:
        sizes = list(use.integers(1))
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = shape[axis] - sum(sizes) - 1
    else:
        sizes = [shape[axis] // parts] * parts
    if min(sizes, default=-1) < 0 or sum(sizes) != shape[axis]:
        raise use.refuse(f"parts of {sizes} of {shape[axis]}")
    return use.step(
        "SPLIT", (use.value(source),), sizes=tuple(sizes), axis=held_axis(axis, len(shape))
    )


def _reshape(use: Use) -> Step:
    before, after = use.tensor(0).shape, use.output.shape
    images = use.source.images
    if before[:1] == after[:1] == (images,):
        shape: tuple[int | None, ...] = (None, *after[1:])
    elif before and after and before[0] % images == 0 and after[0] % images == 0:
        shape = (-1, *after[1:])  # images and parts of them in one dimension
    else:
        shape = after
    return use.step("RESHAPE", (use.value(0),), shape=shape)


def _transpose(use: Use) -> Step:
    order, rank = use.integers(1), len(use.tensor(0).shape)
    if sorted(order) != list(range(rank)):
        raise use.refuse(f"the order {list(order)} of {rank} dimensions")
    return use.step("TRANSPOSE", (use.value(0),), order=order)


def _slice(use: Use) -> Step:
    shape = use.tensor(0).shape
    begin, size = use.integers(1), use.integers(2)
    if not len(begin) == len(size) == len(shape):
        raise use.refuse(f"parts of {len(begin)} of {len(shape)} dimensions")
    slices = [(b, n if s == -1 else b + s, 1) for b, s, n in zip(begin, size, shape, strict=True)]
    return _cut(use, slices, ())


def _strided(use: Use) -> Step:
    shape = use.tensor(0).shape
    begin, end, steps = (use.integers(n) for n in (1, 2, 3))
    masks = [use.option(f"{name}Mask", 0) for name in ("Begin", "End", "ShrinkAxis")]
    if use.option("EllipsisMask", 0) or use.option("NewAxisMask", 0) or len(begin) > len(shape):
        raise use.refuse("a part with an ellipsis or a new dimension")
    slices, drop = [], []
    for dim, (n, b, e, s) in enumerate(zip(shape, begin, end, steps, strict=False)):
        bit = 1 << dim
        if masks[2] & bit:
            first = b + n if b < 0 else b
            slices.append((first, first + 1, 1))
            drop.append(dim)
            continue
        if s == 0:
            raise use.refuse("a step of 0")
        low, high, step = slice(
            None if masks[0] & bit else b, None if masks[1] & bit else e, s
        ).indices(n)
        slices.append((low, high, step))
    slices += [(0, n, 1) for n in shape[len(slices) :]]
    return _cut(use, slices, tuple(drop))


def _cut(use: Use, slices: list[tuple[int, int, int]], drop: tuple[int, ...]) -> Step:
    """Return a part; what is a whole dimension stays one for images and batches of any size."""
    shape = use.tensor(0).shape
    parts = [
        None if given == (0, n, 1) and dim not in drop else given
        for dim, (given, n) in enumerate(zip(slices, shape, strict=True))
    ]
    return use.step("cut", (use.value(0),), slices=tuple(parts), drop=drop)


def _gather(use: Use) -> Step:
    if use.option("BatchDims", 0):
        raise use.refuse("places that differ from image to image")
    axis = _axis(use, use.option("Axis", 0), len(use.tensor(0).shape))
    return use.step("GATHER", (use.value(0), use.value(1)), ("weight", "places"), axis=axis)


def _amounts(use: Use, position: int = 1) -> tuple[int, ...]:
    """Return paddings as PyTorch takes them: of the last dimension first."""
    found = use.integers(position)
    rank = len(use.tensor(0).shape)
    if len(found) != 2 * rank or not all(0 <= n <= _MOST_SIDES for n in found):
        raise use.refuse(f"paddings of {len(found) // 2} of {rank} dimensions")
    pairs = held_order([found[2 * n : 2 * n + 2] for n in range(rank)])
    return tuple(n for pair in reversed(pairs) for n in pair)


def _pad(use: Use) -> Step:
    amounts = _amounts(use)
    value = 0.0
    if use.kind == "PADV2":
        given = use.numbers(2)
        if given is None:
            raise use.refuse("a padding that is known only when it runs")
        value = float(given.reshape(()))
    return use.step("pad", (use.value(0),), amounts=amounts, value=value)


def _mirror(use: Use) -> Step:
    if use.option("Mode", 0) != 0:
        raise use.refuse("symmetric padding")
    amounts = _amounts(use)
    while amounts[-2:] == (0, 0):
        amounts = amounts[:-2]
    return use.step("pad", (use.value(0),), amounts=amounts, mode="reflect")


def _tile(use: Use) -> Step:
    times = use.integers(1)
    rank = len(use.tensor(0).shape)
    if len(times) != rank or not all(1 <= n <= _MOST_SIDES for n in times):
        raise use.refuse(f"{len(times)} repetitions of {rank} dimensions")
    return use.step("TILE", (use.value(0),), times=held_order(times))


def _broadcast(use: Use) -> Step:
    before, after = use.tensor(0).shape, use.output.shape
    full = (1,) * (len(after) - len(before)) + before
    shape = [-1 if n == m else m for n, m in zip(full, after, strict=True)]
    return use.step("BROADCAST_TO", (use.value(0),), ("weight",), shape=held_order(shape))


def _blocks(use: Use) -> Step:
    block = use.option("BlockSize", 0)
    shape = use.tensor(0).shape
    if not 1 <= block <= _MOST_SIDES or len(shape) != MAP:
        raise use.refuse(f"blocks of {block}")
    return use.step(use.kind, (use.value(0),), block=block)


def _space_and_batch(use: Use) -> Step:
    block, around = use.integers(1), use.integers(2)
    if len(block) != 2 or len(around) != 4 or len(use.tensor(0).shape) != MAP:
        raise use.refuse(f"blocks of {len(block)} dimensions")
    if not all(1 <= n <= _MOST_SIDES for n in block) or not all(
        0 <= n <= _MOST_SIDES for n in around
    ):
        raise use.refuse(f"blocks of {list(block)}")
    if use.kind == "SPACE_TO_BATCH_ND":
        amounts = (around[2], around[3], around[0], around[1])
        return use.step(use.kind, (use.value(0),), block=block, amounts=amounts)
    return use.step(use.kind, (use.value(0),), block=block, crops=around)


def _resize(use: Use) -> Step:
    before, after = use.tensor(0).shape, use.output.shape
    if len(before) != MAP or len(after) != MAP or min(before[1:3]) < 1:
        raise use.refuse(f"a map of {len(before)} dimensions")
    return use.step(
        "resize",
        (use.value(0),),
        factors=(after[1] / before[1], after[2] / before[2]),
        linear=use.kind == "RESIZE_BILINEAR",
        align_corners=bool(use.option("AlignCorners", False)),
        half_pixel=bool(use.option("HalfPixelCenters", False)),
    )


def _same_numbers(use: Use) -> Step:
    return use.step("identity", (use.value(0),))


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(arithmetic.UNARY, _unary),
    **dict.fromkeys(arithmetic.BINARY, _binary),
    "HARD_SWISH": _hard_swish,
    **dict.fromkeys(arithmetic.REDUCTIONS, _reduction),
    "ADD_N": _many,
    "AVERAGE_POOL_2D": _pool,
    "BATCH_MATMUL": _matrix_product,
    "BATCH_TO_SPACE_ND": _space_and_batch,
    "BROADCAST_TO": _broadcast,
    "CAST": _same_numbers,
    "CONCATENATION": _many,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "DEPTH_TO_SPACE": _blocks,
    "DEQUANTIZE": _same_numbers,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _connected,
    "GATHER": _gather,
    "L2_NORMALIZATION": _normalised,
    "LOG_SOFTMAX": _softmax,
    "MAX_POOL_2D": _pool,
    "MIRROR_PAD": _mirror,
    "PACK": _many,
    "PAD": _pad,
    "PADV2": _pad,
    "PRELU": _prelu,
    "QUANTIZE": _same_numbers,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SLICE": _slice,
    "SOFTMAX": _softmax,
    "SPACE_TO_BATCH_ND": _space_and_batch,
    "SPACE_TO_DEPTH": _blocks,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transposed,
    "UNPACK": _unpack,
}

# What only moves numbers, or takes some of them: what was rounded is rounded.
MOVES = frozenset(
    [
        *(
            "BATCH_TO_SPACE_ND",
            "DEPTH_TO_SPACE",
            "EXPAND_DIMS",
            "GATHER",
            "MAX_POOL_2D",
            "PAD",
            "RESHAPE",
        ),
        *(
            "RESIZE_NEAREST_NEIGHBOR",
            "SLICE",
            "SPACE_TO_BATCH_ND",
            "SPACE_TO_DEPTH",
            "SPLIT",
            "SQUEEZE",
        ),
        *("STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK"),
    ]
)
