"""Small pictures of images in the page: those behind a confusion, and at either end of a channel."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.analysis.channel_overview import ENDS, channel_overview
from seviz.report.findings import selectivity
from seviz.report.names import prose_without_folders, shown
from seviz.results.notebook import summary_html
from seviz.results.predictions import PredictionTable
from seviz.results.record import Record
from seviz.results.sample import INDEX

if TYPE_CHECKING:
    from PIL.Image import Image

# Of one picture: its longer side in pixels, and its bytes, so that 200 of them take 0.4 MB in base64.
SIDE, MOST_BYTES = 64, 1500
# The last serves black and white noise, which no picture exceeds.
_QUALITIES = (80, 65, 50, 35, 20, 10, 5)
# Images that are named of one way to be confused, and of all.
OF_CELL, OF_ALL = 12, 4000
# Pictures of a cell before the next one gets some; a channel gets all that the page lists of it.
_EACH_CELL = 4


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """Pictures and names of single images.

    Attributes:
        pictures: JPEG by position in the source.
        names: What images are called, by position.
        links: Where their files are, seen from the page.
        confused: By true and predicted class, the positions of the images, the surest first.
    """

    pictures: Mapping[int, bytes]
    names: Mapping[int, str]
    links: Mapping[int, str] = field(default_factory=dict)
    confused: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how many images there are of what."""
        numbers = {"pictures": f"{len(self.pictures):,}", "names": f"{len(self.names):,}"}
        return summary_html("single images", numbers, "seviz.write_report(..., thumbnails=...)")

    def page_data(self) -> dict[str, Any]:
        """Return what the page is told of each image, by its position."""
        known = sorted({*self.pictures, *self.names})
        found = {}
        for position in known:
            said = {
                "name": shown(
                    prose_without_folders(self.names.get(position, f"image {position:,}"))
                )
            }
            if position in self.pictures:
                said["src"] = base64.b64encode(self.pictures[position]).decode()
            if position in self.links:
                said["href"] = self.links[position]
            found[str(position)] = said
        return found


def make_thumbnails(
    record: Record,
    most: int,
    *,
    image: Callable[[int], Image],
    name: Callable[[int], str],
    link: Callable[[int], str] = lambda position: "",
    predictions: PredictionTable | None = None,
    positions: Sequence[int] = (),
) -> Thumbnails:
    """Choose the images that tell most, and make small pictures of them.

    Half are of the most frequent confusions, half of the channels that tell classes apart best; where one
    kind has fewer, the other has more. An image that cannot be read is left out.

    Args:
        record: Gates, with single images.
        most: Pictures at most.
        image: Reads an image by its position in the source.
        name: What it is called.
        link: Where its file is, seen from the page; empty for none.
        predictions: The answer for each image.
        positions: Where each of these is in the source.
    """
    confused = _confused(predictions, positions) if predictions is not None else {}
    ends, by_channel = _ends(record)
    chosen = _first(most, _alternate(_rounds(list(confused.values()), _EACH_CELL), by_channel))
    pictures = {}
    for position in chosen:
        try:
            pictures[position] = small(image(position))
        except Exception:  # whatever a decoder raises: the pass has told of such files
            continue
    named = sorted({*chosen, *ends, *(p for cell in confused.values() for p in cell)})
    links = {p: href for p in named if (href := link(p))}
    return Thumbnails(pictures, {p: name(p) for p in named}, links, confused)


def small(image: Image) -> bytes:
    """Return an image as a JPEG of at most `SIDE` pixels, as good as `MOST_BYTES` allow."""
    from PIL import Image as Pillow

    if image.mode.startswith(("I", "F")):  # deeper than eight bits: its own range is shown
        values = np.asarray(image, np.float64)
        low, high = float(values.min()), float(values.max())
        image = Pillow.fromarray(((values - low) / ((high - low) or 1.0) * 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "P"):
        image = image.convert("RGBA")
        plain = Pillow.new("RGBA", image.size, "white")
        image = Pillow.alpha_composite(plain, image)
    image = image.convert("RGB")
    image.thumbnail((SIDE, SIDE))
    data = b""
    for quality in _QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, optimize=True)
        data = file.getvalue()
        if len(data) <= MOST_BYTES:
            break
    return data


def _confused(
    table: PredictionTable, positions: Sequence[int]
) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return the images of each confusion, the most frequent confusion first."""
    wrong = np.flatnonzero(table.true != table.predicted)
    sure = table.confidence if table.confidence is not None else np.zeros(len(table))
    cells: dict[tuple[int, int], list[int]] = {}
    for i in wrong[np.lexsort((wrong, -sure[wrong]))].tolist():
        cells.setdefault((int(table.true[i]), int(table.predicted[i])), []).append(i)
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    left = OF_ALL
    for (true, predicted), images in sorted(
        cells.items(), key=lambda cell: (-len(cell[1]), cell[0])
    ):
        kept = images[: min(OF_CELL, left)]
        if kept:
            key = (table.labels[true], table.labels[predicted])
            found[key] = tuple(int(positions[i]) for i in kept)
        left -= len(kept)
    return found


def _ends(record: Record) -> tuple[set[int], Iterator[int]]:
    """Return all images at the ends of channels, and those of the most telling channels first."""
    if INDEX not in record.arrays:
        return set(), iter(())
    channels = {b.name: range(b.channels) for b in record.blocks}
    found = channel_overview(record, channels, np.flatnonzero(record.count).tolist())
    named: set[int] = set()
    by_block = []
    for block, one in found.items():
        named |= {*one.largest.ravel().tolist(), *one.smallest.ravel().tolist()}
        order = np.argsort(-selectivity(record.stats(block)), kind="stable")
        ends = np.concatenate([one.largest, one.smallest], axis=1)
        by_block.append(ends[order].ravel().tolist())
    return named, _rounds(by_block, 2 * ENDS)


def _rounds(lists: Sequence[Sequence[int]], each: int) -> Iterator[int]:
    """Take so many from each list, then so many more from each, until nothing is left."""
    longest = max(map(len, lists), default=0)
    for start in range(0, longest, each):
        for one in lists:
            yield from one[start : start + each]


def _alternate(*streams: Iterator[int]) -> Iterator[int]:
    for together in zip_longest(*streams):
        yield from (one for one in together if one is not None)


def _first(most: int, wanted: Iterator[int]) -> list[int]:
    """Return the first different ones."""
    found: dict[int, None] = {}
    for one in wanted:
        if len(found) >= most:
            break
        found[one] = None
    return list(found)
