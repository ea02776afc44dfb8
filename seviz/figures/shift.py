"""Drift of the gates by block: a panel for each corruption, a line and a band of chance for each severity."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from seviz.analysis.shift import Shift, WorldShift
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH, columns_for
from seviz.figures.style import COLOURS, GREY, INK, MARKERS, PALE, SMALL, figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In inches.
_LEFT, _RIGHT, _ACROSS = 0.52, 0.1, 0.16
_PANEL, _GAP, _FOOT, _HEAD, _LINE = 1.75, 0.5, 0.32, 0.42, 0.13
_TURNED = 0.3  # more below panels whose blocks are named upright
_NAME = 0.46  # of the name of a block
_NOTE_CHARACTER = 0.050
_DOTS = (0, (1, 1.6))
_LEAST = 1e-3  # of a drift, below which the axis is linear
_TICKS = 14  # blocks that are named below a panel, at most; of more each second, third...


def shift_figure(shift: Shift) -> Figure:
    """Draw how far the gates of each block move, from the first block to the last.

    Args:
        shift: From `seviz.shift`.

    Returns:
        The figure; `save_figure` writes it.
    """
    from seviz.figures.shown import Figure

    kinds = shift.kinds
    columns = columns_for(len(kinds))
    rows = -(-len(kinds) // columns)
    wide = (PAGE_WIDTH - _LEFT - _RIGHT - (columns - 1) * _ACROSS) / columns
    sentence = _note(shift)
    notes = textwrap.wrap(sentence, int((PAGE_WIDTH - _LEFT - _RIGHT) / _NOTE_CHARACTER))
    turned = wide < _NAME * min(len(shift.worlds[0].measured), _TICKS)
    foot = _FOOT + turned * _TURNED + _LINE * len(notes)
    gap = _GAP + turned * _TURNED
    tall = foot + rows * _PANEL + (rows - 1) * gap + _HEAD
    bounds = _bounds(shift)
    with figure_style():
        figure = Figure(figsize=(PAGE_WIDTH, tall))
        for place, kind in enumerate(kinds):
            row, column = divmod(place, columns)
            left = _LEFT + column * (wide + _ACROSS)
            bottom = foot + (rows - 1 - row) * (_PANEL + gap)
            panel = figure.add_axes(
                (left / PAGE_WIDTH, bottom / tall, wide / PAGE_WIDTH, _PANEL / tall)
            )
            panel.set_title(kind, loc="left")
            _draw(panel, shift.of(kind), bounds)
            panel.tick_params(axis="x", rotation=90 if turned else 0)
            if column:
                panel.tick_params(labelleft=False)
            else:
                panel.set_ylabel("drift, variances")
        _legend(figure, shift, tall)
        figure.text(
            _LEFT / PAGE_WIDTH,
            0.06 / tall,
            "\n".join(notes),
            fontsize=SMALL,
            color=GREY,
            linespacing=1.15,
        )
        set_caption(figure, sentence, *(f"{first}." for first in shift.first))
    return figure


def _bounds(shift: Shift) -> tuple[float, float]:
    """Return up to where the axis is linear, and where it ends: the same in all panels."""
    drifts = [b.drift for world in shift.worlds for b in world.measured]
    linear = max(min((d.band for d in drifts), default=0.0), _LEAST)
    return linear, max(1.6 * max((d.value for d in drifts), default=0.0), 3 * linear)


def _draw(panel: Axes, worlds: tuple[WorldShift, ...], bounds: tuple[float, float]) -> None:
    drawn = [w.measured for w in worlds]
    names = [b.block for b in drawn[0]]
    blocks = len(worlds[0].blocks)
    places = list(range(len(names)))
    linear, highest = bounds
    panel.set_yscale("symlog", linthresh=linear, linscale=0.6)
    panel.set_ylim(-linear, highest)
    panel.grid(axis="y", color=PALE, linewidth=0.5)
    edges = [p + side for p in places for side in (-0.5, 0.5)]
    bands = [[b.drift.band for b in own for _ in (0, 1)] for own in drawn]
    lowest = [min(together) for together in zip(*bands, strict=True)]
    panel.fill_between(edges, [-linear] * len(edges), lowest, color=PALE, linewidth=0, zorder=1)
    if blocks < len(names):  # the features stand apart
        panel.axvline(blocks - 0.5, color=GREY, linewidth=0.4)
    for world, own, band in zip(worlds, drawn, bands, strict=True):
        colour, marker = _look(world)
        panel.plot(edges, band, color=colour, linewidth=0.9, linestyle=_DOTS, zorder=2)
        values = [max(b.drift.value, -linear) for b in own]
        panel.plot(places[:blocks], values[:blocks], color=colour, linewidth=1.1, zorder=3)
        for filled in (True, False):
            chosen = [p for p in places if own[p].significant is filled]
            panel.plot(
                chosen,
                [values[p] for p in chosen],
                marker,
                color=colour,
                markerfacecolor=colour if filled else "white",
                markersize=3.2,
                markeredgewidth=0.8,
                zorder=4,
            )
    step = -(-blocks // _TICKS)
    shown = [*places[:blocks:step], *places[blocks:]]
    panel.set_xticks(shown, [names[p] for p in shown])
    panel.set_xlim(-0.5, len(names) - 0.5)


def _look(world: WorldShift) -> tuple[str, str]:
    """Return colour and marker: the same for a severity in every panel."""
    if not world.corruption:
        return INK, MARKERS[0]
    place = world.severity % len(COLOURS)
    return COLOURS[place], MARKERS[place]


def _legend(figure: Figure, shift: Shift, tall: float) -> None:
    from matplotlib.lines import Line2D

    entries: list[tuple[object, str]] = []
    for severity in sorted({w.severity for w in shift.worlds if w.corruption}):
        world = next(w for w in shift.worlds if w.corruption and w.severity == severity)
        colour, marker = _look(world)
        line = Line2D([], [], color=colour, marker=marker, markersize=3.2, linewidth=1.1)
        entries.append((line, f"severity {severity}"))
    dots = Line2D([], [], color=GREY, linewidth=0.9, linestyle=_DOTS)
    entries.append((dots, "chance, 95 %"))
    hollow = Line2D([], [], color=GREY, marker="o", markersize=3.2, linestyle="none")
    hollow.set_markerfacecolor("white")
    entries.append((hollow, "chance explains it"))
    figure.legend(
        *zip(*entries, strict=True),
        loc="upper left",
        bbox_to_anchor=(_LEFT / PAGE_WIDTH, 1 - 0.05 / tall),
        ncols=len(entries),
        frameon=False,
        fontsize=SMALL,
        handlelength=1.5,
        columnspacing=1.4,
        borderaxespad=0,
        borderpad=0,
    )


def _note(shift: Shift) -> str:
    images = max(b.images for b in shift.blocks)
    known = any(w.features is not None for w in shift.worlds)
    features = " Features: what the last layer reads." if known else ""
    many = ", by severity" if any(len(shift.of(kind)) > 1 for kind in shift.kinds) else ""
    return (
        f"{shift.name}: gates of {images:,} images against clean ones of {shift.data}. Drift: mean over "
        "channels of the squared difference of means, in units of the variance over images, less what "
        f"chance gives. Dotted: what chance alone stays below 95 times in 100{many}. Filled: p < 0.05, "
        "adjusted for all blocks and severities of a panel."
        f"{features}"
    )
