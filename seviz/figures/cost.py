"""The figures of an audit: where the gates' parameters are, and what each block costs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seviz.analysis.cost import layers_of
from seviz.errors import UsageError
from seviz.figures.layout import COLUMN_WIDTH, PAGE_WIDTH
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, TEXT, figure_style
from seviz.figures.text import set_plain, shown_name, text_width
from seviz.results.cost import Audit, BlockCost, BlockWork

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREEN = COLOURS[0], COLOURS[1], COLOURS[2]
_MILLION = 1e6
_WIDTH = 0.62  # of a bar
_SEEN = 0.008  # height of a part of a bar that can be seen, as a share of the tallest bar
_LINE = 115  # characters across the figure of the blocks
_LONGEST_NAME = 3.0  # inches; a longer one takes the lines from the sentence that it stands in
_MOST_ROWS = 60  # blocks, from which on names are left out
_LEFT, _RIGHT, _FOOT, _BETWEEN = 0.52, 0.12, 0.4, 0.1  # inches around the three panels
_BESIDE = 0.7  # inches beside the title of the bars of stages
_LEGEND = 0.45  # inches above a panel, of three lines
_SIDE_BY_SIDE = 5.5  # inches, from which on three legends have room


def stage_bars(audit: Audit, *, look: Look = PLAIN) -> Figure:
    """Draw the gates' parameters as one bar per stage, each block a part of its bar.

    Args:
        audit: The result of `seviz.audit`.
        look: Width and font.

    Returns:
        The figure; `save_figure` writes it.
    """
    from seviz.figures.shown import Figure

    stages = audit.stages
    unit, name = _unit(max(s.params for s in stages))
    tallest = max(s.params for s in stages) / unit or 1.0  # of a kind without parameters
    several = len(audit.kinds) > 1
    with figure_style(look):
        wide = look.width or max(COLUMN_WIDTH, 1.2 + 0.75 * len(stages))
        figure = Figure(figsize=(wide, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for position, stage in enumerate(stages):
            edges = np.cumsum([b.params.total for b in stage.blocks]) / unit
            axes.bar(position, edges[-1], _WIDTH, color=_BLUE)
            if edges[-1] > _SEEN * tallest * len(edges):  # else there would be more edge than bar
                left = position - _WIDTH / 2
                axes.hlines(edges[:-1], left, left + _WIDTH, color="white", linewidth=0.8)
            axes.annotate(
                f"{stage.share:.1%}",
                (position, edges[-1]),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
            )
        labels = [_stage_label(s.blocks, s.name if several else f"stage {s.stage}") for s in stages]
        axes.set_xticks(range(len(stages)), labels, fontsize=SMALL)
        half = max(len(stages), 3) / 2 + 0.1  # of the axis: a single bar does not fill it
        axes.set_xlim((len(stages) - 1) / 2 - half, (len(stages) - 1) / 2 + half)
        axes.set_ylim(0, 1.12 * tallest)
        axes.set_ylabel(_in_unit(f"parameters of {audit.word}", name))
        axes.grid(axis="y", color=PALE, linewidth=0.5)
        axes.tick_params(axis="x", length=0)
        title = axes.set_title("", fontsize=TEXT, loc="left")
        subject = shown_name(f"{audit.word} in {audit.name}", wide - _BESIDE, text_width(TEXT))
        set_plain(
            title,
            f"{subject}\n{audit.se_params:,} parameters, {_percent(audit.params_increase)} of the "
            f"{audit.params_without_se:,} without {audit.word}",
        )
        figure.supxlabel(
            f"a bar is divided by blocks; per cent: share of {audit.word}'s weights",
            fontsize=SMALL,
            color=GREY,
        )
    return figure


def block_bars(audit: Audit, *, look: Look = PLAIN) -> Figure:
    """Draw what each block costs: parameters, arithmetic, and memory moved, side by side.

    Args:
        audit: The result of `seviz.audit`, of a network that is known.
        look: Width and font; where three panels have no room side by side, they stand one below the other.

    Raises:
        UsageError: If the audit has parameters alone.
    """
    from seviz.figures.shown import Figure

    works = [b.work for b in audit.blocks if b.work is not None]
    if audit.totals is None or len(works) != len(audit.blocks):
        raise UsageError(
            "expected an audit of a network, found one of parameters alone; audit it with its architecture"
        )
    rows = len(audit.blocks)
    tall = min(max(0.17 * rows, 1.2), 9.0)
    wide = look.width or PAGE_WIDTH
    with figure_style(look):
        said = _bound(audit, works, int(_LINE * wide / PAGE_WIDTH))
        sentence = 0.15 + 0.14 * (said.count("\n") + 1)
        across = 3 if wide >= _SIDE_BY_SIDE else 1
        height = sentence + (_LEGEND if across == 3 else 2 * _LEGEND) + 3 // across * (tall + _FOOT)
        figure = Figure(figsize=(wide, height))
        panels = _places(figure, (wide, height), across, tall)
        _panel(
            panels[0],
            "parameters",
            [("", GREY, [b.params.total for b in audit.blocks])],
        )
        _panel(
            panels[1],
            "operations per image",
            [
                ("squeeze (additions)", _BLUE, [w.squeeze_adds for w in works]),
                (f"{layers_of(audit)} (MACs)", _GREEN, [w.fc_macs for w in works]),
                ("scale (multiplications)", _ORANGE, [w.scale_multiplications for w in works]),
            ],
        )
        _panel(
            panels[2],
            "bytes moved per image",
            [
                ("squeeze: reads the map", _BLUE, [w.squeeze_bytes for w in works]),
                ("weights", _GREEN, [b.weight_bytes for b in audit.blocks]),
                ("scale: reads and writes it", _ORANGE, [w.scale_bytes for w in works]),
            ],
        )
        names = [b.block.name for b in audit.blocks]
        step = 1 if rows <= _MOST_ROWS else 5
        for number, panel in enumerate(panels):
            panel.set_yticks(range(0, rows, step), names[::step])
            panel.tick_params(labelleft=number % across == 0)
            panel.set_ylim(rows - 0.4, -0.6)
            _separate(panel, audit.blocks)
        set_plain(
            figure.suptitle("", x=0.01, y=1 - 0.06 / height, va="top", ha="left", fontsize=TEXT),
            said,
        )
    return figure


def _places(figure: Figure, size: tuple[float, float], across: int, tall: float) -> list[Axes]:
    """Return three panels side by side, or one below the other, under their legends.

    In inches: a layout engine would measure every text, four times.
    """
    wide, height = size
    each = (wide - _LEFT - _RIGHT - _BETWEEN * (across - 1)) / across
    panels = []
    for number in range(3):
        down, right = divmod(number, across)
        left = _LEFT + right * (each + _BETWEEN)
        bottom = _FOOT + (3 // across - 1 - down) * (
            _LEGEND + tall + _FOOT
        )  # the first has no legend
        box = (left / wide, bottom / height, each / wide, tall / height)
        panels.append(figure.add_axes(box))
    return panels


def _bound(audit: Audit, works: Sequence[BlockWork], line: int) -> str:
    """Say in lines so long how many operations the gates do for each byte, beside the rest."""
    assert audit.totals is not None
    work = audit.work
    assert work is not None
    others = audit.totals.bytes_without_se
    moved = audit.totals.bytes_moved - others
    share = moved / audit.totals.bytes_moved
    name = shown_name(audit.name, _LONGEST_NAME, text_width(TEXT))
    said = (
        f"{audit.word} in {name} has {_percent(work.fc_macs / audit.totals.macs)} of the network's "
        f"MACs and moves {_percent(share)} of its memory (float32, operators not fused): "
        f"{work.operations / moved:.2g} operations per byte, against "
        f"{(audit.totals.macs - work.fc_macs) / others:.2g} MACs per byte in the rest of the network"
    )
    return textwrap.fill(said, line)


def _panel(axes: Axes, title: str, parts: Sequence[tuple[str, str, Sequence[int]]]) -> None:
    """Draw stacked horizontal bars, one per block."""
    rows = range(len(parts[0][2]))
    totals = [sum(values[i] for _, _, values in parts) for i in rows]
    unit, name = _unit(max(totals))
    left = [0.0 for _ in rows]
    for label, colour, values in parts:
        widths = [v / unit for v in values]
        axes.barh(list(rows), widths, 0.72, left, color=colour, label=label)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_xlabel(_in_unit(title, name))
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.tick_params(axis="y", length=0)
    if parts[0][0]:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            frameon=False,
            fontsize=SMALL,
            handlelength=1.0,
            labelspacing=0.2,
            borderaxespad=0.2,
        )


def _separate(axes: Axes, blocks: Sequence[BlockCost]) -> None:
    """Draw a thin line between stages."""
    for row in range(1, len(blocks)):
        if blocks[row].block.stage != blocks[row - 1].block.stage:
            axes.axhline(row - 0.5, color=INK, linewidth=0.4)


def _stage_label(blocks: Sequence[BlockCost], stage: str) -> str:
    widths = sorted({b.block.channels for b in blocks})
    shown = f"{widths[0]}" if len(widths) == 1 else f"{widths[0]} to {widths[-1]}"
    count = f"{len(blocks)} block{'s' * (len(blocks) > 1)}"
    return f"{stage}\n{count}\nC = {shown}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%" if share >= 0.01 else f"{100 * share:.2g}%"


def _in_unit(title: str, unit: str) -> str:
    return f"{title} ({unit})" if unit else title


def _unit(most: float) -> tuple[float, str]:
    """Return the unit that gives readable numbers, and its name."""
    if most >= _MILLION:
        return _MILLION, "millions"
    return (1e3, "thousands") if most >= 1e4 else (1.0, "")
