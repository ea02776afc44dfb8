"""What one block does with its images, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from seviz.analysis.class_share import MOVES, VarianceParts, block_share, variance_parts
from seviz.analysis.findings.estimates import Drawn, Estimate
from seviz.analysis.findings.influences import influences
from seviz.analysis.findings.patterns import Correlation, ScaleOnly
from seviz.results.blocks import GateBlock
from seviz.results.record import Record
from seviz.results.stats import BlockStats, Floats

# Gates within so small a range over all images and channels are one constant.
CONSTANT_RANGE = 0.01
# With fewer images, gates that hardly differ may be images that hardly differ.
FEWEST_IMAGES = 10
# Where that many images do the same to a number, that is one of its properties; fewer may do so by chance.
ENOUGH_ALIKE = 30
# A block of which more than that is a common factor is named for it.
MOSTLY = 0.5
# A share is above chance on one side only: the level of one side of a 95 % interval.
LEVEL = 0.025
# A block with a larger share of constant channels is named for it.
MOSTLY_CONSTANT = 0.75
# Intervals that are no wider are of width 0.
_ROUNDING = 1e-9
_BOUNDS = {
    "class_share": (0.0, 1.0),
    "spread": (0.0, np.inf),
    "within": (0.0, np.inf),
    "correlation": (-1.0, 1.0),
    "scale_only": (0.0, 1.0),
    "high": (0.0, 1.0),
    "low": (0.0, 1.0),
    "saturated": (0.0, 1.0),
}
# Shares of gates that any image may have or not.
_AT_THE_ENDS = ("high", "low", "saturated")


@dataclass(frozen=True)
class BlockFindings:
    """The findings on one block; docs/findings.md defines each number.

    Attributes:
        block: Name of the block.
        channels: Number of its channels.
        class_share: Share of gate variance explained by class, eta squared, the mean over the channels
            that move; ``None`` where it is undefined.
        shuffled: Its exact mean over all shufflings of the labels, (K - 1) / (N - 1).
        corrected: The class share without what chance adds to it, epsilon squared.
        p_value: Share of shufflings of the sample's labels with at least its class share.
        p_corrected: The same for the most extreme of all blocks: for who looks at all of them.
        spread: Mean over channels of the standard deviation over all images.
        within: Mean over channels of the standard deviation within classes, pooled with divisor N - K;
            ``None`` where each class has one image.
        correlation: Mean over pairs of classes of the correlation of their mean gates over channels.
        scale_only: Part of the difference between classes that is a factor common to all channels.
        factors: The smallest and the largest such factor of a class.
        high: Share of gates above 0.95, over images and channels.
        low: Share of gates below 0.05.
        dead_channels: Channels whose standard deviation over images is below 0.01; from those where
            the interval of the standard deviation is below, to those where it reaches below; ``None`` of
            fewer than ten images.
        constant: The value at which all gates sit, if they do: they differ by 0.01 at most.
        images: Images behind these numbers.
    """

    block: str
    channels: int
    class_share: Estimate | None
    shuffled: float | None
    corrected: Estimate | None
    p_value: float | None
    p_corrected: float | None
    spread: Estimate
    within: Estimate | None
    correlation: Estimate | None
    scale_only: Estimate | None
    factors: tuple[float, float] | None
    high: Estimate
    low: Estimate
    dead_channels: Estimate | None
    constant: float | None
    images: int

    @property
    def moves(self) -> bool:
        """Return whether gates vary enough for numbers on classes to mean something: spread >= 0.01."""
        return self.spread.value >= MOVES

    @property
    def still(self) -> bool:
        """Return whether gates surely hardly vary, over ten images at least."""
        return not self.moves and self.images >= FEWEST_IMAGES

    @property
    def is_mostly_constant(self) -> bool:
        """Return whether most channels surely do not move, more than three of four, and not all."""
        if self.dead or self.constant is not None or self.dead_channels is None:
            return False
        return self.dead_channels.above(MOSTLY_CONSTANT * self.channels)

    @property
    def beyond_chance(self) -> bool | None:
        """Return whether the classes are told apart at all: corrected p below 0.025, all blocks looked at."""
        return None if self.p_corrected is None else self.p_corrected < LEVEL

    @property
    def scaled(self) -> bool:
        """Return whether classes surely differ by a common factor for the most part.

        Even if all noise in the class means were such a factor: of the sum of squares between classes
        noise makes up (K - 1) / (N - K) (1 - eta^2) / eta^2, which is 1 - corrected / eta^2.
        """
        scale, share, corrected = self.scale_only, self.class_share, self.corrected
        if (
            not self.beyond_chance
            or scale is None
            or scale.low is None
            or not share
            or not corrected
        ):
            return False
        noise = min(1.0, max(0.0, 1 - corrected.value / share.value))
        return scale.low - noise > MOSTLY * (1 - noise)

    @property
    def dead(self) -> bool:
        """Return whether every channel is dead, over ten images at least."""
        return self.dead_channels is not None and self.dead_channels.value == self.channels


@dataclass(frozen=True, eq=False)
class Measured:
    """The findings on one block, p-values apart, and what single images do to them.

    Attributes:
        findings: The numbers.
        influence: Influence of each image of the sample, [n], by the name of the number; empty without
            a sample.
    """

    findings: BlockFindings
    influence: Mapping[str, Floats] = field(default_factory=dict)


def measure(record: Record, block: GateBlock, drawn: Drawn | None) -> Measured:
    """Return the findings on one block, with intervals where there are images to make them from."""
    stats = record.stats(block.name)
    parts = variance_parts(stats)
    share = block_share(block.name, parts)
    correlation, scale = Correlation.of(parts.means), ScaleOnly.of(parts)
    entries = parts.images * block.channels
    values = {
        "class_share": share.share,
        "spread": share.spread,
        "within": _within(parts),
        "correlation": correlation.value,
        "scale_only": scale.value,
        "high": float(stats.high.sum() / entries),
        "low": float(stats.low.sum() / entries),
    }
    influence: Mapping[str, Floats] = {}
    errors = None
    sample = record.sample(block.name)
    if drawn is not None and sample is not None:
        gates = sample.gates[drawn.kept].astype(np.float32)
        influence, deviation = influences(gates, drawn.rows, stats, parts, correlation, scale)
        errors = drawn.quantile() * drawn.error(deviation)
    found = {n: estimated(n, v, influence.get(n), drawn, parts) for n, v in values.items()}
    return Measured(
        BlockFindings(
            block=block.name,
            channels=block.channels,
            shuffled=share.chance,
            corrected=_corrected(found["class_share"], parts),
            p_value=None,
            p_corrected=None,
            factors=None if scale.value is None else (scale.lowest, scale.highest),
            dead_channels=_dead(np.sqrt(parts.total / parts.images), errors, parts.images),
            constant=constant_value(stats),
            images=int(parts.images),
            **found,  # type: ignore[arg-type]  # those that may be None are declared so
        ),
        influence,
    )


def constant_value(stats: BlockStats) -> float | None:
    """Return the value at which all gates of a block sit, or ``None`` if they differ."""
    if stats.maximum.max() - stats.minimum.min() > CONSTANT_RANGE:
        return None
    return float(stats.all_mean.mean())


def estimated(
    name: str,
    value: float | None,
    influence: Floats | None,
    drawn: Drawn | None,
    parts: VarianceParts,
) -> Estimate | None:
    """Return a number of a block with its interval.

    Args:
        name: Which number, as in `BlockFindings`; ``saturated`` is ``high`` and ``low`` together.
        value: The number; ``None`` where it is undefined.
        influence: Of each image on it, [n]; ``None`` where no image is known.
        drawn: These images.
        parts: The block's variance.
    """
    if value is None:
        return None
    if influence is None or drawn is None:
        return Estimate(value)
    found = drawn.interval(value, influence, _BOUNDS[name])
    if found.low is None or found.high is None or found.high - found.low > _ROUNDING:
        return found
    if name in _AT_THE_ENDS:
        # Where N images have the same share of saturated gates, at 95 % confidence at most 1 - 0.05^(1/N)
        # of images have another one: the rule of three.
        most = 1 - 0.05 ** (1 / parts.images)
        return Estimate(value, max(0.0, value - most), min(1.0, value + most))
    return found if parts.images >= ENOUGH_ALIKE else Estimate(value)


def _within(parts: VarianceParts) -> float | None:
    free = parts.images - len(parts.count)
    return float(np.sqrt(parts.within.sum(axis=0) / free).mean()) if free else None


def _corrected(share: Estimate | None, parts: VarianceParts) -> Estimate | None:
    """Return epsilon squared, 1 - (1 - eta^2) (N - 1) / (N - K) (Kelley, 1935)."""
    free = parts.images - len(parts.count)
    if share is None or free < 1:
        return None
    slope = (parts.images - 1) / free
    return share.mapped(slope, 1 - slope)


def _dead(std: Floats, reach: Floats | None, images: float) -> Estimate | None:
    """Return how many channels do not move, from those that surely do not to those that may not.

    Of few images, which may be alike, it cannot be said.
    """
    if images < FEWEST_IMAGES:
        return None
    value = float(np.count_nonzero(std < MOVES))
    if reach is None:
        return Estimate(value)
    surely = np.count_nonzero(std + reach < MOVES)
    return Estimate(value, float(surely), float(np.count_nonzero(std - reach < MOVES)))
