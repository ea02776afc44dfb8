"""Matrices as images: classes by channels, classes by classes, true by predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seviz.figures.style import CMAP
from seviz.report.charts import AMBER, BLUE, FONT, INK_TAG, ORANGE, SKY, chart, tooltip

if TYPE_CHECKING:
    from bokeh.plotting import figure

LEVELS = 256
# From nothing to much, on light and on dark; the second pair has nothing in the middle.
_ENDS = {
    "light": (None, (BLUE, "#f7f7f7", ORANGE)),
    "dark": (("#1d2b3a", "#2f7fb8", "#e3f1fb"), (SKY, "#20252b", AMBER)),
}


def palettes() -> dict[str, dict[str, list[str]]]:
    """Return the colours of the maps for each scheme: of one hue, and of two for both sides of zero."""
    return {
        scheme: {"sequential": _between(one), "diverging": _between(two)}
        for scheme, (one, two) in _ENDS.items()
    }


def _between(colours: tuple[str, ...] | None) -> list[str]:
    """Return colours between these; those of the figures if none are given."""
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    steps = np.linspace(0, 1, LEVELS)
    if colours is None:
        shades = matplotlib.colormaps[CMAP](steps)
    else:
        shades = LinearSegmentedColormap.from_list("seviz", list(colours))(steps)
    return [to_hex(shade) for shade in shades]


def matrix_chart(
    name: str,
    *,
    height: int,
    x: str,
    y: str,
    fields: list[tuple[str, str]],
    unit: str,
    numbers: bool = False,
) -> figure:
    """Return an empty matrix: one image, a cell that follows the pointer, and a scale of colours.

    Args:
        name: Its name on the page.
        height: In pixels.
        x: What the columns are.
        y: What the rows are.
        fields: What is said of the cell under the pointer: a label, and its column in the data.
        unit: Of the scale of colours.
        numbers: Whether cells may hold numbers.
    """
    from bokeh.models import (
        ColorBar,
        ColumnDataSource,
        FixedTicker,
        LinearColorMapper,
        Range1d,
    )

    made = chart(name, height=height, x=x, y=y, x_range=Range1d(0, 1), y_range=Range1d(1, 0))
    made.ygrid.grid_line_color = None
    made.axis.axis_line_color = None
    made.xaxis.ticker, made.yaxis.ticker = FixedTicker(ticks=[]), FixedTicker(ticks=[])
    # The page gives them their colours, which depend on its scheme.
    nothing = "#00000000"
    mapper = LinearColorMapper(palette=["#888888"], low=0.0, high=1.0, nan_color=nothing)
    cells = ColumnDataSource(
        {"image": [np.zeros((1, 1), np.float32)], "dw": [1.0], "dh": [1.0]}, name="cells"
    )
    made.image("image", x=0, y=0, dw="dw", dh="dh", source=cells, color_mapper=mapper, name="image")
    cross = ColumnDataSource({"x": [], "y": [], "w": [], "h": []}, name="cross")
    made.rect(
        "x", "y", "w", "h", source=cross, fill_alpha=0, line_width=1, line_dash="dotted",
        tags=[INK_TAG],
    )  # fmt: skip
    columns = ["x", "y", *(field for _, field in fields)]
    cursor = ColumnDataSource({column: [] for column in columns}, name="cursor")
    frame = made.rect(
        "x", "y", 1, 1, source=cursor, fill_alpha=0, line_width=2, line_color="#D55E00"
    )
    made.add_tools(tooltip(frame, [(label, f"@{field}") for label, field in fields]))
    if numbers:
        texts = ColumnDataSource({"x": [], "y": [], "text": [], "colour": []}, name="numbers")
        made.text(
            "x", "y", "text", source=texts, text_color="colour", text_align="center",
            text_baseline="middle", text_font={"value": FONT}, text_font_size="11px",
        )  # fmt: skip
    bar = ColorBar(
        color_mapper=mapper, ticker=FixedTicker(ticks=[]), title=unit, name="bar",
        width=10, padding=4, label_standoff=6,
        title_text_font=FONT, title_text_font_style="normal", title_text_font_size="12px",
        major_label_text_font=FONT, major_label_text_font_size="11px", background_fill_color=None,
        bar_line_color=None, major_tick_line_color=None,
    )  # fmt: skip
    made.add_layout(bar, "right")
    return made
