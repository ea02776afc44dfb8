"""Where the panels go, in inches.

Pure arithmetic: matplotlib's own layout engines measure every text, which is slow for 50 panels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

# A column and a page of a two-column paper; five panels across are wider, for print to scale down.
COLUMN_WIDTH = 3.5
PAGE_WIDTH = 7.2
WIDE = 9.0
# Of a figure: what a page holds with a caption. Where panels can be made to fit, they are.
TALLEST = 9.2

_LEFT = 0.5  # axis label and tick labels
_RIGHT = 0.12  # half of the last tick label
_BELOW_PANELS = 0.37  # tick labels and axis label
_ABOVE_PANELS = 0.22  # titles
_MARGIN = 0.06
_ACROSS = 0.2  # between panels
_DOWN = 0.43
_FLATNESS = {1: 0.62, 2: 0.55, 3: 0.70, 4: 0.75}  # height of a panel / its width, by columns
_NOTE_LINE = 0.13

Box = tuple[float, float, float, float]
T = TypeVar("T")


_NARROWEST = 1.15  # of a panel, where the width of the figure is given
_CROWDED = 0.74  # of panels so many that no page would hold them at that
_FLATTEST = 0.34  # height of such panels
_COLUMN = 4.5  # width of a figure, up to which it is one of a column
_OWN_AXES = 0.27  # more between panels that have vertical axes of their own


def columns_for(panels: int) -> int:
    """Return how many panels stand side by side.

    >>> [columns_for(n) for n in (1, 3, 4, 6, 9, 16, 50)]
    [1, 3, 2, 3, 3, 4, 5]
    """
    return panels if panels <= 3 else min(math.ceil(math.sqrt(panels)), 5)


@dataclass(frozen=True)
class Layout:
    """The places of everything in a figure of equal panels, filled row by row.

    Attributes:
        panels: Number of panels.
        legend: Height of the legend, inches.
        notes: Lines of small print at the foot.
        wide: Width of the figure, where that is given.
        free: Whether each panel has a vertical axis of its own.
    """

    panels: int
    legend: float = 0.0
    notes: int = 0
    wide: float | None = None
    free: bool = False

    @property
    def across(self) -> float:
        """Return the gap between panels side by side."""
        return _ACROSS + (_OWN_AXES if self.free else 0.0)

    @property
    def columns(self) -> int:
        """Return the number of panels side by side."""
        if self.wide is None:
            return columns_for(self.panels)
        usual = columns_in(self.panels, self.inner_width, self.across)
        crowded = columns_in(self.panels, self.inner_width, self.across, _CROWDED)
        wanted = (c for c in range(usual, crowded) if self._room(c) >= _FLATTEST)
        return next(wanted, crowded)

    @property
    def rows(self) -> int:
        """Return the number of rows of panels."""
        return math.ceil(self.panels / self.columns)

    @property
    def width(self) -> float:
        """Return the width of the figure in inches."""
        if self.wide is not None:
            return self.wide
        columns = columns_for(self.panels)
        if columns == 1:
            return COLUMN_WIDTH
        return PAGE_WIDTH if columns <= 4 else WIDE

    @property
    def inner_width(self) -> float:
        """Return the width that the panels and the gaps between them take up."""
        return self.width - _LEFT - _RIGHT

    @property
    def panel(self) -> tuple[float, float]:
        """Return width and height of one panel in inches."""
        width = (self.inner_width - (self.columns - 1) * self.across) / self.columns
        height = width * _FLATNESS.get(self.columns, 0.6)
        return width, min(height, max(self._room(self.columns), _FLATTEST))

    def _room(self, columns: int) -> float:
        """Return how tall panels may be for so many side by side to end with the page."""
        rows = math.ceil(self.panels / columns)
        tallest = TALLEST * max(self.width / PAGE_WIDTH, 1.0)  # of a wider figure, print makes less
        return (tallest - self.foot - self.head - (rows - 1) * _DOWN) / rows

    @property
    def foot(self) -> float:
        """Return the height below the lowest panels."""
        return _MARGIN + self.notes * _NOTE_LINE + _BELOW_PANELS

    @property
    def head(self) -> float:
        """Return the height above the highest panels."""
        return _ABOVE_PANELS + self.legend + 2 * _MARGIN

    @property
    def height(self) -> float:
        """Return the height of the figure in inches."""
        grid = self.rows * self.panel[1] + (self.rows - 1) * _DOWN
        return self.foot + grid + self.head

    def box(self, position: int) -> Box:
        """Return left, bottom, width and height of a panel, as shares of the figure."""
        row, column = divmod(position, self.columns)
        width, height = self.panel
        left = _LEFT + column * (width + self.across)
        bottom = self.foot + (self.rows - 1 - row) * (height + _DOWN)
        return (
            left / self.width,
            bottom / self.height,
            width / self.width,
            height / self.height,
        )

    @property
    def middle(self) -> tuple[float, float]:
        """Return the middle of the panels, as shares of the figure."""
        grid = self.rows * self.panel[1] + (self.rows - 1) * _DOWN
        return (_LEFT + self.inner_width / 2) / self.width, (self.foot + grid / 2) / self.height

    @property
    def legend_place(self) -> tuple[float, float]:
        """Return the middle of the legend, as a share of the figure, and its width in inches.

        It is over the panels, and in a column has all of its width.
        """
        if self.width <= _COLUMN:
            return 0.5, self.width - 2 * _MARGIN
        return self.middle[0], self.inner_width

    @property
    def top_edge(self) -> float:
        """Return the top of the legend, as a share of the figure."""
        return 1 - _MARGIN / self.height

    @property
    def label_edges(self) -> tuple[float, float]:
        """Return the left edge of the vertical axis label and the bottom of the other."""
        return _MARGIN / self.width, (_MARGIN + self.notes * _NOTE_LINE) / self.height

    @property
    def note_edges(self) -> tuple[float, float]:
        """Return left and bottom of the small print, as shares of the figure."""
        return _LEFT / self.width, _MARGIN / self.height


def columns_in(panels: int, available: float, gap: float, narrowest: float = _NARROWEST) -> int:
    """Return how many panels stand side by side in a width that is given.

    >>> [columns_in(5, width, 0.16) for width in (6.6, 2.7, 1.4)]
    [3, 2, 1]
    """
    fits = int((available + gap) / (narrowest + gap))
    return max(1, min(columns_for(panels), fits))


def legend_columns(widths: Sequence[float], gap: float, available: float) -> int:
    """Return the columns of the lowest legend in which entries of these widths fit, row by row.

    >>> legend_columns([1.0] * 5, gap=0.2, available=5.0)
    3
    """
    for rows in range(1, len(widths)):
        columns = math.ceil(len(widths) / rows)
        needed = sum(max(widths[c::columns]) for c in range(columns)) + gap * (columns - 1)
        if needed <= available:
            return columns
    return 1


def by_row(entries: Sequence[T], columns: int) -> list[T]:
    """Reorder entries so that a legend, which fills its columns first, reads along its rows.

    >>> by_row("abcde", 3)
    ['a', 'd', 'b', 'e', 'c']
    """
    return [entry for column in range(columns) for entry in entries[column::columns]]
