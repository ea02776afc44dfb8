"""How the mean gates of each class differ from those of all: what a heat map shows, and what chance would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from seviz.analysis.class_share import MOVES, VarianceParts, variance_parts
from seviz.analysis.clustering import clustered, distances, leaves
from seviz.analysis.proportions import CONFIDENCE
from seviz.results.blocks import GateBlock
from seviz.results.record import Record
from seviz.results.stats import Floats

Places = npt.NDArray[np.intp]
# Classes whose profiles are clustered with all their channels; of more, an even sample of the channels.
_EXACT = 2**22
# Degrees of freedom from which on an expansion gives Student's t to 1 in 1,000, as far out as is looked.
_MANY = 100


@dataclass(frozen=True, eq=False)
class Profile:
    """One block: what its gates do for each class that is drawn.

    Attributes:
        block: The block.
        deviation: Mean gate of the class minus the mean over every class of the record, each weighing the
            same, [K, C]; classes in the order in which they were chosen, channels by index.
        chance: The size that the largest of these deviations would exceed with a probability of at most 5 %
            if gates knew nothing of the class; ``None`` where no class has two images.
        spread: Mean over channels of the standard deviation over all images.
        largest: Size of the largest deviation of all channels of the block, whichever are drawn.
        compared: Whether the record has more than one class, without which nothing deviates.
    """

    block: GateBlock
    deviation: Floats
    chance: float | None
    spread: float
    largest: float
    compared: bool

    def only(self, channels: Places) -> Profile:
        """Return the deviations of some channels, by index; all else stays that of all channels."""
        if len(channels) == self.deviation.shape[1]:
            return self
        return replace(self, deviation=self.deviation[:, channels])

    @property
    def moves(self) -> bool:
        """Return whether the gates vary enough over images for differences to mean something."""
        return self.spread >= MOVES

    @property
    def within_chance(self) -> bool:
        """Return whether chance alone explains a deviation as large as the largest."""
        return self.chance is not None and self.largest <= self.chance


def profiles(
    record: Record, rows: Sequence[int], blocks: Sequence[GateBlock]
) -> tuple[Profile, ...]:
    """Return the deviations of some classes, block by block.

    Args:
        record: Gates.
        rows: Rows of the classes; each has images.
        blocks: Blocks of the record.
    """
    place = np.cumsum(record.count > 0) - 1
    chosen = place[list(rows)]
    found = []
    for block in blocks:
        parts = variance_parts(record.stats(block.name))
        deviation = parts.means[chosen] - parts.means.mean(axis=0)
        spread = float(np.sqrt(parts.total / parts.images).mean())
        largest = float(np.abs(deviation).max(initial=0.0))
        chance = chance_deviation(parts, chosen)
        found.append(Profile(block, deviation, chance, spread, largest, len(parts.means) > 1))
    return tuple(found)


def chance_deviation(parts: VarianceParts, chosen: Places) -> float | None:
    r"""Return how large the largest of many deviations becomes by chance, at most one record of twenty apart.

    If gates did not depend on the class, the deviation of class k, with n_k images of K classes and the
    variance v within classes (pooled, divisor N - K), would have the variance

        v ((1 - 1/K)^2 / n_k + sum_{j != k} 1 / (K^2 n_j))

    The level of each of the M deviations that are looked at is 5 % / M (Bonferroni), with Student's t of
    N - K degrees of freedom.

    Args:
        parts: Of one block.
        chosen: The classes that are looked at, among those with images.
    """
    classes, channels = parts.means.shape
    free = parts.images - classes
    if free < 1 or not len(chosen) or classes < 2:
        return None
    variance = parts.within.sum(axis=0) / free
    inverse = 1 / parts.count
    own = (1 - 1 / classes) ** 2 * inverse + (inverse.sum() - inverse) / classes**2
    tests = len(chosen) * channels
    far = student(1 - (1 - CONFIDENCE) / (2 * tests), free)
    return float(far * np.sqrt(variance.max() * own[chosen].max()))


def student(level: float, free: float) -> float:
    """Return a quantile of Student's t.

    Of many degrees of freedom it is an expansion about that of the normal distribution (Cornish and Fisher,
    1937), for which a redraw need not import SciPy; far out of few it would be much too small.
    """
    if free < _MANY:
        from scipy.special import stdtrit

        return -float(stdtrit(free, 1 - level))  # the lower end: near 1 there are few digits
    z = NormalDist().inv_cdf(level)
    return (
        z
        + (z**3 + z) / (4 * free)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    )


def order_of_classes(found: Sequence[Profile]) -> Places:
    """Return one order of the classes for all blocks: those that differ alike from the mean stand together.

    By the root mean square difference of two classes over the channels of a block, each block weighing the
    same however many channels it has.
    """
    classes = len(found[0].deviation) if found else 0
    if classes < 3:
        return np.arange(classes)
    squares = np.zeros((classes, classes), dtype=np.float64)
    for profile in found:
        step = max(1, classes * profile.deviation.shape[1] // _EXACT)
        sample = profile.deviation[:, ::step]
        squares += distances(sample).astype(np.float64) ** 2 / sample.shape[1]
    return leaves(np.sqrt(squares).astype(np.float32))


def order_of_channels(deviation: Floats) -> Places:
    """Return the channels of one block so that those that differ alike stand together.

    Args:
        deviation: By class and channel, [K, C].
    """
    return clustered(deviation.T)


def thinned(values: Floats, group: int) -> Floats:
    """Return the means of so many neighbouring rows each; of fewer at the end.

    Args:
        values: [R, C].
        group: Rows that make one.

    >>> thinned(np.array([[0.0], [2.0], [4.0], [6.0], [8.0]]), 2).ravel().tolist()
    [1.0, 5.0, 8.0]
    """
    if group == 1:
        return values
    begins = np.arange(0, len(values), group)
    size = np.diff(np.append(begins, len(values)))
    return np.asarray(np.add.reduceat(values, begins, axis=0) / size[:, None])
