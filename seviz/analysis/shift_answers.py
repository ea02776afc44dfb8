"""What a network answers in two worlds: image by image where it can be told, else by their counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.drift import Drift, Exchange, drift
from seviz.analysis.proportions import (
    Difference,
    Share,
    paired_difference,
    unpaired_difference,
    wilson,
)
from seviz.results.predictions import PredictionTable
from seviz.results.record import Record
from seviz.results.sample import MOST_IMAGES

FEWEST = 2  # images, on either side, that can be compared


@dataclass(frozen=True, eq=False)
class PairedAnswers:
    """The answers for the same images in two worlds.

    Attributes:
        true: Class of each, as text.
        before: Predicted class of the clean image.
        after: Predicted class of the other one.
    """

    true: npt.NDArray[np.str_]
    before: npt.NDArray[np.str_]
    after: npt.NDArray[np.str_]


def answers(a: PredictionTable | None, b: PredictionTable | None) -> PairedAnswers | None:
    """Return the answers for the images that both tables name."""
    if a is None or b is None or a.paths is None or b.paths is None:
        return None
    places = {path: i for i, path in enumerate(a.paths)}
    theirs = [(places[p], i) for i, p in enumerate(b.paths) if p in places]
    if not theirs or len(places) < len(a.paths):
        return None
    first, second = np.array(theirs).T
    names, others = np.array(a.labels), np.array(b.labels)
    return PairedAnswers(
        names[a.true[first]], names[a.predicted[first]], others[b.predicted[second]]
    )


def top1_of(record: Record) -> Share | None:
    """Return the share of right answers, where labels are known."""
    right = right_of(record)
    return wilson(*right) if right is not None else None


def right_of(record: Record) -> tuple[int, int] | None:
    """Return how many answers are right, and of how many images."""
    confusion = record.arrays.get("confusion")
    if confusion is None or not confusion.any():
        return None
    own = [c.index for c in record.classes.classes]
    return int(confusion[np.arange(len(own)), own].sum()), int(confusion.sum())


def change_of(a: Record, b: Record, pairs: PairedAnswers | None) -> Difference | None:
    """Return the change of top-1 from one world to another, where labels are known."""
    if pairs is not None:
        return paired_difference(pairs.before == pairs.true, pairs.after == pairs.true)
    first, second = right_of(a), right_of(b)
    if first is None or second is None:
        return None
    return unpaired_difference(*first, *second)


def answer_drift(
    a: Record, b: Record, pairs: PairedAnswers | None, *, paired: bool
) -> Drift | None:
    """Return the drift of the predicted classes, of at most as many images as there are gates of."""
    if pairs is not None:
        chosen = _spaced(len(pairs.before))
        before, after = pairs.before[chosen], pairs.after[chosen]
    elif paired:
        return None
    else:
        predicted = [
            np.repeat(np.arange(c.shape[1]), c.sum(axis=0))
            for c in (r.arrays.get("confusion") for r in (a, b))
            if c is not None
        ]
        if len(predicted) < 2:
            return None
        before, after = (p[_spaced(len(p))].astype(np.str_) for p in predicted)
    if min(len(before), len(after)) < FEWEST:
        return None
    classes = np.unique(np.concatenate([before, after]))
    first, second = ((p[:, None] == classes).astype(np.float64) for p in (before, after))
    return drift(first, second, Exchange(len(before), len(after), paired=paired))


def _spaced(count: int) -> npt.NDArray[np.intp]:
    """Return at most so many places as single images are kept, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_IMAGES)).astype(np.intp))
