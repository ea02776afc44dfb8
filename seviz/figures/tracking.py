"""Gates over a training: a line for each block in each panel, and what the training wrote of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seviz.analysis.class_share import MOVES
from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.tracking import BlockMoment, Track
from seviz.errors import NoSEBlockError, UsageError
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.legend import add_entries, name_lines
from seviz.figures.letters import letter_titles, letter_width
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import (
    INK,
    PALE,
    SMALL,
    STILL,
    TEXT,
    class_colours,
    figure_style,
    ordered_colours,
)
from seviz.figures.text import add_notes, fitting, inches, shown_name, text_width, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_CONSTANT = "share of variance between channels"
_SHORT = {_CONSTANT: "variance between channels"}
_BANDS = 8  # blocks, up to which intervals are drawn as bands
_NAMED = 12  # blocks, up to which each is named in the legend; of more the first, the last, and some between
_LOGGED = 6  # columns of a log, up to which they are drawn; the table has all
_SHADES = "plasma"  # of many hues where it is dark enough for lines on white
# In inches.
_LEFT, _RIGHT, _BETWEEN = 0.58, 0.12, 0.62
_PANEL, _GAP, _FOOT, _LINE = 1.2, 0.34, 0.36, 0.13
_HEAD = 0.3  # title of the upper panels
_TWO = 4.6  # from which width on panels stand side by side


def track_figure(
    track: Track,
    *,
    look: Look = PLAIN,
    figure: Figure | None = None,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draw accuracy, the training's own log, and each block's numbers over the epochs, with intervals.

    Args:
        track: From `seviz.track`.
        look: Width, font, palette, letters.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.
        axes: Panels of your own, one for each of `track_panels`, in place of a figure: they keep their size;
            a legend is yours to add, and small print is in `caption`.

    Returns:
        The figure; `save_figure` writes it.

    Raises:
        NoSEBlockError: If there is no block.
        UsageError: If there are more or fewer panels of your own than there are to draw.
    """
    check_gates(track)
    with figure_style(look):
        drawn = _panels(track, look)
        if axes is not None and len(axes) != len(drawn):
            raise UsageError(
                f"expected a panel for each of {', '.join(track_panels(track))}, found {len(axes)}; give "
                f"{len(drawn)}"
            )
        if axes is None:
            made, panels = _frame(track, len(drawn), look, figure)
        else:
            made, panels = axes[0].get_figure(root=True), list(axes)  # type: ignore[assignment]
        for (title, draw), panel in zip(drawn, panels, strict=True):
            room = inches(panel)[0] + 0.1 - look.letters * letter_width(len(panels), TEXT)
            said = fitting((title, _SHORT.get(title, title)), room, text_width(TEXT))
            panel.set_title(said, loc="left")
            panel.grid(axis="y", color=PALE, linewidth=0.5)
            draw(panel)
            _epoch_axis(panel, track)
        if look.letters:
            letter_titles(panels)
        set_caption(made, _note(track))
    return made


def track_panels(track: Track) -> tuple[str, ...]:
    """Return the titles of the panels of `track_figure`, in their order."""
    return tuple(title for title, _ in _panels(track, PLAIN))


