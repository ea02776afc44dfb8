"""The whole network at one glance: what each block costs, tells of the class, and matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seviz.analysis.ablation import Effect, single_effects
from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.findings.wording import Findings
from seviz.results.ablation import Ablation
from seviz.results.blocks import GateBlock
from seviz.results.mechanisms import word_of


@dataclass(frozen=True)
class MappedBlock:
    """One block.

    Attributes:
        block: The block.
        width: What it costs, as a share of the block that costs most, 0..1.
        height: Side of its map, as a share of that of the largest, 0..1.
        share: Share of gate variance explained by class; ``None`` where it is undefined, or means nothing.
        moves: Whether its gates are not known to be still: of fewer than ten images none are.
        effect: What replacing its gates does to top-1; ``None`` where that was not tried.
    """

    block: GateBlock
    width: float
    height: float
    share: Estimate | None
    moves: bool
    effect: Effect | None

    @property
    def said(self) -> str:
        """Return the class share, or that the block is still, in a word."""
        if not self.moves:
            return "still"
        return "-" if self.share is None else f"{self.share.value:.2f}"


@dataclass(frozen=True)
class StageEffect:
    """What replacing the gates of a whole stage does to top-1.

    Attributes:
        first: Place of the first of its blocks.
        last: Place of the last.
        effect: The change.
    """

    first: int
    last: int
    effect: Effect


@dataclass(frozen=True)
class NetworkMap:
    """The blocks in forward order.

    Attributes:
        blocks: All of them.
        cost: What their width stands for.
        stages: The effects of stages, where an ablation was of these.
        ablation: Where the effects are from.
        images: Images behind the class shares.
    """

    blocks: tuple[MappedBlock, ...]
    cost: str
    stages: tuple[StageEffect, ...]
    ablation: Ablation | None
    images: int

    @property
    def largest_share(self) -> float:
        """Return the largest class share of a block that moves; 0 without any."""
        return max((b.share.value for b in self.blocks if b.moves and b.share), default=0.0)

    def describe(self) -> str:
        """Return in a sentence or two where the classes are told apart, and which blocks are still."""
        moving = [b for b in self.blocks if b.moves and b.share is not None]
        said = []
        if moving:
            most = max(moving, key=lambda b: b.share.value if b.share else 0.0)
            said.append(
                f"{most.block.name} is the most class-specific block: class explains {most.said} of the "
                "variance of its gates."
            )
        still = [b.block.name for b in self.blocks if not b.moves]
        if still:
            few = f"{len(still)} of {len(self.blocks)} blocks hardly move{'s' * (len(still) == 1)}"
            said.append(f"{few}: {', '.join(still)}." if len(still) <= 6 else f"{few}.")
        return " ".join(said)


def network_map(
    blocks: Sequence[GateBlock], findings: Findings, ablation: Ablation | None = None
) -> NetworkMap:
    """Return the map of a network.

    Args:
        blocks: Of the record, in forward order.
        findings: On these blocks.
        ablation: Of the same network, by block or by stage.
    """
    parameters = any(b.params for b in blocks)
    costs = [float(b.params if parameters else b.channels) for b in blocks]
    sides = [float(max(b.spatial, default=1)) for b in blocks]
    effects = {}
    if ablation is not None:
        effects = {e.replaced.name: e for e in single_effects(ablation)}
    by_name = {f.block: f for f in findings.blocks}
    mapped = tuple(
        MappedBlock(
            block,
            cost / max(costs),
            side / max(sides),
            by_name[block.name].class_share if by_name[block.name].moves else None,
            not by_name[block.name].still,
            effects.get(block.name),
        )
        for block, cost, side in zip(blocks, costs, sides, strict=True)
    )
    stages = []
    if ablation is not None and ablation.by == "stage":
        for name, effect in effects.items():
            own = [i for i, b in enumerate(blocks) if b.name.rpartition("_")[0] == name]
            if own:
                stages.append(StageEffect(own[0], own[-1], effect))
    return NetworkMap(
        mapped,
        f"{word_of(b.mechanism for b in blocks)} parameters" if parameters else "channels",
        tuple(stages),
        ablation,
        findings.images,
    )
