"""How sure the correlation of gates and confusion is, block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.gate_confusion import (
    GateConfusion,
    gate_distances,
    rank_correlation,
    rates_of_pairs,
)
from seviz.analysis.profiles import student
from seviz.analysis.proportions import CONFIDENCE
from seviz.results.record import Record

# Parts of the classes that are left out in turn.
GROUPS = 20


def correlation_intervals(record: Record, found: Sequence[GateConfusion]) -> list[Estimate | None]:
    r"""Return the rank correlation of each block with its 95 % interval.

    Pairs of classes are not independent of one another, classes are: the classes are left out in g parts,
    one after the other (the grouped jackknife; Quenouille, 1956), on Fisher's scale z = artanh r:

        se^2 = (g - 1) / g sum_i (z_i - mean z)^2,  z +- t se with g - 1 degrees of freedom

    Args:
        record: Gates and predictions.
        found: From `gate_confusion`.
    """
    rate, seen = rates_of_pairs(record)
    classes = len(rate)
    groups = min(GROUPS, classes)
    # Neighbours in the list of classes go to different parts: they may be alike.
    part = np.arange(classes) % groups
    intervals: list[Estimate | None] = []
    for one in found:
        if one.correlation is None:
            intervals.append(None)
            continue
        distance = gate_distances(record.stats(one.block))[np.ix_(seen, seen)]
        left = []
        for group in range(groups):
            kept = np.flatnonzero(part != group)
            upper = np.triu_indices(len(kept), 1)
            few = np.ix_(kept, kept)
            left.append(rank_correlation(distance[few][upper], rate[few][upper]))
        known = np.array([r for r in left if r is not None])
        if len(known) < 3:
            intervals.append(Estimate(one.correlation))
            continue
        z = np.arctanh(np.clip(known, -0.9999, 0.9999))
        error = math.sqrt((len(z) - 1) / len(z) * float(((z - z.mean()) ** 2).sum()))
        reach = student((1 + CONFIDENCE) / 2, len(z) - 1) * error
        middle = math.atanh(min(max(one.correlation, -0.9999), 0.9999))
        intervals.append(
            Estimate(one.correlation, math.tanh(middle - reach), math.tanh(middle + reach))
        )
    return intervals
