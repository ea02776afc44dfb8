"""The figure of an ablation: what each block does for top-1, and what all of them cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from seviz.analysis import Effect, cumulative_effects, single_effects
from seviz.analysis.ablation import HELD
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.look import PLAIN, Look
from seviz.figures.point_labels import Box, along, around, place_labels
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, TEXT, figure_style
from seviz.figures.text import add_notes, set_plain, shown_name, text_width, wrapped
from seviz.results.ablation import Ablation
from seviz.results.shares import shown_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE = COLOURS[0], COLOURS[1]
_LEFT, _RIGHT = 0.62, 0.14  # inches
_CURVE, _BARS = 2.75, 1.6  # height of the panels
_TITLE, _BETWEEN, _NOTE_LINE = 0.62, 0.62, 0.13
_NAME = 0.5  # inches that a name on the axis takes; with less, names stand upright
_LEGEND_WIDE = 5.5  # inches, from which on the legend has room on one line
_LABEL_HEIGHT = 0.1


def ablation_figure(
    ablation: Ablation, *, look: Look = PLAIN, figure: Figure | None = None
) -> Figure:
    """Draw top-1 against the SE parameters that go, and below it the change for each block alone.

    The curve replaces more and more blocks, from the one that matters least to the one that matters most.

    Args:
        ablation: The result of `seviz.ablate`.
        look: Width and font.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Returns:
        The figure; `save_figure` writes it.
    """
    from seviz.figures.shown import Figure

    singles, together = single_effects(ablation), cumulative_effects(ablation)
    page = look.width or PAGE_WIDTH
    with figure_style(look):
        lines = wrapped(_notes(ablation, singles), page - 0.2)
        wide = page - _LEFT - _RIGHT
        upright = len(singles) * _NAME > wide
        legend = 1 if wide >= _LEGEND_WIDE else 2 + 2 * bool(together)  # lines
        foot = 0.1 + _NOTE_LINE * len(lines) + (0.5 if upright else 0.2)
        height = foot + _BARS + _BETWEEN + _CURVE + _TITLE + _NOTE_LINE * (legend - 1)
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(page, height)

        def panel(bottom: float, tall: float) -> Axes:
            assert figure is not None
            box = (_LEFT / page, bottom / height, wide / page, tall / height)
            return figure.add_axes(box)

        curve = panel(foot + _BARS + _BETWEEN, _CURVE)
        _draw_curve(curve, ablation, singles, together, (wide, _CURVE), legend)
        _draw_bars(panel(foot, _BARS), ablation, singles, upright)
        title = figure.text(0.1 / page, 1 - 0.08 / height, "", va="top", fontsize=TEXT + 1)
        subject = f"{ablation.architecture} on {ablation.source} {ablation.split}".rstrip()
        said = f"{subject}, {HELD[ablation.gates]}"
        set_plain(title, shown_name(said, page - 0.2, text_width(TEXT + 1)))
        add_notes(figure, lines)
    return figure


def _draw_curve(
    axes: Axes,
    ablation: Ablation,
    singles: Sequence[Effect],
    together: Sequence[Effect],
    size: tuple[float, float],
    legend: int,
) -> None:
    """Draw top-1 against what goes, cumulatively and one at a time."""
    from matplotlib.ticker import MaxNLocator

    base = 100 * ablation.top1
    # Where shifts need all excitations, no parameter goes, and blocks are counted.
    some = any(e.replaced.params for e in (*singles, *together))

    def across(effect: Effect) -> float:
        part = effect.replaced
        return 100 * part.params / ablation.se_params if some else len(part.blocks)

    axes.axhline(base, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    xs = [0.0, *(across(e) for e in together)]
    ys = [base, *(100 * e.difference.after for e in together)]
    if together:
        axes.plot(xs, ys, color=_BLUE, linewidth=1.1, zorder=3)
        _intervals(axes, xs[1:], together, base, _BLUE)
        axes.plot(xs, ys, "o", color=_BLUE, markersize=4, zorder=4)
    alone_x = [across(e) for e in singles]
    alone_y = [100 * e.difference.after for e in singles]
    axes.plot(
        alone_x,
        alone_y,
        "D",
        markersize=3.6,
        markerfacecolor="white",
        markeredgecolor=_ORANGE,
        markeredgewidth=0.9,
        zorder=5,
    )
    furthest = max(*xs, *alone_x) or 1.0
    axes.set_xlim(-0.025 * furthest, 1.09 * furthest)
    ends = [base + 100 * end for e in together for end in (e.difference.low, e.difference.high)]
    low, high = min(*ys, *alone_y, *ends), max(*ys, *alone_y, *ends)
    room = max(high - low, 0.2)
    axes.set_ylim(low - 0.1 * room, high + 0.12 * room)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=PALE, linewidth=0.5)
    whose = "of the replaced blocks" if ablation.gates == "shuffle" else "removed"
    axes.set_xlabel(
        f"{ablation.word} parameters {whose}, % of {ablation.se_params:,}"
        if some
        else "blocks replaced"
    )
    axes.set_ylabel("top-1, %")
    _legend(axes, ablation, bool(together), legend)
    _name_points(axes, (xs, ys, together), (alone_x, alone_y, singles), base, size)


def _intervals(
    axes: Axes, xs: Sequence[float], effects: Sequence[Effect], base: float, colour: str
) -> None:
    low = [base + 100 * e.difference.low for e in effects]
    high = [base + 100 * e.difference.high for e in effects]
    axes.vlines(xs, low, high, color=colour, linewidth=0.8, zorder=2)


def _legend(axes: Axes, ablation: Ablation, together: bool, lines: int) -> None:
    from matplotlib.lines import Line2D

    def line(label: str, **style: Any) -> Line2D:
        return Line2D([], [], label=label, **style)

    unit = "stage" if ablation.by == "stage" else "block"
    handles = [
        line(
            f"no gate replaced: {shown_share(ablation.top1, '.2%')}",
            color=INK,
            linewidth=0.7,
            linestyle=(0, (4, 3)),
        ),
        line(
            f"one {unit} alone",
            marker="D",
            linestyle="none",
            markersize=3.6,
            markerfacecolor="white",
            markeredgecolor=_ORANGE,
        ),
    ]
    if together:
        said = (
            f"one {unit} more at each point,{' ' if lines == 1 else chr(10)}least important first"
        )
        handles.insert(1, line(said, color=_BLUE, marker="o", markersize=4, linewidth=1.1))
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=len(handles) if lines == 1 else 1,
        frameon=False,
        borderaxespad=0.2,
        handlelength=1.6,
        columnspacing=1.1,
    )


_Named = tuple[Sequence[float], Sequence[float], Sequence[Effect]]


def _name_points(
    axes: Axes, together: _Named, alone: _Named, base: float, size: tuple[float, float]
) -> None:
    """Write names beside points, those of the curve first, wherever there is room."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()

    def inches(x: float, y: float) -> tuple[float, float]:
        return (x - left) / (right - left) * size[0], (y - bottom) / (top - bottom) * size[1]

    xs, ys, effects = together
    obstacles = [around(*inches(x, y), 0.04) for x, y in zip(xs, ys, strict=True)]
    obstacles += [around(*inches(x, y), 0.04) for x, y in zip(*alone[:2], strict=True)]
    corners = list(zip(xs, ys, strict=True))
    for a, b in (*pairwise(corners), ((left, base), (right, base))):
        obstacles += along(*inches(*a), *inches(*b), 0.02)
    for x, effect in zip(xs[1:], effects, strict=True):
        ends = (base + 100 * effect.difference.low, base + 100 * effect.difference.high)
        obstacles += along(*inches(x, ends[0]), *inches(x, ends[1]), 0.02)
    labels = [(f"+ {e.replaced.name}", _BLUE) for e in effects]
    points = [inches(x, y) for x, y in corners[1:]]
    for x, y, effect in zip(*alone, strict=True):
        if not effects or effect.replaced.name != effects[0].replaced.name:  # the same point
            labels.append((effect.replaced.name, _ORANGE))
            points.append(inches(x, y))
    measure = text_width(SMALL)
    places = place_labels(
        points,
        [measure(text) for text, _ in labels],
        _LABEL_HEIGHT,
        Box(0.02, 0.02, size[0] - 0.02, size[1] - 0.02),
        obstacles,
        # Those of blocks alone stand in columns, one for each width of the network.
        [colour == _ORANGE for _, colour in labels],
    )
    for (text, colour), place in zip(labels, places, strict=True):
        if place is not None:
            axes.annotate(
                text,
                (place[0] / size[0], place[1] / size[1]),
                xycoords="axes fraction",
                fontsize=SMALL,
                color=colour,
                va="bottom",
                zorder=6,
            )


