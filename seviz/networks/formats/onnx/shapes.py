"""ONNX's operators that move numbers about or reduce them, on PyTorch tensors or on sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seviz.results.stats import Array

# Far more sizes than a network computes with; a constant of a file may claim any number.
_MOST_SIZES = 1 << 20


def whole_numbers(value: Any) -> list[Any]:
    """Return sizes, axes or the like as a list."""
    if isinstance(value, Tensor):
        return list(value.flatten().tolist())
    return list(np.asarray(value).reshape(-1).tolist())


def _checked(count: Any) -> None:
    if isinstance(count, int | np.integer) and count > _MOST_SIZES:
        raise ValueError(f"{count:,} numbers for a size")


def shape_of(x: Any, *, start: int = 0, end: int | None = None) -> Array:
    """Return the sizes of a value."""
    sizes = list(np.shape(x) if not isinstance(x, Tensor) else x.shape)[slice(start, end)]
    return np.array(sizes, np.int64 if all(type(n) is int for n in sizes) else object)


def size_of(x: Any) -> Array:
    """Return how many numbers a value has."""
    return np.asarray(math.prod(x.shape))


def reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    """Return the same numbers in another shape: 0 keeps a size, -1 is what is left."""
    sizes = whole_numbers(shape)
    if not allowzero:
        sizes = [x.shape[i] if isinstance(n, int) and n == 0 else n for i, n in enumerate(sizes)]
    return x.reshape(sizes)


def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """Return a matrix: the dimensions before an axis, and those from it on."""
    if axis % max(x.dim(), 1) == 1 and axis != x.dim():
        return x.flatten(1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def transpose(x: Any, *, perm: Sequence[int] | None = None) -> Any:
    """Return the dimensions in another order; by default the other way round."""
    order = tuple(perm) if perm is not None else tuple(reversed(range(x.ndim)))
    return x.permute(order) if isinstance(x, Tensor) else np.transpose(x, order)


def squeeze(x: Any, axes: Any = None, **attributes: Any) -> Any:
    """Return a value without dimensions of size 1: those named, or all."""
    axes = attributes.get("axes", axes)
    if axes is None:
        return x.squeeze()
    named = tuple(a % max(x.ndim, 1) for a in whole_numbers(axes))
    return x.squeeze(named) if isinstance(x, Tensor) else np.squeeze(x, named)


def unsqueeze(x: Any, axes: Any = None, **attributes: Any) -> Any:
    """Return a value with more dimensions of size 1."""
    named = whole_numbers(attributes.get("axes", axes))
    rank = x.ndim + len(named)
    for axis in sorted(a % rank for a in named):
        x = x.unsqueeze(axis) if isinstance(x, Tensor) else np.expand_dims(x, axis)
    return x


def concat(*values: Any, axis: int) -> Any:
    """Return values one behind the other."""
    like = next((v for v in values if isinstance(v, Tensor)), None)
    if like is None:
        return np.concatenate([np.atleast_1d(v) for v in values], axis)
    given = [v if isinstance(v, Tensor) else torch.as_tensor(v, device=like.device) for v in values]
    return torch.cat(given, axis)


def split(
    x: Any, sizes: Any = None, *, axis: int = 0, outputs: int, **attributes: Any
) -> tuple[Any, ...]:
    """Return parts: of the sizes that are given, or equal ones."""
    sizes = attributes.get("split", sizes)
    if sizes is None:
        each = -(-x.shape[axis] // outputs)
        named = [each] * (outputs - 1) + [x.shape[axis] - each * (outputs - 1)]
    else:
        named = whole_numbers(sizes)
    if isinstance(x, Tensor):
        return torch.split(x, named, axis)
    return tuple(np.split(x, np.cumsum(named)[:-1], axis))


def slice_(
    x: Any,
    starts: Any = None,
    ends: Any = None,
    axes: Any = None,
    steps: Any = None,
    **attributes: Any,
) -> Any:
    """Return a part of a value; before opset 10 its ends were attributes."""
    first = whole_numbers(attributes.get("starts", starts))
    last = whole_numbers(attributes.get("ends", ends))
    axes = attributes.get("axes", axes)
    along = whole_numbers(axes) if axes is not None else list(range(len(first)))
    by = whole_numbers(steps) if steps is not None else [1] * len(first)
    for axis, start, end, step in zip(along, first, last, by, strict=True):
        if not isinstance(x, Tensor):
            index = [slice(None)] * x.ndim
            index[axis] = _cut(start, end, step)
            x = x[tuple(index)]
        elif step > 0:
            sides: list[Any] = [slice(None)] * x.dim()
            sides[axis] = _cut(start, end, step)
            if sides[axis] != slice(None):
                x = x[tuple(sides)]
        else:
            picked = torch.arange(*_cut(start, end, step).indices(x.shape[axis]), device=x.device)
            x = x.index_select(axis % x.dim(), picked)
    return x


def _cut(start: Any, end: Any, step: int) -> slice:
    """Return a slice of Python's; ONNX writes its open ends as very large numbers."""
    far = 1 << 31
    is_open = isinstance(end, int) and (end >= far - 1 if step > 0 else end <= 1 - far)
    begins = None if isinstance(start, int) and start == 0 and step > 0 else start
    return slice(begins, None if is_open else end, None if step == 1 else step)


