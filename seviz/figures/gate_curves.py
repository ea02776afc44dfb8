"""The figure of the SENet paper: mean gate by channel, one line per class, one panel per block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from seviz.analysis.curves import Curves, check_blocks, choose_curves, means, stds
from seviz.errors import UsageError
from seviz.figures.captions import set_caption
from seviz.figures.layout import Layout
from seviz.figures.legend import add_legend, follow
from seviz.figures.letters import letter_panels, letter_width
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import (
    GREY,
    INK,
    MARKER_SIZE,
    PALE,
    SMALL,
    TEXT,
    Colors,
    class_line,
    curve_styles,
    figure_style,
)
from seviz.figures.text import inches, set_plain, text_width, wrapped
from seviz.results.blocks import GateBlock
from seviz.results.classes import ClassChoice
from seviz.results.record import Record
from seviz.results.stats import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

PAPER_CHANNELS = 50
MEASURE = "mean gate"
_MARKED = 6  # markers of each line in a panel
_MARK = "†"
_BELOW = 0.2  # inches from a panel to the name of its axis


def gate_curves(
    record: Record,
    classes: Sequence[ClassChoice],
    blocks: Sequence[GateBlock],
    *,
    channels: int | Literal["all"] = PAPER_CHANNELS,
    spread: bool = False,
    colors: Colors | None = None,
    look: Look = PLAIN,
    figure: Figure | None = None,
    axes: Sequence[Axes] | None = None,
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
        look: Width, font, palette, names, the vertical axis.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default, which
            belongs to no window and needs no closing.
        axes: Panels of your own to draw on, one for each block, in place of a figure: they keep their
            size; a legend is yours to add (``axes[0].legend()``), and small print is in `caption`.

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
    with figure_style(look):
        painted = _painted(curves.all_names[:-1], colors, look)
        notes = _notes(record, classes, blocks, picked)
        if axes is not None:
            figure, panels = _own_panels(axes, blocks), list(axes)
            wide = min(inches(p)[0] for p in panels)
            legend = None
        else:
            figure = figure or Figure()
            figure.clear()
            figure.set_layout_engine("none")
            layout, legend = _draw_frame(figure, curves, len(blocks), notes, spread, painted, look)
            panels, wide = _add_panels(figure, layout, blocks, look), layout.panel[0]
        for block, panel in zip(blocks, panels, strict=True):
            weight = _weight(len(picked[block.name]), wide)
            styles = curve_styles(len(curves.all_names), weight, painted, look)
            lines = _draw_lines(
                panel, picked[block.name], centres[block.name], curves, styles, look
            )
            if legend is not None and panel is panels[0]:
                follow(figure, legend, lines)
            if spread:
                _draw_bands(
                    panel, picked[block.name], centres[block.name], widths[block.name], styles
                )
        _set_limits(panels, blocks, centres, widths, look)
    set_caption(figure, *_caption(record, curves, blocks, spread, look), *notes)
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


def _own_panels(axes: Sequence[Axes], blocks: Sequence[GateBlock]) -> Any:
    """Prepare panels of the user's own, and return their figure."""
    if len(axes) != len(blocks):
        raise UsageError(
            f"expected a panel for each of {len(blocks)} blocks, found {len(axes)}; name as many blocks"
        )
    for panel, block in zip(axes, blocks, strict=True):
        panel.set_title(block.name, loc="left")
        panel.set_xlabel("channel index")
    axes[0].set_ylabel(MEASURE)
    return axes[0].figure


def _painted(names: Sequence[str], colors: Colors | None, look: Look) -> list[Any]:
    """Return a colour for each class: the given one, or the usual one.

    Raises:
        UsageError: If one is no colour, too many are given, or one is of no class that is drawn.
    """
    if colors is None:
        return []
    usual = [class_line(position, look)["color"] for position in range(len(names))]
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


def _set_limits(
    panels: Sequence[Axes],
    blocks: Sequence[GateBlock],
    centres: dict[str, Floats],
    widths: dict[str, Floats],
    look: Look,
) -> None:
    """Set the vertical axes: one for all panels, or one for each, or as it was asked for."""
    for panel, block in zip(panels, blocks, strict=True):
        own = [block.name] if look.free else [b.name for b in blocks]
        panel.set_ylim(*(look.ylim or _limits(own, centres, widths, look.free)))


def _limits(
    own: Sequence[str], centres: dict[str, Floats], widths: dict[str, Floats], free: bool
) -> tuple[float, float]:
    """Return a vertical range: 0 to 1 and a little room, more if gates need it; ``free``: what they need."""
    edges = [
        centres[b][:-1] + sign * widths[b][:-1] for b in own if b in widths for sign in (-1, 1)
    ]
    drawn = [*(centres[b] for b in own), *edges]
    ends = (np.inf, -np.inf) if free else (0.0, 1.0)
    lowest = min(float(v.min(initial=ends[0])) for v in drawn)
    highest = max(float(v.max(initial=ends[1])) for v in drawn)
    room = 0.03 * (highest - lowest) or 0.01
    return lowest - room, highest + room


def _draw_frame(
    figure: Figure,
    curves: Curves,
    panels: int,
    said: Sequence[str],
    spread: bool,
    colors: Sequence[Any],
    look: Look,
) -> tuple[Layout, Legend]:
    """Draw all that stands outside the panels; return the layout that leaves room for it, and the legend."""
    layout = Layout(panels, wide=look.width, free=look.free)
    notes = wrapped(said, layout.inner_width)
    figure.set_size_inches(layout.width, layout.height)
    across, available = layout.legend_place
    legend, tall = add_legend(figure, curves.all_names, available, colors, look)
    layout = replace(layout, legend=tall, notes=len(notes))
    figure.set_size_inches(layout.width, layout.height)
    legend.set_bbox_to_anchor((across, layout.top_edge), transform=figure.transFigure)
    across, up = layout.middle
    left, bottom = layout.label_edges
    label = f"{MEASURE} ± 1 std within class" if spread else MEASURE
    figure.supxlabel("channel index", x=across, y=bottom, va="bottom", fontsize=TEXT)
    figure.supylabel(label, x=left, y=up, ha="left", fontsize=TEXT)
    if notes:
        x, y = layout.note_edges
        note = figure.text(x, y, "", fontsize=SMALL, color=GREY, va="bottom", linespacing=1.15)
        set_plain(note, "\n".join(notes))
    return layout, legend


