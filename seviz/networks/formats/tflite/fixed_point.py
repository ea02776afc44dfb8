"""What TFLite's whole-number kernels compute where that is not the nearest number to the real value.

Most kernels round the real result once. The hard swish of 8 bits works in fixed point with 16 bits, and cuts
where it could round: about one number in a hundred is a step off, and which one is part of the network, as
what follows was trained or calibrated on it. (``reference_ops::HardSwish`` of TensorFlow Lite.)
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from seviz.networks.formats.tflite.rounding import Rounding

_Whole = npt.NDArray[np.int64]
_MOST, _LEAST = 32767, -32768
# More bits than the numbers have: they are shifted up, so that less is lost.
_HIGHER = 128
_RELU_SCALE = 3 / 32768


def hard_swish(given: Rounding, made: Rounding) -> npt.NDArray[np.float32]:
    """Return the hard swish of each number that 8 bits can hold, from the smallest on: [256].

    Args:
        given: What the bits of the input stand for.
        made: What those of the output do.

    >>> steps = Rounding(0.25, -128, 127)
    >>> hard_swish(steps, steps)[[0, 128, 136, 140, 255]]
    array([ 0.  ,  0.  ,  1.75,  3.  , 31.75], dtype=float32)
    """
    fine = np.float32(given.scale) / np.float32(_HIGHER)
    to_output, down = _multiplier(float(fine / np.float32(made.scale)))
    to_relu, up = _multiplier(float(fine / np.float32(_RELU_SCALE)))
    shifted = np.arange(given.low, given.high + 1, dtype=np.int64) * _HIGHER
    value = _high_product(shifted, to_output)
    gate = _saturated(shifted, up - 1) if up > 0 else shifted
    gate = _high_product(gate, to_relu)
    gate = _saturated(gate, 1) if up > 0 else _divided(gate, -up)
    # relu6(x + 3) / 6 as 15 bits: -3 to 3 are all that 16 bits hold.
    gate = (gate + 32768) >> 1
    whole = _divided(_toward_zero(gate * value, 15), -down)
    return (np.clip(whole, made.low, made.high) * made.scale).astype(np.float32)


def _multiplier(real: float) -> tuple[int, int]:
    """Return a factor as 15 bits and a power of two."""
    share, power = math.frexp(real)
    whole = math.floor(share * 2**31 + 0.5)
    if whole == 2**31:
        whole, power = whole // 2, power + 1
    return (_MOST if whole >= 2**31 - 1 - 2**15 else (whole + 2**15) >> 16), power


def _toward_zero(values: _Whole, bits: int) -> _Whole:
    found: _Whole = np.sign(values) * (np.abs(values) >> bits)
    return found


def _high_product(values: _Whole, factor: int) -> _Whole:
    """Return the upper half of twice the product, rounded."""
    product = values * factor
    return _toward_zero(product + np.where(product >= 0, 1 << 14, 1 - (1 << 14)), 15)


def _saturated(values: _Whole, bits: int) -> _Whole:
    found: _Whole = np.clip(values << bits, _LEAST, _MOST)
    return found


def _divided(values: _Whole, bits: int) -> _Whole:
    """Return values divided by a power of two, rounded, halves away from zero."""
    rest = values & ((1 << bits) - 1)
    found: _Whole = (values >> bits) + (rest > (((1 << bits) - 1) >> 1) + (values < 0))
    return found
