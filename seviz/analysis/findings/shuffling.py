"""Is the class share of a block more than chance? The labels of single images are shuffled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.class_share import STILL
from seviz.results.seeds import checked_seed
from seviz.results.stats import Floats

SHUFFLES = 499
SEED = 0
# Pairs of images of one class that a test looks at, about: where classes are few, few images serve.
PAIRS = 10_000
_CHUNK = 100  # shufflings at a time


@dataclass(frozen=True, eq=False)
class Shuffled:
    """The class share of each block in the sample, and under shuffled labels.

    Attributes:
        own: Class share in the images of the test, [B]; NaN where no channel moves.
        others: The same under each shuffling, [shufflings, B].
    """

    own: Floats
    others: Floats

    @property
    def p_values(self) -> Floats:
        """Return the share of shufflings, the own labels among them, with at least this share, [B].

        Of no meaning where ``own`` is NaN.
        """
        return _tail(self.others, self.own)

    @property
    def p_corrected(self) -> Floats:
        """Return the same for the largest of all blocks, each measured in its own spread, [B]."""
        centre, width = self.others.mean(axis=0), self.others.std(axis=0)
        scale = np.where(width > 0, width, np.inf)
        others = np.nan_to_num((self.others - centre) / scale, nan=-np.inf)
        return _tail(others.max(axis=1)[:, None], (self.own - centre) / scale)


def _tail(others: Floats, own: Floats) -> Floats:
    # Rounding must not make a shuffling that changes nothing less extreme than no shuffling.
    return np.asarray((1 + (others >= own - 1e-6).sum(axis=0)) / (1 + len(others)))


def shuffle_labels(
    gates: Iterable[npt.NDArray[np.floating]], rows: npt.NDArray[np.int64], seed: int = SEED
) -> Shuffled | None:
    """Return the class share of each block, and what it is when labels are shuffled.

    The share is the mean over channels of sum_k |sum_{i in k} z_i|^2 / n_k, z being the gates of a
    channel less their mean, over the root of their sum of squares, which no shuffling changes. It is a
    sum over pairs of images of one class of a matrix of products, and shuffling permutes the rows of
    that matrix. All blocks see the same shufflings.

    Args:
        gates: Of each block, [n, C], for the same images in random order.
        rows: Class of each image, [n].
        seed: Of the shufflings.

    Returns:
        ``None`` where there are fewer than two classes, or as many as images.
    """
    used = _images(rows)
    rows = rows[:used]
    _, label, count = np.unique(rows, return_inverse=True, return_counts=True)
    if not 1 < len(count) < used:
        return None
    order = np.argsort(label, kind="stable")
    left, right = _pairs(count)
    weight = 1 / np.repeat(count, count)
    rng = np.random.default_rng(checked_seed(seed))
    # The first is the own labels; position j of the sorted labels holds image places[j].
    places = np.stack([order, *(rng.permutation(used) for _ in range(SHUFFLES))], axis=1)
    # Where in the matrix of products each pair stands, shuffling by shuffling: the same for all blocks.
    pairs = [
        some[left] * used + some[right]
        for some in np.split(places, range(_CHUNK, places.shape[1], _CHUNK), axis=1)
    ]
    by_pair = (2 * weight[left]).astype(np.float32)
    shares = np.array([_shares(g[:used], places, weight, pairs, by_pair) for g in gates])
    return Shuffled(shares[:, 0], shares[:, 1:].T)


def _images(rows: npt.NDArray[np.int64]) -> int:
    """Return how many images give about `PAIRS` pairs of one class."""
    share = np.bincount(rows) / max(len(rows), 1)
    return int(min(len(rows), np.sqrt(2 * PAIRS / max((share**2).sum(), 1e-9))))


def _pairs(count: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the pairs of positions i < j of one class, where classes stand one after the other."""
    begins = np.cumsum(count) - count
    pairs = [
        np.stack(np.triu_indices(n, 1)) + b for n, b in zip(count, begins, strict=True) if n > 1
    ]
    left, right = np.concatenate(pairs, axis=1)
    return left, right


def _shares(
    gates: npt.NDArray[np.floating],
    places: npt.NDArray[np.intp],
    weight: Floats,
    pairs: Sequence[npt.NDArray[np.intp]],
    by_pair: npt.NDArray[np.float32],
) -> Floats:
    """Return the class share of one block under each placing of its images, [shufflings]."""
    z = gates.astype(np.float32)
    z = z - z.mean(axis=0, dtype=np.float64).astype(np.float32)
    size = np.sqrt((z.astype(np.float64) ** 2).sum(axis=0))
    moving = size >= STILL * np.sqrt(len(z))
    if not moving.any():
        return np.full(places.shape[1], np.nan)
    z = z[:, moving] / (size[moving] * np.sqrt(np.count_nonzero(moving))).astype(np.float32)
    products = z @ z.T
    alone = weight @ np.diagonal(products).astype(np.float64)[places]
    # Not a product of matrices: its threads would wait for one another for so small a one.
    # "clip", which clips nothing here, is the way to take that looks at each place once.
    together = [np.einsum("p,ps->s", by_pair, products.take(some, mode="clip")) for some in pairs]
    return np.asarray(alone + np.concatenate(together))
