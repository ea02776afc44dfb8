"""How much the blocks of a network matter: an ablation's counts with what chance allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log2

from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.proportions import (
    SIGNIFICANT,
    PairedDifference,
    counted_difference,
    holm,
    wilson,
)
from seviz.results.ablation import Ablation, Replaced

# What was done to gates, to be said after "with".
HELD = {
    "one": "gates held at 1",
    "mean": "gates held at their mean",
    "shuffle": "gates of another image",
}
_NAMED = 5


@dataclass(frozen=True)
class Effect:
    """What replacing some gates does to top-1.

    Attributes:
        replaced: Whose gates.
        difference: From the network to the one with these gates, on the same images.
        p_adjusted: The p-value of the difference, adjusted by Holm's method for all that were tried with it.
        judged: Whether the images can tell: they stand for the data, which the first ones of a pass that
            was interrupted do not, and are not fewer than `fewest_images`.
    """

    replaced: Replaced
    difference: PairedDifference
    p_adjusted: float
    judged: bool = True

    @property
    def delta(self) -> Estimate:
        """Return the change of top-1 with its 95 % interval (paired, Agresti and Min), a share."""
        return Estimate(self.difference.delta, self.difference.low, self.difference.high)

    @property
    def significant(self) -> bool:
        """Return whether chance is an unlikely explanation, all tests considered."""
        return self.judged and self.p_adjusted < SIGNIFICANT


def single_effects(ablation: Ablation) -> list[Effect]:
    """Return the effect of each block or stage alone, in forward order."""
    return _effects(ablation, ablation.single)


def cumulative_effects(ablation: Ablation) -> list[Effect]:
    """Return the effects of more and more of them, from the least to the most important."""
    return _effects(ablation, ablation.cumulative)


def _effects(ablation: Ablation, parts: Sequence[Replaced]) -> list[Effect]:
    found = [
        counted_difference(ablation.images, ablation.right, part.lost, part.won) for part in parts
    ]
    adjusted = holm([d.p_value for d in found])
    judged = _stands_for_the_data(ablation) and ablation.images >= fewest_images(len(parts))
    return [Effect(*both, judged) for both in zip(parts, found, adjusted, strict=True)]


def fewest_images(tests: int) -> int:
    """Return the images below which no change is beyond chance, even if all of them change sides.

    McNemar's p-value is then twice one half to the power of the images, times the tests (Holm).

    Args:
        tests: Blocks, or stages, that are tried.

    >>> fewest_images(1), fewest_images(16)
    (6, 10)
    """
    return floor(1 + log2(max(1, tests) / SIGNIFICANT)) + 1


def _stands_for_the_data(ablation: Ablation) -> bool:
    # For gates of another image the order is random, and any part of it a sample.
    return not ablation.partial or ablation.gates == "shuffle"


def describe_ablation(ablation: Ablation) -> str:
    """Return in a sentence or two which blocks matter.

    Raises:
        ValueError: If there is no image.
    """
    base = wilson(ablation.right, ablation.images)
    if not _stands_for_the_data(ablation):
        return (
            f"The pass was interrupted after {ablation.images:,} images, the first ones, in which classes "
            "are not represented as in the data: which blocks matter cannot be said. With no gate replaced "
            f"top-1 is {base} (95 % interval, Wilson)."
        )
    effects = single_effects(ablation)
    unit = "stage" if ablation.by == "stage" else "block"
    fewest = fewest_images(len(effects))
    if ablation.images < fewest:
        images = f"{ablation.images:,} image{'s' * (ablation.images != 1)}"
        return (
            f"Which {unit}s matter cannot be said ({images}; needs {fewest} at the very least). With no gate "
            f"replaced top-1 is {base} (95 % interval, Wilson)."
        )
    sure = sorted((e for e in effects if e.significant), key=lambda e: e.difference.delta)
    named = ", ".join(
        f"{e.replaced.name} ({100 * e.difference.delta:+.2f} points)" for e in sure[:_NAMED]
    )
    more = f" and {len(sure) - _NAMED} more" if len(sure) > _NAMED else ""
    found = (
        f"top-1 changes by more than chance explains for {len(sure)} of {len(effects)}: {named}{more}"
        if sure
        else f"top-1 changes by no more than chance explains for any of {len(effects)}"
    )
    tests = " (p < 0.05, Holm-adjusted)" if len(effects) > 1 else " (p < 0.05)"
    said = f"With the {HELD[ablation.gates]} in one {unit} at a time, {found}{tests}."
    return f"{said} With no gate replaced it is {base} (95 % interval, Wilson)."
