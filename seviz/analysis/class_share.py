"""How much of what a gate does depends on the class: one number per block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seviz.errors import DataError
from seviz.results import BlockStats, Record

MOVES = 0.01
STILL = 1e-6


@dataclass(frozen=True)
class ClassShare:
    """The part of one block's gate variance that lies between classes.

    Attributes:
        block: Name of the block.
        share: Mean eta squared of the channels that move, 0..1; ``None`` if no channel moves, or
            fewer than two classes have images.
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
    return [_share(block.name, record.stats(block.name)) for block in record.blocks]


def _share(name: str, stats: BlockStats) -> ClassShare:
    seen = stats.seen
    count = stats.count[seen].astype(np.float64)[:, None]
    total, squares = stats.sum[seen], stats.sumsq[seen]
    images = float(count.sum())
    means = total / count
    # From differences of means, because differences of sums of squares lose half the digits. Inside
    # a class there is nothing else, and rounding can bring it below zero where all gates are equal.
    between = (count * (means - total.sum(axis=0) / images) ** 2).sum(axis=0)
    within = np.maximum(squares - total * means, 0.0).sum(axis=0)
    spread = np.sqrt((between + within) / images)
    moving = spread >= STILL
    several = len(count) > 1
    eta = between[moving] / (between[moving] + within[moving])
    return ClassShare(
        block=name,
        share=float(eta.mean()) if several and moving.any() else None,
        chance=(len(count) - 1) / (images - 1) if several else None,
        spread=float(spread.mean()),
        within=float(np.sqrt(within / images).mean()),
        still=int(np.count_nonzero(~moving)),
    )
