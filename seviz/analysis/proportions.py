"""Shares of images and how far two are apart: intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from seviz.results.shares import shown_share

CONFIDENCE = 0.95
SIGNIFICANT = 0.05


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
        value, low, high = (shown_share(v, ".2%") for v in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


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
    p = count / images
    low, high = score_interval(p, images, confidence)
    # Exactly 0 and 1 there, which rounding misses.
    return Share(p, 0.0 if count == 0 else low, 1.0 if count == images else high, count, images)


def score_interval(
    share: float, images: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return both ends of Wilson's score interval, as `wilson` defines it.

    Args:
        share: The share that was found.
        images: How many independent images it is worth; need not be a whole number.
        confidence: How often the interval is to hold the true share.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    more = z**2 / images
    middle = (share + more / 2) / (1 + more)
    half = z * sqrt(share * (1 - share) / images + more / (4 * images)) / (1 + more)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Difference:
    """How a share changes from one to another.

    Attributes:
        before: The first share.
        after: The second.
        low: Lower end of the 95 % interval of ``delta``.
        high: Its upper end.
        p_value: How probable a change as large is by chance; the subclass says by which test.
    """

    before: float
    after: float
    low: float
    high: float
    p_value: float

    @property
    def delta(self) -> float:
        """Return ``after - before``."""
        return self.after - self.before

    @property
    def significant(self) -> bool:
        """Return whether chance is an unlikely explanation (p < 0.05)."""
        return self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class PairedDifference(Difference):
    """How the share of right predictions changes from one prediction to another of the same images.

    Attributes:
        images: Images that both predicted, n.
        lost: Images that only the first has right, b.
        won: Images that only the second has right, c.

    ``p_value`` is that of the exact McNemar test: how probable it is that the images on which the two
    differ fall as unevenly by chance.
    """

    images: int
    lost: int
    won: int


def paired_difference(
    before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]
) -> PairedDifference:
    """Compare which images two predictions have right, as `counted_difference` does.

    Args:
        before: Whether the first has each image right, [n].
        after: Whether the second has, [n].

    Raises:
        ValueError: If there is no image, or not as many in both.

    >>> d = paired_difference(np.array([True] * 9 + [False]), np.array([True] * 5 + [False] * 5))
    >>> round(d.delta, 2), d.lost, d.won, round(d.p_value, 3)
    (-0.4, 4, 0, 0.125)
    """
    if before.shape != after.shape:
        raise ValueError(f"expected as many images in both, found {before.size} and {after.size}")
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    return counted_difference(int(before.size), int(before.sum()), lost, won)


def counted_difference(images: int, right: int, lost: int, won: int) -> PairedDifference:
    """Compare two predictions by how many images change sides.

    The interval is Agresti and Min's for paired proportions (Statistics in Medicine 24, 2005): Wald's,
    with half an image added to each cell of the table, so that it has a width where no image changes
    sides. The test is McNemar's (Psychometrika 12, 1947) in its exact, binomial form.

    Args:
        images: Images that both predicted, n.
        right: Those that the first has right.
        lost: Those that only the first has right, b.
        won: Those that only the second has right, c.

    Raises:
        ValueError: If there is no image, or the counts do not fit together.

    >>> d = counted_difference(images=100, right=90, lost=12, won=2)
    >>> f"{d.delta:+.2f} [{d.low:+.3f}, {d.high:+.3f}]", round(d.p_value, 4)
    ('-0.10 [-0.170, -0.026]', 0.0129)
    """
    if not 0 <= lost <= right <= images - won or not images or won < 0:
        raise ValueError(
            f"expected counts of the same images, found {right} of {images} right, {lost} lost and {won} won"
        )
    from scipy.special import bdtr  # the distribution alone: scipy.stats is a quarter of a redraw

    adjusted = images + 2
    middle = (won - lost) / adjusted
    spread = sqrt(max(0.0, (won + lost + 1) - (won - lost) ** 2 / adjusted)) / adjusted
    reach = NormalDist().inv_cdf(0.975) * spread
    # Both tails of Binomial(b + c, 1/2), which is symmetric.
    p_value = min(1.0, 2 * float(bdtr(min(won, lost), won + lost, 0.5)))
    return PairedDifference(
        before=right / images,
        after=(right - lost + won) / images,
        low=max(-1.0, middle - reach),
        high=min(1.0, middle + reach),
        p_value=p_value,
        images=images,
        lost=lost,
        won=won,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several (Holm, Scandinavian Journal of Statistics 6, 1979).

    The probability that any of the tests finds something by chance alone stays below the level at which
    the adjusted values are read, however the tests depend on each other.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


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
