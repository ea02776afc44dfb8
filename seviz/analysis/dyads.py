r"""Shares and means over pairs of images, with intervals that know that pairs share images.

Each image is in several pairs, so that pairs are no independent trials: an image whose gates do much does
it in all of them. With e_d the deviation of pair d from the mean of n pairs, the variance of that mean is
estimated from all pairs of pairs that have an image in common (Fafchamps and Gubert, Journal of Development
Economics 83, 2007; Aronow, Samii and Assenova, Political Analysis 23, 2015, arXiv 1312.3398):

    V = G / (G - 1) 1 / n^2 sum over d, d' that share an image of e_d e_d'
      = G / (G - 1) 1 / n^2 (sum over images of (sum of its e)^2 - sum over couples of (sum of its e)^2)

with G images; a couple is two images, whichever gives its gates. It is never taken for less than that of n
independent pairs. Intervals use Student's t, with one degree of freedom less than there are images that
give gates, or that get them, whichever are fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.proportions import CONFIDENCE, score_interval
from seviz.results.stats import Floats
from seviz.results.swap import Integers

# With fewer images on either side there is no interval.
_FEWEST = 2


@dataclass(frozen=True, eq=False)
class Dyads:
    """Pairs of images.

    Attributes:
        first: Number of one image of each pair, int64 [n].
        second: Number of the other, which is another one.
        confidence: How often intervals hold.
    """

    first: Integers
    second: Integers
    confidence: float = CONFIDENCE

    def __len__(self) -> int:
        return len(self.first)

    def only(self, chosen: npt.NDArray[np.bool_]) -> Dyads:
        """Return some of the pairs."""
        return Dyads(self.first[chosen], self.second[chosen], self.confidence)

    def share(
        self, hits: npt.NDArray[np.bool_], like: npt.NDArray[np.bool_] | None = None
    ) -> Estimate | None:
        """Return the share of the pairs that count, with Wilson's interval for as many as they are worth.

        They are worth n / (design effect) independent pairs, the design effect being V by the variance of
        n independent ones (Korn and Graubard, Survey Methodology 24, 1998). Where all or none count, it is
        unknown, and that of ``like`` serves; else they are worth the couples that share no image.

        Args:
            hits: Which pairs count, bool [n].
            like: What goes together in the same images, bool [n].
        """
        if not len(self):
            return None
        value = float(hits.mean())
        serves = hits if like is None or 0 < value < 1 else like
        worth = self._worth(serves.astype(np.float64))
        if worth is None:
            return Estimate(value)
        low, high = score_interval(value, worth, self.confidence)
        return Estimate(value, 0.0 if value == 0 else low, 1.0 if value == 1 else high)

    def difference(
        self, one: npt.NDArray[np.bool_] | Floats, other: npt.NDArray[np.bool_] | Floats
    ) -> Estimate | None:
        """Return by how much a share is above another one of the same pairs.

        The interval is Agresti and Min's (Statistics in Medicine 24, 2005), half a pair added to each cell
        of the table, for as many pairs as these are worth.

        Args:
            one: What each pair adds to the first share, 0..1, [n].
            other: To the second.
        """
        if not len(self):
            return None
        apart = np.asarray(one, np.float64) - np.asarray(other, np.float64)
        value, square = float(apart.mean()), float((apart**2).mean())
        worth = self._worth(apart)
        if worth is None:
            return Estimate(value)
        more = worth + 2
        middle = value * worth / more
        spread = sqrt(max(0.0, square * worth + 1 - (value * worth) ** 2 / more)) / more
        reach = NormalDist().inv_cdf((1 + self.confidence) / 2) * spread
        return Estimate(value, max(-1.0, middle - reach), min(1.0, middle + reach))

    def mean(self, values: npt.NDArray[Any]) -> Estimate | None:
        """Return the mean of numbers that have no bounds, [n]."""
        if not len(self):
            return None
        value = float(values.mean())
        if self._free < 1:
            return Estimate(value)
        reach = self._quantile * sqrt(self.variance(values.astype(np.float64)))
        return Estimate(value, value - reach, value + reach)

    def variance(self, values: Floats) -> float:
        """Return V of the mean of some numbers, [n]."""
        apart = values - values.mean()
        count = len(self)
        numbers, places = np.unique(np.concatenate([self.first, self.second]), return_inverse=True)
        one, other = places[:count], places[count:]
        of_image = np.bincount(one, apart, len(numbers)) + np.bincount(other, apart, len(numbers))
        couple = np.minimum(one, other) * len(numbers) + np.maximum(one, other)
        _, couple = np.unique(couple, return_inverse=True)
        shared = float((of_image**2).sum() - (np.bincount(couple, apart) ** 2).sum())
        found = shared * len(numbers) / max(len(numbers) - 1, 1) / count**2
        independent = float((apart**2).sum()) / (max(count - 1, 1) * count)
        return max(found, independent)

    @property
    def _free(self) -> int:
        """Return the degrees of freedom."""
        return min(len(np.unique(self.first)), len(np.unique(self.second))) - 1

    @property
    def _quantile(self) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self._free, (1 + self.confidence) / 2))

    def _worth(self, values: Floats) -> float | None:
        """Return how many independent pairs these are worth to an interval with the normal quantile."""
        if self._free < _FEWEST - 1:
            return None
        count = len(self)
        variance = float(values.var())
        if variance == 0:
            images = len(np.unique(np.concatenate([self.first, self.second])))
            worth = min(count, images / 2)
        else:
            worth = variance / self.variance(values)
        normal = NormalDist().inv_cdf((1 + self.confidence) / 2)
        return worth * (normal / self._quantile) ** 2
