"""What one network does in several worlds: its records, and its answers image by image. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

from seviz.errors import DataError
from seviz.results.features import SampledFeatures
from seviz.results.predictions import PredictionTable
from seviz.results.record import Record


@dataclass(frozen=True, eq=False)
class World:
    """One set of images, and what the network did with it.

    Attributes:
        name: What it is called: ``noise 3``, or the name of the images.
        record: Gates and predictions.
        predictions: The answer for each image, where it is known.
        corruption: What was done to the images; empty for images as they are.
        severity: How much, 0 to 5.
        features: What the network's last layer reads of single images, where it is known.
    """

    name: str
    record: Record
    predictions: PredictionTable | None = None
    corruption: str = ""
    severity: int = 0
    features: SampledFeatures | None = None


def check_one_network(a: World, b: World) -> None:
    """Refuse two records that are not of one network, or tell nothing of single images.

    Raises:
        DataError: If networks differ, or there are no gates, or none of single images.
    """
    first, second = a.record, b.record
    if not first.blocks:
        raise DataError(
            f"expected gates in the record of {a.name}, found none; collect a network that has some"
        )
    for what, one, other in (
        ("networks", first.header.checkpoint_sha256, second.header.checkpoint_sha256),
        ("blocks", first.blocks, second.blocks),
    ):
        if one != other:
            raise DataError(
                f"expected one network, found different {what} in the records of {a.name} and {b.name}; "
                "collect them alike, or use seviz compare for two networks"
            )
    for world in (a, b):
        if world.record.sample(first.blocks[0].name) is None:
            raise DataError(
                f"expected the gates of single images in the record of {world.name}, found none; collect "
                "it again, with this seviz"
            )


def record_worlds(clean: Record, other: Record) -> list[World]:
    """Return the worlds of two records, under names that differ."""
    names = [clean.header.source, other.header.source]
    if names[0] == names[1]:
        names = [f"{r.header.source} {r.header.split}".rstrip() for r in (clean, other)]
    if names[0] == names[1]:
        names[1] += " (against)"
    return [World(names[0], clean), World(names[1], other)]
