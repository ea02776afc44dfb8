"""Drift of the gates by block: a panel for each corruption, a line and a band of chance for each severity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seviz.analysis.shift import Shift, WorldShift
from seviz.errors import UsageError
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH, columns_in
from seviz.figures.legend import add_entries
from seviz.figures.letters import letter_titles, letter_width
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import (
    GREY,
    INK,
    MARKERS,
    PALE,
    SMALL,
    TEXT,
    figure_style,
    ordered_colours,
)
from seviz.figures.text import (
    add_notes,
    inches,
    set_plain,
    shown_name,
    text_width,
    thinned,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In inches.
_LEFT, _RIGHT, _ACROSS = 0.52, 0.1, 0.16
_PANEL, _GAP, _FOOT, _HEAD, _LINE = 1.75, 0.5, 0.32, 0.3, 0.13
_NAMES = 0.12  # between two names side by side
_DOTS = (0, (1, 1.6))
_LEAST = 1e-3  # of a drift, below which the axis is linear

_Styles = dict[int | None, tuple[Any, str]]


def shift_figure(
    shift: Shift,
    *,
    look: Look = PLAIN,
    figure: Figure | None = None,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draw how far the gates of each block move, from the first block to the last.

    Args:
        shift: From `seviz.shift`.
        look: Width, font, palette, letters; new names are of corruptions.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.
        axes: Panels of your own, one for each of ``shift.kinds``, in place of a figure: they keep their
            size; a legend is yours to add (``axes[0].legend()``), and small print is in `caption`.

    Returns:
        The figure; `save_figure` writes it.

    Raises:
        UsageError: If there are more or fewer panels of your own than kinds of other images.
    """
    kinds, sentence = shift.kinds, _note(shift)
    with figure_style(look):
        if axes is None:
            made, panels = _frame(shift, look, sentence, figure)
        else:
            panels, made = _own(axes, len(kinds)), axes[0].get_figure(root=True)  # type: ignore[assignment]
        bounds, styles = _bounds(shift), _styles(shift, look)
        for kind, panel in zip(kinds, panels, strict=True):
            room = inches(panel)[0] - look.letters * letter_width(len(panels), TEXT)
            said = shown_name(look.named(kind), room, text_width(TEXT))
            set_plain(panel.set_title("", loc="left"), said)
            _draw(panel, shift.of(kind), bounds, styles)
        if look.letters:
            letter_titles(panels)
        set_caption(made, sentence, *(f"{first}." for first in shift.first))
    return made


def _own(axes: Sequence[Axes], kinds: int) -> list[Axes]:
    if len(axes) != kinds:
        raise UsageError(
            f"expected a panel for each of {kinds} kinds of images, found {len(axes)}; give as many"
        )
    for panel in axes:
        panel.set_ylabel("drift, variances")
    return list(axes)


