"""How sure the correlation of gates and confusion is, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.gate_confusion import (
    GateConfusion,
    gate_distances,
    rank_correlation,
    rates_of_pairs,
)
from seviz.analysis.left_out import class_parts, correlation_interval
from seviz.results.record import Record


def correlation_intervals(record: Record, found: Sequence[GateConfusion]) -> list[Estimate | None]:
    """Return the rank correlation of each block with its 95 % interval, as `correlation_interval` gives it.

    Args:
        record: Gates and predictions.
        found: From `gate_confusion`.
    """
    rate, seen = rates_of_pairs(record)
    part = class_parts(len(rate))
    intervals: list[Estimate | None] = []
    for one in found:
        if one.correlation is None:
            intervals.append(None)
            continue
        distance = gate_distances(record.stats(one.block))[np.ix_(seen, seen)]
        left = []
        for group in range(part.max() + 1):
            kept = np.flatnonzero(part != group)
            upper = np.triu_indices(len(kept), 1)
            few = np.ix_(kept, kept)
            left.append(rank_correlation(distance[few][upper], rate[few][upper]))
        intervals.append(correlation_interval(one.correlation, left))
    return intervals
