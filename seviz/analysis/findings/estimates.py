"""A number with its interval, from what each single image does to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.proportions import CONFIDENCE, Difference, Share
from seviz.results.stats import Floats

FEWEST = 3  # images of a class that tell how much one image more or less does


@dataclass(frozen=True)
class Estimate:
    """A number, with the interval that holds the true one at 95 % confidence.

    Attributes:
        value: The number, from all images.
        low: Lower end; ``None`` where no interval can be had.
        high: Upper end; ``None`` likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def below(self, bound: float) -> bool:
        """Return whether the whole interval is below a bound."""
        return self.high is not None and self.high < bound

    def above(self, bound: float) -> bool:
        """Return whether the whole interval is above a bound."""
        return self.low is not None and self.low > bound

    def mapped(self, slope: float, offset: float) -> Estimate:
        """Return slope * x + offset of value and interval; the slope is positive."""
        value, low, high = (
            None if v is None else slope * v + offset for v in (self.value, self.low, self.high)
        )
        assert value is not None
        return Estimate(value, low, high)


def estimate_of(found: Share | Difference | None) -> Estimate | None:
    """Return a share, or a change of one, as a number with its interval; nothing of nothing.

    >>> from seviz.analysis.proportions import Share
    >>> estimate_of(Share(0.5, 0.25, 0.75, 5, 10))
    Estimate(value=0.5, low=0.25, high=0.75)
    """
    if found is None:
        return None
    value = found.delta if isinstance(found, Difference) else found.value
    return Estimate(value, found.low, found.high)


@dataclass(frozen=True, eq=False)
class Drawn:
    """The images of the sample that intervals are made from.

    The interval is that of the infinitesimal jackknife (Jaeckel, 1972; Efron, 1982): the bootstrap over
    images, classes keeping their sizes, in the limit of infinitely many resamplings and of a statistic
    that is linear in the images. With the influence f_i of image i (how the number would change, per
    unit of weight, if there were more of this image) and N images in all:

        se^2 = mean_i f_i^2 / N,    interval = value +- t se

    Class means, variances and the number itself come from all images; the sample gives the mean of
    f_i^2 alone, and nothing needs random numbers. An influence is measured from the mean of a class that
    the image itself is part of, which makes it too small; sqrt(n_k / (n_k - 1)) makes up for that.

    Attributes:
        rows: Row of each image's class among the classes that have images, int64 [n].
        kept: Which images of the record's sample these are: those of classes with three or more, for
            two are always equally far from their mean, bool [m].
        weight: n_k / (n_k - 1) for the class of each image, [n].
        images: Images of the record, N.
        classes: Classes that have images.
    """

    rows: npt.NDArray[np.int64]
    kept: npt.NDArray[np.bool_]
    weight: Floats
    images: int
    classes: int

    @classmethod
    def of(cls, rows: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> Drawn | None:
        """Return the images that serve, or ``None`` where no class has three.

        Args:
            rows: Row in the record of each image of its sample, int64 [m].
            count: Images of each class of the record, int64 [K].
        """
        seen = count > 0
        kept = count[rows] >= FEWEST
        if kept.sum() < 2:
            return None
        size = count[rows[kept]].astype(np.float64)
        place = (np.cumsum(seen) - 1)[rows[kept]]
        return cls(place, kept, size / (size - 1), int(count.sum()), int(seen.sum()))

    def error(self, influence: Floats) -> Floats:
        """Return the standard error of each number from influences [n, ...], [...]."""
        mean = np.tensordot(self.weight, influence**2, axes=1) / len(influence)
        return np.asarray(np.sqrt(mean / self.images))

    def quantile(self, level: float = CONFIDENCE) -> float:
        """Return how many standard errors the interval reaches to either side: Student's t."""
        from scipy.special import stdtrit

        free = len(self.rows) * max(1 - self.classes / self.images, 0.0)
        return float(stdtrit(max(free, 1.0), (1 + level) / 2))

    def interval(
        self, value: float, influence: Floats, bounds: tuple[float, float] = (-np.inf, np.inf)
    ) -> Estimate:
        """Return a number with its interval, which ends within what such a number can be.

        An end of value +- t se that would lie beyond is taken on a scale that has no end there: log odds
        between two bounds (of a correlation that is Fisher's z), the logarithm above one. So it nears
        the bound and does not reach it, as no number that is not at the bound can be sure to.

        Args:
            value: The number.
            influence: Of each image on it, [n].
            bounds: The smallest and the largest that it can be.
        """
        far = self.quantile() * float(self.error(influence))
        low, high = value - far, value + far
        if low < bounds[0]:
            low = _within(value, -far, bounds)
        if high > bounds[1]:
            high = _within(value, far, bounds)
        return Estimate(value, low, high)


def _within(value: float, far: float, bounds: tuple[float, float]) -> float:
    """Return the end of an interval that is so far from its value, on the scale without ends there.

    >>> round(_within(0.01, -0.02, (0.0, np.inf)), 6)  # 0.01 / e^2
    0.001353
    """
    least, most = bounds
    if not least < value < most:
        return value
    if np.isinf(most):
        return float(least + (value - least) * np.exp(far / (value - least)))
    whole = most - least
    odds = np.log((value - least) / (most - value))
    step = far * whole / ((value - least) * (most - value))
    return float(least + whole / (1 + np.exp(-np.clip(odds + step, -700, 700))))
