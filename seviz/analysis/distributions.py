"""Two distributions that intervals and tests rest on; SciPy's are as good, and take a quarter of a redraw to import."""

from __future__ import annotations

from functools import lru_cache
from math import exp, gamma, log1p, pi, sqrt
from statistics import NormalDist

_TINY = 1e-300
_EPSILON = 2.0**-52
_MOST_TERMS = 10_000
_MANY = 3000  # degrees of freedom from which on four terms of a series are exact to the last digit


@lru_cache(maxsize=1024)
def student_quantile(free: float, probability: float) -> float:
    """Return the quantile of Student's t distribution.

    Newton's method on the upper tail, from the quantile of the normal distribution: the tail is convex, so
    that no step goes too far.

    Args:
        free: Degrees of freedom, any number of at least 1.
        probability: Of a smaller value, from 1/2 to below 1.

    Raises:
        ValueError: If an argument is outside these bounds.

    >>> round(student_quantile(10, 0.975), 3)
    2.228
    """
    if not (free >= 1 and 0.5 <= probability < 1):
        raise ValueError(
            f"expected at least 1 degree of freedom and a probability from 0.5 to below 1, found {free} and "
            f"{probability}"
        )
    if probability == 0.5:
        return 0.0
    wanted, t = 1 - probability, NormalDist().inv_cdf(probability)
    if free >= _MANY:
        return _near_normal(free, t)
    for _ in range(_MOST_TERMS):
        density = (
            exp(-(free + 1) / 2 * log1p(t * t / free)) * _gamma_ratio(free / 2) / sqrt(pi * free)
        )
        step = (_student_tail(free, t) - wanted) / density
        t += step
        if step <= 4 * _EPSILON * t:  # steps lead upwards, until rounding is all there is
            break
    return t


def _near_normal(free: float, z: float) -> float:
    """Return the quantile from that of the normal distribution (Abramowitz and Stegun 26.7.5)."""
    s = z * z
    terms = (
        (s + 1) / 4,
        ((5 * s + 16) * s + 3) / 96,
        (((3 * s + 19) * s + 17) * s - 15) / 384,
        ((((79 * s + 776) * s + 1482) * s - 1920) * s - 945) / 92160,
    )
    return z * (1 + sum(term / free**k for k, term in enumerate(terms, start=1)))


def _student_tail(free: float, t: float) -> float:
    """Return the probability of more than ``t`` > 0: half of I_x(n/2, 1/2), x = n / (n + t^2).

    The incomplete beta function I is its prefactor times a continued fraction (DLMF 8.17.22), which goes on
    quickly for x below (a + 1) / (a + b + 2); above, I_x(a, b) = 1 - I_{1-x}(b, a).
    """
    a, b = free / 2, 0.5
    x, rest = free / (free + t * t), t * t / (free + t * t)
    # x^a (1 - x)^b / B(a, b)
    front = exp(-a * log1p(t * t / free)) * sqrt(rest) * _gamma_ratio(a) / sqrt(pi)
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a / 2
    return (1 - front * _fraction(b, a, rest) / b) / 2


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction 1 / (1 + d1 / (1 + d2 / ...)) of DLMF 8.17.22, by Lentz's method."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, _MOST_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 + term * d, 1 + term / c
            d = 1 / (d if abs(d) > _TINY else _TINY)
            c = c if abs(c) > _TINY else _TINY
            value *= d * c
        if abs(d * c - 1) <= 4 * _EPSILON:
            break
    return value


def _gamma_ratio(a: float) -> float:
    """Return gamma(a + 1/2) / gamma(a)."""
    if a < 60:
        return gamma(a + 0.5) / gamma(a)
    # Where the gamma function grows out of bounds: the series of its logarithm (DLMF 5.11.8).
    inverse = 1 / a
    square = inverse * inverse
    return sqrt(a) * exp(
        inverse * (-1 / 8 + square * (1 / 192 + square * (-1 / 640 + square * 17 / 14336)))
    )


def sign_test(fewer: int, more: int) -> float:
    """Return the p-value of two counts that chance divides evenly: both tails of Binomial(n, 1/2).

    Counted in whole numbers, so that one division is all that is rounded.

    >>> round(sign_test(2, 12), 4)
    0.0129
    """
    fewer, n = int(min(fewer, more)), int(fewer + more)
    ways = outcomes = 1
    for i in range(fewer):
        ways = ways * (n - i) // (i + 1)
        outcomes += ways
    return min(1.0, 2 * outcomes / 2**n)
