"""What changes with depth: class share, saturation, movement, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from seviz.report.charts import BLUE, GREY_TAG, INK_TAG, ORANGE, chart, tooltip
from seviz.report.findings import BlockFindings, Estimate, Findings
from seviz.report.tables import Cell, Table, number

if TYPE_CHECKING:
    from bokeh.plotting import figure

HEIGHT = 250
Series = tuple[str, str, str, Callable[[BlockFindings], Estimate | None]]

# Name on the page, title, what it says, and its series: label, colour, marker, where it comes from.
CHARTS: tuple[tuple[str, str, str, tuple[Series, ...]], ...] = (
    (
        "depth-share",
        "Class share",
        "Share of gate variance explained by class. Hollow: the block hardly moves, and its share means "
        "nothing. Crosses: the same with shuffled labels.",
        (("class share", BLUE, "circle", lambda b: b.class_share),),
    ),
    (
        "depth-saturation",
        "Saturation",
        "Share of gates, over all images and channels, that are nearly open (above 0.95) or nearly "
        "closed (below 0.05).",
        (
            ("above 0.95", BLUE, "circle", lambda b: b.high),
            ("below 0.05", ORANGE, "triangle", lambda b: b.low),
        ),
    ),
    (
        "depth-spread",
        "Movement",
        "Standard deviation of a gate over all images, and over the images of one class; mean over "
        "channels. Below 0.01 a block hardly moves.",
        (
            ("over all images", BLUE, "circle", lambda b: b.spread),
            ("within classes", ORANGE, "triangle", lambda b: b.within),
        ),
    ),
    (
        "depth-correlation",
        "Likeness of classes",
        "Mean correlation, over channels, between the mean gates of two classes: 1 where every class has "
        "the same profile.",
        (("correlation", BLUE, "circle", lambda b: b.correlation),),
    ),
)


def depth_chart(name: str, series: Sequence[Series], findings: Findings) -> figure:
    """Return one number of every block along depth, with its interval where there is one."""
    from bokeh.models import ColumnDataSource, FactorRange, Range1d

    blocks = findings.blocks
    names = [b.block for b in blocks]
    least, most = _limits(series, findings)
    made = chart(
        name,
        height=HEIGHT,
        x_range=FactorRange(factors=names),
        y_range=Range1d(least, most),
        dimensions="width",
    )
    made.xaxis.major_label_orientation = 0.9
    share = name == "depth-share"
    for label, colour, marker, value in series:
        found = [(b, e) for b in blocks if (e := value(b)) is not None]
        known = [e for _, e in found]
        data: dict[str, list[Any]] = {
            "x": [b.block for b, _ in found],
            "y": [e.value for e in known],
            "low": [e.value if e.low is None else e.low for e in known],
            "high": [e.value if e.high is None else e.high for e in known],
            "fill": [0.15 if share and not b.moves else 1.0 for b, _ in found],
            "said": [estimate_text(e) for e in known],
            "what": [label] * len(found),
        }
        source = ColumnDataSource(data)
        if not share:
            made.line("x", "y", source=source, line_color=colour, line_width=1.5)
        made.segment("x", "low", "x", "high", source=source, line_color=colour, line_width=1.5)
        dots = made.scatter(
            "x", "y", source=source, marker=marker, size=9, line_color=colour, fill_color=colour,
            fill_alpha="fill", line_width=1.5,
        )  # fmt: skip
        made.add_tools(tooltip(dots, [("block", "@x"), (label, "@said")]))
    if share:
        by_chance = [(b.block, b.shuffled) for b in blocks if b.shuffled is not None]
        made.scatter(
            [n for n, _ in by_chance], [v for _, v in by_chance], marker="x", size=8, line_width=1.5,
            tags=[GREY_TAG],
        )  # fmt: skip
    if name == "depth-spread":
        made.hspan(0.01, line_dash="dashed", line_width=1, tags=[INK_TAG])
    return made


def _limits(series: Sequence[Series], findings: Findings) -> tuple[float, float]:
    """Return the vertical range: from 0, or the least value below it, with a little room."""
    found = [e for b in findings.blocks for *_, value in series if (e := value(b)) is not None]
    ends = [v for e in found for v in (e.value, e.low, e.high) if v is not None]
    least, most = min([0.0, *ends]), max([0.01, *ends])
    room = 0.06 * (most - least)
    return least - room, most + room


def legend(series: Sequence[Series]) -> list[tuple[str, str, str]]:
    """Return label, colour and marker of each series, for the page to name them."""
    return [
        (label, "blue" if colour == BLUE else "orange", marker)
        for label, colour, marker, _ in series
    ]


def estimate_text(found: Estimate | None, form: str = ".3f") -> str:
    """Return a number with its interval."""
    if found is None:
        return "–"  # noqa: RUF001
    if found.low is None or found.high is None:
        return format(found.value, form)
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"


def depth_table(findings: Findings) -> Table:
    """Return the findings of every block as a table."""

    def cell(found: Estimate | None, form: str = ".3f", *, faint: bool = False) -> Cell:
        return Cell(estimate_text(found, form), found.value if found else None, faint)

    rows = []
    for b in findings.blocks:
        still = not b.moves
        rows.append(
            (
                Cell(b.block),
                cell(b.class_share, faint=still),
                number(b.shuffled, ".3f", faint=still),
                cell(b.spread),
                cell(b.within),
                cell(b.correlation, faint=still),
                cell(b.high, ".1%"),
                cell(b.low, ".1%"),
                cell(b.dead_channels, ".0f"),
                cell(b.scale_only, ".1%", faint=still),
                Cell(_remark(b)),
            )
        )
    return Table(
        "blocks",
        "Findings of every block",
        (
            "block",
            "class share",
            "shuffled labels",
            "spread",
            "within class",
            "class correlation",
            "above 0.95",
            "below 0.05",
            "still channels",
            "scale only",
            "remark",
        ),
        tuple(rows),
        names=(0, 10),
        sortable=True,
    )


def _remark(found: BlockFindings) -> str:
    if found.constant is not None:
        return f"stuck at {found.constant:.3f}"
    return "" if found.moves else "hardly moves"
