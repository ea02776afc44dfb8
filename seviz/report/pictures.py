"""Figures for paper and for readers without scripts: drawn by matplotlib, held in the page as images."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seviz.analysis import gate_distances
from seviz.analysis.ablation import HELD
from seviz.figures import (
    ablation_figure,
    block_bars,
    confusion_matrix,
    depth,
    gate_curves,
    reliability_diagram,
)
from seviz.figures.confusion.cells import CMAP
from seviz.figures.confusion.raster import pool
from seviz.figures.style import SMALL, figure_style
from seviz.report.inputs import Inputs
from seviz.results.blocks import select_blocks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 7.2
# Dots across a map at most; the charts on the page have all.
_DOTS = 200


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
            depth(inputs.findings), "Class share, spread, saturation, class correlation by block"
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
            ablation_figure(inputs.ablation),
            f"Change of top-1 with {HELD[inputs.ablation.gates]}, block by block",
        )
    return made


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
