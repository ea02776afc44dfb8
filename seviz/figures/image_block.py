"""One block on single images: maps of a few channels before and after the scale, and all gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.analysis.image import share
from seviz.figures.image_overview import picture_of
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.overlay import Pixels, laid_over, limit, plane, resized, scale_strip
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, TEXT, figure_style
from seviz.figures.text import set_plain, shown_name, text_width
from seviz.results.image import (
    MEAN,
    NEUTRAL,
    ChannelMaps,
    ExplainedBlock,
    ExplainedImage,
    ImageExplanation,
)

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
        top = grid.height - _HEAD
        for image, block in zip(explained.images, found, strict=True):
            _maps(figure, grid, top, image, block, explained)
            top -= grid.image_tall
        box = (_LEFT + 0.16, _FOOT, PAGE_WIDTH - _LEFT - 0.16 - _MARGIN, _GATES)
        panel = figure.add_axes(_shares(box, grid.height))
        _gates(panel, explained, found)
        own = found[0].block
        size = "x".join(map(str, own.spatial))
        title = figure.text(
            _MARGIN / PAGE_WIDTH, 1 - 0.05 / grid.height, "", va="top", fontsize=TEXT + 1
        )
        set_plain(
            title, f"{name}: {own.channels} channels, maps of {size}, before and after the gate"
        )
    return figure


def _shares(
    box: tuple[float, float, float, float], height: float
) -> tuple[float, float, float, float]:
    left, bottom, wide, tall = box
    return left / PAGE_WIDTH, bottom / height, wide / PAGE_WIDTH, tall / height


def _maps(
    figure: Figure,
    grid: _Grid,
    top: float,
    image: ExplainedImage,
    block: ExplainedBlock,
    explained: ImageExplanation,
) -> None:
    """Draw the rows of one image, before above after, each channel with one colour scale for both."""
    base = resized(picture_of(image), _SIDE)
    by_mean = explained.reference == MEAN

    def place(column: int, row: int, pixels: Pixels) -> Any:
        bottom = top - _LINES - grid.tall - row * (grid.tall + _GAP)
        panel = figure.add_axes(
            _shares((grid.left(column), bottom, grid.wide, grid.tall), grid.height)
        )
        panel.set_axis_off()
        panel.imshow(pixels, interpolation="none", aspect="auto")
        return panel

    def write(column: float, text: str, lift: float, **how: Any) -> None:
        x, y = column / PAGE_WIDTH, (top - _LINES + lift) / grid.height
        set_plain(figure.text(x, y, "", **{"va": "bottom", "fontsize": _TINY, **how}), text)

    place(0, 0, base)
    write(grid.left(0), shown_name(image.name, grid.wide + _BETWEEN, text_width(_TINY)), 0.02)
    lines = _answer_lines(image, block)
    for number, line in enumerate(lines):
        x = grid.left(0) / PAGE_WIDTH
        y = (top - _LINES - grid.tall - 0.1 - 0.115 * number) / grid.height
        text = figure.text(x, y, "", va="top", fontsize=_TINY, color=INK if number == 0 else GREY)
        set_plain(text, shown_name(line, grid.wide + _BETWEEN - 0.04, text_width(_TINY)))
    ratio = base.shape[1] / base.shape[0]
    for column, maps in enumerate((*block.up, *block.down), 1):
        _channel(maps, base, ratio, lambda row, pixels, c=column: place(c, row, pixels))
        gate, usual = block.gates[maps.channel], block.reference[maps.channel]
        most = limit(maps.before, maps.after)
        write(grid.left(column), f"{maps.channel}: {gate:.3f}", 0.105, color=INK)
        against = f"mean {usual:.3f}; " if by_mean else ""
        write(grid.left(column), f"{against}±{most:.2g}", 0.015, color=GREY)
    ends = (
        ("turned up most", "turned down most") if by_mean else ("largest gates", "smallest gates")
    )
    for heading, column in zip(ends, (1, 1 + grid.up), strict=True):
        if column <= grid.up + grid.down:
            write(grid.left(column), heading, 0.215, fontsize=SMALL, color=INK)
    for row, word in enumerate(("before", "after")):
        y = top - _LINES - grid.tall / 2 - row * (grid.tall + _GAP)
        figure.text((grid.left(1) - 0.05) / PAGE_WIDTH, y / grid.height, word, rotation=90, fontsize=_TINY,
                    va="center", ha="right", color=GREY)  # fmt: skip
    strip = scale_strip(64, 6, signed=True)
    bar = figure.add_axes(
        _shares((0.2, top - _LINES - grid.tall + 0.06, 0.06, grid.tall - 0.12), grid.height)
    )
    bar.set_axis_off()
    bar.imshow(strip, aspect="auto", interpolation="bilinear")
    for y, mark in ((grid.tall - 0.06, "+"), (grid.tall / 2, "0"), (0.06, "\N{MINUS SIGN}")):
        figure.text(0.17 / PAGE_WIDTH, (top - _LINES - grid.tall + y) / grid.height, mark, ha="right",
                    va="center", fontsize=_TINY, color=GREY)  # fmt: skip


def _channel(maps: ChannelMaps, base: Pixels, ratio: float, place: Any) -> None:
    most = limit(maps.before, maps.after)
    for row, values in enumerate((maps.before, maps.after)):
        place(row, laid_over(base, plane(values, ratio), most))


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
        panel.fill_between(
            places, mean - spread, mean + spread, color=PALE, lw=0, label="± one standard deviation"
        )
        panel.plot(
            places,
            mean,
            color=INK,
            linewidth=0.8,
            linestyle=(0, (3, 2.2)),
            label="mean of all images",
        )
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
    panel.set_xlabel(
        "channels, by their mean gate"
        if by_mean
        else f"channels, by their gate for {explained.images[0].name}"
    )
    panel.set_ylabel("gate")
    panel.set_xticks([])
    legend = panel.legend(loc="lower left", bbox_to_anchor=(0, 0.99), ncols=5, frameon=False, fontsize=_TINY,
                          handlelength=1.4, columnspacing=1.2, borderaxespad=0.1)  # fmt: skip
    for text in legend.get_texts():
        set_plain(text, text.get_text())
