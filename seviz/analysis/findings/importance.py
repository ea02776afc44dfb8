"""Do the last blocks matter less? What an ablation says, which gates alone cannot."""

from __future__ import annotations

import numpy as np

from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.findings.verdicts import UNKNOWN, Verdict, third, verdict
from seviz.analysis.findings.wording import named
from seviz.errors import UsageError
from seviz.results.ablation import Ablation, Replaced
from seviz.results.record import Record
from seviz.results.stats import Floats

_BY = {"one": "one", "mean": "their mean", "shuffle": "those of another image"}


def last_matter_less(
    record: Record, ablation: Ablation
) -> tuple[Verdict, str, dict[str, Estimate]]:
    """Compare what the last third of blocks costs with what the others cost, one replaced at a time.

    The last stage against the others where stages were replaced. All numbers are of the same images, and
    how those of two blocks go together is not known: the interval of the difference adds up the reaches
    of the single intervals, which is wide enough whatever it is.

    Returns:
        Verdict, reason, and numbers in points of top-1.

    Raises:
        UsageError: If the ablation is of another network.
    """
    if ablation.checkpoint_sha256 != record.header.checkpoint_sha256:
        raise UsageError(
            f"expected an ablation of {record.header.checkpoint}, found one of {ablation.checkpoint}; run "
            "'seviz ablate' on the checkpoint of the record"
        )
    parts = ablation.single
    if ablation.partial or len(parts) < 2:
        why = "was interrupted" if ablation.partial else f"has one {ablation.by}"
        return UNKNOWN, f"The ablation {why}.", {}
    size = 1 if ablation.by == "stage" else third(len(parts))
    intervals = [cost_of(ablation, part) for part in parts]
    place = np.arange(len(parts))
    late = (place >= len(parts) - size) / size
    early = (place < len(parts) - size) / (len(parts) - size)
    last, rest = _combined(intervals, late), _combined(intervals, early)
    less = _combined(intervals, early - late)
    names = [p.name for p in parts]
    reason = (
        f"With gates replaced by {_BY.get(ablation.gates, ablation.gates)}, one {ablation.by} at a time, "
        f"{named(names[-size:])} cost{'s' * (size == 1)} {_points(last)} of top-1 "
        f"{'on average ' * (size > 1)}and {named(names[:-size])} {_points(rest)}: {_points(less)} less "
        f"({ablation.images:,} images)."
    )
    return (
        verdict(less.above(0), less.below(0)),
        reason,
        {"last": last, "rest": rest, "difference": less},
    )


def cost_of(ablation: Ablation, part: Replaced) -> Estimate:
    """Return the points of top-1 that one replacement costs."""
    from seviz.analysis.proportions import paired_difference

    both = ablation.right - part.lost
    neither = ablation.images - ablation.right - part.won
    cells = (both, part.lost, part.won, neither)
    change = paired_difference(
        np.repeat([True, True, False, False], cells), np.repeat([True, False, True, False], cells)
    )
    return Estimate(-100 * change.delta, -100 * change.high, -100 * change.low)


def _combined(intervals: list[Estimate], weight: Floats) -> Estimate:
    """Return a weighted sum with an interval that holds however the parts depend on each other."""
    value = np.array([e.value for e in intervals])
    low = np.array([e.low or 0.0 for e in intervals])
    high = np.array([e.high or 0.0 for e in intervals])
    middle, reach = (low + high) / 2 @ weight, (high - low) / 2 @ np.abs(weight)
    return Estimate(float(value @ weight), float(middle - reach), float(middle + reach))


def _points(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} points [{estimate.low:.2f}, {estimate.high:.2f}]"
