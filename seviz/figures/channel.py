"""One channel: its gate by class, over all images of the sample, and the channels that move with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seviz.analysis.channel import ChannelView, ClassGate, Companion
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.letters import letter_titles
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import GREY, INK, PALE, SMALL, TEXT, class_colours, figure_style
from seviz.figures.text import fitting, inches, set_plain, shown_name, text_width, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Classes that are drawn: as many at either end.
_MOST = 24
_NAME, _ROW, _OTHERS = 1.1, 0.17, 1.2  # inches
_BESIDE = 5.5  # from which width on companions stand beside the classes, and not below
_BINS = 40


def channel_figure(
    view: ChannelView, *, look: Look = PLAIN, figure: Figure | None = None, ax: Axes | None = None
) -> Figure:
    """Draw the gate of one channel by class, and the channels that move with it.

    Args:
        view: From `seviz.channel`.
        look: Width, font, palette, names of classes, letters.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.
        ax: A panel of your own for the gates by class alone, in place of a figure.
    """
    classes, left_out = _drawn(view)
    with figure_style(look):
        if ax is not None:
            made: Figure = ax.get_figure(root=True)  # type: ignore[assignment]
            _by_class(ax, view, classes, inches(ax)[0] / 2, left_out, look)
        else:
            made = _whole(view, classes, left_out, look, figure)
    set_caption(made, *_caption(view, left_out))
    return made


def _drawn(view: ChannelView) -> tuple[list[ClassGate], int]:
    """Return the classes that are drawn, and how many between them are not."""
    classes = list(view.classes)
    left_out = max(0, len(classes) - 2 * (_MOST // 2))
    if left_out:
        classes = [*classes[: _MOST // 2], *classes[-(_MOST // 2) :]]
    return classes, left_out


def _caption(view: ChannelView, left_out: int) -> list[str]:
    return [
        f"{view.name} over {view.images:,} images of {view.source}.",
        "Gate: mean of each class with its interval; dots are images of the sample."
        + (f" {left_out} classes between are not drawn." if left_out else ""),
        "Channels that move with it: correlation over images; diamonds: within classes."
        if view.companions
        else "",
    ]


def _whole(
    view: ChannelView,
    classes: list[ClassGate],
    left_out: int,
    look: Look,
    figure: Figure | None,
) -> Figure:
    """Draw classes with the histogram above, and beside them, or below, what moves with the channel."""
    from seviz.figures.shown import Figure

    width = look.width or PAGE_WIDTH
    measure = text_width(SMALL)
    beside = width >= _BESIDE
    name = min(_NAME, max(measure(look.named(c.name)) for c in classes), 0.35 * width) + 0.05
    rows = max(len(classes), 8)
    more = f"; {left_out} classes between are not drawn" if left_out else ""
    source = f"{view.name} over {view.images:,} images of {view.source}{more}"
    title = wrapped([source], width - 0.2, TEXT + 1)
    head, foot, above = 0.17 + 0.15 * len(title), 0.42, 0.55
    below = 0.0
    if view.companions and not beside:
        below = max(len(view.companions), 4) * _ROW + 0.75
    tall = head + above + rows * _ROW + foot + below
    made = figure or Figure()
    made.clear()
    made.set_layout_engine("none")
    made.set_size_inches(width, tall)

    def panel(left: float, bottom: float, across: float, high: float) -> Axes:
        return made.add_axes((left / width, bottom / tall, across / width, high / tall))

    left = name + 0.2
    others = max((measure(_short(c)) for c in view.companions), default=0.0) + 0.12
    wide = width - left - 0.15
    if view.companions and beside:
        wide -= _OTHERS + others + 0.2
    bottom = foot + below
    main = panel(left, bottom, wide, rows * _ROW)
    _by_class(main, view, classes, name, left_out, look)
    top = panel(left, bottom + rows * _ROW + 0.06, wide, above - 0.12)
    _histogram(top, view, main.get_xlim(), look)
    if view.companions:
        place = (left + wide + 0.2 + others, foot, _OTHERS, rows * _ROW)
        if not beside:
            place = (
                max(left, others + 0.1),
                foot,
                width - max(left, others + 0.1) - 0.15,
                below - 0.75,
            )
        _companions(panel(*place), view, look)
    if look.letters:
        letter_titles([top, *made.axes[2:]])
    text = made.text(
        0.1 / width, 1 - 0.06 / tall, "", va="top", fontsize=TEXT + 1, linespacing=1.15
    )
    set_plain(text, "\n".join(title))
    return made


def _short(one: Companion) -> str:
    return f"{one.block}:{one.channel}"


def _by_class(
    panel: Axes, view: ChannelView, classes: list[ClassGate], room: float, left_out: int, look: Look
) -> None:
    """Draw the gate by class; ``room`` is that of a name, in inches."""
    dots = class_colours(look)[-1]
    places = np.arange(len(classes))[::-1]
    rng = np.random.default_rng(0)
    for place, one in zip(places, classes, strict=True):
        gates = view.sample.get(one.name, np.zeros(0))
        spread = rng.uniform(-0.3, 0.3, len(gates))
        panel.plot(
            gates, place + spread, ".", color=dots, markersize=2, markeredgewidth=0, alpha=0.6
        )
        panel.plot(one.mean.value, place, "o", color=INK, markersize=3, zorder=4)
        if one.mean.low is not None and one.mean.high is not None:
            panel.plot(
                [one.mean.low, one.mean.high], [place, place], color=INK, linewidth=1.1, zorder=3
            )
    panel.axvline(view.mean, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    names = [shown_name(look.named(c.name), room, text_width(SMALL)) for c in classes]
    panel.set_yticks(places, names)
    for label in panel.get_yticklabels():
        set_plain(label, label.get_text())
    panel.set_ylim(-0.7, len(classes) - 0.3)
    margin = 0.03 * max(view.high - view.low, 0.01)
    panel.set_xlim(view.low - margin, view.high + margin)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color=PALE, linewidth=0.5)
    said = (
        "gate: mean of each class with its interval; dots are images of the sample",
        "gate: class means with intervals; dots: images",
        "gate; dots: images",
    )
    panel.set_xlabel(fitting(said, inches(panel)[0] + 0.25, text_width(TEXT)))
    if left_out:
        panel.axhline(len(classes) / 2 - 0.5, color=GREY, linewidth=0.6, linestyle=(0, (1, 2)))


def _histogram(panel: Axes, view: ChannelView, limits: tuple[float, float], look: Look) -> None:
    every = [g for gates in view.sample.values() for g in gates]
    panel.hist(every, bins=list(np.linspace(*limits, _BINS + 1)), color=class_colours(look)[-1])
    panel.set_xlim(*limits)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)


def _companions(panel: Axes, view: ChannelView, look: Look) -> None:
    names = [_short(c) for c in view.companions]
    with_it, against = (class_colours(look) * 2)[:2]
    places = np.arange(len(names))[::-1]
    for place, one in zip(places, view.companions, strict=True):
        r = one.correlation
        assert r.low is not None
        assert r.high is not None
        panel.barh(place, r.value, 0.55, color=with_it if r.value > 0 else against)
        panel.plot([r.low, r.high], [place, place], color=INK, linewidth=1.1)
        if one.within is not None:
            panel.plot(one.within, place, "D", color="white", markeredgecolor=INK, markersize=3, zorder=4,
                       markeredgewidth=0.7)  # fmt: skip
    panel.axvline(0, color=INK, linewidth=0.6)
    panel.set_yticks(places, names)
    panel.set_xlim(-1.02, 1.02)
    panel.set_ylim(-0.7, inches(panel)[1] / _ROW - 0.7)
    panel.tick_params(axis="y", length=0)
    panel.set_title("moves with it", loc="left")
    said = ("correlation; \N{WHITE DIAMOND} within class", "correlation")
    panel.set_xlabel(fitting(said, inches(panel)[0] + 0.25, text_width(SMALL)), fontsize=SMALL)
