"""The confusion matrix: rows true, columns predicted, readable at any number of classes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seviz.analysis import class_order, normalised, scores
from seviz.analysis.ordering import Order
from seviz.errors import UsageError
from seviz.evaluation import Evaluation, Floats
from seviz.figures.cells import draw_annotated, draw_raster, hatch, scale
from seviz.figures.layout import Box
from seviz.figures.matrix_layout import MatrixLayout
from seviz.figures.style import GREY, INK, SMALL, TEXT, figure_style
from seviz.figures.text import set_plain, shown_name, text_width
from seviz.places import HOST, Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

Normalize = Literal["true", "pred", "all", "none"]

NUMBERED = 30  # up to that many classes, cells hold numbers
LABELLED = 100  # up to that many, each class has its label
TITLE = 10.0
OTHER = "(other)"
NO_SAMPLES, NEVER_PREDICTED = "no samples", "never predicted"
UNITS = {
    "none": "images",
    "true": "% of the true class",
    "pred": "% of the predicted class",
    "all": "% of all images",
}
_ORDERS = {"cluster": "in clustered order", "recall": "from lowest to highest recall"}


def confusion_matrix(
    evaluation: Evaluation,
    *,
    normalize: Normalize = "none",
    order: Order = "index",
    log: bool = False,
    top: int = 20,
    figure: Figure | None = None,
    place: Place = HOST,
) -> Figure:
    """Draw the confusion matrix of an evaluation.

    Up to 30 classes the cells hold their numbers; up to 100 each class has its label. Above, the whole
    matrix is an image, and beside it stand the most frequent confusions and the matrix of the most
    confused classes with the rest as "(other)". A row of a class without images is hatched.

    Args:
        evaluation: What to draw.
        normalize: ``none`` for counts, or percentages of the row (``true``), of the column (``pred``)
            or of all images (``all``).
        order: Classes as they are (``index``), similar ones together (``cluster``), or the hardest
            first (``recall``).
        log: Logarithmic colours.
        top: Above 100 classes: how many of the most confused ones to draw apart, and how many
            confusions to list.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.
        place: Above 100 classes: where the image of the whole matrix is computed.

    Returns:
        The figure; `save_figure` writes it.

    Raises:
        UsageError: If an option is none of those named here.
        DataError: If there is no image.
    """
    from matplotlib.figure import Figure

    check_options(normalize, order, top)
    placed = evaluation
    if order != "index":
        placed = evaluation.only([evaluation.labels[i] for i in class_order(evaluation, order)])
    notes = _notes(evaluation, order)
    with figure_style():
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        if len(evaluation.labels) > LABELLED:
            from seviz.figures.large_confusion import draw_large

            draw_large(figure, placed, normalize, log, top, notes, place)
        else:
            _draw(figure, placed, normalize, log, notes)
    return figure


def check_options(normalize: str, order: str, top: int) -> None:
    """Make sure that a matrix can be drawn in this way.

    Raises:
        UsageError: If it cannot.
    """
    for name, value, known in (
        ("normalize", normalize, ("true", "pred", "all", "none")),
        ("order", order, ("index", "cluster", "recall")),
    ):
        if value not in known:
            raise UsageError(
                f"expected {name} as one of {', '.join(known)}, found {value!r}; give one of them"
            )
    if top < 1:
        raise UsageError(f"expected top as at least 1, found {top}; give a larger number")


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


def _draw(
    figure: Figure, evaluation: Evaluation, normalize: Normalize, log: bool, notes: list[str]
) -> None:
    values, columns = table(evaluation, normalize)
    numbered = len(evaluation.labels) <= NUMBERED
    texts = cell_texts(values, normalize) if numbered else np.array([[""]])
    longest = max(texts.ravel().tolist(), key=len) if numbered else None
    layout = MatrixLayout.fitted(evaluation.labels, columns, longest)
    lines = wrapped(notes, layout.width - 0.2)
    layout = layout.with_notes(len(lines))
    figure.set_size_inches(layout.width, layout.height)
    panel = figure.add_axes(layout.box)
    norm = scale(values, log=log, top=100.0 if normalize in ("true", "pred") else None)
    unit = UNITS[normalize]
    if numbered:
        mesh = draw_annotated(panel, values, texts, norm, layout.number_size)
    else:
        mesh, unit = draw_raster(panel, values, norm), f"{unit} (white: 0)"
    hatch_empty(panel, evaluation, values, layout.label_size)
    label_classes(panel, evaluation.labels, columns, layout, ticks=numbered)
    name_axes(figure, panel, layout)
    add_colour_bar(figure, layout.bar, mesh, unit)
    add_notes(figure, lines)


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
        shown = [shown_name(name, layout.widest_label, measure) for name in names]
        places = np.arange(len(names)) + 0.5
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
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    bar = figure.colorbar(mesh, cax=figure.add_axes(box), extend=extend)
    bar.outline.set_visible(False)
    if isinstance(mesh.norm, LogNorm):
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label(unit, fontsize=SMALL)


def add_notes(figure: Figure, lines: Sequence[str]) -> None:
    """Write the small print at the foot."""
    width, height = figure.get_size_inches()
    note = figure.text(
        0.1 / width, 0.06 / height, "", fontsize=SMALL, color=GREY, va="bottom", linespacing=1.15
    )
    set_plain(note, "\n".join(lines))


def wrapped(notes: Sequence[str], width: float) -> list[str]:
    """Return the small print in lines at most ``width`` inches wide."""
    character = text_width(SMALL)("n" * 100) / 100
    return [line for note in notes for line in textwrap.wrap(note, int(width / character))]


def _notes(evaluation: Evaluation, order: Order) -> list[str]:
    """Return what a reader must know before trusting the figure."""
    found = scores(evaluation)
    top5 = f", top-5 {found.top5.value:.2%}" if found.top5 is not None else ""
    subject = f"{evaluation.subject}: " if evaluation.subject else ""
    notes = [f"{subject}{found.images:,} images, top-1 {found.top1}{top5}."]
    if order in _ORDERS:
        notes.append(f"Classes {_ORDERS[order]}.")
    if evaluation.partial:
        notes.insert(0, f"Partial record: interrupted after {found.images:,} images.")
    if evaluation.missing:
        names = ", ".join(evaluation.missing[:5]) + ", ..." * (len(evaluation.missing) > 5)
        notes.append(
            f"{len(evaluation.missing)} classes of the network have no images and are left out: {names}."
        )
    if evaluation.elsewhere.any():
        notes.append(
            f"{other_name(evaluation)}: {evaluation.elsewhere.sum():,} images taken for classes outside the "
            "matrix."
        )
    return notes
