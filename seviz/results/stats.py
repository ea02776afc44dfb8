"""Gate statistics of one block: sums over images, kept per class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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

    def of(self, rows: Sequence[int]) -> BlockStats:
        """Return the statistics of some classes, by row."""
        chosen = np.asarray(rows, np.int64)
        return BlockStats(**{k: getattr(self, k)[chosen] for k in BlockStats.__dataclass_fields__})

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


class Stored(Protocol):
    """Arrays of a record file, of which some rows can be read without the others."""

    def __getitem__(self, name: str) -> Array:
        """Return an array."""

    def rows(self, name: str, wanted: Array) -> Array:
        """Return some rows of a table."""

    def over_all(self, block: str) -> tuple[Array, Array] | None:
        """Return mean and deviation of a block over all classes, if they are kept."""


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


class FiledStats(StoredStats):
    """Statistics in a file: those of some classes, and those over all, are read without the rest."""

    def __init__(
        self, count: npt.NDArray[np.int64], arrays: Stored, prefix: str, block: str
    ) -> None:
        self.__dict__.update(count=count, _arrays=arrays, _prefix=prefix, _block=block)

    @property
    def all_mean(self) -> Floats:
        """Return the same as of any statistics."""
        kept = self._arrays.over_all(self._block)  # type: ignore[attr-defined]
        return super().all_mean if kept is None else np.asarray(kept[0])

    @property
    def all_std(self) -> Floats:
        """Return the same as of any statistics."""
        kept = self._arrays.over_all(self._block)  # type: ignore[attr-defined]
        return super().all_std if kept is None else np.asarray(kept[1])

    def of(self, rows: Sequence[int]) -> BlockStats:
        """Return the statistics of some classes, each field read when asked for it."""
        chosen = np.asarray(rows, np.int64)
        return StoredStats(self.count[chosen], _Rows(self._arrays, chosen), self._prefix)  # type: ignore[arg-type]


class _Rows(Mapping[str, Array]):
    """Some rows of the tables of a file, each read once."""

    def __init__(self, arrays: Stored, rows: Array) -> None:
        self._arrays, self._rows = arrays, rows
        self._read: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._read:
            self._read[name] = self._arrays.rows(name, self._rows)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)
