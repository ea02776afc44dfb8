"""A large confusion matrix as an image: what each of its dots shows, in memory of fixed size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from seviz.evaluation import Evaluation, Floats
from seviz.figures.confusion import Normalize
from seviz.places import HOST, Place

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
    place: Place = HOST,
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
        place: Where to compute. Where its memory is full, of a network say, the host does it.
    """
    with suppress(*place.full):
        return _raster(evaluation, normalize, least, most_dots, place)
    return _raster(evaluation, normalize, least, most_dots, HOST)


def _raster(
    evaluation: Evaluation, normalize: Normalize, least: bool, most_dots: int, place: Place
) -> Raster:
    xp = place.xp
    classes = len(evaluation.labels)
    outside = bool(evaluation.elsewhere.any())
    columns = classes + outside
    side = -(-columns // most_dots)
    wholes = _wholes(evaluation, normalize, outside, place)
    dots, largest, smallest = [], [], []
    for begin, counts in _parts(evaluation, side, place):
        cells = counts[:, :classes]
        if outside:
            others = counts[:, classes:].sum(axis=1, keepdims=True)
            cells = xp.concatenate([cells, others], axis=1)
        values = xp.asarray(cells, dtype=xp.float64)
        if normalize == "true":
            values = values / xp.clip(counts.sum(axis=1, keepdims=True), 1, None)
        elif wholes is not None:
            values = values / wholes
        if normalize != "none":
            values = 100 * values
        among = values[:, :classes]
        rows = place.put(np.arange(len(among)))
        diagonal = rows, begin + rows
        correct = among[diagonal]
        among[diagonal] = 0
        largest.append(among.max())
        if least:
            smallest.append(xp.where(among > 0, among, np.inf).min())
        among[diagonal] = correct
        dots.append(_pooled(values, side, xp))
    most = float(place.take(xp.stack(largest)).max())
    found = float(place.take(xp.stack(smallest)).min()) if least else np.inf
    image = place.take(xp.concatenate(dots, axis=0))
    return Raster(image, (classes, columns), most, min(found, most))


def _wholes(evaluation: Evaluation, normalize: Normalize, outside: bool, place: Place) -> Any:
    """Return what the cells of each column are divided by, where that is known before the first row."""
    if normalize == "all":
        return max(evaluation.images, 1)
    if normalize != "pred":
        return None
    predicted = evaluation.matrix.sum(axis=0)
    if outside:
        predicted = np.append(predicted, evaluation.elsewhere.sum())
    return place.put(np.maximum(predicted, 1))


def _parts(evaluation: Evaluation, side: int, place: Place) -> Iterator[tuple[int, Any]]:
    """Yield the first row of each part, and its counts; but for the end, whole dots."""
    classes, columns = evaluation.counts.shape
    rows = max(1, CELLS // (side * columns)) * side
    for begin in range(0, classes, rows):
        yield begin, place.put(evaluation.counts[begin : begin + rows])


def pool(values: Floats, most: int) -> Floats:
    """Return a matrix of at most ``most`` rows and columns: the maxima of square parts of ``values``.

    Args:
        values: The matrix [R, C]; NaN is below any number.
        most: Rows and columns.
    """
    side = -(-max(values.shape) // most)
    if side == 1:
        return values
    pooled: Floats = _pooled(np.nan_to_num(values, nan=-np.inf), side, np)
    return pooled


def _pooled(values: Any, side: int, xp: Any) -> Any:
    """Return the maxima of squares of ``side`` rows and columns; the last ones may be smaller."""
    return values if side == 1 else _strips(_strips(values, side, xp).T, side, xp).T


def _strips(values: Any, side: int, xp: Any) -> Any:
    whole = len(values) // side * side
    parts = [xp.amax(values[:whole].reshape(-1, side, values.shape[1]), axis=1)] if whole else []
    if whole < len(values):
        parts.append(xp.amax(values[whole:], axis=0)[None])
    return xp.concatenate(parts, axis=0)
