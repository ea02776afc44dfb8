"""What was taken for what: the matrix, the ranked confusions, the classes, the confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.analysis import class_order, ranked_confusions
from seviz.analysis.calibration import CalibrationCurve
from seviz.figures.confusion.draw import table
from seviz.report.charts import BLUE, GREY_TAG, INK_TAG, ORANGE, chart, tooltip
from seviz.report.data import counts_packed
from seviz.report.inputs import Inputs
from seviz.report.names import shown
from seviz.report.tables import Cell, Table, number
from seviz.results.evaluation import Evaluation

if TYPE_CHECKING:
    from bokeh.plotting import figure

# Confusions that the page lists; above that, a search in the matrix finds them.
MOST_PAIRS = 200
# Rows of the classes that go on paper.
PRINTED = 40


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix, packed.

    Attributes:
        meta: Names of rows and columns, orders of the classes, how the counts are packed.
        blob: The counts, row by row.
    """

    meta: dict[str, Any]
    blob: str


def matrix(evaluation: Evaluation) -> Matrix:
    """Pack the counts; predictions of classes that are not evaluated are one more column."""
    values, columns = table(evaluation, "none")
    counts = np.nan_to_num(values).astype(np.int64)
    blob, width = counts_packed(counts)
    orders = {
        "as they are": class_order(evaluation, "index"),
        "alike together": class_order(evaluation, "cluster"),
        "hardest first": class_order(evaluation, "recall"),
    }
    meta = {
        "rows": [shown(name) for name in evaluation.labels],
        "columns": [shown(name) for name in columns],
        "orders": orders,
        "bytes": width,
    }
    return Matrix(meta, blob)


def pairs_table(evaluation: Evaluation) -> tuple[Table, int]:
    """Return the most frequent confusions, and how many there are."""
    ranked = ranked_confusions(evaluation)
    rows = tuple(
        (
            number(place, "d"),
            Cell(shown(pair.true)),
            Cell(shown(pair.predicted)),
            number(pair.count, ","),
            number(pair.share, ".1%"),
        )
        for place, pair in enumerate(ranked[:MOST_PAIRS], start=1)
    )
    columns = ("", "true class", "taken for", "images", "of the true class")
    caption = "Confusions, the most frequent first"
    return (
        Table("pairs", caption, columns, rows, names=(1, 2), sortable=True, shown=PRINTED),
        len(ranked),
    )


def classes_table(inputs: Inputs) -> Table | None:
    """Return precision, recall and F1 of every class."""
    if inputs.scores is None:
        return None
    rows = tuple(
        (
            Cell(shown(c.name)),
            number(c.support, ","),
            number(c.predicted, ","),
            number(c.precision, ".1%"),
            number(c.recall, ".1%"),
            number(c.f1, ".3f"),
        )
        for c in inputs.scores.per_class
    )
    columns = ("class", "images", "predicted", "precision", "recall", "F1")
    return Table(
        "classes",
        "Precision, recall and F1 of every class",
        columns,
        rows,
        sortable=True,
        shown=PRINTED,
    )


def calibration_table(curve: CalibrationCurve) -> Table:
    """Return the bins of confidence that hold images."""
    rows = tuple(
        (
            Cell(f"{b.low:.3f} to {b.high:.3f}", b.low),
            number(b.count, ","),
            number(b.confidence, ".1%"),
            number(b.accuracy, ".1%"),
        )
        for b in curve.bins
        if b.count
    )
    columns = ("confidence", "images", "mean confidence", "accuracy")
    return Table("calibration", "Confidence against accuracy", columns, rows)


def reliability_chart(curve: CalibrationCurve) -> figure:
    """Return accuracy against confidence, with the gap between them."""
    from bokeh.models import ColumnDataSource, Range1d

    known = [b for b in curve.bins if b.accuracy is not None and b.confidence is not None]
    source = ColumnDataSource(
        {
            "left": [b.low for b in known],
            "right": [b.high for b in known],
            "accuracy": [b.accuracy for b in known],
            "confidence": [b.confidence for b in known],
            "count": [b.count for b in known],
        }
    )
    made = chart(
        "reliability",
        height=320,
        x="confidence of the predicted class",
        y="accuracy",
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1.02),
    )
    bars = made.quad(
        "left", "right", "accuracy", 0, source=source, fill_color=BLUE, line_color=None
    )
    made.quad(
        "left", "right", "confidence", "accuracy", source=source, fill_color=ORANGE, fill_alpha=0.25,
        line_color=ORANGE, line_width=1,
    )  # fmt: skip
    made.line([0, 1], [0, 1], line_dash="dashed", line_width=1, tags=[GREY_TAG])
    made.scatter("confidence", "accuracy", source=source, size=5, tags=[INK_TAG])
    made.add_tools(
        tooltip(
            bars,
            [
                ("images", "@count{0,0}"),
                ("mean confidence", "@confidence{0.0%}"),
                ("accuracy", "@accuracy{0.0%}"),
            ],
        )
    )
    return made
