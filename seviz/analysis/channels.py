"""All channels of a network, ranked: by their gates, by what reads them, by answers without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seviz.analysis.channel import difference
from seviz.analysis.class_share import variance_parts
from seviz.analysis.proportions import PairedDifference
from seviz.errors import DataError
from seviz.results.blocks import GateBlock
from seviz.results.channels import PASSED_ON, Around, ChannelEffects
from seviz.results.notebook import Shown
from seviz.results.record import Record

# Blocks that a note names.
_NAMED = 8


@dataclass(frozen=True, eq=False)
class RankedChannel:
    """One channel in the ranking.

    Attributes:
        block: Name of its block.
        channel: Its index.
        images: Images behind the numbers.
        mean: Mean gate over all images.
        spread: Standard deviation over all images.
        low: Part of the images whose gate is below 0.05.
        high: Part of the images whose gate is above 0.95.
        class_share: Part of its variance that lies between classes; ``None`` where it does not move.
        norm: Norm of the weights that read it; ``None`` where the network is not at hand.
        weight_share: Its part of the squared weights.
        importance: Mean gate times norm; the mean gate alone where no weights are known.
        rank: Place in its block by importance, 1 being the least important.
        made_by: Weights that make the map.
        read_by: Weights that read it.
        effect: Change of top-1 with its gate held, where that was counted.
        lost: Images that are lost by it.
        won: Images that are won by it.
    """

    block: str
    channel: int
    images: int
    mean: float
    spread: float
    low: float
    high: float
    class_share: float | None
    norm: float | None
    weight_share: float | None
    importance: float
    rank: int
    made_by: tuple[str, ...] = ()
    read_by: tuple[str, ...] = ()
    effect: PairedDifference | None = None
    lost: int | None = None
    won: int | None = None


@dataclass(frozen=True, eq=False)
class ChannelRanking(Shown):
    """All channels of a network, ranked within their blocks.

    Attributes:
        checkpoint: Name of the network.
        source: The images.
        images: How many.
        channels: Block by block, the least important first.
        by: What importance is, in words.
        held: What gates were held at, where answers were counted: ``mean`` or ``zero``.
        notes: What a reader should know.
    """

    checkpoint: str
    source: str
    images: int
    channels: tuple[RankedChannel, ...]
    by: str
    held: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def blocks(self) -> dict[str, list[RankedChannel]]:
        """Return the channels by block, the least important first."""
        found: dict[str, list[RankedChannel]] = {}
        for channel in self.channels:
            found.setdefault(channel.block, []).append(channel)
        return found


def rank_channels(
    record: Record,
    around: Mapping[str, Around] | None = None,
    effects: ChannelEffects | None = None,
    *,
    held: str = "",
    blocks: Sequence[GateBlock] | None = None,
) -> ChannelRanking:
    """Rank the channels of each block by their importance: mean gate times the norm of what reads them.

    With the mean gate s_c over all images and the weights W[:, c] of the layer that reads the scaled map
    next, ``importance = s_c |W[:, c]|``: how much of channel c's map, as it was before the gate, arrives in
    what is computed next, all maps being alike. Weight norms as importance are Li et al.'s (ICLR 2017, arXiv
    1608.08710, there of the filters that make a map). Of blocks with different weights the numbers are not
    on one scale: ranks are within a block.

    Args:
        record: Gates.
        around: The layers around the blocks, from the network; without them the mean gate alone ranks.
        effects: What answers do with single channels held.
        held: What they were held at.
        blocks: Some blocks alone.

    Raises:
        DataError: If the record holds no images.
    """
    if not record.count.any():
        raise DataError("expected a record with images, found none in it; collect it again")
    header = record.header
    ranked = [
        channel
        for block in blocks or record.blocks
        for channel in _ranked(record, block, (around or {}).get(block.name), effects, held)
    ]
    notes = [
        f"{name}: also taken by {', '.join(found.lost)}, which is not in the norm"
        for name, found in (around or {}).items()
        if found.lost
    ]
    beside = [name for name, found in (around or {}).items() if found.passed_on and found.read_by]
    if beside:
        listed = ", ".join(beside[:_NAMED]) + ", ..." * (len(beside) > _NAMED)
        notes.append(f"weights that read a channel: {PASSED_ON} ({listed})")
    by = "mean gate times the norm of the weights that read the channel" if around else "mean gate"
    return ChannelRanking(
        checkpoint=header.checkpoint,
        source=f"{header.source} {header.split}".rstrip(),
        images=int(record.count.sum()),
        channels=tuple(ranked),
        by=by,
        held=held if effects is not None else "",
        notes=tuple(notes),
    )


def _ranked(
    record: Record,
    block: GateBlock,
    around: Around | None,
    effects: ChannelEffects | None,
    held: str,
) -> list[RankedChannel]:
    stats = record.stats(block.name)
    parts = variance_parts(stats)
    images = int(stats.count.sum())
    mean = stats.sum.sum(axis=0) / images
    low, high = (counts.sum(axis=0) / images for counts in (stats.low, stats.high))
    several = 1 < len(parts.count) < images
    known = around is not None and bool(around.read_by)
    norm = around.norm if known and around is not None else np.ones(block.channels)
    weights = around.share if known and around is not None else None
    importance = mean * norm
    order = np.argsort(importance, kind="stable")
    counted = (
        {h.channel: h for h in effects.held if h.block == block.name and h.how == held}
        if effects
        else {}
    )
    spread = stats.all_std
    found = []
    for rank, c in enumerate(map(int, order), 1):
        one = counted.get(c)
        found.append(
            RankedChannel(
                block=block.name,
                channel=c,
                images=images,
                mean=float(mean[c]),
                spread=float(spread[c]),
                low=float(low[c]),
                high=float(high[c]),
                class_share=float(parts.eta[c]) if several and parts.moving[c] else None,
                norm=float(norm[c]) if known else None,
                weight_share=float(weights[c]) if weights is not None else None,
                importance=float(importance[c]),
                rank=rank,
                made_by=around.made_by if around is not None else (),
                read_by=around.read_by if around is not None else (),
                effect=difference(effects, one.lost, one.won)
                if effects is not None and one
                else None,
                lost=one.lost if one else None,
                won=one.won if one else None,
            )
        )
    return found
