"""The rows of an evaluation: scores, classes, what is taken for what, confidence, gates against confusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seviz.analysis import (
    BlockContrast,
    CalibrationCurve,
    GateConfusion,
    Scores,
    ranked_confusions,
)
from seviz.analysis.findings.estimates import estimate_of
from seviz.results.evaluation import Evaluation
from seviz.tables.csv_files import write_csv
from seviz.tables.table import Cell, Column, Table

CORNER = "true \\ predicted"
_ENDS = ("low", "high")


def scores_table(scores: Scores) -> Table:
    """Return the numbers of the whole, one a row."""
    averages = [
        (f"{kind} {name}", getattr(average, key))
        for kind, average in (("macro", scores.macro), ("weighted", scores.weighted))
        for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
    ]
    curve = scores.calibration
    rows = [
        ("top-1", estimate_of(scores.top1)),
        *([("top-5", estimate_of(scores.top5))] if scores.top5 is not None else []),
        ("balanced accuracy", scores.balanced_accuracy),
        *averages,
        *([("expected calibration error", curve.ece)] if curve is not None else []),
    ]
    columns = (Column("score", "score"), Column("value", "value", ".2%", ends=_ENDS))
    notes = ("intervals are Wilson's, at 95 %",)
    return Table("scores", f"{scores.images:,} images", columns, tuple(rows), notes)


_CLASSES = (
    Column("class", "class", get=lambda c: c.name),
    Column("support", "images", ","),
    Column("predicted", "taken for it", ",", rank=2),
    Column("correct", "right", ",", rank=3),
    Column("precision", "precision", ".2%"),
    Column(
        "recall",
        "recall",
        ".2%",
        get=lambda c: c.recall if c.support else Cell(None, text="no images"),
    ),
    Column("f1", "F1", ".2%"),
)


def classes_table(scores: Scores, *, hardest: bool = False) -> Table:
    """Return support, precision, recall and F1 of each class.

    Args:
        scores: The metrics.
        hardest: The lowest recall first, classes without images last; else in the order of the evaluation.
    """
    order = [*scores.hardest, *(c for c in scores.per_class if c.recall is None)]
    items = order if hardest else scores.per_class
    first = ", the hardest first" if hardest else ""
    caption = f"Precision, recall and F1 of every class{first}"
    return Table.of("classes", caption, _CLASSES, items)


_PAIRS = (
    Column("true", "true class"),
    Column("predicted", "taken for"),
    Column("count", "images", ","),
    Column("share", "of the true class", ".1%"),
)


def pairs_table(evaluation: Evaluation) -> Table:
    """Return every confusion, the most frequent first, with its share of the true class."""
    pairs = ranked_confusions(evaluation)
    return Table.of("pairs", "Confusions, the most frequent first", _PAIRS, pairs)


def matrix_table(evaluation: Evaluation) -> Table:
    """Return all counts: a row per true class, a column per predicted one.

    Columns of classes that were predicted but are not evaluated come last, those that are all zero
    left out.
    """
    own = len(evaluation.labels)
    kept = [i for i in range(len(evaluation.columns)) if i < own or evaluation.counts[:, i].any()]
    names = [evaluation.columns[i] for i in kept]
    columns = (Column(CORNER, CORNER), *(Column(name, name or "(no name)", ",") for name in names))
    return Table("confusion", "Images by class", columns, _Matrix(evaluation, kept))


class _Matrix:
    """The rows of a matrix: as Python's objects the whole would be larger than the matrix."""

    def __init__(self, evaluation: Evaluation, kept: Sequence[int]) -> None:
        self._of = evaluation, kept

    def __iter__(self) -> Iterator[Sequence[Any]]:
        evaluation, kept = self._of
        for name, row in zip(evaluation.labels, evaluation.counts, strict=True):
            yield name, *row[kept].tolist()


_BINS = (
    Column("", "confidence", get=lambda b: f"{b.low:.3f} to {b.high:.3f}"),
    Column("low"),
    Column("high"),
    Column("count", "images", ","),
    Column("confidence", "mean confidence", ".1%"),
    Column("accuracy", "accuracy", ".1%"),
)


def calibration_table(curve: CalibrationCurve) -> Table:
    """Return the bins of confidence that hold images."""
    bins = [b for b in curve.bins if b.count]
    return Table.of("calibration", "Confidence against accuracy", _BINS, bins)


_GATES = (
    Column("block", "block"),
    Column("correlation", "rank correlation", "+.3f"),
    Column("p", "p", "p", rank=1),
    Column("p_corrected", "p corrected", "p"),
    Column(
        "", "remark", get=lambda g: "" if g.moves else "hardly moves: its distances mean little"
    ),
)


def gate_confusion_table(found: Sequence[GateConfusion]) -> Table:
    """Return for each block how the distance of two classes' gates goes with their confusion."""
    caption = "Distance of two classes' mean gates against how often they are confused"
    return Table.of("gate_confusion", caption, _GATES, found)


_CONTRASTS = (
    Column("block", "block"),
    Column(
        "distance",
        "distance",
        ".4f",
        get=lambda c: c.distance if c.moves else Cell(c.distance, "faint"),
    ),
    Column("rank", "place", "d", get=lambda c: Cell(c.rank, text=f"{c.rank} of {c.pairs}")),
    Column("pairs"),
    Column(
        "",
        "channels",
        get=lambda c: ", ".join(f"#{x.channel} ({x.effect:+.2f})" for x in c.channels),
    ),
    Column("", "remark", get=lambda c: "" if c.moves else "hardly moves", rank=1),
)


def contrast_table(pair: tuple[str, str], contrasts: Sequence[BlockContrast]) -> Table:
    """Return for each block how far the gates of two classes are apart."""
    notes = (
        "distance of the means; its place among all pairs, 1 being the most alike; channels that differ most "
        "with their effect size (Cohen's d)",
    )
    return Table.of(
        "contrasts", f"Gates of {pair[0]} against {pair[1]}", _CONTRASTS, contrasts, notes
    )


def write_confusion_csv(evaluation: Evaluation, path: str | Path) -> Path:
    """Write `matrix_table` as CSV."""
    return write_csv(matrix_table(evaluation), path)


def write_classes_csv(scores: Scores, path: str | Path) -> Path:
    """Write `classes_table` as CSV; what is undefined is an empty cell."""
    return write_csv(classes_table(scores), path)


def write_pairs_csv(evaluation: Evaluation, path: str | Path) -> Path:
    """Write `pairs_table` as CSV."""
    return write_csv(pairs_table(evaluation), path)
