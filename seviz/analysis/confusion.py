"""Metrics of a confusion matrix. What is undefined (0 / 0) is ``None``, never NaN and never 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.calibration import CalibrationCurve, calibration_curve
from seviz.analysis.proportions import Share, wilson
from seviz.errors import DataError
from seviz.results.evaluation import Evaluation, Floats, Ints
from seviz.results.notebook import Shown
from seviz.results.shares import shown_share


@dataclass(frozen=True)
class ClassScores:
    """How well one class is recognised.

    Attributes:
        name: Its label.
        support: Its images.
        predicted: Images that were taken for it.
        correct: Images of it that were taken for it.
        precision: correct / predicted; ``None`` if nothing was taken for it.
        recall: correct / support; ``None`` without images.
        f1: 2 correct / (support + predicted), the harmonic mean of both; ``None`` without either.
    """

    name: str
    support: int
    predicted: int
    correct: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Average:
    """Mean precision, recall and F1 over the classes that have images."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Confused:
    """One way in which a class is taken for another.

    Attributes:
        true: The class of the images.
        predicted: What they were taken for.
        count: How many.
        share: Their share of the images of ``true``, 0..1.
    """

    true: str
    predicted: str
    count: int
    share: float

    def __str__(self) -> str:
        share = shown_share(self.share)
        return f"{self.true} taken for {self.predicted}: {self.count:,}, {share} of {self.true}"


@dataclass(frozen=True)
class Scores(Shown):
    """Everything that one evaluation says in numbers.

    Attributes:
        images: Images evaluated.
        top1: Share whose largest output is their class.
        top5: Share whose class is among the five largest outputs; ``None`` where it is not known.
        balanced_accuracy: Mean recall over the classes that have images.
        macro: Averages in which each class with images weighs the same.
        weighted: Averages in which each class weighs as many images as it has.
        per_class: One entry per class, in the order of the evaluation.
        calibration: Confidence against accuracy; ``None`` where it was not recorded.
    """

    images: int
    top1: Share
    top5: Share | None
    balanced_accuracy: float
    macro: Average
    weighted: Average
    per_class: tuple[ClassScores, ...]
    calibration: CalibrationCurve | None

    @property
    def hardest(self) -> list[ClassScores]:
        """Return the classes that have images, the lowest recall first."""
        seen = [c for c in self.per_class if c.recall is not None]
        return sorted(seen, key=lambda c: (c.recall or 0.0, c.f1 or 0.0))


def scores(evaluation: Evaluation) -> Scores:
    """Return accuracy, precision, recall and F1 of one evaluation.

    The numbers are scikit-learn's, with the classes of the evaluation as ``labels``: a class that was
    never predicted has no precision, and counts as 0 in the averages (``zero_division=0``); classes
    without images are in no average.

    Raises:
        DataError: If there is no image.

    >>> scores(Evaluation(("cat", "dog"), np.array([[8, 2], [1, 9]]))).top1.value
    0.85
    """
    support, correct = evaluation.support, evaluation.correct
    predicted = evaluation.matrix.sum(axis=0)
    top1 = wilson(int(correct.sum()), evaluation.images)
    if top1 is None:
        raise DataError(
            "expected images to score, found none; collect with images of these classes"
        )
    precision = _ratio(correct, predicted)
    recall = _ratio(correct, support)
    f1 = _ratio(2 * correct, support + predicted)
    seen = support > 0
    parts = [np.nan_to_num(part[seen]) for part in (precision, recall, f1)]
    # Divided last, so that where all is right the average is 1 and not a rounding below it.
    weights = support[seen].astype(np.float64)
    top5 = evaluation.top5
    return Scores(
        images=evaluation.images,
        top1=top1,
        top5=None if top5 is None else wilson(int(top5.sum()), evaluation.images),
        balanced_accuracy=float(recall[seen].mean()),
        macro=Average(*(float(part.mean()) for part in parts)),
        weighted=Average(*(float(part @ weights / evaluation.images) for part in parts)),
        per_class=tuple(
            ClassScores(name, int(n), int(p), int(c), *map(_known, values))
            for name, n, p, c, *values in zip(
                evaluation.labels, support, predicted, correct, precision, recall, f1, strict=True
            )
        ),
        calibration=calibration_curve(evaluation),
    )


