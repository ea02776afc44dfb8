"""The cells of a matrix: colours, numbers that can be read on them, and rows without images.

Cell (row, column) covers column..column + 1 across and row..row + 1 down, in every way of drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from seviz.figures.style import CMAP, GREY, luminance
from seviz.results.stats import Floats

if TYPE_CHECKING:
    from matplotlib import colors
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

# What the cells say: percentages of the row, of the column, of all images; or counts.
Normalize = Literal["true", "pred", "all", "none"]

# The faintest colour of a cell that is not 0, where no number says so.
FAINTEST = 0.3
EMPTY = "#F2F2F2"
# What was right: seen, and not read first. Errors have the colours to themselves.
RIGHT = "#DADADA"
# Above this relative luminance dark text has more contrast than white: there both have 3.9.
LIGHT = 0.22
DARK_TEXT, LIGHT_TEXT = "#262626", "white"


def scale(values: Floats, *, log: bool, top: float | None = None) -> colors.Normalize:
    """Return the scale of the colours, from 0 (on a logarithmic scale the least above) to the largest."""
    from matplotlib.colors import LogNorm, Normalize

    largest = top or float(np.nanmax(values, initial=0.0)) or 1.0
    if not log:
        return Normalize(0, largest)
    positive = values[values > 0]
    least = float(positive.min()) if len(positive) else largest / 10
    return LogNorm(least, max(largest, 1.001 * least))


def visible_colours() -> colors.Colormap:
    """Return colours in which a cell of 0 is white and any other is not."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    shades = matplotlib.colormaps[CMAP](np.linspace(FAINTEST, 1, 256))
    return ListedColormap(shades).with_extremes(bad="white")


def draw_annotated(
    panel: Axes, values: Floats, texts: npt.NDArray[np.str_], norm: colors.Normalize, size: float
) -> ScalarMappable:
    """Draw a small matrix with a number in each cell that has a value.

    Args:
        panel: Where to draw.
        values: What the colours show, [R, C]; NaN for cells without a value. The diagonal is grey.
        texts: What the cells say, [R, C].
        norm: Scale of the colours.
        size: Of the numbers, in points.
    """
    import matplotlib

    for spine in panel.spines.values():
        spine.set_visible(False)
    rows, columns = values.shape
    mesh: ScalarMappable = panel.pcolormesh(
        np.ma.masked_invalid(off_diagonal(values)),
        # A logarithmic scale has no colour for 0.
        cmap=matplotlib.colormaps[CMAP].with_extremes(bad="white"),
        norm=norm,
        linewidths=0.4,
        edgecolors="white",
    )
    panel.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])
    grey_diagonal(panel, values)
    write_numbers(panel, texts, mesh, values, size)
    return mesh


def off_diagonal(values: Floats) -> Floats:
    """Return the errors alone: NaN where a class was taken for itself."""
    errors = np.array(values, dtype=np.float64)
    np.fill_diagonal(errors, np.nan)
    return errors


def grey_diagonal(panel: Axes, values: Floats) -> None:
    """Paint the cells of what was right, of classes that have images."""
    from matplotlib.collections import PolyCollection

    right = [i for i in range(min(values.shape)) if not np.isnan(values[i, i])]
    squares = [[(i, i), (i + 1, i), (i + 1, i + 1), (i, i + 1)] for i in right]
    panel.add_collection(PolyCollection(squares, facecolor=RIGHT, edgecolor="white", linewidth=0.3))


def draw_raster(
    panel: Axes, dots: Floats, norm: colors.Normalize, shape: tuple[int, int] | None = None
) -> ScalarMappable:
    """Draw a matrix as one image; zeros are white.

    Args:
        panel: Where to draw.
        dots: What the colours show, [h, w].
        norm: Scale of the colours.
        shape: Rows and columns of the matrix, where a dot stands for more than one cell.
    """
    rows, columns = shape or dots.shape
    return panel.imshow(
        np.ma.masked_where(~(dots > 0), dots),
        cmap=visible_colours(),
        norm=norm,
        interpolation="nearest",
        extent=(0, columns, rows, 0),
        aspect="auto",
    )


def write_numbers(
    panel: Axes, texts: npt.NDArray[np.str_], mesh: ScalarMappable, values: Floats, size: float
) -> None:
    """Write a text in the middle of each cell that has one, dark on light and light on dark."""
    for row, column in zip(*np.nonzero(texts != ""), strict=True):
        value = values[row, column]
        light = row == column or not value > 0 or luminance(mesh.to_rgba(value)) > LIGHT
        panel.text(
            column + 0.5,
            row + 0.5,
            str(texts[row, column]),
            ha="center",
            va="center",
            fontsize=size,
            color=DARK_TEXT if light else LIGHT_TEXT,
        )


def hatch(
    panel: Axes, places: Iterable[int], length: int, text: str, size: float, *, down: bool = False
) -> None:
    """Hatch whole rows (or columns, ``down``) that have no value, and say why.

    Args:
        panel: Where to draw.
        places: The rows or columns.
        length: Cells in each.
        text: Why; written once on neighbours.
        size: Of the text, in points.
        down: Whether they are columns.
    """
    from matplotlib.patches import Rectangle

    for begin, count in _runs(places):
        corner, wide, tall = ((begin, 0), count, length) if down else ((0, begin), length, count)
        panel.add_patch(
            Rectangle(
                corner, wide, tall, facecolor=EMPTY, edgecolor=GREY, hatch="////", linewidth=0
            )
        )
        panel.text(
            corner[0] + wide / 2,
            corner[1] + tall / 2,
            text,
            ha="center",
            va="center",
            rotation=90 if down else 0,
            fontsize=size,
            color=DARK_TEXT,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )


def _runs(places: Iterable[int]) -> Sequence[tuple[int, int]]:
    """Return begin and length of each run of neighbours."""
    groups = groupby(enumerate(sorted(places)), key=lambda pair: pair[1] - pair[0])
    runs = [[place for _, place in group] for _, group in groups]
    return [(run[0], len(run)) for run in runs]
