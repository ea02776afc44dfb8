"""Distance of two classes' gates against how often they are confused: all blocks, and the strongest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seviz.analysis import (
    Estimate,
    GateConfusion,
    confusion_rate,
    describe_gate_confusion,
    gate_distances,
)
from seviz.analysis.gate_confusion_intervals import correlation_intervals
from seviz.errors import UsageError
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.letters import letter_panels
from seviz.figures.look import PLAIN, Look
from seviz.figures.point_labels import Box, around, place_labels
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, STILL, figure_style
from seviz.figures.text import add_notes, set_plain, shown_name, text_width, wrapped
from seviz.results.evaluation import Evaluation
from seviz.results.record import Record
from seviz.results.stats import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 2  # pairs that are named in each panel
# More points than that become one blot: their density is drawn.
MOST_POINTS = 2_000
_BINS = 80
_FAR = 0.4  # of the largest distance: where none is smaller, the axis begins there
_LEFT, _BELOW, _TOP, _TALL = 0.6, 0.58, 0.28, 1.75  # inches
_LINE = 0.12  # inches, of a name
_NARROW = 5.6  # width of a figure, below which the panels are one below the other


def gate_confusion_scatter(
    record: Record,
    found: Sequence[GateConfusion],
    *,
    look: Look = PLAIN,
    figure: Figure | None = None,
) -> Figure:
    """Draw the rank correlation of gates and confusion of every block, and the pairs of the strongest.

    At the left a point for each block, with its 95 % interval over classes; filled where there is
    something. At the right, for the block of the largest correlation, a point for each pair of classes:
    distance of mean gates across, share of mutual confusions up.

    Args:
        record: Needs gates and predictions.
        found: What `seviz.analysis.gate_confusion` says of the record, a point each.
        look: Width and font.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Raises:
        UsageError: If there is no block, or fewer than two classes have images.
    """
    from seviz.figures.shown import Figure

    evaluation = Evaluation.of_record(record)
    seen = np.flatnonzero((evaluation.support > 0) & (record.count > 0))
    if not found or len(seen) < 2:
        raise UsageError(
            f"expected gates of at least two classes, found {len(found)} blocks and {len(seen)} classes; "
            "collect a network with SE on more classes"
        )
    strongest = max(found, key=lambda f: abs(f.correlation or 0.0))
    upper = np.triu_indices(len(seen), 1)
    rate = 100 * confusion_rate(evaluation)[np.ix_(seen, seen)][upper]
    distance = gate_distances(record.stats(strongest.block))[np.ix_(seen, seen)][upper]
    names = [look.named(evaluation.labels[i]) for i in seen]
    pairs = (
        [f"{names[a]}, {names[b]}" for a, b in zip(*upper, strict=True)] if len(seen) <= 64 else []
    )
    with figure_style(look):
        wide = look.width or PAGE_WIDTH
        one_column = wide < _NARROW
        notes = _notes(record, found, dense=len(rate) > MOST_POINTS)
        lines = wrapped(notes, wide - 0.2)
        foot = 0.08 + 0.128 * len(lines)
        own = wide - _LEFT - 0.1 if one_column else (wide - 2 * _LEFT - 0.1) * 0.56
        other = own if one_column else wide - 2 * _LEFT - 0.1 - own
        panel_foot = foot + _BELOW
        tall = panel_foot + _TALL + _TOP + (one_column and _TALL + _BELOW + _TOP)
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(wide, tall)

        def add(left: float, bottom: float, width: float) -> Axes:
            return figure.add_axes((left / wide, bottom / tall, width / wide, _TALL / tall))

        dots = add(_LEFT, tall - _TOP - _TALL, own)
        right = add(_LEFT if one_column else 2 * _LEFT + own, panel_foot, other)
        _draw_blocks(dots, found, correlation_intervals(record, found), own)
        _draw_pairs(right, distance, rate, pairs, other)
        right.set_title(f"{strongest.block}, {_said(strongest)}", x=0, ha="left", color=INK)
        right.set_xlabel("distance between the mean gates of two classes", fontsize=SMALL)
        right.set_ylabel("confused with each other, %", fontsize=SMALL)
        if look.letters:
            letter_panels([dots], own)
            letter_panels([right], other)
        add_notes(figure, lines)
    set_caption(
        figure,
        "Distance of classes' mean gates against how often they are confused.",
        *notes,
    )
    return figure


def _draw_blocks(
    panel: Axes,
    found: Sequence[GateConfusion],
    intervals: Sequence[Estimate | None],
    width: float,
) -> None:
    """Draw a point and an interval for each block, in forward order."""
    panel.axhline(0, color=INK, linewidth=0.6)
    for place, (one, estimate) in enumerate(zip(found, intervals, strict=True)):
        if estimate is None:
            continue
        colour = COLOURS[1] if one.holds else GREY if one.moves else STILL
        if estimate.low is not None and estimate.high is not None:
            panel.plot([place] * 2, [estimate.low, estimate.high], color=colour, linewidth=1.1)
        panel.plot(
            place, estimate.value, "o", color=colour, markersize=3.4, markeredgewidth=0.9,
            markerfacecolor=colour if one.holds else "white",
        )  # fmt: skip
    ends = [v for e in intervals if e for v in (e.value, e.low, e.high) if v is not None]
    reach = max([0.2, *(abs(v) for v in ends)]) * 1.08
    panel.set_ylim(-reach, reach)
    panel.set_xlim(-0.6, len(found) - 0.4)
    step = max(1, math.ceil(len(found) * 1.1 * SMALL / 72 / width))
    upright = len(found) * (text_width(SMALL)(found[0].block) + 0.06) > width
    panel.set_xticks(range(0, len(found), step), [f.block for f in found[::step]], fontsize=SMALL)
    panel.tick_params(axis="x", length=0, labelrotation=90 if upright else 0)
    panel.grid(axis="y", color=PALE, linewidth=0.5)
    panel.spines["bottom"].set_visible(False)
    panel.set_ylabel("rank correlation", fontsize=SMALL)
    panel.set_title("gates and confusion, by block", x=0, ha="left", color=INK)


def _draw_pairs(
    panel: Axes, distance: Floats, rate: Floats, pairs: Sequence[str], width: float
) -> None:
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MaxNLocator

    top = max(float(rate.max()), 1e-9)
    begin, end = _span(distance)
    if len(rate) > MOST_POINTS:
        counts, _, _ = np.histogram2d(
            rate, distance, bins=_BINS, range=((0, 1.05 * top), (begin, end))
        )
        panel.imshow(
            np.ma.masked_equal(counts, 0),
            origin="lower",
            extent=(begin, end, 0, 1.05 * top),
            aspect="auto",
            cmap="Blues",
            norm=LogNorm(0.3, max(2.0, float(counts.max()))),
            interpolation="nearest",
        )
    else:
        panel.plot(
            distance, rate, "o", color=COLOURS[0], markersize=2.8, alpha=0.75, markeredgewidth=0
        )

    def inch(i: int) -> tuple[float, float]:
        across = (float(distance[i]) - begin) / (end - begin)
        return width * across, _TALL * (float(rate[i]) + 0.03 * top) / (1.13 * top)

    measure = text_width(SMALL - 1)
    named = [(inch(i), pairs[i]) for i in _most(rate, pairs).tolist()]
    names = [shown_name(pair, max(x, width - x) - 0.12, measure) for (x, _), pair in named]
    dots = range(len(rate)) if len(rate) <= MOST_POINTS else ()
    corners = place_labels(
        [point for point, _ in named],
        list(map(measure, names)),
        _LINE,
        Box(0.02, 0.02, width - 0.02, _TALL - 0.02),
        [around(*inch(i), 0.025) for i in dots],
        [False] * len(names),
    )
    for corner, shown in zip(corners, names, strict=True):
        if corner is None:
            continue
        x, y = corner[0] / width, (corner[1] + _LINE / 2) / _TALL
        name = panel.text(
            x, y, "", transform=panel.transAxes, va="center", fontsize=SMALL - 1, color=INK
        )
        set_plain(name, shown)
    panel.grid(color=PALE, linewidth=0.5)
    panel.set_xlim(begin, end)
    panel.set_ylim(-0.03 * top, 1.1 * top)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3, steps=[1, 2, 5, 10]))


def _span(distance: Floats) -> tuple[float, float]:
    """Return the ends of the axis of distances: from 0, unless all of them are far from it."""
    nearest, furthest = float(distance.min()), max(float(distance.max()), 1e-9)
    if nearest < _FAR * furthest or nearest == furthest:
        return 0.0, 1.05 * furthest
    beyond = 0.06 * (furthest - nearest)
    return nearest - beyond, furthest + beyond


def _most(rate: Floats, pairs: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return the pairs to name: the most confused ones, if any is."""
    order = np.argsort(-rate, kind="stable")[: NAMED if pairs else 0]
    return order[rate[order] > 0]


def _said(one: GateConfusion) -> str:
    if one.correlation is None or one.p_corrected is None:
        return "no correlation defined"
    # Plus 0, which makes -0.00 a plain one.
    return f"r = {round(one.correlation, 2) + 0.0:+.2f}, p = {one.p_corrected:.3f}"


def _notes(record: Record, found: Sequence[GateConfusion], *, dense: bool) -> list[str]:
    """Return the small print: what was found, in words; ``dense`` where no pair has a point of its own."""
    pairs = "the darker, the more pairs" if dense else "a point for each pair"
    said = [
        describe_gate_confusion(found),
        "Left: Spearman's rank correlation over pairs of classes, with 95 % interval over classes; filled: "
        f"p < 0.05. Right: the block of the largest, {pairs}. p: share of relabellings of the "
        "classes in which any block's correlation is as large (Mantel test, corrected for all blocks).",
    ]
    still = [f.block for f in found if not f.moves]
    if still:
        said.append(f"Gates that hardly move, whose distances mean little: {', '.join(still)}.")
    if record.header.partial:
        said.insert(0, f"Partial record: interrupted after {record.header.images:,} images.")
    return said
