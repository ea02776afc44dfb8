"""Gates of one image in another: which class is answered, by pair of classes and by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.swap import Swap, SwapRates, describe
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.style import CMAP, COLOURS, GREY, INK, PALE, SHARES, SMALL, TEXT, figure_style
from seviz.figures.text import add_notes, set_plain, shown_name, text_width, wrapped
from seviz.results.stats import Floats
from seviz.tables.swap import place_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In inches.
_HEAD, _TITLE, _LINE, _NAMES = 0.1, 0.3, 0.13, 0.62
_PANEL, _GAP, _LEFT, _RIGHT = 1.55, 0.62, 0.46, 0.1
_LEGEND = 0.42
_CELL, _MOST = 0.27, 2.6  # of a matrix: a cell, and its side at most
_BETWEEN = 0.24
_WIDEST_NAME = 0.85
_NUMBERED = 0.2  # inches of a cell that has room for a number
_TICKS = 12  # blocks that are named below a panel, at most

_Line = tuple[str, str, str, Callable[[SwapRates], Estimate | None]]
_FOLLOWS: tuple[_Line, ...] = (
    ("the class of the gates", COLOURS[0], "o", lambda r: r.follows),
    ("the same, shuffled", COLOURS[1], "s", lambda r: r.shuffled),
    ("one third class", GREY, "D", lambda r: r.third),
)
_CHANGED: tuple[_Line, ...] = (
    ("of another class", COLOURS[0], "o", lambda r: r.disturbed),
    ("shuffled", COLOURS[1], "s", lambda r: r.shuffled_disturbed),
    ("of its own class", COLOURS[2], "^", lambda r: r.within),
)
_LIFT: tuple[_Line, ...] = (("", COLOURS[0], "o", lambda r: r.lift),)


def swap_figure(swap: Swap) -> Figure:
    """Draw how often the answer follows the gates: by pair of classes, and by block beside its controls.

    Args:
        swap: From `seviz.swap_gates`.

    Returns:
        The figure; `save_figure` writes it.
    """
    from seviz.figures.shown import Figure

    with figure_style():
        lines = wrapped(_notes(swap), PAGE_WIDTH - 0.2)
        names = [shown_name(n, _WIDEST_NAME, text_width(SMALL)) for n in swap.classes]
        name_room = max(map(text_width(SMALL), names), default=0.0) + 0.08
        side = min(_CELL * len(names), _MOST) if swap.matrix else 0.0
        above = side + _TITLE + name_room + _BETWEEN if swap.matrix else 0.0
        foot = 0.1 + _LINE * len(lines) + _NAMES
        tall = foot + _PANEL + _LEGEND + _TITLE + above + _HEAD
        figure = Figure(figsize=(PAGE_WIDTH, tall))
        if swap.matrix:
            bottom = tall - _HEAD - _TITLE - side
            _draw_matrices(figure, swap, names, name_room, side, bottom, tall)
        _draw_blocks(figure, swap, foot, tall)
        add_notes(figure, lines)
        set_caption(figure, *describe(swap), *_notes(swap))
    return figure


def _draw_matrices(
    figure: Figure,
    swap: Swap,
    names: Sequence[str],
    room: float,
    side: float,
    bottom: float,
    tall: float,
) -> None:
    """Draw both matrices: rows are classes of the gates, columns those of the image."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    shades = ListedColormap(matplotlib.colormaps[CMAP](np.linspace(0.0, SHARES[1], 256)))
    places = {name: i for i, name in enumerate(swap.classes)}
    follows = np.full((len(names), len(names)), np.nan)
    changed = follows.copy()
    for cell in swap.matrix:
        at = places[cell.gates], places[cell.image]
        changed[at] = 1 - cell.stays.value
        if cell.gates != cell.image:
            follows[at] = cell.follows.value
    lefts = (0.24 + room, PAGE_WIDTH / 2 + 0.3)
    titles = ("becomes the class of the gates", "is no longer that of the image")
    for place, (left, title, values) in enumerate(
        zip(lefts, titles, (follows, changed), strict=True)
    ):
        box = (left / PAGE_WIDTH, bottom / tall, side / PAGE_WIDTH, side / tall)
        panel = figure.add_axes(box)
        mesh = panel.pcolormesh(
            np.ma.masked_invalid(values),
            cmap=shades.with_extremes(bad="#DADADA"),
            vmin=0,
            vmax=1,
            linewidths=0.4,
            edgecolors="white",
        )
        panel.set(xlim=(0, len(names)), ylim=(len(names), 0))
        panel.set_title(f"the answer {title}, %", loc="left", fontsize=TEXT)
        middle = [i + 0.5 for i in range(len(names))]
        panel.set_xticks(middle, names, rotation=90)
        panel.set_yticks(middle, names if place == 0 else [])
        for label in (*panel.get_xticklabels(), *panel.get_yticklabels()):
            set_plain(label, label.get_text())
        panel.tick_params(length=0)
        for spine in panel.spines.values():
            spine.set_visible(False)
        panel.set_xlabel("image of", labelpad=2)
        panel.set_ylabel("gates of" if place == 0 else "", labelpad=2)
        if side / len(names) >= _NUMBERED:
            _write(panel, values, mesh)


