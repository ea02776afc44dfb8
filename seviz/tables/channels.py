"""The rows of single channels, and of the ranking of all."""

from __future__ import annotations

from pathlib import Path

from seviz.analysis.channel import ChannelView
from seviz.analysis.channel_text import shared_gates
from seviz.analysis.channels import ChannelRanking
from seviz.analysis.findings.estimates import estimate_of
from seviz.tables.csv_files import write_csv
from seviz.tables.table import Column, Table

_CLASSES = (
    Column("class", "class", get=lambda c: c.name),
    Column("images", "images", ","),
    Column.measured("mean", "mean gate", ".3f"),
    Column("spread", "standard deviation", ".3f", rank=1),
    Column("low", "smallest", ".3f", rank=2),
    Column("high", "largest", ".3f", rank=2),
)


def channel_classes_table(view: ChannelView) -> Table:
    """Return the gate of one channel by class, the class that opens it most first."""
    note = "mean gate [95 % interval, Student's, for all classes together]"
    return Table.of("channel_classes", f"{view.name} by class", _CLASSES, view.classes, (note,))


_IMAGES = (
    Column("end", "gate is", get=lambda one: one[0]),
    Column("image", "image", get=lambda one: one[1].name),
    Column("class", "class", get=lambda one: one[1].class_name),
    Column("gate", "gate", ".3f", get=lambda one: one[1].gate),
)


def channel_images_table(view: ChannelView) -> Table:
    """Return the images with the largest, and with the smallest gate."""
    rows = [("largest", i) for i in view.largest] + [("smallest", i) for i in view.smallest]
    caption = f"Images that open and close {view.name} most"
    notes = (f"of {view.where}", *shared_gates(view))
    return Table.of("channel_images", caption, _IMAGES, rows, notes)


_COMPANIONS = (
    Column("block", "block"),
    Column("channel", "channel", "d"),
    Column.measured("correlation", "correlation", "+.3f"),
    Column("within", "within classes", "+.3f", rank=1),
)


def channel_companions_table(view: ChannelView) -> Table:
    """Return the channels that are known to move with one, the closest first."""
    notes = (
        f"Pearson's correlation over the {view.sampled:,} images of the sample [95 %, Fisher's z, for "
        f"{view.looked_at:,} channels together]; {view.moving:,} are known to move with it",
        "within classes: of the deviations from the mean of each image's class",
    )
    caption = f"Channels that move with {view.name}"
    return Table.of("channel_companions", caption, _COMPANIONS, view.companions, notes)


_RANKING = (
    Column("block", "block"),
    Column("rank", "rank", "d"),
    Column("channel", "channel", "d"),
    Column("importance", "importance", ".4g"),
    Column("mean", "mean gate", ".3f"),
    Column("spread", "standard deviation", ".3f", rank=2),
    Column("class_share", "class share", ".3f", rank=3),
    Column("low", "below 0.05", ".1%", rank=4),
    Column("high", "above 0.95", ".1%", rank=4),
    Column("norm", "norm of weights", ".4g", rank=1),
    Column("weight_share", "share of weights", ".2%", rank=3),
    Column.measured(
        "delta",
        "top-1 without it",
        "+.2f",
        unit="points",
        scale=100,
        get=lambda r: estimate_of(r.effect),
    ),
    Column("lost"),
    Column("won"),
    Column("images"),
    Column("made_by"),
    Column("read_by"),
)
_NEEDS = {"norm": "norm", "weight_share": "norm", "delta": "effect"}


def ranking_table(ranking: ChannelRanking, *, every: bool = True, most: int = 0) -> Table:
    """Return a row for each channel, block by block, the least important first.

    Args:
        ranking: From `seviz.channels`.
        every: All columns, also those of which nothing is known; else without them.
        most: Channels of each block, the least important ones; all by default.
    """
    rows = [c for own in ranking.blocks.values() for c in (own[:most] if most else own)]
    columns = tuple(
        c
        for c in _RANKING
        if every or c.key not in _NEEDS or any(getattr(r, _NEEDS[c.key]) is not None for r in rows)
    )
    notes = [f"importance: {ranking.by}; rank 1 is the least important of its block"]
    if ranking.held:
        at = "its mean" if ranking.held == "mean" else "0"
        notes.append(
            f"top-1 without it: its change with the gate held at {at} [95 %, paired (Agresti and Min), for "
            "this channel alone]"
        )
    notes += ranking.notes
    return Table.of("channels", "Channels, ranked within their blocks", columns, rows, notes)


def write_channels_csv(ranking: ChannelRanking, path: str | Path) -> Path:
    """Write every channel with every number: ``block,rank,channel,importance,...,made_by,read_by``."""
    return write_csv(ranking_table(ranking), path)


_EFFECTS = (
    Column("held", "held at", get=lambda one: one[0]),
    Column.measured(
        "delta",
        "change of top-1",
        "+.2f",
        unit="points",
        scale=100,
        get=lambda one: estimate_of(one[1]),
    ),
    Column("lost", "lost", ",", get=lambda one: one[1].lost),
    Column("won", "won", ",", get=lambda one: one[1].won),
    Column("p", "p", "p", get=lambda one: one[1].p_value),
)


def channel_effects_table(view: ChannelView) -> Table | None:
    """Return what top-1 does with the gate of one channel held, where that was counted."""
    known = [(how, view.effect(how)) for how in ("mean", "zero")]
    rows = [one for one in known if one[1] is not None]
    if not rows or view.effects is None:
        return None
    note = f"over {view.effects.images:,} images of {view.effects.source}; exact McNemar test"
    caption = f"Answers with {view.name} held"
    return Table.of("channel_effects", caption, _EFFECTS, rows, (note,))
