"""The network map: blocks in forward order, what each costs, tells of the class, and matters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from seviz.analysis.ablation import HELD, Effect
from seviz.analysis.network_map import MappedBlock, NetworkMap
from seviz.errors import NoSEBlockError
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import COLOURS, GREY, INK, PALE, SHARES, class_shades, figure_style, sizes
from seviz.figures.text import set_plain, text_width, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LANE, _EFFECTS = 0.98, 0.72  # heights of the blocks' lane and of that of the effects, inches
_PITCH = 0.5  # of a block at least
_LEFT, _RIGHT, _MARGIN = 0.44, 0.1, 0.06
_TALLEST = 0.52  # of a block
# Of its place: the narrowest and the widest block.
WIDTHS = (0.16, 0.86)
HEIGHTS = (0.34, 1.0)
SIGNIFICANT, NOT = COLOURS[1], GREY


def block_width(block: MappedBlock) -> float:
    """Return how much of its place a block takes up: its area, not its side, is the cost."""
    least, most = WIDTHS
    return least + (most - least) * math.sqrt(block.width)


def block_height(block: MappedBlock) -> float:
    """Return the height of a block, as a share of the tallest."""
    least, most = HEIGHTS
    return least + (most - least) * block.height


def network_map(found: NetworkMap, *, look: Look = PLAIN, figure: Figure | None = None) -> Figure:
    """Draw all blocks in forward order.

    A block is the wider the more it costs and the higher the larger its map, not in proportion; its colour
    and the number below it are the share of gate variance explained by class; a block that hardly moves is
    hatched. With an ablation there is a point for each block below: the change of top-1 with its gates
    replaced, with the 95 % interval; filled where it is significant (Holm-adjusted).

    Args:
        found: From `seviz.analysis.network_map`.
        look: Width and font.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Raises:
        NoSEBlockError: If there is no block.
    """
    from seviz.figures.shown import Figure

    count = len(found.blocks)
    if not count:
        raise NoSEBlockError(
            "expected a network with SE blocks, found none; give a record of one that has"
        )
    with figure_style(look):
        _, small = sizes()
        wide = look.width or PAGE_WIDTH
        inner = wide - _LEFT - _RIGHT
        widest = max(text_width(small - 0.5)(b.block.name) for b in found.blocks)
        fits = max(1, int(inner / max(_PITCH * 0.86, widest + 0.05)))
        rows = math.ceil(count / fits)
        columns = math.ceil(count / rows)
        with_effects = any(b.effect for b in found.blocks) or bool(found.stages)
        lines = wrapped(notes(found), wide - 0.15, small)
        row_height = _LANE + (_EFFECTS if with_effects else 0.0)
        foot = _MARGIN + 0.128 * len(lines) * small / 7 + 0.02
        tall = foot + rows * row_height + _MARGIN
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(wide, tall)
        ends = reach(found)
        for row in range(rows):
            first, last = row * columns, min(count, (row + 1) * columns)
            top = tall - _MARGIN - row * row_height
            box = (_LEFT / wide, (top - _LANE) / tall, inner / wide, _LANE / tall)
            lane = figure.add_axes(box)
            lane.set_xlim(-0.5, columns - 0.5)
            _draw_lane(lane, found, first, last, inner / columns, small, look)
            if with_effects:
                bottom = top - row_height + 0.1
                box = (_LEFT / wide, bottom / tall, inner / wide, (_EFFECTS - 0.16) / tall)
                below = figure.add_axes(box)
                below.set_xlim(-0.5, columns - 0.5)
                _draw_effects(below, found, first, last, ends, small)
        note = figure.text(
            0.075 / wide, 0.06 / tall, "", fontsize=small, color=GREY, va="bottom", linespacing=1.15
        )
        set_plain(note, "\n".join(lines))
    set_caption(
        figure, "The network, block by block, in forward order.", *notes(found), found.describe()
    )
    return figure


def _draw_lane(
    panel: Axes, found: NetworkMap, first: int, last: int, pitch: float, small: float, look: Look
) -> None:
    """Draw some blocks, in inches up."""
    from matplotlib.patches import FancyBboxPatch

    panel.set_axis_off()
    panel.set_ylim(0, _LANE)
    middle = 0.2 + _TALLEST / 2
    panel.plot(
        [-0.5, last - first - 0.5], [middle, middle], color="#9A9A9A", linewidth=1.6, zorder=1
    )
    shades = class_shades(look)
    for place, block in enumerate(found.blocks[first:last]):
        width, height = block_width(block), block_height(block) * _TALLEST
        still = not block.moves
        scale = (block.share.value if block.share else 0.0) / (found.largest_share or 1.0)
        corner = min(0.05, 0.3 * height)
        style: Any = {
            "facecolor": "white"
            if still
            else shades(SHARES[0] + (SHARES[1] - SHARES[0]) * min(scale, 1.0))
        }
        panel.add_patch(
            FancyBboxPatch(
                (place - width / 2, middle - height / 2),
                width,
                height,
                boxstyle=f"round,pad=0,rounding_size={corner}",
                mutation_aspect=1 / pitch if pitch < 1 else 1,
                edgecolor=INK,
                linewidth=0.5,
                hatch="//////" if still else None,
                zorder=2,
                **style,
            )
        )
        name = panel.text(
            place, middle + _TALLEST / 2 + 0.06, "", ha="center", va="bottom", fontsize=small - 0.5
        )
        set_plain(name, block.block.name)
        panel.text(
            place,
            middle - _TALLEST / 2 - 0.04,
            block.said,
            ha="center",
            va="top",
            fontsize=small - 0.5,
            fontweight="normal" if still else "bold",
            color=GREY if still else INK,
        )
    for place in range(1, last - first):
        own, before = found.blocks[first + place], found.blocks[first + place - 1]
        if own.block.stage != before.block.stage:
            panel.plot([place - 0.5] * 2, [0.04, _LANE - 0.06], color=GREY, linewidth=0.4, zorder=0)


def reach(found: NetworkMap) -> tuple[float, float]:
    """Return the ends of the effects' axis, in points of top-1."""
    effects = [e for b in found.blocks if (e := b.effect)] + [s.effect for s in found.stages]
    ends = [100 * v for e in effects for v in (e.delta.low, e.delta.high) if v is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.1 * (high - low) or 0.1
    return low - room, high + room


def _draw_effects(
    panel: Axes, found: NetworkMap, first: int, last: int, ends: tuple[float, float], small: float
) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.set_ylim(*ends)
    panel.axhline(0, color=INK, linewidth=0.6)
    for place, block in enumerate(found.blocks[first:last]):
        if block.effect is not None:
            _draw_effect(panel, place, place, block.effect)
    for stage in found.stages:
        if stage.first < last and stage.last >= first:
            begin, end = max(stage.first, first) - first, min(stage.last, last - 1) - first
            _draw_effect(panel, begin - 0.3, end + 0.3, stage.effect)
    panel.set_xticks([])
    panel.grid(axis="y", color=PALE, linewidth=0.5)
    panel.spines["bottom"].set_visible(False)
    panel.tick_params(labelsize=small - 0.5)
    panel.yaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 5, 10]))
    panel.set_ylabel("Δ top-1", fontsize=small - 0.5, labelpad=2)


