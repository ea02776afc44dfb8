"""The heat map: how the mean gate of each class differs from that of all, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from seviz.analysis.class_share import MOVES
from seviz.analysis.curves import choose_curves
from seviz.analysis.profiles import (
    Profile,
    order_of_channels,
    order_of_classes,
    profiles,
    thinned,
)
from seviz.errors import UsageError
from seviz.figures.captions import set_caption
from seviz.figures.gate_curves import sampled_channels
from seviz.figures.heat_layout import CELLS, WIDEST_NAMES, HeatLayout, default_width
from seviz.figures.heat_words import WAYS, caption_of, notes
from seviz.figures.letters import letter_panels, letter_width
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import GREY, INK, LEAST, diverging, figure_style, sizes
from seviz.figures.text import inches, set_plain, shown_name, text_width, wrapped
from seviz.results.blocks import GateBlock
from seviz.results.classes import ClassChoice
from seviz.results.record import Record
from seviz.results.stats import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MEASURE = "mean gate of the class minus the mean over all classes"
# Share of the deviations of a block that the scale of colours spans.
_SPANNED = 0.995
_EXACT = 2**17  # deviations, of more than which not all are sorted
_ENDS = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)
_FEW = 10  # images of a class, below which its name says how many there are


def heat_map(
    record: Record,
    classes: Sequence[ClassChoice],
    blocks: Sequence[GateBlock],
    *,
    channels: int | Literal["all"] = "all",
    look: Look = PLAIN,
    figure: Figure | None = None,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draw the deviation of each class's mean gate from the mean over all classes, one panel per block.

    Rows are classes, in one order for all panels; columns are the channels of the block, in an order of its
    own; in both orders, those that deviate alike stand together. The scale of colours is one for all
    panels, and each panel's title has the largest deviation of all channels of its block. Where there are
    more classes or channels than cells fit, a cell is the mean of neighbours in these orders, and the figure
    says of how many.

    Args:
        record: Where the numbers come from.
        classes: The classes to draw; all that have images if none is named. The mean is over every class
            of the record, drawn or not, each weighing the same.
        blocks: Blocks of the record, one panel each, in this order.
        channels: How many channels of each block, evenly spaced; ``all`` for every one.
        look: Width, font, colours, names.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.
        axes: Panels of your own to draw on, one for each block, in place of a figure; they keep their
            size, and there is no colour bar and no small print. `caption` has the words.

    Returns:
        The figure; `save_figure` writes it.

    Raises:
        UsageError: If a chosen class has no image in the record, a block is not the record's, or there are
            not as many panels as blocks.
    """
    from seviz.figures.shown import Figure

    chosen = list(classes) or all_classes(record)
    names = choose_curves(record, chosen).names
    if not blocks or any(b not in record.blocks for b in blocks):
        from seviz.analysis.curves import check_blocks

        check_blocks(record, blocks)
    rows = [c.row for c in chosen]
    found = [
        p.only(sampled_channels(p.block.channels, channels)) for p in profiles(record, rows, blocks)
    ]
    order = order_of_classes(found)
    few = record.count[rows] < _FEW
    shown = [
        f"{look.named(names[i])} (n = {record.count[rows[i]]})" if few[i] else look.named(names[i])
        for i in order
    ]
    with figure_style(look):
        if axes is not None:
            return _on_axes(record, found, order, shown, list(axes), look)
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        layout, lines = _laid_out(record, found, shown, look)
        figure.set_size_inches(layout.width, layout.height)
        panels = [figure.add_axes(layout.box(i)) for i in range(len(found))]
        limit = colour_limit(found)
        image = None
        for position, (profile, panel) in enumerate(zip(found, panels, strict=True)):
            image = _draw(panel, profile, order, layout, limit, look)
            named = position % layout.columns == 0
            _name_rows(panel, shown if named else [], layout, layout.names)
        _title_panels(panels, found, layout.panel[0], layout.small, look)
        assert image is not None
        beyond = any(np.abs(p.deviation).max(initial=0.0) > limit for p in found)
        _add_bar(figure, image, layout, beyond)
        note = figure.text(
            0.075 / layout.width, 0.06 / layout.height, "", fontsize=layout.small, color=GREY,
            va="bottom", linespacing=1.15,
        )  # fmt: skip
        set_plain(note, "\n".join(lines))
    set_caption(figure, *caption_of(record, found, shown, layout))
    return figure


