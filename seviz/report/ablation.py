"""What happens without each block: the result of an ablation as a chart and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seviz.analysis.proportions import PairedDifference, paired_difference
from seviz.report.charts import BLUE, GREY_TAG, chart, tooltip
from seviz.report.tables import Cell, Table, number
from seviz.results.ablation import Ablation, Replaced

if TYPE_CHECKING:
    from bokeh.plotting import figure

REPLACED_BY = {
    "one": "by 1, which leaves the map as it is",
    "mean": "by their mean over all images",
    "shuffle": "by those of another image",
}


def difference(ablation: Ablation, replaced: Replaced) -> PairedDifference:
    """Return the change of top-1 with its interval, from the images that changed sides."""
    both = ablation.right - replaced.lost
    sides = (both, replaced.lost, replaced.won, ablation.images - ablation.right - replaced.won)
    before = np.repeat([True, True, False, False], sides)
    after = np.repeat([True, False, True, False], sides)
    return paired_difference(before, after)


def ablation_sentence(ablation: Ablation) -> str:
    """Say what was done."""
    return (
        f"Gates of one {ablation.by} at a time were replaced {REPLACED_BY.get(ablation.gates, '')} on the "
        f"same {ablation.images:,} images of {ablation.source}; the network itself has "
        f"{ablation.top1:.2%} of them right. Intervals are of the paired difference, 95 %."
    )


def ablation_table(ablation: Ablation) -> Table:
    """Return the change of top-1 for each block or stage, and what goes with it."""
    rows = []
    for replaced in ablation.single:
        found = difference(ablation, replaced)
        rows.append(
            (
                Cell(replaced.name),
                number(found.after, ".2%"),
                number(100 * found.delta, "+.2f"),
                Cell(f"{100 * found.low:+.2f} to {100 * found.high:+.2f}", found.low),
                number(found.p_value, ".2g"),
                number(replaced.params, ","),
                number(replaced.macs, ","),
            )
        )
    columns = (
        ablation.by, "top-1", "change, points", "95 % interval", "p (McNemar)", "parameters", "MACs",
    )  # fmt: skip
    return Table(
        "ablation", "Top-1 without each block", columns, tuple(rows), sortable=True
    )  # fmt: skip


def ablation_chart(ablation: Ablation) -> figure:
    """Return the change of top-1 for each block or stage, with intervals."""
    from bokeh.models import ColumnDataSource, FactorRange

    found = [difference(ablation, r) for r in ablation.single]
    names = [r.name for r in ablation.single]
    source = ColumnDataSource(
        {
            "x": names,
            "y": [100 * d.delta for d in found],
            "low": [100 * d.low for d in found],
            "high": [100 * d.high for d in found],
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
    dots = made.scatter("x", "y", source=source, size=9, color=BLUE)
    made.add_tools(
        tooltip(
            dots,
            [(ablation.by, "@x"), ("change", "@y{+0.00}"), ("95 %", "@low{+0.00} to @high{+0.00}")],
        )
    )
    return made


def pareto_chart(ablation: Ablation) -> figure:
    """Return accuracy kept against SE parameters removed, from the block that matters least on."""
    from bokeh.models import ColumnDataSource

    found = [difference(ablation, r) for r in ablation.cumulative]
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
        x="SE parameters replaced, %",
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
