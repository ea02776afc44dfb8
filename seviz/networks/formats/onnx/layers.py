"""ONNX's layers on PyTorch tensors: convolutions, norms, pooling, matrix products, softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def padded(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    auto_pad: str,
    value: float = 0.0,
) -> tuple[Tensor, tuple[int, ...]]:
    """Return a map and the symmetric padding that is still to be done, as PyTorch's layers do it.

    Args:
        x: [N, C, ...].
        kernel: Size of the window on each axis.
        strides: Its steps.
        pads: Before each axis, then behind each.
        dilations: Distances in the window.
        auto_pad: ``NOTSET``, ``VALID``, ``SAME_UPPER`` or ``SAME_LOWER``.
        value: What is padded with, where it is not symmetric.
    """
    axes = len(kernel)
    begin, end = list(pads[:axes]), list(pads[axes:])
    if auto_pad.startswith("SAME"):
        begin, end = [], []
        for size, k, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
            window = (k - 1) * dilation + 1
            total = max((-(-size // stride) - 1) * stride + window - size, 0)
            less, more = total // 2, total - total // 2
            begin.append(less if auto_pad == "SAME_UPPER" else more)
            end.append(more if auto_pad == "SAME_UPPER" else less)
    elif auto_pad == "VALID":
        begin, end = [0] * axes, [0] * axes
    if begin == end:
        return x, tuple(begin)
    sides = [n for pair in reversed(list(zip(begin, end, strict=True))) for n in pair]
    return F.pad(x, sides, value=value), (0,) * axes


def _checked(
    bias: Tensor | None, channels: int, strides: Sequence[int], dilations: Sequence[int]
) -> None:
    """Refuse what PyTorch does not look at in a run without numbers: the bias, steps that lead nowhere."""
    if min((*strides, *dilations), default=1) < 1:
        raise ValueError(f"steps of {list(strides)} and {list(dilations)}")
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ValueError(f"a bias of shape {tuple(bias.shape)} for {channels} channels")


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    group: int = 1,
    kernel_shape: Sequence[int] = (),
    auto_pad: str = "NOTSET",
) -> Tensor:
    """Convolve [N, C, ...] over one, two or three axes."""
    _checked(bias, weight.shape[0], strides, dilations)
    axes = weight.dim() - 2
    strides, dilations = strides or (1,) * axes, dilations or (1,) * axes
    pads = pads or (0,) * 2 * axes
    x, padding = padded(x, weight.shape[2:], strides, pads, dilations, auto_pad)
    function = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    return function(x, weight, bias, tuple(strides), padding, tuple(dilations), group)


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    output_padding: Sequence[int] = (),
    output_shape: Sequence[int] = (),
    group: int = 1,
    kernel_shape: Sequence[int] = (),
    auto_pad: str = "NOTSET",
) -> Tensor:
    """Convolve backwards; what is padded unevenly is computed whole and cut."""
    _checked(bias, weight.shape[1] * group, strides, dilations)
    axes = weight.dim() - 2
    strides, dilations = list(strides) or [1] * axes, list(dilations) or [1] * axes
    extra = list(output_padding) or [0] * axes
    begin, end = list(pads[:axes]) or [0] * axes, list(pads[axes:]) or [0] * axes
    whole = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(
            x.shape[2:], strides, weight.shape[2:], dilations, extra, strict=True
        )
    ]
    if output_shape or auto_pad.startswith("SAME"):
        wanted = list(output_shape)[-axes:] or [
            n * s for n, s in zip(x.shape[2:], strides, strict=True)
        ]
        total = [max(w - o, 0) for w, o in zip(whole, wanted, strict=True)]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        begin, end = (less, more) if auto_pad != "SAME_LOWER" else (more, less)
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    if begin == end:
        return function(x, weight, bias, strides, begin, extra, group, dilations)
    result = function(x, weight, bias, strides, 0, extra, group, dilations)
    for axis, (first, last, size) in enumerate(zip(begin, end, whole, strict=True)):
        result = result.narrow(axis + 2, first, size - first - last)
    return result


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Tensor:
    """Return alpha a b + beta c: a fully connected layer, mostly."""
    a = a.t() if transA else a
    plain = alpha == 1 and (c is None or (beta == 1 and c.dim() == 1))
    if plain:
        return F.linear(a, b if transB else b.t(), c)
    result = alpha * (a @ (b.t() if transB else b))
    return result if c is None else result + beta * c


def batch_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
) -> Tensor:
    """Normalise by running statistics, as in inference."""
    return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, epsilon)


def instance_norm(x: Tensor, weight: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Normalise every channel of every image by itself."""
    return F.instance_norm(x, weight=weight, bias=bias, eps=epsilon)


