"""What each block does for top-1: the result of an ablation as charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seviz.analysis import cumulative_effects, single_effects
from seviz.analysis.comparison import shown_p
from seviz.report.charts import BLUE, GREY_TAG, chart, tooltip
from seviz.results.ablation import Ablation

if TYPE_CHECKING:
    from bokeh.plotting import figure


def ablation_chart(ablation: Ablation) -> figure:
    """Return the change of top-1 for each block or stage; filled where chance hardly explains it."""
    from bokeh.models import ColumnDataSource, FactorRange

    effects = single_effects(ablation)
    found = [e.difference for e in effects]
    names = [e.replaced.name for e in effects]
    source = ColumnDataSource(
        {
            "x": names,
            "y": [100 * d.delta for d in found],
            "low": [100 * d.low for d in found],
            "high": [100 * d.high for d in found],
            "p": [shown_p(e.p_adjusted) for e in effects],
            "fill": [1.0 if e.significant else 0.15 for e in effects],
        }
    )
    made = chart(
        "ablation",
        height=280,
        y="change of top-1, points",
        x_range=FactorRange(factors=names),
        dimensions="width",
    )
    made.xaxis.major_label_orientation = 0.9
    made.hspan(0, line_width=1, tags=[GREY_TAG])
    made.segment("x", "low", "x", "high", source=source, line_color=BLUE, line_width=1.5)
    dots = made.scatter(
        "x", "y", source=source, size=9, line_color=BLUE, fill_color=BLUE, fill_alpha="fill"
    )
    said = [
        (ablation.by, "@x"),
        ("change", "@y{+0.00}"),
        ("95 %", "@low{+0.00} to @high{+0.00}"),
        ("p (Holm)", "@p"),
    ]
    made.add_tools(tooltip(dots, said))
    return made


def pareto_chart(ablation: Ablation) -> figure:
    """Return accuracy kept against SE parameters removed, from the block that matters least on."""
    from bokeh.models import ColumnDataSource

    found = [e.difference for e in cumulative_effects(ablation)]
    source = ColumnDataSource(
        {
            "x": [0.0, *(100 * r.params / ablation.se_params for r in ablation.cumulative)],
            "y": [0.0, *(100 * d.delta for d in found)],
            "low": [0.0, *(100 * d.low for d in found)],
            "high": [0.0, *(100 * d.high for d in found)],
            "what": ["the network itself", *(f"and {r.name}" for r in ablation.cumulative)],
        }
    )
    made = chart(
        "pareto",
        height=280,
        x=f"{ablation.word} parameters replaced, %",
        y="change of top-1, points",
    )
    made.hspan(0, line_width=1, tags=[GREY_TAG])
    made.line("x", "y", source=source, line_color=BLUE, line_width=1.5)
    made.segment("x", "low", "x", "high", source=source, line_color=BLUE, line_width=1.5)
    dots = made.scatter("x", "y", source=source, size=9, color=BLUE)
    made.add_tools(
        tooltip(dots, [("replaced", "@what"), ("change", "@y{+0.00}"), ("parameters", "@x{0.0}%")])
    )
    return made
