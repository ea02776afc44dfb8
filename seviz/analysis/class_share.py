"""How much of what a gate does depends on the class: one number per block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from seviz.errors import DataError
from seviz.results.record import Record
from seviz.results.stats import BlockStats, Floats

MOVES = 0.01
STILL = 1e-6


@dataclass(frozen=True)
class ClassShare:
    """The part of one block's gate variance that lies between classes.

    Attributes:
        block: Name of the block.
        share: Mean eta squared of the channels that move, 0..1; ``None`` if no channel moves, fewer
            than two classes have images, or none has two: then each class is its image.
        chance: What ``share`` would be on average if gates knew nothing of the class:
            (K - 1) / (N - 1) for N images of K classes; ``None`` for fewer than two classes.
        spread: Mean over channels of the standard deviation over all images.
        within: Mean over channels of the standard deviation inside classes, pooled over classes.
        still: Number of channels that do not move: their standard deviation over all images is
            below 1e-6, and eta squared is undefined there.
    """

    block: str
    share: float | None
    chance: float | None
    spread: float
    within: float
    still: int

    @property
    def moves(self) -> bool:
        """Return whether the gates vary enough (spread >= 0.01) for the share to mean something."""
        return self.spread >= MOVES


def class_share(record: Record) -> list[ClassShare]:
    r"""Return the class share of every block, in forward order.

    For one channel, with gate s_i of image i, n_k images in class k and N in all, the mean m_k of a
    class and the mean m of all images:

        between = sum_k n_k (m_k - m)^2
        within  = sum_k sum_{i in k} (s_i - m_k)^2
        eta^2   = between / (between + within)

    The share is the mean of eta^2 over the channels that move; ``spread`` and ``within`` are means
    over all channels of sqrt((between + within) / N) and sqrt(within / N).

    This is seviz's own index: the SENet paper (arXiv 1709.01507v4) shows figures and gives no
    number. Two cautions. A gate that hardly moves has a share too, which means nothing: look at
    ``moves`` first. And with few images per class the share is high by chance alone: compare it
    with ``chance``.

    Args:
        record: Needs counts, sums and sums of squares only; classes without images are left out.

    Raises:
        DataError: If the record holds no image.
    """
    if not record.count.any():
        raise DataError(
            f"expected a record with images, found none from {record.header.source!r}; "
            "collect it again"
        )
    return [block_share(b.name, variance_parts(record.stats(b.name))) for b in record.blocks]


@dataclass(frozen=True, eq=False)
class VarianceParts:
    """The gate variance of one block, apart by where it comes from; classes without images left out.

    Attributes:
        count: Images of each class, float64 [K].
        means: Mean gate of each class, [K, C].
        mean: Mean over all images, [C].
        between: Sum of squares between classes, sum_k n_k (m_k - m)^2, [C].
        within: Sum of squares within each class, [K, C].
    """

    count: Floats
    means: Floats
    mean: Floats
    between: Floats
    within: Floats

    @property
    def images(self) -> float:
        """Return the number of images."""
        return float(self.count.sum())

    @cached_property
    def total(self) -> Floats:
        """Return the sum of squares over all images, [C]."""
        return np.asarray(self.between + self.within.sum(axis=0))

    @cached_property
    def moving(self) -> npt.NDArray[np.bool_]:
        """Return which channels move at all: standard deviation over all images of 1e-6 or more, [C]."""
        return np.asarray(np.sqrt(self.total / self.images) >= STILL)

    @cached_property
    def eta(self) -> Floats:
        """Return eta squared of each channel; 0 for those that do not move, [C]."""
        return np.asarray(
            np.where(self.moving, self.between / np.where(self.moving, self.total, 1), 0)
        )


def variance_parts(stats: BlockStats) -> VarianceParts:
    """Return the parts of one block's gate variance."""
    seen = stats.seen
    count = stats.count[seen].astype(np.float64)
    total, squares = stats.sum[seen], stats.sumsq[seen]
    means = total / count[:, None]
    mean = total.sum(axis=0) / count.sum()
    # From differences of means, because differences of sums of squares lose half the digits. Inside
    # a class there is nothing else, and rounding can bring it below zero where all gates are equal.
    between = (count[:, None] * (means - mean) ** 2).sum(axis=0)
    within = np.maximum(squares - total * means, 0.0)
    return VarianceParts(count, means, mean, between, within)


def chance_share(parts: VarianceParts) -> float | None:
    """Return the mean of the class share over all shufflings of the labels: (K - 1) / (N - 1)."""
    classes = len(parts.count)
    return (classes - 1) / (parts.images - 1) if 1 < classes < parts.images else None


def block_share(name: str, parts: VarianceParts) -> ClassShare:
    """Return the class share of one block."""
    moving, images = parts.moving, parts.images
    several = 1 < len(parts.count) < images
    return ClassShare(
        block=name,
        share=float(parts.eta[moving].mean()) if several and moving.any() else None,
        chance=chance_share(parts),
        spread=float(np.sqrt(parts.total / images).mean()),
        within=float(np.sqrt(parts.within.sum(axis=0) / images).mean()),
        still=int(np.count_nonzero(~moving)),
    )
