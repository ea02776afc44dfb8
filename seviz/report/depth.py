"""What changes with depth, block by block: the panels of the figure, as charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seviz.analysis.class_share import MOVES
from seviz.analysis.findings.wording import percent, shown
from seviz.figures.depth import PANELS, Panel
from seviz.report.charts import GREY_TAG, INK_TAG, NAMES, chart, tooltip
from seviz.report.findings import Findings

if TYPE_CHECKING:
    from bokeh.plotting import figure

HEIGHT = 250
SHARE, SPREAD, SATURATION, _ = PANELS


def depth_chart(panel: Panel, findings: Findings) -> figure:
    """Return one number of every block along depth, with its interval where there is one."""
    from bokeh.models import ColumnDataSource, FactorRange, Range1d

    blocks = findings.blocks
    names = [b.block for b in blocks]
    scale = 100.0 if panel is SATURATION else 1.0  # its title says per cent
    least, most = (scale * end for end in _limits(panel, findings))
    made = chart(
        panel.name,
        height=HEIGHT,
        x_range=FactorRange(factors=names),
        y_range=Range1d(least, most),
        dimensions="width",
    )
    made.xaxis.major_label_orientation = 0.9
    for series in panel.series:
        label, colour = series.label, series.colour
        found = [(b, e) for b in blocks if (e := series.of(b)) is not None]
        known = [e for _, e in found]
        data: dict[str, list[Any]] = {
            "x": [b.block for b, _ in found],
            "y": [scale * e.value for e in known],
            "low": [scale * (e.value if e.low is None else e.low) for e in known],
            "high": [scale * (e.value if e.high is None else e.high) for e in known],
            "fill": [0.15 if panel.on_classes and not b.moves else 1.0 for b, _ in found],
            "said": [(percent if panel is SATURATION else shown)(e) for e in known],
            "what": [label] * len(found),
        }
        source = ColumnDataSource(data)
        if panel is not SHARE:
            made.line("x", "y", source=source, line_color=colour, line_width=1.5)
        made.segment("x", "low", "x", "high", source=source, line_color=colour, line_width=1.5)
        dots = made.scatter(
            "x", "y", source=source, marker=series.marker, size=9, line_color=colour, fill_color=colour,
            fill_alpha="fill", line_width=1.5,
        )  # fmt: skip
        made.add_tools(tooltip(dots, [("block", "@x"), (label, "@said")]))
    if panel is SHARE:
        by_chance = [(b.block, b.shuffled) for b in blocks if b.shuffled is not None]
        made.scatter(
            [n for n, _ in by_chance], [v for _, v in by_chance], marker="x", size=8, line_width=1.5,
            tags=[GREY_TAG],
        )  # fmt: skip
    if panel is SPREAD:
        made.hspan(MOVES, line_dash="dashed", line_width=1, tags=[INK_TAG])
    return made


def _limits(panel: Panel, findings: Findings) -> tuple[float, float]:
    """Return the vertical range: from 0, or the least value below it, with a little room."""
    found = [e for b in findings.blocks for s in panel.series if (e := s.of(b)) is not None]
    ends = [v for e in found for v in (e.value, e.low, e.high) if v is not None]
    least, most = min([0.0, *ends]), max([0.01, *ends])
    room = 0.06 * (most - least)
    return least - room, most + room


def legend(panel: Panel) -> list[tuple[str, str, str]]:
    """Return label, colour and marker of each series, for the page to name them."""
    return [(s.label, NAMES[s.colour], s.marker) for s in panel.series]
