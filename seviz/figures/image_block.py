"""One block on single images: maps of a few channels before and after the scale, and all gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.figures.image_overview import picture_of
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.overlay import Pixels, laid_over, limit, plane, resized, scale_strip
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, SUMMARY_STYLE, TEXT, figure_style
from seviz.figures.text import set_plain, shown_name, text_width
from seviz.results.image import (
    MEAN,
    NEUTRAL,
    ExplainedBlock,
    ExplainedImage,
    ImageExplanation,
)
from seviz.results.shares import shown_share as share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TINY = 6.0
# Dots of the longer side of one picture.
_SIDE = 192
# In inches.
_MARGIN, _LEFT, _GAP, _HEAD, _LINES = 0.08, 0.34, 0.06, 0.3, 0.34
_BETWEEN, _GATES, _FOOT = 0.2, 1.25, 0.3
_MANY = 128  # channels, from which on dots are small


@dataclass(frozen=True)
class _Grid:
    """Where the pictures of a figure of one block stand, in inches.

    Attributes:
        images: Rows of two.
        up: Channels turned up.
        down: Channels turned down.
        ratio: Height by width of a picture.
    """

    images: int
    up: int
    down: int
    ratio: float

    @property
    def wide(self) -> float:
        """Return the width of one picture."""
        columns = 1 + self.up + self.down
        return min(1.2, (PAGE_WIDTH - _LEFT - _MARGIN - 2 * _BETWEEN - columns * _GAP) / columns)

    @property
    def tall(self) -> float:
        """Return the height of one picture."""
        return self.wide * self.ratio

    @property
    def image_tall(self) -> float:
        """Return the height of all that belongs to one image."""
        return _LINES + 2 * self.tall + _GAP + 0.14

    @property
    def height(self) -> float:
        """Return the height of the figure."""
        return _HEAD + self.images * self.image_tall + 0.3 + _GATES + _FOOT

    def left(self, column: int) -> float:
        """Return the left edge of a column: the picture, then channels turned up, then those turned down."""
        groups = (column > 0) + (column > self.up)
        return _LEFT + column * (self.wide + _GAP) + groups * _BETWEEN


def image_block(explained: ImageExplanation, name: str) -> Figure:
    """Draw one block: maps of a few channels before and after the scale over each image, and all gates.

    Args:
        explained: From `seviz.explain_image`.
        name: Name of the block.

    Raises:
        StopIteration: If there is no such block.
    """
    from seviz.figures.shown import Figure

    found = [next(b for b in image.blocks if b.block.name == name) for image in explained.images]
    first = picture_of(explained.images[0])
    grid = _Grid(
        len(found), len(found[0].up), len(found[0].down), min(first.shape[0] / first.shape[1], 1.5)
    )
    with figure_style():
        figure = Figure(figsize=(PAGE_WIDTH, grid.height))
        canvas = _Canvas(figure)
        top = grid.height - _HEAD
        for image, block in zip(explained.images, found, strict=True):
            _maps(canvas, grid, top - _LINES, image, block, by_mean=explained.reference == MEAN)
            top -= grid.image_tall
        left = _LEFT + 0.16
        box = (left, _FOOT, PAGE_WIDTH - left - _MARGIN, _GATES)
        wide, tall = figure.get_size_inches()
        panel = figure.add_axes((box[0] / wide, box[1] / tall, box[2] / wide, box[3] / tall))
        _gates(panel, explained, found)
        own = found[0].block
        size = "x".join(map(str, own.spatial))
        title = f"{name}: {own.channels} channels, maps of {size}, before and after the gate"
        canvas.write(_MARGIN, grid.height - 0.05, title, va="top", fontsize=TEXT + 1, color=INK)
    return figure


class _Canvas:
    """A figure on which pictures and texts are placed in inches: axes for each would take a second.

    Args:
        figure: The figure, of its size.
    """

    def __init__(self, figure: Figure) -> None:
        wide, tall = figure.get_size_inches()
        self._axes = figure.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(0, tall))
        self._axes.set_axis_off()
        self._axes.set_autoscale_on(False)

    def place(self, left: float, bottom: float, wide: float, tall: float, pixels: Pixels) -> None:
        self._axes.imshow(
            pixels,
            extent=(left, left + wide, bottom, bottom + tall),
            interpolation="none",
            aspect="auto",
        )

    def write(self, x: float, y: float, text: str, **how: Any) -> None:
        style = {"va": "bottom", "fontsize": _TINY, "color": GREY, **how}
        set_plain(self._axes.text(x, y, "", **style), text)


def _maps(
    canvas: _Canvas,
    grid: _Grid,
    top: float,
    image: ExplainedImage,
    block: ExplainedBlock,
    *,
    by_mean: bool,
) -> None:
    """Draw the rows of one image, before above after, each channel with one colour scale for both."""
    base = resized(picture_of(image), _SIDE)
    room, width = grid.wide + _BETWEEN - 0.04, text_width(_TINY)
    rows = [top - grid.tall, top - 2 * grid.tall - _GAP]
    canvas.place(grid.left(0), rows[0], grid.wide, grid.tall, base)
    canvas.write(grid.left(0), top + 0.02, shown_name(image.name, room, width), color=INK)
    for number, line in enumerate(_answer_lines(image, block)):
        y = rows[0] - 0.1 - 0.115 * number
        colour = GREY if number else INK
        canvas.write(grid.left(0), y, shown_name(line, room, width), va="top", color=colour)
    for column, maps in enumerate((*block.up, *block.down), 1):
        left, most = grid.left(column), limit(maps.before, maps.after)
        for bottom, values in zip(rows, (maps.before, maps.after), strict=True):
            over = laid_over(base, plane(values, base.shape[1] / base.shape[0]), most)
            canvas.place(left, bottom, grid.wide, grid.tall, over)
        usual = f"mean {block.reference[maps.channel]:.3f}; " if by_mean else ""
        canvas.write(
            left, top + 0.105, f"{maps.channel}: {block.gates[maps.channel]:.3f}", color=INK
        )
        canvas.write(left, top + 0.015, f"{usual}±{most:.2g}")
    ends = (
        ("turned up most", "turned down most") if by_mean else ("largest gates", "smallest gates")
    )
    for heading, column in zip(ends, (1, 1 + grid.up), strict=True):
        if column <= grid.up + grid.down:
            canvas.write(grid.left(column), top + 0.215, heading, fontsize=SMALL, color=INK)
    for bottom, word in zip(rows, ("before", "after"), strict=True):
        place = (grid.left(1) - 0.05, bottom + grid.tall / 2)
        canvas.write(*place, word, rotation=90, va="center", ha="right")
    low, tall = rows[0] + 0.06, grid.tall - 0.12
    canvas.place(0.2, low, 0.06, tall, scale_strip(64, 6))
    for y, mark in ((low + tall, "+"), (low + tall / 2, "0"), (low, "\N{MINUS SIGN}")):
        canvas.write(0.17, y, mark, va="center", ha="right")


def _answer_lines(image: ExplainedImage, block: ExplainedBlock) -> list[str]:
    if not image.top:
        return []
    own = image.top[0]
    lines = [f"{own.label} {share(own.probability)}"]
    for how, word in ((MEAN, "held at mean: "), (NEUTRAL, "held at 1: ")):
        if how in block.held:
            held = block.held[how]
            other = "" if held.index == own.index else f"{held.top[0].label} "
            value = held.kept if held.index == own.index else held.top[0].probability
            lines.append(f"{word}{other}{share(value)}")
    return lines


def _gates(panel: Axes, explained: ImageExplanation, found: Sequence[ExplainedBlock]) -> None:
    """Draw all gates, the channels in the order of what they are measured against."""
    first = found[0]
    by_mean = explained.reference == MEAN
    order = np.argsort(first.reference if by_mean else first.gates, kind="stable")
    places = np.arange(len(order))
    if by_mean:
        assert first.spread is not None
        mean, spread = first.reference[order], first.spread[order]
        band: dict[str, Any] = {"color": PALE, "lw": 0, "label": "± one standard deviation"}
        panel.fill_between(places, mean - spread, mean + spread, **band)
        line: dict[str, Any] = {"linewidth": 0.8, "linestyle": SUMMARY_STYLE}
        panel.plot(places, mean, color=INK, label="mean of all images", **line)
    else:
        panel.axhline(1, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    for number, (image, block) in enumerate(zip(explained.images, found, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        name = shown_name(image.name, 1.4, text_width(SMALL))
        size = 2.6 if len(order) < _MANY else 1.5
        panel.plot(places, block.gates[order], "o", color=colour, markersize=size, markeredgewidth=0,
                   label=name, zorder=3)  # fmt: skip
        if block.own_class is not None and image.top:
            label = shown_name(f"mean of {image.top[0].label}", 1.4, text_width(SMALL))
            panel.plot(
                places, block.own_class[order], color=colour, linewidth=0.7, label=label, zorder=2
            )
    panel.set_xlim(-0.5, len(order) - 0.5)
    panel.set_xlabel(f"channels, by their {'mean ' * by_mean}gate")
    panel.set_ylabel("gate")
    panel.set_xticks([])
    legend = panel.legend(loc="lower left", bbox_to_anchor=(0, 0.99), ncols=5, frameon=False, fontsize=_TINY,
                          handlelength=1.4, columnspacing=1.2, borderaxespad=0.1)  # fmt: skip
    for text in legend.get_texts():
        set_plain(text, text.get_text())
