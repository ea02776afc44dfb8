"""The gates of two networks, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seviz.analysis.class_share import MOVES
from seviz.analysis.gate_confusion import gate_distances
from seviz.results.record import Record
from seviz.results.stats import Floats

# Below this, a difference is what float32 rounds away.
EQUAL = 1e-6


@dataclass(frozen=True)
class BlockComparison:
    """One block of two networks.

    Attributes:
        block: Its name in both.
        channels: Its channels in both.
        drift: Root mean square, over classes and channels, of the difference of the class means.
        correlation: Pearson's, over classes and channels, of the class means; ``None`` where those of
            one network are all equal.
        geometry: Pearson's, over pairs of classes, of the distances between the class means: whether
            classes that are gated alike in one network are in the other. Needs no channel of one to be
            the same channel of the other. ``None`` for fewer than three classes, or equal distances.
        spreads: Standard deviation of the gates over all images, mean over channels, in each.
    """

    block: str
    channels: int
    drift: float
    correlation: float | None
    geometry: float | None
    spreads: tuple[float, float]

    @property
    def moves(self) -> bool:
        """Return whether the gates of both vary enough for ``geometry`` to mean something."""
        return min(self.spreads) >= MOVES


def compare_gates(a: Record, b: Record) -> tuple[list[BlockComparison], list[str]]:
    """Compare the class means of all blocks that both networks have.

    Args:
        a: A record.
        b: Another one.

    Returns:
        A comparison for each block that has the same name and as many channels in both, over the
        classes that have images in both; and what could not be compared.
    """
    shared = shared_rows(a, b)
    theirs = {block.name: block for block in b.blocks}
    compared, left = [], []
    for block in a.blocks:
        other = theirs.pop(block.name, None)
        if other is None:
            left.append(f"{block.name} is in the first network alone")
        elif other.channels != block.channels:
            left.append(f"{block.name} has {block.channels} and {other.channels} channels")
        elif shared:
            compared.append(_compare(a, b, block.name, shared))
    left += [f"{name} is in the second network alone" for name in theirs]
    return compared, left


def shared_rows(a: Record, b: Record) -> list[tuple[int, int]]:
    """Return the rows of the classes, told by their labels, that have images in both records."""
    theirs = {label: row for row, label in enumerate(b.classes.labels)}
    return [
        (row, theirs[label])
        for row, label in enumerate(a.classes.labels)
        if label in theirs and a.count[row] and b.count[theirs[label]]
    ]


def _compare(a: Record, b: Record, name: str, shared: Sequence[tuple[int, int]]) -> BlockComparison:
    first, second = a.stats(name), b.stats(name)
    rows = [r for r, _ in shared], [r for _, r in shared]
    means = first.mean[rows[0]], second.mean[rows[1]]
    upper = np.triu_indices(len(shared), 1)
    apart = [
        gate_distances(stats)[np.ix_(own, own)][upper]
        for stats, own in zip((first, second), rows, strict=True)
    ]
    return BlockComparison(
        block=name,
        channels=means[0].shape[1],
        drift=float(np.sqrt(((means[1] - means[0]) ** 2).mean())),
        correlation=_pearson(means[0].ravel(), means[1].ravel()),
        geometry=_pearson(*apart) if len(shared) > 2 else None,
        spreads=(float(first.all_std.mean()), float(second.all_std.mean())),
    )


def _pearson(a: Floats, b: Floats) -> float | None:
    x, y = a - a.mean(), b - b.mean()
    if x.std() < EQUAL or y.std() < EQUAL:
        return None
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))
