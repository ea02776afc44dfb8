"""Convolutions and pooling, padded as TensorFlow pads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return the zeros before and after a dimension with TensorFlow's ``SAME``: one more after, if any.

    >>> same_padding(224, 3, 2), same_padding(7, 3, 1), same_padding(5, 1, 2)
    ((0, 1), (1, 1), (0, 0))
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _padded(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    value: float = 0.0,
) -> tuple[Tensor, tuple[int, int]]:
    """Return a map padded as ``SAME``, and what an operator of PyTorch should still pad on both sides."""
    (top, bottom), (left, right) = (
        same_padding(x.shape[2 + d], kernel[d], stride[d], dilation[d]) for d in range(2)
    )
    if (top, left) == (bottom, right):
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom), value=value), (0, 0)


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    same: bool,
) -> Tensor:
    """Return a convolution of [N, C, H, W] with [C_out, C / groups, h, w]; the shapes tell the groups."""
    sides = tuple(weight.shape[2:])
    x, padding = _padded(x, sides, stride, dilation) if same else (x, (0, 0))
    return F.conv2d(x, weight, bias, stride, padding, dilation, x.shape[1] // weight.shape[1])


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, int],
    same: bool,
    size: tuple[int, int],
    traced: tuple[int, int],
) -> Tensor:
    """Return a transposed convolution with [C_in, C_out, h, w], cut to what the file says.

    Args:
        x: A map [N, C_in, H, W].
        weight: The kernel.
        bias: A number per channel, or nothing.
        stride: Of rows and columns.
        same: Whether it is padded.
        size: Height and width of the result for maps of the size ``traced``.
        traced: Height and width of the map in the file.
    """
    full = F.conv_transpose2d(x, weight, None, stride)
    # Other images make maps that are larger or smaller by so many strides.
    wanted = [size[d] + (x.shape[2 + d] - traced[d]) * stride[d] for d in range(2)]
    if same:
        before = [
            max((x.shape[2 + d] - 1) * stride[d] + weight.shape[2 + d] - wanted[d], 0) // 2
            for d in range(2)
        ]
        full = full[:, :, before[0] :, before[1] :]
    short = [max(wanted[d] - full.shape[2 + d], 0) for d in range(2)]
    if any(short):
        full = F.pad(full, (0, short[1], 0, short[0]))
    full = full[:, :, : wanted[0], : wanted[1]]
    return full if bias is None else full + bias.reshape(1, -1, 1, 1)


def average_pool(
    x: Tensor, *, kernel: tuple[int, int], stride: tuple[int, int], same: bool
) -> Tensor:
    """Return the mean of each window; what is padded does not count."""
    if not same:
        return F.avg_pool2d(x, kernel, stride)
    filled, padding = _padded(x, kernel, stride, (1, 1))
    if filled is x:
        return F.avg_pool2d(x, kernel, stride, padding, count_include_pad=False)
    counted, _ = _padded(torch.ones_like(x[:1, :1]), kernel, stride, (1, 1))
    return F.avg_pool2d(filled, kernel, stride) / F.avg_pool2d(counted, kernel, stride)


def global_average(x: Tensor) -> Tensor:
    """Return the mean over a whole map, [N, C, 1, 1]."""
    return x.mean((2, 3), keepdim=True)


def max_pool(x: Tensor, *, kernel: tuple[int, int], stride: tuple[int, int], same: bool) -> Tensor:
    """Return the largest number of each window."""
    padding = (0, 0)
    if same:
        x, padding = _padded(x, kernel, stride, (1, 1), float("-inf"))
    return F.max_pool2d(x, kernel, stride, padding)


def resize(
    x: Tensor,
    *,
    factors: tuple[float, float],
    linear: bool,
    align_corners: bool,
    half_pixel: bool,
) -> Tensor:
    """Return a map of another size, with the three ways of TensorFlow to place the pixels.

    Args:
        x: A map [N, C, H, W].
        factors: How much larger height and width become.
        linear: Whether neighbours are mixed, or the nearest is taken.
        align_corners: Whether the outer pixels stay where they are.
        half_pixel: Whether pixels are squares with a centre, or points.
    """
    for dim in (2, 3):
        before = x.shape[dim]
        after = round(before * factors[dim - 2])
        at = torch.arange(after, device=x.device, dtype=torch.float32)
        if align_corners and after > 1:
            at = at * ((before - 1) / (after - 1))
        elif half_pixel:
            at = (at + 0.5) * (before / after) - (0.5 if linear else 0.0)
        else:
            at = at * (before / after)
        if not linear:
            near = (torch.floor(at + 0.5) if align_corners else torch.floor(at)).long()
            x = x.index_select(dim, near.clamp(0, before - 1))
            continue
        at = at.clamp(min=0)
        low = at.floor().clamp(max=before - 1)
        share = (at - low).reshape(-1, *[1] * (3 - dim))
        first = x.index_select(dim, low.long())
        second = x.index_select(dim, (low.long() + 1).clamp(max=before - 1))
        x = first + (second - first) * share
    return x