def all_classes(record: Record) -> list[ClassChoice]:
    """Return every class of a record that has images."""
    labels = record.classes.labels
    return [ClassChoice(row, labels[row]) for row in np.flatnonzero(record.count).tolist()]


def colour_limit(found: Sequence[Profile]) -> float:
    """Return where the scale of colours ends on both sides of zero, a round number.

    At what all but few deviations of any block are within; and not below what chance explains or what
    hardly matters, lest noise look like something.
    """
    spanned = [_quantile(p.deviation) for p in found]
    beyond = [p for p in found if not p.within_chance]
    least = [MOVES, *([] if beyond else [p.chance or 0.0 for p in found])]
    limit = max(*spanned, *least)
    unit = 10.0 ** math.floor(math.log10(limit))
    return round(next(n * unit for n in _ENDS if n * unit >= limit * (1 - 1e-9)), 12)


def _quantile(deviation: Floats) -> float:
    """Return what all but few deviations are within; of very many, by an even sample of them."""
    step = max(1, deviation.size // _EXACT)
    return float(np.quantile(np.abs(deviation.ravel()[::step]), _SPANNED))


def _laid_out(
    record: Record, found: Sequence[Profile], shown: Sequence[str], look: Look
) -> tuple[HeatLayout, list[str]]:
    """Return where everything goes, with room for the names and the small print."""
    _, small = sizes()
    widest = max(map(text_width(small), shown), default=0.0)
    width = look.width or default_width(len(found), widest)
    names = min(widest, WIDEST_NAMES * width)
    layout = HeatLayout(len(found), len(shown), width, names, small)
    # The rows may only have room for smaller names.
    measure = text_width(layout.name_size)
    names = min(max(map(measure, shown[:: layout.step]), default=0.0), WIDEST_NAMES * width)
    lines: list[str] = []
    for _ in range(
        3
    ):  # the height of the panels is what the small print leaves, which says how they are drawn
        layout = HeatLayout(len(found), len(shown), width, names, small, len(lines))
        lines = wrapped(notes(record, found, layout), width - 0.15, small)
    return HeatLayout(len(found), len(shown), width, names, small, len(lines)), lines


def _draw(
    panel: Axes,
    profile: Profile,
    order: Any,
    layout: HeatLayout | None,
    limit: float,
    look: Look,
) -> AxesImage:
    """Draw one block; a cell is the mean of neighbours where there are more of them than cells."""
    classes, channels = profile.deviation.shape
    if layout is None:
        wide, tall = inches(panel)
        groups = [
            max(1, math.ceil(n / (CELLS * s))) for n, s in ((classes, tall), (channels, wide))
        ]
    else:
        groups = [layout.group(classes, False), layout.group(channels, True)]
    cells = heat_cells(profile.deviation, order, *groups)
    image: AxesImage = panel.imshow(
        cells,
        cmap=diverging(look),
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
        extent=(0, channels, classes, 0),
    )
    panel.set_xticks([])
    panel.tick_params(axis="y", length=0, pad=2)
    panel.grid(visible=False)
    for spine in panel.spines.values():
        spine.set_visible(False)
    return image


def heat_cells(deviation: Floats, order: Any, class_group: int, channel_group: int) -> Floats:
    """Return what the cells of one panel show: clustered, and the means of neighbours.

    Args:
        deviation: By class and channel, [K, C].
        order: Of the classes.
        class_group: Classes that share a row.
        channel_group: Channels that share a column.
    """
    rows = thinned(deviation[order], class_group)
    columns = rows[:, order_of_channels(rows)]
    return thinned(columns.T, channel_group).T


def _name_rows(panel: Axes, shown: Sequence[str], layout: HeatLayout, room: float) -> None:
    if not shown:
        panel.set_yticks([])
        return
    step = layout.step
    places = range(0, len(shown), step)
    size = layout.name_size
    measure = text_width(size)
    names = [shown_name(shown[i], room, measure) for i in places]
    panel.set_yticks([place + 0.5 for place in places], names, fontsize=size)
    if step > 1:
        panel.tick_params(axis="y", length=2, width=0.4)
    for label, name in zip(panel.get_yticklabels(), names, strict=True):
        set_plain(label, name)


def _title_panels(
    panels: Sequence[Axes], found: Sequence[Profile], width: float, small: float, look: Look
) -> None:
    """Write the name of each block, and its largest deviation: as fully as there is room in every panel."""
    text = small + 1
    own = text_width(text)
    shift = letter_width(len(found), text) if look.letters else 0.0
    while text > LEAST and max(own(p.block.name) for p in found) + shift > 0.62 * width:
        text -= 0.5
        own = text_width(text)
        shift = letter_width(len(found), text) if look.letters else 0.0
    size = max(LEAST, min(small - 0.5, text))
    measure = text_width(size)
    room = [width - shift - own(p.block.name) - 0.06 for p in found]

    def fits(say: Callable[[Profile], str]) -> bool:
        return all(measure(say(p)) <= there for p, there in zip(found, room, strict=True))

    say = next((way for way in WAYS if fits(way)), WAYS[-1])
    for panel, profile in zip(panels, found, strict=True):
        # At x = 0 and still the one central title: that is the one `get_title` returns.
        panel.set_title(profile.block.name, x=0, ha="left", fontsize=text, color=INK)
        panel.set_title(say(profile), loc="right", fontsize=size, color=GREY)
    if look.letters:
        letter_panels(panels, width)


def _add_bar(figure: Figure, image: AxesImage, layout: HeatLayout, beyond: bool) -> None:
    bar = figure.colorbar(
        image,
        cax=figure.add_axes(layout.bar),
        orientation="horizontal",
        extend="both" if beyond else "neither",
        extendfrac=0.03,
    )
    bar.outline.set_visible(False)
    limit = float(image.get_clim()[1])
    ticks = [-limit, -limit / 2, 0.0, limit / 2, limit]
    texts = [f"{t:+g}" if t else "0" for t in ticks]
    bar.set_ticks(ticks, labels=[t.replace("-", "\N{MINUS SIGN}") for t in texts])
    bar.ax.tick_params(labelsize=layout.small, length=2, pad=1.5)
    # In the middle of the bar, but not beyond the edge of a narrow figure.
    half = text_width(layout.small)(MEASURE) / 2 + 0.03
    left, bottom, wide, _ = layout.bar
    across = min(max((left + wide / 2) * layout.width, half), layout.width - half)
    figure.text(
        across / layout.width,
        bottom - 1.75 * layout.small / 72 / layout.height,
        MEASURE,
        fontsize=layout.small,
        ha="center",
        va="top",
    )


def _on_axes(
    record: Record,
    found: Sequence[Profile],
    order: Any,
    shown: Sequence[str],
    axes: list[Axes],
    look: Look,
) -> Figure:
    """Draw on panels of the user's own."""
    if len(axes) != len(found):
        raise UsageError(
            f"expected a panel for each of {len(found)} blocks, found {len(axes)}; name as many blocks"
        )
    limit = colour_limit(found)
    figure = cast("Figure", axes[0].figure)
    _, small = sizes()
    for panel, profile in zip(axes, found, strict=True):
        width, height = inches(panel)
        own = HeatLayout(1, len(shown), width + 0.12, 0.0, small)
        _draw(panel, profile, order, None, limit, look)
        step = max(1, math.ceil(len(shown) * 1.02 * small / 72 / height))
        places = range(0, len(shown), step)
        names = [shown[i] for i in places]
        panel.set_yticks([place + 0.5 for place in places], names, fontsize=small)
        for label, name in zip(panel.get_yticklabels(), names, strict=True):
            set_plain(label, name)
        _title_panels([panel], [profile], width, small, look)
    set_caption(figure, *caption_of(record, found, shown, own))
    return figure
