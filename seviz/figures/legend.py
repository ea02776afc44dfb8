"""The one legend of a figure: rows of names that never reach into the panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from seviz.figures.layout import by_row, legend_columns
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import MARKER_SIZE, SMALL, TEXT, curve_styles
from seviz.figures.text import renderer, set_plain, shown_name, text_width

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

# The lines that the entries of a figure's legend stand for.
_OF: WeakKeyDictionary[Figure, list[tuple[Line2D, Line2D]]] = WeakKeyDictionary()
_MANY = 12  # entries, from which on the text is smaller
_WIDEST_NAME = 3.0  # inches; one name must not take the columns from all others
# Sizes in units of the font size.
_SIZES = {"handlelength": 2.2, "handletextpad": 0.5, "columnspacing": 1.6, "labelspacing": 0.3}


def follow(figure: Figure, legend: Legend, lines: Sequence[Line2D]) -> None:
    """Let the entries of a legend look as these lines do, also where those are changed later."""
    entries = legend.get_lines()
    _OF[figure] = list(zip(entries, by_row(lines, legend._ncols), strict=True))  # type: ignore[attr-defined]


def catch_up(figure: Figure) -> None:
    """Give the entries of a figure's legend the looks that their lines have now."""
    for entry, line in _OF.get(figure, ()):
        for name in ("color", "linestyle", "marker", "linewidth", "markerfacecolor"):
            now = getattr(line, f"get_{name}")()
            if name != "linestyle" and getattr(entry, f"get_{name}")() != now:
                getattr(entry, f"set_{name}")(now)


def add_legend(
    figure: Figure,
    names: Sequence[str],
    available: float,
    colors: Sequence[Any] = (),
    look: Look = PLAIN,
) -> tuple[Legend, float]:
    """Add the legend of a figure; return it, to be moved, with its height in inches.

    Args:
        figure: Where to draw.
        names: Names of the curves, in the order of `curve_styles`.
        available: Width in inches; entries that do not fit go to a further row.
        colors: Colours of the classes, in place of the usual ones.
        look: Whose palette and names they have.
    """
    shown = [look.named(name) for name in names]
    styles = [
        {"markersize": MARKER_SIZE, "markeredgewidth": 0, **style}
        for style in curve_styles(len(names), colors=colors, look=look)
    ]
    return add_entries(figure, shown, styles, available)


def add_entries(
    figure: Figure, names: Sequence[str], styles: Sequence[Mapping[str, Any]], available: float
) -> tuple[Legend, float]:
    """Add a legend of lines of any looks; return it, to be moved, with its height in inches.

    Args:
        figure: Where to draw.
        names: What the lines are called.
        styles: How each line looks, as matplotlib's ``Line2D`` takes it.
        available: Width in inches; entries that do not fit go to a further row.
    """
    from matplotlib.lines import Line2D

    size = TEXT if len(names) <= _MANY else SMALL
    measure = text_width(size)
    unit = size / 72
    handle = (_SIZES["handlelength"] + _SIZES["handletextpad"]) * unit
    widest = min(available - handle, _WIDEST_NAME)
    shown = [shown_name(name, widest, measure) for name in names]
    columns = legend_columns(
        [handle + measure(name) for name in shown], _SIZES["columnspacing"] * unit, available
    )
    lines = [Line2D([], [], **style) for style in styles]
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
    _name(legend, by_row(shown, columns))
    return legend, legend.get_window_extent(renderer(figure.dpi)).height / figure.dpi


def name_lines(panel: Axes, entries: Sequence[tuple[Artist, str]], **style: Any) -> Legend:
    """Add the legend of a panel whose lines bear names from elsewhere: of files, classes, columns of a log.

    Args:
        panel: Where the lines are.
        entries: Each line, or band, with its name, which has room.
        **style: Of the legend.
    """
    legend = panel.legend([line for line, _ in entries], [""] * len(entries), **style)
    _name(legend, [name for _, name in entries])
    return legend


def _name(legend: Legend, names: Sequence[str]) -> None:
    # Set one by one, because a name is no markup: "_" hides an entry and "$" starts a formula.
    for text, name in zip(legend.get_texts(), names, strict=True):
        set_plain(text, name)
