"""Do the gates survive another world? Drift of each block and of the answers, beside accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from seviz.analysis.drift import Drift, Exchange, Gates, drift
from seviz.analysis.proportions import Difference, Share, holm, wilson
from seviz.analysis.shift_answers import (
    FEWEST,
    answer_drift,
    answers,
    change_of,
    top1_of,
)
from seviz.analysis.shift_blocks import BlockShift, feature_drift
from seviz.analysis.shift_twin import TwinShift, twin_of
from seviz.errors import DataError, UsageError
from seviz.results.notebook import Shown
from seviz.results.record import Record
from seviz.results.sample import INDEX
from seviz.results.shift import World, check_one_network


@dataclass(frozen=True)
class WorldShift:
    """One other world: accuracy, answers and blocks.

    Attributes:
        name: What it is called.
        corruption: What was done to the images; empty for other images.
        severity: How much.
        images: Images that went through.
        paired: Whether they are the clean ones, image by image.
        top1: Share of right answers, where labels are known.
        change: Of top-1 from the clean images; paired where answers for each image are known.
        changed: Share of images whose answer is another than for the clean image.
        answers: Drift of the answers, as that of gates: of the indicators of the predicted classes.
        blocks: In forward order.
        features: The same of what the network's last layer reads, its own p-value adjusted for all severities
            of the corruption; ``None`` where it is not known.
    """

    name: str
    corruption: str
    severity: int
    images: int
    paired: bool
    top1: Share | None
    change: Difference | None
    changed: Share | None
    answers: Drift | None
    blocks: tuple[BlockShift, ...]
    features: BlockShift | None = None

    @property
    def measured(self) -> tuple[BlockShift, ...]:
        """Return the blocks, and after them the features where they are known."""
        return self.blocks if self.features is None else (*self.blocks, self.features)

    @property
    def significant(self) -> tuple[BlockShift, ...]:
        """Return the blocks that drift."""
        return tuple(b for b in self.blocks if b.significant)


@dataclass(frozen=True)
class First:
    """Which block drifts first as one thing is made worse, or that this cannot be said.

    Attributes:
        of: The corruption, or the name of the other images.
        block: The first in forward order, at the smallest severity at which any drifts.
        severity: That severity; 0 for other images.
        p_adjusted: Its p-value.
        images: Images whose gates were compared.
        needed: About how many would show the largest drift that was seen; ``None`` where there is none
            beyond chance, or it was shown.
    """

    of: str
    block: str | None
    severity: int
    p_adjusted: float
    images: int
    needed: int | None = None

    def __str__(self) -> str:
        if self.block is not None:
            at = f" at severity {self.severity}" if self.severity else ""
            return f"{self.of}: {self.block} is the first block whose gates drift{at}"
        needs = f"needs about {self.needed:,}" if self.needed else "no drift beyond chance"
        return (
            f"{self.of}: which block drifts first cannot be said ({self.images:,} images; {needs})"
        )


@dataclass(frozen=True, eq=False)
class Shift(Shown):
    """Gates of one network in other worlds, against those of the clean images.

    Attributes:
        name: What the network is called.
        data: The clean images.
        images: How many.
        top1: Share of right answers, where labels are known.
        worlds: The others, in the order in which they were asked for, severities ascending.
        first: Which block drifts first, for each corruption.
        twin: A network without gates in the same worlds, where one was given.
        notes: What a reader must know.
    """

    name: str
    data: str
    images: int
    top1: Share | None
    worlds: tuple[WorldShift, ...]
    first: tuple[First, ...]
    notes: tuple[str, ...] = ()
    twin: TwinShift | None = None

    @property
    def blocks(self) -> tuple[BlockShift, ...]:
        """Return all blocks of all worlds."""
        return tuple(b for world in self.worlds for b in world.blocks)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the corruptions, or the names of other images, in order."""
        return tuple(dict.fromkeys(w.corruption or w.name for w in self.worlds))

    def of(self, kind: str) -> tuple[WorldShift, ...]:
        """Return the worlds of one kind, severities ascending."""
        return tuple(w for w in self.worlds if kind == (w.corruption or w.name))


