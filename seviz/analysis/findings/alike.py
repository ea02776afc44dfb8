"""Are the gates of classes alike whose meanings are? A Mantel test for each block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.proportions import holm
from seviz.results.record import Record
from seviz.results.stats import Floats

PERMUTATIONS = 999
# Classes, below which there are too few orders of them.
FEWEST_CLASSES = 5


@dataclass(frozen=True)
class Alike:
    """One block.

    Attributes:
        block: Its name.
        correlation: Of the distances of mean gates with the given ones, over pairs of classes.
        chance: What chance alone exceeds 5 times in 100.
        p_value: How often chance gives as much, adjusted (Holm) for all blocks.
    """

    block: str
    correlation: float
    chance: float
    p_value: float


def alike(record: Record, distances: Floats) -> tuple[list[Alike], int]:
    """Return the test of each block, and how many classes it rests on.

    The correlation of two matrices of distances, against those where the classes of one of them are exchanged
    (Mantel, Cancer Research 27, 1967). The distance of two classes' gates is the root mean square of the
    difference of their means. Exchanges are the same for all blocks, and random with a fixed seed.

    Args:
        record: Gates by class.
        distances: Of its classes, [K, K]; NaN where nothing is known.
    """
    kept = _known(distances, record.count > 0)
    count = len(kept)
    if count < FEWEST_CLASSES:
        return [], count
    given = distances[np.ix_(kept, kept)]
    upper = np.triu_indices(count, 1)
    if given[upper].std() == 0:
        return [], count
    rng = np.random.default_rng(0)
    orders = [rng.permutation(count) for _ in range(PERMUTATIONS)]
    found = []
    for block in record.blocks:
        means = record.stats(block.name).mean[kept]
        square = (means**2).mean(axis=1)
        product = means @ means.T / means.shape[1]
        apart = np.sqrt(np.maximum(square[:, None] + square - 2 * product, 0.0))
        if apart[upper].std() < 1e-9:
            continue
        own = _correlation(apart[upper], given[upper])
        chance = np.array([_correlation(apart[np.ix_(o, o)][upper], given[upper]) for o in orders])
        p_value = (1 + int((chance >= own - 1e-12).sum())) / (1 + PERMUTATIONS)
        found.append(Alike(block.name, own, float(np.quantile(chance, 0.95)), p_value))
    adjusted = holm([a.p_value for a in found])
    return [
        Alike(a.block, a.correlation, a.chance, p) for a, p in zip(found, adjusted, strict=True)
    ], count


def _known(distances: Floats, seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the classes that have images and a distance to each other one of these."""
    kept = np.flatnonzero(seen)
    while len(kept):
        missing = np.isnan(distances[np.ix_(kept, kept)]).sum(axis=1)
        if not missing.any():
            break
        kept = np.delete(kept, int(missing.argmax()))
    return kept


def _correlation(one: Floats, other: Floats) -> float:
    first, second = one - one.mean(), other - other.mean()
    return float(first @ second / np.sqrt((first @ first) * (second @ second)))
