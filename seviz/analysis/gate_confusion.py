"""Gates and confusion together: are classes that a block gates alike also confused more often?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.class_share import MOVES, STILL
from seviz.analysis.ordering import confusion_rate
from seviz.errors import NoSEBlockError, UsageError
from seviz.results.evaluation import Evaluation
from seviz.results.record import Record
from seviz.results.seeds import checked_seed
from seviz.results.stats import BlockStats, Floats

PERMUTATIONS = 999
SEED = 0
LEVEL = 0.05
# A weaker rank correlation is of no use, however sure it is: with many classes the least one is.
WEAKEST = 0.1
# With fewer classes there are too few pairs for a rank to mean anything.
FEWEST_CLASSES = 4


# From this many classes on, comparing gates with confusion takes minutes; `seviz confusion` does it.
MOST_COMPARED = 200


@dataclass(frozen=True)
class GateConfusion:
    """One block: distance between classes' mean gates against how often they are confused.

    Attributes:
        block: Name of the block.
        correlation: Spearman's rank correlation over all pairs of classes; negative where classes that
            are gated alike are confused more often. ``None`` where it is undefined.
        p: Share of relabellings of the classes with a correlation at least as far from 0.
        p_corrected: The same for the block of the largest correlation under each relabelling: what
            ``p`` becomes when all blocks are looked at.
        moves: Whether the block's gates vary enough for distances to mean something.
    """

    block: str
    correlation: float | None
    p: float | None
    p_corrected: float | None
    moves: bool

    @property
    def holds(self) -> bool:
        """Return whether there is something: corrected p below 0.05, correlation of 0.1 or more."""
        if self.correlation is None or self.p_corrected is None:
            return False
        return self.p_corrected < LEVEL and abs(self.correlation) >= WEAKEST


@dataclass(frozen=True)
class ChannelContrast:
    """How one channel tells two classes apart.

    Attributes:
        channel: Its index.
        first: Mean gate of the first class.
        second: Mean gate of the second.
        effect: Cohen's d: their difference in units of the standard deviation within the two classes.
    """

    channel: int
    first: float
    second: float
    effect: float


@dataclass(frozen=True)
class BlockContrast:
    """How one block tells two classes apart.

    Attributes:
        block: Name of the block.
        distance: Root mean square over channels of the difference of the mean gates.
        rank: Place of this pair among all pairs of the block, 1 being the most alike.
        pairs: Number of pairs of classes.
        channels: The channels with the largest effect, the largest first.
        moves: Whether the block's gates vary enough for the distance to mean something.
    """

    block: str
    distance: float
    rank: int
    pairs: int
    channels: tuple[ChannelContrast, ...]
    moves: bool


def gate_distances(stats: BlockStats) -> Floats:
    """Return the distance between the mean gates of any two classes, [K, K].

    The root mean square over channels, on the scale of a gate. Infinite for a class without images.
    """
    mean = stats.mean[stats.seen]
    squares = (mean**2).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares - 2 * mean @ mean.T, 0.0)
    np.fill_diagonal(apart, 0.0)
    whole = np.full((len(stats.count), len(stats.count)), np.inf)
    whole[np.ix_(stats.seen, stats.seen)] = np.sqrt(apart / mean.shape[1])
    return whole


def gate_confusion(
    record: Record, *, permutations: int = PERMUTATIONS, seed: int = SEED
) -> list[GateConfusion]:
    """Return for each block how the distance of two classes' gates goes with their confusion.

    A Mantel test (Mantel, 1967) on ranks: pairs of classes are not independent of one another, so
    whole classes are relabelled, and the correlation is compared with those of the relabellings. The
    distance is that of `gate_distances`, the confusion that of
    `seviz.analysis.ordering.confusion_rate`. All blocks see the same relabellings.

    Args:
        record: Needs gates and predictions; classes without images are left out.
        permutations: Number of relabellings.
        seed: Of the relabellings.

    Raises:
        NoSEBlockError: If the record holds no block.
        DataError: If it holds no predictions.
    """
    rate, seen = rates_of_pairs(record)
    classes = len(rate)
    upper = np.triu_indices(classes, 1)
    ranks = _ranks(rate[upper])
    spread = ranks.std() if len(ranks) else 0.0
    if classes < FEWEST_CLASSES or not spread:
        return [
            GateConfusion(b.name, None, None, None, _moves(record, b.name)) for b in record.blocks
        ]
    # Most pairs are never confused, and all these have one rank: measured from it, they add nothing.
    common = np.bincount((2 * ranks).astype(np.int64)).argmax() / 2
    away = np.flatnonzero(ranks != common)
    weights, (left, right) = ranks[away] - common, (upper[0][away], upper[1][away])
    tables = []
    for block in record.blocks:
        distance = gate_distances(record.stats(block.name))[np.ix_(seen, seen)]
        tables.append(_standard_ranks(distance, upper))
    own = _correlations(tables, np.arange(classes), left, right, weights, len(ranks) * spread)
    rng = np.random.default_rng(checked_seed(seed))
    others = np.array(
        [
            _correlations(
                tables, rng.permutation(classes), left, right, weights, len(ranks) * spread
            )
            for _ in range(permutations)
        ]
    ).reshape(permutations, len(tables))
    # Rounding must not make a relabelling that changes nothing less extreme than no relabelling.
    far = np.abs(own) - 1e-12
    p = (1 + (np.abs(others) >= far).sum(axis=0)) / (1 + permutations)
    largest = np.abs(others).max(axis=1, initial=0.0)[:, None]
    corrected = (1 + (largest >= far).sum(axis=0)) / (1 + permutations)
    return [
        GateConfusion(b.name, float(c), float(alone), float(family), _moves(record, b.name))
        if table.any()
        else GateConfusion(b.name, None, None, None, _moves(record, b.name))
        for b, table, c, alone, family in zip(record.blocks, tables, own, p, corrected, strict=True)
    ]


def describe_gate_confusion(found: Sequence[GateConfusion]) -> str:
    """Return in one sentence what `gate_confusion` found; where there is nothing, that."""
    known = [f for f in found if f.correlation is not None]
    if not known:
        return (
            "Gates and confusion cannot be compared here: fewer than four classes have images, no two "
            "are ever confused, or all pairs are alike."
        )
    alike = [f for f in known if f.holds and (f.correlation or 0) < 0]
    apart = [f for f in known if f.holds and (f.correlation or 0) > 0]
    blocks = f"{len(known)} block{'s' * (len(known) > 1)}"
    if not alike and not apart:
        least = min(f.p_corrected or 1.0 for f in known)
        largest = max((f.correlation or 0.0 for f in known), key=abs)
        return (
            f"Nothing here: in none of the {blocks} does the distance between two classes' mean gates go "
            f"with how often they are confused (largest rank correlation {largest:+.3f}, smallest p "
            f"{least:.3g}, corrected for {blocks}; something would be {WEAKEST} or more with p < {LEVEL})."
        )
    parts = []
    for kind, which in (("alike", alike), ("apart", apart)):
        if which:
            listed = ", ".join(
                f"{f.block} ({f.correlation:+.2f}{'' if f.moves else ', hardly moves'})"
                for f in which
            )
            parts.append(f"classes gated {kind} are confused more often in {listed}")
    text = "; ".join(parts)
    return (
        f"{text[0].upper()}{text[1:]}: rank correlation of gate distance and confusion, p < {LEVEL} "
        f"corrected for {blocks}. A correlation over classes, not a cause."
    )


def explain_pair(
    record: Record, first: str, second: str, *, channels: int = 5
) -> list[BlockContrast]:
    """Return block by block how far the gates of two classes are apart, and in which channels.

    Cohen's d of a channel is (m_a - m_b) / sqrt((s_a^2 + s_b^2) / 2), with mean and standard deviation
    (divisor n) over the images of each class; one image has no deviation, and that of the other class stands
    in. Channels that do not move within either class (standard deviation below 1e-6) have none and are left
    out.

    Args:
        record: Needs gates.
        first: A class, as in `ClassTable.find`.
        second: Another one.
        channels: How many channels of each block to name.

    Raises:
        UsageError: If a class is unknown or has no image, or both are the same.
        NoSEBlockError: If the record holds no block.
    """
    _require_blocks(record)
    rows = [record.classes.find(name) for name in (first, second)]
    for name, row in zip((first, second), rows, strict=True):
        if not record.count[row]:
            raise UsageError(
                f"expected images of {name!r}, found none in the record; choose another class"
            )
    if rows[0] == rows[1]:
        raise UsageError(f"expected two classes, found {first!r} and {second!r}, which are one")
    return [
        _contrast(record.stats(b.name), b.name, rows, channels, _moves(record, b.name))
        for b in record.blocks
    ]


def _contrast(
    stats: BlockStats, name: str, rows: list[int], channels: int, moves: bool
) -> BlockContrast:
    mean, several = stats.mean[rows], [row for row in rows if stats.count[row] > 1]
    within = np.sqrt((stats.std[several or rows] ** 2).mean(axis=0))
    moving = np.flatnonzero(within >= STILL)
    effect = (mean[0] - mean[1])[moving] / within[moving]
    largest = np.argsort(-np.abs(effect), kind="stable")[:channels]
    every = gate_distances(stats)[np.ix_(stats.seen, stats.seen)]
    pairs = every[np.triu_indices(len(every), 1)]
    distance = float(np.sqrt(((mean[0] - mean[1]) ** 2).mean()))
    return BlockContrast(
        block=name,
        distance=distance,
        rank=min(1 + int((pairs < distance - 1e-9).sum()), len(pairs)),
        pairs=len(pairs),
        channels=tuple(
            ChannelContrast(
                int(moving[i]),
                float(mean[0, moving[i]]),
                float(mean[1, moving[i]]),
                float(effect[i]),
            )
            for i in largest
        ),
        moves=moves,
    )


def rates_of_pairs(record: Record) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return how often the classes that have images are confused, and their rows."""
    _require_blocks(record)
    evaluation = Evaluation.of_record(record)
    seen = np.flatnonzero((evaluation.support > 0) & (record.count > 0))
    return confusion_rate(evaluation)[np.ix_(seen, seen)], seen


