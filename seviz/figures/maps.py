"""Class maps: how far the mean gates of each class are from those of all, and classes from one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seviz.analysis import gate_distances
from seviz.figures.confusion.raster import pool
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.style import CMAP, LEAST, SMALL, figure_style
from seviz.figures.text import set_plain, shown_name, text_width
from seviz.results.blocks import GateBlock
from seviz.results.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Where everything stands, in inches: a layout engine would measure each text of twenty panels, four times.
_ROW, _PANEL, _HEAD = 1.42, 1.02, 0.2
_LEFT, _RIGHT = (0.95, 3.67), (5.3, 1.25)  # left edge and width; room for the numbers of each bar
_LINE = 0.085  # of a row's name
_ROOM = 0.2  # left of the names
_BAR, _GAP = 0.06, 0.08
# Dots across a map at most: more do not come out in print.
_DOTS = 200
_STEPS = (1, 2, 5, 10)  # between the numbers of a bar


def maps(record: Record, blocks: Sequence[GateBlock]) -> Figure:
    """Draw, block by block, classes by channels and classes by classes.

    Args:
        record: Gates.
        blocks: What to draw, a row each.
    """
    from matplotlib.ticker import MaxNLocator

    from seviz.figures.shown import Figure

    with figure_style():
        tall = _ROW * len(blocks) + 0.02
        figure = Figure(figsize=(PAGE_WIDTH, tall))

        def add(left: float, width: float, row: int) -> Axes:
            bottom = tall - row * _ROW - _HEAD - _PANEL
            return figure.add_axes(
                (left / PAGE_WIDTH, bottom / tall, width / PAGE_WIDTH, _PANEL / tall)
            )

        for row, block in enumerate(blocks):
            left, right = (add(*place, row) for place in (_LEFT, _RIGHT))
            bars = [add(x + width + _GAP, _BAR, row) for x, width in (_LEFT, _RIGHT)]
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
            figure.colorbar(drawn, cax=bars[0], ticks=MaxNLocator(3, steps=_STEPS))
            left.set_title(f"{block.name}: class by channel, difference from “all”", loc="left")
            apart = gate_distances(stats)[np.ix_(stats.seen, stats.seen)]
            seen = right.imshow(
                pool(apart, _DOTS), cmap=CMAP, vmin=0, interpolation="none",
                aspect="auto",
            )  # fmt: skip
            figure.colorbar(seen, cax=bars[1], ticks=MaxNLocator(3, steps=_STEPS))
            right.set_title("class distance", loc="left")
            for panel in (left, right):
                panel.set_yticks([])
                panel.tick_params(labelsize=SMALL)
            right.set_xticks([])
            _name_rows(
                left, [n for n, s in zip(record.classes.labels, stats.seen, strict=True) if s]
            )
    return figure


def _name_rows(panel: Axes, names: Sequence[str]) -> None:
    """Name as many rows as there is room for, evenly; the first is one of them."""
    step = -(-len(names) // int(_PANEL / _LINE))
    places = range(0, len(names), step)
    size = LEAST + 0.5
    measure = text_width(size)
    shown = [shown_name(names[i], _LEFT[0] - _ROOM, measure) for i in places]
    panel.set_yticks([i + 0.5 for i in places], shown, fontsize=size)
    for label, name in zip(panel.get_yticklabels(), shown, strict=True):
        set_plain(label, name)
    panel.tick_params(axis="y", length=0, pad=2)
    if step > 1:
        panel.set_ylabel(f"classes, one in {step} named", fontsize=SMALL)
