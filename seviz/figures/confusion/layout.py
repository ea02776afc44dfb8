"""Where the parts of a matrix go, in inches: cells, labels, axis names, colour bar, small print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seviz.figures.layout import PAGE_WIDTH, Box
from seviz.figures.style import LEAST, SMALL, TEXT
from seviz.figures.text import shown_name, text_width

NUMBERED_CELL = (0.34, 0.9)  # least and largest side of a cell that holds a number
PLAIN_CELL = (0.105, 0.16)
SIDE = 5.0  # of a matrix whose cells may have the side that they like
LEAST_NUMBER, LARGEST_NUMBER = LEAST, 9.0
WIDEST_LABEL = 2.0
_FULL = 0.82  # share of a cell's width that a number may take
_TOP = 0.34
_NAME = 0.18
_GAP = 0.06
_BAR_GAP, _BAR, _BAR_LABELS = 0.14, 0.14, 0.52
_NOTE_LINE = 0.13


@dataclass(frozen=True)
class MatrixLayout:
    """The places of everything around one matrix.

    Attributes:
        rows: Rows of cells.
        columns: Columns of cells.
        cell: Side of a cell.
        left: Width of the widest row label.
        below: Height of the tallest column label.
        rotation: Of the column labels, in degrees.
        label_size: Of the labels, in points.
        number_size: Of the numbers in the cells, in points.
        notes: Lines of small print at the foot.
        head: Lines above the title.
        widest_label: Width that a label may have.
    """

    rows: int
    columns: int
    cell: float
    left: float
    below: float
    rotation: int
    label_size: float
    number_size: float
    notes: int = 0
    head: int = 0
    widest_label: float = WIDEST_LABEL

    margin = _GAP

    @classmethod
    def fitted(
        cls,
        rows: Sequence[str],
        columns: Sequence[str],
        number: str | None,
        width: float | None = None,
        height: float = math.inf,
    ) -> MatrixLayout:
        """Return the layout that has room for these labels, on one page.

        Args:
            rows: Labels of the rows.
            columns: Labels of the columns.
            number: The longest number of a cell; ``None`` if cells hold none.
            width: Of the figure; by default as the cells need it, and not wider than a page.
            height: What it should not be taller than: but the numbers of cells must fit in them.
        """
        made = cls._free(rows, columns, number, WIDEST_LABEL, None)
        most = width or PAGE_WIDTH
        if width is None and made.width <= most and made.height <= height:
            return made
        least = LEAST_NUMBER * text_width(10.0)(number) / 10 / _FULL if number is not None else 0.0
        widest = min(WIDEST_LABEL, 0.26 * most)
        for _ in range(3):  # smaller cells have smaller labels, which leave more room for cells
            made = cls._free(rows, columns, number, widest, made.cell)
            cell = (most - made.width + made.columns * made.cell) / made.columns
            up = (height - made.height + made.rows * made.cell) / made.rows
            cell = min(cell, max(up, least), NUMBERED_CELL[1])
            made = cls._free(rows, columns, number, widest, cell)
        return made

    @classmethod
    def _free(
        cls,
        rows: Sequence[str],
        columns: Sequence[str],
        number: str | None,
        longest: float,
        given: float | None,
    ) -> MatrixLayout:
        """Return the layout with cells of a size, or of the one they like."""
        least, largest = NUMBERED_CELL if number is not None else PLAIN_CELL
        cell = given or min(max(SIDE / len(columns), least), largest)
        number_size = LARGEST_NUMBER
        if number is not None:
            wide = text_width(10.0)(number) / 10  # of one point
            if given is None:
                cell = max(cell, LEAST_NUMBER * wide / _FULL)
            number_size = min(LARGEST_NUMBER, cell * _FULL / wide, 72 * cell * 0.8)
        size = max(LEAST, min(TEXT if len(columns) <= 20 else SMALL, 72 * cell * 0.88))
        measure = text_width(size)

        def widest(names: Sequence[str]) -> float:
            return max(measure(shown_name(n, longest, measure)) for n in names)

        across = widest(columns)
        turned = number is not None and cell > 0.25
        rotation = 0 if across < 0.92 * cell else 45 if turned else 90
        line = size / 72
        tall = {0: line, 45: 0.71 * (across + line), 90: across}[rotation]
        return cls(
            len(rows), len(columns), cell, widest(rows), tall, rotation, size, number_size,
            widest_label=longest,
        )  # fmt: skip

    @property
    def step(self) -> int:
        """Return every which class is named, for the names not to lie on each other."""
        return max(1, math.ceil(1.06 * self.label_size / 72 / self.cell - 1e-6))

    @property
    def numbered(self) -> bool:
        """Return whether the numbers of cells can be read."""
        return self.number_size >= LEAST_NUMBER - 1e-6

    def with_notes(self, lines: int, head: int = 0) -> MatrixLayout:
        """Return the layout with room for small print, and for sentences above the title."""
        return replace(self, notes=lines, head=head)

    @property
    def axis_name(self) -> float:
        """Return the height of the name of the horizontal axis above the foot."""
        return _GAP + self.notes * _NOTE_LINE + (_GAP if self.notes else 0)

    @property
    def _corner(self) -> tuple[float, float]:
        left = _GAP + _NAME + self.left + 2 * _GAP
        # Turned labels of the first columns reach to the left of their cells.
        turned = self.below - self.cell / 2 if self.rotation == 45 else 0.0
        return max(left, turned), self.axis_name + _NAME + self.below + _GAP

    @property
    def width(self) -> float:
        """Return the width of the figure."""
        grid = self.columns * self.cell
        return self._corner[0] + grid + _BAR_GAP + _BAR + _BAR_LABELS

    @property
    def height(self) -> float:
        """Return the height of the figure."""
        return self._corner[1] + self.rows * self.cell + _TOP + self.head * _NOTE_LINE

    @property
    def box(self) -> Box:
        """Return left, bottom, width and height of the cells, as shares of the figure."""
        left, bottom = self._corner
        return (
            left / self.width,
            bottom / self.height,
            self.columns * self.cell / self.width,
            self.rows * self.cell / self.height,
        )

    @property
    def bar(self) -> Box:
        """Return the place of the colour bar, as shares of the figure."""
        left, bottom, wide, tall = self.box
        return left + wide + _BAR_GAP / self.width, bottom, _BAR / self.width, tall
