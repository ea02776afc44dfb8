"""Figures for paper and for readers without scripts: drawn by matplotlib, held in the page as images."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seviz.analysis import gate_distances
from seviz.figures import block_bars, confusion_matrix, gate_curves, reliability_diagram
from seviz.figures.confusion.cells import CMAP
from seviz.figures.confusion.raster import pool
from seviz.figures.style import COLOURS, GREY, PALE, SMALL, figure_style
from seviz.report.ablation import difference
from seviz.report.depth import CHARTS
from seviz.report.findings import Findings
from seviz.report.inputs import Inputs
from seviz.results.ablation import Ablation
from seviz.results.blocks import select_blocks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 7.2
# Dots across a map at most; the charts on the page have all.
_DOTS = 200
# matplotlib's markers by Bokeh's names.
_MARKERS = {"circle": "o", "triangle": "^"}


@dataclass(frozen=True)
class Picture:
    """One figure as an image in the page.

    Attributes:
        source: The SVG as a data URI: inside an image, no id meets another and no script runs.
        text: What it shows, for who cannot see it.
        width: In CSS pixels.
        height: In CSS pixels.
    """

    source: str
    text: str
    width: int
    height: int


def picture(figure: Figure, text: str) -> Picture:
    """Return a figure as an image; the same bytes for the same figure."""
    file = io.BytesIO()
    with figure_style():
        figure.savefig(file, format="svg", metadata={"Date": None}, dpi=200)
    wide, tall = figure.get_size_inches()
    source = "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()
    return Picture(source, text, round(96 * wide), round(96 * tall))


def pictures(inputs: Inputs) -> dict[str, Picture]:
    """Return the figures of a report by section."""
    with warnings.catch_warnings():
        # Their text is set by the browser, with its own fonts: it has what matplotlib's lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing", UserWarning)
        return _draw(inputs)


def _draw(inputs: Inputs) -> dict[str, Picture]:
    record = inputs.record
    made: dict[str, Picture] = {}
    if record.blocks:
        names = ", ".join(c.name for c in inputs.chosen)
        drawn = gate_curves(record, inputs.chosen, select_blocks(record.blocks, None))
        made["gates"] = picture(drawn, f"Mean gate by channel for {names}, one panel per block")
        made["maps"] = picture(
            map_figure(inputs),
            "By block: how far the mean gate of each class is from that of all, and how far classes are "
            "apart",
        )
        made["depth"] = picture(
            depth_figure(inputs.findings), "Class share, saturation, movement, likeness by block"
        )
    if inputs.evaluation is not None:
        drawn = confusion_matrix(inputs.evaluation)
        made["confusion"] = picture(drawn, "Confusion matrix: rows are true classes")
        if inputs.scores is not None and inputs.scores.calibration is not None:
            made["reliability"] = picture(
                reliability_diagram(inputs.evaluation), "Accuracy against confidence"
            )
    if inputs.audit is not None and inputs.audit.totals is not None:
        made["cost"] = picture(block_bars(inputs.audit), "What each SE block costs")
    if inputs.ablation is not None and inputs.ablation.single:
        made["ablation"] = picture(
            ablation_figure(inputs.ablation), "Change of top-1 without each block"
        )
    return made


def depth_figure(findings: Findings) -> Figure:
    """Draw what the charts of depth show, one panel each."""
    from matplotlib.figure import Figure

    blocks = findings.blocks
    with figure_style():
        figure = Figure(figsize=(_WIDTH, 4.4), layout="constrained")
        for panel, (_, title, _, series) in zip(figure.subplots(2, 2).flat, CHARTS, strict=True):
            for label, colour, marker, value in series:
                known = [(i, e) for i, b in enumerate(blocks) if (e := value(b)) is not None]
                at, found = [i for i, _ in known], [e.value for _, e in known]
                panel.plot(at, found, color=colour, linewidth=0.8)
                for (i, e), v in zip(known, found, strict=True):
                    filled = blocks[i].moves or len(series) > 1
                    look = {"marker": _MARKERS[marker], "markersize": 4, "color": colour}
                    face = colour if filled else "white"
                    panel.plot(i, v, **look, markerfacecolor=face)
                    panel.vlines(i, e.low or v, e.high or v, color=colour, linewidth=0.8)
                if len(series) > 1:
                    panel.plot([], [], color=colour, marker=_MARKERS[marker], label=label)
            if len(series) > 1:
                panel.legend(frameon=False, fontsize=SMALL)
            panel.set_title(title, loc="left")
            step = -(-len(blocks) // 20)
            names = [b.block for b in blocks][::step]
            panel.set_xticks(range(0, len(blocks), step), names, rotation=60, ha="right")
            panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
            panel.grid(axis="y", color=PALE, linewidth=0.5)
    return figure


def map_figure(inputs: Inputs) -> Figure:
    """Draw, for the paper's blocks, classes by channels and classes by classes."""
    from matplotlib.figure import Figure

    record = inputs.record
    blocks = select_blocks(record.blocks, None)
    with figure_style():
        figure = Figure(figsize=(_WIDTH, 1.35 * len(blocks) + 0.5), layout="constrained")
        panels = figure.subplots(len(blocks), 2, squeeze=False, width_ratios=(3, 1))
        for block, (left, right) in zip(blocks, panels, strict=True):
            stats = record.stats(block.name)
            more = stats.mean[stats.seen] - stats.all_mean
            far = float(np.abs(more).max()) or 1.0
            # The largest of the cells that share a dot, on either side of zero.
            high, low = pool(more, _DOTS), -pool(-more, _DOTS)
            shown = np.where(high > -low, high, low)
            drawn = left.imshow(
                shown, cmap="RdBu_r", vmin=-far, vmax=far, aspect="auto", interpolation="none",
                extent=(0, block.channels, len(more), 0),
            )  # fmt: skip
            figure.colorbar(drawn, ax=left, fraction=0.03, pad=0.01)
            left.set_title(f"{block.name}: class by channel, difference from “all”", loc="left")
            apart = gate_distances(stats)[np.ix_(stats.seen, stats.seen)]
            seen = right.imshow(
                pool(apart, _DOTS), cmap=CMAP, vmin=0, interpolation="none",
                aspect="auto",
            )  # fmt: skip
            figure.colorbar(seen, ax=right, fraction=0.08, pad=0.02)
            right.set_title("class distance", loc="left")
            for panel in (left, right):
                panel.set_yticks([])
                panel.tick_params(labelsize=SMALL)
            right.set_xticks([])
            left.set_ylabel("classes", fontsize=SMALL)
    return figure


def ablation_figure(ablation: Ablation) -> Figure:
    """Draw the change of top-1 for each block or stage, with intervals."""
    from matplotlib.figure import Figure

    found = [difference(ablation, r) for r in ablation.single]
    with figure_style():
        figure = Figure(figsize=(_WIDTH, 2.4), layout="constrained")
        panel = figure.subplots()
        panel.axhline(0, color=GREY, linewidth=0.6)
        for i, d in enumerate(found):
            panel.vlines(i, 100 * d.low, 100 * d.high, color=COLOURS[0], linewidth=1)
            panel.plot(i, 100 * d.delta, "o", color=COLOURS[0], markersize=4)
        names = [r.name for r in ablation.single]
        panel.set_xticks(range(len(names)), names, rotation=60, ha="right")
        panel.set_ylabel("change of top-1, points")
        panel.grid(axis="y", color=PALE, linewidth=0.5)
    return figure
