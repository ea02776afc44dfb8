"""Two networks side by side: intervals and tests against statsmodels, gates against NumPy and SciPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, pearsonr
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest
from synthetic import CIFAR, CIFAR_LABELS, make_record, record_of_gates

from seviz.analysis import (
    PairedDifference,
    UnpairedDifference,
    compare_gates,
    compare_subjects,
    unpaired_difference,
)
from seviz.errors import DataError
from seviz.results.cost import Convention
from seviz.results.predictions import PredictionTable
from seviz.results.subject import NetworkCost, Subject

LABELS = ("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("a", "n", "b", "m"),
    [
        (8767, 10_000, 8817, 10_000),
        (0, 20, 3, 25),
        (5, 5, 5, 5),
        (1, 40, 39, 40),
        (50, 364, 300, 364),
    ],
)
def test_unpaired_difference_is_statsmodels(a, n, b, m):
    found = unpaired_difference(a, n, b, m)
    low, high = confint_proportions_2indep(b, m, a, n, method="newcomb", compare="diff")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    if 0 < a + b < n + m:
        p = proportions_ztest([b, a], [m, n])[1]
        assert found.p_value == pytest.approx(p, rel=1e-9)
    else:
        assert found.p_value == 1
    assert found.delta == pytest.approx(b / m - a / n)


def test_unpaired_difference_far_out():
    """scipy.stats.norm.sf(20) is 2.75e-89; 1 - cdf would be 0."""
    found = unpaired_difference(4000, 10_000, 5400, 10_000)
    assert found.p_value == pytest.approx(
        2 * norm.sf(abs(proportions_ztest([5400, 4000], [10_000] * 2)[0]))
    )
    assert 0 < found.p_value < 1e-80


def test_unpaired_difference_needs_images():
    with pytest.raises(ValueError, match="found 0 and 3"):
        unpaired_difference(0, 0, 1, 3)


def table(true, predicted, paths=None, labels=LABELS, top=None):
    return PredictionTable(
        labels,
        np.array(true),
        np.array(predicted),
        paths=paths,
        top=None if top is None else np.array(top),
    )


def random_tables(seed, images=300):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, images)
    guesses = [np.where(rng.random(images) < 0.8, true, rng.integers(0, 3, images)) for _ in "ab"]
    paths = tuple(f"{LABELS[t]}/{i}.png" for i, t in enumerate(true))
    shuffled = rng.permutation(images)
    a = table(true, guesses[0], paths)
    b = table(true[shuffled], guesses[1][shuffled], tuple(paths[i] for i in shuffled))
    return true, guesses, a, b


@pytest.mark.parametrize("seed", range(4))
def test_paired_in_any_order_of_the_images(seed):
    true, guesses, a, b = random_tables(seed)
    compared = compare_subjects(Subject("x", predictions=a), Subject("y", predictions=b))
    right = [g == true for g in guesses]
    cells = [[(right[0] == i) & (right[1] == j) for j in (True, False)] for i in (True, False)]
    square = [[int(c.sum()) for c in row] for row in cells]
    assert compared.paired
    found = compared.top1
    assert isinstance(found, PairedDifference)
    assert (found.lost, found.won) == (square[0][1], square[1][0])
    assert found.p_value == pytest.approx(mcnemar(square, exact=True).pvalue)
    assert found.delta == pytest.approx(right[1].mean() - right[0].mean())
    for change in compared.classes:
        own = true == LABELS.index(change.name)
        assert change.images == own.sum()
        assert change.recall.delta == pytest.approx(right[1][own].mean() - right[0][own].mean())
    deltas = [c.recall.delta for c in compared.classes]
    assert deltas == sorted(deltas, reverse=True)
    raw = [c.recall.p_value for c in compared.classes]
    assert [c.p_adjusted for c in compared.classes] == pytest.approx(
        multipletests(raw, method="holm")[1]
    )


def test_images_that_only_one_saw_are_left_out_and_told():
    a = table([0, 1, 2], [0, 1, 0], ("1", "2", "3"))
    b = table([2, 1], [2, 0], ("3", "2"))
    compared = compare_subjects(Subject("x", predictions=a), Subject("y", predictions=b))
    assert (compared.top1.before, compared.top1.after, compared.top1.images) == (0.5, 0.5, 2)
    assert "2 images that both saw (3, 2)" in compared.notes[0]


def test_top5_is_paired_too():
    labels = tuple("abcdefg")
    top = [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    a = table([4, 6], [0, 0], ("1", "2"), labels, top)
    b = table([4, 6], [0, 0], ("1", "2"), labels, [[0, 1, 2, 3, 5], [0, 1, 2, 3, 6]])
    found = compare_subjects(Subject("x", predictions=a), Subject("y", predictions=b)).top5
    assert (found.before, found.after, found.lost, found.won) == (0.5, 0.5, 1, 1)


@pytest.mark.parametrize(
    ("b", "said"),
    [
        (table([0], [0], ("9",)), "images that both networks saw"),
        (table([1], [0], ("1",)), "the same class for both networks"),
        (table([0, 0], [0, 0]), "found 1 and 2 without names"),
    ],
)
def test_images_that_cannot_be_paired(b, said, refuses):
    a = table([0], [0], ("1",) if b.paths else None)
    with refuses(DataError, said):
        compare_subjects(Subject("x", predictions=a), Subject("y", predictions=b))


def scored(counts, **header):
    record = make_record(CIFAR, CIFAR_LABELS[:3], images=100, **header)
    arrays = {**record.arrays, "confusion": np.array(counts, np.int64)}
    return replace(record, arrays=arrays)


def test_records_are_compared_as_independent_shares():
    a = scored([[90, 10, 0], [5, 95, 0], [0, 20, 80]], num_classes=3)
    b = scored([[95, 5, 0], [5, 95, 0], [0, 5, 95]], num_classes=3)
    compared = compare_subjects(Subject("x", a), Subject("y", b))
    assert not compared.paired
    assert isinstance(compared.top1, UnpairedDifference)
    low, high = confint_proportions_2indep(285, 300, 265, 300, method="newcomb", compare="diff")
    assert (compared.top1.low, compared.top1.high) == pytest.approx((low, high))
    assert [c.name for c in compared.classes] == ["bird", "airplane", "automobile"]
    assert any("hold no single images" in note for note in compared.notes)
    assert "significant at the 5 % level" in compared.describe()
    again = compare_subjects(Subject("x", a), Subject("y", a))
    assert again.top1.delta == 0
    assert "same top-1" in again.describe()


def test_what_records_differ_in_is_told():
    a = scored([[90, 10, 0], [5, 95, 0], [0, 20, 80]], num_classes=3)
    b = scored([[90, 10, 0], [5, 95, 0], [0, 20, 80]], num_classes=3, source="others", partial=True)
    notes = compare_subjects(Subject("x", a), Subject("y", b)).notes
    assert any("source: pictures and others" in note for note in notes)
    assert any("partial" in note for note in notes)


def test_without_predictions_cost_alone_is_compared():
    cost = NetworkCost(10, 20, Convention("paper", 20, 20, ""), 0)
    compared = compare_subjects(Subject("x", cost=cost), Subject("y", cost=cost))
    assert compared.top1 is None
    assert not compared.classes
    assert "not known" in compared.describe()


def gates_of(seed, classes=4, channels=6, images=30):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), images)
    centre = rng.random((classes, channels))
    return np.clip(centre[labels] + 0.05 * rng.normal(size=(len(labels), channels)), 0, 1), labels


def class_means(gates, labels):
    return np.array([gates[labels == k].mean(axis=0) for k in np.unique(labels)])


def test_gates_by_hand():
    (x, labels), (y, _) = gates_of(1), gates_of(2)
    names = ("a", "b", "c", "d")
    (found,), left = compare_gates(
        record_of_gates([x], labels, names), record_of_gates([y], labels, names)
    )
    assert not left
    one, two = class_means(x, labels), class_means(y, labels)
    assert found.drift == pytest.approx(np.sqrt(np.mean((one - two) ** 2)))
    assert found.correlation == pytest.approx(pearsonr(one.ravel(), two.ravel())[0])
    pairs = [(i, j) for i in range(4) for j in range(i)]
    far = [[np.linalg.norm(m[i] - m[j]) for i, j in pairs] for m in (one, two)]
    assert found.geometry == pytest.approx(pearsonr(*far)[0])
    assert found.spreads == pytest.approx((x.std(axis=0).mean(), y.std(axis=0).mean()))


def test_geometry_does_not_depend_on_the_order_of_channels():
    x, labels = gates_of(3, channels=40)
    names = ("a", "b", "c", "d")
    mixed = x[:, np.random.default_rng(0).permutation(40)]
    (found,), _ = compare_gates(
        record_of_gates([x], labels, names), record_of_gates([mixed], labels, names)
    )
    assert found.geometry == pytest.approx(1)
    assert abs(found.correlation) < 0.5
    assert found.drift > 0.1


def test_classes_are_matched_by_label():
    x, labels = gates_of(4)
    turned = 3 - labels
    (found,), _ = compare_gates(
        record_of_gates([x], labels, ("a", "b", "c", "d")),
        record_of_gates([x], turned, ("d", "c", "b", "a")),
    )
    assert found.drift == 0
    assert found.correlation == pytest.approx(1)


def test_blocks_that_do_not_match_are_told():
    x, labels = gates_of(5)
    names = ("a", "b", "c", "d")
    whole = record_of_gates([x, x], labels, names)
    other = record_of_gates([x[:, :3]], labels, names)
    compared, left = compare_gates(whole, other)
    assert compared == []
    assert left == ["SE_2_1 has 6 and 3 channels", "SE_3_1 is in the first network alone"]
    assert compare_gates(other, whole)[1][-1] == "SE_3_1 is in the second network alone"


def test_constant_gates_have_no_correlation():
    _, labels = gates_of(6)
    still = np.full((len(labels), 6), 0.5)
    names = ("a", "b", "c", "d")
    (found,), _ = compare_gates(
        record_of_gates([still], labels, names), record_of_gates([still], labels, names)
    )
    assert (found.correlation, found.geometry, found.drift, found.moves) == (None, None, 0, False)
