"""Two shares of which no single images are known: how far are they apart?"""

from __future__ import annotations

from math import erfc, sqrt

from seviz.analysis.difference import Difference
from seviz.analysis.intervals import wilson


class UnpairedDifference(Difference):
    """How a share changes from one set of images to another.

    ``p_value`` is that of the two-sided score test that both are samples of one share.
    """


def unpaired_difference(
    right_before: int, images_before: int, right_after: int, images_after: int
) -> UnpairedDifference:
    r"""Compare two shares as if their images had nothing to do with one another.

    The interval is Newcombe's (method 10, Statistics in Medicine 17, 1998), from the Wilson intervals
    [l1, u1] and [l2, u2] of the two shares:

        d - sqrt((p2 - l2)^2 + (u1 - p1)^2) ... d + sqrt((u2 - p2)^2 + (p1 - l1)^2),  d = p2 - p1

    The test is the score test with the pooled share. Where both sets are the same images, and most are
    right or wrong in both, the interval is wider than it need be; `paired_difference` is the one to use.

    Raises:
        ValueError: If a set has no image.

    >>> d = unpaired_difference(8767, 10_000, 8817, 10_000)
    >>> f"{d.delta:+.4f} [{d.low:+.4f}, {d.high:+.4f}] p = {d.p_value:.2f}"
    '+0.0050 [-0.0040, +0.0140] p = 0.28'
    """
    first, second = wilson(right_before, images_before), wilson(right_after, images_after)
    if first is None or second is None:
        raise ValueError(f"expected images in both, found {images_before} and {images_after}")
    delta = second.value - first.value
    pooled = (right_before + right_after) / (images_before + images_after)
    spread = sqrt(pooled * (1 - pooled) * (1 / images_before + 1 / images_after))
    return UnpairedDifference(
        first.value,
        second.value,
        delta - sqrt((second.value - second.low) ** 2 + (first.high - first.value) ** 2),
        delta + sqrt((second.high - second.value) ** 2 + (first.value - first.low) ** 2),
        erfc(abs(delta) / spread / sqrt(2)) if spread else 1.0,
    )
