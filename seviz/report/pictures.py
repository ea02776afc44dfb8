"""Figures for paper and for readers without scripts: drawn by matplotlib, held in the page as images."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seviz.figures.catalogue import Choices, drawn_from
from seviz.figures.fonts import boxes_are_told
from seviz.figures.saving import svg_of
from seviz.figures.style import figure_style
from seviz.report.inputs import Inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAT = "activations"
MOST_BLOCKS = 24


@dataclass(frozen=True)
class Picture:
    """One figure as an image in the page.

    Attributes:
        source: The SVG as a data URI: inside an image, no id meets another and no script runs.
        text: What it shows, for who cannot see it.
        width: In CSS pixels.
        height: In CSS pixels.
    """

    source: str
    text: str
    width: int
    height: int


def picture(figure: Figure, text: str) -> Picture:
    """Return a figure as an image; the same bytes for the same figure, which is of no other use then."""
    for axis in (axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)):
        if not axis.get_label_text():
            axis.set_label_coords(
                0, 0
            )  # else matplotlib measures all ticks to place what is not there
    with figure_style():
        drawn = svg_of(figure, metadata={"Date": None}, dpi=200)
    wide, tall = figure.get_size_inches()
    source = "data:image/svg+xml;base64," + base64.b64encode(drawn).decode()
    return Picture(source, text, round(96 * wide), round(96 * tall))


def pictures(inputs: Inputs) -> dict[str, list[Picture]]:
    """Return the figures of a report by section."""
    # Their text is set by the browser, with its own fonts: it has what matplotlib's lacks.
    with boxes_are_told():
        return _draw(inputs)


def _draw(inputs: Inputs) -> dict[str, list[Picture]]:
    chosen = Choices(classes=inputs.chosen)
    # Of very many blocks those of the paper's figure are enough to begin with; the page has all.
    blocks = ("all",) if len(inputs.record.blocks) <= MOST_BLOCKS else ()
    whole = Choices(blocks=blocks)
    results = (inputs.record, inputs.findings, inputs.evaluation, inputs.audit, inputs.ablation)
    drawn: dict[str, list[Picture]] = {}
    for result in results:
        heat = drawn_from(result, whole, printed=True, only=HEAT)
        others = drawn_from(result, chosen, printed=True, without=(HEAT,))
        for drawing, figure in (*heat, *others):
            drawn.setdefault(drawing.section, []).append(picture(figure, drawing.shows))
    return drawn
