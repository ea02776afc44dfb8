"""How far one block, or what the last layer reads, is from where it is with clean images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seviz.analysis.drift import LEVEL, Drift, Exchange, drift
from seviz.analysis.shift_answers import FEWEST
from seviz.results.shift import World

# What the features of a network are called where blocks have names.
FEATURES = "features"


@dataclass(frozen=True)
class BlockShift:
    """One block in one other world.

    Attributes:
        world: Name of the world.
        corruption: What was done to the images; empty for other images.
        severity: How much.
        block: Name of the block.
        channels: Its channels.
        images: Images of the world whose gates were compared.
        drift: How far its gates are from those of the clean images.
        p_adjusted: The p-value, adjusted (Holm) for all blocks, and all severities of the corruption.
    """

    world: str
    corruption: str
    severity: int
    block: str
    channels: int
    images: int
    drift: Drift
    p_adjusted: float

    @property
    def significant(self) -> bool:
        """Return whether chance is an unlikely explanation."""
        return self.p_adjusted < LEVEL


def feature_drift(clean: World, other: World, severities: int = 1) -> BlockShift | None:
    """Return how far the features are apart, its p-value not adjusted; ``None`` where they are not known."""
    one, two = clean.features, other.features
    if one is None or two is None or one.values.shape[1:] != two.values.shape[1:]:
        return None
    before, after, paired = one.values, two.values, bool(other.corruption)
    if paired:
        _, first, second = np.intersect1d(one.index, two.index, return_indices=True)
        before, after = before[first], after[second]
    if min(len(before), len(after)) < FEWEST:
        return None
    found = drift(before, after, Exchange(len(before), len(after), paired, severities))
    return BlockShift(
        other.name,
        other.corruption,
        other.severity,
        FEATURES,
        before.shape[1],
        len(after),
        found,
        found.p_value,
    )
