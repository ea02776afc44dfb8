"""The figure of the SENet paper: mean gate by channel, one line per class, one panel per block."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from seviz.analysis.curves import Curves, check_blocks, choose_curves, means, stds
from seviz.errors import UsageError
from seviz.figures.layout import Layout
from seviz.figures.legend import add_legend
from seviz.figures.style import (
    GREY,
    INK,
    PALE,
    SMALL,
    TEXT,
    Colors,
    class_line,
    curve_styles,
    figure_style,
)
from seviz.results.blocks import GateBlock
from seviz.results.classes import ClassChoice
from seviz.results.record import Record
from seviz.results.stats import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER_CHANNELS = 50
_MARK = "†"
_BELOW = 0.2  # inches from a panel to the name of its axis
_NOTE_CHARACTER = 0.050  # width of a character of the small print, inches


def gate_curves(
    record: Record,
    classes: Sequence[ClassChoice],
    blocks: Sequence[GateBlock],
    *,
    channels: int | Literal["all"] = PAPER_CHANNELS,
    spread: bool = False,
    colors: Colors | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw the mean gate over the channel index, one panel per block and one line per class.

    This is figure 6 of the SENet paper (arXiv 1709.01507v4); with ``spread`` its figure 7. The
    dashed line ``all`` is the mean over every class of the record, drawn or not, each weighing the
    same.

    Args:
        record: Where the numbers come from.
        classes: The classes to draw, in order; may be empty.
        blocks: Blocks of the record, one panel each, in this order.
        channels: How many channels to draw, evenly spaced from the first to the last and placed at
            their true index; ``all`` for every one.
        spread: Add a band of one standard deviation on either side of each class's mean, over the
            images of that class.
        colors: Colours as matplotlib takes them: one for each chosen class, in their order, or by their
            labels; classes that are not named keep the usual ones.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default, which
            belongs to no window and needs no closing.

    Returns:
        The figure; `save_figure` writes it.

    Raises:
        UsageError: If a chosen class has no image in the record, a block is not the record's,
            ``channels`` is neither positive nor ``all``, or a colour is none.

    >>> gate_curves(record, record.classes.choose(["pug"]), record.blocks)  # doctest: +SKIP
    <Figure size 720x402 with 6 Axes>
    """
    from seviz.figures.shown import Figure

    check_blocks(record, blocks)
    curves = choose_curves(record, classes)
    picked = {b.name: sampled_channels(b.channels, channels) for b in blocks}
    centres = {b.name: means(record, b, curves)[:, picked[b.name]] for b in blocks}
    widths = {b.name: stds(record, b, curves)[:, picked[b.name]] for b in blocks} if spread else {}
    painted = _painted(curves.all_names[:-1], colors)
    notes = _notes(record, classes, blocks, Layout(len(blocks)).inner_width)
    with figure_style():
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        layout = _draw_frame(figure, curves, len(blocks), notes, spread, painted)
        panels = _add_panels(figure, layout, blocks)
        for block, panel in zip(blocks, panels, strict=True):
            weight = _weight(len(picked[block.name]), layout.panel[0])
            styles = curve_styles(len(curves.all_names), weight, painted)
            _draw_lines(panel, picked[block.name], centres[block.name], curves, styles)
            if spread:
                _draw_bands(
                    panel, picked[block.name], centres[block.name], widths[block.name], styles
                )
        panels[0].set_ylim(*_limits(centres, widths))
    return figure


def sampled_channels(channels: int, most: int | Literal["all"]) -> npt.NDArray[np.intp]:
    """Return up to ``most`` distinct channel indices, evenly spaced, both ends among them.

    >>> sampled_channels(256, 5).tolist()
    [0, 63, 127, 191, 255]

    Raises:
        UsageError: If ``most`` is neither positive nor ``all``.
    """
    if most == "all":
        return np.arange(channels)
    if isinstance(most, str) or most < 1:
        raise UsageError(f"expected a positive number of channels or 'all', found {most!r}")
    drawn = min(most, channels)
    # Integers, so that no rounding can pick one channel twice or depend on the machine.
    return np.arange(drawn) * (channels - 1) // max(drawn - 1, 1)


def _painted(names: Sequence[str], colors: Colors | None) -> list[Any]:
    """Return a colour for each class: the given one, or the usual one.

    Raises:
        UsageError: If one is no colour, too many are given, or one is of no class that is drawn.
    """
    if colors is None:
        return []
    usual = [class_line(position)["color"] for position in range(len(names))]
    given = colors if isinstance(colors, Mapping) else dict(zip(names, colors, strict=False))
    from matplotlib.colors import is_color_like

    wrong = next((c for c in given.values() if not is_color_like(c)), None)
    if wrong is not None:
        raise UsageError(
            f"expected colours as matplotlib takes them ('#0072B2', 'tab:blue', ...), found {wrong!r}"
        )
    others = [str(name) for name in given if name not in names]
    if others or (not isinstance(colors, Mapping) and len(colors) > len(names)):
        raise UsageError(
            f"expected colours for the classes that are drawn ({', '.join(names)}), found "
            f"{', '.join(others) or f'{len(colors)} colours'}; give one for each, or choose these classes"
        )
    return [given.get(name, own) for name, own in zip(names, usual, strict=True)]


