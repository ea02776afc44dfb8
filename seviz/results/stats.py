"""Gate statistics of one block: sums over images, kept per class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

# Bins of equal width for confidence against accuracy, as in Guo et al. (arXiv 1706.04599).
CALIBRATION_BINS = 15
SATURATED_HIGH = 0.95
SATURATED_LOW = 0.05
_SUMMED = ("count", "sum", "sumsq", "low", "high")


@dataclass(frozen=True, eq=False)
class BlockStats:
    """Gate statistics of one block, per class.

    Attributes:
        count: Images per class, int64 [K].
        sum: Sum of gates, float64 [K, C].
        sumsq: Sum of squared gates, float64 [K, C].
        minimum: Smallest gate, float32 [K, C]; +inf where a class has no image.
        maximum: Largest gate, float32 [K, C]; -inf where a class has no image.
        low: Images whose gate is below 0.05, int32 [K, C].
        high: Images whose gate is above 0.95, int32 [K, C].
    """

    count: npt.NDArray[np.int64]
    sum: Floats
    sumsq: Floats
    minimum: npt.NDArray[np.float32]
    maximum: npt.NDArray[np.float32]
    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Return which classes have images, [K]."""
        return self.count > 0

    @property
    def mean(self) -> Floats:
        """Return the mean gate of each class, [K, C]; NaN where a class has no image."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sum / self.count[:, None])

    @property
    def std(self) -> Floats:
        """Return the standard deviation within each class (divisor n), [K, C]."""
        with np.errstate(invalid="ignore"):
            return _std(self.sum, self.sumsq, self.count[:, None])

    @property
    def all_mean(self) -> Floats:
        """Return the mean over every class that has images, each class weighing the same, [C]."""
        return np.asarray(self.mean[self.seen].mean(axis=0))

    @property
    def all_std(self) -> Floats:
        """Return the standard deviation over all images (divisor n), [C]."""
        return _std(self.sum.sum(axis=0), self.sumsq.sum(axis=0), self.count.sum())

    def __add__(self, other: BlockStats) -> BlockStats:
        summed = {k: getattr(self, k) + getattr(other, k) for k in _SUMMED}
        return BlockStats(
            **summed,
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
        )


def _std(total: Floats, squares: Floats, count: Any) -> Floats:
    # Rounding can leave a variance of -1e-17 where all gates are equal.
    return np.asarray(np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0.0)))


class StoredStats(BlockStats):
    """Statistics that read a field when asked for it: a mean needs a quarter of what is stored."""

    def __init__(
        self, count: npt.NDArray[np.int64], arrays: Mapping[str, Array], prefix: str
    ) -> None:
        self.__dict__.update(count=count, _arrays=arrays, _prefix=prefix)

    def __getattr__(self, name: str) -> Array:
        if name not in BlockStats.__dataclass_fields__:
            raise AttributeError(name)
        return self._arrays[self._prefix + name]  # type: ignore[no-any-return]