def _draw_effect(panel: Axes, begin: float, end: float, effect: Effect) -> None:
    colour = SIGNIFICANT if effect.significant else NOT
    middle, value = (begin + end) / 2, 100 * effect.delta.value
    if effect.delta.low is not None and effect.delta.high is not None:
        panel.plot(
            [middle, middle],
            [100 * effect.delta.low, 100 * effect.delta.high],
            color=colour,
            linewidth=1.1,
        )
    if end > begin:
        panel.plot([begin, end], [value, value], color=colour, linewidth=1.1)
    filled = colour if effect.significant else "white"
    panel.plot(
        middle,
        value,
        "o",
        markersize=3.2,
        color=colour,
        markerfacecolor=filled,
        markeredgewidth=0.9,
    )


def notes(found: NetworkMap) -> list[str]:
    """Return the small print."""
    said = [
        f"Width grows with the square root of the {found.cost}, height with the side of the map; both from a "
        "least size, not in proportion. Colour and number: share of gate variance explained by class "
        f"({found.images:,} images); hatched: hardly moves."
    ]
    if found.ablation is not None:
        unit = "stage" if found.ablation.by == "stage" else "block"
        said.append(
            f"Δ top-1: change in points with the {HELD[found.ablation.gates]} in one {unit} at a time, with "
            f"95 % interval ({found.ablation.images:,} images); filled: significant at 5 %, adjusted for all "
            f"{unit}s (Holm)."
        )
    return [" ".join(said)]