def _require_blocks(record: Record) -> None:
    if not record.blocks:
        raise NoSEBlockError(
            f"expected gates in the record of {record.header.architecture}, found none: "
            f"{record.without_gates}; give the record of a network that has them"
        )


def _moves(record: Record, block: str) -> bool:
    return float(record.stats(block).all_std.mean()) >= MOVES


def rank_correlation(one: Floats, other: Floats) -> float | None:
    """Return Spearman's correlation of two lists; ``None`` where one of them is all alike."""
    a, b = _ranks(one), _ranks(other)
    spread = a.std() * b.std() if len(a) else 0.0
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread else None


def _ranks(values: Floats) -> Floats:
    """Return the rank of each value, equal ones sharing the mean of theirs, from 1 on."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place])


def _standard_ranks(distance: Floats, upper: tuple[npt.NDArray[np.intp], ...]) -> Floats:
    """Return the ranks of all pairs with mean 0 and standard deviation 1, [K, K]; 0 if all are equal."""
    # Rounded: distances that are equal but for the order of summation share a rank.
    ranks = _ranks(np.round(distance[upper], 12))
    spread = ranks.std()
    table = np.zeros(distance.shape)
    if spread:
        table[upper] = (ranks - ranks.mean()) / spread
    return table + table.T


def _correlations(
    tables: Sequence[Floats],
    labels: npt.NDArray[np.intp],
    left: npt.NDArray[np.intp],
    right: npt.NDArray[np.intp],
    weights: Floats,
    scale: float,
) -> Floats:
    """Return each block's rank correlation with the classes relabelled."""
    a, b = labels[left], labels[right]
    return np.array([table[a, b] @ weights / scale for table in tables])