def ranked_confusions(evaluation: Evaluation, top: int | None = None) -> list[Confused]:
    """Return the confusions, the most frequent first; of equal counts, the larger share first.

    Args:
        evaluation: Where they are counted.
        top: At most that many; all by default.
    """
    counts, support = evaluation.counts, evaluation.support
    true, predicted = np.nonzero(counts)
    wrong = true != predicted
    true, predicted = true[wrong], predicted[wrong]
    values = counts[true, predicted]
    shares = values / support[true]
    order = np.lexsort((predicted, true, -shares, -values))[:top]
    names = evaluation.columns
    return [
        Confused(names[true[i]], names[predicted[i]], int(values[i]), float(shares[i]))
        for i in order
    ]


def describe_confusions(evaluation: Evaluation, most: int = 2) -> list[str]:
    """Return in a sentence each which classes are taken for each other most often.

    Args:
        evaluation: Where confusions are counted.
        most: How many pairs.

    >>> describe_confusions(Evaluation(("cat", "dog"), np.array([[8, 2], [1, 9]])))
    ['cat and dog are taken for each other: 2 and 1 images.']
    """
    matrix = np.array(evaluation.matrix)
    np.fill_diagonal(matrix, 0)
    upper = np.triu(matrix + matrix.T, 1)
    flat = upper.ravel()
    count = min(most, int(np.count_nonzero(flat)))
    if not count:
        return []
    best = np.argpartition(-flat, count - 1)[:count]
    best = best[np.lexsort((best, -flat[best]))]
    said = []
    for row, column in zip(*np.unravel_index(best, upper.shape), strict=True):
        names = evaluation.labels[row], evaluation.labels[column]
        counts = int(matrix[row, column]), int(matrix[column, row])
        if min(counts) == 0:
            one, other = names if counts[0] else names[::-1]
            images = f"{max(counts):,} image{'s' * (max(counts) != 1)}"
            said.append(f"{one} is taken for {other}: {images}, and never the reverse.")
        else:
            said.append(
                f"{names[0]} and {names[1]} are taken for each other: {counts[0]:,} and {counts[1]:,} images."
            )
    return said


def most_confused(evaluation: Evaluation, top: int) -> list[int]:
    """Return the classes of the most frequent confusions, ``top`` of them, in order of their rows."""
    place = {name: i for i, name in enumerate(evaluation.labels)}
    chosen: dict[int, None] = {}
    for found in ranked_confusions(evaluation):
        pair = [place[n] for n in (found.true, found.predicted) if n in place]
        if len({*chosen, *pair}) <= top:
            chosen |= dict.fromkeys(pair)
    # Where few classes are ever confused, the first ones fill up.
    return sorted([*chosen, *(i for i in range(len(place)) if i not in chosen)][:top])


def normalised(evaluation: Evaluation, by: str) -> Floats:
    """Return the counts as shares, [K, K + O]; NaN where there is nothing to divide by.

    Args:
        evaluation: Where they are counted.
        by: ``true`` (rows add up to 1), ``pred`` (columns do), ``all`` (the whole does), or ``none``
            (counts, NaN in the rows of classes without images).
    """
    counts = evaluation.counts.astype(np.float64)
    rows, columns = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    if by == "true":
        return _ratio(counts, np.broadcast_to(rows, counts.shape))
    if by == "pred":
        shares = _ratio(counts, np.broadcast_to(columns, counts.shape))
    else:
        shares = counts / counts.sum() if by == "all" and counts.any() else counts
    return np.where(rows > 0, shares, np.nan)


def _ratio(part: Ints | Floats, whole: Ints | Floats) -> Floats:
    shares = np.full(part.shape, np.nan)
    return np.asarray(np.divide(part, whole, out=shares, where=whole > 0))


def _known(value: np.floating[npt.NBitBase]) -> float | None:
    return None if np.isnan(value) else float(value)
