"""Intervals end within what a number can be: by hand, on the scale of log odds and of the logarithm."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from seviz.analysis.findings.estimates import Drawn

# Two classes of 50 images each: t of 98 degrees, se = sqrt(mean f^2 * 50 / 49 / 100).
DRAWN = Drawn.of(np.repeat([0, 1], 50), np.array([50, 50]))
assert DRAWN is not None


def reach(size: float) -> float:
    """Return how far the interval reaches for influences of this size."""
    return 1.984467 * size * np.sqrt(50 / 49) / 10  # R: qt(.975, 98)


@pytest.mark.parametrize(
    ("value", "size", "bounds"),
    [
        (0.001, 0.02, (0.0, 1.0)),
        (0.999, 0.02, (0.0, 1.0)),
        (0.5, 5.0, (0.0, 1.0)),
        (-0.97, 0.4, (-1.0, 1.0)),
        (0.002, 0.02, (0.0, np.inf)),
    ],
)
def test_an_end_beyond_is_taken_on_a_scale_without_ends(value, size, bounds):
    least, most = bounds
    found = DRAWN.interval(value, np.tile([size, -size], 50), bounds)
    far = reach(size)
    low, high = value - far, value + far
    if np.isinf(most):
        within = [value * np.exp(step / value) for step in (-far, far)]
    else:
        odds = (value - least) / (most - least)
        step = far / (most - least) / (odds * (1 - odds))
        within = [least + (most - least) * expit(logit(odds) + s) for s in (-step, step)]
    assert found.low == pytest.approx(low if low >= least else within[0], rel=1e-5)
    assert found.high == pytest.approx(high if high <= most else within[1], rel=1e-5)
    assert least < found.low < value < found.high < most


def test_an_interval_inside_is_symmetrical():
    found = DRAWN.interval(0.4, np.tile([0.1, -0.1], 50), (0.0, 1.0))
    assert (found.low, found.high) == pytest.approx((0.4 - reach(0.1), 0.4 + reach(0.1)), rel=1e-5)


def test_a_number_at_its_bound_stays_there():
    found = DRAWN.interval(0.0, np.tile([0.1, -0.1], 50), (0.0, 1.0))
    assert found.low == 0
    assert found.high == pytest.approx(reach(0.1), rel=1e-5)
