"""Ridges: the gates of single images by class, for the channels that tell classes apart best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.analysis.curves import check_blocks, choose_curves
from seviz.analysis.telling import TellingChannel, telling_channels
from seviz.errors import DataError, UsageError
from seviz.figures.captions import set_caption
from seviz.figures.layout import COLUMN_WIDTH, PAGE_WIDTH, TALLEST
from seviz.figures.letters import letter_panels, letter_width
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import GREY, INK, PALE, diverging, figure_style, sizes
from seviz.figures.text import inches, set_plain, shown_name, text_width, wrapped
from seviz.results.blocks import GateBlock
from seviz.results.classes import ClassChoice
from seviz.results.record import Record
from seviz.results.stats import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 6
# Classes of a panel that nobody chose: all if there are so few, else the ends of their order.
MOST_CLASSES, AT_EACH_END = 12, 5
# Images of a class in the sample, of fewer than which each is drawn by itself.
FEWEST_IMAGES = 8
_ROW = 0.165  # inches
_OVERLAP = 1.6  # rows that the highest ridge reaches over
_WIDEST_NAMES = 0.42  # share of a panel
_NARROWEST = 1.1
_TWO = 3.0  # inches, from which two panels have room side by side
_MARGIN, _GAP = 0.06, 0.14
_GRID = 160
_LEVELS = np.array([0.002, 0.998])
MEASURE = "gate of single images"


def ridges(
    record: Record,
    classes: Sequence[ClassChoice],
    blocks: Sequence[GateBlock],
    *,
    channels: int | None = None,
    look: Look = PLAIN,
    figure: Figure | None = None,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draw how the gates of single images are distributed in each class, a panel for each channel.

    The channels are those with the largest share of variance explained by class. Within a panel classes
    stand by their mean gate, the highest on top, coloured by how far it is from the mean over all classes,
    which is the dashed line; the tick in each ridge is the mean over all images of the class.

    Args:
        record: Needs the gates of single images; records of an older seviz have none.
        classes: The classes; by default all, of more than 12 the five highest and lowest of each panel.
        blocks: Where to look for channels.
        channels: How many of each block at most; by default six in all, spread over the blocks.
        look: Width, font, colours, names.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.
        axes: Panels of your own, one for each channel, in place of a figure.

    Returns:
        The figure; `save_figure` writes it.

    Raises:
        DataError: If the record has no single images.
        UsageError: If a chosen class has no image, or a block is not the record's.
    """
    from seviz.figures.shown import Figure

    check_blocks(record, blocks)
    chosen = choose_curves(record, classes)
    if record.sample(blocks[0].name) is None:
        raise DataError(
            "expected gates of single images in the record, found none: an older seviz did not keep them; "
            "collect it again"
        )
    count = PANELS if axes is None else len(axes)
    most = count if channels is None else channels * len(blocks)
    found = telling_channels(record, blocks, min(most, 10 * PANELS), channels)
    shown = [_rows(record, one, chosen.rows) for one in found]
    named = dict(zip(chosen.rows, chosen.names, strict=True))
    labels = record.classes.labels

    def name(row: int) -> str:
        return look.named(named.get(row) or labels[row])

    with figure_style(look):
        notes = _notes(record, found, shown, bool(classes))
        if axes is not None:
            if len(axes) != len(found):
                raise UsageError(
                    f"expected a panel for each of {len(found)} channels, found {len(axes)}; give as many"
                )
            figure = axes[0].figure  # type: ignore[assignment]
            panels, room = list(axes), math.inf
        else:
            figure = figure or Figure()
            figure.clear()
            figure.set_layout_engine("none")
            panels, room = _frame(figure, found, shown, name, notes, look)
        for panel, one, rows in zip(panels, found, shown, strict=True):
            _draw(panel, record, one, rows, [name(row) for row in rows], room, look)
        _title_panels(panels, found, look)
        if look.letters:
            letter_panels(panels, inches(panels[0])[0])
    assert figure is not None
    which = ", ".join(f"{t.block.name} channel {t.channel}" for t in found)
    best = "some channels" if _untold(record) else "the channels that tell classes apart best"
    set_caption(
        figure,
        f"Gates of single images by class, in {best} ({which}): "
        f"{record.header.architecture} on {record.header.images:,} images.",
        *notes,
    )
    return figure


