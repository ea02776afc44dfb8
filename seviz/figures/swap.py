"""Gates of one image in another: which class is answered, by pair of classes and by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.swap import Swap, SwapRates, describe
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH, columns_in
from seviz.figures.letters import letter_width, lettered
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import (
    GREY,
    INK,
    PALE,
    SHARES,
    SMALL,
    TEXT,
    class_colours,
    class_shades,
    figure_style,
)
from seviz.figures.text import (
    add_notes,
    fitting,
    inches,
    set_plain,
    shown_name,
    text_width,
    thinned,
    wrapped,
)
from seviz.results.stats import Floats
from seviz.tables.swap import place_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In inches.
_HEAD, _TITLE, _LINE, _NAMES = 0.1, 0.3, 0.13, 0.62
_PANEL, _GAP, _LEFT, _RIGHT = 1.55, 0.62, 0.46, 0.1
_LEGEND = 0.42
_CELL, _MOST = 0.27, 2.6  # of a matrix: a cell, and its side at most
_BETWEEN = 0.24
_WIDEST_NAME = 0.85
_DARK = 0.55  # lightness of a cell, below which its number is white
_NUMBERED = 0.2  # inches of a cell that has room for a number

_NARROWEST = 1.45  # a panel of blocks
# What the colour of a series is: its place in the palette, or a colour that no palette changes.
_Line = tuple[str, int | str, str, Callable[[SwapRates], Estimate | None]]
_FOLLOWS: tuple[_Line, ...] = (
    ("the class of the gates", 0, "o", lambda r: r.follows),
    ("the same, shuffled", 1, "s", lambda r: r.shuffled),
    ("one third class", GREY, "D", lambda r: r.third),
)
_CHANGED: tuple[_Line, ...] = (
    ("of another class", 0, "o", lambda r: r.disturbed),
    ("shuffled", 1, "s", lambda r: r.shuffled_disturbed),
    ("of its own class", 2, "^", lambda r: r.within),
)
_LIFT: tuple[_Line, ...] = (("", 0, "o", lambda r: r.lift),)
_BECOMES, _LEAVES, _RISES = (
    "the answer becomes ..., %",
    "no longer the image's, gates ..., %",
    "rise of the gates' class, log odds",
)
_SHORT = {
    _BECOMES: "becomes ..., %",
    _LEAVES: "changes, gates ..., %",
    _RISES: "rise, log odds",
}
_TITLES = (
    ("the answer becomes the class of the gates, %", "becomes the class of the gates, %"),
    ("the answer is no longer that of the image, %", "no longer that of the image, %"),
)


@dataclass(frozen=True)
class _Grid:
    """Where the parts of the figure stand, in inches.

    Attributes:
        width: Of the figure.
        names: Room for the name of a class.
        side: Of a matrix; 0 without one.
        panels: Panels of blocks.
        foot: Below the lowest panels: the small print and the names of blocks.
    """

    width: float
    names: float
    side: float
    panels: int
    foot: float

    @property
    def stacked(self) -> bool:
        """Return whether the second matrix stands below the first one."""
        second = self.width / 2 + 0.3
        return 0.24 + self.names + self.side + 0.1 > second or second + self.side + 0.1 > self.width

    @property
    def matrices(self) -> float:
        """Return the height of the matrices with their titles and names."""
        if not self.side:
            return 0.0
        each = self.side + _TITLE + self.names + _BETWEEN
        return each * (1 + self.stacked)

    @property
    def columns(self) -> int:
        """Return how many panels of blocks stand side by side."""
        return columns_in(self.panels, self.width - _LEFT - _RIGHT, _GAP, _NARROWEST)

    @property
    def rows(self) -> int:
        """Return how many rows of panels of blocks there are."""
        return -(-self.panels // self.columns)

    @property
    def row(self) -> float:
        """Return the height of a row of panels of blocks, its legend and its title."""
        return _PANEL + _LEGEND + _TITLE

    @property
    def height(self) -> float:
        """Return the height of the figure."""
        return self.foot + self.rows * self.row + (self.rows - 1) * _NAMES + self.matrices + _HEAD

    def matrix(self, place: int) -> tuple[float, float]:
        """Return left and bottom of a matrix."""
        first = 0.24 + self.names
        if self.stacked:
            below = place * (self.side + _TITLE + self.names + _BETWEEN)
            return first, self.height - _HEAD - _TITLE - self.side - below
        return (first, self.width / 2 + 0.3)[place], self.height - _HEAD - _TITLE - self.side

    def panel(self, place: int) -> tuple[float, float, float]:
        """Return left, bottom and width of a panel of blocks."""
        row, column = divmod(place, self.columns)
        wide = (self.width - _LEFT - _RIGHT - (self.columns - 1) * _GAP) / self.columns
        below = self.rows - 1 - row
        return _LEFT + column * (wide + _GAP), self.foot + below * (self.row + _NAMES), wide


def swap_figure(swap: Swap, *, look: Look = PLAIN, figure: Figure | None = None) -> Figure:
    """Draw how often the answer follows the gates: by pair of classes, and by block beside its controls.

    Args:
        swap: From `seviz.swap_gates`.
        look: Width, font, palette, names of classes, letters.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Returns:
        The figure; `save_figure` writes it.
    """
    from seviz.figures.shown import Figure

    width = look.width or PAGE_WIDTH
    with figure_style(look):
        lines = wrapped(_notes(swap), width - 0.2)
        measure = text_width(SMALL)
        named = [look.named(n) for n in swap.classes]
        names = [shown_name(n, min(_WIDEST_NAME, width / 4), measure) for n in named]
        room = max(map(measure, names), default=0.0) + 0.08
        most = min(_MOST, width - room - 0.4)
        panels = _block_panels(swap)
        grid = _Grid(
            width,
            room,
            min(_CELL * len(names), most) if swap.matrix else 0.0,
            len(panels),
            0.1 + _LINE * len(lines) + _NAMES,
        )
        made = figure or Figure()
        made.clear()
        made.set_layout_engine("none")
        made.set_size_inches(width, grid.height)
        if swap.matrix:
            _draw_matrices(made, swap, names, grid, look)
        for place, panel in enumerate(panels):
            _draw_panel(made, swap, panel, grid.panel(place), look)
        if look.letters:
            _letter(made)
        add_notes(made, lines)
        set_caption(made, *describe(swap), *_notes(swap))
    return made


def _letter(figure: Figure) -> None:
    """Letter the panels; titles of panels of blocks stand above their legends, as texts of the figure."""
    above = list(figure.texts)
    panels = list(figure.axes)
    letters = lettered(len(panels))
    for letter, panel in zip(letters, panels, strict=True):
        title = panel.get_title(loc="left")
        if title:
            panel.set_title(f"{letter} {title}", loc="left", fontsize=TEXT)
    for letter, text in zip(letters[-len(above) :], above, strict=True):
        text.set_text(f"{letter} {text.get_text()}")


def _draw_matrices(
    figure: Figure, swap: Swap, names: Sequence[str], grid: _Grid, look: Look
) -> None:
    """Draw both matrices: rows are classes of the gates, columns those of the image."""
    from matplotlib.colors import ListedColormap

    shades = ListedColormap(class_shades(look)(np.linspace(0.0, SHARES[1], 256)))
    places = {name: i for i, name in enumerate(swap.classes)}
    follows = np.full((len(names), len(names)), np.nan)
    changed = follows.copy()
    for cell in swap.matrix:
        at = places[cell.gates], places[cell.image]
        changed[at] = 1 - cell.stays.value
        if cell.gates != cell.image:
            follows[at] = cell.follows.value
    width, tall, side = grid.width, grid.height, grid.side
    cell_side, measure = side / len(names), text_width(TEXT)
    for place, (titles, values) in enumerate(zip(_TITLES, (follows, changed), strict=True)):
        left, bottom = grid.matrix(place)
        panel = figure.add_axes((left / width, bottom / tall, side / width, side / tall))
        mesh = panel.pcolormesh(
            np.ma.masked_invalid(values),
            cmap=shades.with_extremes(bad="#DADADA"),
            vmin=0,
            vmax=1,
            linewidths=0.4 if cell_side >= _NUMBERED else 0,
            edgecolors="white",
        )
        panel.set(xlim=(0, len(names)), ylim=(len(names), 0))
        end = width if grid.stacked or place else grid.matrix(1)[0] - 0.1
        room = end - left - 0.25 - look.letters * letter_width(5, TEXT)
        panel.set_title(fitting(titles, room, measure), loc="left", fontsize=TEXT)
        step = thinned(len(names), side)
        middle = [i + 0.5 for i in range(0, len(names), step)]
        panel.set_xticks(middle, names[::step], rotation=90)
        named = place == 0 or grid.stacked
        panel.set_yticks(middle, names[::step] if named else [""] * len(middle))
        for label in (*panel.get_xticklabels(), *panel.get_yticklabels()):
            set_plain(label, label.get_text())
        panel.tick_params(length=0)
        for spine in panel.spines.values():
            spine.set_visible(False)
        panel.set_xlabel("image of", labelpad=2)
        panel.set_ylabel("gates of" if named else "", labelpad=2)
        if cell_side >= _NUMBERED:
            _write(panel, values, mesh.cmap)


def _write(panel: Axes, values: Floats, shades: Any) -> None:
    for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
        value = values[row, column]
        red, green, blue = shades(float(value))[:3]
        panel.text(
            column + 0.5,
            row + 0.52,
            f"{100 * value:.0f}",
            ha="center",
            va="center",
            fontsize=SMALL - 0.5,
            color="white" if 0.3 * red + 0.59 * green + 0.11 * blue < _DARK else INK,
        )


def _block_panels(swap: Swap) -> list[tuple[str, tuple[_Line, ...], float]]:
    """Return title, series and scale of each panel of blocks."""
    panels: list[tuple[str, tuple[_Line, ...], float]] = [
        (_BECOMES, _FOLLOWS, 100.0),
        (_LEAVES, _CHANGED, 100.0),
    ]
    if any(r.lift is not None for r in swap.rates):
        panels.append((_RISES, _LIFT, 1.0))
    return panels


def _draw_panel(
    figure: Figure,
    swap: Swap,
    panel: tuple[str, tuple[_Line, ...], float],
    place: tuple[float, float, float],
    look: Look,
) -> None:
    """Draw the shares of each block beside its controls."""
    (title, lines, scale), (left, bottom, wide) = panel, place
    width, tall = figure.get_size_inches()
    axes = figure.add_axes((left / width, bottom / tall, wide / width, _PANEL / tall))
    head = bottom + _PANEL + (_LEGEND if len(lines) > 1 else 0.0)
    room = min(wide + _GAP - 0.08, width - left - 0.05) - look.letters * letter_width(5, TEXT)
    said = fitting((title, _SHORT[title]), room, text_width(TEXT))
    figure.text(left / width, (head + 0.05) / tall, said, fontsize=TEXT, va="bottom")
    _draw_lines(axes, swap, lines, scale, look)


def _draw_lines(panel: Axes, swap: Swap, lines: Sequence[_Line], scale: float, look: Look) -> None:
    rates, colours = swap.rates, class_colours(look)
    known = [line for line in lines if any(line[3](r) is not None for r in rates)]
    for place, (label, own, marker, get) in enumerate(known):
        colour = colours[own % len(colours)] if isinstance(own, int) else own
        apart = 0.24 * (place - (len(known) - 1) / 2)
        found = [(i, e) for i, r in enumerate(rates) if (e := get(r)) is not None]
        xs = [i + apart for i, _ in found]
        panel.plot(
            xs,
            [scale * e.value for _, e in found],
            marker,
            color=colour,
            markersize=3.0,
            linestyle="none",
            label=label,
            zorder=3,
            clip_on=False,
        )
        ends = [(x, e) for x, (_, e) in zip(xs, found, strict=True) if e.low is not None]
        panel.vlines(
            [x for x, _ in ends],
            [scale * (e.low or 0.0) for _, e in ends],
            [scale * (e.high or 0.0) for _, e in ends],
            color=colour,
            linewidth=0.9,
            zorder=2,
        )
    if scale == 1.0:
        panel.axhline(0, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    else:
        panel.set_ylim(bottom=0)
    last = len(rates) - 1
    panel.axvline(last - 0.5, color=GREY, linewidth=0.4)
    panel.set_xlim(-0.6, last + 0.6)
    step = thinned(len(rates), inches(panel)[0])
    shown = [*range(0, last, step), last]
    if len(shown) > 2 and shown[-1] - shown[-2] < step:
        del shown[-2]
    panel.set_xticks(shown, [place_name(rates[i].place) for i in shown], rotation=90)
    panel.tick_params(axis="x", length=0)
    panel.grid(axis="y", color=PALE, linewidth=0.5)
    if any(line[0] for line in known):
        panel.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            frameon=False,
            borderaxespad=0.1,
            handletextpad=0.2,
            labelspacing=0.15,
            fontsize=SMALL,
            borderpad=0,
            handlelength=1.2,
        )


def _notes(swap: Swap) -> list[str]:
    """Return what a reader must know before trusting the figure."""
    swapped = swap.swapped
    where = f"{swapped.source} {swapped.split}".rstrip()
    right = ", all of which the network has right" if swapped.labelled else ""
    grey = " Grey: not asked." if swap.matrix and not len(swapped.within) else ""
    return [
        f"{swapped.checkpoint}: {len(swapped.across):,} pairs of images of two classes and "
        f"{len(swapped.within):,} of one, of {len(swapped.images)} images of {where}{right}. Lines: 95 % "
        "intervals, pairs that share an image counted as such; log odds for all blocks together. One third "
        f"class: the mean over the other classes that take part, what a disturbance alone gives.{grey}"
    ]
