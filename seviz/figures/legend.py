"""The one legend of a figure: rows of names that never reach into the panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from seviz.figures.layout import by_row, legend_columns
from seviz.figures.style import SMALL, TEXT, curve_styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

_MANY = 12  # entries, from which on the text is smaller
_WIDEST_NAME = 3.0  # inches; one name must not take the columns from all others
# Sizes in units of the font size.
_SIZES = {"handlelength": 2.2, "handletextpad": 0.5, "columnspacing": 1.6, "labelspacing": 0.3}


def add_legend(figure: Figure, names: Sequence[str], available: float) -> tuple[Legend, float]:
    """Add the legend of a figure; return it, to be moved, with its height in inches.

    Args:
        figure: Where to draw.
        names: Names of the curves, in the order of `curve_styles`.
        available: Width in inches; entries that do not fit go to a further row.
    """
    from matplotlib.lines import Line2D

    size = TEXT if len(names) <= _MANY else SMALL
    measure = _text_width(size)
    unit = size / 72
    handle = (_SIZES["handlelength"] + _SIZES["handletextpad"]) * unit
    widest = min(available - handle, _WIDEST_NAME)
    shown = [_shown(name, widest, measure) for name in names]
    columns = legend_columns(
        [handle + measure(name) for name in shown], _SIZES["columnspacing"] * unit, available
    )
    lines = [Line2D([], [], **style) for style in curve_styles(len(names))]
    legend = figure.legend(
        by_row(lines, columns),
        [""] * len(lines),
        loc="upper center",
        ncols=columns,
        fontsize=size,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        **_SIZES,
    )
    # Set one by one, because a name is no markup: "_" hides an entry and "$" starts a formula.
    for text, name in zip(legend.get_texts(), by_row(shown, columns), strict=True):
        text.set_parse_math(False)
        text.set_text(name)
    return legend, legend.get_window_extent(_renderer(figure.dpi)).height / figure.dpi


def _renderer(dpi: float) -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, dpi)  # type: ignore[no-untyped-call]


def _text_width(size: float) -> Callable[[str], float]:
    """Return a function that tells the width of a text in the legend, in inches."""
    from matplotlib.font_manager import FontProperties

    dots = 288  # fine enough that hinting to whole pixels does not matter
    renderer, font = _renderer(dots), FontProperties(size=size)

    def width(text: str) -> float:
        return float(renderer.get_text_width_height_descent(text, font, False)[0]) / dots

    return width


def _shown(name: str, available: float, measure: Callable[[str], float]) -> str:
    """Return a class name on one line; one wider than the figure loses its middle."""
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    short, kept = name, len(name)
    while measure(short) > available and kept > 2:
        kept -= 1
        short = f"{name[: (kept + 1) // 2].rstrip()}…{name[-(kept // 2) :].lstrip()}"
    return short
