"""What SE does to single images: gates, maps before and after them, and the answer without them.

NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.results.blocks import GateBlock
from seviz.results.mechanisms import word_of
from seviz.results.notebook import Shown
from seviz.results.shares import shown_share

Floats = npt.NDArray[np.float32]

# What a gate is held at: its mean over all images, or what leaves the map as it is.
MEAN, NEUTRAL = "mean", "neutral"
TOP = 5


@dataclass(frozen=True)
class Answer:
    """One class, and how much of the network's answer it is.

    Attributes:
        label: The class; ``output 3`` where the network's classes are not known.
        index: Position in the network's output.
        probability: What the network says of it: its share of the softmax, which a network may end in itself.
    """

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Held:
    """The answer with some gates held at fixed numbers.

    Attributes:
        top: The first five classes.
        kept: Probability of the class that the network itself answers.
    """

    top: tuple[Answer, ...]
    kept: float

    @property
    def index(self) -> int:
        """Return the class that is answered."""
        return self.top[0].index


@dataclass(frozen=True, eq=False)
class ChannelMaps:
    """One channel's map around its gate.

    Attributes:
        channel: Its index.
        before: The map as the block gets it, float32 [*space].
        after: The map as the network goes on with it.
    """

    channel: int
    before: Floats
    after: Floats


@dataclass(frozen=True, eq=False)
class ExplainedBlock:
    """One block on one image.

    Attributes:
        block: The block.
        gates: Its gates, float32 [C].
        reference: What they are measured against, [C]: the mean gate over all images, or the number that
            leaves a map as it is.
        spread: Standard deviation of each gate over all images, [C]; ``None`` without a record.
        own_class: Mean gate of the class that the network answers, [C]; ``None`` where that is not known.
        up: Channels turned up most against the reference, the first of them most.
        down: Channels turned down most, likewise.
        held: The answer with this block alone held at ``mean`` or ``neutral``.
    """

    block: GateBlock
    gates: Floats
    reference: Floats
    spread: Floats | None
    own_class: Floats | None
    up: tuple[ChannelMaps, ...]
    down: tuple[ChannelMaps, ...]
    held: Mapping[str, Held] = field(default_factory=dict)

    @property
    def moved(self) -> Floats:
        """Return how far each gate is from the reference, [C]."""
        return np.asarray(self.gates - self.reference)

    @property
    def distance(self) -> float:
        """Return the root mean square of these."""
        return float(np.sqrt(np.mean(self.moved.astype(np.float64) ** 2)))

    @property
    def unusual(self) -> float | None:
        """Return how far the gates are from their means in units of how far those of any image are.

        The root of the ratio of the mean square of `moved` to the mean variance over all images: 1 on
        average over the images of the record. ``None`` without a record, or where no gate moves.
        """
        if self.spread is None:
            return None
        usual = float(np.sqrt(np.mean(self.spread.astype(np.float64) ** 2)))
        return self.distance / usual if usual > 0 else None


@dataclass(frozen=True, eq=False)
class ExplainedImage:
    """One image.

    Attributes:
        name: What it is called.
        picture: The image as the network sees it, cropped and resized, uint8 [H, W, 3]; at most 512 wide
            and high. ``None`` where what the network sees is no picture.
        top: The first five classes of the answer; none where the network gives no score per class.
        blocks: The blocks, in forward order.
        all_held: The answer with all blocks held at ``mean`` or ``neutral``.
    """

    name: str
    picture: npt.NDArray[np.uint8] | None
    top: tuple[Answer, ...]
    blocks: tuple[ExplainedBlock, ...]
    all_held: Mapping[str, Held] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ImageExplanation(Shown):
    """What SE does to one or more images in one network.

    Attributes:
        checkpoint: Name of the file or zoo entry.
        checkpoint_sha256: Its hash, as in a record.
        architecture: What was built.
        input_size: Size of the tensor of one image.
        images: The images, in the order in which they were given.
        reference: ``mean`` or ``neutral``: what gates are measured against.
        against: The same for people: ``the mean gate over 364 images of digits test``.
        recorded: Images of the record behind it; 0 without one.
        not_held: Blocks whose gates cannot be held, so that no answer is known without them.
        notes: What a reader should know.
        versions: Versions of the libraries that made it.
    """

    checkpoint: str
    checkpoint_sha256: str
    architecture: str
    input_size: tuple[int, ...]
    images: tuple[ExplainedImage, ...]
    reference: str
    against: str
    recorded: int = 0
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """Return what its gates are called: ``SE``, ``ECA``, ``SE + ECA``."""
        return word_of(b.block.mechanism for image in self.images[:1] for b in image.blocks)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but pictures and maps, for JSON."""
        return {
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "architecture": self.architecture,
            "input_size": list(self.input_size),
            "reference": self.reference,
            "against": self.against,
            "recorded": self.recorded,
            "images": [_image(image) for image in self.images],
            "notes": list(self.notes),
            "versions": dict(self.versions),
        }

    def __repr__(self) -> str:
        """Return one line: what was answered to which images."""
        said = [
            f"{i.name}: {i.top[0].label} ({shown_share(i.top[0].probability)})" if i.top else i.name
            for i in self.images
        ]
        return f"<{type(self).__name__} of {self.checkpoint}: {', '.join(said)}>"


def neutral(block: GateBlock) -> float:
    """Return the gate that treats all channels alike: 1, or one part where gates share 1 between maps."""
    branches = getattr(block, "branches", 1)
    return 1.0 / branches


def _image(image: ExplainedImage) -> dict[str, Any]:
    return {
        "image": image.name,
        "top5": _answers(image.top),
        "all_held": {how: _held(held) for how, held in image.all_held.items()},
        "blocks": [_block(block) for block in image.blocks],
    }


def _block(found: ExplainedBlock) -> dict[str, Any]:
    optional = {
        name: None if values is None else _numbers(values)
        for name, values in (("spread", found.spread), ("class_mean", found.own_class))
    }
    return {
        "name": found.block.name,
        "path": found.block.path,
        "channels": found.block.channels,
        "gates": _numbers(found.gates),
        "reference": _numbers(found.reference),
        **optional,
        "distance": found.distance,
        "unusual": found.unusual,
        "up": [m.channel for m in found.up],
        "down": [m.channel for m in found.down],
        "held": {how: _held(held) for how, held in found.held.items()},
    }


def _numbers(values: Floats) -> list[float]:
    return [float(f"{v:.9g}") for v in values]


def _held(held: Held) -> dict[str, Any]:
    return {"top5": _answers(held.top), "kept": held.kept}


def _answers(top: tuple[Answer, ...]) -> list[dict[str, Any]]:
    return [{"label": a.label, "index": a.index, "probability": a.probability} for a in top]
