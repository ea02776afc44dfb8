"""What a gate figure and its table show: a curve for each chosen class, and one for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seviz.errors import UsageError
from seviz.results.blocks import GateBlock
from seviz.results.classes import ClassChoice, normalise
from seviz.results.record import Record
from seviz.results.stats import Floats

ALL = "all"
ALL_IN_FULL = "all (mean over classes)"
# Classes that are drawn when nobody names any: as many as the paper's figure has.
DEFAULT_CLASSES = 4


@dataclass(frozen=True)
class Curves:
    """The curves of one record, in the order in which they are drawn.

    Attributes:
        rows: Row of each chosen class.
        names: Name of each chosen class, no two alike.
        summary: Name of the curve over every class, unlike any class's.
    """

    rows: tuple[int, ...]
    names: tuple[str, ...]
    summary: str

    @property
    def all_names(self) -> tuple[str, ...]:
        """Return the names of every curve, the summary last."""
        return (*self.names, self.summary)


def default_classes(record: Record) -> list[str]:
    """Return the names of a few classes, evenly spread over those that have images."""
    rows = [row for row, images in enumerate(record.count) if images]
    step = max(1, len(rows) // DEFAULT_CLASSES)
    return [record.classes.labels[row] for row in rows[::step][:DEFAULT_CLASSES]]


def choose_curves(record: Record, classes: Sequence[ClassChoice]) -> Curves:
    """Return the curves of the chosen classes.

    Raises:
        UsageError: If a chosen class has no image in the record, or the record has none at all.
    """
    empty = [c.name for c in classes if record.count[c.row] == 0]
    if empty or not record.count.any():
        what = ", ".join(map(repr, empty)) or "any class"
        raise UsageError(
            f"expected images of every chosen class, found none of {what} in the record of "
            f"{record.header.source!r}; choose other classes, or collect with images of these"
        )
    names = _distinct(record, classes)
    # A class may itself be called "all", chosen or not: a reader must not take one for the other.
    taken = {normalise(name) for name in (*names, *record.classes.labels)}
    return Curves(
        rows=tuple(c.row for c in classes),
        names=tuple(names),
        summary=ALL_IN_FULL if ALL in taken else ALL,
    )


def _distinct(record: Record, classes: Sequence[ClassChoice]) -> list[str]:
    """Add the WordNet id or index to shared names: the paper's "plane" is not ImageNet's."""
    uses = Counter(c.name for c in classes)
    infos = [record.classes.classes[c.row] for c in classes]
    return [
        c.name if uses[c.name] == 1 else f"{c.name} ({info.wnid or info.index})"
        for c, info in zip(classes, infos, strict=True)
    ]


def check_blocks(record: Record, blocks: Sequence[GateBlock]) -> None:
    """Make sure that there are blocks, and that they are the record's.

    Raises:
        UsageError: If they are not.
    """
    known = [b.name for b in record.blocks]
    foreign = [b.name for b in blocks if b.name not in known]
    if foreign or not blocks:
        raise UsageError(
            f"expected blocks of the record ({known[0]} ... {known[-1]}), found "
            f"{', '.join(foreign) or 'none'}; choose from record.blocks"
        )


def means(record: Record, block: GateBlock, curves: Curves) -> Floats:
    """Return the mean gate of each curve, [curves, C]; the last is the mean over every class."""
    stats = record.stats(block.name)
    return np.vstack([stats.of(curves.rows).mean, stats.all_mean])


def stds(record: Record, block: GateBlock, curves: Curves) -> Floats:
    """Return the standard deviation of each curve, [curves, C]; the last is over all images."""
    stats = record.stats(block.name)
    return np.vstack([stats.of(curves.rows).std, stats.all_std])


def counts(record: Record, curves: Curves) -> list[int]:
    """Return the images behind each curve."""
    return [*(int(record.count[row]) for row in curves.rows), int(record.count.sum())]
