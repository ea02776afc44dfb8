"""The figure of three networks and more: accuracy, every two, class share along the depth, class geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.analysis.geometry import Geometry, relative_depths
from seviz.analysis.several import SeveralComparison
from seviz.errors import UsageError
from seviz.figures.captions import set_caption
from seviz.figures.comparison import GEOMETRY
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.legend import add_entries
from seviz.figures.letters import letter_titles
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import GREY, INK, PALE, STILL, curve_styles, figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PAIRS = 21  # every two of seven networks; of more those that differ most
_ROW = 0.17  # inches for a network or two
_LEFT, _RIGHT, _TOP, _FOOT = 0.62, 0.14, 0.08, 0.44
_HEAD = 0.3  # title of a panel
_MARKS = 0.34  # the two markers that stand for two networks
_DEPTH = 1.5  # height of the panel along the depth
_LEAST_ROWS = 3
# One panel below the other where side by side they would be too narrow.
_NARROW = 5.0

Style = dict[str, Any]


def several(
    compared: SeveralComparison, *, look: Look = PLAIN, figure: Figure | None = None
) -> Figure:
    """Draw how three networks or more differ; each has one colour and one marker in all panels.

    Args:
        compared: From `seviz.compare`.
        look: Width, font, palette, names, letters.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Raises:
        UsageError: If neither accuracy nor gates were compared.
    """
    from seviz.figures.shown import Figure

    panels = _panels(compared)
    deep = any(found is not None for found in compared.findings)
    if not panels and not deep:
        raise UsageError(
            "expected predictions or gates of the networks, found none to draw; compare them on --data, or "
            "compare records"
        )
    width = look.width or PAGE_WIDTH
    # The last of the styles of curves is that of the mean over classes, of which there is none here.
    styles = [
        {"markersize": 3.8, "markeredgewidth": 0, **style}
        for style in curve_styles(len(compared.subjects) + 1, 1.1, look=look)[:-1]
    ]
    with figure_style(look):
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(width, 4)  # a first size, to measure the legend on
        shown = [look.named(name) for name in compared.names]
        legend, tall = add_entries(figure, shown, styles, width - 0.2)
        rows = [[p] for p in panels] if width < _NARROW else [panels] if panels else []
        heights = [_ROW * max(_LEAST_ROWS, *(p.rows for p in row)) for row in rows]
        if deep:
            heights.append(_DEPTH)
        height = _TOP + tall + sum(_HEAD + h + _FOOT for h in heights)
        figure.set_size_inches(width, height)
        legend.set_bbox_to_anchor((0.5, 1 - _TOP / height), figure.transFigure)
        top, drawn = height - _TOP - tall, []
        for row, inner in zip(rows, heights, strict=False):
            top -= _HEAD + inner
            cell = (width - _LEFT + _MARKS) / len(row)
            for place, panel in enumerate(row):
                left = _LEFT + place * cell
                wide = width - left - _RIGHT if place + 1 == len(row) else cell - _MARKS - 0.18
                box = (left / width, top / height, wide / width, inner / height)
                drawn.append(figure.add_axes(box))
                panel.draw(drawn[-1], compared, styles)
            top -= _FOOT
        if deep:
            top -= _HEAD + _DEPTH
            inner_width = (width - _LEFT - _RIGHT) / width
            box = (_LEFT / width, top / height, inner_width, _DEPTH / height)
            drawn.append(figure.add_axes(box))
            _draw_depth(drawn[-1], compared, styles)
        if look.letters:
            letter_titles(drawn)
    set_caption(figure, *_caption(compared))
    return figure


class _Panel:
    """A panel of rows: how many it has, and what draws it."""

    def __init__(
        self, rows: int, draw: Callable[[Axes, SeveralComparison, Sequence[Style]], None]
    ) -> None:
        self.rows = rows
        self.draw = draw


def _panels(compared: SeveralComparison) -> list[_Panel]:
    made = []
    if compared.pairs:
        made.append(_Panel(len(compared.subjects), _draw_top1))
        made.append(_Panel(min(len(compared.pairs), MOST_PAIRS), _draw_pairs))
    networks = {(g.first, g.second) for g in compared.geometries if g.correlation is not None}
    if networks:
        made.append(_Panel(min(len(networks), MOST_PAIRS), _draw_geometries))
    return made


def _rows(panel: Axes, rows: int, title: str, axis: str) -> None:
    panel.set_title(title, loc="left")
    panel.set_xlabel(axis)
    panel.set_yticks([])
    # As many as there is room for, from the top: the same row height in panels side by side.
    inner = panel.get_position().height * panel.figure.get_size_inches()[1]  # type: ignore[union-attr]
    panel.set_ylim(inner / _ROW - 0.5, -0.5)
    panel.grid(axis="x", color=PALE, linewidth=0.5)
    panel.spines["left"].set_visible(False)


def _mark(panel: Axes, row: float, networks: Sequence[int], styles: Sequence[Style]) -> None:
    """Draw the markers of the networks of a row to its left."""
    wide = panel.get_position().width * panel.figure.get_size_inches()[0]  # type: ignore[union-attr]
    for place, network in enumerate(reversed(networks)):
        style = styles[network]
        panel.plot(
            -(0.1 + 0.13 * place) / wide,
            row,
            marker=style["marker"],
            color=style["color"],
            markersize=4.2,
            markeredgewidth=0,
            transform=panel.get_yaxis_transform(),
            clip_on=False,
        )


def _interval(
    panel: Axes, row: int, value: float, ends: tuple[float | None, float | None], **look: Any
) -> None:
    low, high = ends
    if low is not None and high is not None:
        panel.plot(
            (low, high), (row, row), color=look["color"], linewidth=1.3, solid_capstyle="butt"
        )
    panel.plot(value, row, linestyle="none", **{"markersize": 3.8, "markeredgewidth": 0, **look})


def _draw_top1(panel: Axes, compared: SeveralComparison, styles: Sequence[Style]) -> None:
    _rows(panel, len(compared.subjects), "top-1", "%, with 95 % interval")
    for row, (share, style) in enumerate(zip(compared.top1, styles, strict=True)):
        _mark(panel, row, [row], styles)
        if share is not None:
            look = {"color": style["color"], "marker": style["marker"]}
            _interval(panel, row, 100 * share.value, (100 * share.low, 100 * share.high), **look)


def _draw_pairs(panel: Axes, compared: SeveralComparison, styles: Sequence[Style]) -> None:
    pairs = compared.pairs
    if len(pairs) > MOST_PAIRS:
        pairs = tuple(sorted(pairs, key=lambda p: -abs(p.top1.delta))[:MOST_PAIRS])
    _rows(panel, len(pairs), "top-1, second less first", "points, with 95 % interval")
    panel.axvline(0, color=INK, linewidth=0.6)
    for row, pair in enumerate(pairs):
        _mark(panel, row, [pair.first, pair.second], styles)
        colour = INK if pair.significant else STILL
        ends = 100 * pair.top1.low, 100 * pair.top1.high
        _interval(panel, row, 100 * pair.top1.delta, ends, color=colour, marker="o")


def _draw_geometries(panel: Axes, compared: SeveralComparison, styles: Sequence[Style]) -> None:
    found: dict[tuple[int, int], list[Geometry]] = {}
    for one in compared.geometries:
        if one.correlation is not None and (one.moves or one.chosen):
            found.setdefault((one.first, one.second), []).append(one)
    rows = list(found.items())
    if len(rows) > MOST_PAIRS:
        rows = sorted(rows, key=lambda row: -_strongest(row[1]))[:MOST_PAIRS]
    _rows(panel, len(rows), "class geometry", "correlation, with 95 % interval")
    panel.axvline(0, color=INK, linewidth=0.6)
    for row, (networks, ones) in enumerate(rows):
        _mark(panel, row, networks, styles)
        for one in ones:
            assert one.correlation is not None
            value = one.correlation.value
            if one.chosen:
                ends = one.correlation.low, one.correlation.high
                _interval(panel, row, value, ends, **GEOMETRY)
            else:
                panel.plot(value, row, "|", color=GREY, markersize=5, markeredgewidth=0.8)
    panel.set_xlim(min(-0.1, panel.get_xlim()[0]), 1.02)


def _strongest(ones: Sequence[Geometry]) -> float:
    return max(one.correlation.value for one in ones if one.correlation is not None)


def _draw_depth(panel: Axes, compared: SeveralComparison, styles: Sequence[Style]) -> None:
    panel.set_title("class share", loc="left")
    panel.set_ylabel("of gate variance")
    panel.set_xlabel("relative depth: first gate of each network to its last")
    with_gates = [place for place, found in enumerate(compared.findings) if found is not None]
    highest = 0.0
    for place in with_gates:
        found, style = compared.findings[place], styles[place]
        assert found is not None
        blocks = [b for b in found.blocks if b.class_share is not None]
        depth = dict(
            zip((b.block for b in found.blocks), relative_depths(len(found.blocks)), strict=True)
        )
        x = np.array([depth[b.block] for b in blocks])
        shares = [b.class_share for b in blocks if b.class_share is not None]
        y = np.array([s.value for s in shares])
        moves = np.array([b.moves for b in blocks], bool)
        line = {key: style[key] for key in ("color", "linestyle", "marker")}
        # Where a block hardly moves its share means nothing: a gap in the line, and a hollow marker.
        panel.plot(x, np.where(moves, y, np.nan), markersize=3.8, linewidth=1.1, **line)
        panel.plot(
            x[~moves],
            y[~moves],
            marker=style["marker"],
            linestyle="none",
            markerfacecolor="white",
            markeredgecolor=style["color"],
            markeredgewidth=0.7,
            markersize=3.6,
        )
        for at, share in zip(x, shares, strict=True):
            if share.low is not None and share.high is not None:
                panel.plot((at, at), (share.low, share.high), color=style["color"], linewidth=0.9)
        highest = max([highest, *(s.value if s.high is None else s.high for s in shares)])
    panel.set_ylim(0, min(1.03, max(1.12 * highest, 0.1)))
    panel.set_xlim(0, 1)
    panel.grid(axis="y", color=PALE, linewidth=0.5)


def _caption(compared: SeveralComparison) -> list[str]:
    said = ["Networks side by side; each has one colour and one marker."]
    if compared.pairs:
        test = "McNemar test" if compared.paired else "score test"
        said.append(f"Pairs in black differ significantly ({test}, Holm over all pairs).")
        if len(compared.pairs) > MOST_PAIRS:
            said.append(
                f"The {MOST_PAIRS} of {len(compared.pairs)} pairs that differ most are drawn, and as many "
                "whose class geometries are most alike."
            )
    if any(found is not None for found in compared.findings):
        said.append("Hollow: the block hardly moves, and its class share means little.")
    if compared.geometries:
        said.append(
            "Class geometry: correlation of the distances between classes' mean gates; the point "
            "compares the blocks with the largest class share, strokes are pairs of blocks at matching depth."
        )
    return said