def _rows(record: Record, one: TellingChannel, chosen: Sequence[int]) -> list[int]:
    """Return the classes of one panel, the lowest mean first."""
    mean = record.stats(one.block.name).mean[:, one.channel]
    rows = np.array(chosen if len(chosen) else np.flatnonzero(record.count), np.intp)
    rows = rows[np.argsort(mean[rows], kind="stable")]
    if not len(chosen) and len(rows) > MOST_CLASSES:
        rows = np.concatenate([rows[:AT_EACH_END], rows[-AT_EACH_END:]])
    return [int(row) for row in rows]


def _frame(
    figure: Figure,
    found: Sequence[TellingChannel],
    shown: Sequence[Sequence[int]],
    name: Any,
    notes: list[str],
    look: Look,
) -> tuple[list[Axes], float]:
    """Set the size of the figure and add its panels; return them with the room for names, in inches."""
    _, small = sizes()
    measure = text_width(small)
    widest = max(measure(name(row)) for rows in shown for row in rows)
    wide = look.width or (COLUMN_WIDTH if len(found) == 1 else PAGE_WIDTH)
    most = min(len(found), 3)
    columns = next(
        (
            c
            for c in range(most, 1, -1)
            if (wide - 2 * _MARGIN - (c - 1) * _GAP) / c >= _NARROWEST + min(widest, 0.8)
        ),
        1,
    )
    tall = _ROW * (max(map(len, shown)) + _OVERLAP - 0.6)
    title, ticks = 2.1 * (small + 1) / 72, 2.6 * small / 72
    lines = wrapped(notes, wide - 0.15, small)
    foot = _MARGIN + len(lines) * 0.128 * small / 7 + 1.9 * small / 72
    # Two narrow panels side by side rather than more than a page holds.
    if columns == 1 and foot + len(found) * (tall + title + ticks) > TALLEST:
        columns = 2 if wide >= _TWO else 1
    rows = math.ceil(len(found) / columns)
    cell = (wide - 2 * _MARGIN - (columns - 1) * _GAP) / columns
    room = min(widest + 0.06, _WIDEST_NAMES * cell)
    height = foot + rows * (tall + title + ticks) + _MARGIN
    figure.set_size_inches(wide, height)
    panels = []
    for position in range(len(found)):
        row, column = divmod(position, columns)
        left = _MARGIN + column * (cell + _GAP) + room
        bottom = foot + (rows - 1 - row) * (tall + title + ticks) + ticks
        panels.append(
            figure.add_axes(
                (left / wide, bottom / height, (cell - room - 0.04) / wide, tall / height)
            )
        )
    figure.text(
        0.5, (foot - 0.4 * small / 72) / height, MEASURE, fontsize=small, ha="center", va="top"
    )
    note = figure.text(
        0.075 / wide, 0.06 / height, "", fontsize=small, color=GREY, va="bottom", linespacing=1.15
    )
    set_plain(note, "\n".join(lines))
    return panels, room - 0.05


def _draw(
    panel: Axes,
    record: Record,
    one: TellingChannel,
    rows: Sequence[int],
    names: Sequence[str],
    room: float,
    look: Look,
) -> None:
    from matplotlib.ticker import MaxNLocator

    _, small = sizes()
    stats = record.stats(one.block.name)
    sample = record.sample(one.block.name)
    assert sample is not None
    gates = sample.gates[:, one.channel].astype(np.float64)
    mean, everything = stats.mean[:, one.channel], float(stats.all_mean[one.channel])
    low, high = np.quantile(gates, _LEVELS)
    own = [gates[sample.rows == row] for row in rows]
    seen = [mean[list(rows)], *(g for g in own if len(g) < FEWEST_IMAGES)]
    low, high = (
        min(low, *(v.min(initial=low) for v in seen)),
        max(high, *(v.max(initial=high) for v in seen)),
    )
    edge = 0.03 * (high - low) or 0.01
    at = np.linspace(low - edge, high + edge, _GRID)
    curves = [density(g, at) if len(g) >= FEWEST_IMAGES else None for g in own]
    highest = max((float(c.max()) for c in curves if c is not None), default=1.0)
    far = float(np.abs(mean[list(rows)] - everything).max()) or 1.0
    shades = diverging(look)
    panel.axvline(everything, color=INK, linewidth=0.7, linestyle=(0, (3, 2.2)), zorder=50)
    for place, (row, gate, curve) in enumerate(zip(rows, own, curves, strict=True)):
        colour = shades(0.5 + 0.42 * (mean[row] - everything) / far)
        over = 40 - place / len(rows)
        panel.axhline(place, color=PALE, linewidth=0.5, zorder=over - 0.01)
        if curve is not None:
            up = place + curve / highest * _OVERLAP
            panel.fill_between(at, place, up, facecolor=colour, linewidth=0, zorder=over)
            panel.plot(at, up, color=INK, linewidth=0.4, zorder=over)
        else:
            panel.plot(gate, np.full(len(gate), place + 0.3), "o", color=colour, markersize=2.6,
                       markeredgecolor=INK, markeredgewidth=0.3, zorder=over)  # fmt: skip
        # Above the ridges that reach over it, and seen on any of their colours.
        for width, shade in ((2.4, "white"), (1.1, INK)):
            panel.plot(
                [mean[row]] * 2, [place, place + 0.62], color=shade, linewidth=width, zorder=45
            )
    panel.set_xlim(at[0], at[-1])
    panel.set_ylim(-0.15, len(rows) - 1 + _OVERLAP + 0.15)
    measure = text_width(small)
    shown = [shown_name(name, room, measure) for name in names]
    panel.set_yticks(range(len(rows)), shown, fontsize=small)
    for label, text in zip(panel.get_yticklabels(), shown, strict=True):
        set_plain(label, text)
        label.set_verticalalignment("bottom")
    panel.tick_params(axis="y", length=0, pad=3)
    panel.tick_params(axis="x", labelsize=small)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3, steps=[1, 2, 3, 5, 10]))
    panel.spines["left"].set_visible(False)
    panel.grid(visible=False)


