"""Operators on numbers, on tensors as they are held (`seviz.networks.formats.tflite.layout`)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seviz.networks.formats.tflite.layout import MAP, held, plain, widened

# What a fused activation, or an operator of this name, does.
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "RELU": F.relu,
    "RELU6": F.relu6,
    "RELU_N1_TO_1": partial(torch.clamp, min=-1.0, max=1.0),
    "RELU_0_TO_1": partial(torch.clamp, min=0.0, max=1.0),
    "TANH": torch.tanh,
}
# Ranges of those that only cut.
CUTS: Mapping[str, tuple[float, float]] = {
    "RELU": (0.0, float("inf")),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}

UNARY: Mapping[str, Callable[..., Tensor]] = {
    **ACTIVATIONS,
    "ABS": torch.abs,
    "CEIL": torch.ceil,
    "COS": torch.cos,
    "ELU": F.elu,
    "EXP": torch.exp,
    "FLOOR": torch.floor,
    "GELU": F.gelu,
    "HARD_SWISH": F.hardswish,
    "LEAKY_RELU": F.leaky_relu,
    "LOG": torch.log,
    "LOGISTIC": torch.sigmoid,
    "NEG": torch.neg,
    "ROUND": torch.round,
    "RSQRT": torch.rsqrt,
    "SIN": torch.sin,
    "SQRT": torch.sqrt,
    "SQUARE": torch.square,
}


def _two(compute: Callable[[Any, Any], Tensor], *, numbers: bool = True) -> Callable[..., Tensor]:
    """Return a function of two operands, of which one may be a number.

    A number stays one: it is part of the operator then, and not another tensor. ``widen`` tells the tensors
    that have fewer dimensions than the map that they are combined with.
    """

    def run(
        *tensors: Tensor, left: Any = None, right: Any = None, widen: tuple[int, ...] = ()
    ) -> Tensor:
        rest = iter(widened(t) if n in widen else t for n, t in enumerate(tensors))
        operands = [next(rest) if given is None else given for given in (left, right)]
        if not numbers:
            operands = [torch.as_tensor(o).to(tensors[0]) for o in operands]
        return compute(*operands)

    return run


def _squared_difference(a: Any, b: Any) -> Tensor:
    difference: Tensor = a - b
    return difference * difference


BINARY: Mapping[str, Callable[..., Tensor]] = {
    "ADD": _two(operator.add),
    "DIV": _two(operator.truediv),
    "MAXIMUM": _two(torch.maximum, numbers=False),
    "MINIMUM": _two(torch.minimum, numbers=False),
    "MUL": _two(operator.mul),
    "POW": _two(torch.pow),
    "SQUARED_DIFFERENCE": _two(_squared_difference),
    "SUB": _two(operator.sub),
}
REDUCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "MEAN": torch.mean,
    "REDUCE_MAX": torch.amax,
    "REDUCE_MIN": torch.amin,
    "SUM": torch.sum,
}


def reduce(x: Tensor, *, kind: str, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Reduce dimensions of the file."""
    compute = REDUCTIONS[kind]
    if x.dim() == MAP and set(axes) == {1, 2}:  # a squeeze; the channels are where they belong
        return compute(x, (2, 3), keepdim=keep)
    return held(compute(plain(x), axes, keepdim=keep))


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Return ``x`` where it is positive, else ``slope * x``; one slope per channel, or per number."""
    if slope.dim() == 1 and x.dim() > 1:
        return F.prelu(x, slope)
    return torch.where(x > 0, x, x * slope)


def add_all(*tensors: Tensor) -> Tensor:
    """Return the sum of several tensors."""
    total = tensors[0]
    for other in tensors[1:]:
        total = total + other
    return total


def fully_connected(x: Tensor, weight: Tensor, bias: Tensor | None, *, keep: bool) -> Tensor:
    """Return the last dimension of the file times a matrix [outputs, inputs].

    Args:
        x: [N, inputs], or more dimensions.
        weight: The matrix.
        bias: A number per output, or nothing.
        keep: Whether more dimensions are kept; else the numbers of an image are one row.
    """
    rows = plain(x)
    if not keep:
        rows = rows.reshape(-1, weight.shape[1])
    return held(F.linear(rows, weight, bias))


def matrix_product(a: Tensor, b: Tensor, *, turn: tuple[bool, bool]) -> Tensor:
    """Return the product of two stacks of matrices, either turned first."""
    left, right = (
        plain(t).transpose(-1, -2) if t_first else plain(t)
        for t, t_first in zip((a, b), turn, strict=True)
    )
    return held(left @ right)


def normalised(x: Tensor, *, axis: int) -> Tensor:
    """Return vectors of length 1."""
    return F.normalize(x, dim=axis, eps=1e-6)


def softmax(x: Tensor, *, axis: int, beta: float = 1.0) -> Tensor:
    """Return shares along a dimension as it is held."""
    return (x if beta == 1 else x * beta).softmax(axis)


def log_softmax(x: Tensor, *, axis: int) -> Tensor:
    """Return logarithms of shares along a dimension as it is held."""
    return x.log_softmax(axis)
