"""One channel: what a record, the layers around it and a pass with its gate held say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seviz.analysis.class_share import MOVES, variance_parts
from seviz.analysis.findings.estimates import FEWEST, Estimate
from seviz.analysis.proportions import CONFIDENCE, PairedDifference, counted_difference
from seviz.errors import DataError
from seviz.results.blocks import GateBlock
from seviz.results.channels import (
    Around,
    ChannelEffects,
    ChannelImage,
    SharedGate,
    extremes,
    find_channel,
)
from seviz.results.notebook import Shown
from seviz.results.record import Record
from seviz.results.sample import INDEX
from seviz.results.stats import Floats

# Channels that move with one, images with the largest and the smallest gate: how many are told.
COMPANIONS, IMAGES = 8, 8
# A correlation of this size is to be told from none: what "needs about" means.
_TOLD = 0.5


@dataclass(frozen=True)
class ClassGate:
    """The gate of one channel on the images of one class.

    Attributes:
        name: The class.
        images: Its images.
        mean: Mean gate; its interval is Student's, from the deviation within the class, and holds for all
            classes together (Bonferroni).
        spread: Standard deviation within the class (divisor n).
        low: Smallest gate.
        high: Largest gate.
    """

    name: str
    images: int
    mean: Estimate
    spread: float
    low: float
    high: float


@dataclass(frozen=True)
class Companion:
    """A channel that moves with another.

    Attributes:
        block: Name of its block.
        channel: Its index.
        correlation: Pearson's, over the images of the sample, with an interval (Fisher's z) that holds
            for all channels looked at together.
        within: The same within classes: of the deviations from the means of the classes in the sample;
            ``None`` where the classes are all that moves.
    """

    block: str
    channel: int
    correlation: Estimate
    within: float | None


@dataclass(frozen=True, eq=False)
class ChannelView(Shown):
    """What is known of one channel.

    Attributes:
        checkpoint: Name of the network.
        source: The images.
        block: Its block.
        channel: Its index.
        images: Images of the record.
        mean: Mean gate over all images.
        spread: Standard deviation over all images.
        low: Smallest gate.
        high: Largest gate.
        class_share: Part of its variance that lies between classes, eta squared; ``None`` for a channel
            that does not move, or where classes cannot be told apart.
        chance: What that would be by chance.
        classes: By class, the largest mean gate first.
        sampled: Images of the record's sample.
        sample: Gates of the sample by class name.
        largest: Images with the largest gate, the largest first.
        smallest: Images with the smallest gate, the smallest first.
        largest_shared: Images that share one of the largest gates, more of them than are listed, and so
            none of them is.
        smallest_shared: Likewise.
        where: Which images these are chosen from, in words.
        companions: Channels of which it is known that they move with it, the closest first.
        looked_at: Channels that were looked at for that.
        moving: How many of them are known to move with it.
        around: The layers around its block, where the network is at hand.
        effects: What answers do with its gate held, where images are at hand.
    """

    checkpoint: str
    source: str
    block: GateBlock
    channel: int
    images: int
    mean: float
    spread: float
    low: float
    high: float
    class_share: float | None
    chance: float | None
    classes: tuple[ClassGate, ...]
    sampled: int
    sample: Mapping[str, Floats]
    largest: tuple[ChannelImage, ...]
    smallest: tuple[ChannelImage, ...]
    where: str
    companions: tuple[Companion, ...]
    looked_at: int
    moving: int
    around: Around | None = None
    effects: ChannelEffects | None = None
    largest_shared: SharedGate | None = None
    smallest_shared: SharedGate | None = None

    @property
    def name(self) -> str:
        """Return block and index: ``SE_4_3:243``."""
        return f"{self.block.name}:{self.channel}"

    @property
    def moves(self) -> bool:
        """Return whether its gate moves at all: standard deviation of 0.01 or more."""
        return self.spread >= MOVES

    def effect(self, how: str) -> PairedDifference | None:
        """Return the change of top-1 with its gate held at ``mean`` or ``zero``, where that was counted."""
        if self.effects is None:
            return None
        held = self.effects.of(self.block.name, self.channel).get(how)
        return difference(self.effects, held.lost, held.won) if held is not None else None


def difference(effects: ChannelEffects, lost: int, won: int) -> PairedDifference:
    """Return the change of top-1 of which so many images were lost and won."""
    return counted_difference(effects.images, effects.right, lost, won)


def view_channel(
    record: Record,
    channel: str,
    *,
    around: Around | None = None,
    effects: ChannelEffects | None = None,
    name_of: Callable[[int], str] | None = None,
) -> ChannelView:
    """Return what a record says of one channel.

    Args:
        record: Gates.
        channel: ``SE_4_3:243``.
        around: The layers around its block.
        effects: From a pass with its gate held.
        name_of: The name of an image by its position in the source.

    Raises:
        UsageError: If there is no such channel.
        DataError: If the record holds no images.
    """
    block, index = find_channel(record.blocks, channel)
    if not record.count.any():
        raise DataError("expected a record with images, found none in it; collect it again")
    stats, labels = record.stats(block.name), record.classes.labels
    parts = variance_parts(stats)
    several = 1 < len(parts.count) < parts.images
    moving = bool(parts.moving[index])
    seen = stats.seen
    header = record.header
    ends = _extremes(record, block, index, name_of)
    companions, looked, known = _companions(record, block, index)
    source = f"{header.source} {header.split}".rstrip()
    if effects is not None and (effects.largest or effects.largest_shared):
        ends = _Extremes(
            effects.largest,
            effects.smallest,
            f"all {effects.images:,} images of {effects.source}",
            effects.largest_shared,
            effects.smallest_shared,
        )
    sampled = record.sample(block.name)
    return ChannelView(
        checkpoint=header.checkpoint,
        source=source,
        block=block,
        channel=index,
        images=int(stats.count.sum()),
        mean=float(stats.sum[:, index].sum() / stats.count.sum()),
        spread=float(stats.all_std[index]),
        low=float(stats.minimum[seen, index].min()),
        high=float(stats.maximum[seen, index].max()),
        class_share=float(parts.eta[index]) if several and moving else None,
        chance=(len(parts.count) - 1) / (parts.images - 1) if several else None,
        classes=_classes(record, block, index),
        sampled=0 if sampled is None else len(sampled.rows),
        sample={}
        if sampled is None
        else {
            labels[row]: sampled.gates[sampled.rows == row, index].astype(np.float64)
            for row in np.unique(sampled.rows)
        },
        largest=ends.largest,
        smallest=ends.smallest,
        where=ends.where,
        companions=companions,
        looked_at=looked,
        moving=known,
        around=around,
        effects=effects,
        largest_shared=ends.largest_shared,
        smallest_shared=ends.smallest_shared,
    )


def _classes(record: Record, block: GateBlock, index: int) -> tuple[ClassGate, ...]:
    from scipy.special import stdtrit

    stats, labels = record.stats(block.name), record.classes.labels
    found = []
    rows = np.flatnonzero(stats.seen)
    level = 1 - (1 - CONFIDENCE) / (2 * len(rows))  # to one side
    for row in rows:
        images = int(stats.count[row])
        mean = float(stats.sum[row, index] / images)
        spread = float(stats.std[row, index]) if images > 1 else 0.0
        estimate = Estimate(mean)
        if images >= FEWEST:
            # The divisor of the error is n (n - 1), for a spread with divisor n.
            far = float(stdtrit(images - 1, level)) * spread / (images - 1) ** 0.5
            estimate = Estimate(mean, mean - far, mean + far)
        low, high = stats.minimum[row, index], stats.maximum[row, index]
        found.append(ClassGate(labels[row], images, estimate, spread, float(low), float(high)))
    return tuple(sorted(found, key=lambda c: -c.mean.value))


class _Extremes(NamedTuple):
    """Images with the largest and the smallest gate, and which images were looked at."""

    largest: tuple[ChannelImage, ...]
    smallest: tuple[ChannelImage, ...]
    where: str
    largest_shared: SharedGate | None = None
    smallest_shared: SharedGate | None = None


def _extremes(
    record: Record, block: GateBlock, index: int, name_of: Callable[[int], str] | None
) -> _Extremes:
    sampled = record.sample(block.name)
    if sampled is None:
        return _Extremes((), (), "no single images are in the record: collect it again")
    gates = sampled.gates[:, index].astype(np.float64)
    positions, labels = record.arrays[INDEX], record.classes.labels

    def image(place: int) -> ChannelImage:
        position = int(positions[place])
        name = f"image {position}" if name_of is None else name_of(position)
        return ChannelImage(name, labels[sampled.rows[place]], float(gates[place]))

    where = f"a random sample of {len(gates):,} of the {int(record.count.sum()):,} images"
    up, most = extremes(gates, positions, IMAGES, largest=True)
    down, least = extremes(gates, positions, IMAGES, largest=False)
    return _Extremes(tuple(map(image, up)), tuple(map(image, down)), where, most, least)


def _companions(
    record: Record, block: GateBlock, index: int
) -> tuple[tuple[Companion, ...], int, int]:
    """Return the channels that move with one, how many were looked at, and how many of them do."""
    sampled = record.sample(block.name)
    if sampled is None or len(sampled.rows) <= FEWEST:
        return (), 0, 0
    rows = sampled.rows
    own = sampled.gates[:, index].astype(np.float64)
    if own.std() < 1e-6:
        return (), 0, 0
    found: list[tuple[float, str, int, float | None]] = []
    looked = 0
    for other in record.blocks:
        kept = record.sample(other.name)
        assert kept is not None
        gates = kept.gates.astype(np.float64)
        overall = _correlated(own, gates)
        inside = _correlated(_centred(own[:, None], rows)[:, 0], _centred(gates, rows))
        if other.name == block.name:
            overall[index] = np.nan
        alive = np.flatnonzero(np.isfinite(overall))
        looked += len(alive)
        best = alive[np.argsort(-np.abs(overall[alive]), kind="stable")]
        found += [
            (
                float(overall[c]),
                other.name,
                int(c),
                float(inside[c]) if np.isfinite(inside[c]) else None,
            )
            for c in best
        ]
    far = quantile(looked) / (len(rows) - FEWEST) ** 0.5
    found.sort(key=lambda one: -abs(one[0]))
    told = [
        Companion(name, c, Estimate(r, *_fisher(r, far)), within)
        for r, name, c, within in found
        if abs(np.arctanh(np.clip(r, -0.999999, 0.999999))) > far
    ]
    return tuple(told[:COMPANIONS]), looked, len(told)


def _correlated(own: Floats, gates: Floats) -> Floats:
    """Return Pearson's correlation of one channel [n] with many [n, C]; NaN for those that do not move."""
    one, many = own - own.mean(), gates - gates.mean(axis=0)
    length = np.sqrt((one**2).sum() * (many**2).sum(axis=0))
    still = many.std(axis=0) < 1e-6
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(still | (one.std() < 1e-6), np.nan, one @ many / length)


def _centred(gates: Floats, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    """Return gates [n, C] less the means of their classes in the sample."""
    _, place = np.unique(rows, return_inverse=True)
    count = np.bincount(place).astype(np.float64)
    total = np.zeros((len(count), gates.shape[1]))
    np.add.at(total, place, gates)
    return np.asarray(gates - (total / count[:, None])[place])


def quantile(looked: int) -> float:
    """Return how many standard errors an interval reaches that holds for so many numbers together."""
    from scipy.special import ndtri

    return float(ndtri(1 - (1 - CONFIDENCE) / (2 * max(looked, 1))))


def _fisher(r: float, far: float) -> tuple[float, float]:
    z = float(np.arctanh(np.clip(r, -0.999999, 0.999999)))
    return float(np.tanh(z - far)), float(np.tanh(z + far))


def needed(looked: int) -> int:
    """Return how many images tell a correlation of 0.5 from none, among so many channels."""
    return int(np.ceil(FEWEST + (quantile(looked) / np.arctanh(_TOLD)) ** 2))