def shift_of(clean: World, others: Sequence[World], twin: Sequence[World] = ()) -> Shift:
    """Return how far gates and answers move from clean images to other ones.

    Args:
        clean: The images as they are.
        others: The same images made worse, which are compared image by image; or other images.
        twin: Another network in all these worlds, the clean one first.

    Raises:
        DataError: If they are not of one network, or of too few images.
        UsageError: If there is no other world.
    """
    if not others:
        raise UsageError("expected other images or corruptions, found none; name some")
    for world in others:
        check_one_network(clean, world)
    made: dict[str, WorldShift] = {}
    kinds = dict.fromkeys(w.corruption or w.name for w in others)
    firsts = []
    for kind in kinds:
        own = sorted(
            (w for w in others if kind == (w.corruption or w.name)), key=lambda w: w.severity
        )
        compared = [_compare(clean, w, len(own)) for w in own]
        several = _adjusted(compared)
        made |= {w.name: w for w in several}
        firsts.append(_first(kind, several))
    return Shift(
        clean.record.header.checkpoint,
        clean.name,
        clean.record.header.images,
        top1_of(clean.record),
        tuple(made.values()),
        tuple(firsts),
        _notes(clean, others),
        twin_of([clean, *others], twin) if twin else None,
    )


def _notes(clean: World, others: Sequence[World]) -> tuple[str, ...]:
    """Return what else than the images may have moved the gates."""
    own = clean.record.header
    return tuple(
        f"images of {w.name} entered the network in another way than those of {clean.name}, and "
        "differences may be due to that"
        for w in others
        if (w.record.header.preprocessing, w.record.header.dtype) != (own.preprocessing, own.dtype)
    )


def _compare(clean: World, other: World, severities: int) -> WorldShift:
    """Return one world, its p-values not adjusted yet."""
    a, b = clean.record, other.record
    paired = bool(other.corruption)
    first, second = _sampled(a, b) if paired else (None, None)
    exchange: Exchange | None = None
    blocks = []
    for block in a.blocks:
        before, after = _gates(a, block.name, first), _gates(b, block.name, second)
        if exchange is None:
            fewest = min(len(before), len(after))
            if fewest < FEWEST:
                raise DataError(
                    f"expected at least {FEWEST} images of {clean.name} and of {other.name}, found "
                    f"{fewest}; give more"
                )
            exchange = Exchange(len(before), len(after), paired, severities * len(a.blocks))
        found = drift(before, after, exchange)
        blocks.append(
            BlockShift(
                other.name,
                other.corruption,
                other.severity,
                block.name,
                block.channels,
                exchange.second,
                found,
                found.p_value,
            )
        )
    pairs = answers(clean.predictions, other.predictions) if paired else None
    return WorldShift(
        other.name,
        other.corruption,
        other.severity,
        b.header.images,
        paired,
        top1_of(b),
        change_of(a, b, pairs),
        wilson(int((pairs.before != pairs.after).sum()), len(pairs.before)) if pairs else None,
        answer_drift(a, b, pairs, paired=paired),
        tuple(blocks),
        feature_drift(clean, other, severities),
    )


def _gates(record: Record, block: str, places: npt.NDArray[np.intp] | None) -> Gates:
    """Return the gates of single images, [n, C]; of those in these places alone, where any are given."""
    sample = record.sample(block)
    assert sample is not None, "check_one_network looked"
    return sample.gates if places is None else sample.gates[places]


def _sampled(a: Record, b: Record) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return where the images that both samples hold are in each."""
    _, first, second = np.intersect1d(
        a.arrays[INDEX], b.arrays[INDEX], assume_unique=False, return_indices=True
    )
    return first, second


def _adjusted(worlds: Sequence[WorldShift]) -> list[WorldShift]:
    """Return the worlds of one kind with p-values adjusted for all their blocks."""
    every = iter(holm([b.drift.p_value for w in worlds for b in w.blocks]))
    known = [w.features for w in worlds if w.features is not None]
    own = iter(holm([f.drift.p_value for f in known]))
    return [
        replace(
            w,
            blocks=tuple(replace(b, p_adjusted=next(every)) for b in w.blocks),
            features=w.features and replace(w.features, p_adjusted=next(own)),
        )
        for w in worlds
    ]


def _first(kind: str, worlds: Sequence[WorldShift]) -> First:
    """Return which block drifts first, as far as the tests tell."""
    images = worlds[0].blocks[0].images
    for world in worlds:
        if world.significant:
            block = world.significant[0]
            return First(kind, block.block, world.severity, block.p_adjusted, block.images)
    # What chance gives falls as 1 / n, and a drift stays: the largest is seen when its bound is below it.
    short = [
        b.drift.needed / b.drift.value
        for w in worlds
        for b in w.blocks
        if b.drift.value > 0 and b.drift.needed > b.drift.value
    ]
    smallest = min(b.p_adjusted for w in worlds for b in w.blocks)
    needed = math.ceil(images * min(short)) if short else None
    return First(kind, None, 0, smallest, images, needed)
