"""A large confusion matrix as an image: what each of its dots shows, in memory of fixed size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from seviz.figures.confusion.cells import Normalize
from seviz.results.evaluation import Evaluation, Floats

# More dots across than this do not come out in print.
MOST_DOTS = 1000
# Cells that are looked at together: 32 MB of counts.
CELLS = 2**22


@dataclass(frozen=True, eq=False)
class Raster:
    """A matrix of any size, as an image.

    Attributes:
        dots: The largest value among the cells of each dot, float64 [h, w], h and w at most
            ``MOST_DOTS``; 0 where there is no value.
        shape: Rows and columns of the matrix.
        most: The largest value off the diagonal and among the evaluated classes; 0 without any.
        least: The smallest one above 0, where it was asked for, else ``most``.
    """

    dots: Floats
    shape: tuple[int, int]
    most: float
    least: float


def raster(
    evaluation: Evaluation,
    normalize: Normalize,
    *,
    least: bool = False,
    most_dots: int = MOST_DOTS,
    errors: bool = False,
) -> Raster:
    """Return what an image of the matrix shows; a dot is the largest of its cells, so that none is lost.

    Predictions outside the evaluated classes are one more column, if there are any. The matrix is gone
    through in parts: it is never there a second time as floating point numbers, as it may have
    hundreds of millions of cells.

    Args:
        evaluation: Where confusions are counted.
        normalize: As in `confusion_matrix`.
        least: Whether to look for the smallest value.
        most_dots: Rows and columns of the image at most.
        errors: Whether what was right is left out, 0 as if it were none.
    """
    classes = len(evaluation.labels)
    outside = bool(evaluation.elsewhere.any())
    columns = classes + outside
    side = -(-columns // most_dots)
    wholes = _wholes(evaluation, normalize, outside)
    dots, largest, smallest = [], [], []
    for begin, counts in _parts(evaluation, side):
        cells = counts[:, :classes]
        if outside:
            others = counts[:, classes:].sum(axis=1, keepdims=True)
            cells = np.concatenate([cells, others], axis=1)
        values = np.asarray(cells, dtype=np.float64)
        if normalize == "true":
            values = values / np.clip(counts.sum(axis=1, keepdims=True), 1, None)
        elif wholes is not None:
            values = values / wholes
        if normalize != "none":
            values = 100 * values
        among = values[:, :classes]
        rows = np.arange(len(among))
        diagonal = rows, begin + rows
        correct = among[diagonal]
        among[diagonal] = 0
        largest.append(among.max())
        if least:
            smallest.append(np.where(among > 0, among, np.inf).min())
        if not errors:
            among[diagonal] = correct
        dots.append(_pooled(values, side))
    most = float(max(largest))
    found = float(min(smallest)) if least else np.inf
    image = np.concatenate(dots)
    return Raster(image, (classes, columns), most, min(found, most))


def _wholes(evaluation: Evaluation, normalize: Normalize, outside: bool) -> Any:
    """Return what the cells of each column are divided by, where that is known before the first row."""
    if normalize == "all":
        return max(evaluation.images, 1)
    if normalize != "pred":
        return None
    predicted = evaluation.matrix.sum(axis=0)
    if outside:
        predicted = np.append(predicted, evaluation.elsewhere.sum())
    return np.maximum(predicted, 1)


def _parts(evaluation: Evaluation, side: int) -> Iterator[tuple[int, Any]]:
    """Yield the first row of each part, and its counts; but for the end, whole dots."""
    classes, columns = evaluation.counts.shape
    rows = max(1, CELLS // (side * columns)) * side
    for begin in range(0, classes, rows):
        yield begin, evaluation.counts[begin : begin + rows]


def pool(values: Floats, most: int) -> Floats:
    """Return a matrix of at most ``most`` rows and columns: the maxima of square parts of ``values``.

    Args:
        values: The matrix [R, C]; NaN is below any number.
        most: Rows and columns.
    """
    side = -(-max(values.shape) // most)
    if side == 1:
        return values
    pooled: Floats = _pooled(np.nan_to_num(values, nan=-np.inf), side)
    return pooled


def _pooled(values: Floats, side: int) -> Floats:
    """Return the maxima of squares of ``side`` rows and columns; the last ones may be smaller."""
    return values if side == 1 else _strips(_strips(values, side).T, side).T


def _strips(values: Floats, side: int) -> Floats:
    whole = len(values) // side * side
    parts = [np.amax(values[:whole].reshape(-1, side, values.shape[1]), axis=1)] if whole else []
    if whole < len(values):
        parts.append(np.amax(values[whole:], axis=0)[None])
    return np.concatenate(parts, axis=0)