def _title_panels(panels: Sequence[Axes], found: Sequence[TellingChannel], look: Look) -> None:
    """Write block and channel over each panel; where both have no room, as `seviz channel` is asked."""
    _, small = sizes()
    block, channel = text_width(small + 1), text_width(small - 0.5)
    shift = letter_width(len(found), small + 1) if look.letters else 0.0
    roomy = all(
        shift + block(t.block.name) + channel(f"channel {t.channel}") + 0.06 <= inches(panel)[0]
        for panel, t in zip(panels, found, strict=True)
    )
    for panel, one in zip(panels, found, strict=True):
        name = one.block.name if roomy else f"{one.block.name}:{one.channel}"
        panel.set_title(name, x=0, ha="left", fontsize=small + 1, color=INK)
        said = f"channel {one.channel}" if roomy else ""
        panel.set_title(said, loc="right", fontsize=small - 0.5, color=GREY)


def density(values: Floats, at: Floats) -> Floats:
    """Return the density of values (Gaussian kernels of Silverman's width, 1986) at some points.

    Args:
        values: [n].
        at: Points, [m].
    """
    quarter, three = np.quantile(values, [0.25, 0.75])
    spreads = [s for s in (float(values.std()), float(three - quarter) / 1.34) if s > 0]
    # Not narrower than the points are apart: equal gates are one peak.
    width = max(0.9 * min(spreads, default=0.0) * len(values) ** -0.2, float(at[1] - at[0]))
    near = np.exp(-0.5 * ((at[:, None] - values[None, :]) / width) ** 2)
    return np.asarray(near.mean(axis=1) / (width * math.sqrt(2 * math.pi)))


def _untold(record: Record) -> str:
    """Say why no class share means anything, where there is one class or one image of each; else nothing."""
    count = record.count[record.count > 0]
    if len(count) > 1 and count.max() > 1:
        return ""
    why = "class" if len(count) < 2 else "image of each class"
    return f"With one {why} it cannot be said which channels tell classes apart."


def _notes(
    record: Record,
    found: Sequence[TellingChannel],
    shown: Sequence[Sequence[int]],
    named: bool,
) -> list[str]:
    """Return the small print."""
    sample = record.sample(found[0].block.name)
    assert sample is not None
    said = []
    if record.header.partial:
        said.append(f"Partial record: interrupted after {record.header.images:,} images.")
    shares = [t.share for t in found]
    said.append(
        f"{len(sample.rows):,} images of the record's sample. Ticks: class means over all images; dashed: "
        "the mean over all classes; red above, blue below it."
    )
    said.append(
        _untold(record)
        or "The channels with the largest share of variance explained by class, "
        f"{min(shares):.2f} to {max(shares):.2f}."
    )
    seen = int(np.count_nonzero(record.count))
    if not named and seen > MOST_CLASSES:
        said.append(f"Of {seen:,} classes the {AT_EACH_END} highest and lowest of each channel.")
    counts = np.bincount(sample.rows, minlength=len(record.count))
    if any(counts[row] < FEWEST_IMAGES for rows in shown for row in rows):
        said.append(
            f"Dots: single images, of classes with fewer than {FEWEST_IMAGES} in the sample."
        )
    return [" ".join(said)]
