"""What a user of a record must be warned of before reading any number in it. Needs NumPy alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from seviz.results.record import Record

# With fewer images the same answer to all of them may be chance.
_FEWEST = 10
_CONSTANT = 0.99
# Ends of a 95 % interval.
_Z = 1.959964
# At chance is what is not above it, surely not by a third of the way to 100 %; or surely not by a quarter
# of what chance gives.
_WAY, _MORE = 1 / 3, 1.25
_HINT = " (preprocessing? the order of the classes? the weights?)"


class RecordWarning(UserWarning):
    """The numbers of a record are not what they seem."""


def alarms(record: Record) -> tuple[str, ...]:
    """Return warnings: an input that does not fit the network, answers that are constant or at chance."""
    found = [record.header.fit.sentence] if is_misfit(record) and record.header.fit else []
    confusion = record.arrays.get("confusion")
    if confusion is None or not confusion.any():
        return tuple(found)
    constant = _constant(record, confusion)
    said = constant or _at_chance(record, confusion)
    if said:
        found.append(said + ("" if found else _HINT))
    return tuple(found)


def is_misfit(record: Record) -> bool:
    """Return whether the record says that the input does not fit the network."""
    return record.header.fit is not None and record.header.fit.is_alarm


def _constant(record: Record, confusion: npt.NDArray[np.int64]) -> str:
    """Return what to say where the network gives one answer for images of several classes."""
    images, answers, true = int(confusion.sum()), confusion.sum(axis=0), confusion.sum(axis=1)
    most = int(answers.argmax())
    several = true.max() < _CONSTANT * images
    if images < _FEWEST or not several or answers[most] < _CONSTANT * images:
        return ""
    names = {
        info.index: name
        for info, name in zip(record.classes.classes, record.classes.labels, strict=True)
    }
    share = "all" if answers[most] == images else f"{int(answers[most]):,} of"
    return (
        f"the network's answers are constant: {names.get(most, f'output {most}')} for {share} {images:,} "
        f"images of {int((true > 0).sum()):,} classes"
    )


def _at_chance(record: Record, confusion: npt.NDArray[np.int64]) -> str:
    """Return what to say where the answers agree with the classes no more than if they were shuffled."""
    true, images = confusion.sum(axis=1), int(confusion.sum())
    own = [info.index for info in record.classes.classes]
    answers = confusion.sum(axis=0)[own]
    if (true > 0).sum() < 2:
        return ""  # of one class the share that is right may be anything
    chance = float((true / images) @ (answers / images))
    right = int(confusion[np.arange(len(own)), own].sum())
    if not _is_chance(right, images, chance):
        return ""
    return (
        f"top-1 is at chance: {right / images:.2%} of {images:,} images are right, and {chance:.2%} would be "
        "if the network's answers were shuffled"
    )


def near_chance(right: int, images: int, classes: int) -> str:
    """Return a warning where answers are right no more often than one class in so many; else nothing.

    Args:
        right: Images whose answer is right.
        images: All images.
        classes: Of how many classes they are.
    """
    if classes < 2 or not images or not _is_chance(right, images, 1 / classes):
        return ""
    return (
        f"top-1 is at chance: {right / images:.2%} of {images:,} images of {classes:,} classes are right"
        f"{_HINT}"
    )


def _is_chance(right: int, images: int, chance: float) -> bool:
    low, high = _interval(right, images)
    at_chance = low <= chance and high <= chance + _WAY * (1 - chance)
    return at_chance or high <= _MORE * chance


def _interval(count: int, images: int) -> tuple[float, float]:
    """Return the ends of Wilson's interval for a share."""
    share, z2 = count / images, _Z**2 / images
    middle = share + z2 / 2
    reach = _Z * math.sqrt(share * (1 - share) / images + z2 / (4 * images))
    return (middle - reach) / (1 + z2), (middle + reach) / (1 + z2)
