"""What others than the SENet paper say of channel attention, judged for one network.

Each with its source; a verdict rests on whole intervals, as for the paper's own statements.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from seviz.analysis.class_share import variance_parts
from seviz.analysis.findings.alike import FEWEST_CLASSES, alike
from seviz.analysis.findings.estimates import Drawn, Estimate
from seviz.analysis.findings.importance import cost_of
from seviz.analysis.findings.statements import PAPER, Claim, Evidence
from seviz.analysis.findings.stripes import between_channels
from seviz.analysis.findings.verdicts import UNKNOWN, Statement, verdict
from seviz.analysis.findings.wording import listed, percent
from seviz.analysis.proportions import CONFIDENCE

STRIPES = "gates are nearly the same for every image"
USELESS = "some blocks are useless or harmful"
ALIKE = "classes that are alike have gates that are alike"

# Of the variance of a block's gates over images and channels: above, they are stripes.
STRIPED = 0.9
# Points of top-1, below which replacing a block costs nothing that matters.
COSTS_NOTHING = 0.25
# Correlation of distances that would be missed if chance alone could give it.
_SEEN = 0.3


def _on_stripes(evidence: Evidence, drawn: Drawn) -> Statement:
    """Judge by how many blocks have surely more, or less, of their variance between channels."""
    names, shares = [], []
    wider = drawn.quantile(1 - (1 - CONFIDENCE) / len(evidence.measured)) / drawn.quantile()
    for measured in evidence.measured:
        name = measured.findings.block
        sample = evidence.record.sample(name)
        if sample is None:
            continue
        gates = sample.gates[drawn.kept].astype(np.float64)
        share = between_channels(variance_parts(evidence.record.stats(name)), drawn, gates)
        if share is not None and share.low is not None and share.high is not None:
            low, high = (
                share.value - wider * (share.value - share.low),
                share.value + wider * (share.high - share.value),
            )
            names.append(name)
            shares.append(Estimate(share.value, max(0.0, low), min(1.0, high)))
    if not shares:
        return Statement(STRIPES, UNKNOWN, "No block has gates that differ at all.")
    above = [n for n, s in zip(names, shares, strict=True) if s.above(STRIPED)]
    below = [n for n, s in zip(names, shares, strict=True) if s.below(STRIPED)]
    least = min(range(len(shares)), key=lambda i: shares[i].value)
    reason = (
        f"Between channels, not images, lies surely more than {STRIPED:.0%} of the variance of the gates in "
        f"{len(above)} of {len(names)} blocks, and less in {len(below)}; least in {names[least]}, "
        f"{percent(shares[least])}."
    )
    half = len(names) / 2
    return Statement(
        STRIPES, verdict(len(above) > half, len(below) > half), reason, {"least": shares[least]}
    )


def _on_useless(evidence: Evidence) -> Statement:
    """Judge by what replacing each block alone costs, intervals for all of them together."""
    ablation = evidence.ablation
    if ablation is None:
        return Statement(USELESS, UNKNOWN, "No ablation was run; 'seviz ablate' measures it.")
    if ablation.partial or not ablation.single:
        return Statement(USELESS, UNKNOWN, "The ablation was interrupted.")
    level = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / len(ablation.single))
    wider = level / NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    costs = []
    for part in ablation.single:
        own = cost_of(ablation, part)
        middle, reach = _middle(own)
        costs.append(Estimate(own.value, middle - wider * reach, middle + wider * reach))
    names = [part.name for part in ablation.single]
    useless = [n for n, c in zip(names, costs, strict=True) if c.below(COSTS_NOTHING)]
    harmful = [n for n, c in zip(names, costs, strict=True) if c.below(0)]
    needed = all(c.above(COSTS_NOTHING) for c in costs)
    least = min(range(len(costs)), key=lambda i: costs[i].value)
    lowest = costs[least]
    said = (
        f"Less than {COSTS_NOTHING} points of top-1 surely cost {listed(useless)}."
        if useless
        else f"Of no {ablation.by} is it sure that it costs less than {COSTS_NOTHING} points of top-1."
    )
    if harmful:
        said += f" Without {listed(harmful)} top-1 rises."
    reason = (
        f"{said} {names[least]} costs least: {lowest.value:z.2f} [{lowest.low:z.2f}, {lowest.high:z.2f}] "
        f"({ablation.images:,} images)."
    )
    return Statement(USELESS, verdict(bool(useless), needed), reason, {"least": lowest})


def _middle(estimate: Estimate) -> tuple[float, float]:
    """Return the middle of an interval, and how far it reaches."""
    low, high = estimate.low or 0.0, estimate.high or 0.0
    return (low + high) / 2, (high - low) / 2


def _on_alike(evidence: Evidence, drawn: Drawn) -> Statement:
    """Judge by Mantel's test of each block, for distances that the user gives."""
    if evidence.distances is None:
        return Statement(
            ALIKE, UNKNOWN, "No distances of classes were given; --distances FILE.csv names them."
        )
    tests, classes = alike(evidence.record, evidence.distances)
    if not tests:
        return Statement(
            ALIKE,
            UNKNOWN,
            f"{classes} classes have images and a distance to each other; it needs {FEWEST_CLASSES}, whose "
            "distances, and gates, are not all alike.",
        )
    sure = [t for t in tests if t.p_value < 1 - CONFIDENCE]
    most = max(tests, key=lambda t: t.correlation)
    reason = (
        f"Distances of mean gates go with those given in {len(sure)} of {len(tests)} blocks; most in "
        f"{most.block}, r = {most.correlation:.2f} (p = {most.p_value:.3f}, for all blocks; chance alone "
        f"stays below {most.chance:.2f}; {classes} classes)."
    )
    # What chance could hide is not shown to be missing.
    absent = not sure and max(t.chance for t in tests) < _SEEN
    return Statement(
        ALIKE, verdict(bool(sure), absent), reason, {"correlation": Estimate(most.correlation)}
    )


# In the order in which they are said. That the last blocks saturate, and matter less, the paper says itself.
LITERATURE = (
    Claim(STRIPES, "Huang et al., ECCV 2024, arXiv 2304.06345", _on_stripes),
    Claim(USELESS, "Huang et al., arXiv 2207.07858", judge_ablation=_on_useless),
    Claim(ALIKE, f"{PAPER}, as a Mantel test", _on_alike),
)
