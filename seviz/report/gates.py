"""The paper's figure, to be moved and asked: one chart per block, and the gates behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.figures.gate_curves import sampled_channels
from seviz.report.charts import INK_TAG, chart, tooltip
from seviz.report.data import channels_per_block, packed, quantised
from seviz.report.embedding import chart_item
from seviz.report.findings import BlockFindings, selectivity
from seviz.report.inputs import Inputs
from seviz.results.blocks import GateBlock, paper_panels
from seviz.results.stats import BlockStats, Floats

if TYPE_CHECKING:
    from bokeh.plotting import figure

HEIGHT = 210
# Channels of a block that its panel draws; of a larger one, as many as the paper does.
MOST_DRAWN = 128


@dataclass(frozen=True)
class GatePanel:
    """One block on the page.

    Attributes:
        name: Name of the block.
        facts: What is said beside its name.
        warning: What its reader must know first; empty if nothing.
        paper: Whether it is among the paper's panels.
        shown: Whether the page opens with it.
        meta: How its numbers are packed.
        blob: The numbers.
    """

    name: str
    facts: str
    warning: str
    paper: bool
    shown: bool
    meta: dict[str, Any]
    blob: str


@dataclass(frozen=True)
class Gates:
    """All gates of the page.

    Attributes:
        panels: The blocks, in forward order.
        rows: Rows of the record that have images: the classes of the page.
        sampled: Channels of a block that every class is embedded on; ``None`` for all.
        named: Positions among the classes of those that are embedded on every channel.
        lowest: Smallest value of the vertical axis.
        highest: Largest.
        first: The block that tells classes apart best, which the page opens at.
    """

    panels: tuple[GatePanel, ...]
    rows: tuple[int, ...]
    sampled: int | None
    named: tuple[int, ...]
    lowest: float
    highest: float
    first: str

    @property
    def many(self) -> bool:
        """Return whether a block has more channels than a panel can show one by one."""
        return any(p.meta["channels"] > MOST_DRAWN for p in self.panels)


def gates(inputs: Inputs) -> Gates:
    """Pack the gates of every block: mean and standard deviation of each class on each channel."""
    record = inputs.record
    rows = np.flatnonzero(record.count)
    room = channels_per_block(len(rows), len(record.blocks))
    sampled = None
    if not inputs.full and any(b.channels > room for b in record.blocks):
        sampled = room
    place = {int(row): i for i, row in enumerate(rows)}
    named = tuple(place[c.row] for c in inputs.chosen) if sampled else ()
    ends = {b.name for b in paper_panels(record.blocks)}
    first = most_specific(inputs.findings.blocks)
    panels = []
    for block, found in zip(record.blocks, inputs.findings.blocks, strict=True):
        meta, blob = _pack(block, record.stats(block.name), rows.tolist(), named, sampled)
        panels.append(
            GatePanel(
                block.name,
                _facts(block, specific=block.name == first and bool(found.class_share)),
                _warning(found),
                block.name in ends,
                block.name in ends or block.name == first,
                meta,
                blob,
            )
        )
    return Gates(
        tuple(panels),
        tuple(rows.tolist()),
        sampled,
        named,
        min((p.meta["low"] for p in panels), default=0.0),
        max((p.meta["high"] for p in panels), default=1.0),
        first,
    )


def most_specific(blocks: Sequence[BlockFindings]) -> str:
    """Return the name of the block of which class explains most; the last one where that is not known."""
    known = [b for b in blocks if b.moves and b.class_share is not None]
    best = max(
        known, key=lambda b: b.class_share.value if b.class_share else 0.0, default=blocks[-1]
    )
    return best.block


def _pack(
    block: GateBlock,
    stats: BlockStats,
    rows: list[int],
    named: tuple[int, ...],
    sampled: int | None,
) -> tuple[dict[str, Any], str]:
    mean, std = stats.mean[rows], stats.std[rows]
    low, high = min(0.0, float(mean.min())), max(1.0, float(mean.max()))
    widest = max(float(std.max()), float(stats.all_std.max())) or 1.0
    some = sampled_channels(block.channels, sampled or "all")
    full = len(some) == block.channels

    def level(values: Floats) -> Any:
        return quantised(values, low, high)

    def width(values: Floats) -> Any:
        return quantised(values, 0.0, widest)

    parts = [
        quantised(selectivity(stats), 0.0, 1.0),
        level(stats.all_mean),
        width(stats.all_std),
        level(mean[:, some]),
        width(std[:, some]),
    ]
    if not full:
        own = list(named)
        parts += [level(mean[own]), width(std[own])]
    meta = {
        "name": block.name,
        "channels": block.channels,
        "sample": None if full else some.tolist(),
        "low": low,
        "high": high,
        "widest": widest,
    }
    return meta, packed(parts)


def _facts(block: GateBlock, *, specific: bool) -> str:
    """Say what a block is; gates that are not SE are named for what they are."""
    best = ", most class-specific" if specific else ""
    size = "x".join(map(str, block.spatial))
    kind = f", {block.kind}: the mean over its map is drawn" if block.mechanism.per_pixel else ""
    shift = ", its shift is not drawn" if block.shift else ""
    return f"C = {block.channels}, map {size}{kind}{shift}{best}"


def _warning(found: BlockFindings) -> str:
    if found.constant is not None:
        return f"stuck at {found.constant:.3f}: the same for every image"
    return "" if found.moves else "hardly moves: differences between classes mean little"


def gate_items(drawn: Gates) -> dict[str, dict[str, Any]]:
    """Return the charts of all blocks by name, as `chart_item` does.

    One is built: they differ in name and horizontal range alone, and Bokeh takes 50 ms for each.
    """
    if not drawn.panels:
        return {}
    built = chart_item(gate_chart(drawn.panels[0], drawn.lowest, drawn.highest))
    (root,) = built["doc"]["roots"]
    across = root["attributes"]["x_range"]
    items = {}
    for panel in drawn.panels:
        start, end = _x_range(panel)
        changed = {
            "name": f"gates-{panel.name}",
            "x_range": {
                **across,
                "attributes": {
                    **across["attributes"],
                    "start": start,
                    "end": end,
                    "bounds": [start, end],
                },
            },
        }
        own = {**root, "attributes": {**root["attributes"], **changed}}
        items[f"gates-{panel.name}"] = {**built, "doc": {**built["doc"], "roots": [own]}}
    return items


def _x_range(panel: GatePanel) -> tuple[float, float]:
    last = panel.meta["channels"] - 1
    room = max(0.02 * last, 0.5)
    return -room, last + room


def gate_chart(panel: GatePanel, lowest: float, highest: float) -> figure:
    """Return the empty chart of one block; the page draws the chosen classes into it."""
    from bokeh.models import ColumnDataSource, Range1d

    start, end = _x_range(panel)
    edge = 0.03 * (highest - lowest)
    made = chart(
        f"gates-{panel.name}",
        height=HEIGHT,
        x="channel",
        y="mean gate",
        x_range=Range1d(start, end, bounds=(start, end)),
        y_range=Range1d(lowest - edge, highest + edge),
    )
    bands = ColumnDataSource({"xs": [], "ys": [], "colour": []}, name="bands")
    lines = ColumnDataSource(
        {"xs": [], "ys": [], "colour": [], "dash": [], "width": []}, name="lines"
    )
    points = ColumnDataSource(
        {"x": [], "y": [], "who": [], "channel": [], "spread": []}, name="points"
    )
    made.patches("xs", "ys", source=bands, fill_color="colour", fill_alpha=0.2, line_color=None)
    made.multi_line(
        "xs", "ys", source=lines, line_color="colour", line_dash="dash", line_width="width"
    )
    # They are there to be pointed at: where an angle is no number, Bokeh draws nothing. The ring around
    # the one under the pointer is on a canvas of its own, so that no curve is drawn again for it.
    dots = made.scatter("x", "y", source=points, size=7, angle=math.nan, level="overlay")
    dots.hover_glyph = type(dots.glyph)(size=8, fill_alpha=0, line_width=1.5, tags=[INK_TAG])
    made.add_tools(
        tooltip(
            dots,
            [
                ("class", "@who"),
                ("channel", "@channel"),
                ("gate", "@y{0.0000}"),
                ("spread", "@spread{0.0000}"),
            ],
        )
    )
    marker = ColumnDataSource({"x": [], "low": [], "high": []}, name="marker")
    made.segment("x", "low", "x", "high", source=marker, line_width=1, tags=[INK_TAG])
    return made


def channel_chart(lowest: float, highest: float) -> figure:
    """Return the empty chart of one channel: its gate for every class, sorted."""
    from bokeh.models import ColumnDataSource, FixedTicker, Range1d

    made = chart(
        "channel",
        height=260,
        x="classes, from the highest gate to the lowest",
        y="mean gate",
        x_range=Range1d(-0.6, 1),
        y_range=Range1d(lowest, highest),
        dimensions="width",
    )
    source = ColumnDataSource(
        {
            key: []
            for key in ("x", "y", "who", "top", "bottom", "spread", "colour", "size", "alpha")
        },
        name="classes",
    )
    boxes = ColumnDataSource(
        {key: [] for key in ("x", "first", "median", "third", "colour")}, name="boxes"
    )
    made.segment("x", "bottom", "x", "top", source=source, line_color="colour", line_alpha="alpha")
    made.vbar(
        "x",
        0.5,
        "third",
        "first",
        source=boxes,
        fill_color="colour",
        fill_alpha=0.25,
        line_color="colour",
    )
    made.rect("x", "median", 0.5, {"value": 2, "units": "screen"}, source=boxes, color="colour")
    dots = made.scatter("x", "y", source=source, size="size", color="colour")
    fields = [
        ("class", "@who"), ("mean gate", "@y{0.0000}"), ("spread", "@spread{0.0000}"),
        ("from", "@bottom{0.0000}"), ("to", "@top{0.0000}"),
    ]  # fmt: skip
    made.add_tools(tooltip(dots, fields))
    made.xaxis.ticker = FixedTicker(ticks=[])
    made.xaxis.major_label_orientation = 0.7
    return made
