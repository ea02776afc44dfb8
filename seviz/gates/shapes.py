"""Operators of convolutional networks on the meta device, by their shapes alone.

A meta tensor has no numbers, and what an operator gives is its shape. Torch finds that in Python, with
symbolic algebra; for the first operator it loads SymPy and its compiler, which takes two seconds, and each
takes up to a millisecond. Here are the rules of the few operators that such networks are made of. They
answer for plain tensors and arguments that fit; everything else is left to torch, its errors too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

Shape: TypeAlias = Sequence[int]
# From the arguments of an operator to the shape of its one result; None for what is left to torch.
Rule: TypeAlias = Callable[..., Shape | None]

_aten = torch.ops.aten


def run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run an operator: by a rule, if there is one for such arguments, else by torch."""
    if func is _aten.native_batch_norm.default and not kwargs and args[0].is_meta and not args[5]:
        # Evaluating; the other two results are not used then.
        maps, channels = args[0], args[0].shape[1]
        like = maps.new_empty(maps.shape) if maps.is_contiguous() else torch.empty_like(maps)
        return like, maps.new_empty(channels), maps.new_empty(channels)
    rule = _RULES.get(func)
    if rule is None or kwargs or not _plain(args, in_order=func not in _ANY_STRIDES):
        return func(*args, **kwargs)
    shape = rule(*args)
    if shape is None:
        return func(*args)
    like = next(leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor))
    if func in _IN_PLACE:
        return like if tuple(shape) == tuple(like.shape) else func(*args)
    made = like.new_empty(tuple(shape))
    if func is _aten.max_pool2d_with_indices.default:
        return made, torch.empty(tuple(shape), dtype=torch.int64, device=like.device)
    return made


def _plain(args: Sequence[Any], *, in_order: bool) -> bool:
    """Return whether all tensors are on the meta device, in order, and of one floating-point type."""
    tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
    return bool(tensors) and all(
        t.is_meta
        and t.dtype == tensors[0].dtype
        and t.is_floating_point()
        and (not in_order or _in_order(t))
        and type(t) in (Tensor, torch.nn.Parameter)
        and t.numel() > 0
        for t in tensors
    )


def _in_order(tensor: Tensor) -> bool:
    """Return whether later dimensions are closer in memory; what is made of such tensors is contiguous."""
    steps = [s for n, s in zip(tensor.shape, tensor.stride(), strict=True) if n > 1 and s > 0]
    return all(a > b for a, b in pairwise(steps))


def _same(of: Tensor, *_: Any) -> Shape:
    return of.shape


def _between(of: Tensor, low: Any = None, high: Any = None) -> Shape | None:
    return None if low is None and high is None else of.shape


def _broadcast(a: Any, b: Any) -> Shape | None:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor | float | int):
        return None
    if not isinstance(b, Tensor):
        return a.shape
    most = max(a.dim(), b.dim())
    pairs = [
        (n, m)
        for n, m in zip(
            (1,) * (most - a.dim()) + tuple(a.shape),
            (1,) * (most - b.dim()) + tuple(b.shape),
            strict=True,
        )
    ]
    if any(n != m and 1 not in (n, m) for n, m in pairs):
        return None
    shape = [max(pair) for pair in pairs]
    if list(a.shape) != shape and list(b.shape) != shape:
        return None  # neither is of that shape: the order of dimensions in memory is torch's to say
    return shape


def _convolution(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    transposed: bool,
    output_padding: Shape,
    groups: int,
) -> Shape | None:
    dims = weight.dim() - 2
    if transposed or image.dim() != weight.dim() or image.shape[1] != weight.shape[1] * groups:
        return None
    if weight.shape[0] % groups or (bias is not None and bias.shape != weight.shape[:1]):
        return None
    sizes = _windows(image.shape[2:], weight.shape[2:], stride, padding, dilation)
    return None if sizes is None or dims < 1 else [image.shape[0], weight.shape[0], *sizes]


