"""One block on single images: maps of a few channels before and after the scale, and all gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.figures.captions import set_caption
from seviz.figures.image_overview import picture_of
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.legend import name_lines
from seviz.figures.letters import lettered
from seviz.figures.look import PLAIN, Look
from seviz.figures.overlay import Pixels, laid_over, limit, plane, resized, scale_strip
from seviz.figures.style import (
    GREY,
    INK,
    PALE,
    SMALL,
    SUMMARY_STYLE,
    TEXT,
    class_colours,
    figure_style,
)
from seviz.figures.text import fitting, inches, set_plain, shown_name, text_width, wrapped
from seviz.results.image import (
    MEAN,
    NEUTRAL,
    ExplainedBlock,
    ExplainedImage,
    ImageExplanation,
)
from seviz.results.shares import shown_share as share

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TINY = 6.0
# Dots of the longer side of one picture.
_SIDE = 192
# In inches.
_MARGIN, _LEFT, _GAP, _HEAD, _LINES = 0.08, 0.34, 0.06, 0.3, 0.34
_BETWEEN, _GATES, _FOOT = 0.2, 1.25, 0.3
_WIDEST = 1.2  # a name in the legend
_NARROWEST = 0.58  # a picture; channels that have less room stand below the others
_MANY = 128  # channels, from which on dots are small


@dataclass(frozen=True)
class _Grid:
    """Where the pictures of a figure of one block stand, in inches.

    Attributes:
        images: Rows of two.
        up: Channels turned up.
        down: Channels turned down.
        ratio: Height by width of a picture.
        width: Of the figure.
        title: Lines of the title.
        names: Lines of the legend of the gates.
    """

    images: int
    up: int
    down: int
    ratio: float
    width: float = PAGE_WIDTH
    title: int = 1
    names: int = 1

    @property
    def columns(self) -> int:
        """Return how many pictures stand side by side: all, or those that are not too small."""
        every = 1 + self.up + self.down
        least = _NARROWEST + _GAP
        if int((self.width - _LEFT - _MARGIN - 2 * _BETWEEN) / least) >= every:
            return every
        return max(2, min(every, int((self.width - _LEFT - _MARGIN - _BETWEEN) / least)))

    @property
    def wide(self) -> float:
        """Return the width of one picture."""
        columns = self.columns
        groups = 2 if columns == 1 + self.up + self.down else 1
        return min(
            1.2, (self.width - _LEFT - _MARGIN - groups * _BETWEEN - columns * _GAP) / columns
        )

    @property
    def channels(self) -> tuple[range, ...]:
        """Return which channels stand in each line: those turned up before those turned down."""
        every, each = self.up + self.down, self.columns - 1
        if every <= each:
            return (range(every),)
        ends = ((0, self.up), (self.up, every))
        return tuple(
            range(i, min(i + each, end)) for first, end in ends for i in range(first, end, each)
        )

    @property
    def tall(self) -> float:
        """Return the height of one picture."""
        return self.wide * self.ratio

    @property
    def line_tall(self) -> float:
        """Return the height of one line of channels, before above after, with what stands above it."""
        return _LINES + 2 * self.tall + _GAP

    @property
    def image_tall(self) -> float:
        """Return the height of all that belongs to one image."""
        return len(self.channels) * self.line_tall + 0.14

    @property
    def height(self) -> float:
        """Return the height of the figure."""
        return self.head + self.images * self.image_tall + 0.16 + 0.14 * self.names + _GATES + _FOOT

    @property
    def head(self) -> float:
        """Return the height of the title."""
        return _HEAD + 0.15 * (self.title - 1)

    def room(self, column: int) -> float:
        """Return the width of a text above a column: up to the next one, or to the edge."""
        last = column + 1 == self.columns
        return self.width - self.left(column) - 0.02 if last else self.wide + _GAP - 0.02

    def left(self, column: int) -> float:
        """Return the left edge of a column: the picture, then channels turned up, then those turned down."""
        groups = (column > 0) + (column > self.up and len(self.channels) == 1)
        return _LEFT + column * (self.wide + _GAP) + groups * _BETWEEN


def image_block(
    explained: ImageExplanation, name: str, *, look: Look = PLAIN, figure: Figure | None = None
) -> Figure:
    """Draw one block: maps of a few channels before and after the scale over each image, and all gates.

    Args:
        explained: From `seviz.explain_image`.
        name: Name of the block.
        look: Width, font, palette, names of classes, letters (of images).
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Raises:
        StopIteration: If there is no such block.
    """
    from seviz.figures.shown import Figure

    found = [next(b for b in image.blocks if b.block.name == name) for image in explained.images]
    first = picture_of(explained.images[0])
    width = look.width or PAGE_WIDTH
    own = found[0].block
    size = "x".join(map(str, own.spatial))
    said = f"{name}: {own.channels} channels, maps of {size}, before and after the gate"
    with figure_style(look):
        title = wrapped([said], width - 2 * _MARGIN, TEXT + 1)
        columns = _legend_columns(explained, found, width, look)
        entries = _entries(explained, found)
        grid = _Grid(
            len(found),
            len(found[0].up),
            len(found[0].down),
            min(first.shape[0] / first.shape[1], 1.5),
            width,
            len(title),
            -(-entries // columns),
        )
        made = figure or Figure()
        made.clear()
        made.set_layout_engine("none")
        made.set_size_inches(width, grid.height)
        canvas = _Canvas(made)
        top = grid.height - grid.head
        letters = lettered(len(found)) if look.letters else [""] * len(found)
        pairs = zip(explained.images, found, letters, strict=True)
        for image, block, letter in pairs:
            _maps(
                canvas, grid, top, (image, block, letter), look, by_mean=explained.reference == MEAN
            )
            top -= grid.image_tall
        left = _LEFT + 0.16
        box = (left, _FOOT, width - left - _MARGIN, _GATES)
        tall = grid.height
        panel = made.add_axes((box[0] / width, box[1] / tall, box[2] / width, box[3] / tall))
        _gates(panel, explained, found, look, columns)
        for number, line in enumerate(title):
            y = tall - 0.05 - 0.15 * number
            canvas.write(_MARGIN, y, line, va="top", fontsize=TEXT + 1, color=INK)
        set_caption(made, f"{said}.", f"Gates are measured against {explained.against}.")
    return made


def _entries(explained: ImageExplanation, found: Sequence[ExplainedBlock]) -> int:
    """Return how many entries the legend of the gates has."""
    own = sum(
        block.own_class is not None and bool(image.top)
        for image, block in zip(explained.images, found, strict=True)
    )
    return len(found) + own + 2 * (explained.reference == MEAN)


def _legend_columns(
    explained: ImageExplanation, found: Sequence[ExplainedBlock], width: float, look: Look
) -> int:
    """Return how many entries of that legend stand side by side."""
    measure = text_width(_TINY)
    names = ["± one standard deviation", *(image.name for image in explained.images)]
    names += [
        f"mean of {look.named(image.top[0].label)}" for image in explained.images if image.top
    ]
    widest = max(min(_WIDEST, measure(n)) for n in names) + 0.35
    return max(1, min(_entries(explained, found), int((width - _LEFT - 0.2) / widest)))


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
    what: tuple[ExplainedImage, ExplainedBlock, str],
    look: Look,
    *,
    by_mean: bool,
) -> None:
    """Draw the rows of one image, before above after, each channel with one colour scale for both."""
    image, block, letter = what
    base = resized(picture_of(image), _SIDE)
    width = text_width(_TINY)
    ends = (
        ("turned up most", "turned down most") if by_mean else ("largest gates", "smallest gates")
    )
    for line, shown in enumerate(grid.channels):
        above = top - line * grid.line_tall - _LINES
        rows = [above - grid.tall, above - 2 * grid.tall - _GAP]
        if line == 0:
            _beside(canvas, grid, rows, (image, block, letter), base, look)
        for column, position in enumerate(shown, 1):
            maps = (*block.up, *block.down)[position]
            left, most = grid.left(column), limit(maps.before, maps.after)
            room = grid.room(column)
            if position in (0, grid.up):
                heading = ends[0] if position < grid.up else ends[1]
                more = grid.room(column + 1) if column + 1 < grid.columns else 0.0
                said = shown_name(heading, room + more, text_width(SMALL))
                canvas.write(left, above + 0.215, said, fontsize=SMALL, color=INK)
            for bottom, values in zip(rows, (maps.before, maps.after), strict=True):
                over = laid_over(base, plane(values, base.shape[1] / base.shape[0]), most)
                canvas.place(left, bottom, grid.wide, grid.tall, over)
            usual = f"mean {block.reference[maps.channel]:.3f}; " if by_mean else ""
            gate = f"{maps.channel}: {block.gates[maps.channel]:.3f}"
            canvas.write(left, above + 0.105, gate, color=INK)
            scale = f"±{most:.2g}"
            canvas.write(left, above + 0.015, fitting((f"{usual}{scale}", scale), room, width))
        for bottom, word in zip(rows, ("before", "after"), strict=True):
            place = (grid.left(1) - 0.05, bottom + grid.tall / 2)
            canvas.write(*place, word, rotation=90, va="center", ha="right")


def _beside(
    canvas: _Canvas,
    grid: _Grid,
    rows: Sequence[float],
    what: tuple[ExplainedImage, ExplainedBlock, str],
    base: Pixels,
    look: Look,
) -> None:
    """Draw the picture, its answer and the scale of colours, left of its channels."""
    image, block, letter = what
    room, width = grid.wide + _BETWEEN - 0.04, text_width(_TINY)
    canvas.place(grid.left(0), rows[0], grid.wide, grid.tall, base)
    name = f"{letter} {image.name}" if letter else image.name
    above = rows[0] + grid.tall + 0.02
    canvas.write(grid.left(0), above, shown_name(name, room, width), color=INK)
    room = grid.wide + _BETWEEN - 0.14
    for number, line in enumerate(_answer_lines(image, block, look)):
        y = rows[0] - 0.1 - 0.115 * number
        colour = GREY if number else INK
        canvas.write(grid.left(0), y, shown_name(line, room, width), va="top", color=colour)
    low, tall = rows[0] + 0.06, grid.tall - 0.12
    canvas.place(0.2, low, 0.06, tall, scale_strip(64, 6))
    for y, mark in ((low + tall, "+"), (low + tall / 2, "0"), (low, "\N{MINUS SIGN}")):
        canvas.write(0.17, y, mark, va="center", ha="right")


def _answer_lines(image: ExplainedImage, block: ExplainedBlock, look: Look) -> list[str]:
    if not image.top:
        return []
    own = image.top[0]
    lines = [f"{look.named(own.label)} {share(own.probability)}"]
    for how, word in ((MEAN, "held at mean: "), (NEUTRAL, "held at 1: ")):
        if how in block.held:
            held = block.held[how]
            other = "" if held.index == own.index else f"{look.named(held.top[0].label)} "
            value = held.kept if held.index == own.index else held.top[0].probability
            lines.append(f"{word}{other}{share(value)}")
    return lines


def _gates(
    panel: Axes,
    explained: ImageExplanation,
    found: Sequence[ExplainedBlock],
    look: Look,
    columns: int,
) -> None:
    """Draw all gates, the channels in the order of what they are measured against."""
    first, colours = found[0], class_colours(look)
    by_mean = explained.reference == MEAN
    order = np.argsort(first.reference if by_mean else first.gates, kind="stable")
    places = np.arange(len(order))
    entries: list[tuple[Artist, str]] = []
    if by_mean:
        assert first.spread is not None
        mean, spread = first.reference[order], first.spread[order]
        band = panel.fill_between(places, mean - spread, mean + spread, color=PALE, lw=0)
        (line,) = panel.plot(places, mean, color=INK, linewidth=0.8, linestyle=SUMMARY_STYLE)
        entries += [(band, "± one standard deviation"), (line, "mean of all images")]
    else:
        panel.axhline(1, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    for number, (image, block) in enumerate(zip(explained.images, found, strict=True)):
        colour = colours[number % len(colours)]
        name = shown_name(image.name, _WIDEST, text_width(_TINY))
        size = 2.6 if len(order) < _MANY else 1.5
        (line,) = panel.plot(places, block.gates[order], "o", color=colour, markersize=size,
                             markeredgewidth=0, zorder=3)  # fmt: skip
        entries.append((line, name))
        if block.own_class is not None and image.top:
            said = f"mean of {look.named(image.top[0].label)}"
            label = shown_name(said, _WIDEST, text_width(_TINY))
            (line,) = panel.plot(
                places, block.own_class[order], color=colour, linewidth=0.7, zorder=2
            )
            entries.append((line, label))
    panel.set_xlim(-0.5, len(order) - 0.5)
    named = (f"channels, by their {'mean ' * by_mean}gate", "channels")
    panel.set_xlabel(fitting(named, inches(panel)[0], text_width(TEXT)))
    panel.set_ylabel("gate")
    panel.set_xticks([])
    name_lines(panel, entries, loc="lower left", bbox_to_anchor=(0, 0.99), ncols=columns, frameon=False,
               fontsize=_TINY, handlelength=1.4, columnspacing=1.2, borderaxespad=0.1)  # fmt: skip