def _frame(
    track: Track, count: int, look: Look, figure: Figure | None
) -> tuple[Figure, list[Axes]]:
    """Return a figure with its legend and its small print, and its panels, still empty."""
    from seviz.figures.shown import Figure

    width = look.width or PAGE_WIDTH
    columns = 2 if width >= _TWO else 1
    rows = -(-count // columns)
    notes = wrapped([_note(track)], width - 0.2)
    made = figure or Figure()
    made.clear()
    made.set_layout_engine("none")
    made.set_size_inches(width, 4)  # a first size, to measure the legend on
    entries = _entries(track, look)
    legend, head = add_entries(
        made, [name for name, _ in entries], [style for _, style in entries], width - 0.2
    )
    foot = _FOOT + 0.06 + _LINE * len(notes)
    tall = foot + rows * _PANEL + (rows - 1) * _GAP + head + _HEAD
    made.set_size_inches(width, tall)
    legend.set_bbox_to_anchor((0.5, 1 - 0.05 / tall), made.transFigure)
    wide = (width - _LEFT - _RIGHT - (columns - 1) * _BETWEEN) / columns
    panels = []
    for place in range(count):  # down the first column, then down the second
        column, row = divmod(place, rows)
        left = _LEFT + column * (wide + _BETWEEN)
        bottom = foot + (rows - 1 - row) * (_PANEL + _GAP)
        panels.append(made.add_axes((left / width, bottom / tall, wide / width, _PANEL / tall)))
        if row == rows - 1 or place == count - 1:
            panels[-1].set_xlabel("epoch")
    add_notes(made, notes)
    return made, panels


def check_gates(track: Track) -> None:
    """Refuse what has no gates.

    Raises:
        NoSEBlockError: If there is no block.
    """
    if not track.blocks:
        raise NoSEBlockError(
            f"expected gates over training, found none: {track.moments[0].record().without_gates}; give "
            "checkpoints of a network that has them"
        )


def _panels(track: Track, look: Look) -> list[tuple[str, Callable[[Axes], None]]]:
    """Return what stands in each panel."""
    found: list[tuple[str, Callable[[Axes], None]]] = []
    log = track.log
    if log is not None and log.losses:
        found.append(
            ("loss, of the log", lambda panel: _draw_log(panel, log.losses, log.epochs, look))
        )
    if any(share is not None for share in track.top1):
        found.append(("top-1", lambda panel: _draw_top1(panel, track, look)))
    found.append(
        ("spread over images", lambda panel: _draw_blocks(panel, track, lambda b: b.spread, look))
    )
    if any(b.class_share is not None for b in track.blocks):
        found.append(("class share", lambda panel: _draw_share(panel, track, look)))
    found.append(
        (
            _CONSTANT,
            lambda panel: _draw_blocks(panel, track, lambda b: b.between_channels, look),
        )
    )
    found.append(
        (
            "saturated gates, %",
            lambda panel: _draw_blocks(panel, track, lambda b: b.saturated.mapped(100, 0), look, 5),
        )
    )
    if any(b.dead is not None for b in track.blocks):
        found.append(
            (
                "dead channels, %",
                lambda panel: _draw_blocks(
                    panel, track, lambda b: b.dead and b.dead.mapped(100 / b.channels, 0), look
                ),
            )
        )
    return found


def _colours(count: int, look: Look) -> list[str]:
    """Return a colour for each block, from the first to the last: light to dark, told apart in grey too."""
    from matplotlib.colors import to_hex

    chosen = look if look.palette is not None else replace(look, palette=_SHADES)
    return [to_hex(colour) for colour in ordered_colours(count, chosen)]


def _entries(track: Track, look: Look) -> list[tuple[str, dict[str, Any]]]:
    """Return what the legend names, and how that looks."""
    names = track.names
    colours = _colours(len(names), look)
    places: Sequence[int] = range(len(names))
    if len(names) > _NAMED:
        places = sorted({round(p) for p in np.linspace(0, len(names) - 1, _NAMED)})
    found: list[tuple[str, dict[str, Any]]] = [
        (names[p], {"color": colours[p], "linewidth": 1.6}) for p in places
    ]
    if any(not b.moves and b.class_share is not None for b in track.blocks):
        still = {"color": STILL, "marker": "o", "markersize": 2.4, "linestyle": "none"}
        found.append(("hardly moves", still))
    return found


def _draw_log(
    panel: Axes,
    columns: dict[str, tuple[float, ...]],
    epochs: Sequence[float],
    look: Look,
    others: Sequence[tuple[Line2D, str]] = (),
) -> None:
    """Draw columns of the training's own log, and name them beside ``others`` that are drawn already."""
    colours, entries = class_colours(look), list(others)
    room, measure = 0.45 * inches(panel)[0], text_width(SMALL)
    for number, (name, values) in enumerate(list(columns.items())[:_LOGGED]):
        known = np.isfinite(values)
        (line,) = panel.plot(
            np.array(epochs)[known],
            np.array(values)[known],
            color=colours[number % len(colours)],
            linewidth=1.1,
            linestyle=("solid", (0, (4, 1.5)))[number // len(colours) % 2],
            label=name,
            zorder=3.5,
        )
        entries.append((line, shown_name(name, room, measure)))
    name_lines(
        panel,
        entries,
        loc="best",
        frameon=False,
        fontsize=SMALL,
        handlelength=1.3,
        borderpad=0,
        labelspacing=0.2,
    )


def _draw_top1(panel: Axes, track: Track, look: Look) -> None:
    shares = [Estimate(s.value, s.low, s.high) if s is not None else None for s in track.top1]
    name = "of these images"
    line = _line(panel, track.epochs, shares, INK, band=True, label=name)
    log = track.log
    if log is not None and log.accuracies:
        _draw_log(panel, log.accuracies, log.epochs, look, [(line, name)])
    panel.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")


def _draw_blocks(
    panel: Axes,
    track: Track,
    get: Callable[[BlockMoment], Estimate | None],
    look: Look,
    least: float = 1e-3,
) -> None:
    """Draw a number of each block; the axis reaches from 0 to ``least``, or further."""
    names = track.names
    for name, colour in zip(names, _colours(len(names), look), strict=True):
        values = [get(moment) for moment in track.of(name)]
        _line(panel, track.epochs, values, colour, band=len(names) <= _BANDS)
    low, high = panel.get_ylim()
    panel.set_ylim(min(0, max(low, -0.02 * high)), max(high, least))


def _draw_share(panel: Axes, track: Track, look: Look) -> None:
    names = track.names
    for name, colour in zip(names, _colours(len(names), look), strict=True):
        moments = track.of(name)
        moving = [m.class_share if m.moves else None for m in moments]
        _line(panel, track.epochs, moving, colour, band=len(names) <= _BANDS)
        still = [(m.epoch, m.class_share.value) for m in moments if m.class_share and not m.moves]
        if still:
            panel.plot(*zip(*still, strict=True), "o", color=STILL, markersize=2.4, zorder=2)
    shuffled = next((b.shuffled for b in track.blocks if b.shuffled is not None), None)
    if shuffled is not None:
        panel.axhline(shuffled, color=INK, linewidth=0.8, linestyle=(0, (3, 2.2)))
    panel.set_ylim(0, 1.02)


def _line(
    panel: Axes,
    epochs: Sequence[int],
    values: Sequence[Estimate | None],
    colour: str,
    *,
    band: bool,
    label: str | None = None,
) -> Line2D:
    """Draw a number over the epochs, with its interval; broken where there is none."""

    def of(key: str) -> npt.NDArray[np.float64]:
        found = [None if v is None else getattr(v, key) for v in values]
        return np.array([np.nan if v is None else v for v in found], np.float64)

    few = len(epochs) <= 30
    (line,) = panel.plot(
        epochs,
        of("value"),
        color=colour,
        linewidth=1.1,
        marker="o" if few else None,
        markersize=2.4,
        label=label,
        zorder=3,
    )
    low, high = of("low"), of("high")
    if band and np.isfinite(low).any():
        if len(epochs) > 1:
            panel.fill_between(epochs, low, high, color=colour, alpha=0.16, linewidth=0, zorder=1)
        else:
            panel.vlines(epochs, low, high, color=colour, linewidth=1.1)
    return line


def _epoch_axis(panel: Axes, track: Track) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [*track.epochs, *(track.log.epochs if track.log is not None else ())]
    low, high = min(epochs), max(epochs)
    margin = max(0.03 * (high - low), 0.3)
    panel.set_xlim(low - margin, high + margin)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _left_out(track: Track) -> str:
    """Say of how many columns of the log there is no line."""
    log = track.log
    columns = (log.losses, log.accuracies) if log is not None else ()
    left = sum(max(0, len(found) - _LOGGED) for found in columns)
    return f"{left} more columns of the log are in the table." if left else ""


def _note(track: Track) -> str:
    many = len(track.names) > _BANDS
    return " ".join(
        [
            f"{track.images:,} images at each of {len(track.moments)} epochs.",
            "95 % intervals are in the table." if many else "Bands: 95 % intervals.",
            "Class share: of gate variance explained by class; dashed: under shuffled labels; grey: the "
            f"block hardly moves (spread below {MOVES}), and its share means nothing."
            if any(b.class_share is not None for b in track.blocks)
            else "",
            _left_out(track),
            "Between channels: 1 where every image has the same gates. Saturated: above 0.95 or below 0.05. "
            "Dead: standard deviation over images below 0.01.",
        ]
    )
