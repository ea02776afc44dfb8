"""The gates of a record or a network, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from seviz.analysis.curves import default_classes
from seviz.api.passes import drawn_record
from seviz.figures import gate_curves, heat_map, ridges
from seviz.figures.catalogue import figures_of_style
from seviz.figures.gate_curves import PAPER_CHANNELS
from seviz.figures.look import Look, Width
from seviz.figures.style import Colors, diverging
from seviz.results.blocks import select_blocks
from seviz.results.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seviz.collect.meet import Data, Network
    from seviz.collect.options import PassOptions


def activations(
    record: Record | Network,
    data: Data | None = None,
    classes: Sequence[str | int] | None = None,
    *,
    blocks: Sequence[str] | None = None,
    style: Literal["heat", "lines", "ridges"] | None = None,
    channels: int | Literal["all"] | None = None,
    spread: bool = False,
    colors: Colors | None = None,
    width: Width | None = None,
    font: str | None = None,
    palette: str | Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    letters: bool = False,
    ylim: tuple[float, float] | None = None,
    own_axes: bool = False,
    ax: Axes | None = None,
    axes: Sequence[Axes] | None = None,
    options: PassOptions | None = None,
    **collecting: Any,
) -> Figure:
    """Draw the gates of some classes: a heat map, or the lines of figures 6 and 7 of the SENet paper.

    Args:
        record: From `seviz.collect` or `Record.load`, or its file or folder; or a network, from which it is
            collected first.
        data: Images for the network, as for `seviz.collect`. Of a record: the classes.
        classes: Labels, synonyms, WordNet ids or indices; by default all in a heat map or as ridges, and
            four of the record as lines.
        blocks: Block names, stages, or ``["all"]``; by default the last block of each stage and every
            block of the last stage.
        style: ``heat``: how much the mean gate of each class differs from that of all, classes by
            channels. ``lines``: the mean gate of each class along the channels, as in the paper.
            ``ridges``: gates of single images by class, of the channels that differ most. ``heat`` by
            default, ``lines`` where ``spread`` or ``colors`` is given.
        channels: How many channels to draw of each block, evenly spaced, or ``all``; by default all in a
            heat map, and 50 as lines. As ridges, the most class-specific ones, six in all by default.
        spread: Draw one standard deviation within each class as a band, with lines.
        colors: One for each class, in their order, or by their labels; lines, bands and legend take them.
        width: Of the figure, in centimetres, or ``column`` or ``page`` of a paper.
        font: Family of all text.
        palette: Name of a colour map of matplotlib's, or colours; of a heat map and ridges a continuous
            one, or two colours.
        rename: Names to show in place of those of classes.
        letters: Letter the panels (a), (b), ...
        ylim: Ends of the vertical axis of lines.
        own_axes: Give each panel of lines a vertical axis of its own.
        ax: A panel of your own to draw a single block on.
        axes: Panels of your own, one for each block.
        options: How the pass of a network is made.
        collecting: Further arguments of `seviz.collect`. What the labels of batches are called is
            ``class_names`` here; by default the classes, where nothing else says it.

    Returns:
        A matplotlib figure.

    Raises:
        UsageError: If a class or a block is not in the record, or a colour is none.
    """
    look = Look.of(
        width=width,
        font=font,
        palette=palette,
        rename=rename,
        letters=letters,
        ylim=ylim,
        free=own_axes,
    )
    how = style or ("lines" if spread or colors is not None else "heat")
    figures_of_style(how, spread)
    if how != "lines":
        diverging(look)  # refuses what is none before the work
    record, classes = drawn_record(record, data, classes, options, collecting)
    look.check_names(record.classes.labels)
    panels = [ax] if ax is not None else axes
    drawn = select_blocks(record.blocks, blocks)
    if how == "heat":
        chosen = record.classes.choose(map(str, classes)) if classes else ()
        return heat_map(record, chosen, drawn, channels=channels or "all", look=look, axes=panels)
    if how == "ridges":
        chosen = record.classes.choose(map(str, classes)) if classes else ()
        each = channels if isinstance(channels, int) else None
        return ridges(record, chosen, drawn, channels=each, look=look, axes=panels)
    chosen = record.classes.choose(map(str, classes or default_classes(record)))
    return gate_curves(
        record,
        chosen,
        drawn,
        channels=channels or PAPER_CHANNELS,
        spread=spread,
        colors=colors,
        look=look,
        axes=panels,
    )
