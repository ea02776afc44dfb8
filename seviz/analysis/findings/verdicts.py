"""What a judged statement is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from seviz.analysis.findings.estimates import Estimate

Verdict = Literal["holds", "does not hold", "cannot be said"]
HOLDS: Verdict = "holds"
FAILS: Verdict = "does not hold"
UNKNOWN: Verdict = "cannot be said"


@dataclass(frozen=True)
class Statement:
    """One statement of the paper, judged for this network.

    Attributes:
        claim: The statement.
        verdict: ``holds``, ``does not hold`` or ``cannot be said``.
        reason: The numbers behind the verdict, in a sentence or two.
        numbers: The same numbers by name.
    """

    claim: str
    verdict: Verdict
    reason: str
    numbers: Mapping[str, Estimate] = field(default_factory=dict)


def verdict(holds: bool, fails: bool) -> Verdict:
    """Return the verdict of what is shown to hold, shown to fail, or neither."""
    if holds:
        return HOLDS
    return FAILS if fails else UNKNOWN


def third(count: int) -> int:
    """Return how many blocks a third is, rounded to the nearest; at least one.

    >>> [third(n) for n in (2, 3, 5, 8, 9, 16, 50)]
    [1, 1, 2, 3, 3, 5, 17]
    """
    return max(1, (count + 1) // 3)