def _windows(
    size: Shape,
    kernel: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    ceil_mode: bool = False,
) -> list[int] | None:
    """Return how often a window fits in each dimension; ``None`` where it does not."""
    found = []
    for i, n in enumerate(size):
        k, s, p, d = (
            values[i if len(values) > 1 else 0] for values in (kernel, stride, padding, dilation)
        )
        reach = n + 2 * p - d * (k - 1) - 1
        if reach < 0 or s < 1 or p < 0:
            return None
        count = -(-reach // s) + 1 if ceil_mode else reach // s + 1
        # The last window begins inside the image or the padding on its left.
        found.append(count - 1 if ceil_mode and (count - 1) * s >= n + p else count)
    return found


def _max_pool(
    maps: Tensor,
    kernel: Shape,
    stride: Shape = (),
    padding: Shape = (0,),
    dilation: Shape = (1,),
    ceil_mode: bool = False,
) -> Shape | None:
    return _pool(maps, kernel, stride, padding, dilation, ceil_mode)


def _average_pool(
    maps: Tensor,
    kernel: Shape,
    stride: Shape = (),
    padding: Shape = (0,),
    ceil_mode: bool = False,
    *_: Any,
) -> Shape | None:
    return _pool(maps, kernel, stride, padding, (1,), ceil_mode)


def _pool(
    maps: Tensor, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil_mode: bool
) -> Shape | None:
    if maps.dim() != 4 or any(2 * p > k for p, k in zip(padding, kernel, strict=False)):
        return None
    sizes = _windows(maps.shape[2:], kernel, stride or kernel, padding, dilation, ceil_mode)
    return None if sizes is None else [*maps.shape[:2], *sizes]


def _adaptive_pool(maps: Tensor, size: Shape) -> Shape | None:
    fits = maps.dim() == 4 and len(size) == 2 and min(size) > 0
    return [*maps.shape[:2], *size] if fits else None


def _reduced(of: Tensor, dims: Shape | None = None, keep: bool = False) -> Shape | None:
    if dims is None or len(dims) == 0 or any(not -of.dim() <= d < of.dim() for d in dims):
        return None
    gone = {d % of.dim() for d in dims}
    if len(gone) < len(dims):
        return None
    return [1 if d in gone else n for d, n in enumerate(of.shape) if keep or d not in gone]


def _product(a: Tensor, b: Tensor) -> Shape | None:
    fits = a.dim() == b.dim() == 2 and a.shape[1] == b.shape[0]
    return [a.shape[0], b.shape[1]] if fits else None


def _sum_and_product(c: Tensor, a: Tensor, b: Tensor) -> Shape | None:
    shape = _product(a, b)
    return shape if shape is not None and c.shape == (shape[1],) else None


def _joined(tensors: Sequence[Tensor], dim: int = 0) -> Shape | None:
    first = list(tensors[0].shape)
    if not -len(first) <= dim < len(first):
        return None
    dim %= len(first)
    others = [[*t.shape[:dim], 0, *t.shape[dim + 1 :]] for t in tensors]
    if any(o != others[0] for o in others) or any(t.dim() != len(first) for t in tensors):
        return None
    first[dim] = sum(t.shape[dim] for t in tensors)
    return first


def _padded(of: Tensor, amounts: Shape, value: float = 0) -> Shape | None:
    if len(amounts) % 2 or len(amounts) > 2 * of.dim():
        return None
    shape = list(of.shape)
    for i in range(0, len(amounts), 2):  # of the last dimension first
        shape[-1 - i // 2] += amounts[i] + amounts[i + 1]
    return shape if min(shape) > 0 and min(amounts, default=0) >= 0 else None


def _normalised(of: Tensor, dim: int, to_float: bool) -> Shape | None:
    return of.shape if not to_float and -of.dim() <= dim < of.dim() else None


_IN_PLACE = {
    _aten.relu_.default,
    _aten.sigmoid_.default,
    _aten.hardsigmoid_.default,
    _aten.hardswish_.default,
    _aten.silu_.default,
    _aten.hardtanh_.default,
    _aten.clamp_.default,
    _aten.floor_.default,
    _aten.round_.default,
    _aten.add_.Tensor,
    _aten.sub_.Tensor,
    _aten.mul_.Tensor,
    _aten.div_.Tensor,
}
# What gives a contiguous tensor of whatever it takes.
_ANY_STRIDES = {_aten.mm.default, _aten.addmm.default, _aten.convolution.default}
_RULES: dict[Any, Rule] = {
    **{
        getattr(_aten, name).default: _same
        for name in (
            *("relu", "sigmoid", "hardsigmoid", "hardswish", "silu", "hardtanh", "tanh"),
            *("relu_", "sigmoid_", "hardsigmoid_", "hardswish_", "silu_", "hardtanh_"),
            *("floor", "floor_", "round", "round_"),
        )
    },
    **{
        getattr(_aten, name).Tensor: _broadcast
        for name in ("add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_")
    },
    _aten.convolution.default: _convolution,
    _aten.max_pool2d_with_indices.default: _max_pool,
    _aten.avg_pool2d.default: _average_pool,
    _aten._adaptive_avg_pool2d.default: _adaptive_pool,
    _aten.mean.dim: _reduced,
    _aten.sum.dim_IntList: _reduced,
    _aten.amax.default: _reduced,
    _aten.mm.default: _product,
    _aten.addmm.default: _sum_and_product,
    _aten.cat.default: _joined,
    _aten.constant_pad_nd.default: _padded,
    _aten.clamp.default: _between,
    _aten.clamp_.default: _between,
    _aten._softmax.default: _normalised,
    _aten._log_softmax.default: _normalised,
}
