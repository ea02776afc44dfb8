"""What is known of single channels beside a record: the layers around them, and the answer without them.

NumPy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.errors import UsageError
from seviz.results.blocks import GateBlock
from seviz.results.stats import Floats

# What one channel's gate is held at: its mean over all images, or 0, as if the channel were cut out.
MEAN, ZERO = "mean", "zero"
WAYS = (MEAN, ZERO)
# Gates that are nearer to each other are one: a sigmoid in float32 ends in steps of that size.
APART = 1e-6
# What is said wherever the readers of such a map are.
PASSED_ON = "what reads the map further on, through a shortcut, is not among them"


@dataclass(frozen=True, eq=False)
class Around:
    """The layers around one block.

    Attributes:
        block: Name of the block.
        made_by: State-dict names of the weights that make the map it scales.
        read_by: State-dict names of the weights that read the scaled map next, before any other layer.
        norm: Euclidean norm of all weights in ``read_by`` that each channel is multiplied by, [C].
        passed_on: Whether the map goes on beside these, through a shortcut: what reads it there is neither
            in ``read_by`` nor in ``norm``.
        lost: Operators that take the channels in ways that are not followed; what reads them is not in
            ``norm``.
    """

    block: str
    made_by: tuple[str, ...]
    read_by: tuple[str, ...]
    norm: Floats
    lost: tuple[str, ...] = ()
    passed_on: bool = False

    @property
    def share(self) -> Floats:
        """Return the part of the sum of the squared weights that hangs on each channel, [C]."""
        squares = self.norm**2
        total = squares.sum()
        return squares / total if total > 0 else np.zeros_like(squares)


@dataclass(frozen=True)
class HeldChannel:
    """The network with one channel's gate held, on the same images as the network itself.

    Attributes:
        block: Name of the block.
        channel: Its index.
        how: ``mean`` or ``zero``.
        lost: Images that only the network itself has right.
        won: Images that only the network with this gate held has right.
    """

    block: str
    channel: int
    how: str
    lost: int
    won: int


@dataclass(frozen=True)
class ChannelImage:
    """One image, and the gate of one channel on it.

    Attributes:
        name: What the image is called; where nobody knows, its position.
        class_name: Its class.
        gate: The gate.
    """

    name: str
    class_name: str
    gate: float


@dataclass(frozen=True)
class SharedGate:
    """Images that share a gate, more of them than are listed: a gate that is saturated has no extremes.

    Attributes:
        images: How many they are.
        gate: Their gate.
    """

    images: int
    gate: float

    def sentence(self, end: str, where: str) -> str:
        """Return that in words.

        Args:
            end: ``largest`` or ``smallest``.
            where: Which images were looked at.

        >>> SharedGate(412, 1.0).sentence("largest", "a random sample")
        '412 images of a random sample share the gate 1.000, and are not listed among the largest'
        """
        return (
            f"{self.images:,} images of {where} share the gate {self.gate:.3f}, and are not listed among the "
            f"{end}"
        )


@dataclass(frozen=True)
class ChannelEffects:
    """What a pass with single channels held gives.

    Attributes:
        images: Images that went through the network.
        right: Those whose largest output is their class.
        held: The channels, each in each way that was asked for.
        largest: Images with the largest gate of the first channel, the largest first.
        smallest: Images with its smallest gate, likewise.
        largest_shared: More of them than that which share one gate, and so are not among them.
        smallest_shared: Likewise.
        source: Name of the images.
        skipped: Images that could not be read, with the reason.
        partial: Whether the pass was interrupted.
    """

    images: int
    right: int
    held: tuple[HeldChannel, ...]
    largest: tuple[ChannelImage, ...] = ()
    smallest: tuple[ChannelImage, ...] = ()
    source: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    partial: bool = False
    largest_shared: SharedGate | None = None
    smallest_shared: SharedGate | None = None

    def of(self, block: str, channel: int) -> dict[str, HeldChannel]:
        """Return what is known of one channel, by what it is held at."""
        return {h.how: h for h in self.held if (h.block, h.channel) == (block, channel)}


def extremes(
    gates: Floats, order: npt.NDArray[np.int64], most: int, *, largest: bool
) -> tuple[list[int], SharedGate | None]:
    """Return the places of the images with the largest gates, or the smallest.

    Args:
        gates: Of each image, [n].
        order: Their order where gates are equal, [n].
        most: How many.
        largest: Which end.

    Returns:
        The places, the furthest first; and the images of which some would be among them and others not,
        though they share a gate: none of these is.
    """
    ranked = np.round(gates / APART) * (-1 if largest else 1)
    by = np.lexsort((order, ranked))
    if len(by) > most and ranked[by[most - 1]] == ranked[by[most]]:
        alike = ranked == ranked[by[most]]
        shared = SharedGate(int(alike.sum()), float(gates[by[most]]))
        return [int(place) for place in by[:most] if not alike[place]], shared
    return [int(place) for place in by[:most]], None


def find_channel(blocks: tuple[GateBlock, ...], words: str) -> tuple[GateBlock, int]:
    """Return the block and the index that ``SE_4_3:243`` means.

    Args:
        blocks: All blocks that are known.
        words: What a user writes; names in any case, or the module path in place of the name.

    Raises:
        UsageError: If there is no such block or channel.
    """
    name, colon, number = words.rpartition(":")
    known = f"{blocks[0].name} ... {blocks[-1].name}" if blocks else "none"
    if not colon or not number.isdecimal() or len(number) > 18:
        raise UsageError(
            f"expected a channel as BLOCK:NUMBER, found {words!r}; for example "
            f"{blocks[0].name if blocks else 'SE_4_3'}:0"
        )
    block = next((b for b in blocks if name.lower() == b.name.lower() or name == b.path), None)
    if block is None:
        raise UsageError(
            f"expected a block of this record ({known}), found {name!r}; name one of those"
        )
    channel = int(number)
    if channel >= block.channels:
        raise UsageError(
            f"expected a channel of {block.name} from 0 to {block.channels - 1}, found {number}; name one of "
            "those"
        )
    return block, channel
