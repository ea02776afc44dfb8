"""Gates as images by channels at some epochs of a training: stripes, where they have become constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seviz.analysis.tracking import BlockMoment, Track
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.letters import lettered
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import SMALL, figure_style
from seviz.figures.text import add_notes, text_width, wrapped
from seviz.figures.tracking import check_gates
from seviz.results.blocks import GateBlock, select_blocks
from seviz.results.record import Record
from seviz.results.sample import INDEX

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IMAGES = 96
_BORDERS = 30  # between classes, up to which they are marked
_ROWS = 6  # blocks that are drawn where none are named
_CELL, _TITLE, _EPOCH, _BAR = 1.0, 0.2, 0.14, 0.07  # inches
_SIDE, _LINE = 0.62, 0.13


def stripes_figure(
    track: Track,
    epochs: Sequence[int] = (),
    blocks: Sequence[str] = (),
    *,
    look: Look = PLAIN,
    figure: Figure | None = None,
) -> Figure | None:
    """Draw gates as images by channels at some epochs: stripes, where they are the same for every image.

    Images are those that every record kept, in the order of their classes; each block has its colours,
    the same at each epoch.

    Args:
        track: From `seviz.track`.
        epochs: Which; by default the first, the last and two between.
        blocks: Which, as in `seviz.activations`; six at most by default.
        look: Width, font, a palette that is a continuous colour map, letters (one for each epoch).
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Returns:
        The figure, or ``None`` if the records keep no single images.

    Raises:
        UsageError: If there is no such epoch or block.
        NoSEBlockError: If there is no block.
    """
    from seviz.figures.shown import Figure

    check_gates(track)
    moments = track.at(epochs)
    records = [moment.record() for moment in moments]
    if any(INDEX not in record.arrays for record in records):
        return None
    drawn = _shown_blocks(records[0], blocks)
    order, rows = _common_images(records)
    # Where one class ends and the next begins.
    borders = np.flatnonzero(np.diff(rows)) + 0.5
    borders = borders if len(borders) <= _BORDERS else borders[:0]
    width = look.width or PAGE_WIDTH
    wide = width - 2 * _SIDE
    gap = 0.1
    with figure_style(look):
        measure = text_width(SMALL)
        # As wide as what stands above them: more epochs than fit go below the first.
        least = max(
            measure(_share_text(b)) for b in track.blocks if b.block in {d.name for d in drawn}
        )
        columns = max(1, min(len(moments), int((wide + gap) / (least + 0.06 + gap))))
        lines = [(b, range(first, min(first + columns, len(moments))))
                 for first in range(0, len(moments), columns) for b in drawn]  # fmt: skip
        cell = (wide - gap * (columns - 1)) / columns
        notes = wrapped([_note(len(rows))], width - 0.2)
        foot = 0.12 + _LINE * len(notes)
        heads = len(lines) // len(drawn)
        tall = foot + len(lines) * (_CELL + _TITLE) + heads * _EPOCH
        made = figure or Figure()
        made.clear()
        made.set_layout_engine("none")
        made.set_size_inches(width, tall)
        top = tall
        for number, (block, shown) in enumerate(lines):
            head = number % len(drawn) == 0
            top -= _CELL + _TITLE + head * _EPOCH
            gates = [_gates(r, block, o) for r, o in zip(records, order, strict=True)]
            low, high = min(g.min() for g in gates), max(g.max() for g in gates)
            for column, at in enumerate(shown):
                left = _SIDE + column * (cell + gap)
                panel = made.add_axes((left / width, top / tall, cell / width, _CELL / tall))
                mesh = panel.imshow(
                    gates[at], cmap=_shades(look), vmin=low, vmax=max(high, low + 1e-6), aspect="auto",
                    interpolation="nearest",
                )  # fmt: skip
                epoch = moments[at].epoch
                found = next(b for b in track.of(block.name) if b.epoch == epoch)
                letter = f"{lettered(at + 1)[-1]} " if look.letters else ""
                above = f"{letter}epoch {epoch}\n" if head else ""
                panel.set_title(above + _share_text(found), fontsize=SMALL, linespacing=1.3)
                panel.set_xticks([])
                panel.set_yticks(borders if column == 0 else [])
                panel.tick_params(labelleft=False)
                for side in ("top", "right"):
                    panel.spines[side].set_visible(True)
                if column == 0:
                    panel.set_ylabel(f"{block.name}\n{block.channels} channels", fontsize=SMALL)
            bar = made.add_axes(
                ((width - _SIDE + 0.06) / width, top / tall, _BAR / width, _CELL / tall)
            )
            made.colorbar(mesh, cax=bar)
        add_notes(made, notes)
    set_caption(made, _note(len(rows)))
    return made


def _note(images: int) -> str:
    return (
        f"{images} images by class (down), by channels (across). Above: share of the gates' variance between "
        "channels [95 %], 1 for stripes."
    )


def _shades(look: Look) -> str:
    """Return the colour map of gates: a palette that is a list of colours has no order for them."""
    return look.palette if isinstance(look.palette, str) else "viridis"


def _shown_blocks(record: Record, names: Sequence[str]) -> list[GateBlock]:
    chosen = list(select_blocks(record.blocks, names))
    if names or len(chosen) <= _ROWS:
        return chosen
    places = sorted({round(p) for p in np.linspace(0, len(chosen) - 1, _ROWS)})
    return [chosen[p] for p in places]


def _common_images(
    records: Sequence[Record],
) -> tuple[list[npt.NDArray[np.intp]], npt.NDArray[np.int64]]:
    """Return where the images that all records kept are in each of them, by class; and their classes."""
    kept = np.asarray(records[0].arrays[INDEX])
    for record in records[1:]:
        kept = kept[np.isin(kept, record.arrays[INDEX])]
    kept = kept[:_IMAGES]  # the first of a sample are one
    sample = records[0].sample(records[0].blocks[0].name)
    assert sample is not None
    places = {int(i): n for n, i in enumerate(records[0].arrays[INDEX])}
    rows = np.array([sample.rows[places[int(i)]] for i in kept])
    by_class = np.lexsort((kept, rows))
    kept = kept[by_class]
    order = []
    for record in records:
        there = {int(i): n for n, i in enumerate(record.arrays[INDEX])}
        order.append(np.array([there[int(i)] for i in kept], np.intp))
    return order, rows[by_class]


def _gates(
    record: Record, block: GateBlock, order: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    sample = record.sample(block.name)
    assert sample is not None
    return np.asarray(sample.gates[order], np.float32)


def _share_text(found: BlockMoment) -> str:
    share = found.between_channels
    if share is None:
        return "constant"
    ends = "" if share.low is None else f" [{share.low:.3f}, {share.high:.3f}]"
    return f"{share.value:.3f}{ends}"
