"""Does a channel of small gate times weight cost little? What single channels say that were held."""

from __future__ import annotations

from math import atanh, sqrt, tanh
from statistics import NormalDist

import numpy as np

from seviz.analysis.channels import ChannelRanking
from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.findings.verdicts import UNKNOWN, Statement, verdict
from seviz.analysis.proportions import CONFIDENCE
from seviz.results.stats import Floats

IMPORTANT = "channels of small gate times weight cost little"
SOURCE = "Li et al., ICLR 2017, arXiv 1608.08710, with the gate as a factor"

# A rank correlation that helps nobody who prunes.
_HARDLY = 0.1
# Channels of a block, below which ranks say nothing; and of those the answers of which some image changes.
_FEWEST = 4
# Images that change sides by all channels together, below which costs are chance.
_FEWEST_IMAGES = 20
# Of Fisher's z of a rank correlation (Fieller, Hartley and Pearson, Biometrika 44, 1957).
_WIDER = 1.06


def judge_importance(ranking: ChannelRanking) -> Statement:
    """Return whether importance goes with what top-1 loses, channel by channel within blocks.

    Spearman's correlation within each block, averaged as Fisher's z, each block by its channels less 3. The
    interval is over channels, of these images.

    Args:
        ranking: From `seviz.channels`, with ``ablate``.
    """
    if not any(c.effect is not None for c in ranking.channels):
        return Statement(
            IMPORTANT,
            UNKNOWN,
            "No channel was held; 'seviz channels RUN CKPT --ablate zero --data D' counts what each costs.",
        )
    changed = sum((c.lost or 0) + (c.won or 0) for c in ranking.channels)
    found: list[tuple[float, int]] = []
    for own in ranking.blocks.values():
        known = [c for c in own if c.effect is not None]
        cost = np.array([-c.effect.delta for c in known if c.effect is not None])
        importance = np.array([c.importance for c in known])
        moved = sum((c.lost or 0) + (c.won or 0) > 0 for c in known)
        if moved >= _FEWEST and np.ptp(cost) > 0 and np.ptp(importance) > 0:
            found.append((_spearman(importance, cost), len(known) - 3))
    if not found or changed < _FEWEST_IMAGES:
        return Statement(
            IMPORTANT,
            UNKNOWN,
            f"With single channels held, {changed} answers change sides over {ranking.images:,} images, and "
            f"it needs about {_FEWEST_IMAGES} in blocks of {_FEWEST} such channels; more images tell.",
        )
    weight = sum(w for _, w in found)
    middle = sum(w * atanh(max(-0.999, min(0.999, r))) for r, w in found) / weight
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * sqrt(_WIDER / weight)
    mean = Estimate(tanh(middle), tanh(middle - reach), tanh(middle + reach))
    reason = (
        f"Rank correlation of importance ({ranking.by}) with what top-1 loses, within {len(found)} of "
        f"{len(ranking.blocks)} blocks: {mean.value:+.2f} [{mean.low:+.2f}, {mean.high:+.2f}]."
    )
    return Statement(
        IMPORTANT, verdict(mean.above(0), mean.below(_HARDLY)), reason, {"correlation": mean}
    )


def _spearman(one: Floats, other: Floats) -> float:
    """Return the correlation of ranks, equal numbers sharing theirs."""
    ranks = [_ranks(values) for values in (one, other)]
    first, second = (r - r.mean() for r in ranks)
    return float(first @ second / np.sqrt((first @ first) * (second @ second)))


def _ranks(values: Floats) -> Floats:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    shared: Floats = (last - (count - 1) / 2)[place].astype(np.float64)
    return shared
