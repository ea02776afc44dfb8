"""What matrices of any size share: values, texts, names, colour bar, small print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.analysis import normalised
from seviz.figures.confusion.cells import Normalize, hatch
from seviz.figures.confusion.layout import MatrixLayout
from seviz.figures.layout import Box
from seviz.figures.style import GREY, INK, SMALL, TEXT, TITLE
from seviz.figures.text import shown_name, text_width
from seviz.results.evaluation import Evaluation, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

OTHER = "(other)"
NO_SAMPLES, NEVER_PREDICTED = "no samples", "never predicted"
UNITS = {
    "none": "images",
    "true": "% of the true class",
    "pred": "% of the predicted class",
    "all": "% of all images",
}


def table(evaluation: Evaluation, normalize: Normalize) -> tuple[Floats, list[str]]:
    """Return what the cells show and the names of the columns; NaN where there is nothing to show.

    Predictions outside the evaluated classes are one more column, if there are any.
    """
    gathered = evaluation
    if evaluation.elsewhere.any():
        counts = np.column_stack([evaluation.matrix, evaluation.elsewhere])
        gathered = Evaluation(evaluation.labels, counts, (other_name(evaluation),))
    columns = gathered.columns if gathered.elsewhere.any() else gathered.labels
    values = normalised(gathered, normalize)[:, : len(columns)]
    return values if normalize == "none" else 100 * values, list(columns)


def other_name(evaluation: Evaluation) -> str:
    """Return the name of all classes that are not evaluated, unlike that of any class."""
    return OTHER if OTHER not in evaluation.labels else "(all other classes)"


def cell_texts(
    values: Floats, normalize: Normalize
) -> np.ndarray[tuple[int, int], np.dtype[np.str_]]:
    """Return what the cells say: counts, or percentages with one decimal; nothing without a value."""

    def text(value: float) -> str:
        if np.isnan(value):
            return ""
        if normalize == "none" or value == 0:
            return f"{value:.0f}"
        return f"{value:.1f}" if value >= 0.05 else "<0.1"

    return np.array([[text(v) for v in row] for row in values.tolist()], dtype=np.str_)


def hatch_empty(panel: Axes, evaluation: Evaluation, values: Floats, size: float) -> None:
    """Hatch the rows of classes without images, and columns in which there is nothing to divide."""
    empty = evaluation.support == 0
    hatch(panel, np.flatnonzero(empty).tolist(), values.shape[1], NO_SAMPLES, size)
    void = np.isnan(values[~empty]).all(axis=0)
    hatch(panel, np.flatnonzero(void).tolist(), len(values), NEVER_PREDICTED, size, down=True)


def label_classes(
    panel: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    layout: MatrixLayout,
    *,
    ticks: bool = False,
) -> None:
    """Write the name of each class beside its row and below its column.

    Args:
        panel: Where the cells are.
        rows: Names of the rows.
        columns: Names of the columns.
        layout: Where there is room for them.
        ticks: As tick labels, which are easy to change later; else as plain text, in half the time.
    """
    measure = text_width(layout.label_size)
    turned: dict[str, Any] = {
        "rotation": layout.rotation,
        "rotation_mode": "anchor",
        "ha": "center" if layout.rotation == 0 else "right",
        "va": "center" if layout.rotation == 90 else "top",
    }
    level: dict[str, Any] = {"ha": "right", "va": "center"}
    # A name is no formula.
    plain: dict[str, Any] = {"fontsize": layout.label_size, "parse_math": False}
    away = layout.margin * 0.7 / layout.cell
    panel.tick_params(left=False, bottom=False, pad=3)
    for axis, names, style in ((panel.yaxis, rows, level), (panel.xaxis, columns, turned)):
        some = range(0, len(names), layout.step)
        shown = [shown_name(names[i], layout.widest_label, measure) for i in some]
        places = np.array(some) + 0.5
        if ticks:
            axis.set_ticks(places, shown, **plain, **style)
            continue
        axis.set_ticks([])
        for place, name in zip(places.tolist(), shown, strict=True):
            x, y = (-away, place) if axis is panel.yaxis else (place, len(rows) + away)
            panel.text(x, y, name, **plain, **style)
    for spine in panel.spines.values():
        spine.set_visible(True)
        spine.set_color(GREY)


def name_axes(figure: Figure, panel: Axes, layout: MatrixLayout) -> None:
    """Say what the axes are; rows are true, columns predicted."""
    # With a height of its own, the title is not looked for a place above every label.
    panel.set_title("Confusion Matrix", fontsize=TITLE, color=INK, y=1.0)
    panel.set_ylabel("True Class", fontsize=TEXT)
    panel.set_xlabel("Predicted Class", fontsize=TEXT)
    box = layout.box
    panel.yaxis.set_label_coords(
        layout.margin / layout.width, box[1] + box[3] / 2, figure.transFigure
    )
    across = box[0] + box[2] / 2
    panel.xaxis.set_label_coords(across, layout.axis_name / layout.height, figure.transFigure)
    panel.xaxis.label.set_verticalalignment("bottom")
    panel.yaxis.label.set_verticalalignment("top")


def add_colour_bar(
    figure: Figure, box: Box, mesh: ScalarMappable, unit: str, extend: str = "neither"
) -> None:
    """Add the scale of the colours; ``extend`` is "max" where some values are beyond it."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    bar = figure.colorbar(mesh, cax=figure.add_axes(box), extend=extend)
    bar.outline.set_visible(False)
    if isinstance(mesh.norm, LogNorm):
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.ax.yaxis.set_minor_locator(NullLocator())
    elif unit.startswith(UNITS["none"]):  # there is no half of an image
        bar.ax.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label(unit, fontsize=SMALL)
