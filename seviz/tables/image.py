"""The rows of single images: what each block does to them, and their gates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seviz.results.image import (
    MEAN,
    NEUTRAL,
    ExplainedBlock,
    ExplainedImage,
    Held,
    ImageExplanation,
)
from seviz.tables.table import Cell, Column, Table


@dataclass(frozen=True)
class _Answer:
    image: ExplainedImage
    place: int

    def held(self, how: str) -> Held | None:
        return self.image.all_held.get(how)

    def kept(self, how: str) -> float | None:
        """Return the probability of this class with all gates held, where it is among the first."""
        held = self.held(how)
        if held is None:
            return None
        own = self.image.top[self.place].index
        known = {self.image.top[0].index: held.kept} | {a.index: a.probability for a in held.top}
        return known.get(own)


_ANSWERS = (
    Column("image", "image", get=lambda a: a.image.name),
    Column("answer", "answer", get=lambda a: a.image.top[a.place].label),
    Column("probability", "as it is", ".1%", get=lambda a: a.image.top[a.place].probability),
    Column("all_mean", "all at their mean", ".1%", get=lambda a: a.kept(MEAN)),
    Column("all_neutral", "all at 1: no gates", ".1%", get=lambda a: a.kept(NEUTRAL)),
)


def answers_table(explained: ImageExplanation) -> Table:
    """Return the first five classes of each image, as it is and with all gates held."""
    rows = [_Answer(i, place) for i in explained.images for place in range(len(i.top))]
    note = "a dash: not among the first five there"
    return Table.of("image_answers", "The answer, and with all gates held", _ANSWERS, rows, (note,))


@dataclass(frozen=True)
class _Row:
    image: ExplainedImage
    found: ExplainedBlock

    def kept(self, how: str) -> float | None:
        return self.found.held[how].kept if how in self.found.held else None

    def answer(self, how: str) -> str | Cell | None:
        """Return what is answered with the block held, marked where it is another class."""
        if how not in self.found.held:
            return None
        held = self.found.held[how]
        label = held.top[0].label
        return Cell(label, "strong") if held.index != self.image.top[0].index else label


_BLOCKS = (
    Column("image", "image", get=lambda r: r.image.name),
    Column("block", "block", get=lambda r: r.found.block.name),
    Column("channels", "channels", "d", get=lambda r: r.found.block.channels, rank=3),
    Column("distance", "distance", ".4f", get=lambda r: r.found.distance, rank=2),
    Column("unusual", "against usual", ".2f", get=lambda r: r.found.unusual),
    Column("kept_mean", "at its mean", ".1%", get=lambda r: r.kept(MEAN)),
    Column("answer_mean", "answer", get=lambda r: r.answer(MEAN), rank=1),
    Column("kept_neutral", "at 1", ".1%", get=lambda r: r.kept(NEUTRAL)),
    Column("answer_neutral", "answer", get=lambda r: r.answer(NEUTRAL), rank=1),
)


def image_blocks_table(explained: ImageExplanation) -> Table:
    """Return a row for each image and block: how far its gates are from usual, what holding it does."""
    rows = [_Row(image, found) for image in explained.images for found in image.blocks]
    notes = [
        f"distance: root mean square of the gates against {explained.against}",
        "at its mean, at 1: probability of the network's own answer with the gates of this block alone held "
        "there, and what is answered then",
    ]
    if explained.recorded:
        notes.insert(
            1, "against usual: that distance by what it is on average over the record's images"
        )
    return Table.of("image_blocks", "One block held at a time", _BLOCKS, rows, notes)


@dataclass(frozen=True)
class _Channel:
    image: str
    found: ExplainedBlock
    channel: int
    end: str

    @property
    def block(self) -> str:
        return self.found.block.name

    @property
    def gate(self) -> float:
        return float(self.found.gates[self.channel])

    @property
    def reference(self) -> float:
        return float(self.found.reference[self.channel])

    @property
    def moved(self) -> float:
        return self.gate - self.reference

    @property
    def spread(self) -> float | None:
        return None if self.found.spread is None else float(self.found.spread[self.channel])

    @property
    def class_mean(self) -> float | None:
        own = self.found.own_class
        return None if own is None else float(own[self.channel])


_CHANNELS = (
    Column("image", "image"),
    Column("block", "block"),
    Column("channel", "channel", "d"),
    Column("gate", "gate", ".3f"),
    Column("reference", "mean of all", ".3f"),
    Column("moved", "difference", "+.3f"),
    Column("spread", "standard deviation", ".3f", rank=2),
    Column("class_mean", "mean of its class", ".3f", rank=1),
    Column("end", "turned"),
)


def image_channels_table(
    explained: ImageExplanation, block: str = "", *, every: bool = False
) -> Table:
    """Return the channels turned up and down most, a row each.

    Args:
        explained: The images.
        block: One block alone.
        every: All channels, in their order.
    """
    rows = [
        row
        for image in explained.images
        for found in image.blocks
        if block in ("", found.block.name)
        for row in _channels(image.name, found, every)
    ]
    # On a page with a table for each block, captions name the places to go to: no two are alike.
    caption = f"Channels{f' of {block}' if block else ''} against {explained.against}"
    columns = (
        _CHANNELS
        if explained.recorded
        else tuple(
            c
            for c in _CHANNELS
            if c.key not in ("spread", "class_mean", "reference", "moved") or every
        )
    )
    return Table.of(f"image_channels{'_' * bool(block)}{block}", caption, columns, rows)


def _channels(name: str, found: ExplainedBlock, every: bool) -> Iterator[_Channel]:
    ends = {m.channel: "down" for m in found.down} | {m.channel: "up" for m in found.up}
    order = range(len(found.gates)) if every else ends
    for channel in sorted(order, key=lambda c: -found.moved[c]) if not every else order:
        yield _Channel(name, found, channel, ends.get(channel, ""))
