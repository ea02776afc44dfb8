"""Gates over a training: a line for each block in each panel, and what the training wrote of itself."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seviz.analysis.class_share import MOVES
from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.tracking import BlockMoment, Track
from seviz.errors import NoSEBlockError
from seviz.figures.layout import PAGE_WIDTH, by_row
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BANDS = 8  # blocks, up to which intervals are drawn as bands
_NAMED = 12  # blocks, up to which each is named in the legend; of more the first, the last, and some between
_ACROSS = 7  # entries of the legend side by side
_STILL = "#A8A8A8"
# In inches.
_LEFT, _RIGHT, _BETWEEN = 0.58, 0.12, 0.62
_PANEL, _GAP, _FOOT, _LINE = 1.2, 0.34, 0.36, 0.13
_NOTE_CHARACTER = 0.050


def track_figure(track: Track) -> Figure:
    """Draw accuracy, the training's own log, and each block's numbers over the epochs, with intervals.

    Args:
        track: From `seviz.track`.

    Returns:
        The figure; `save_figure` writes it.

    Raises:
        NoSEBlockError: If there is no block.
    """
    from seviz.figures.shown import Figure

    check_gates(track)
    panels = _panels(track)
    rows = -(-len(panels) // 2)
    notes = textwrap.wrap(_note(track), int((PAGE_WIDTH - _LEFT - _RIGHT) / _NOTE_CHARACTER))
    colours = _colours(len(track.names))
    legend = _legend_entries(track, colours)
    columns = min(len(legend), _ACROSS)
    legend = by_row(legend, columns)
    head = 0.34 + _LINE * (-(-len(legend) // columns))
    foot = _FOOT + 0.06 + _LINE * len(notes)
    tall = foot + rows * _PANEL + (rows - 1) * _GAP + head
    wide = (PAGE_WIDTH - _LEFT - _RIGHT - _BETWEEN) / 2
    with figure_style():
        figure = Figure(figsize=(PAGE_WIDTH, tall))
        # Down the first column, then down the second.
        for place, (title, draw) in enumerate(panels):
            column, row = divmod(place, rows)
            left = _LEFT + column * (wide + _BETWEEN)
            bottom = foot + (rows - 1 - row) * (_PANEL + _GAP)
            panel = figure.add_axes(
                (left / PAGE_WIDTH, bottom / tall, wide / PAGE_WIDTH, _PANEL / tall)
            )
            panel.set_title(title, loc="left")
            panel.grid(axis="y", color=PALE, linewidth=0.5)
            draw(panel)
            _epoch_axis(panel, track)
            if row == rows - 1 or place == len(panels) - 1:
                panel.set_xlabel("epoch")
        figure.legend(
            *zip(*legend, strict=True),
            loc="upper left",
            bbox_to_anchor=(_LEFT / PAGE_WIDTH, 1 - 0.05 / tall),
            ncols=columns,
            frameon=False,
            fontsize=SMALL,
            handlelength=1.3,
            columnspacing=1.4,
            borderaxespad=0,
            borderpad=0,
        )
        figure.text(
            _LEFT / PAGE_WIDTH,
            0.06 / tall,
            "\n".join(notes),
            fontsize=SMALL,
            color=GREY,
            linespacing=1.15,
        )
    return figure


def check_gates(track: Track) -> None:
    """Refuse what has no gates.

    Raises:
        NoSEBlockError: If there is no block.
    """
    if not track.blocks:
        raise NoSEBlockError(
            "expected gates over training, found none: the network has no SE; give checkpoints of one that "
            "has"
        )


def _panels(track: Track) -> list[tuple[str, Callable[[Axes], None]]]:
    """Return what stands in each panel."""
    found: list[tuple[str, Callable[[Axes], None]]] = []
    log = track.log
    if log is not None and log.losses:
        found.append(("loss, of the log", lambda panel: _draw_log(panel, log.losses, log.epochs)))
    if any(share is not None for share in track.top1):
        found.append(("top-1", lambda panel: _draw_top1(panel, track)))
    found.append(
        ("spread over images", lambda panel: _draw_blocks(panel, track, lambda b: b.spread))
    )
    if any(b.class_share is not None for b in track.blocks):
        found.append(("class share", lambda panel: _draw_share(panel, track)))
    found.append(
        (
            "share of variance between channels",
            lambda panel: _draw_blocks(panel, track, lambda b: b.between_channels),
        )
    )
    found.append(
        (
            "saturated gates, %",
            lambda panel: _draw_blocks(panel, track, lambda b: b.saturated.mapped(100, 0), 5),
        )
    )
    if any(b.dead is not None for b in track.blocks):
        found.append(
            (
                "dead channels, %",
                lambda panel: _draw_blocks(
                    panel, track, lambda b: b.dead and b.dead.mapped(100 / b.channels, 0)
                ),
            )
        )
    return found


def _colours(count: int) -> list[str]:
    """Return a colour for each block, from the first to the last: light to dark, told apart in grey too."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    places = np.linspace(0.88, 0.05, count) if count > 1 else np.array([0.4])
    return [to_hex(colour) for colour in colormaps["viridis"](places)]


