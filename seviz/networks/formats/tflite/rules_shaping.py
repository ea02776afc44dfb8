"""Rules of TFLite's operators that move numbers about: from an operator to the step that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seviz.networks.formats.graph_network import Step
from seviz.networks.formats.tflite.layout import MAP, held_axis, held_order
from seviz.networks.formats.tflite.use import Rule, Use

# More than this many times larger than itself nothing is made: of a damaged file, it would fill the memory.
_MOST_SIDES = 1 << 14


def _many(use: Use) -> Step:
    inputs = tuple(use.value(n) for n in range(len(use.entry.inputs)))
    rank = len(use.output.shape)
    options: dict[str, Any] = {}
    if use.kind == "CONCATENATION":
        options["axis"] = use.held_axis(use.option("Axis", 0), rank)
    elif use.kind == "PACK":
        options["axis"] = use.axis(use.option("Axis", 0), rank)
    return use.step(use.kind, inputs, ("weight",) * len(inputs), **options)


def _unpack(use: Use) -> Step:
    axis = use.axis(use.option("Axis", 0), len(use.tensor(0).shape))
    return use.step("UNPACK", (use.value(0),), axis=axis)


def _split(use: Use) -> Step:
    by_size = use.kind == "SPLIT_V"
    source, along = (0, 2) if by_size else (1, 0)
    shape = use.tensor(source).shape
    axis = use.axis(use.integers(along)[0], len(shape))
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
    axis = use.axis(use.option("Axis", 0), len(use.tensor(0).shape))
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


SHAPING: Mapping[str, Rule] = {
    "ADD_N": _many,
    "BATCH_TO_SPACE_ND": _space_and_batch,
    "BROADCAST_TO": _broadcast,
    "CONCATENATION": _many,
    "DEPTH_TO_SPACE": _blocks,
    "EXPAND_DIMS": _reshape,
    "GATHER": _gather,
    "MIRROR_PAD": _mirror,
    "PACK": _many,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SLICE": _slice,
    "SPACE_TO_BATCH_ND": _space_and_batch,
    "SPACE_TO_DEPTH": _blocks,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
