"""Drift: by hand, by all exchanges, and how often it is seen where there is none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from seviz.analysis.drift import Drift, Exchange, drift
from seviz.analysis.proportions import holm

Array = np.ndarray


def by_hand(a: Array, b: Array) -> float:
    """Return the mean over channels of Cohen's d, squared."""
    found = []
    for one, other in zip(a.T, b.T, strict=True):
        within = ((one - one.mean()) ** 2).sum() + ((other - other.mean()) ** 2).sum()
        found.append((other.mean() - one.mean()) ** 2 / (within / (len(one) + len(other) - 2)))
    return float(np.mean(found))


def gates(images: int, seed: int, channels: int = 12) -> Array:
    """Return gates that depend on each other, as those of a network do."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(images, 3)) @ rng.normal(size=(3, channels))
    return 1 / (1 + np.exp(-causes - 0.3 * rng.normal(size=(images, channels))))


@pytest.mark.parametrize("paired", [False, True])
def test_against_all_exchanges(paired: bool) -> None:
    """With eight images every exchange can be made; random ones come close to it."""
    a, b = gates(4, 1), gates(4, 2) + 0.25
    every = []
    if paired:
        for sides in itertools.product((False, True), repeat=4):
            keep = np.array(sides)[:, None]
            every.append(by_hand(np.where(keep, a, b), np.where(keep, b, a)))
    else:
        both = np.concatenate([a, b])
        for first in itertools.combinations(range(8), 4):
            rest = [i for i in range(8) if i not in first]
            every.append(by_hand(both[list(first)], both[rest]))
    seen = by_hand(a, b)
    found = drift(a, b, Exchange(4, 4, paired=paired, tests=800))  # 20,000 exchanges
    assert found.value == pytest.approx(seen - np.mean(every), rel=0.02, abs=0.02)
    as_much = np.mean(np.array(every) >= seen * (1 - 1e-6))
    assert found.p_value == pytest.approx(as_much, abs=0.015)
    assert found.varying == 12


def test_what_is_the_same_has_not_moved() -> None:
    a = gates(50, 0)
    assert drift(a, a.copy(), Exchange(50, 50, paired=True)) == Drift(0.0, 0.0, 0.0, 1.0, 12)


def test_constant_channels_and_rounding_move_nothing() -> None:
    a = np.hstack([gates(40, 0, 2), np.full((40, 1), 0.5)]).astype(np.float32)
    b = a + np.float32(1e-8)
    assert drift(a, b, Exchange(40, 40, paired=True)).p_value == 1
    assert drift(a, b, Exchange(40, 40, paired=True)).varying == 2
    constant = np.ones((40, 3))
    assert drift(constant, constant, Exchange(40, 40, paired=False)) == Drift(0.0, 0.0, 0.0, 1.0, 0)
    # One record in float16, the other in float32: no difference is made of that.
    assert drift(a.astype(np.float16), a, Exchange(40, 40, paired=True)).value == 0


def test_two_constants_weigh_as_much_as_they_may() -> None:
    found = drift(np.zeros((30, 1)), np.ones((30, 1)), Exchange(30, 30, paired=False))
    assert 100 < found.value <= 400 * 60 / 58
    assert found.p_value == 1 / 1000


@pytest.mark.parametrize("paired", [False, True])
def test_the_false_alarm_rate_is_what_it_says(paired: bool) -> None:
    """Of 200 draws without any drift about 10 are called one: 3 to 19 in 998 of 1,000 such tests."""
    alarms, values = 0, []
    for seed in range(200):
        x = gates(40, seed)
        if paired:  # moved to and fro, and not on the whole
            a, b = x, x + 0.05 * np.random.default_rng(seed + 999).standard_t(3, x.shape)
        else:
            order = np.random.default_rng(seed).permutation(40)
            a, b = x[order[:20]], x[order[20:]]
        found = drift(a, b, Exchange(len(a), len(b), paired=paired, seed=seed))
        alarms += found.p_value < 0.05
        values.append(found.value)
    assert 3 <= alarms <= 19
    # What chance gives is taken off.
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)


@pytest.mark.parametrize("paired", [False, True])
def test_a_drift_is_found_and_has_its_size(paired: bool) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(1000, 30))
    b = (a if paired else rng.normal(size=(1000, 30))) + 0.5 + (0.1 * rng.normal(size=(1000, 30)))
    found = drift(a, b, Exchange(1000, 1000, paired=paired))
    assert found.value == pytest.approx(0.25, abs=0.03)
    assert found.p_value == 0.001
    assert found.band < found.needed + 1e-12 < found.value


@pytest.mark.parametrize("tests", [1, 16, 150])
def test_enough_exchanges_for_all_tests(tests: int) -> None:
    least = 1 / (1 + Exchange(9, 9, paired=True, tests=tests).times)
    assert max(holm([least] * tests)) < 0.05
