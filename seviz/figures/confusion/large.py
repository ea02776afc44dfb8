"""A confusion matrix of more classes than labels fit: the whole as an image, and what stands out in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

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
from seviz.figures.layout import PAGE_WIDTH, TALLEST, Box
from seviz.figures.look import Look
from seviz.figures.style import GREY, INK, PALE, SMALL, TEXT, TITLE
from seviz.figures.text import add_head, add_notes, set_plain, shown_name, text_width, wrapped
from seviz.results.evaluation import Evaluation
from seviz.results.shares import shown_share
from seviz.results.stats import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 3.3  # of the image of the whole matrix, inches
LISTS = 2.55  # width of the lists beside it
NARROW = 5.6  # width of a figure, below which the lists are under the image
HARDEST = 8
LISTED_BELOW, HARDEST_BELOW = 12, 5  # where the lists are under the image
# With more, the numbers of the smaller matrix would be too small to read.
MOST_DRAWN = 30
_LEFT, _BELOW, _TOP = 0.52, 0.5, 0.36
_AXIS = 0.35  # numbers and name of the horizontal axis
_UNDER = 0.1  # between the smaller matrix and lists under the image
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
    confusions = ranked_confusions(evaluation, min(top, LISTED_BELOW) if narrow else top)
    hardest = scores(evaluation).hardest[: HARDEST_BELOW if narrow else HARDEST]
    listed = (len(confusions) + len(hardest) + 5) * _LINE
    small = gathered(evaluation, most_confused(evaluation, min(top, MOST_DRAWN)))
    values, columns = table(small, normalize)
    texts, rest = _numbers(values, normalize)
    longest = max(texts.ravel().tolist(), key=len) or "0"
    # Beside the image lists may reach as far down as the name of its axis.
    lower = 0.0 if narrow else min(_AXIS, max(0.0, listed - side))
    tall = side + listed + _UNDER if narrow else max(side, listed - lower)
    above = _BELOW + tall + _TOP + 0.13 * (len(head) + len(lines))
    layout = MatrixLayout.fitted(small.labels, columns, longest, look.width, TALLEST - above)
    if text_width(layout.number_size)(rest) < 0.95 * layout.cell:
        texts[len(values) - 1, len(values) - 1] = rest
    if not layout.numbered:
        texts[:] = ""
    layout = layout.with_notes(len(lines))
    height = layout.height + _BELOW + tall + _TOP + 0.13 * len(head)
    figure.set_size_inches(width, height)

    def within(x: float, y: float, wide: float, up: float) -> tuple[float, float, float, float]:
        return x / width, y / height, wide / width, up / height

    foot = layout.height + _BELOW + tall - side
    panel = figure.add_axes(within(_LEFT, foot, side, side))
    bar = within(_LEFT + side + _BETWEEN, foot, _BAR, side)
    _draw_whole(figure, panel, evaluation, normalize, log, bar)
    left, up, room = (
        (0.1, _UNDER, listed) if narrow else (width - beside, _BELOW - lower, tall + lower)
    )
    lists = figure.add_axes(within(left, layout.height + up, beside - 0.06, room))
    _write_lists(lists, confusions, hardest, room, beside - 0.06)
    unit = f"{UNITS[normalize]} (white: 0)"
    _draw_small(figure, layout, small, (values, texts, columns), unit, log=log, narrow=narrow)
    add_notes(figure, lines)
    add_head(figure, head)


def _numbers(values: Floats, normalize: Normalize) -> tuple[npt.NDArray[np.str_], str]:
    """Return what the cells say but for the last class with itself, and what that one would say.

    All that is outside of the chosen classes is far more than the rest: its number needs a wider cell.
    """
    texts = cell_texts(values, normalize)
    texts[values == 0] = ""
    last = len(values) - 1
    rest, texts[last, last] = str(texts[last, last]), ""
    return texts, rest


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


def _draw_small(
    figure: Figure,
    layout: MatrixLayout,
    small: Evaluation,
    cells: tuple[Floats, npt.NDArray[np.str_], Sequence[str]],
    unit: str,
    *,
    log: bool,
    narrow: bool,
) -> None:
    """Draw the matrix of the most confused classes: ``cells`` are its values, numbers and columns."""
    values, texts, columns = cells
    width, height = figure.get_size_inches()
    # It was laid out on a figure of its own: here it stands in the middle, at the foot.
    own = np.array([layout.width / width, layout.height / height] * 2)
    aside = np.array([max(0.0, 1 - own[0]) / 2, 0, 0, 0])
    box = np.array(layout.box) * own + aside
    panel = figure.add_axes(tuple(box))
    chosen = len(small.labels) - 1
    coloured = off_diagonal(values)
    coloured[chosen:], coloured[:, chosen:] = np.nan, np.nan
    mesh = draw_raster(panel, coloured, scale(coloured, log=log))
    grey_diagonal(panel, values[:chosen, :chosen])
    write_numbers(panel, texts, mesh, coloured, layout.number_size)
    hatch_empty(panel, small, values, layout.label_size)
    panel.axhline(chosen, color=GREY, linewidth=0.8)
    panel.axvline(chosen, color=GREY, linewidth=0.8)
    label_classes(panel, small.labels, columns, layout)
    name_axes(figure, panel, layout)
    others = "" if narrow else f"; all others as {small.labels[-1]}, without colour"
    panel.set_title(
        f"The {chosen} most confused classes{others}",
        fontsize=TEXT if narrow else TITLE,
        color=INK,
        y=1.0,
    )
    name, foot = layout.margin / layout.width, layout.axis_name / layout.height
    middle = box[:2] + box[2:] / 2
    panel.yaxis.set_label_coords(aside[0] + name * own[0], middle[1], figure.transFigure)
    panel.xaxis.set_label_coords(middle[0], foot * own[1], figure.transFigure)
    add_colour_bar(figure, tuple(np.array(layout.bar) * own + aside), mesh, unit)
