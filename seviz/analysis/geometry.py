r"""Whether two networks gate the same classes alike, though no channel of one is a channel of the other.

The geometry of a block is the matrix of the distances between its classes' mean gates, K x K
(`seviz.analysis.gate_confusion.gate_distances`). Two blocks are compared by Pearson's correlation of their
geometries over the K (K - 1) / 2 pairs of classes: representational similarity analysis (Kriegeskorte, Mur
and Bandettini, Frontiers in Systems Neuroscience 2:4, 2008). It is 1 where classes that are gated alike in
one network are gated alike in the other, whatever the order, the number and the range of the channels.

Which blocks of two networks are compared is chosen without looking at the correlation: of each network the
block with the largest class share, and, along the depth, each block of the network that has fewer and the
one at the nearest relative depth of the other. The i-th of n blocks is at depth (i - 1/2) / n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from seviz.analysis.findings import BlockFindings, Findings
from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.gate_comparison import EQUAL, shared_rows
from seviz.analysis.gate_confusion import gate_distances
from seviz.analysis.left_out import class_parts, correlation_interval
from seviz.results.record import Record
from seviz.results.stats import Floats

# Classes from which a correlation of distances is one: three have three distances.
FEWEST_CLASSES = 4


@dataclass(frozen=True)
class Geometry:
    """How alike the classes are gated in one block of a network and one of another.

    Attributes:
        first: Place of the first network in the list.
        second: Place of the second.
        blocks: Name of the block in each.
        depths: Relative depth of each, 0..1.
        correlation: Of the distances between classes, with its interval over classes; ``None`` where it is
            undefined: fewer than four classes that both have, or all distances equal.
        moves: Whether both vary enough for it to mean something.
        chosen: Whether these are the blocks with the largest class share, each in its network.
        matched: Whether they are at matching depth.
    """

    first: int
    second: int
    blocks: tuple[str, str]
    depths: tuple[float, float]
    correlation: Estimate | None
    moves: bool
    chosen: bool
    matched: bool


def relative_depths(blocks: int) -> Floats:
    """Return where the blocks of a network are between its first gate and its last, [n].

    >>> relative_depths(4).tolist()
    [0.125, 0.375, 0.625, 0.875]
    """
    return (np.arange(blocks) + 0.5) / max(blocks, 1)


def most_specific(found: Findings) -> BlockFindings | None:
    """Return the block with the largest class share among those that move."""
    moving = [b for b in found.blocks if b.moves and b.class_share is not None]
    return max(moving, key=lambda b: b.class_share.value if b.class_share else 0.0, default=None)


def compare_geometries(
    records: Sequence[Record | None], found: Sequence[Findings | None]
) -> list[Geometry]:
    """Compare the geometries of every two networks that have gates.

    Args:
        records: Of each network; ``None`` where no pass was made.
        found: Findings on each; ``None`` for a network without gates.
    """
    compared = []
    for first, second in combinations(range(len(records)), 2):
        a, b, one, two = records[first], records[second], found[first], found[second]
        if a is None or b is None or one is None or two is None:
            continue
        rows = shared_rows(a, b)
        best = most_specific(one), most_specific(two)
        names = [block.block for block in one.blocks], [block.block for block in two.blocks]
        depths = relative_depths(len(names[0])), relative_depths(len(names[1]))
        places = _nearest(*depths)
        chosen = None
        if best[0] is not None and best[1] is not None:
            chosen = names[0].index(best[0].block), names[1].index(best[1].block)
        ordered = places if chosen is None else dict.fromkeys([chosen, *places])
        for i, j in ordered:
            compared.append(
                Geometry(
                    first,
                    second,
                    (names[0][i], names[1][j]),
                    (float(depths[0][i]), float(depths[1][j])),
                    _correlation(a, b, names[0][i], names[1][j], rows),
                    one.blocks[i].moves and two.blocks[j].moves,
                    (i, j) == chosen,
                    (i, j) in places,
                )
            )
    return compared


def _nearest(a: Floats, b: Floats) -> list[tuple[int, int]]:
    """Return pairs of places: each block of the network with fewer, and the nearest of the other."""
    if len(a) <= len(b):
        return [(i, int(np.abs(b - depth).argmin())) for i, depth in enumerate(a)]
    return [(int(np.abs(a - depth).argmin()), j) for j, depth in enumerate(b)]


def _correlation(
    a: Record, b: Record, first: str, second: str, rows: Sequence[tuple[int, int]]
) -> Estimate | None:
    if len(rows) < FEWEST_CLASSES:
        return None
    own, other = [r for r, _ in rows], [r for _, r in rows]
    return geometry_correlation(
        gate_distances(a.stats(first))[np.ix_(own, own)],
        gate_distances(b.stats(second))[np.ix_(other, other)],
    )


def geometry_correlation(a: Floats, b: Floats) -> Estimate | None:
    """Return Pearson's correlation of two matrices of distances over all pairs, with its interval.

    Args:
        a: Distances between classes, symmetric, [K, K].
        b: The same classes elsewhere, [K, K].

    Returns:
        ``None`` where the distances of one are all equal.
    """
    apart = ~np.eye(len(a), dtype=bool)
    x, y = (np.where(apart, m - m[apart].mean(), 0.0) for m in (a, b))
    # Sums over pairs without some classes: those over all, less the rows of these classes, twice, and what
    # is among them was taken off twice.
    sums = _sums_left_out(np.stack([apart.astype(float), x, y, x * x, y * y, x * y]))
    whole, *left = (_pearson(*row) for row in sums)
    return None if whole is None else correlation_interval(whole, left)


def _sums_left_out(tables: Floats) -> Floats:
    """Return the sums of symmetric matrices [m, K, K] over all classes, and without each part, [1 + g, m]."""
    part = class_parts(tables.shape[1])
    out: npt.NDArray[np.float64] = (np.arange(part.max() + 1)[:, None] == part).astype(float)
    crossed = tables @ out.T  # [m, K, g]
    rows = crossed.sum(axis=1)  # [m, g]
    among = np.einsum("gk,mkg->mg", out, crossed)
    whole = tables.sum(axis=(1, 2))
    return np.concatenate([whole[None], (whole[:, None] - 2 * rows + among).T])


def _pearson(n: float, x: float, y: float, xx: float, yy: float, xy: float) -> float | None:
    if n < FEWEST_CLASSES:  # of two classes there is one distance
        return None
    spread = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    if min(spread) < EQUAL**2:
        return None
    return float(np.clip((xy / n - x * y / n**2) / np.sqrt(spread[0] * spread[1]), -1.0, 1.0))