def _draw_bars(axes: Axes, ablation: Ablation, singles: Sequence[Effect], upright: bool) -> None:
    """Draw the change for each block or stage alone, in the order of the pass."""
    deltas = [100 * e.difference.delta for e in singles]
    places = range(len(singles))
    clear = [e.significant for e in singles]
    axes.bar(
        places,
        deltas,
        0.62,
        color=[_ORANGE if c else "white" for c in clear],
        edgecolor=_ORANGE,
        linewidth=0.8,
        zorder=2,
    )
    low = [100 * e.difference.low for e in singles]
    high = [100 * e.difference.high for e in singles]
    axes.vlines(list(places), low, high, color=INK, linewidth=0.9, zorder=3)
    axes.axhline(0, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    ends = [0.0, *low, *high]
    room = max(max(ends) - min(ends), 0.2)
    axes.set_ylim(min(ends) - 0.06 * room, max(ends) + 0.06 * room)
    for place in places[1:]:
        before, after = (singles[i].replaced.name.split("_")[1] for i in (place - 1, place))
        if before != after and ablation.by == "block":
            axes.axvline(place - 0.5, color=GREY, linewidth=0.4)
    half = max(len(singles), 4) / 2
    middle = (len(singles) - 1) / 2
    axes.set_xlim(middle - half, middle + half)
    axes.set_xticks(list(places), [e.replaced.name for e in singles], rotation=90 if upright else 0)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color=PALE, linewidth=0.5)
    axes.set_ylabel("change of top-1, points")
    unit = "stage" if ablation.by == "stage" else "block"
    axes.set_title(f"one {unit} alone, in the order of the network", loc="left", fontsize=TEXT)


def _notes(ablation: Ablation, singles: Sequence[Effect]) -> list[str]:
    """Return what a reader must know before trusting the figure."""
    partial = "interrupted after " if ablation.partial else ""
    count = len(singles)
    tests = f", Holm-adjusted for {count} tests" if count > 1 else ""
    notes = [
        f"{partial}{ablation.images:,} images. Vertical lines: 95 % interval of the change, paired over the "
        "same images (Agresti and Min). Filled bars: changes that chance hardly explains (p < 0.05, exact "
        f"McNemar test{tests}).",
    ]
    if ablation.cumulative:
        notes.append("Names that find no room are left out; the table has all.")
    return notes
