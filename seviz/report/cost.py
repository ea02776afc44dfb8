"""What SE, or gates of another kind, cost: the audit as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seviz.analysis.cost import layers_of
from seviz.figures.style import GREY
from seviz.report.charts import BLUE, GREEN, ORANGE, chart, tooltip
from seviz.results.cost import Audit

if TYPE_CHECKING:
    from bokeh.plotting import figure

Bars = tuple[tuple[str, str, list[int]], ...]


def cost_charts(audit: Audit) -> dict[str, figure]:
    """Return the bars of every block: parameters, operations, memory."""
    names = [b.block.name for b in audit.blocks]
    params: Bars = (("parameters", GREY, [b.params.total for b in audit.blocks]),)
    charts = {"cost-params": _bars("cost-params", names, params)}
    works = [b.work for b in audit.blocks if b.work is not None]
    if len(works) == len(names):
        operations: Bars = (
            ("squeeze", BLUE, [w.squeeze_adds for w in works]),
            (layers_of(audit), GREEN, [w.fc_macs for w in works]),
            ("scale", ORANGE, [w.scale_multiplications for w in works]),
        )
        moved: Bars = (
            ("squeeze", BLUE, [w.squeeze_bytes for w in works]),
            ("weights", GREEN, [b.weight_bytes for b in audit.blocks]),
            ("scale", ORANGE, [w.scale_bytes for w in works]),
        )
        charts["cost-operations"] = _bars("cost-operations", names, operations)
        charts["cost-bytes"] = _bars("cost-bytes", names, moved)
    return charts


def _bars(name: str, names: list[str], parts: Bars) -> figure:
    from bokeh.models import ColumnDataSource, FactorRange, NumeralTickFormatter

    data: dict[str, list[str] | list[int]] = {"block": names}
    data |= {label: values for label, _, values in parts}
    made = chart(
        name,
        height=max(150, 60 + 20 * len(names)),
        y_range=FactorRange(factors=names[::-1]),
        dimensions="width",
    )
    made.x_range.start = 0
    labels = [label for label, _, _ in parts]
    made.hbar_stack(
        labels,
        y="block",
        height=0.72,
        color=[colour for _, colour, _ in parts],
        source=ColumnDataSource(data),
    )
    made.xaxis.formatter = NumeralTickFormatter(format="0.[0]a")
    made.xaxis.ticker.desired_num_ticks = 4
    made.ygrid.grid_line_color = None
    shown = [("block", "@block"), *((label, f"@{{{label}}}{{0,0}}") for label in labels)]
    made.add_tools(tooltip("auto", shown))
    return made