def gather(x: Any, indices: Any, *, axis: int = 0) -> Any:
    """Return what lies at places along an axis."""
    if not isinstance(x, Tensor) and not isinstance(indices, Tensor):
        places = np.asarray(indices)
        _checked(places.size * max(x.size // max(x.shape[axis], 1), 1))
        return np.take(x, places.astype(np.int64), axis)
    if not isinstance(x, Tensor):
        x = torch.as_tensor(x, device=indices.device)
    axis %= x.dim()
    if not isinstance(indices, Tensor):
        places = np.asarray(indices)
        if places.ndim == 0:
            return x.select(axis, int(places))
        indices = torch.as_tensor(places, device=x.device)
    if indices.dim() == 0:
        return x.select(axis, int(indices))
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    picked = x.index_select(axis, indices.reshape(-1))
    return picked.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def expand(x: Any, shape: Any) -> Any:
    """Return a value repeated along dimensions of size 1, as NumPy broadcasts."""
    sizes = whole_numbers(shape)
    if not isinstance(x, Tensor):
        wanted = np.broadcast_shapes(np.shape(x), tuple(sizes))
        _checked(math.prod(wanted))
        return np.broadcast_to(x, wanted).copy()
    extra = len(sizes) - x.dim()
    own = [1] * max(extra, 0) + list(x.shape)
    asked = [1] * max(-extra, 0) + sizes
    return x.expand(
        [o if isinstance(a, int) and a == 1 else a for o, a in zip(own, asked, strict=True)]
    )


def tile(x: Any, repeats: Any) -> Any:
    """Return a value several times along each dimension."""
    times = whole_numbers(repeats)
    if isinstance(x, Tensor):
        return x.repeat(times)
    _checked(math.prod(times) * x.size)
    return np.tile(x, times)


_PAD_MODES = {"edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def pad(
    x: Tensor,
    pads: Any = None,
    value: Any = None,
    axes: Any = None,
    *,
    mode: str = "constant",
    **attributes: Any,
) -> Tensor:
    """Return a map with more around it; before opset 11 how much was an attribute."""
    sides = whole_numbers(attributes.get("pads", pads))
    filler = attributes.get("value", value)
    number = 0.0 if filler is None else float(np.asarray(filler).reshape(-1)[0])
    count = len(sides) // 2
    along = [a % x.dim() for a in whole_numbers(axes)] if axes is not None else list(range(count))
    around = {a: (sides[i], sides[i + count]) for i, a in enumerate(along)}
    flat = [n for a in reversed(range(x.dim())) for n in around.get(a, (0, 0))]
    if mode == "constant":
        while len(flat) > 2 and flat[-2:] == [0, 0]:
            flat = flat[:-2]
        return F.pad(x, flat, value=number)
    if any(n < 0 for n in flat):
        raise NotImplementedError(f"Pad with mode {mode} that cuts")
    while len(flat) > 2 and flat[-2:] == [0, 0]:
        flat = flat[:-2]
    return F.pad(x, flat, mode=_PAD_MODES[mode])


def constant_of_shape(shape: Any, *, value: Any = None) -> Any:
    """Return one number many times."""
    sizes = whole_numbers(shape)
    number = np.zeros(1, np.float32) if value is None else np.asarray(value).reshape(-1)[:1]
    if all(isinstance(n, int) for n in sizes):
        _checked(math.prod(sizes))
        return np.full(sizes, number[0], number.dtype)
    return torch.full(sizes, number[0].item())


def range_(start: Any, limit: Any, delta: Any) -> Any:
    """Return numbers from a first one on, at equal distances."""
    first, end, step = (np.asarray(v).reshape(-1)[0] for v in (start, limit, delta))
    _checked(int(max((end - first) / step, 0)))
    return np.arange(first, end, step)


def reduction(
    on_tensors: Callable[..., Any], on_sizes: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Return ONNX's form of a reduction.

    Args:
        on_tensors: Takes a tensor, dimensions and whether those are kept.
        on_sizes: Takes an array, ``axis`` and ``keepdims``.
    """

    def compute(
        x: Any,
        axes: Any = None,
        *,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
        **attributes: Any,
    ) -> Any:
        axes = attributes.get("axes", axes)
        named = whole_numbers(axes) if axes is not None else []
        if not named and noop_with_empty_axes:
            return x
        dims = tuple(a % x.ndim for a in named) if named else tuple(range(x.ndim))
        if isinstance(x, Tensor):
            return on_tensors(x, dims, bool(keepdims))
        if on_sizes is None:
            raise NotImplementedError("this reduction of sizes")
        return np.asarray(on_sizes(x, axis=dims, keepdims=bool(keepdims)))

    return compute


def _product(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:
    for dim in sorted(dims, reverse=True):
        x = x.prod(dim, keepdim=keep)
    return x


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceL1": reduction(lambda x, d, k: x.abs().sum(d, keepdim=k)),
    "ReduceL2": reduction(lambda x, d, k: torch.linalg.vector_norm(x, 2, d, keepdim=k)),
    "ReduceLogSum": reduction(lambda x, d, k: x.sum(d, keepdim=k).log()),
    "ReduceLogSumExp": reduction(lambda x, d, k: x.logsumexp(d, keepdim=k)),
    "ReduceMax": reduction(lambda x, d, k: x.amax(d, keepdim=k), np.max),
    "ReduceMean": reduction(lambda x, d, k: x.mean(d, keepdim=k), np.mean),
    "ReduceMin": reduction(lambda x, d, k: x.amin(d, keepdim=k), np.min),
    "ReduceProd": reduction(_product, np.prod),
    "ReduceSum": reduction(lambda x, d, k: x.sum(d, keepdim=k), np.sum),
    "ReduceSumSquare": reduction(lambda x, d, k: (x * x).sum(d, keepdim=k)),
}


def arg_max(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """Return where the largest number along an axis is."""
    if select_last_index:
        last = x.shape[axis] - 1 - x.flip(axis).argmax(axis, keepdim=bool(keepdims))
        return torch.as_tensor(last)
    return x.argmax(axis, keepdim=bool(keepdims))


def arg_min(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """Return where the smallest number along an axis is."""
    return arg_max(-x, axis=axis, keepdims=keepdims, select_last_index=select_last_index)


def top_k(
    x: Tensor,
    k: Any = None,
    *,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,
    **attributes: Any,
) -> tuple[Tensor, Tensor]:
    """Return the largest numbers along an axis, and where they are."""
    (count,) = whole_numbers(attributes.get("k", k))
    values, places = torch.topk(x, count, axis, bool(largest), bool(sorted))
    return values, places


def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Return channels laid out as pixels."""
    n, c, h, w = x.shape
    small = c // blocksize**2
    if mode == "CRD":
        return F.pixel_shuffle(x, blocksize)
    parts = x.reshape(n, blocksize, blocksize, small, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, small, h * blocksize, w * blocksize)


def space_to_depth(x: Tensor, *, blocksize: int) -> Tensor:
    """Return pixels laid out as channels."""
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(
        n, c * blocksize**2, h // blocksize, w // blocksize
    )