def _write(panel: Axes, values: Floats, mesh: object) -> None:
    for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
        value = values[row, column]
        panel.text(
            column + 0.5,
            row + 0.52,
            f"{100 * value:.0f}",
            ha="center",
            va="center",
            fontsize=SMALL - 0.5,
            color="white" if value > 0.6 else INK,
        )


def _draw_blocks(figure: Figure, swap: Swap, foot: float, tall: float) -> None:
    """Draw the shares of each block beside its controls."""
    panels = [
        ("the answer becomes ..., %", _FOLLOWS, 100.0),
        ("no longer the image's, gates ..., %", _CHANGED, 100.0),
    ]
    if any(r.lift is not None for r in swap.rates):
        panels.append(("rise of the gates' class, log odds", _LIFT, 1.0))
    wide = (PAGE_WIDTH - _LEFT - _RIGHT - (len(panels) - 1) * _GAP) / len(panels)
    for place, (title, lines, scale) in enumerate(panels):
        left = _LEFT + place * (wide + _GAP)
        panel = figure.add_axes((left / PAGE_WIDTH, foot / tall, wide / PAGE_WIDTH, _PANEL / tall))
        head = foot + _PANEL + (_LEGEND if len(lines) > 1 else 0.0)
        figure.text(left / PAGE_WIDTH, (head + 0.05) / tall, title, fontsize=TEXT, va="bottom")
        _draw_lines(panel, swap, lines, scale)


def _draw_lines(panel: Axes, swap: Swap, lines: Sequence[_Line], scale: float) -> None:
    rates = swap.rates
    known = [line for line in lines if any(line[3](r) is not None for r in rates)]
    for place, (label, colour, marker, get) in enumerate(known):
        apart = 0.24 * (place - (len(known) - 1) / 2)
        found = [(i, e) for i, r in enumerate(rates) if (e := get(r)) is not None]
        xs = [i + apart for i, _ in found]
        panel.plot(
            xs,
            [scale * e.value for _, e in found],
            marker,
            color=colour,
            markersize=3.0,
            linestyle="none",
            label=label,
            zorder=3,
            clip_on=False,
        )
        ends = [(x, e) for x, (_, e) in zip(xs, found, strict=True) if e.low is not None]
        panel.vlines(
            [x for x, _ in ends],
            [scale * (e.low or 0.0) for _, e in ends],
            [scale * (e.high or 0.0) for _, e in ends],
            color=colour,
            linewidth=0.9,
            zorder=2,
        )
    if scale == 1.0:
        panel.axhline(0, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    else:
        panel.set_ylim(bottom=0)
    last = len(rates) - 1
    panel.axvline(last - 0.5, color=GREY, linewidth=0.4)
    panel.set_xlim(-0.6, last + 0.6)
    step = -(-last // _TICKS) if last else 1
    shown = [*range(0, last, step), last]
    panel.set_xticks(shown, [place_name(rates[i].place) for i in shown], rotation=90)
    panel.tick_params(axis="x", length=0)
    panel.grid(axis="y", color=PALE, linewidth=0.5)
    if any(line[0] for line in known):
        panel.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            frameon=False,
            borderaxespad=0.1,
            handletextpad=0.2,
            labelspacing=0.15,
            fontsize=SMALL,
            borderpad=0,
            handlelength=1.2,
        )


def _notes(swap: Swap) -> list[str]:
    """Return what a reader must know before trusting the figure."""
    swapped = swap.swapped
    where = f"{swapped.source} {swapped.split}".rstrip()
    right = ", all of which the network has right" if swapped.labelled else ""
    grey = " Grey: not asked." if swap.matrix and not len(swapped.within) else ""
    return [
        f"{swapped.checkpoint}: {len(swapped.across):,} pairs of images of two classes and "
        f"{len(swapped.within):,} of one, of {len(swapped.images)} images of {where}{right}. Lines: 95 % "
        "intervals, pairs that share an image counted as such; log odds for all blocks together. One third "
        f"class: the mean over the other classes that take part, what a disturbance alone gives.{grey}"
    ]