def _legend_entries(track: Track, colours: Sequence[str]) -> list[tuple[object, str]]:
    from matplotlib.lines import Line2D

    names = track.names
    places = range(len(names))
    if len(names) > _NAMED:
        places = sorted({round(p) for p in np.linspace(0, len(names) - 1, _NAMED)})  # type: ignore[assignment]
    found: list[tuple[object, str]] = [
        (Line2D([], [], color=colours[p], linewidth=1.6), names[p]) for p in places
    ]
    if any(not b.moves and b.class_share is not None for b in track.blocks):
        still = Line2D([], [], color=_STILL, marker="o", markersize=2.4, linestyle="none")
        found.append((still, "hardly moves"))
    return found


def _draw_log(panel: Axes, columns: dict[str, tuple[float, ...]], epochs: Sequence[float]) -> None:
    """Draw columns of the training's own log."""
    for number, (name, values) in enumerate(columns.items()):
        known = np.isfinite(values)
        panel.plot(
            np.array(epochs)[known],
            np.array(values)[known],
            color=COLOURS[number % len(COLOURS)],
            linewidth=1.1,
            linestyle=("solid", (0, (4, 1.5)))[number // len(COLOURS) % 2],
            label=name,
            zorder=3.5,
        )
    panel.legend(frameon=False, fontsize=SMALL, handlelength=1.3, borderpad=0, labelspacing=0.2)


def _draw_top1(panel: Axes, track: Track) -> None:
    shares = [Estimate(s.value, s.low, s.high) if s is not None else None for s in track.top1]
    _line(panel, track.epochs, shares, INK, band=True, label="of these images")
    log = track.log
    if log is not None and log.accuracies:
        _draw_log(panel, log.accuracies, log.epochs)
    panel.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")


def _draw_blocks(
    panel: Axes,
    track: Track,
    get: Callable[[BlockMoment], Estimate | None],
    least: float = 1e-3,
) -> None:
    """Draw a number of each block; the axis reaches from 0 to ``least``, or further."""
    names = track.names
    for name, colour in zip(names, _colours(len(names)), strict=True):
        values = [get(moment) for moment in track.of(name)]
        _line(panel, track.epochs, values, colour, band=len(names) <= _BANDS)
    low, high = panel.get_ylim()
    panel.set_ylim(min(0, max(low, -0.02 * high)), max(high, least))


def _draw_share(panel: Axes, track: Track) -> None:
    names = track.names
    for name, colour in zip(names, _colours(len(names)), strict=True):
        moments = track.of(name)
        moving = [m.class_share if m.moves else None for m in moments]
        _line(panel, track.epochs, moving, colour, band=len(names) <= _BANDS)
        still = [(m.epoch, m.class_share.value) for m in moments if m.class_share and not m.moves]
        if still:
            panel.plot(*zip(*still, strict=True), "o", color=_STILL, markersize=2.4, zorder=2)
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
) -> None:
    """Draw a number over the epochs, with its interval; broken where there is none."""

    def of(key: str) -> npt.NDArray[np.float64]:
        found = [None if v is None else getattr(v, key) for v in values]
        return np.array([np.nan if v is None else v for v in found], np.float64)

    few = len(epochs) <= 30
    panel.plot(
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


def _epoch_axis(panel: Axes, track: Track) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [*track.epochs, *(track.log.epochs if track.log is not None else ())]
    low, high = min(epochs), max(epochs)
    margin = max(0.03 * (high - low), 0.3)
    panel.set_xlim(low - margin, high + margin)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


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
            "Between channels: 1 where every image has the same gates. Saturated: above 0.95 or below 0.05. "
            "Dead: standard deviation over images below 0.01.",
        ]
    )
