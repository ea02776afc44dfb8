"""Text in figures: names, how wide they are and how they are shown; small print."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from seviz.errors import printable
from seviz.figures.fonts import boxes_are_told, drawable, families, give_letters
from seviz.figures.style import GREY, SMALL, figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text


# Line breaks and tabs, of which a sentence in lines has its own.
_SPACES = dict.fromkeys(map(ord, "\t\n\x0b\x0c\r"), " ")


def renderer(dpi: float) -> Any:
    """Return something that measures text."""
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, dpi)  # type: ignore[no-untyped-call]


def text_width(size: float) -> Callable[[str], float]:
    """Return a function that tells the width of a text of this size in the present font, in inches."""
    from matplotlib import rcParams

    return _text_width(size, tuple(rcParams["font.family"]), tuple(rcParams["font.sans-serif"]))


@lru_cache
def _text_width(
    size: float, family: tuple[str, ...], sans: tuple[str, ...]
) -> Callable[[str], float]:
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties

    dots = 288
    with figure_style():
        measuring = renderer(dots)

    @lru_cache(maxsize=4096)  # a class is named beside its row, below its column, and in lists
    def width(text: str) -> float:
        text = _seen(text)
        # As figures are drawn, whoever asks first: the width is remembered, and breaks their lines.
        before = rcParams["text.hinting"]
        rcParams["text.hinting"] = "no_hinting"
        drawn = FontProperties(family=[*family, *families(text, family)], size=size)
        try:
            with boxes_are_told():
                return float(measuring.get_text_width_height_descent(text, drawn, False)[0]) / dots
        finally:
            rcParams["text.hinting"] = before

    return width


def _seen(text: str) -> str:
    """Return a text with a space in place of every letter that is not seen."""
    if text.isprintable():
        return text
    return "".join(c if printable(c) == c else " " for c in text)


def shown_name(name: str, available: float, measure: Callable[[str], float]) -> str:
    """Return a class name on one line; one wider than ``available`` inches loses its middle."""
    from matplotlib import rcParams

    name = " ".join(_seen(name).split())
    name = drawable(name, rcParams["font.family"])

    def cut(kept: int) -> str:
        return f"{name[: (kept + 1) // 2].rstrip()}…{name[-(kept // 2) :].lstrip()}"

    if measure(name) <= available:
        return name
    fits, too_wide = 2, len(name)
    while too_wide - fits > 1:
        middle = (fits + too_wide) // 2
        fits, too_wide = (middle, too_wide) if measure(cut(middle)) <= available else (fits, middle)
    return cut(fits)


def fitting(texts: Sequence[str], available: float, measure: Callable[[str], float]) -> str:
    """Return the first of some ways to say a thing that has room; the last, shortened, where none has."""
    return next((t for t in texts if measure(t) <= available), "") or shown_name(
        texts[-1], available, measure
    )


def set_plain(text: Text, name: str) -> None:
    """Show a name as it is: it is no markup, "$" starts no formula in it; what no font has is escaped."""
    text.set_parse_math(False)
    text.set_text("\n".join(map(printable, name.split("\n"))))
    give_letters(text)


def add_notes(figure: Figure, lines: Sequence[str]) -> None:
    """Write the small print at the foot."""
    width, height = figure.get_size_inches()
    note = figure.text(
        0.1 / width, 0.06 / height, "", fontsize=SMALL, color=GREY, va="bottom", linespacing=1.15
    )
    set_plain(note, "\n".join(lines))


def add_head(figure: Figure, lines: Sequence[str]) -> None:
    """Write what is found at the top."""
    width, height = figure.get_size_inches()
    text = figure.text(
        0.1 / width, 1 - 0.06 / height, "", fontsize=SMALL, va="top", linespacing=1.15
    )
    set_plain(text, "\n".join(lines))


def wrapped(notes: Sequence[str], width: float, size: float = SMALL) -> list[str]:
    """Return the small print in lines at most ``width`` inches wide."""
    measure = text_width(size)
    lines: list[str] = []
    for note in map(printable, (note.translate(_SPACES) for note in notes)):
        # By what words take: of thousands of letters an average serves to begin with.
        most = int(width / (measure("n" * 100) / 100) * 1.3)
        while True:
            found = textwrap.wrap(note, most)
            if most < 10 or all(measure(line) <= width for line in found):
                break
            most -= 2
        lines += found
    return lines


def thinned(count: int, room: float, size: float = SMALL) -> int:
    """Return of how many upright names of this size one is written, so that none touches the next.

    Args:
        count: Names there are, evenly spaced.
        room: Inches that they share.
        size: Of the text, in points.

    >>> [thinned(n, 1.4) for n in (3, 10, 50)]
    [1, 1, 5]
    """
    each = 1.25 * size / 72
    return max(1, math.ceil(count * each / room))


def two_digits(value: float) -> str:
    """Return a number with two digits that count, and never as a power of ten.

    >>> [two_digits(v) for v in (0.1234, 0.0987, 0.00512, 1.5, 0.0)]
    ['0.12', '0.099', '0.0051', '1.5', '0']
    """
    if not value:
        return "0"
    places = max(0, 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, 6)}f}"


def inches(panel: Axes) -> tuple[float, float]:
    """Return width and height of a panel."""
    box = panel.get_window_extent()
    dpi = cast("Figure", panel.figure).dpi
    return box.width / dpi, box.height / dpi
