"""The confusion matrix: rows true, columns predicted, readable at any number of classes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from seviz.analysis import class_order, describe_confusions, scores
from seviz.analysis.ordering import Order
from seviz.errors import UsageError
from seviz.figures.captions import set_caption
from seviz.figures.confusion.cells import (
    Normalize,
    draw_annotated,
    draw_raster,
    grey_diagonal,
    off_diagonal,
    scale,
)
from seviz.figures.confusion.draw import (
    UNITS,
    add_colour_bar,
    cell_texts,
    hatch_empty,
    label_classes,
    name_axes,
    other_name,
    table,
)
from seviz.figures.confusion.large import draw_large
from seviz.figures.confusion.layout import MatrixLayout
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import LEAST, figure_style, sizes
from seviz.figures.text import add_head, add_notes, inches, text_width, wrapped
from seviz.results.evaluation import Evaluation
from seviz.results.shares import shown_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED = 30  # up to that many classes, cells hold numbers
LABELLED = 100  # up to that many, each class has its label
_ORDERS = {"cluster": "in clustered order", "recall": "from lowest to highest recall"}


def confusion_matrix(
    evaluation: Evaluation,
    *,
    normalize: Normalize = "none",
    order: Order = "index",
    log: bool = False,
    top: int = 20,
    look: Look = PLAIN,
    figure: Figure | None = None,
    ax: Axes | None = None,
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
            confusions to list (in a figure as narrow as a column 12 at most).
        look: Width, font, colours, names.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.
        ax: A panel of your own to draw the matrix on, without lists and small print.

    Returns:
        The figure; `save_figure` writes it.

    Raises:
        UsageError: If an option is none of those named here.
        DataError: If there is no image.
    """
    from seviz.figures.shown import Figure

    check_options(normalize, order, top)
    look.check_names([*evaluation.labels, *evaluation.others])
    placed = evaluation
    if order != "index":
        placed = evaluation.only([evaluation.labels[i] for i in class_order(evaluation, order)])
    said = describe_confusions(evaluation)
    notes = _notes(evaluation, order)
    if look.rename:
        labels, others = (tuple(map(look.named, n)) for n in (placed.labels, placed.others))
        placed = replace(placed, labels=labels, others=others)
    with figure_style(look):
        if ax is not None:
            _draw_on(ax, placed, normalize, log, look)
            figure = cast("Figure", ax.figure)
        else:
            figure = figure or Figure()
            figure.clear()
            figure.set_layout_engine("none")
            if len(evaluation.labels) > LABELLED:
                draw_large(figure, placed, normalize, log, top, notes, said, look)
            else:
                _draw(figure, placed, normalize, log, notes, said, look)
    shown = "" if normalize == "none" else f", {UNITS[normalize]}"
    set_caption(
        figure,
        f"Confusion matrix{shown}: rows are true classes, columns predicted ones.",
        *said,
        *notes,
    )
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


def _draw(
    figure: Figure,
    evaluation: Evaluation,
    normalize: Normalize,
    log: bool,
    notes: list[str],
    said: list[str],
    look: Look,
) -> None:
    values, columns = table(evaluation, normalize)
    few = len(evaluation.labels) <= NUMBERED
    texts = cell_texts(values, normalize) if few else np.array([[""]])
    longest = max(texts.ravel().tolist(), key=len) if few else None
    layout = MatrixLayout.fitted(evaluation.labels, columns, longest, look.width)
    numbered = few and layout.numbered
    if few and not numbered:
        notes = [
            *notes,
            "The numbers of the cells are in confusion.csv: here they would be too small.",
        ]
    if layout.step > 1:
        notes = [*notes, f"One class of {layout.step} is named."]
    lines, head = wrapped(notes, layout.width - 0.2), wrapped(said, layout.width - 0.2)
    layout = layout.with_notes(len(lines), len(head))
    figure.set_size_inches(layout.width, layout.height)
    panel = figure.add_axes(layout.box)
    norm = scale(off_diagonal(values), log=log)
    unit = UNITS[normalize]
    if few:
        shown = texts if numbered else np.full(texts.shape, "")
        mesh = draw_annotated(panel, values, shown, norm, layout.number_size)
    else:
        mesh, unit = draw_raster(panel, off_diagonal(values), norm), f"{unit} (white: 0)"
        grey_diagonal(panel, values)
    hatch_empty(panel, evaluation, values, layout.label_size)
    label_classes(panel, evaluation.labels, columns, layout, ticks=few)
    name_axes(figure, panel, layout)
    add_colour_bar(figure, layout.bar, mesh, f"{unit}; grey: right")
    add_notes(figure, lines)
    add_head(figure, head)


def _draw_on(
    panel: Axes, evaluation: Evaluation, normalize: Normalize, log: bool, look: Look
) -> None:
    """Draw the matrix on a panel of the user's own."""
    values, columns = table(evaluation, normalize)
    norm = scale(off_diagonal(values), log=log)
    _, small = sizes()
    wide, tall = inches(panel)
    cell = min(wide / values.shape[1], tall / len(values))
    texts = cell_texts(values, normalize) if len(values) <= NUMBERED else np.array([[""]])
    size = cell * 0.82 / (text_width(10.0)(max(texts.ravel().tolist(), key=len)) / 10 or 1)
    if len(values) <= NUMBERED and size >= LEAST:
        draw_annotated(panel, values, texts, norm, min(size, small + 1))
    else:
        draw_raster(panel, off_diagonal(values), norm)
        grey_diagonal(panel, values)
    every = max(1, math.ceil(1.06 * small / 72 / cell))
    for axis, names in ((panel.yaxis, evaluation.labels), (panel.xaxis, columns)):
        places = range(0, len(names), every)
        axis.set_ticks(
            [p + 0.5 for p in places], [names[p] for p in places], fontsize=small, parse_math=False
        )
    panel.tick_params(axis="x", labelrotation=90, length=0)
    panel.tick_params(axis="y", length=0)
    panel.set_ylabel("True Class")
    panel.set_xlabel("Predicted Class")


def _notes(evaluation: Evaluation, order: Order) -> list[str]:
    """Return what a reader must know before trusting the figure."""
    found = scores(evaluation)
    top5 = f", top-5 {shown_share(found.top5.value, '.2%')}" if found.top5 is not None else ""
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
