"""What is seen of a figure: every text that is drawn with its size and place, and pixels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

DPI = 200


@dataclass(frozen=True)
class Drawn:
    """A text as it is drawn: its size in points, its place in dots."""

    text: str
    size: float
    box: Bbox
    turned: bool
    upright: bool = False

    @property
    def line(self) -> float:
        """Return the height of its line: upright, that is the width of its box."""
        return float(self.box.width if self.upright else self.box.height)


def picture(figure: Figure, dpi: float = DPI) -> npt.NDArray[np.uint8]:
    """Return the dots of a figure, [height, width, 3]."""
    return seen(figure, dpi)[0]


def texts(figure: Figure, dpi: float = DPI) -> list[Drawn]:
    """Return every text that is drawn, ticks in view included, and no other."""
    return seen(figure, dpi)[1]


def seen(figure: Figure, dpi: float = DPI) -> tuple[npt.NDArray[np.uint8], list[Drawn]]:
    """Draw a figure; return its dots and its texts."""
    found: list[Drawn] = []
    draw = Text.draw

    def note(self: Text, renderer: Any, *args: Any, **kwargs: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            box = self.get_window_extent(renderer)
            turned, upright = self.get_rotation() % 90 != 0, self.get_rotation() % 180 == 90
            found.append(Drawn(self.get_text(), float(self.get_fontsize()), box, turned, upright))
        draw(self, renderer, *args, **kwargs)

    before = figure.dpi
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    try:
        with mock.patch.object(Text, "draw", note):
            canvas.draw()
        dots = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    finally:
        figure.set_dpi(before)
    return dots, found


def check_readable(figure: Figure, least: float = 5.0) -> list[Drawn]:
    """Make sure that no text is too small, on another, or cut off by the edge; return the texts."""
    found = texts(figure)
    width, height = figure.get_size_inches() * DPI
    for one in found:
        assert one.size >= least, one
        assert one.box.x0 >= -0.5, one
        assert one.box.y0 >= -0.5, one
        assert one.box.x1 <= width + 0.5, one
        assert one.box.y1 <= height + 0.5, one
    for a, b in itertools.combinations(found, 2):
        if not (a.turned or b.turned):
            inside = (
                min(a.box.x1, b.box.x1) - max(a.box.x0, b.box.x0),
                min(a.box.y1, b.box.y1) - max(a.box.y0, b.box.y0),
            )
            # Boxes have room for letters that reach below the line.
            assert min(inside) <= 0.18 * min(a.line, b.line), (a, b)
    return found


def contrast(one: Any, other: Any = (1, 1, 1)) -> float:
    """Return the contrast of two colours (WCAG 2), computed here and not by what is tested."""

    def light(colour: Any) -> float:
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
