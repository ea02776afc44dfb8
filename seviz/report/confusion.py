"""What was taken for what: the matrix and the confidence, packed and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.analysis import class_order
from seviz.analysis.calibration import CalibrationCurve
from seviz.figures.confusion.draw import table
from seviz.report.charts import BLUE, GREY_TAG, INK_TAG, ORANGE, chart, tooltip
from seviz.report.data import counts_packed
from seviz.report.names import shown
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
