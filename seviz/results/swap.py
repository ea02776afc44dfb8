"""What a network answers when one image passes with the gates of another. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.results.blocks import GateBlock
from seviz.results.mechanisms import word_of

Integers = npt.NDArray[np.int64]

# What stands in the place of an image's gates: those of another image; the mean gates of that image's
# class; those of that image with their channels in another order.
OTHER, MEAN, SHUFFLED = "other", "mean", "shuffled"
WAYS = (OTHER, MEAN, SHUFFLED)
ALL_BLOCKS = "all"


@dataclass(frozen=True)
class SwapImage:
    """One of the images that exchange gates.

    Attributes:
        name: What it is called; where nobody knows, its position.
        index: Its position in the source.
        answer: The output that is largest for it, which is its class here.
    """

    name: str
    index: int
    answer: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images, and what was answered.

    Attributes:
        donors: Whose gates they are: places among the images, int64 [P].
        receivers: Which image passes, [P].
        answers: The output that is then largest, int64 [places, P], by what its gates were replaced with:
            a row for each block alone, in forward order, and the last for all blocks at once.
        lifts: How much the log odds of the donor's class against the classes that take part and are those of
            neither image (the mean of their logarithms) rise by it, float32 [places, P], likewise; empty
            where there are no such classes.
    """

    donors: Integers
    receivers: Integers
    answers: Mapping[str, Integers]
    lifts: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.donors)


@dataclass(frozen=True, eq=False)
class SwappedGates:
    """Every answer of a network whose images exchanged their gates.

    Attributes:
        checkpoint: Name of the file or zoo entry.
        checkpoint_sha256: Its hash, as in a record.
        architecture: What was built.
        source: Name of the images.
        split: Part of the source.
        blocks: The blocks whose gates were replaced, in forward order.
        outputs: Number of the network's outputs.
        labels: What the classes are called that were answered anywhere, by output.
        images: The images that exchanged gates.
        across: Pairs of two classes.
        within: Pairs of one class, with the gates of another image alone: a control.
        tried: Images that were run to find these.
        labelled: Whether labels are known: then only images that the network has right took part.
        seed: Of the sample of images and pairs, and of shuffled channels.
        created: Date and time, ISO 8601, UTC.
        command: The command line, or empty from Python.
        versions: Versions of the libraries that made it.
        notes: What a reader should know.
    """

    checkpoint: str
    checkpoint_sha256: str
    architecture: str
    source: str
    split: str
    blocks: tuple[GateBlock, ...]
    outputs: int
    labels: Mapping[int, str]
    images: tuple[SwapImage, ...]
    across: Pairs
    within: Pairs
    tried: int
    labelled: bool
    seed: int = 0
    created: str = ""
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """Return what its gates are called: ``SE``, ``ECA``, ``SE + ECA``."""
        return word_of(b.mechanism for b in self.blocks)

    @property
    def places(self) -> tuple[str, ...]:
        """Return what was replaced, a name for each row of answers: single blocks, then all."""
        return (*(b.name for b in self.blocks), ALL_BLOCKS)

    @property
    def classes(self) -> Integers:
        """Return the class of each image, [n]."""
        return np.array([image.answer for image in self.images], np.int64)

    def header(self) -> dict[str, Any]:
        """Return what is known beside the answers, for JSON."""
        return {
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "architecture": self.architecture,
            "source": self.source,
            "split": self.split,
            "images": len(self.images),
            "tried": self.tried,
            "pairs": len(self.across),
            "pairs_within": len(self.within),
            "labelled": self.labelled,
            "seed": self.seed,
            "created": self.created,
            "command": self.command,
            "versions": dict(self.versions),
            "notes": list(self.notes),
        }
