"""The channels that tell classes apart best, over some blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seviz.analysis.class_share import MOVES, variance_parts
from seviz.results.blocks import GateBlock
from seviz.results.record import Record


@dataclass(frozen=True)
class TellingChannel:
    """One channel.

    Attributes:
        block: Its block.
        channel: Its index.
        share: Share of its gate variance that is explained by class, eta squared.
    """

    block: GateBlock
    channel: int
    share: float


def telling_channels(
    record: Record, blocks: Sequence[GateBlock], most: int, per_block: int | None = None
) -> list[TellingChannel]:
    """Return the channels with the largest class share, the largest first.

    Those that vary too little over images to mean anything (standard deviation below 0.01) come last.

    Args:
        record: Gates.
        blocks: Where to look.
        most: How many to return.
        per_block: At most so many of one block; by default as many as give each block its part.
    """
    own = per_block or math.ceil(most / max(1, len(blocks)))
    found = []
    for block in blocks:
        parts = variance_parts(record.stats(block.name))
        moves = np.sqrt(parts.total / parts.images) >= MOVES
        rank = parts.eta + moves
        for channel in np.argsort(-rank, kind="stable")[:own].tolist():
            telling = TellingChannel(block, channel, float(parts.eta[channel]))
            found.append((bool(moves[channel]), telling))
    found.sort(key=lambda pair: (not pair[0], -pair[1].share))
    return [telling for _, telling in found[:most]]
