"""A network with gates and its twin without, in the same worlds: who loses more?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from seviz.analysis.drift import Drift
from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.proportions import CONFIDENCE, Difference, Share
from seviz.analysis.shift_answers import PairedAnswers, answers, change_of, top1_of
from seviz.analysis.shift_blocks import feature_drift
from seviz.errors import DataError
from seviz.results.shift import World


@dataclass(frozen=True)
class TwinWorld:
    """One other world, in both networks.

    Attributes:
        name: What it is called.
        top1: Share of right answers of the network with gates, where labels are known.
        twin_top1: That of its twin.
        change: Of top-1 from the clean images, with gates.
        twin_change: Of the twin.
        more: How much better the change is with gates than without, an interval at 95 %: paired where both
            answered the same images, clean and changed.
        images: Images that this rests on.
        paired: Whether it is.
        features: Drift of the features with gates.
        twin_features: Of the twin.
    """

    name: str
    top1: Share | None
    twin_top1: Share | None
    change: Difference | None
    twin_change: Difference | None
    more: Estimate | None
    images: int
    paired: bool
    features: Drift | None
    twin_features: Drift | None


@dataclass(frozen=True)
class TwinShift:
    """A network without gates beside one with them.

    Attributes:
        name: What the twin is called.
        top1: Its share of right answers on clean images.
        worlds: The others, in the order in which they were asked for.
    """

    name: str
    top1: Share | None
    worlds: tuple[TwinWorld, ...]


def twin_of(own: Sequence[World], twin: Sequence[World]) -> TwinShift:
    """Return two networks in the same worlds.

    Args:
        own: The network with gates, the clean world first.
        twin: The other one, likewise.

    Raises:
        DataError: If the worlds are not the same.
    """
    if [w.name for w in own] != [w.name for w in twin]:
        raise DataError(
            f"expected the twin in the worlds {', '.join(w.name for w in own)}, found "
            f"{', '.join(w.name for w in twin)}; give it the same images"
        )
    made = [_world(own[0], w, twin[0], t) for w, t in zip(own[1:], twin[1:], strict=True)]
    clean = twin[0].record
    return TwinShift(clean.header.checkpoint, top1_of(clean), tuple(made))


def _world(clean: World, other: World, twin_clean: World, twin_other: World) -> TwinWorld:
    pairs = [
        answers(a.predictions, b.predictions) if other.corruption else None
        for a, b in ((clean, other), (twin_clean, twin_other))
    ]
    changes = [
        change_of(a.record, b.record, p)
        for (a, b), p in zip(((clean, other), (twin_clean, twin_other)), pairs, strict=True)
    ]
    own, twin = pairs
    paired = own is not None and twin is not None
    paired = paired and _same_images(clean, twin_clean, other, twin_other)
    drifts = [feature_drift(clean, other), feature_drift(twin_clean, twin_other)]
    return TwinWorld(
        other.name,
        top1_of(other.record),
        top1_of(twin_other.record),
        changes[0],
        changes[1],
        _paired(own, twin) if paired and own and twin else _apart(changes[0], changes[1]),
        other.record.header.images,
        paired,
        *(d.drift if d is not None else None for d in drifts),
    )


def _same_images(*worlds: World) -> bool:
    """Return whether all answered the same images, in the same order."""
    paths = [w.predictions.paths for w in worlds if w.predictions is not None]
    return len(paths) == len(worlds) and all(p is not None and p == paths[0] for p in paths)


def _paired(own: PairedAnswers, twin: PairedAnswers) -> Estimate:
    """Return the mean, over images, of how much better the change is with gates: Student's interval.

    To each image the change is -1, 0 or 1, and the difference -2 to 2. Half an image that gains and half
    of one that loses are added, so that the interval has a width where no image differs.
    """
    from scipy.special import stdtrit

    changes = [(p.after == p.true).astype(np.float64) - (p.before == p.true) for p in (own, twin)]
    apart = changes[0] - changes[1]
    count = len(apart)
    spread = sqrt((float((apart**2).sum()) + 1 - count * float(apart.mean()) ** 2) / count)
    reach = float(stdtrit(max(count - 1, 1), (1 + CONFIDENCE) / 2)) * spread / sqrt(count)
    return Estimate(float(apart.mean()), float(apart.mean()) - reach, float(apart.mean()) + reach)


def _apart(own: Difference | None, twin: Difference | None) -> Estimate | None:
    """Return the difference of two changes, from their own intervals (Zou and Donner, 2008).

    The same images are behind both, which makes the interval wider than it need be, and never too narrow.
    """
    if own is None or twin is None:
        return None
    value = own.delta - twin.delta
    low = sqrt((own.delta - own.low) ** 2 + (twin.high - twin.delta) ** 2)
    high = sqrt((own.high - own.delta) ** 2 + (twin.delta - twin.low) ** 2)
    return Estimate(value, value - low, value + high)
