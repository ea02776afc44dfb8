"""What all charts of the page have in common: size, tools, axes. Colours of the page are set by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seviz.figures.style import COLOURS, LINE_STYLES

if TYPE_CHECKING:
    from bokeh.models import Range
    from bokeh.plotting import figure

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
BLUE, ORANGE, GREEN, PINK, AMBER, SKY = COLOURS
NAMES = {BLUE: "blue", ORANGE: "orange", GREEN: "green"}  # classes of the style sheet
# The page paints glyphs that bear this tag in the colour of its text: they are dark on light, and back.
INK_TAG, GREY_TAG = "ink", "grey"


def chart(
    name: str,
    *,
    height: int,
    x: str = "",
    y: str = "",
    x_range: Range | None = None,
    y_range: Range | None = None,
    dimensions: str = "both",
) -> figure:
    """Return an empty chart that is as wide as its place.

    Dragging pans; the wheel zooms while Ctrl is held, so that the page still scrolls. The page has
    buttons for both.

    Args:
        name: Its name on the page.
        height: In pixels.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        x_range: Horizontal range; follows the data by default.
        y_range: Vertical range.
        dimensions: In which directions it can be moved: ``both``, ``width`` or ``height``.
    """
    from bokeh.models import PanTool, WheelZoomTool
    from bokeh.plotting import figure

    ranges: dict[str, Any] = {
        key: value for key, value in (("x_range", x_range), ("y_range", y_range)) if value
    }
    pan = PanTool(dimensions=dimensions)
    wheel = WheelZoomTool(dimensions=dimensions, modifiers={"ctrl": True})
    made = figure(
        name=name,
        height=height,
        sizing_mode="stretch_width",
        output_backend="webgl",
        tools=[pan, wheel],
        toolbar_location=None,
        x_axis_label=x or None,
        y_axis_label=y or None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border=4,
        lod_threshold=None,
        lod_interval=0,  # nothing coarse is drawn in a move, so nothing has to be drawn again after it
        **ranges,
    )
    made.toolbar.active_drag = pan
    made.toolbar.active_scroll = wheel
    made.toolbar.logo = None
    for axis in made.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_standoff = 6
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
        axis.major_tick_out = 4
    made.xgrid.grid_line_color = None
    return made


def line_styles() -> list[dict[str, Any]]:
    """Return colour and dash of the classes, in the order in which the figures use them."""
    dashes = [[] if style == "solid" else [2 * n for n in style[1]] for style in LINE_STYLES]
    return [{"colour": colour, "dash": dash} for dash in dashes for colour in COLOURS]


def tooltip(renderer: Any, rows: list[tuple[str, str]]) -> Any:
    """Return what is shown over one kind of glyph.

    Args:
        renderer: The glyphs; ``auto`` for all of the chart.
        rows: Labels of ours, and which columns stand beside them; Bokeh escapes the values.
    """
    from bokeh.models import HoverTool

    cells = "".join(
        f'<span style="color:#4d4d4d">{label}</span><span>{value}</span>' for label, value in rows
    )
    shown = (
        '<div style="display:grid;grid-template-columns:auto auto;gap:1px 10px;max-width:22rem;'
        f"color:#1b1b1b;overflow-wrap:anywhere;font:12px/1.4 {FONT};text-align:left"
        f'">{cells}</div>'
    ).replace("'", "&#39;")
    kinds = [renderer] if renderer != "auto" else "auto"
    return HoverTool(renderers=kinds, tooltips=shown, attachment="horizontal")
