"""What of the statistics of a block follows from the rest: it need not be stored.

With one image of a class the least gate is the greatest, the sum, and its square the sum of squares; with two
images the extremes are the gates, with three the sum gives the third. What is foretold may be wrong: a record
stores what the numbers differ by, so they come out as they were. All that is used here are operations that
IEEE 754 rounds alike everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from seviz.results.stats import SATURATED_HIGH, SATURATED_LOW, Array

# In this order, since each follows from those before it.
ORDER = ("minimum", "maximum", "sum", "sumsq", "low", "high")
TYPES: Mapping[str, type[np.generic]] = {
    **dict.fromkeys(("minimum", "maximum"), np.float32),
    **dict.fromkeys(("sum", "sumsq", "sum_low", "sumsq_low"), np.float64),
    **dict.fromkeys(("low", "high"), np.int32),
}
NEEDS: Mapping[str, Sequence[str]] = {
    "minimum": (),
    "maximum": ("minimum",),
    "sum": ("minimum", "maximum"),
    "sumsq": ("minimum", "maximum", "sum"),
    "low": ("minimum", "maximum", "sum"),
    "high": ("minimum", "maximum", "sum"),
    "sum_low": (),
    "sumsq_low": (),
}
# What a class without images has.
EMPTY: Mapping[str, float] = {"minimum": np.inf, "maximum": -np.inf}


def foretold(field: str, count: Array, base: Array, known: Callable[[str], Array]) -> Array:
    """Return what a field is likely to hold.

    Args:
        field: Which, of `TYPES`.
        count: Images of each class, int64 [R]; none is 0.
        base: Gates of some class, float32 [C].
        known: Given a field of `NEEDS`, returns it, [R, C].
    """
    with np.errstate(all="ignore"):
        found = _FUNCTIONS[field](count[:, None], base, known)
    return np.ascontiguousarray(found, TYPES[field])


def _third(count: Array, known: Callable[[str], Array]) -> Array:
    """Return the gate between the extremes, float64, right where there are three."""
    total: Array = known("sum") - known("minimum").astype(np.float64)
    return np.asarray(total - known("maximum").astype(np.float64))


def _minimum(count: Array, base: Array, known: Callable[[str], Array]) -> Array:
    return np.broadcast_to(base, (len(count), len(base)))


def _maximum(count: Array, base: Array, known: Callable[[str], Array]) -> Array:
    return known("minimum")


def _sum(count: Array, base: Array, known: Callable[[str], Array]) -> Array:
    least, most = (known(name).astype(np.float64) for name in ("minimum", "maximum"))
    # Of more images as if they lay around the middle, which is rounded so that last places stay zeros.
    middle = ((least + most) / 2).astype(np.float32).astype(np.float64)
    return np.where(count == 1, least, np.where(count == 2, least + most, count * middle))


def _sumsq(count: Array, base: Array, known: Callable[[str], Array]) -> Array:
    least, most = (np.square(known(n), dtype=np.float64) for n in ("minimum", "maximum"))
    three = least + most + np.square(_third(count, known))
    more = np.square(known("sum")) / count
    found = np.where(count == 3, three, more)
    return np.where(count == 1, least, np.where(count == 2, least + most, found))


def _ends(beyond: Callable[[Array], Array]) -> Callable[..., Array]:
    def function(count: Array, base: Array, known: Callable[[str], Array]) -> Array:
        least, most = (beyond(known(name)).astype(np.int64) for name in ("minimum", "maximum"))
        third = beyond(_third(count, known).astype(np.float32))
        # Of more images all, if both extremes are, and else those alone.
        more = np.where(least & most, count, least + most)
        found = np.where(count == 3, least + most + third, more)
        return np.where(count == 1, least, np.where(count == 2, least + most, found))

    return function


def _nothing(count: Array, base: Array, known: Callable[[str], Array]) -> Array:
    return np.zeros((len(count), len(base)))


_FUNCTIONS: Mapping[str, Callable[..., Array]] = {
    "minimum": _minimum,
    "maximum": _maximum,
    "sum": _sum,
    "sumsq": _sumsq,
    "low": _ends(lambda gates: gates < np.float32(SATURATED_LOW)),
    "high": _ends(lambda gates: gates > np.float32(SATURATED_HIGH)),
    "sum_low": _nothing,
    "sumsq_low": _nothing,
}


def base_of(minimum: Array) -> Array:
    """Return the middle gate of each channel over a few classes, float32 [C]."""
    if not len(minimum):
        return np.zeros(minimum.shape[1], np.float32)
    few = minimum[:: max(1, len(minimum) // 32)]
    return np.asarray(np.sort(few, axis=0)[len(few) // 2])