def _weight(points: int, width: float) -> float:
    """Return the width of a line: thinner where points crowd a panel ``width`` inches wide."""
    return float(np.clip(np.sqrt(30 * width / points), 0.3, 1.0))


def _notes(
    record: Record,
    classes: Sequence[ClassChoice],
    blocks: Sequence[GateBlock],
    picked: dict[str, npt.NDArray[np.intp]],
) -> list[str]:
    """Return the small print: what a reader must know before trusting the figure."""
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
    fewer = [b.channels for b in blocks if len(picked[b.name]) < b.channels]
    if fewer:
        drawn = next(len(picked[b.name]) for b in blocks if len(picked[b.name]) < b.channels)
        low, high = f"{min(fewer):,}", f"{max(fewer):,}"
        notes.append(
            f"Of {low if low == high else f'{low} to {high}'} channels, {drawn} are drawn, evenly spaced."
        )
    return notes


def _caption(
    record: Record, curves: Curves, blocks: Sequence[GateBlock], spread: bool, look: Look
) -> tuple[str, ...]:
    """Return the sentences of the caption."""
    names = ", ".join(map(look.named, curves.names[:12])) + (
        ", ..." if len(curves.names) > 12 else ""
    )
    shown = ", ".join(b.name for b in blocks[:12]) + (", ..." if len(blocks) > 12 else "")
    band = " Bands: one standard deviation within the class." if spread else ""
    return (
        f"Mean gate of each channel, as in figure {7 if spread else 6} of the SENet paper: "
        f"{record.header.architecture} on {int(record.count.sum()):,} images, "
        f"{f'classes {names}, ' if names else ''}blocks {shown}.",
        f'Dashed, "{curves.summary}": the mean over every class, each weighing the same.{band}',
    )


def _add_panels(
    figure: Figure, layout: Layout, blocks: Sequence[GateBlock], look: Look
) -> list[Axes]:
    """Add an empty panel for each block, with one shared vertical axis."""
    from matplotlib.ticker import MaxNLocator

    wide, tall = layout.panel
    shift = letter_width(len(blocks), TEXT) if look.letters else 0.0
    roomy = all(
        text_width(TEXT)(b.name) + text_width(SMALL)(_size_of(b)) + shift + 0.06 <= wide
        for b in blocks
    )
    panels: list[Axes] = []
    for position, block in enumerate(blocks):
        shared = panels[0] if panels and not look.free else None
        panel = figure.add_axes(layout.box(position), sharey=shared)
        # At x = 0 and still the one central title: that is the one `get_title` returns.
        panel.set_title(block.name, x=0, ha="left", color=INK)
        size = _size_of(block) if roomy else _mark(block)
        panel.set_title(size.strip(), loc="right", fontsize=SMALL, color=GREY)
        room = max(0.02 * (block.channels - 1), 0.5)
        panel.set_xlim(-room, block.channels - 1 + room)
        panel.xaxis.set_major_locator(
            MaxNLocator(nbins=max(2, int(wide / 0.38)), steps=[1, 2, 5, 10], integer=True)
        )
        panel.grid(axis="y", color=PALE, linewidth=0.5)
        # Places for the names of axes, which there are none of: matplotlib would measure all ticks for them.
        panel.xaxis.set_label_coords(0.5, -_BELOW / tall)
        panel.yaxis.set_label_coords(-_BELOW / wide, 0.5)
        if position % layout.columns and not look.free:
            panel.tick_params(axis="y", labelleft=False)
        panels.append(panel)
    for panel in panels if look.free else panels[:1]:
        panel.yaxis.set_major_locator(
            MaxNLocator(nbins=6 if tall > 1.1 else 3, steps=[1, 2, 5, 10])
        )
    if look.letters:
        letter_panels(panels, wide)
    return panels


def _mark(block: GateBlock) -> str:
    return f" {_MARK}" if block.mechanism.per_pixel else ""


def _size_of(block: GateBlock) -> str:
    return f"C = {block.channels}{_mark(block)}"


def _draw_lines(
    panel: Axes,
    index: npt.NDArray[np.intp],
    centres: Floats,
    curves: Curves,
    styles: Sequence[dict[str, Any]],
    look: Look,
) -> list[Line2D]:
    """Draw a line for each curve, with markers here and there: at other channels for each class."""
    every = max(1, len(index) // _MARKED)
    lines: list[Line2D] = []
    for number, (name, centre, style) in enumerate(
        zip(curves.all_names, centres, styles, strict=True)
    ):
        # So that one class's marker is not on another's, where their gates are the same.
        first = round(number * every / len(curves.all_names)) % len(index)
        # A single channel has no line to draw.
        alone: dict[str, Any] = {"marker": "o"} if len(index) == 1 and "marker" not in style else {}
        (line,) = panel.plot(
            index,
            centre,
            markevery=(first, every),
            markersize=MARKER_SIZE if len(index) == 1 else 0.8 * MARKER_SIZE,
            markeredgewidth=0,
            **style,
            **alone,
        )
        line.set_label(look.named(name))
        lines.append(line)
    return lines


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
