"""How much the blocks of a network matter: an ablation's counts with what chance allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seviz.analysis.proportions import PairedDifference, counted_difference, holm
from seviz.results.ablation import Ablation, Replaced


@dataclass(frozen=True)
class Effect:
    """What replacing some gates does to top-1.

    Attributes:
        replaced: Whose gates.
        difference: From the network to the one with these gates, on the same images.
        p_adjusted: The p-value of the difference, adjusted by Holm's method for all that were tried with it.
    """

    replaced: Replaced
    difference: PairedDifference
    p_adjusted: float


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
    return [Effect(*both) for both in zip(parts, found, adjusted, strict=True)]
