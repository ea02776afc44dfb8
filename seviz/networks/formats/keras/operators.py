"""TensorFlow's operators as a Keras layer."""

from __future__ import annotations

import operator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@cache
def layer_class() -> Any:
    """Return the Keras layer; importing Keras is the caller's to prepare."""
    import keras

    class TensorFlowOp(keras.layers.Layer):  # type: ignore[misc]
        """One operator of TensorFlow, on PyTorch tensors.

        Args:
            operator: ``tf.`` and the operator's name.
            operands: What it takes, in order: ``{"input": n}`` for the n-th tensor, ``{"value": v}`` for a
                constant.
            options: What else it takes, by name.
            **kwargs: What every Keras layer takes.
        """

        def __init__(
            self, operator: str, operands: list[Any], options: dict[str, Any], **kwargs: Any
        ) -> None:
            super().__init__(**kwargs)
            self._operator = operator
            self._operands = [next(iter(o.items())) for o in operands]
            self._options = dict(options)

        def call(self, inputs: Any) -> Tensor:
            """Return the operator's value."""
            tensors = inputs if isinstance(inputs, list | tuple) else [inputs]
            given = [tensors[v] if kind == "input" else v for kind, v in self._operands]
            compute = _COMPUTE[self._operator.removeprefix("tf.")]
            result: Tensor = compute(*given, **self._options)
            return result

    return TensorFlowOp


def _two(function: Any) -> Any:
    """Return a function of two operands of which one may be a constant.

    A number stays a number: it is part of the operator then, and not another tensor.
    """
    numbers = function not in {torch.maximum, torch.minimum}

    def compute(a: Any, b: Any) -> Tensor:
        like = a if isinstance(a, Tensor) else b
        given = [
            v if numbers and isinstance(v, int | float) else torch.as_tensor(v).to(like)
            for v in (a, b)
        ]
        result: Tensor = function(*given)
        return result

    return compute


def _strided_slice(x: Tensor, index: list[Any]) -> Tensor:
    entries = {"...": ...}
    return x[tuple(slice(*i) if isinstance(i, list | tuple) else entries.get(i, i) for i in index)]


def _mean(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    return x.mean(axis, keepdim=keepdims)


def _squeeze(x: Tensor, axis: Any = None) -> Tensor:
    return x.squeeze() if axis in (None, []) else x.squeeze(axis)


_COMPUTE: dict[str, Any] = {
    "AddV2": _two(operator.add),
    "ClipByValue": torch.clamp,
    "ExpandDims": torch.unsqueeze,
    "Identity": lambda x: x,
    "Maximum": _two(torch.maximum),
    "Mean": _mean,
    "Minimum": _two(torch.minimum),
    "Mul": _two(operator.mul),
    "RealDiv": _two(operator.truediv),
    "Relu": F.relu,
    "Relu6": F.relu6,
    "Reshape": torch.reshape,
    "Sigmoid": torch.sigmoid,
    "Silu": F.silu,
    "Softmax": lambda x, axis=-1: x.softmax(axis),
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Sub": _two(operator.sub),
    "Tanh": torch.tanh,
}
