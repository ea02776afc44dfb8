"""The numbers behind the figures of confusion, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seviz.analysis import Scores, ranked_confusions
from seviz.evaluation import Evaluation
from seviz.files import written_whole

CORNER = "true \\ predicted"


def write_confusion_csv(evaluation: Evaluation, path: str | Path) -> Path:
    """Write all counts, whatever was drawn: a row per true class, a column per predicted one.

    Columns of classes that were predicted but are not evaluated come last, those that are all zero
    left out.
    """
    own = len(evaluation.labels)
    kept = [i for i in range(len(evaluation.columns)) if i < own or evaluation.counts[:, i].any()]
    rows = evaluation.counts[:, kept].tolist()
    return write_rows(
        path,
        [CORNER, *(evaluation.columns[i] for i in kept)],
        ([name, *row] for name, row in zip(evaluation.labels, rows, strict=True)),
    )


def write_classes_csv(scores: Scores, path: str | Path) -> Path:
    """Write support, precision, recall and F1 of each class; what is undefined is an empty cell."""
    return write_rows(
        path,
        ["class", "support", "predicted", "correct", "precision", "recall", "f1"],
        (
            [c.name, c.support, c.predicted, c.correct, *map(shown, (c.precision, c.recall, c.f1))]
            for c in scores.per_class
        ),
    )


def write_pairs_csv(evaluation: Evaluation, path: str | Path) -> Path:
    """Write every confusion, the most frequent first, with its share of the true class."""
    return write_rows(
        path,
        ["true", "predicted", "count", "share"],
        ([c.true, c.predicted, c.count, shown(c.share)] for c in ranked_confusions(evaluation)),
    )


def shown(value: float | None) -> str:
    """Return a number as it goes into a CSV file; what is undefined is an empty cell."""
    return "" if value is None else f"{value:.9g}"


def write_rows(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a CSV file, whole or not at all."""
    target = Path(path)
    with (
        written_whole(target) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return target
