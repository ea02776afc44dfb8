"""Which rows of a matrix stand beside which: average linkage, in NumPy alone.

A redraw must be quick, and importing SciPy takes as long as drawing the figure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.floating]


def clustered(points: Numbers) -> npt.NDArray[np.intp]:
    """Return the order in which points that are alike stand together.

    The leaves of the tree of average linkage (Sokal and Michener, 1958) over Euclidean distances, found by
    chains of nearest neighbours (Murtagh, 1983). Where two branches meet they are turned so that the two
    leaves that touch are as near as they can be.

    Args:
        points: Coordinates, [n, d].

    >>> clustered(np.array([[0.0], [9.0], [1.0], [8.0]])).tolist()
    [0, 2, 3, 1]
    """
    return leaves(distances(points)) if len(points) > 2 else np.arange(len(points))


def distances(points: Numbers) -> npt.NDArray[np.float32]:
    """Return the Euclidean distance of any two points, float32 [n, n]; 0 on the diagonal."""
    flat = np.ascontiguousarray(points, dtype=np.float32)
    # Distances do not change by moving all points, and rounding is least about their middle.
    flat = flat - flat.mean(axis=0, keepdims=True)
    own = np.einsum("nd,nd->n", flat, flat)
    squares = own[:, None] + own[None, :] - 2 * (flat @ flat.T)
    np.fill_diagonal(squares, 0)
    return np.asarray(np.sqrt(np.maximum(squares, 0)), dtype=np.float32)


def leaves(distance: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Return the leaves of the tree of average linkage, in order.

    Args:
        distance: Of any two points, [n, n].
    """
    count = len(distance)
    if count < 3:
        return np.arange(count)
    apart = distance.astype(np.float32, copy=True)
    np.fill_diagonal(apart, np.inf)
    size = np.ones(count, dtype=np.float32)
    branches: list[list[int]] = [[i] for i in range(count)]
    chain: list[int] = []
    first = 0
    for _ in range(count - 1):
        if not chain:
            while not branches[first]:
                first += 1
            chain.append(first)
        while True:
            row = apart[chain[-1]]
            near = int(row.argmin())
            if len(chain) > 1 and row[chain[-2]] <= row[near]:
                break
            chain.append(near)
        one, other = chain.pop(), chain.pop()
        branches[one] = _joined(branches[one], branches[other], distance)
        branches[other] = []
        both = size[one] + size[other]
        mean = (size[one] * apart[one] + size[other] * apart[other]) / both
        size[one] = both
        apart[one], apart[:, one] = mean, mean
        apart[other], apart[:, other] = np.inf, np.inf
        apart[one, one] = np.inf
    order = next(branch for branch in branches if branch)
    # Either end may come first: that of the smaller number does.
    return np.array(order if order[0] <= order[-1] else order[::-1])


def _joined(one: list[int], other: list[int], distance: npt.NDArray[np.float32]) -> list[int]:
    """Return two branches in a row, each turned so that the leaves that touch are the nearest."""
    ends = (
        (distance[one[-1], other[0]], False, False),
        (distance[one[-1], other[-1]], False, True),
        (distance[one[0], other[0]], True, False),
        (distance[one[0], other[-1]], True, True),
    )
    _, turn_one, turn_other = min(ends, key=lambda end: float(end[0]))
    return (one[::-1] if turn_one else one) + (other[::-1] if turn_other else other)
