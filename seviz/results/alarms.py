"""What a user of a record must be warned of before reading any number in it. Needs NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seviz.results.shares import shown_share

if TYPE_CHECKING:
    from seviz.results.classes import ClassTable
    from seviz.results.record import Record

# With fewer images the same answer to all of them may be chance.
_FEWEST = 10
_CONSTANT = 0.99
# Ends of a 95 % interval.
_Z = 1.959964
# At chance is what agrees with the classes no more than shuffled answers would, and surely goes no further
# than a third of the way from there to 100 %; or a twentieth, where it is surely at most 5/4 of chance.
_WAY, _LITTLE, _MORE = 1 / 3, 1 / 20, 1.25
# Below chance is what shuffled answers would hardly ever do: the classes are in another order.
_BELOW = -4.0
_HINT = " (preprocessing? the order of the classes? the weights?)"


def alarms(record: Record) -> tuple[str, ...]:
    """Return warnings: an input that does not fit the network, answers that are constant or at chance."""
    found = [record.header.fit.sentence] if is_misfit(record) and record.header.fit else []
    confusion = record.arrays.get("confusion")
    if confusion is None or not confusion.any():
        return tuple(found)
    own = [info.index for info in record.classes.classes]
    answers = Answers(
        confusion.sum(axis=1),
        confusion.sum(axis=0),
        own,
        int(confusion[np.arange(len(own)), own].sum()),
    )
    if said := alarm_of(answers, record.classes, hint=not found):
        found.append(said)
    return tuple(found)


def is_misfit(record: Record) -> bool:
    """Return whether the record says that the input does not fit the network."""
    return record.header.fit is not None and record.header.fit.is_alarm


@dataclass(frozen=True, eq=False)
class Answers:
    """How often each class came, and how often it was answered.

    Attributes:
        true: Images of each class, int64 [K].
        given: Answers by output of the network, int64 [outputs].
        own: Output that stands for each class, [K].
        right: Images whose answer is their class.
    """

    true: npt.NDArray[np.int64]
    given: npt.NDArray[np.int64]
    own: Sequence[int]
    right: int

    @property
    def images(self) -> int:
        """Return the number of images."""
        return int(self.true.sum())


def alarm_of(answers: Answers, classes: ClassTable, *, hint: bool = True) -> str:
    """Return a warning where answers are constant, or go with the classes as chance does; else nothing.

    Args:
        answers: Of all images.
        classes: What the classes are called.
        hint: Say what it may be due to; not where that is known.
    """
    said = _constant(answers, classes) or _at_chance(answers)
    return said + _HINT if said and hint else said


def _constant(answers: Answers, classes: ClassTable) -> str:
    """Return what to say where the network gives one answer for images of several classes."""
    images, given, true = answers.images, answers.given, answers.true
    if images < _FEWEST:
        return ""
    most = int(given.argmax())
    several = true.max() < _CONSTANT * images
    if not several or given[most] < _CONSTANT * images:
        return ""
    names = dict(zip(answers.own, classes.labels, strict=True))
    share = "all" if given[most] == images else f"{int(given[most]):,} of"
    return (
        f"the network's answers are constant: {names.get(most, f'output {most}')} for {share} {images:,} "
        f"images of {int((true > 0).sum()):,} classes"
    )


def _at_chance(answers: Answers) -> str:
    """Return what to say where the answers agree with the classes no more than if they were shuffled."""
    true, images, right = answers.true, answers.images, answers.right
    if (true > 0).sum() < 2:
        return ""  # of one class the share that is right may be anything
    given = answers.given[list(answers.own)]
    chance = float((true / images) @ (given / images))
    verdict = _verdict(right, images, chance, _spread(true, given, images))
    if not verdict:
        return ""
    why = "; the classes seem to be in another order" if verdict == "below" else ""
    return (
        f"top-1 is {verdict} chance: {shown_share(right / images, '.2%')} of {images:,} images are right, "
        f"and {shown_share(chance, '.2%')} would be if the network's answers were shuffled{why}"
    )


def _verdict(right: int, images: int, chance: float, spread: float) -> str:
    """Return ``at`` or ``below`` chance, or nothing.

    Args:
        right: Images whose answer is right.
        images: All images.
        chance: Share of right answers, were they shuffled.
        spread: Standard deviation of their number.
    """
    beyond = (right - images * chance) / spread if spread > 0 else 0.0
    if beyond < _BELOW:
        return "below"
    high = _interval(right, images)[1]
    way = (high - chance) / (1 - chance) if chance < 1 else 1.0
    agrees_no_more = abs(beyond) <= _Z and way <= _WAY
    return "at" if agrees_no_more or (way <= _LITTLE and high <= _MORE * chance) else ""


def _spread(true: npt.NDArray[np.int64], answers: npt.NDArray[np.int64], images: int) -> float:
    """Return the standard deviation of the number of right answers, were they shuffled.

    Hoeffding (Annals of Mathematical Statistics 22, 1951), theorem 2, for a matrix that is 1 where image
    and answer are of one class: the mean is sum_k r_k c_k / n.

    Args:
        true: Images of each class, r_k.
        answers: Answers of each class, c_k.
        images: Their number, n.
    """
    if images < 2:
        return 0.0
    r, c, n = true.astype(float), answers.astype(float), float(images)
    mean = float(r @ c) / n
    squares = n * mean + mean**2 - float(r @ c**2) / n - float(c @ r**2) / n
    return math.sqrt(max(squares, 0.0) / (n - 1))


def _interval(count: int, images: int) -> tuple[float, float]:
    """Return the ends of Wilson's interval for a share."""
    share, z2 = count / images, _Z**2 / images
    middle = share + z2 / 2
    reach = _Z * math.sqrt(share * (1 - share) / images + z2 / (4 * images))
    return (middle - reach) / (1 + z2), (middle + reach) / (1 + z2)