def _frame(
    shift: Shift, look: Look, sentence: str, figure: Figure | None
) -> tuple[Figure, list[Axes]]:
    """Return a figure with its legend and its small print, and its panels, still empty."""
    from seviz.figures.shown import Figure

    kinds, width = shift.kinds, look.width or PAGE_WIDTH
    available = width - _LEFT - _RIGHT
    columns = columns_in(len(kinds), available, _ACROSS)
    rows = -(-len(kinds) // columns)
    wide = (available - (columns - 1) * _ACROSS) / columns
    names = [b.block for b in shift.worlds[0].measured]
    below = _names_room(names) if _upright(names, wide) else 0.0
    notes = wrapped([sentence], width - 0.2)
    foot, gap = _FOOT + below + _LINE * len(notes), _GAP + below
    made = figure or Figure()
    made.clear()
    made.set_layout_engine("none")
    made.set_size_inches(width, 4)  # a first size, to measure the legend on
    entries = _entries(shift, look)
    legend, head = add_entries(
        made, [name for name, _ in entries], [style for _, style in entries], width - 0.2
    )
    tall = foot + rows * _PANEL + (rows - 1) * gap + head + _HEAD
    made.set_size_inches(width, tall)
    legend.set_bbox_to_anchor((0.5, 1 - 0.05 / tall), made.transFigure)
    panels = []
    for place in range(len(kinds)):
        row, column = divmod(place, columns)
        left = _LEFT + column * (wide + _ACROSS)
        bottom = foot + (rows - 1 - row) * (_PANEL + gap)
        panel = made.add_axes((left / width, bottom / tall, wide / width, _PANEL / tall))
        if column:
            panel.tick_params(labelleft=False)
        else:
            panel.set_ylabel("drift, variances")
        panels.append(panel)
    add_notes(made, notes)
    return made, panels


def _names_room(names: Sequence[str]) -> float:
    """Return how far names that stand upright reach below those that lie, in inches."""
    return max(map(text_width(SMALL), names)) - SMALL / 72


def _upright(names: Sequence[str], wide: float) -> bool:
    """Return whether the names have no room side by side below a panel."""
    measure = text_width(SMALL)
    return wide / len(names) < max(map(measure, names)) + _NAMES


def _bounds(shift: Shift) -> tuple[float, float]:
    """Return up to where the axis is linear, and where it ends: the same in all panels."""
    drifts = [b.drift for world in shift.worlds for b in world.measured]
    linear = max(min((d.band for d in drifts), default=0.0), _LEAST)
    return linear, max(1.6 * max((d.value for d in drifts), default=0.0), 3 * linear)


def _draw(
    panel: Axes, worlds: tuple[WorldShift, ...], bounds: tuple[float, float], styles: _Styles
) -> None:
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
        colour, marker = styles[world.severity if world.corruption else None]
        panel.plot(edges, band, color=colour, linewidth=0.9, linestyle=_DOTS, zorder=2)
        values = [max(b.drift.value, -linear) for b in own]
        panel.plot(
            places[:blocks],
            values[:blocks],
            color=colour,
            linewidth=1.1,
            zorder=3,
            label=_called(world),
        )
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
    _name(panel, names, blocks)


def _name(panel: Axes, names: Sequence[str], blocks: int) -> None:
    """Name blocks, and the features after them: as many as have room, upright where they lie too close."""
    places, wide = range(len(names)), inches(panel)[0]
    upright = _upright(names, wide)
    step = thinned(len(names), wide) if upright else 1
    shown = [*places[:blocks:step], *places[blocks:]]
    if blocks < len(names) and len(shown) > 2 and shown[-1] - shown[-2] < step:
        del shown[-2]
    panel.set_xticks(shown, [names[p] for p in shown], rotation=90 if upright else 0)
    panel.set_xlim(-0.5, len(names) - 0.5)


def _styles(shift: Shift, look: Look) -> _Styles:
    """Return colour and marker of each severity, the same in every panel; ``None`` is for other images."""
    severities = sorted({w.severity for w in shift.worlds if w.corruption})
    colours = ordered_colours(len(severities), look)
    found: _Styles = {
        severity: (colour, MARKERS[i % len(MARKERS)])
        for i, (severity, colour) in enumerate(zip(severities, colours, strict=True))
    }
    return {**found, None: (INK, MARKERS[0])}


def _called(world: WorldShift) -> str:
    return f"severity {world.severity}" if world.corruption else "drift"


def _entries(shift: Shift, look: Look) -> list[tuple[str, dict[str, Any]]]:
    """Return what the legend names, and how that looks."""
    found: list[tuple[str, dict[str, Any]]] = [
        (
            f"severity {severity}",
            {"color": colour, "marker": marker, "markersize": 3.2, "linewidth": 1.1},
        )
        for severity, (colour, marker) in _styles(shift, look).items()
        if severity is not None
    ]
    hollow = {"color": GREY, "marker": "o", "markersize": 3.2, "markerfacecolor": "white"}
    return [
        *found,
        ("chance, 95 %", {"color": GREY, "linewidth": 0.9, "linestyle": _DOTS}),
        ("chance explains it", {**hollow, "linestyle": "none"}),
    ]


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
