"""What becomes of the gates over a training: numbers of each block at each epoch, with intervals.

Beside those of `seviz.findings` there is one of the **stripes** that images by channels turn into where a
gate becomes a constant vector (Huang et al., Stripe Observation Guided Inference Cost-free Attention
Mechanism, ECCV 2024, arXiv 2304.06345): the share of the gates' variance that lies between channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seviz.analysis.class_share import variance_parts
from seviz.analysis.findings.blocks import estimated, measure
from seviz.analysis.findings.estimates import Drawn, Estimate
from seviz.analysis.findings.stripes import between_channels
from seviz.analysis.proportions import Share, wilson
from seviz.errors import DataError, UsageError
from seviz.results.blocks import GateBlock
from seviz.results.notebook import Shown
from seviz.results.record import Record
from seviz.results.tracking import Moment, TrainingLog


@dataclass(frozen=True)
class BlockMoment:
    """One block at one epoch.

    Attributes:
        epoch: The epoch.
        checkpoint: What the network is called.
        block: Name of the block.
        channels: Number of its channels.
        mean: Mean gate over images and channels.
        spread: Mean over channels of the standard deviation over images.
        class_share: Share of the variance over images that lies between classes; ``None`` where it is
            undefined.
        shuffled: What it would be if labels meant nothing.
        moves: Whether gates vary enough for the class share to mean something.
        dead: Channels whose standard deviation over images is below 0.01; ``None`` of fewer than ten
            images.
        saturated: Share of gates above 0.95 or below 0.05.
        between_channels: Share of the variance over images and channels that lies between channels; 1
            where every image has the same gates. ``None`` where all gates are one constant.
    """

    epoch: int
    checkpoint: str
    block: str
    channels: int
    mean: float
    spread: Estimate
    class_share: Estimate | None
    shuffled: float | None
    moves: bool
    dead: Estimate | None
    saturated: Estimate
    between_channels: Estimate | None


@dataclass(frozen=True)
class Track(Shown):
    """A network over its training.

    Attributes:
        moments: The records, in the order of their epochs.
        top1: Accuracy at each, with Wilson's interval; ``None`` where classes are not the network's.
        blocks: Each block at each epoch, epochs first.
        images: Images behind each record.
        log: What the training wrote of itself.
    """

    moments: tuple[Moment, ...]
    top1: tuple[Share | None, ...]
    blocks: tuple[BlockMoment, ...]
    images: int
    log: TrainingLog | None = None

    @property
    def epochs(self) -> list[int]:
        """Return the epochs, ascending."""
        return [moment.epoch for moment in self.moments]

    @property
    def names(self) -> list[str]:
        """Return the names of the blocks, in forward order."""
        return list(dict.fromkeys(b.block for b in self.blocks))

    def of(self, block: str) -> list[BlockMoment]:
        """Return one block over all epochs.

        Raises:
            UsageError: If there is no such block.
        """
        found = [b for b in self.blocks if b.block == block]
        if not found:
            raise UsageError(
                f"expected a block ({', '.join(self.names)}), found {block!r}; name one"
            )
        return found

    def at(self, epochs: Sequence[int] = (), most: int = 4) -> list[Moment]:
        """Return the moments of some epochs; by default the first, the last, and some between.

        Raises:
            UsageError: If there is none of an epoch.
        """
        if not epochs:
            last = len(self.moments) - 1
            places = {round(last * n / max(1, most - 1)) for n in range(most)} if last else {0}
            return [self.moments[place] for place in sorted(places)]
        by_epoch = {moment.epoch: moment for moment in self.moments}
        missing = [e for e in epochs if e not in by_epoch]
        if missing:
            raise UsageError(
                f"expected epochs of the series ({_listed(self.epochs)}), found {missing[0]}; choose of these"
            )
        return [by_epoch[e] for e in dict.fromkeys(epochs)]


def _listed(numbers: Sequence[int], most: int = 12) -> str:
    return ", ".join(map(str, numbers[:most])) + (", ..." if len(numbers) > most else "")


def track_of(moments: Sequence[Moment], log: TrainingLog | None = None) -> Track:
    """Return the numbers of a series of records, one record in memory at a time.

    Args:
        moments: From `seviz.results.tracking.series`.
        log: What the training wrote of itself.

    Raises:
        DataError: If a record holds no image.
    """
    top1, blocks, images = [], [], 0
    for moment in moments:
        record = moment.record()
        if not record.count.any():
            raise DataError(
                f"expected images behind {moment.name}, found none; collect its record again"
            )
        images = int(record.count.sum())
        top1.append(_accuracy(record))
        blocks += [_block(moment, record, block) for block in record.blocks]
    return Track(tuple(moments), tuple(top1), tuple(blocks), images, log)


def _accuracy(record: Record) -> Share | None:
    confusion = record.arrays.get("confusion")
    if confusion is None or not confusion.any():
        return None
    own = [c.index for c in record.classes.classes]
    right = confusion[np.arange(len(own)), own].sum()
    return wilson(int(right), int(confusion.sum()))


def _block(moment: Moment, record: Record, block: GateBlock) -> BlockMoment:
    sample = record.sample(block.name)
    drawn = Drawn.of(sample.rows, record.count) if sample is not None else None
    measured = measure(record, block, drawn)
    found = measured.findings
    stats = record.stats(block.name)
    parts = variance_parts(stats)
    ends = None
    if {"high", "low"} <= set(measured.influence):
        ends = measured.influence["high"] + measured.influence["low"]
    beyond = estimated("saturated", found.high.value + found.low.value, ends, drawn, parts)
    assert beyond is not None, "its value is known"
    gates = None
    if drawn is not None and sample is not None:
        gates = sample.gates[drawn.kept].astype(np.float64)
    return BlockMoment(
        epoch=moment.epoch,
        checkpoint=moment.name,
        block=block.name,
        channels=block.channels,
        mean=float(parts.mean.mean()),
        spread=found.spread,
        class_share=found.class_share,
        shuffled=found.shuffled,
        moves=found.moves,
        dead=found.dead_channels,
        saturated=beyond,
        between_channels=between_channels(parts, drawn, gates),
    )
