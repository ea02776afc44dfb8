"""Distance of two classes' gates against how often they are confused, one panel per block."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seviz.analysis import GateConfusion, confusion_rate, describe_gate_confusion, gate_distances
from seviz.errors import UsageError
from seviz.figures.layout import Layout
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, TEXT, figure_style
from seviz.figures.text import text_width
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


def gate_confusion_scatter(
    record: Record, found: Sequence[GateConfusion], *, figure: Figure | None = None
) -> Figure:
    """Draw each pair of classes: distance of mean gates across, share of mutual confusions up.

    Args:
        record: Needs gates and predictions.
        found: What `seviz.analysis.gate_confusion` says of the record, one panel each.
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
    upper = np.triu_indices(len(seen), 1)
    rate = 100 * confusion_rate(evaluation)[np.ix_(seen, seen)][upper]
    names = [evaluation.labels[i] for i in seen]
    pairs = (
        [f"{names[a]}, {names[b]}" for a, b in zip(*upper, strict=True)] if len(seen) <= 64 else []
    )
    plain = Layout(len(found))
    lines = _notes(record, found, plain.inner_width)
    layout = Layout(len(found), notes=len(lines))
    with figure_style():
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(layout.width, layout.height)
        first: Axes | None = None
        for position, one in enumerate(found):
            panel = figure.add_axes(layout.box(position), sharey=first)
            distance = gate_distances(record.stats(one.block))[np.ix_(seen, seen)][upper]
            _draw_pairs(panel, distance, rate, pairs)
            _title(panel, one)
            if position % layout.columns:
                panel.tick_params(axis="y", labelleft=False)
            first = first or panel
        across, up = layout.middle
        left, bottom = layout.label_edges
        figure.supxlabel(
            "distance between the mean gates of two classes",
            x=across,
            y=bottom,
            va="bottom",
            fontsize=TEXT,
        )
        figure.supylabel("confused with each other, %", x=left, y=up, ha="left", fontsize=TEXT)
        x, y = layout.note_edges
        figure.text(
            x, y, "\n".join(lines), fontsize=SMALL, color=GREY, va="bottom", linespacing=1.15
        )
    return figure


def _draw_pairs(panel: Axes, distance: Floats, rate: Floats, pairs: Sequence[str]) -> None:
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MaxNLocator

    top = max(float(rate.max()), 1e-9)
    furthest = max(float(distance.max()), 1e-9)
    if len(rate) > MOST_POINTS:
        counts, _, _ = np.histogram2d(
            rate, distance, bins=_BINS, range=((0, 1.05 * top), (0, 1.05 * furthest))
        )
        panel.imshow(
            np.ma.masked_equal(counts, 0),
            origin="lower",
            extent=(0, 1.05 * furthest, 0, 1.05 * top),
            aspect="auto",
            cmap="Blues",
            norm=LogNorm(0.3, max(2.0, float(counts.max()))),
            interpolation="nearest",
        )
    else:
        panel.plot(
            distance, rate, "o", color=COLOURS[0], markersize=2.8, alpha=0.75, markeredgewidth=0
        )
    for i in _most(rate, pairs):
        near = distance[i] < 0.55 * furthest
        name = panel.annotate(
            pairs[i],
            (float(distance[i]), float(rate[i])),
            xytext=(4 if near else -4, 0),
            textcoords="offset points",
            ha="left" if near else "right",
            va="center",
            fontsize=SMALL - 1,
            color=INK,
        )
        name.set_parse_math(False)
    panel.grid(color=PALE, linewidth=0.5)
    panel.set_xlim(0, 1.05 * furthest)
    panel.set_ylim(-0.03 * top, 1.1 * top)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 5, 10]))


def _most(rate: Floats, pairs: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return the pairs to name: the most confused ones, if any is."""
    order = np.argsort(-rate, kind="stable")[: NAMED if pairs else 0]
    return order[rate[order] > 0]


def _title(panel: Axes, one: GateConfusion) -> None:
    panel.set_title(one.block, x=0, ha="left", color=INK)
    if one.correlation is None or one.p_corrected is None:
        said = "no correlation defined"
    else:
        # Plus 0, which makes -0.00 a plain one.
        said = f"r = {round(one.correlation, 2) + 0.0:+.2f}, p = {one.p_corrected:.3f}"
    panel.set_title(said, loc="right", fontsize=SMALL, color=INK if one.holds else GREY)


def _notes(record: Record, found: Sequence[GateConfusion], width: float) -> list[str]:
    """Return the small print: what was found, in words."""
    character = text_width(SMALL)("n" * 100) / 100
    said = [
        describe_gate_confusion(found),
        "Each point is a pair of classes. r: Spearman's rank correlation; p: share of relabellings of the "
        "classes in which any block's is as large (Mantel test, corrected for all blocks).",
    ]
    still = [f.block for f in found if not f.moves]
    if still:
        said.append(f"Gates that hardly move, whose distances mean little: {', '.join(still)}.")
    if record.header.partial:
        said.insert(0, f"Partial record: interrupted after {record.header.images:,} images.")
    return [line for text in said for line in textwrap.wrap(text, int(width / character * 1.2))]
