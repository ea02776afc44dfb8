r"""How far the gates of one set of images are from those of another, beyond what chance gives.

With the means mA, mB of channel c in two sets of nA and nB images (N = nA + nB), and the variance within
them, pooled:

    drift = mean over channels that vary of (mB - mA)^2 / v
    v     = (sum of squares about mA and about mB) / (N - 2)

the square of Cohen's d (Statistical Power Analysis, 1988), averaged. Two samples of the same world differ,
too; what they would differ by, and how often by more, is found by exchanging images between the sets:
labels of sets are shuffled where the images have nothing to do with one another, and the two members of a
pair change sides where both sets are the same images (Fisher, The Design of Experiments, 1935). The test is
exact for any distribution of gates, and one for all channels at once, however they depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.results.sample import VARIES
from seviz.results.seeds import checked_seed
from seviz.results.stats import Floats

# Exchanges: as many as p-values of 0.001 need; more where there are more tests for one answer.
EXCHANGES = 999
LEVEL = 0.05
# A difference of means below this is what float32 rounds away.
ROUNDED = 1e-6
# The variance within sets counts as at least this part of the whole, so that a channel whose gates are two
# constants, one in each set, weighs as one of 20 standard deviations and not as an infinite one.
_LEAST_WITHIN = 0.01
_CHUNK = 512

Gates = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Drift:
    """How far two sets of images are apart.

    Attributes:
        value: The drift, less what chance gives; 0 where nothing differs, about 0 where chance alone does.
        band: What chance alone exceeds 5 times in 100.
        needed: What it must exceed for an adjusted p-value below 0.05, in the worst place among all tests.
        p_value: How often chance gives as much.
        varying: Channels that vary.
    """

    value: float
    band: float
    needed: float
    p_value: float
    varying: int


@dataclass(frozen=True, eq=False)
class Exchange:
    """The ways in which images are exchanged between two sets; the same for all that is tested on them.

    Attributes:
        first: Images of the first set.
        second: Images of the second.
        paired: Whether image i of both is the same image.
        tests: How many tests one answer rests on.
        seed: Of the random numbers.
    """

    first: int
    second: int
    paired: bool
    tests: int = 1
    seed: int = 0

    @property
    def times(self) -> int:
        """Return how many exchanges are made: enough for p < 0.05 after adjusting for all tests."""
        return max(EXCHANGES, round(1.25 * self.tests / LEVEL))

    @cached_property
    def moves(self) -> npt.NDArray[np.bool_]:
        """Return which images are in the second set, [times, N]; of pairs, which keep their sides."""
        rng = np.random.default_rng(checked_seed(self.seed))
        if self.paired:
            return rng.random((self.times, self.first), np.float32) < 0.5
        whole = self.first + self.second
        made = np.zeros((self.times, whole), bool)
        for row in made:
            row[rng.permutation(whole)[: self.second]] = True
        return made

    def differences(self, a: Floats, b: Floats) -> Floats:
        """Return mB - mA of each exchange, float64 [times, C], of gates about their common mean."""
        found = []
        if self.paired:
            apart = (b - a).astype(np.float32)
            whole = (b - a).sum(axis=0)
            for begin in range(0, self.times, _CHUNK):
                kept = self.moves[begin : begin + _CHUNK].astype(np.float32) @ apart
                found.append((2.0 * kept - whole) / self.first)
            return np.concatenate(found)
        both = np.concatenate([a, b]).astype(np.float32)
        for begin in range(0, self.times, _CHUNK):
            second = self.moves[begin : begin + _CHUNK].astype(np.float32) @ both
            # The sum of all is 0.
            found.append(second.astype(np.float64) * (1 / self.second + 1 / self.first))
        return np.concatenate(found)


def drift(a: Gates, b: Gates, exchange: Exchange) -> Drift:
    """Return how far two sets are apart, as above.

    Args:
        a: Gates [nA, C] of the first set, or any other numbers of its images.
        b: Gates [nB, C] of the second.
        exchange: How images are exchanged.

    >>> same = np.random.default_rng(0).random((20, 3))
    >>> drift(same, same, Exchange(20, 20, paired=True))
    Drift(value=0.0, band=0.0, needed=0.0, p_value=1.0, varying=3)
    """
    if np.float16 in (a.dtype, b.dtype):
        # Rounded alike: what float16 takes off one of them alone would be a difference.
        a, b = a.astype(np.float16), b.astype(np.float16)
    first, second = a.astype(np.float64), b.astype(np.float64)
    whole = len(first) + len(second)
    middle = (first.sum(axis=0) + second.sum(axis=0)) / whole
    first, second = first - middle, second - middle
    total = (first**2).sum(axis=0) + (second**2).sum(axis=0)
    varies = total / (whole - 1) >= VARIES**2
    first, second, total = first[:, varies], second[:, varies], total[varies]
    if not varies.any():
        return Drift(0.0, 0.0, 0.0, 1.0, 0)
    share = len(first) * len(second) / whole

    def statistic(apart: Floats) -> Floats:
        square = np.where(np.abs(apart) < ROUNDED, 0.0, apart) ** 2
        within = (total - share * square) / (whole - 2)
        relative: Floats = square / np.maximum(within, _LEAST_WITHIN * total / whole)
        return np.asarray(relative.mean(axis=-1))

    seen = float(statistic(second.mean(axis=0) - first.mean(axis=0)))
    chance = statistic(exchange.differences(first, second))
    # Sums in another order differ in the last digits.
    as_much = int((chance >= seen * (1 - 1e-6)).sum())
    usual = float(chance.mean())
    rank = 1 - LEVEL / exchange.tests
    return Drift(
        seen - usual,
        float(np.quantile(chance, 1 - LEVEL)) - usual,
        float(np.quantile(chance, rank)) - usual,
        (1 + as_much) / (1 + exchange.times),
        int(varies.sum()),
    )