def _limits(centres: dict[str, Floats], widths: dict[str, Floats]) -> tuple[float, float]:
    """Return the vertical range of all panels: 0 to 1 and a little room, more if gates need it."""
    edges = [centres[b][:-1] + sign * w[:-1] for b, w in widths.items() for sign in (-1, 1)]
    drawn = [*centres.values(), *edges]
    lowest = min(float(v.min(initial=0.0)) for v in drawn)
    highest = max(float(v.max(initial=1.0)) for v in drawn)
    room = 0.03 * (highest - lowest)
    return lowest - room, highest + room


def _draw_frame(
    figure: Figure,
    curves: Curves,
    panels: int,
    notes: list[str],
    spread: bool,
    colors: Sequence[Any],
) -> Layout:
    """Draw all that stands outside the panels; return the layout that leaves room for it."""
    layout = Layout(panels, notes=len(notes))
    figure.set_size_inches(layout.width, layout.height)
    legend, tall = add_legend(figure, curves.all_names, layout.inner_width, colors)
    layout = Layout(panels, legend=tall, notes=len(notes))
    figure.set_size_inches(layout.width, layout.height)
    across, up = layout.middle
    left, bottom = layout.label_edges
    legend.set_bbox_to_anchor((across, layout.top_edge), transform=figure.transFigure)
    label = "mean gate ± 1 std within class" if spread else "mean gate"
    figure.supxlabel("channel index", x=across, y=bottom, va="bottom", fontsize=TEXT)
    figure.supylabel(label, x=left, y=up, ha="left", fontsize=TEXT)
    if notes:
        x, y = layout.note_edges
        figure.text(
            x, y, "\n".join(notes), fontsize=SMALL, color=GREY, va="bottom", linespacing=1.15
        )
    return layout


def _weight(points: int, width: float) -> float:
    """Return the width of a line: thinner where points crowd a panel ``width`` inches wide."""
    return float(np.clip(np.sqrt(30 * width / points), 0.3, 1.0))


def _notes(
    record: Record, classes: Sequence[ClassChoice], blocks: Sequence[GateBlock], width: float
) -> list[str]:
    """Return the small print, in lines: what a reader must know before trusting the figure."""
    notes = []
    if record.header.partial:
        notes.append(f"Partial record: interrupted after {record.header.images:,} images.")
    single = [c.name for c in classes if record.count[c.row] == 1]
    if single:
        whose = "Each class has" if len(single) == len(classes) else f"{', '.join(single)}:"
        notes.append(f"{whose} one image: its line is the gates of that image, no mean of a class.")
    notes += [
        f"{_MARK} {kind}: the gate differs from pixel to pixel; its spatial mean is drawn."
        for kind in dict.fromkeys(b.kind for b in blocks if b.mechanism.per_pixel)
    ]
    return [line for note in notes for line in textwrap.wrap(note, int(width / _NOTE_CHARACTER))]


def _add_panels(figure: Figure, layout: Layout, blocks: Sequence[GateBlock]) -> list[Axes]:
    """Add an empty panel for each block, with one shared vertical axis."""
    from matplotlib.ticker import MaxNLocator

    wide, tall = layout.panel
    panels: list[Axes] = []
    for position, block in enumerate(blocks):
        panel = figure.add_axes(layout.box(position), sharey=panels[0] if panels else None)
        # At x = 0 and still the one central title: that is the one `get_title` returns.
        panel.set_title(block.name, x=0, ha="left", color=INK)
        mark = f" {_MARK}" if block.mechanism.per_pixel else ""
        panel.set_title(f"C = {block.channels}{mark}", loc="right", fontsize=SMALL, color=GREY)
        room = max(0.02 * (block.channels - 1), 0.5)
        panel.set_xlim(-room, block.channels - 1 + room)
        panel.xaxis.set_major_locator(
            MaxNLocator(nbins=max(2, int(wide / 0.38)), steps=[1, 2, 5, 10], integer=True)
        )
        panel.grid(axis="y", color=PALE, linewidth=0.5)
        # Places for the names of axes, which there are none of: matplotlib would measure all ticks for them.
        panel.xaxis.set_label_coords(0.5, -_BELOW / tall)
        panel.yaxis.set_label_coords(-_BELOW / wide, 0.5)
        if position % layout.columns:
            panel.tick_params(axis="y", labelleft=False)
        panels.append(panel)
    panels[0].yaxis.set_major_locator(
        MaxNLocator(nbins=6 if tall > 1.1 else 3, steps=[1, 2, 5, 10])
    )
    return panels


def _draw_lines(
    panel: Axes,
    index: npt.NDArray[np.intp],
    centres: Floats,
    curves: Curves,
    styles: Sequence[dict[str, Any]],
) -> None:
    # A single channel has no line to draw.
    marker: dict[str, Any] = {"marker": "o", "markersize": 3} if len(index) == 1 else {}
    for name, centre, style in zip(curves.all_names, centres, styles, strict=True):
        (line,) = panel.plot(index, centre, **style, **marker)
        line.set_label(name)


def _draw_bands(
    panel: Axes,
    index: npt.NDArray[np.intp],
    centres: Floats,
    widths: Floats,
    styles: Sequence[dict[str, Any]],
) -> None:
    for centre, width, style in zip(centres[:-1], widths[:-1], styles[:-1], strict=True):
        panel.fill_between(
            index,
            centre - width,
            centre + width,
            color=style["color"],
            alpha=0.22,
            linewidth=0,
            zorder=2,
        )
