"""Paired comparisons, against statsmodels, SciPy and published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from test_results_ablation import make

from seviz.analysis import cumulative_effects, single_effects
from seviz.analysis.proportions import counted_difference, holm, paired_difference

COUNTS = [(100, 90, 12, 2), (10_000, 8817, 140, 83), (20, 10, 0, 0), (50, 50, 50, 0), (7, 0, 0, 7)]


@pytest.mark.parametrize(("images", "right", "lost", "won"), COUNTS)
def test_the_test_is_exact(images: int, right: int, lost: int, won: int) -> None:
    found = counted_difference(images, right, lost, won)
    table = [[right - lost, lost], [won, images - right - won]]
    assert found.p_value == pytest.approx(min(1.0, mcnemar(table, exact=True).pvalue), abs=1e-12)
    assert found.delta == pytest.approx((won - lost) / images)
    assert found.after == pytest.approx((right - lost + won) / images)


@pytest.mark.parametrize(("images", "right", "lost", "won"), COUNTS)
def test_the_interval_is_walds_of_the_enlarged_table(
    images: int, right: int, lost: int, won: int
) -> None:
    found = counted_difference(images, right, lost, won)
    # Variance of a difference of paired proportions, each of the four cells half an image larger.
    n, b, c = images + 2, lost + 0.5, won + 0.5
    each = np.concatenate([[-1.0] * round(2 * b), [1.0] * round(2 * c)])
    each = np.concatenate([each, np.zeros(round(2 * n) - len(each))])  # every image twice
    reach = norm.ppf(0.975) * each.std() / np.sqrt(n)
    assert found.low == pytest.approx(max(-1, each.mean() - reach), abs=1e-12)
    assert found.high == pytest.approx(min(1, each.mean() + reach), abs=1e-12)


def test_arrays_and_counts_say_the_same() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.random((2, 300)) < 0.7
    counted = counted_difference(
        300, before.sum(), (before & ~after).sum(), (after & ~before).sum()
    )
    assert paired_difference(before, after) == counted


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (10, 11, 0, 0), (10, 5, 6, 0), (10, 5, 0, 6)])
def test_counts_that_cannot_be(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected counts"):
        counted_difference(*counts)
    with pytest.raises(ValueError, match="as many images"):
        paired_difference(np.ones(3, bool), np.ones(4, bool))


@pytest.mark.parametrize("count", [1, 2, 9, 50])
def test_holm(count: int) -> None:
    p_values = np.random.default_rng(count).random(count) ** 3
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(p_values.tolist()), expected)
    assert holm([]) == []


def test_effects_of_an_ablation() -> None:
    result = make()
    singles, together = single_effects(result), cumulative_effects(result)
    assert [e.replaced for e in singles] == list(result.single)
    assert [e.replaced for e in together] == list(result.cumulative)
    p_value = mcnemar([[138, 12], [2, 48]], exact=True).pvalue
    assert singles[0].difference.p_value == pytest.approx(p_value)
    assert singles[0].p_adjusted == pytest.approx(2 * p_value)
    assert singles[1].p_adjusted == 1
    assert singles[0].difference.delta == pytest.approx(-0.05)
    assert cumulative_effects(make(cumulative=())) == []
