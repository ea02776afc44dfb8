"""What the SENet paper says of its networks, judged for this one.

The paper (arXiv 1709.01507v4, section 6.4) shows figures and gives no number; thresholds are seviz's own.
A verdict rests on a whole interval, never on a number alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seviz.analysis.findings.blocks import FEWEST_IMAGES, BlockFindings, Measured
from seviz.analysis.findings.estimates import Drawn, Estimate
from seviz.analysis.findings.importance import last_matter_less
from seviz.analysis.findings.verdicts import UNKNOWN, Statement, third, verdict
from seviz.analysis.findings.wording import listed, named, percent, shown
from seviz.analysis.proportions import CONFIDENCE
from seviz.results.ablation import Ablation
from seviz.results.record import Record
from seviz.results.stats import Floats

SHALLOW = "shallow blocks are class-agnostic"
DEEP = "deeper blocks are class-specific"
SATURATES = "a late block saturates"
LAST = "the last blocks matter less"

# Below that share of gate variance, chance taken off, a block is class-agnostic; above, class-specific.
AGNOSTIC = 0.1
# A block saturates where most of its gates are above 0.95 or below 0.05.
SATURATED = 0.5
# How far from 0..1 rounding takes a gate that is confined to it.
_OUTSIDE = 1e-3


PAPER = "Hu et al., arXiv 1709.01507v4, section 6.4"


@dataclass(frozen=True)
class Evidence:
    """What a claim is judged by.

    Attributes:
        record: Where the numbers come from.
        measured: Every block, in forward order.
        drawn: The images that intervals are made from; ``None`` where there are none.
        ablation: Of the same network, if there is one.
        distances: How far its classes are apart, [K, K], if that is given.
    """

    record: Record
    measured: Sequence[Measured]
    drawn: Drawn | None
    ablation: Ablation | None
    distances: Floats | None = None

    @property
    def blocks(self) -> list[BlockFindings]:
        """Return what was found on each block."""
        return [m.findings for m in self.measured]


@dataclass(frozen=True)
class Claim:
    """A statement of the literature that is judged for each network.

    Attributes:
        text: The statement.
        source: Who makes it.
        judge: Judges it by gates and their intervals.
        judge_ablation: Judges it by an ablation, where that alone can tell.
    """

    text: str
    source: str
    judge: Callable[[Evidence, Drawn], Statement] | None = None
    judge_ablation: Callable[[Evidence], Statement] | None = None


def judge(evidence: Evidence, claims: Sequence[Claim] | None = None) -> list[Statement]:
    """Return every claim with its verdict; those of the SENet paper by default."""
    why = _nothing_on_gates(evidence.record, evidence.blocks, evidence.drawn)
    found = []
    for claim in CLAIMS if claims is None else claims:
        if claim.judge_ablation is not None:
            found.append(claim.judge_ablation(evidence))
        elif why is not None or evidence.drawn is None or claim.judge is None:
            found.append(Statement(claim.text, UNKNOWN, why or ""))
        else:
            found.append(claim.judge(evidence, evidence.drawn))
    return found


def _nothing_on_gates(
    record: Record, blocks: Sequence[BlockFindings], drawn: Drawn | None
) -> str | None:
    """Return why nothing can be said from gates, if so."""
    if record.header.partial:
        return (
            f"The pass was interrupted after {record.header.images:,} images: classes are not "
            "represented as they are in the data."
        )
    if len(blocks) < 2:
        return "There is one block, which is neither shallow nor deep."
    if blocks[0].images < FEWEST_IMAGES:
        few = blocks[0].images
        there = "There is 1 image" if few == 1 else f"There are {few} images"
        return f"{there}, and it needs about {FEWEST_IMAGES}."
    if drawn is None:
        return no_intervals(record)
    return None


def no_intervals(record: Record) -> str:
    """Return why there are no intervals."""
    if record.sample(record.blocks[0].name) is None:
        return (
            "There are no intervals: the record keeps no single images, as those of an older seviz; collect "
            "it again."
        )
    return "There are no intervals: no class has three images."


@dataclass(frozen=True)
class _Depth:
    """Class share, chance taken off, in the first and the last third of the blocks that move."""

    first: Estimate
    last: Estimate
    more: Estimate
    early: str
    late: str
    note: str

    @property
    def numbers(self) -> dict[str, Estimate]:
        return {"first_third": self.first, "last_third": self.last, "difference": self.more}


def _depth(evidence: Evidence, drawn: Drawn) -> _Depth | str:
    """Return what classes explain along the depth, or why nothing can be said of it."""
    measured = evidence.measured
    moving = [m for m in measured if m.findings.moves and m.findings.corrected is not None]
    blocks = [m.findings for m in moving]
    why = _nothing_on_classes(blocks, drawn)
    if why is not None:
        return why
    size = third(len(moving))
    share = np.array([b.corrected.value if b.corrected else 0.0 for b in blocks])
    slope = (drawn.images - 1) / (drawn.images - drawn.classes)
    influence = slope * np.stack([m.influence["class_share"] for m in moving], axis=1)

    def combined(weight: Floats) -> Estimate:
        return drawn.interval(float(share @ weight), influence @ weight)

    place = np.arange(len(moving))
    early, late = (place < size) / size, (place >= len(moving) - size) / size
    left = [m.findings.block for m in measured if m not in moving]
    names = [b.block for b in blocks]
    return _Depth(
        combined(early),
        combined(late),
        combined(late - early),
        named(names[:size]),
        named(names[-size:]),
        f" Left out, for they hardly move: {listed(left)}." if left else "",
    )


def _on_shallow(evidence: Evidence, drawn: Drawn) -> Statement:
    depth = _depth(evidence, drawn)
    if isinstance(depth, str):
        return Statement(SHALLOW, UNKNOWN, depth)
    reason = (
        f"Beyond chance, class explains {shown(depth.first)} of the gate variance in {depth.early}; "
        f"class-agnostic is less than {AGNOSTIC}.{depth.note}"
    )
    found = verdict(depth.first.below(AGNOSTIC), depth.first.above(AGNOSTIC))
    return Statement(SHALLOW, found, reason, depth.numbers)


def _on_deep(evidence: Evidence, drawn: Drawn) -> Statement:
    depth = _depth(evidence, drawn)
    if isinstance(depth, str):
        return Statement(DEEP, UNKNOWN, depth)
    last, more = depth.last, depth.more
    reason = (
        f"Beyond chance, class explains {shown(last)} of the gate variance in {depth.late}, "
        f"against {shown(depth.first)} in {depth.early}: {_signed(more)}.{depth.note}"
    )
    found = verdict(more.above(0) and last.above(AGNOSTIC), more.below(0) or last.below(AGNOSTIC))
    return Statement(DEEP, found, reason, depth.numbers)


def _nothing_on_classes(moving: Sequence[BlockFindings], drawn: Drawn) -> str | None:
    if drawn.classes < 2:
        return "One class alone has images."
    if len(moving) < 2:
        return (
            f"{len(moving) or 'No'} block{'s' * (len(moving) != 1)} of the network "
            f"move{'s' * (len(moving) == 1)} (spread of 0.01 or more): there is no depth to compare over."
        )
    if not any(b.beyond_chance for b in moving):
        p = min((b.p_corrected for b in moving if b.p_corrected is not None), default=1.0)
        return (
            "No block tells the classes apart more than it does under shuffled labels (smallest p "
            f"{p:.3f}, corrected for all blocks)."
        )
    return None


def _on_saturation(evidence: Evidence, drawn: Drawn) -> Statement:
    record, measured = evidence.record, evidence.measured
    late = measured[-third(len(measured)) :]
    names = [m.findings.block for m in late]
    for name in names:
        stats = record.stats(name)
        if stats.minimum.min() < -_OUTSIDE or stats.maximum.max() > 1 + _OUTSIDE:
            return Statement(
                SATURATES, UNKNOWN, f"Gates of {name} are not confined to 0..1, and have no ends."
            )
    # One of several blocks is enough, so that each interval is wider: Bonferroni.
    level = 1 - (1 - CONFIDENCE) / len(late)
    far = drawn.quantile(level)
    shares = []
    for m in late:
        value = m.findings.high.value + m.findings.low.value
        reach = far * float(drawn.error(m.influence["high"] + m.influence["low"]))
        shares.append(Estimate(value, max(0.0, value - reach), min(1.0, value + reach)))
    best = max(range(len(late)), key=lambda i: shares[i].value)
    most = late[best].findings
    judged = verdict(
        any(s.above(SATURATED) for s in shares), all(s.below(SATURATED) for s in shares)
    )
    which = f"{most.block} has" if len(names) == 1 else f"Of {named(names)}, {most.block} has most"
    reason = (
        f"{which} gates at the ends: {percent(most.high)} above 0.95 and {percent(most.low)} below 0.05; "
        "saturated is more than half."
        if shares[best].value
        else f"No gate of {named(names)} is above 0.95 or below 0.05, over {drawn.images:,} images."
    )
    return Statement(SATURATES, judged, reason, {"saturated": shares[best]})


def _on_last(evidence: Evidence) -> Statement:
    if evidence.ablation is None:
        return Statement(LAST, UNKNOWN, _without_ablation(evidence.blocks))
    return Statement(LAST, *last_matter_less(evidence.record, evidence.ablation))


def _without_ablation(blocks: Sequence[BlockFindings]) -> str:
    reason = "No ablation was run; 'seviz ablate' measures it."
    signs = []
    late = third(len(blocks))
    for block in blocks[-late:]:
        if block.images < FEWEST_IMAGES:
            continue
        if block.still:
            signs.append(f"{block.block} hardly moves")
        elif block.high.value + block.low.value > SATURATED:
            signs.append(f"{block.block} is saturated")
        elif block.scaled:
            signs.append(f"{block.block} has one profile for all classes")
    # Where the earlier ones do not move either, nothing is compared.
    if signs and not all(block.still for block in blocks[:-late]):
        reason += f" The gates alone make it plausible: {listed(signs)}."
    return reason


def _signed(more: Estimate) -> str:
    return f"{more.value:+.3f} [{more.low:+.3f}, {more.high:+.3f}]"


# In the order in which they are said.
CLAIMS = (
    Claim(SHALLOW, PAPER, _on_shallow),
    Claim(DEEP, PAPER, _on_deep),
    Claim(SATURATES, PAPER, _on_saturation),
    Claim(LAST, PAPER, judge_ablation=_on_last),
)
