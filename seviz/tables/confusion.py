"""The numbers behind the figures of confusion, as CSV."""

from __future__ import annotations

from pathlib import Path

from seviz.analysis import Scores, ranked_confusions
from seviz.results.evaluation import Evaluation
from seviz.tables.csv_files import number, write_csv

CORNER = "true \\ predicted"


def write_confusion_csv(evaluation: Evaluation, path: str | Path) -> Path:
    """Write all counts, whatever was drawn: a row per true class, a column per predicted one.

    Columns of classes that were predicted but are not evaluated come last, those that are all zero
    left out.
    """
    own = len(evaluation.labels)
    kept = [i for i in range(len(evaluation.columns)) if i < own or evaluation.counts[:, i].any()]
    return write_csv(
        path,
        [CORNER, *(evaluation.columns[i] for i in kept)],
        # A row at a time: as Python's objects the whole would be larger than the matrix.
        (
            [name, *row[kept].tolist()]
            for name, row in zip(evaluation.labels, evaluation.counts, strict=True)
        ),
    )


def write_classes_csv(scores: Scores, path: str | Path) -> Path:
    """Write support, precision, recall and F1 of each class; what is undefined is an empty cell."""
    return write_csv(
        path,
        ["class", "support", "predicted", "correct", "precision", "recall", "f1"],
        (
            [c.name, c.support, c.predicted, c.correct, *map(number, (c.precision, c.recall, c.f1))]
            for c in scores.per_class
        ),
    )


def write_pairs_csv(evaluation: Evaluation, path: str | Path) -> Path:
    """Write every confusion, the most frequent first, with its share of the true class."""
    return write_csv(
        path,
        ["true", "predicted", "count", "share"],
        ([c.true, c.predicted, c.count, number(c.share)] for c in ranked_confusions(evaluation)),
    )
