"""The figure of a comparison: the classes that gained and lost, and the gates block by block."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from seviz.analysis import BlockComparison, ClassChange, Comparison
from seviz.errors import UsageError
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, TEXT, figure_style
from seviz.figures.text import set_plain, shown_name, text_width
from seviz.results.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.19  # inches for a class or a block
_NAME = 1.3  # inches for a name, at most
_PANEL = 2.5  # inches across a panel
_GAP = 0.25
_TITLE_PAD = 15.0  # points: between title and panel there is a line of small text
ALL = "all images"
_BLUE, _ORANGE, _GREEN = COLOURS[0], COLOURS[1], COLOURS[2]


def comparison(compared: Comparison, *, top: int = 20, figure: Figure | None = None) -> Figure:
    """Draw how the recall of each class changes, and how alike the gates of each block are.

    Args:
        compared: What `seviz.compare` returned.
        top: Classes to draw, half of them those that gained most and half those that lost most; and
            blocks.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Raises:
        UsageError: If neither classes nor gates were compared.
    """
    from seviz.figures.shown import Figure

    classes, blocks = _most(compared.classes, top), compared.blocks[:top]
    if not classes and not blocks:
        raise UsageError(
            "expected predictions or gates of both networks, found none to draw; compare them on --data, "
            "or compare two records"
        )
    measure = text_width(SMALL)
    parts = [
        names
        for names in (
            ([ALL, *(c.name for c in classes)] if classes else []),
            [b.block for b in blocks],
        )
        if names
    ]
    widths = [min(_NAME, max(map(measure, names))) + 0.15 for names in parts]
    width = sum(widths) + len(parts) * (_PANEL + _GAP)
    notes = _notes(compared, width)
    above, below = 0.68, 0.45 + 0.125 * len(notes)
    height = above + _ROW * max(map(len, parts)) + below
    with figure_style():
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(width, height)
        left = 0.0
        for names, wide in zip(parts, widths, strict=True):
            left += wide
            rows = _ROW * len(names)
            box = (left / width, 1 - (above + rows) / height, _PANEL / width, rows / height)
            panel = figure.add_axes(box)
            _rows(panel, [shown_name(name, wide - 0.1, measure) for name in names])
            if classes and names is parts[0]:
                _draw_classes(panel, classes, compared)
            else:
                _draw_blocks(panel, blocks)
            left += _PANEL + _GAP
        title = figure.suptitle("", x=0.5, y=1 - 0.07 / height, va="top", fontsize=TEXT + 1)
        each = (width - 0.8) / 2
        first, second = (shown_name(s.name, each, text_width(TEXT + 1)) for s in _sides(compared))
        set_plain(title, f"{second} against {first}")
        small = figure.text(
            0.1 / width, 0.06 / height, "", fontsize=SMALL, color=GREY, va="bottom", linespacing=1.2
        )
        set_plain(small, "\n".join(notes))
    return figure


def _most(classes: Sequence[ClassChange], top: int) -> tuple[ClassChange, ...]:
    """Return the classes that changed most, in both directions, largest gain first."""
    if len(classes) <= top:
        return tuple(classes)
    half = max(1, top // 2)
    return (*classes[:half], *classes[-half:])


def _rows(panel: Axes, names: Sequence[str]) -> None:
    panel.set_yticks(range(len(names)), names)
    for label, name in zip(panel.get_yticklabels(), names, strict=True):
        set_plain(label, name)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color=PALE, linewidth=0.5)
    panel.spines["left"].set_visible(False)


def _draw_classes(panel: Axes, classes: Sequence[ClassChange], compared: Comparison) -> None:
    panel.axvline(0, color=INK, linewidth=0.6)
    rows = [(c.recall, c.significant) for c in classes]
    if compared.top1 is not None:
        rows.insert(0, (compared.top1, compared.top1.significant))
    for row, (recall, significant) in enumerate(rows):
        colour = GREY if not significant else _BLUE if recall.delta > 0 else _ORANGE
        panel.plot([100 * recall.low, 100 * recall.high], [row, row], color=colour, linewidth=1.2)
        panel.plot(100 * recall.delta, row, "o", color=colour, markersize=3.4)
    panel.axhline(0.5, color=PALE, linewidth=0.8)
    panel.get_yticklabels()[0].set_fontweight("bold")
    panel.set_title("change of recall", loc="left", pad=_TITLE_PAD)
    panel.set_xlabel("points, with 95 % interval")
    reach = max(abs(x) for x in panel.get_xlim())
    panel.set_xlim(-reach, reach)
    first, second = (
        shown_name(s.name, _PANEL / 2 - 0.3, text_width(SMALL)) for s in _sides(compared)
    )
    for name, x, side in ((f"← {first}", -0.02, "right"), (f"{second} →", 0.02, "left")):
        better = panel.annotate(
            "",
            (0.5 + x, 1.0),
            xytext=(0, 3),
            textcoords="offset points",
            xycoords="axes fraction",
            ha=side,
            fontsize=SMALL,
            color=GREY,
        )
        set_plain(better, name)


def _sides(compared: Comparison) -> tuple[Subject, Subject]:
    return compared.a, compared.b


def _draw_blocks(panel: Axes, blocks: Sequence[BlockComparison]) -> None:
    rows = range(len(blocks))
    for values, colour, marker, name in (
        ([b.correlation for b in blocks], _BLUE, "o", "channel by channel"),
        ([b.geometry for b in blocks], _GREEN, "D", "distances between classes"),
    ):
        known = [(v, row) for v, row in zip(values, rows, strict=True) if v is not None]
        if known:
            panel.plot(*zip(*known, strict=True), marker, color=colour, markersize=3.6, label=name)
    panel.axvline(0, color=INK, linewidth=0.6)
    least = min(
        (v for b in blocks for v in (b.correlation, b.geometry) if v is not None), default=0
    )
    panel.set_xlim(min(-0.05, least - 0.08), 1.05)
    panel.set_xlabel("correlation between the two networks")
    panel.set_title("class means of the gates", loc="left", pad=_TITLE_PAD)
    panel.legend(
        loc="lower left",
        bbox_to_anchor=(-0.03, 0.99),
        ncols=2,
        frameon=False,
        fontsize=SMALL,
        handletextpad=0.1,
        columnspacing=0.8,
        borderaxespad=0.1,
    )
    for label, block in zip(panel.get_yticklabels(), blocks, strict=True):
        label.set_color(INK if block.moves else GREY)


def _notes(compared: Comparison, width: float) -> list[str]:
    """Return the small print."""
    character = text_width(SMALL)("n" * 100) / 100
    said = [compared.describe()]
    if compared.classes:
        said.append(
            "Classes: coloured where the change is significant at the 5 % level, adjusted for all "
            f"{len(compared.classes)} classes (Holm)."
        )
    still = [b.block for b in compared.blocks if not b.moves]
    if compared.blocks:
        said.append(
            "Gates: channel by channel, only where channel i is the same in both networks; distances "
            "between classes do not depend on the order of channels."
        )
    if still:
        said.append(f"Gates that hardly move: {', '.join(still)}.")
    return [line for text in said for line in textwrap.wrap(text, int(width / character * 1.15))]
