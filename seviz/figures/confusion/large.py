"""A confusion matrix of more classes than labels fit: the whole as an image, and what stands out in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.analysis import ClassScores, Confused, most_confused, ranked_confusions, scores
from seviz.figures.confusion.cells import (
    RIGHT,
    Normalize,
    draw_raster,
    grey_diagonal,
    hatch,
    off_diagonal,
    scale,
    write_numbers,
)
from seviz.figures.confusion.draw import (
    NO_SAMPLES,
    UNITS,
    add_colour_bar,
    cell_texts,
    hatch_empty,
    label_classes,
    name_axes,
    other_name,
    table,
)
from seviz.figures.confusion.layout import MatrixLayout
from seviz.figures.confusion.raster import raster
from seviz.figures.layout import PAGE_WIDTH, Box
from seviz.figures.look import Look
from seviz.figures.style import GREY, INK, PALE, SMALL, TEXT, TITLE
from seviz.figures.text import add_head, add_notes, set_plain, shown_name, text_width, wrapped
from seviz.results.evaluation import Evaluation
from seviz.results.shares import shown_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 3.3  # of the image of the whole matrix, inches
LISTS = 2.55  # width of the lists beside it
NARROW = 5.6  # width of a figure, below which the lists are under the image
HARDEST = 8
# With more, the numbers of the smaller matrix would be too small to read.
MOST_DRAWN = 30
_LEFT, _BELOW, _TOP = 0.52, 0.5, 0.36
_BETWEEN, _BAR, _BAR_LABELS = 0.08, 0.1, 0.52
_LINE = 0.127
_LISTED = 6.0  # points


def draw_large(
    figure: Figure,
    evaluation: Evaluation,
    normalize: Normalize,
    log: bool,
    top: int,
    notes: list[str],
    said: list[str],
    look: Look,
) -> None:
    """Draw the whole matrix, the most frequent confusions, and the matrix of the most confused classes."""
    width = look.width or PAGE_WIDTH
    around = _LEFT + _BETWEEN + _BAR + _BAR_LABELS
    narrow = width < NARROW
    side = min(SIDE, width - around) if narrow else SIDE
    beside = width - 0.2 if narrow else width - around - side - 0.06
    lines, head = wrapped(notes, width - 0.2), wrapped(said, width - 0.2)
    confusions = ranked_confusions(evaluation, top)
    hardest = scores(evaluation).hardest[:HARDEST]
    listed = (len(confusions) + len(hardest) + 5) * _LINE
    small = gathered(evaluation, most_confused(evaluation, min(top, MOST_DRAWN)))
    values, columns = table(small, normalize)
    texts = cell_texts(values, normalize)
    texts[values == 0] = ""
    # All that is outside of these classes is far more than the rest: if need be without its number.
    rest, texts[-1, len(small.labels) - 1] = str(texts[-1, len(small.labels) - 1]), ""
    longest = max(texts.ravel().tolist(), key=len) or "0"
    layout = MatrixLayout.fitted(small.labels, columns, longest, look.width)
    if text_width(layout.number_size)(rest) < 0.95 * layout.cell:
        texts[-1, len(small.labels) - 1] = rest
    if not layout.numbered:
        texts[:] = ""
    layout = layout.with_notes(len(lines))
    tall = side + listed + _BELOW if narrow else max(side, listed)
    height = layout.height + _BELOW + tall + _TOP + 0.13 * len(head)
    figure.set_size_inches(width, height)

    def within(x: float, y: float, wide: float, up: float) -> tuple[float, float, float, float]:
        return x / width, y / height, wide / width, up / height

    foot = layout.height + _BELOW + tall - side
    panel = figure.add_axes(within(_LEFT, foot, side, side))
    bar = within(_LEFT + side + _BETWEEN, foot, _BAR, side)
    _draw_whole(figure, panel, evaluation, normalize, log, bar)
    place = (0.1, layout.height + 0.1) if narrow else (width - beside, layout.height + _BELOW)
    lists = figure.add_axes(within(*place, beside - 0.06, listed if narrow else tall))
    _write_lists(lists, confusions, hardest, listed if narrow else tall, beside - 0.06)

    # The smaller matrix was laid out on a figure of its own: here it stands at the lower left.
    own = np.array([layout.width / width, layout.height / height] * 2)
    below = figure.add_axes(tuple(np.array(layout.box) * own))
    chosen = len(small.labels) - 1
    coloured = off_diagonal(values)
    coloured[chosen:], coloured[:, chosen:] = np.nan, np.nan
    norm = scale(coloured, log=log)
    mesh = draw_raster(below, coloured, norm)
    grey_diagonal(below, values[:chosen, :chosen])
    write_numbers(below, texts, mesh, coloured, layout.number_size)
    hatch_empty(below, small, values, layout.label_size)
    below.axhline(chosen, color=GREY, linewidth=0.8)
    below.axvline(chosen, color=GREY, linewidth=0.8)
    label_classes(below, small.labels, columns, layout)
    _name_small(figure, below, layout, small.labels, own, narrow)
    add_colour_bar(
        figure, tuple(np.array(layout.bar) * own), mesh, f"{UNITS[normalize]} (white: 0)"
    )
    add_notes(figure, lines)
    add_head(figure, head)


def gathered(evaluation: Evaluation, chosen: Sequence[int]) -> Evaluation:
    """Return the counts among some classes, all others as one class at the end."""
    rows, counts = np.array(chosen, np.intp), evaluation.counts
    # From sums: of the rest, which is nearly all of a large matrix, there is no copy.
    among = counts[np.ix_(rows, rows)]
    outside = evaluation.support[rows] - among.sum(axis=1)
    inside = counts.sum(axis=0)[rows] - among.sum(axis=0)
    rest = evaluation.images - among.sum() - outside.sum() - inside.sum()
    own = np.column_stack([among, outside])
    labels = tuple(evaluation.labels[i] for i in rows)
    return Evaluation((*labels, other_name(evaluation)), np.vstack([own, np.append(inside, rest)]))


def _draw_whole(
    figure: Figure,
    panel: Axes,
    evaluation: Evaluation,
    normalize: Normalize,
    log: bool,
    bar: Box,
) -> None:
    image = raster(evaluation, normalize, least=log, errors=True)
    # Against the diagonal every confusion would be pale: the colours end at the most frequent one.
    norm = scale(np.array([image.least, image.most]), log=log)
    mesh = draw_raster(panel, image.dots, norm, image.shape)
    # Under the errors next to it.
    panel.plot(*[[0, len(evaluation.labels)]] * 2, color=RIGHT, linewidth=1.2, zorder=0.5)
    empty = np.flatnonzero(evaluation.support == 0).tolist()
    hatch(panel, empty, image.shape[1], "", SMALL)
    panel.set_title(
        f"Confusion Matrix, {len(evaluation.labels):,} classes", fontsize=TITLE, color=INK, y=1.0
    )
    panel.set_ylabel("True Class (position)", fontsize=TEXT)
    panel.set_xlabel("Predicted Class (position)", fontsize=TEXT)
    if empty:
        panel.text(
            1.0,
            -0.075,
            f"hatched: {NO_SAMPLES}, {len(empty):,} classes",
            transform=panel.transAxes,
            ha="right",
            fontsize=SMALL,
            color=GREY,
        )
    for spine in panel.spines.values():
        spine.set_visible(True)
        spine.set_color(GREY)
    add_colour_bar(
        figure, bar, mesh, f"{UNITS[normalize]} (white: 0; the darkest: also more)", "max"
    )


def _write_lists(
    panel: Axes,
    confusions: Sequence[Confused],
    hardest: Sequence[ClassScores],
    tall: float,
    wide: float,
) -> None:
    """Write the most frequent confusions and the hardest classes, a line each."""
    panel.set_axis_off()
    panel.set_xlim(0, wide)
    panel.set_ylim(-tall, 0)
    y = _heading(panel, 0.0, wide, "Most frequent confusions", ("true", "taken for", "images"))
    for found in confusions:
        count = f"{found.count:,} ({shown_share(found.share)})"
        y = _row(panel, y, wide, (found.true, found.predicted, count), INK)
    y = _heading(panel, y - _LINE, wide, "Hardest classes", ("class", "", "recall"))
    for hard in hardest:
        recall = f"{hard.correct:,} of {hard.support:,} ({shown_share(hard.recall or 0)})"
        y = _row(panel, y, wide, (hard.name, "", recall), INK)


def _heading(panel: Axes, y: float, wide: float, title: str, cells: tuple[str, str, str]) -> float:
    panel.text(0, y, title, fontsize=TEXT, color=INK, va="top")
    y = _row(panel, y - 1.45 * _LINE, wide, cells, GREY)
    panel.plot([0, wide], [y + 0.02, y + 0.02], color=PALE, linewidth=0.8)
    return y


def _row(panel: Axes, y: float, wide: float, cells: tuple[str, str, str], colour: str) -> float:
    """Write one line; return where the next one begins."""
    measure = text_width(_LISTED)
    edge = wide
    second = (edge - 0.62) / 2
    name = second - 0.08
    for x, align, cell, room in (
        (0.0, "left", cells[0], name if cells[1] else 2 * name),
        (second, "left", cells[1], name),
        (edge, "right", cells[2], edge),
    ):
        if cell:
            text = panel.text(x, y, "", ha=align, va="top", fontsize=_LISTED, color=colour)
            set_plain(text, shown_name(cell, room, measure))
    return y - _LINE


def _name_small(
    figure: Figure, panel: Axes, layout: MatrixLayout, labels: Sequence[str], own: Any, narrow: bool
) -> None:
    name_axes(figure, panel, layout)
    others = "" if narrow else f"; all others as {labels[-1]}, without colour"
    panel.set_title(
        f"The {len(labels) - 1} most confused classes{others}",
        fontsize=TEXT if narrow else TITLE,
        color=INK,
        y=1.0,
    )
    box = np.array(layout.box) * own
    panel.yaxis.set_label_coords(
        layout.margin / layout.width * own[0], box[1] + box[3] / 2, figure.transFigure
    )
    panel.xaxis.set_label_coords(
        box[0] + box[2] / 2, layout.axis_name / layout.height * own[1], figure.transFigure
    )
