"""Seeds of random numbers: one range for every command and function that takes one."""

from __future__ import annotations

import operator
from typing import Any

from seviz.errors import UsageError

# NumPy's generators take any whole number from 0 on, torch's those of 64 bits.
_MOST = 2**64 - 1


def checked_seed(seed: Any) -> int:
    """Return a seed that every generator takes, of whatever type of whole number it is.

    Raises:
        UsageError: If it is none.

    >>> checked_seed(7)
    7
    """
    try:
        number = operator.index(seed)
    except TypeError:
        found = f"{seed!r:.60}"
    else:
        if 0 <= number <= _MOST:
            return number
        # Python writes no whole number of thousands of digits out.
        found = f"{number:d}" if abs(number) < 10**40 else f"one of {number.bit_length():,} bits"
    raise UsageError(
        f"expected a seed from 0 to {_MOST}, found {found}; leave --seed (or seed=) out for the usual one"
    )
