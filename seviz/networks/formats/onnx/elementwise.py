"""ONNX's functions of single numbers, and of pairs of them, on PyTorch tensors or on sizes.

Sizes travel as NumPy arrays (of Python's numbers where a batch may have any size), so that they stay
numbers in a recorded pass; a number alone stays a number, and so part of an operator.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seviz.results.stats import Array

# Types of numbers in a file (TensorProto.DataType) and what is computed with: floating-point numbers of all
# widths as float32.
_WIDTHS = {1, 10, 11, 16, 17, 18, 19, 20, 23, 24}
_TYPES = {
    2: (torch.uint8, np.uint8),
    3: (torch.int8, np.int8),
    4: (torch.int32, np.uint16),
    5: (torch.int16, np.int16),
    6: (torch.int32, np.int32),
    7: (torch.int64, np.int64),
    9: (torch.bool, np.bool_),
    12: (torch.int64, np.uint32),
    13: (torch.int64, np.uint64),
}


def tensor_like(value: Any, like: Tensor) -> Any:
    """Return what stands for a value beside a tensor: a number where it is one, else a tensor there."""
    if isinstance(value, Tensor | int | float):
        return value
    array = np.asarray(value)
    if array.size == 1 and array.ndim <= like.dim():
        return array.reshape(-1)[0].item() if array.dtype != object else array.reshape(-1)[0]
    return torch.tensor(array.tolist() if array.dtype == object else array, device=like.device)


def _pair(on_tensors: Callable[..., Any], on_sizes: Callable[..., Any]) -> Callable[..., Any]:
    def compute(a: Any, b: Any, **unused: Any) -> Any:
        like = a if isinstance(a, Tensor) else b if isinstance(b, Tensor) else None
        if like is None:
            return on_sizes(np.asarray(a), np.asarray(b))
        return on_tensors(tensor_like(a, like), tensor_like(b, like))

    return compute


def _many(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def compute(*values: Any) -> Any:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return result

    return compute


def _single(on_tensors: Callable[..., Any], on_sizes: Callable[..., Any]) -> Callable[..., Any]:
    def compute(x: Any) -> Any:
        return on_tensors(x) if isinstance(x, Tensor) else on_sizes(x)

    return compute


def _divided(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f" or b.dtype.kind == "f":
        return np.asarray(a / b)
    return np.asarray(a // b)  # sizes are not negative


def _tensors_divided(a: Any, b: Any) -> Any:
    whole = not any(v.is_floating_point() for v in (a, b) if isinstance(v, Tensor))
    if whole and not any(isinstance(v, float) for v in (a, b)):
        return torch.div(a, b, rounding_mode="trunc")
    return a / b


def _largest(a: Any, b: Any) -> Any:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.maximum(a, b)
    x, limit = (a, b) if isinstance(a, Tensor) else (b, a)
    return x.clamp(min=limit)


def _smallest(a: Any, b: Any) -> Any:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.minimum(a, b)
    x, limit = (a, b) if isinstance(a, Tensor) else (b, a)
    return x.clamp(max=limit)


add = _pair(operator.add, operator.add)
sub = _pair(operator.sub, operator.sub)
mul = _pair(operator.mul, operator.mul)
div = _pair(_tensors_divided, _divided)
maximum = _many(_pair(_largest, np.maximum))
minimum = _many(_pair(_smallest, np.minimum))
total = _many(add)
equal = _pair(lambda a, b: torch.eq(*_both(a, b)), operator.eq)
greater = _pair(operator.gt, operator.gt)
greater_or_equal = _pair(operator.ge, operator.ge)
less = _pair(operator.lt, operator.lt)
less_or_equal = _pair(operator.le, operator.le)
both = _pair(lambda a, b: torch.logical_and(*_both(a, b)), np.logical_and)
either = _pair(lambda a, b: torch.logical_or(*_both(a, b)), np.logical_or)
negative = _single(torch.neg, operator.neg)
absolute = _single(torch.abs, np.abs)
floor = _single(torch.floor, np.floor)
ceil = _single(torch.ceil, np.ceil)
sqrt = _single(torch.sqrt, np.sqrt)
negation = _single(torch.logical_not, np.logical_not)


def _both(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    like = a if isinstance(a, Tensor) else b
    return torch.as_tensor(a, device=like.device), torch.as_tensor(b, device=like.device)


def mean(*values: Any) -> Any:
    """Return the mean of several maps."""
    return total(*values) / len(values)


def power(a: Any, b: Any) -> Any:
    """Return a to the power of b; a square as a product, which is quicker and exact."""
    like = a if isinstance(a, Tensor) else b if isinstance(b, Tensor) else None
    if like is None:
        return np.asarray(a) ** np.asarray(b)
    a, b = tensor_like(a, like), tensor_like(b, like)
    return a * a if isinstance(b, int | float) and b == 2 else a**b


def modulo(a: Any, b: Any, *, fmod: int = 0) -> Any:
    """Return the rest of a division, with the sign of b, or of a for ``fmod``."""
    like = a if isinstance(a, Tensor) else b if isinstance(b, Tensor) else None
    if like is None:
        return np.fmod(a, b) if fmod else np.mod(a, b)
    a, b = _both(tensor_like(a, like), tensor_like(b, like))
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


def clip(x: Any, low: Any = None, high: Any = None, **limits: Any) -> Any:
    """Return x within limits; before opset 11 those were attributes."""
    bounds = [
        None
        if b is None
        else float(np.asarray(b).reshape(-1)[0])
        if not isinstance(b, Tensor)
        else b
        for b in (limits.get("min", low), limits.get("max", high))
    ]
    if not isinstance(x, Tensor):
        return np.clip(x, bounds[0], bounds[1])
    # A limit that is no limit would be one more thing to follow.
    bounds = [None if isinstance(b, float) and abs(b) > 3e38 else b for b in bounds]
    if bounds == [None, None]:
        return x
    if bounds == [0.0, 6.0]:
        return F.hardtanh(x, 0.0, 6.0)
    if bounds == [0.0, None]:
        return F.relu(x)
    least: Any = bounds[0]
    most: Any = bounds[1]
    return torch.clamp(x, least, most)


def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """Return max(0, min(1, alpha x + beta))."""
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        return F.hardsigmoid(x)
    return (x * alpha + beta).clamp(0.0, 1.0)


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """Return x times the share of a normal distribution below it."""
    return F.gelu(x, approximate=approximate)


def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Return x sigmoid(alpha x)."""
    return F.silu(x) if alpha == 1 else x * torch.sigmoid(alpha * x)