def layer_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:
    """Normalise over the dimensions from ``axis`` on."""
    shape = x.shape[axis:] if axis < 0 else x.shape[axis - x.dim() :]
    if tuple(weight.shape) == tuple(shape) and (bias is None or bias.shape == weight.shape):
        return F.layer_norm(x, shape, weight, bias, epsilon)
    result = F.layer_norm(x, shape, eps=epsilon) * weight
    return result if bias is None else result + bias


def group_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:
    """Normalise groups of channels; before opset 21 the scale was one number for each group."""
    channels = x.shape[1]
    if weight.shape[0] != channels:
        weight, bias = (t.repeat_interleave(channels // num_groups) for t in (weight, bias))
    return F.group_norm(x, num_groups, weight, bias, epsilon)


def local_response_norm(
    x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    """Normalise by the squares of neighbouring channels."""
    return F.local_response_norm(x, size, alpha, beta, bias)


def lp_norm(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """Divide by the norm over one axis."""
    return F.normalize(x, float(p), axis, eps=0.0)


def max_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    ceil_mode: int = 0,
    auto_pad: str = "NOTSET",
    storage_order: int = 0,
) -> Tensor:
    """Take the largest number of each window."""
    axes = len(kernel_shape)
    strides, dilations = strides or (1,) * axes, dilations or (1,) * axes
    pads = pads or (0,) * 2 * axes
    x, padding = padded(x, kernel_shape, strides, pads, dilations, auto_pad, -math.inf)
    if any(2 * p > k for p, k in zip(padding, kernel_shape, strict=True)):  # PyTorch refuses it
        x = F.pad(x, [p for p in reversed(padding) for _ in (0, 1)], value=-math.inf)
        padding = (0,) * axes
    function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[axes - 1]
    return function(
        x, tuple(kernel_shape), tuple(strides), padding, tuple(dilations), bool(ceil_mode)
    )


def average_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    auto_pad: str = "NOTSET",
) -> Tensor:
    """Take the mean of each window, of what is padded too where it says so."""
    axes = len(kernel_shape)
    strides = tuple(strides or (1,) * axes)
    if any(n != 1 for n in dilations):
        raise NotImplementedError("AveragePool with dilations")
    pads = pads or (0,) * 2 * axes
    whole, padding = padded(x, kernel_shape, strides, pads, (1,) * axes, auto_pad)
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[axes - 1]
    kernel, ceil = tuple(kernel_shape), bool(ceil_mode)
    if whole is x or count_include_pad:
        return pool(whole, kernel, strides, padding, ceil, bool(count_include_pad))
    # Padded unevenly, and what is padded does not count: the share of each window that is map.
    ones, _ = padded(x.new_ones((1, 1, *x.shape[2:])), kernel, strides, pads, (1,) * axes, auto_pad)
    return pool(whole, kernel, strides, 0, ceil) / pool(ones, kernel, strides, 0, ceil)


def global_average_pool(x: Tensor) -> Tensor:
    """Take the mean of each channel: the squeeze of SE."""
    return x.mean(tuple(range(2, x.dim())), keepdim=True)


def global_max_pool(x: Tensor) -> Tensor:
    """Take the largest number of each channel."""
    return x.amax(tuple(range(2, x.dim())), keepdim=True)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product, as NumPy's ``matmul``."""
    return a @ b


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Return x where it is positive, a slope of each channel times x elsewhere."""
    channels = x.shape[1] if x.dim() > 1 else 1
    along_channels = slope.dim() == x.dim() - 1 and slope.shape[0] == slope.numel() == channels
    if slope.numel() == 1 or along_channels:
        return F.prelu(x, slope.flatten())
    return torch.where(x > 0, x, x * slope)


def softmax(x: Tensor, *, axis: int | None = None, opset: int = 13) -> Tensor:
    """Return exp(x) as shares; before opset 13 over all dimensions from ``axis`` on."""
    if opset >= 13:
        return x.softmax(-1 if axis is None else axis)
    first = (1 if axis is None else axis) % x.dim()
    if first == x.dim() - 1:
        return x.softmax(first)
    return x.flatten(first).softmax(-1).reshape(x.shape)


def log_softmax(x: Tensor, *, axis: int | None = None, opset: int = 13) -> Tensor:
    """Return the logarithm of `softmax`."""
    if opset >= 13:
        return x.log_softmax(-1 if axis is None else axis)
    first = (1 if axis is None else axis) % x.dim()
    return x.flatten(first).log_softmax(-1).reshape(x.shape)


def einsum(*factors: Tensor, equation: str) -> Tensor:
    """Return the sum of products that an equation describes."""
    return torch.einsum(equation.replace(" ", ""), *factors)
