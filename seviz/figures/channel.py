"""One channel: its gate by class, over all images of the sample, and the channels that move with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seviz.analysis.channel import ChannelView, ClassGate
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, TEXT, figure_style
from seviz.figures.text import set_plain, shown_name, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Classes that are drawn: as many at either end.
_MOST = 24
_NAME, _ROW = 1.1, 0.17  # inches
_BINS = 40


def channel_figure(view: ChannelView) -> Figure:
    """Draw the gate of one channel by class, and the channels that move with it.

    Args:
        view: From `seviz.channel`.
    """
    from seviz.figures.shown import Figure

    classes = list(view.classes)
    left_out = len(classes) - 2 * (_MOST // 2)
    if left_out > 0:
        classes = [*classes[: _MOST // 2], *classes[-(_MOST // 2) :]]
    rows = max(len(classes), 8)
    head, foot, above = 0.32, 0.42, 0.55
    tall = head + above + rows * _ROW + foot
    with figure_style():
        figure = Figure(figsize=(PAGE_WIDTH, tall))
        wide = 3.1 if view.companions else PAGE_WIDTH - _NAME - 0.35

        def panel(left: float, bottom: float, across: float, high: float) -> Axes:
            box = (left / PAGE_WIDTH, bottom / tall, across / PAGE_WIDTH, high / tall)
            return figure.add_axes(box)

        main = panel(_NAME + 0.2, foot, wide, rows * _ROW)
        _by_class(main, view, classes)
        if left_out > 0:
            main.axhline(len(classes) / 2 - 0.5, color=GREY, linewidth=0.6, linestyle=(0, (1, 2)))
        top = panel(_NAME + 0.2, foot + rows * _ROW + 0.06, wide, above - 0.12)
        _histogram(top, view, main.get_xlim())
        if view.companions:
            _companions(panel(_NAME + wide + 1.35, foot, 1.2, rows * _ROW), view)
        title = figure.text(0.1 / PAGE_WIDTH, 1 - 0.06 / tall, "", va="top", fontsize=TEXT + 1)
        more = f"; {left_out} classes between are not drawn" if left_out > 0 else ""
        set_plain(title, f"{view.name} over {view.images:,} images of {view.source}{more}")
    return figure


def _by_class(panel: Axes, view: ChannelView, classes: list[ClassGate]) -> None:
    places = np.arange(len(classes))[::-1]
    rng = np.random.default_rng(0)
    for place, one in zip(places, classes, strict=True):
        gates = view.sample.get(one.name, np.zeros(0))
        spread = rng.uniform(-0.3, 0.3, len(gates))
        panel.plot(
            gates, place + spread, ".", color=COLOURS[5], markersize=2, markeredgewidth=0, alpha=0.6
        )
        panel.plot(one.mean.value, place, "o", color=INK, markersize=3, zorder=4)
        if one.mean.low is not None and one.mean.high is not None:
            panel.plot(
                [one.mean.low, one.mean.high], [place, place], color=INK, linewidth=1.1, zorder=3
            )
    panel.axvline(view.mean, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    names = [shown_name(c.name, _NAME, text_width(SMALL)) for c in classes]
    panel.set_yticks(places, names)
    for label in panel.get_yticklabels():
        set_plain(label, label.get_text())
    panel.set_ylim(-0.7, len(classes) - 0.3)
    room = 0.03 * max(view.high - view.low, 0.01)
    panel.set_xlim(view.low - room, view.high + room)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color=PALE, linewidth=0.5)
    panel.set_xlabel("gate: mean of each class with its interval; dots are images of the sample")


def _histogram(panel: Axes, view: ChannelView, limits: tuple[float, float]) -> None:
    every = [g for gates in view.sample.values() for g in gates]
    panel.hist(every, bins=list(np.linspace(*limits, _BINS + 1)), color=COLOURS[5])
    panel.set_xlim(*limits)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)


def _companions(panel: Axes, view: ChannelView) -> None:
    names = [f"{c.block}:{c.channel}" for c in view.companions]
    places = np.arange(len(names))[::-1]
    for place, one in zip(places, view.companions, strict=True):
        r = one.correlation
        assert r.low is not None
        assert r.high is not None
        panel.barh(place, r.value, 0.55, color=COLOURS[0] if r.value > 0 else COLOURS[1])
        panel.plot([r.low, r.high], [place, place], color=INK, linewidth=1.1)
        if one.within is not None:
            panel.plot(one.within, place, "D", color="white", markeredgecolor=INK, markersize=3, zorder=4,
                       markeredgewidth=0.7)  # fmt: skip
    panel.axvline(0, color=INK, linewidth=0.6)
    panel.set_yticks(places, names)
    panel.set_xlim(-1.02, 1.02)
    panel.set_ylim(-0.7, max(len(names), 8) - 0.3)
    panel.tick_params(axis="y", length=0)
    panel.set_title("moves with it", loc="left")
    panel.set_xlabel("correlation; \N{WHITE DIAMOND} within class", fontsize=SMALL)
