"""What becomes of the gates along the depth of a network: class share, spread, saturation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seviz.analysis.class_share import MOVES
from seviz.analysis.findings import BlockFindings, Estimate, Findings
from seviz.errors import NoSEBlockError
from seviz.figures.layout import PAGE_WIDTH, WIDE
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, STILL, figure_style
from seviz.figures.text import inches, wrapped
from seviz.results.stats import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bools = npt.NDArray[np.bool_]

_BLUE, _ORANGE, _GREEN = COLOURS[0], COLOURS[1], COLOURS[2]
_NARROW = 24  # blocks, up to which the figure is as wide as a page, and all are named in full
_UPRIGHT = 9  # blocks, up to which their names lie
_NAMED = 0.5  # inches that a name takes
_ANNOTATED = 10  # blocks that hardly move, up to which their spread is written beside them
_PANEL, _GAP, _HEAD = 1.15, 0.27, 0.24  # inches
_LEFT, _RIGHT, _NAME = 0.62, 0.14, 0.24  # _NAME: the foot of the name of a vertical axis
_NOTE_LINE = 0.13
_APART = 0.09  # between the markers of one block
_FLOOR = 0.04  # of a panel, below 0: a marker there is whole


@dataclass(frozen=True)
class Series:
    """One number of every block.

    Attributes:
        label: Its name.
        key: The attribute of the findings on a block.
        colour: One of `seviz.figures.style.COLOURS`.
        marker: ``circle`` or ``triangle``.
    """

    label: str
    key: str
    colour: str
    marker: str = "circle"

    def of(self, block: BlockFindings) -> Estimate | None:
        """Return the number of a block; ``None`` where it is undefined."""
        found: Estimate | None = getattr(block, self.key)
        return found


@dataclass(frozen=True)
class Panel:
    """What stands in one panel, in the figure as on the page of a report.

    Attributes:
        name: On the page.
        title: For people.
        text: What a reader must know.
        series: The numbers.
        on_classes: Whether they mean nothing of blocks that hardly move.
    """

    name: str
    title: str
    text: str
    series: tuple[Series, ...]
    on_classes: bool = False


PANELS = (
    Panel(
        "depth-share",
        "class share",
        "Share of gate variance explained by class. Pale: the block hardly moves, and its share means "
        "nothing. Crosses or dashes: the same with shuffled labels.",
        (Series("class share", "class_share", _BLUE),),
        on_classes=True,
    ),
    Panel(
        "depth-spread",
        "spread",
        "Standard deviation of a gate over all images, and over the images of one class; mean over "
        f"channels. Below {MOVES} a block hardly moves.",
        (
            Series("over all images", "spread", _GREEN),
            Series("within classes", "within", _ORANGE, "triangle"),
        ),
    ),
    Panel(
        "depth-saturation",
        "saturated, %",
        "Share of gates, over all images and channels, that are nearly open (above 0.95) or nearly closed "
        "(below 0.05).",
        (
            Series("gates above 0.95", "high", _ORANGE),
            Series("gates below 0.05", "low", _BLUE, "triangle"),
        ),
    ),
    Panel(
        "depth-correlation",
        "class correlation",
        "Mean correlation, over channels, between the mean gates of two classes: 1 where every class has "
        "the same profile.",
        (Series("class correlation", "correlation", _BLUE),),
        on_classes=True,
    ),
)
_SHARE, _SPREAD, _SATURATION, _CORRELATION = PANELS
_MARKERS = {"circle": "o", "triangle": "^"}  # matplotlib's by their names


def depth(findings: Findings, *, look: Look = PLAIN, figure: Figure | None = None) -> Figure:
    """Draw class share, spread, saturation and class correlation of every block, with intervals.

    Blocks that hardly move are grey, with their spread beside: their class share means nothing.

    Args:
        findings: From `seviz.findings`.
        look: Width and font.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Returns:
        The figure; `save_figure` writes it.

    Raises:
        NoSEBlockError: If there is no block.
    """
    from seviz.figures.shown import Figure

    blocks = findings.blocks
    if not blocks:
        raise NoSEBlockError(
            "expected findings on SE blocks, found none: the network has no SE; give a record of one that has"
        )
    width = look.width or (PAGE_WIDTH if len(blocks) <= _NARROW else WIDE)
    inner = width - _LEFT - _RIGHT
    names = 0.25 if _lying(blocks, inner) else 0.56
    notes = wrapped([_note(findings)], inner)
    foot = 0.08 + _NOTE_LINE * len(notes) + names
    count = len(PANELS)
    tall = foot + count * _PANEL + (count - 1) * _GAP + _HEAD
    with figure_style(look):
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(width, tall)
        panels: list[Axes] = []
        for row in range(count):
            bottom = foot + (count - 1 - row) * (_PANEL + _GAP)
            box = (_LEFT / width, bottom / tall, inner / width, _PANEL / tall)
            panels.append(figure.add_axes(box, sharex=panels[0] if panels else None))
        _draw_share(panels[0], blocks)
        _draw_spread(panels[1], blocks)
        _draw_saturation(panels[2], blocks)
        _draw_correlation(panels[3], blocks)
        for panel in panels:
            _separate_stages(panel, blocks)
            panel.grid(axis="y", color=PALE, linewidth=0.5)
            panel.tick_params(axis="x", length=0, labelbottom=panel is panels[-1])
            # Without places for the names of axes matplotlib would measure all ticks for them.
            panel.yaxis.set_label_coords((_NAME - _LEFT) / inner, 0.5)
            panel.xaxis.set_label_coords(0.5, -0.2)
        _name_blocks(panels[-1], blocks, inner)
        figure.text(
            _LEFT / width,
            0.06 / tall,
            "\n".join(notes),
            fontsize=SMALL,
            color=GREY,
            linespacing=1.15,
        )
    return figure


def _draw_share(panel: Axes, blocks: Sequence[BlockFindings]) -> None:
    _draw_series(panel, blocks, _SHARE)
    narrow = _is_narrow(panel)
    chance = next((b.shuffled for b in blocks if b.shuffled is not None), None)
    if chance is not None:
        panel.axhline(
            chance,
            color=INK,
            linewidth=0.8,
            linestyle=(0, (3, 2.2)),
            label="shuffled labels" if narrow else "under shuffled labels",
        )
    highest = max(
        (b.class_share.high or b.class_share.value for b in blocks if b.class_share), default=0
    )
    _set_top(panel, min(1.03, max(1.18 * highest, 2 * (chance or 0), 0.1)))
    still = [(i, b) for i, b in enumerate(blocks) if not b.moves and b.class_share is not None]
    closest = min((b - a for (a, _), (b, _) in pairwise(still)), default=math.inf)
    pitch = inches(panel)[0] / (len(blocks) + 0.2)
    few = len(still) <= _ANNOTATED and closest * pitch >= 1.2 * SMALL / 72
    if still:
        beside = "spread beside it" if few else "see its spread"
        label = "hardly moves" if narrow else f"hardly moves ({beside}): means nothing"
        panel.plot([], [], "o", color=STILL, markersize=3.5, label=label)
    for place, block in still if few else ():
        assert block.class_share is not None
        under = block.class_share.value > 0.6 * panel.get_ylim()[1]
        ends = (block.class_share.low, block.class_share.high)
        end = ends[0 if under else 1]
        panel.annotate(
            f"{block.spread.value:.4f}",
            (place, block.class_share.value if end is None else end),
            xytext=(0, -4 if under else 4),
            textcoords="offset points",
            fontsize=SMALL - 1,
            color=GREY,
            ha="center",
            va="top" if under else "bottom",
            rotation=90 if len(blocks) > _UPRIGHT else 0,
        )
    _add_legend(panel)


def _draw_spread(panel: Axes, blocks: Sequence[BlockFindings]) -> None:
    _draw_series(panel, blocks, _SPREAD)
    panel.axhline(
        MOVES,
        color=INK,
        linewidth=0.8,
        linestyle=(0, (1, 1.5)),
        label=f"{MOVES}" if _is_narrow(panel) else f"moves from {MOVES} on",
    )
    _set_top(panel, max(1.18 * _highest(blocks, _SPREAD), 2 * MOVES))
    _add_legend(panel)


def _draw_saturation(panel: Axes, blocks: Sequence[BlockFindings]) -> None:
    _draw_series(panel, blocks, _SATURATION, scale=100)
    _set_top(panel, min(104.0, max(118 * _highest(blocks, _SATURATION), 5.0)))
    _add_legend(panel)


def _draw_correlation(panel: Axes, blocks: Sequence[BlockFindings]) -> None:
    _draw_series(panel, blocks, _CORRELATION)
    known = [e for b in blocks if (e := b.correlation) is not None]
    lowest = min((e.value if e.low is None else e.low for e in known), default=0.0)
    panel.set_ylim(min(-_FLOOR, 1.1 * lowest), 1.05)


def _set_top(panel: Axes, top: float) -> None:
    """Let the vertical axis span all from 0 to ``top``."""
    panel.set_ylim(-_FLOOR * top, top)


def _is_narrow(panel: Axes) -> bool:
    """Return whether a legend must be short."""
    return inches(panel)[0] < 4.5


def _highest(blocks: Sequence[BlockFindings], drawn: Panel) -> float:
    """Return the upper end of the highest interval of a panel."""
    known = [e for b in blocks for s in drawn.series if (e := s.of(b)) is not None]
    return max((e.value if e.high is None else e.high for e in known), default=0.0)


def _draw_series(
    panel: Axes, blocks: Sequence[BlockFindings], drawn: Panel, scale: float = 1
) -> None:
    """Draw each number of every block as a point with its interval, joined where blocks move."""
    panel.set_ylabel(drawn.title)
    several = len(drawn.series) > 1
    for number, series in enumerate(drawn.series):
        estimates = [e and e.mapped(scale, 0) for e in map(series.of, blocks)]
        # Side by side, lest an interval hide another; of few blocks still side by side.
        place = np.arange(len(blocks), dtype=np.float64)
        apart = min(0.16, _APART * (len(blocks) + 0.2) / inches(panel)[0])
        place += apart * (number - 0.5) if several else 0.0
        # The spread says which blocks move, and is not read as it falls below.
        pale = np.array([(drawn.on_classes or drawn is _SPREAD) and not b.moves for b in blocks])
        _points(panel, place, estimates, pale, series)


def _points(
    panel: Axes, place: Floats, estimates: Sequence[Estimate | None], pale: Bools, series: Series
) -> None:
    value = np.array([np.nan if e is None else e.value for e in estimates])
    shown = np.isfinite(value)
    look: dict[str, Any] = {"marker": _MARKERS[series.marker], "linestyle": "none"}
    look["markersize"] = 3.5 if len(place) <= _NARROW else 2.6
    solid = shown & ~pale
    # Not joined over a block that hardly moves: nothing is known of what is between.
    panel.plot(
        place,
        np.where(solid, value, np.nan),
        color=series.colour,
        linewidth=0.6,
        alpha=0.5,
        zorder=2,
    )
    panel.plot(
        place[solid], value[solid], color=series.colour, label=series.label, zorder=3, **look
    )
    panel.plot(place[shown & pale], value[shown & pale], color=STILL, zorder=3, **look)
    for mask, shade in ((solid, series.colour), (shown & pale, STILL)):
        ends = _ends(estimates)[mask]
        panel.vlines(place[mask], ends[:, 0], ends[:, 1], color=shade, linewidth=1.1, zorder=3)


def _ends(estimates: Sequence[Estimate | None]) -> Floats:
    """Return the ends of each interval, [n, 2]; NaN without one."""
    ends = [(None, None) if e is None else (e.low, e.high) for e in estimates]
    return np.array([[np.nan if v is None else v for v in pair] for pair in ends])


def _add_legend(panel: Axes) -> None:
    panel.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.03),
        ncols=3,
        frameon=False,
        fontsize=SMALL,
        handlelength=1.4,
        handletextpad=0.4,
        columnspacing=0.9 if _is_narrow(panel) else 1.4,
        borderpad=0,
        borderaxespad=0,
    )


def _separate_stages(panel: Axes, blocks: Sequence[BlockFindings]) -> None:
    for place in range(1, len(blocks)):
        if _stage(blocks[place]) != _stage(blocks[place - 1]):
            panel.axvline(place - 0.5, color=GREY, linewidth=0.4)
    panel.set_xlim(-0.6, len(blocks) - 0.4)


def _stage(block: BlockFindings) -> str:
    return block.block.rpartition("_")[0]


def _lying(blocks: Sequence[BlockFindings], width: float) -> bool:
    """Return whether there is room for the names of all blocks side by side."""
    return len(blocks) <= _UPRIGHT and len(blocks) * _NAMED <= width


def _name_blocks(panel: Axes, blocks: Sequence[BlockFindings], width: float) -> None:
    """Name all blocks, or of very many those at the ends of stages and some between."""
    count = len(blocks)
    # At six points, upright, side by side.
    step = max(1, math.ceil(count * 0.1 / width), 1 if count <= 60 else -(-count // 40))
    stages = [_stage(b) for b in blocks]
    begins = [i for i in range(count) if i == 0 or stages[i] != stages[i - 1]]
    kept: list[int] = []
    for i in (*begins, *range(count)):
        if all(abs(i - other) >= step for other in kept):
            kept.append(i)
    ticks = sorted(kept)
    panel.set_xticks(ticks, [blocks[i].block for i in ticks], fontsize=SMALL)
    if not _lying(blocks, width):
        panel.tick_params(axis="x", labelrotation=90, labelsize=SMALL if count <= 40 else SMALL - 1)


def _note(findings: Findings) -> str:
    partial = " Partial record." if any("partial" in w for w in findings.warnings) else ""
    return f"{findings.images:,} images.{partial} {findings.method}"
