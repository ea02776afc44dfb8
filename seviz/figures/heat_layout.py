"""Where the parts of a heat map go, in inches: panels in a grid, names at their left, one colour bar."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seviz.figures.layout import COLUMN_WIDTH, PAGE_WIDTH, TALLEST, Box
from seviz.figures.style import LEAST, SMALL

# Cells to the inch, at most: two dots of print each at 200 to the inch.
CELLS = 100
_NARROWEST = 0.78  # of a panel
_CROWDED = 0.62  # of panels so many that no page would hold them at that
_ROW = 0.125  # of a class, where there is room
_PANEL = (0.45, 3.2)  # least and largest height
_SMALLEST = 0.26  # height of a panel of so many that no page holds them
_ACROSS = 0.11
_MARGIN = 0.06
_BAR, _BAR_TEXT = 0.07, 0.27
_OVER_NOTES = 0.04
_NOTE_LINE = 0.128
WIDEST_NAMES = 0.24  # share of the figure that class names may take


@dataclass(frozen=True)
class HeatLayout:
    """The places of everything in a heat map.

    Attributes:
        panels: Number of panels.
        classes: Number of classes.
        width: Of the figure.
        names: Width of the widest class name.
        small: Size of small text, in points.
        notes: Lines of small print at the foot.
    """

    panels: int
    classes: int
    width: float
    names: float
    small: float = SMALL
    notes: int = 0

    @property
    def left(self) -> float:
        """Return where the first panels begin."""
        return _MARGIN + self.names + (0.05 if self.names else 0.0)

    @property
    def inner_width(self) -> float:
        """Return the width of all panels with the gaps between them."""
        return self.width - self.left - _MARGIN

    @property
    def columns(self) -> int:
        """Return the number of panels side by side: nearly a square, with few places left empty."""
        wanted = self.panels if self.panels <= 3 else math.ceil(math.sqrt(self.panels))
        most, crowded = (min(wanted, self._fitting(least)) for least in (_NARROWEST, _CROWDED))

        def cost(columns: int) -> float:
            return -self.panels % columns + 1.1 * (most - columns)

        usual = min(range(max(1, most - 3), most + 1), key=lambda c: (cost(c), -c))
        wanted_columns = (c for c in range(usual, crowded) if self._room(c) >= _SMALLEST)
        return next(wanted_columns, max(usual, crowded)) if self._room(usual) < _SMALLEST else usual

    def _fitting(self, narrowest: float) -> int:
        """Return how many panels fit side by side."""
        return max(1, int((self.inner_width + _ACROSS) / (narrowest + _ACROSS)))

    def _room(self, columns: int) -> float:
        """Return how tall panels may be for so many side by side to end with the page."""
        return (TALLEST - self.foot - _MARGIN) / math.ceil(self.panels / columns) - self.title

    @property
    def rows(self) -> int:
        """Return the number of rows of panels."""
        return math.ceil(self.panels / self.columns)

    @property
    def title(self) -> float:
        """Return the height of a title with the gap above it."""
        return 2.25 * (self.small + 1) / 72

    @property
    def foot(self) -> float:
        """Return the height below the panels."""
        return _MARGIN + self.notes * self.note_line + _OVER_NOTES + self.bar_text + _BAR + 0.1

    @property
    def note_line(self) -> float:
        """Return the height of a line of small print."""
        return _NOTE_LINE * self.small / SMALL

    @property
    def bar_text(self) -> float:
        """Return the height of what stands below the colour bar."""
        return _BAR_TEXT * self.small / SMALL

    @property
    def panel(self) -> tuple[float, float]:
        """Return width and height of a panel."""
        width = (self.inner_width - (self.columns - 1) * _ACROSS) / self.columns
        least, largest = _PANEL
        room = max(self._room(self.columns), _SMALLEST)
        height = min(max(self.classes * _ROW, least), largest, room)
        return width, height

    @property
    def height(self) -> float:
        """Return the height of the figure."""
        return self.foot + self.rows * (self.panel[1] + self.title) + _MARGIN

    @property
    def name_size(self) -> float:
        """Return the size of class names in points: as the rows allow, and never below what can be read."""
        return min(self.small, max(LEAST, 72 * self.panel[1] / self.classes * 0.86))

    @property
    def step(self) -> int:
        """Return every which class is named, for the names not to lie on each other."""
        pitch = self.panel[1] / self.classes
        return max(1, math.ceil(1.02 * self.name_size / 72 / pitch))

    def group(self, count: int, across: bool) -> int:
        """Return how many neighbours share a cell, of so many channels (``across``) or classes."""
        return max(1, math.ceil(count / (CELLS * self.panel[0 if across else 1])))

    def box(self, position: int) -> Box:
        """Return left, bottom, width and height of a panel, as shares of the figure."""
        row, column = divmod(position, self.columns)
        width, height = self.panel
        left = self.left + column * (width + _ACROSS)
        bottom = self.foot + (self.rows - 1 - row) * (height + self.title)
        return (
            left / self.width,
            bottom / self.height,
            width / self.width,
            height / self.height,
        )

    @property
    def bar(self) -> Box:
        """Return the place of the colour bar, as shares of the figure."""
        wide = min(2.6, 0.75 * self.inner_width)
        left = self.left + (self.inner_width - wide) / 2
        bottom = _MARGIN + self.notes * self.note_line + _OVER_NOTES + self.bar_text
        return left / self.width, bottom / self.height, wide / self.width, _BAR / self.height


def default_width(panels: int, names: float) -> float:
    """Return the width of a figure that nobody gave one: of a column for a single panel."""
    return COLUMN_WIDTH if panels == 1 and names < WIDEST_NAMES * COLUMN_WIDTH else PAGE_WIDTH
