"""Sums that do not depend on how they were split: a sum of float64 numbers kept as two.

The first number is the rounded sum, the second what rounding lost of it, which is known exactly (Knuth's
TwoSum, The Art of Computer Programming 4.2.2). Whatever the order and the parts in which numbers are added,
the pair stands for the same sum as long as the second numbers add up without rounding themselves; the
rounded sum of the whole is then the same to the bit.

When they do: every lost part is a multiple of the last place u of the smallest number added, and is at most
half the last place of the largest sum S; n of them are added exactly while n S 2^-53 <= 2^53 u / 2. Of n
numbers between s and s R this holds for n^2 R <= 2^52: for 10,000 batches of a class whose sums differ by a
factor of 45 million, for a million batches by 4,000. Beyond that the lost parts are wrong by 2^-106 of the
sum, which shows in a sum rounded to 2^-53 about once in 2^53 / n.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from seviz.results.sample import PREFIX
from seviz.results.stats import Array, Floats

LOW = "_low"
# How arrays join that are not added up, by field.
EXTREMES: Mapping[str, Callable[[Array, Array], Array]] = {
    "minimum": np.minimum,
    "maximum": np.maximum,
}


def low_name(name: str) -> str:
    """Return the name of the array that holds what rounding lost of another.

    >>> low_name("gates/SE_2_1/sum")
    'gates/SE_2_1/sum_low'
    """
    return name + LOW


def is_low(name: str) -> bool:
    """Return whether an array holds what rounding lost of another."""
    return name.endswith(LOW)


def two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the rounded sum, and what rounding lost of it, both exact (no overflow).

    >>> high, low = two_sum(np.array([1e16]), np.array([1.0]))
    >>> float(high[0]) == 1e16, float(low[0])
    (True, 1.0)
    """
    with np.errstate(invalid="ignore", over="ignore"):
        total = a + b
        part = total - a
        return total, (a - (total - part)) + (b - part)


def add_pairs(
    a: tuple[Floats, Floats | None], b: tuple[Floats, Floats | None]
) -> tuple[Floats, Floats]:
    """Return the sum of two sums, each a rounded sum and what was lost; ``None`` where nothing is known."""
    high, low = two_sum(a[0], b[0])
    for lost in (a[1], b[1]):
        if lost is not None:
            low = low + lost
    return two_sum(high, low)


def added(a: Mapping[str, Array], b: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of two parts of a pass joined: counts, extremes, and sums with what they lost.

    Those that only one part has are left out, and so is the sample, which is no sum.
    """
    made: dict[str, Array] = {}
    for name in (n for n in a if n in b and not n.startswith(PREFIX) and not is_low(n)):
        one, other = a[name], b[name]
        field = name.rpartition("/")[2]
        if field in EXTREMES:
            made[name] = np.asarray(EXTREMES[field](one, other))
        elif one.dtype.kind == "f":
            lost = low_name(name)
            made[name], made[lost] = add_pairs((one, a.get(lost)), (other, b.get(lost)))
        else:
            made[name] = np.asarray(one + other)
    return made


def rounded(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return arrays without the lost parts, the sums rounded once."""
    made = {name: array for name, array in arrays.items() if not is_low(name)}
    for name, low in arrays.items():
        if is_low(name):
            whole = name.removesuffix(LOW)
            made[whole] = np.asarray(arrays[whole] + low)
    return made
