"""Two predictions of the same images: is one better, and by how much?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from seviz.analysis.difference import Difference


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
    from scipy.stats import binomtest  # takes a second to import, which a redraw need not wait for

    adjusted = images + 2
    middle = (won - lost) / adjusted
    spread = sqrt(max(0.0, (won + lost + 1) - (won - lost) ** 2 / adjusted)) / adjusted
    reach = NormalDist().inv_cdf(0.975) * spread
    p_value = 1.0 if won + lost == 0 else float(binomtest(won, won + lost).pvalue)
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
