"""Which images exchange their gates: a sample that a seed draws, as even as can be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from seviz.results.swap import Integers

# Images that take part, at most: they stay in memory with their gates.
MOST_IMAGES = 256
# Pairs of two classes, at most, where nobody says how many.
PAIRS = 720


def images_each(classes: int, pairs: int) -> int:
    """Return how many images of each class are wanted, at most.

    As many as let each of a class's pairs with another one have images of its own; two at least, which can
    exchange their gates within the class; and all together no more than `MOST_IMAGES`.

    >>> images_each(10, 720), images_each(2, 720), images_each(1000, 720)
    (8, 128, 2)
    """
    each = -(-pairs // max(classes * (classes - 1), 1))
    return max(2, min(each, MOST_IMAGES // max(classes, 1)))


def pairs_across(
    classes: Integers, pairs: int, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Return pairs of images of two classes: whose gates, and which image, [P] each.

    Each ordered pair of classes has as many, up to one; where there are more of these than pairs, some are
    drawn. Within two classes each image serves equally often.

    Args:
        classes: Class of each image, [n].
        pairs: How many are wanted; fewer where the images do not give so many.
        rng: Random numbers.

    >>> donors, receivers = pairs_across(np.array([0, 0, 1, 1]), 6, np.random.default_rng(0))
    >>> len(donors), sorted(zip(donors.tolist(), receivers.tolist()))[0][0] in (0, 1)
    (6, True)
    """
    members = _members(classes)
    cells = list(itertools.permutations(members, 2))
    if len(cells) > pairs:
        cells = [cells[i] for i in rng.permutation(len(cells))[:pairs]]
    each = pairs // max(len(cells), 1)
    found = [
        pair
        for one, other in cells
        for pair in itertools.islice(_rounds(members[one], members[other], rng), each)
    ]
    return _two_columns(found)


def pairs_within(
    classes: Integers, pairs: int, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Return pairs of two images of one class, as `pairs_across` does.

    Args:
        classes: Class of each image, [n].
        pairs: How many are wanted in all.
        rng: Random numbers.
    """
    members = {c: own for c, own in _members(classes).items() if len(own) > 1}
    each = -(-pairs // max(len(members), 1))
    found = []
    for own in members.values():
        order = rng.permutation(own).tolist()
        count = len(order)
        rounds = ((order[i], order[(i + r) % count]) for r in range(1, count) for i in range(count))
        found += list(itertools.islice(rounds, each))
    return _two_columns(found)


def _members(classes: Integers) -> dict[int, list[int]]:
    return {int(c): np.flatnonzero(classes == c).tolist() for c in np.unique(classes)}


def _rounds(
    donors: Sequence[int], receivers: Sequence[int], rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Yield all pairs of two groups, so that each image serves about equally often at any time."""
    one, other = rng.permutation(donors).tolist(), rng.permutation(receivers).tolist()
    longer, shorter = max(len(one), len(other)), min(len(one), len(other))
    for shift in range(shorter):
        for i in range(longer):
            if len(one) >= len(other):
                yield one[i], other[(i + shift) % len(other)]
            else:
                yield one[(i + shift) % len(one)], other[i]


def _two_columns(found: Sequence[tuple[int, int]]) -> tuple[Integers, Integers]:
    columns = np.array(found, np.int64).reshape(-1, 2)
    return columns[:, 0].copy(), columns[:, 1].copy()
