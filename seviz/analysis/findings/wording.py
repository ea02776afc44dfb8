"""Findings in plain English; the command line and the report say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seviz.analysis.findings.blocks import FEWEST_IMAGES, BlockFindings
from seviz.analysis.findings.estimates import FEWEST, Estimate
from seviz.analysis.findings.verdicts import Statement
from seviz.results.blocks import SE
from seviz.results.mechanisms import kinds_of_names, word_of
from seviz.results.notebook import Shown

_NAMED = 3
# What the statements are judged for.
THIS = "this network"


def shown(estimate: Estimate | None, digits: int = 3) -> str:
    """Return a number with its interval, ``0.249 [0.234, 0.263]``; a dash where there is none."""
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def percent(estimate: Estimate | None) -> str:
    """Return a share with its interval in per cent, ``8.2% [7.9, 8.6]``."""
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:.1f}%"
    return f"{100 * estimate.value:.1f}% [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def named(blocks: Sequence[str]) -> str:
    """Return the names of blocks that follow each other: all of a few, else the first and the last."""
    if len(blocks) <= _NAMED:
        return listed(blocks)
    return f"{blocks[0]} to {blocks[-1]} ({len(blocks)} blocks)"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def remark(block: BlockFindings) -> str:
    """Return what a reader must know before reading a block's numbers, in a few words."""
    if block.constant is not None:
        return f"stuck at {block.constant:.3f}"
    if block.dead:
        return "dead"
    if block.still:
        return "hardly moves"
    if block.is_mostly_constant and block.dead_channels is not None:
        return f"{block.dead_channels.value:.0f} of {block.channels} constant"
    if block.scaled and block.scale_only is not None:
        return f"{100 * block.scale_only.value:.1f}% scale-only"
    return ""


def failures(blocks: Sequence[BlockFindings]) -> list[str]:
    """Return a warning for what is a failure of the network: gates that are stuck at a constant."""
    found = []
    values = dict.fromkeys(f"{b.constant:.2f}" for b in blocks if b.constant is not None)
    for value in values:
        names = [b.block for b in blocks if b.constant is not None and f"{b.constant:.2f}" == value]
        found.append(
            f"all gates of {_some(names)} sit at {value}, for every image and channel: "
            f"{_does(names)} nothing but scale by a constant"
        )
    dead = [b.block for b in blocks if b.dead and b.constant is None]
    if dead:
        found.append(
            f"no gate of {_some(dead)} moves over {max(b.images for b in blocks):,} images (standard "
            f"deviation of every channel below 0.01): {_does(dead)} nothing but scale each channel by a "
            "constant"
        )
    found += [
        f"{b.dead_channels.value:.0f} of {b.channels} gates of {b.block} are constant over {b.images:,} "
        "images (standard deviation below 0.01): they do nothing but scale their channel"
        for b in blocks
        if b.is_mostly_constant and b.dead_channels is not None
    ]
    return found


def _some(names: Sequence[str], most: int = 8) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return listed([*names[:most], *more])


def _does(names: Sequence[str]) -> str:
    return "the block does" if len(names) == 1 else "these blocks do"


@dataclass(frozen=True)
class Findings(Shown):
    """The findings on a network.

    Attributes:
        blocks: On each block, in forward order.
        statements: The SENet paper's statements, judged.
        warnings: What a user must know before using the network or the numbers.
        method: How the intervals were made, in a sentence.
        images: Images of the record.
        sampled: Images of its sample.
        literature: What others say of channel attention, judged likewise.
    """

    blocks: tuple[BlockFindings, ...]
    statements: tuple[Statement, ...]
    warnings: tuple[str, ...]
    method: str
    images: int
    sampled: int
    literature: tuple[Statement, ...] = ()

    @property
    def of(self) -> str:
        """Return what the paper's statements, which are on SE, are judged for: this network, or its ECA."""
        kinds = kinds_of_names(b.block for b in self.blocks)
        word = word_of(kinds)
        return THIS if word == SE else f"the {word} of {THIS}, of which it does not speak"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict with every number, and the sentences."""
        told = ("moves", "dead", "beyond_chance", "scaled")
        blocks = [{**asdict(b), **{n: getattr(b, n) for n in told}} for b in self.blocks]
        return {**asdict(self), "blocks": blocks, "sentences": sentences(self)}


def sentences(findings: Findings) -> list[str]:
    """Return what was found, in short sentences, the paper's statements first, the method last."""
    return [
        *(
            f'"{s.claim}": {s.verdict}. {s.reason}'
            for s in (*findings.statements, *findings.literature)
        ),
        *remarks(findings),
        findings.method,
    ]


def remarks(findings: Findings) -> list[str]:
    """Return what was found beside the paper's statements."""
    blocks = findings.blocks
    found = []
    moving = [b for b in blocks if b.moves and b.class_share is not None]
    if len(moving) > 1 and blocks[0].images >= FEWEST_IMAGES:
        found.append(_most_and_least(moving))
    found += [
        f"In {b.block} {percent(b.scale_only)} of the difference between classes is one factor for all "
        f"channels, from {b.factors[0]:.2f} to {b.factors[1]:.2f}: one profile, scaled."
        for b in moving
        if b.scaled and b.factors is not None
    ]
    if blocks and (said := _too_few(blocks[0])):
        found.append(said)
    still = [b for b in blocks if b.still]
    if still:
        spreads = ", ".join(f"{b.block} (spread {b.spread.value:.4f})" for b in still[:8])
        more = f" and {len(still) - 8} more" if len(still) > 8 else ""
        found.append(
            f"Gates hardly move in {spreads}{more}: the class share there means nothing, and the statements "
            "on classes leave such blocks out."
        )
    return found


def _most_and_least(moving: Sequence[BlockFindings]) -> str:
    """Return in which blocks class explains most and least, or that the intervals do not tell."""
    most, least = (
        choose(moving, key=lambda b: b.class_share.value if b.class_share else 0.0)
        for choose in (max, min)
    )
    shares = f"{shown(most.class_share)}, and least in {least.block}, {shown(least.class_share)}"
    high = least.class_share.high if least.class_share is not None else None
    if most.class_share is not None and high is not None and most.class_share.above(high):
        return (
            f"Class explains most of the gate variance in {most.block}, {shares}; under shuffled labels it "
            f"would be {most.shuffled:.3f}."
        )
    return (
        f"Where class explains most of the gate variance cannot be said: seen most in {most.block}, "
        f"{shares}; under shuffled labels it would be {most.shuffled:.3f}."
    )


def _too_few(block: BlockFindings) -> str:
    """Return what cannot be said of so few images; nothing where they are enough."""
    images = f"{block.images:,} image{'s' * (block.images != 1)}"
    if block.images < FEWEST_IMAGES:
        return (
            f"Which gates move, and what they do with classes, cannot be said ({images}; needs about "
            f"{FEWEST_IMAGES})."
        )
    if block.within is None:
        return (
            f"What class explains of the gates cannot be said ({images}, one of each class; needs about "
            f"{FEWEST} of each)."
        )
    return ""
