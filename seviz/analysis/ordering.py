"""In which order the classes of a confusion matrix stand."""

from __future__ import annotations

from typing import Literal

import numpy as np

from seviz.analysis.clustering import leaves
from seviz.results.evaluation import Evaluation, Floats

Order = Literal["index", "cluster", "recall"]
# Classes that are clustered where nobody chose their order.
MOST_CLUSTERED = 2000


def class_order(evaluation: Evaluation, how: Order) -> list[int]:
    """Return the rows of an evaluation in a new order.

    Args:
        evaluation: Where confusions are counted.
        how: ``index`` as they are; ``recall`` from the lowest recall to the highest; ``cluster`` so
            that classes that are confused with each other stand together. Classes without images
            come last, but for ``index``.
    """
    support = evaluation.support
    everything = np.arange(len(support))
    if how == "index":
        return everything.tolist()
    seen, empty = everything[support > 0], everything[support == 0]
    if how == "recall":
        recall = evaluation.correct[seen] / support[seen]
        return [*seen[np.argsort(recall, kind="stable")].tolist(), *empty.tolist()]
    return [
        *seen[_leaves(confusion_rate(evaluation)[np.ix_(seen, seen)])].tolist(),
        *empty.tolist(),
    ]


def confusion_rate(evaluation: Evaluation) -> Floats:
    """Return how often two classes are confused, in either direction, [K, K]; 0 on the diagonal.

    The mean of the two shares: images of a taken for b among those of a, and the reverse. A class
    without images contributes none.
    """
    matrix = evaluation.matrix.astype(np.float64)
    shares = matrix / np.maximum(evaluation.support, 1)[:, None]
    np.fill_diagonal(shares, 0.0)
    return np.asarray((shares + shares.T) / 2)


def usual_order(evaluation: Evaluation) -> Order:
    """Return the order of classes that nobody chose: clustered, of up to 2,000, for which that is quick."""
    return "cluster" if len(evaluation.labels) <= MOST_CLUSTERED else "index"


def _leaves(rate: Floats) -> list[int]:
    """Return the leaves of the tree of average linkage, in order."""
    if len(rate) < 3 or not rate.any():
        return list(range(len(rate)))
    # On a logarithmic scale: that one pair is confused ten times as often as another must not make
    # all others look alike. Pairs that are never confused are farther than any that are.
    least = rate[rate > 0].min()
    distance = np.log(rate.max() / np.where(rate > 0, rate, least / np.e**2))
    np.fill_diagonal(distance, 0.0)
    order: list[int] = leaves(distance.astype(np.float32)).tolist()
    return order
