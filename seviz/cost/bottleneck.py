"""How the width of the bottleneck follows from the number of channels and the reduction ratio."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from seviz.results.cost import FALLBACK_RULE, UNKNOWN_RULE

Rule = Callable[[int, float], int]


def _divisible(channels: int, ratio: float, limit: float) -> int:
    """Return the multiple of 8 that is nearest to C / r, at least 8; one more if that loses too much."""
    wanted = channels / ratio
    hidden = max(8, int(wanted + 4) // 8 * 8)
    return hidden + 8 if hidden < limit * wanted else hidden


# The first that gives a network's widths is taken to be its own.
RULES: Mapping[str, Rule] = {
    "C / r, rounded down, at least 1": lambda c, r: max(1, int(c / r)),
    "C / r, rounded, at least 1": lambda c, r: max(1, round(c / r)),
    "C / r, rounded up": lambda c, r: math.ceil(c / r),
    "C / r, to a multiple of 8": lambda c, r: _divisible(c, r, 0.0),
    "C / r, to a multiple of 8 that is no less than 90 %": lambda c, r: _divisible(c, r, 0.9),
    "C / r, rounded down, at least 32": lambda c, r: max(32, int(c / r)),
}
_RATIOS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)


def recognise(widths: Sequence[tuple[int, int]]) -> tuple[float | None, str]:
    """Return the reduction ratio that all blocks share, and the rule; (None, "not recognised") without.

    Args:
        widths: Channels C and units of the bottleneck, of each block.

    >>> recognise([(256, 16), (512, 32)])
    (16, 'C / r, rounded down, at least 1')
    >>> recognise([(72, 24), (120, 32), (960, 240)])
    (4, 'C / r, to a multiple of 8 that is no less than 90 %')
    """
    own = sorted({c / h for c, h in widths})
    for name, rule in RULES.items():
        for ratio in (*own, *_RATIOS):
            if widths and all(rule(c, ratio) == h for c, h in widths):
                return int(ratio) if float(ratio).is_integer() else ratio, name
    return None, UNKNOWN_RULE


def hidden_units(channels: int, reduction: float, rule: str) -> int:
    """Return the units of the bottleneck at a reduction ratio."""
    return RULES.get(rule, RULES[FALLBACK_RULE])(channels, reduction)