def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """Return x where it is positive, alpha x elsewhere."""
    return F.leaky_relu(x, alpha)


def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha (exp(x) - 1) elsewhere."""
    return F.elu(x, alpha)


def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha (exp(x / alpha) - 1) elsewhere."""
    return F.celu(x, alpha)


def selu(
    x: Tensor, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Tensor:
    """Return gamma times `elu`."""
    return gamma * F.elu(x, alpha)


def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Return x where it is more than alpha, nothing elsewhere."""
    return F.threshold(x, alpha, 0.0)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return a where a condition holds, else b."""
    like = next((v for v in (condition, a, b) if isinstance(v, Tensor)), None)
    if like is None:
        return np.where(condition, a, b)
    condition, a, b = (
        torch.as_tensor(tensor_like(v, like), device=like.device) for v in (condition, a, b)
    )
    return torch.where(condition.bool(), a, b)


def cast(x: Any, *, to: int, saturate: int = 1, round_mode: str = "up") -> Any:
    """Return the same numbers in another type; floating-point ones are float32 whatever their width."""
    if to in _WIDTHS:
        return x.float() if isinstance(x, Tensor) else np.asarray(x).astype(np.float32)
    if to not in _TYPES:
        raise NotImplementedError(f"a cast to the type {to}")
    on_tensors, on_sizes = _TYPES[to]
    if isinstance(x, Tensor):
        return x.to(on_tensors)
    array = np.asarray(x)
    return array if array.dtype == object else array.astype(on_sizes)


def cast_like(x: Any, like: Any, **unused: Any) -> Any:
    """Return the same numbers in the type of another value."""
    if isinstance(x, Tensor):
        return x.to(like.dtype) if isinstance(like, Tensor) else x
    return x


def identity(x: Any, *rest: Any, **unused: Any) -> Any:
    """Return what is given."""
    return x


SINGLE: dict[str, Callable[..., Any]] = {
    "Cos": torch.cos,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "HardSwish": F.hardswish,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Mish": F.mish,
    "Reciprocal": torch.reciprocal,
    "Relu": F.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Tanh": torch.tanh,
}
