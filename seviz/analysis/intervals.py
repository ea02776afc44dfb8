"""Intervals for what was counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """A share of images, with the interval that holds the true share at 95 % confidence.

    Attributes:
        value: The share, 0..1.
        low: Lower end.
        high: Upper end.
        count: Images that count.
        images: Images in all.
    """

    value: float
    low: float
    high: float
    count: int
    images: int

    def __str__(self) -> str:
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}]"


def wilson(count: int, images: int, confidence: float = CONFIDENCE) -> Share | None:
    r"""Return a share with Wilson's score interval (Wilson, 1927); ``None`` without images.

    With p = count / n and z the normal quantile:

        (p + z^2 / 2n  +-  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    It stays within 0..1 and means something at 0 and at n, where the usual p +- z s does not.

    >>> print(wilson(8817, 10_000))
    88.17% [87.52%, 88.79%]
    """
    if not images:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, more = count / images, z**2 / images
    middle = (p + more / 2) / (1 + more)
    half = z * math.sqrt(p * (1 - p) / images + more / (4 * images)) / (1 + more)
    # Exactly 0 and 1 there, which rounding misses.
    low = 0.0 if count == 0 else max(0.0, middle - half)
    high = 1.0 if count == images else min(1.0, middle + half)
    return Share(p, low, high, count, images)
