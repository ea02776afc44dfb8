"""Whole numbers and what they stand for.

A quantised network computes with whole numbers of 8 or 16 bits. Here its weights are the real numbers that
they stand for, and every map is rounded to the numbers that its bits can hold, and so kept in their range:
much of such a network is in these ranges (a ReLU, the ends of a hard sigmoid), and one trained with them
computes something else without them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seviz.networks.formats.tflite.schema import Quantised, TensorEntry

_LIMITS = {
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-32768, 32767),
    "UINT16": (0, 65535),
    "INT4": (-8, 7),
}


_BESIDE = 5e-5


class Rounding(NamedTuple):
    """What a map's bits can hold: ``scale * n`` for whole n from ``low`` to ``high``."""

    scale: float
    low: int
    high: int

    @property
    def range(self) -> tuple[float, float]:
        """Return the smallest and the largest number."""
        return self.scale * self.low, self.scale * self.high


def rounding_of(tensor: TensorEntry) -> Rounding | None:
    """Return what a computed tensor is rounded to; ``None`` where it is not quantised.

    >>> import numpy as np
    >>> of = Quantised(np.array([0.5]), np.array([10]), 0)
    >>> rounding_of(TensorEntry("gate", (1, 8), "UINT8", None, of))
    Rounding(scale=0.5, low=-10, high=245)
    """
    given = tensor.quantised
    if given is None or tensor.kind not in _LIMITS or len(given.scale) != 1:
        return None
    low, high = _LIMITS[tensor.kind]
    zero = int(given.zero[0])
    return Rounding(float(given.scale[0]), low - zero, high - zero)


def rounded(x: Tensor, scale: float, low: int, high: int) -> Tensor:
    """Return the nearest of the numbers that the bits can hold.

    >>> import torch
    >>> rounded(torch.tensor([0.2, 0.3, -9.0]), 0.5, -10, 245)
    tensor([ 0.0000,  0.5000, -5.0000])
    """
    return x.div(scale).round_().clamp_(low, high).mul_(scale)


def rounded_up(x: Tensor, scale: float, low: int, high: int) -> Tensor:
    """Return the nearest of the numbers that the bits can hold; of two as near, the larger.

    >>> import torch
    >>> rounded_up(torch.tensor([0.25, 0.75]), 0.5, -10, 245)
    tensor([0.5000, 1.0000])
    """
    # A mean of thousands is computed a little beside the half, and the next mean is further away.
    return x.div(scale).add_(0.5 + _BESIDE).floor_().clamp_(low, high).mul_(scale)


def looked_up(x: Tensor, table: Tensor, *, scale: float, low: int) -> Tensor:
    """Return what a table says of each number; ``x`` is ``scale * n`` for whole n from ``low`` on."""
    places = x.div(scale).round_().sub_(low).clamp_(0, table.shape[0] - 1)
    return table[places.long()]


def real_numbers(numbers: npt.NDArray[Any], given: Quantised | None) -> npt.NDArray[Any]:
    """Return what stored numbers stand for: float32; counts stay what they are.

    >>> real_numbers(np.array([[1, 2], [3, 4]]), Quantised(np.array([1.0, 10.0]), np.array([0, 1]), 1))
    array([[ 1., 10.],
           [ 3., 30.]], dtype=float32)
    """
    if given is None:
        return numbers.astype(np.float32) if numbers.dtype.kind == "f" else numbers
    along = [1] * numbers.ndim
    if len(given.scale) > 1:
        along[given.axis] = -1
    scale, zero = given.scale.reshape(along), given.zero.reshape(along)
    if numbers.ndim == 0:
        scale, zero = scale.reshape(()), zero.reshape(())
    # Differences of whole numbers of 32 bits are exact in float64.
    return ((numbers.astype(np.float64) - zero) * scale).astype(np.float32)
