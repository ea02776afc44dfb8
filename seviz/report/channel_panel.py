"""What the page says of single channels: spread by class, images at either end, companions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seviz.analysis.channel_overview import COMPANIONS, ENDS, BlockOverview, channel_overview
from seviz.report.data import packed, quantised
from seviz.report.names import prose_without_folders, shown
from seviz.results.record import Record
from seviz.results.sample import INDEX

# Quartiles and ends of all classes on all channels, at most: five numbers of two bytes each.
MOST_NUMBERS = 60_000


@dataclass(frozen=True)
class Singles:
    """Single channels, packed.

    Attributes:
        meta: By block, how its numbers are packed.
        blobs: By block, the numbers.
        images: Positions in the source of the images that are named, ascending.
        rows: The class of each, as its place among the classes of the page.
        names: What each is called; empty where nobody knows.
        sampled: Images of the sample that they are chosen from.
        of: Images of the record.
    """

    meta: dict[str, dict[str, Any]]
    blobs: dict[str, str]
    images: tuple[int, ...]
    rows: tuple[int, ...]
    names: tuple[str, ...]
    sampled: int
    of: int

    def page_data(self) -> dict[str, Any]:
        """Return what the page is told of them."""
        return {
            "blocks": self.meta,
            "images": list(self.images),
            "rows": list(self.rows),
            "names": list(self.names),
            "sampled": self.sampled,
            "of": self.of,
            "ends": ENDS,
            "companions": COMPANIONS,
        }


def single_channels(
    record: Record,
    channels: dict[str, Sequence[int]],
    rows: Sequence[int],
    known: Mapping[int, str],
) -> Singles | None:
    """Pack what the sample of a record says of channels; ``None`` where it keeps no single images.

    Args:
        record: Gates.
        channels: By block, the channels that the page has.
        rows: Rows of the classes of the page.
        known: The names of images by their positions in the source.
    """
    found = channel_overview(record, channels, rows)
    if not found:
        return None
    ends = [a for one in found.values() for a in (one.largest.ravel(), one.smallest.ravel())]
    images = np.unique(np.concatenate(ends))
    positions = record.arrays[INDEX]
    sampled = record.sample(next(iter(found)))
    assert sampled is not None
    class_of = dict(zip(positions.tolist(), sampled.rows.tolist(), strict=True))
    place = {row: i for i, row in enumerate(rows)}
    order = {name: i for i, name in enumerate(found)}
    width = sum(len(one.channels) for one in found.values())
    boxes = 5 * len(rows) * width <= MOST_NUMBERS
    metas, blobs = {}, {}
    for name, one in found.items():
        metas[name], blobs[name] = _pack(record, name, one, rows, images, order, boxes=boxes)
    names = [known.get(i, "") for i in images.tolist()] if known else []
    return Singles(
        metas,
        blobs,
        tuple(images.tolist()),
        tuple(place[class_of[i]] for i in images.tolist()),
        tuple(shown(prose_without_folders(name)) for name in names),
        len(positions),
        int(record.count.sum()),
    )


def _pack(
    record: Record,
    name: str,
    one: BlockOverview,
    rows: Sequence[int],
    images: np.ndarray[Any, np.dtype[np.int64]],
    order: dict[str, int],
    *,
    boxes: bool,
) -> tuple[dict[str, Any], str]:
    stats = record.stats(name)
    ends = [
        a[list(rows)][:, one.channels].astype(np.float64) for a in (stats.minimum, stats.maximum)
    ]
    low, high = float(min(e.min() for e in ends)), float(max(e.max() for e in ends))
    parts = []
    drawn = boxes and one.quartiles is not None
    if drawn and one.quartiles is not None:
        parts += [quantised(a, low, high) for a in (ends[0], *one.quartiles, ends[1])]
    for position, gates in (
        (one.largest, one.largest_gates),
        (one.smallest, one.smallest_gates),
    ):
        parts += [np.searchsorted(images, position).astype(np.uint16), quantised(gates, low, high)]
    # Block, channel and correlation; a block of 0 is none.
    other = np.zeros((3, len(one.channels), COMPANIONS))
    for i, companions in enumerate(one.companions):
        for j, (block, channel, r) in enumerate(companions):
            other[:, i, j] = order[block] + 1, channel, r
    parts += [other[:2].astype(np.uint16), quantised(other[2], -1.0, 1.0)]
    shape = {"low": low, "high": high, "boxes": drawn, "kept": one.largest.shape[1]}
    return shape, packed(parts)
