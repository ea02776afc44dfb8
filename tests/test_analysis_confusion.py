"""Metrics of confusion matrices; scikit-learn, SciPy and NumPy say what is right."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

import seviz
from seviz.analysis import (
    calibration_curve,
    class_order,
    confusion_rate,
    most_confused,
    normalised,
    ranked_confusions,
    scores,
    wilson,
)
from seviz.errors import DataError
from seviz.results.evaluation import Evaluation
from seviz.results.predictions import PredictionTable, write_predictions


def of(true, predicted, classes):
    """Return the evaluation of single predictions, the counts made by NumPy alone."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return Evaluation(tuple(f"class {i}" for i in range(classes)), counts)


@st.composite
def answers(draw):
    """Labels of 2 to 300 classes, with empty rows, empty columns, or all images in one class."""
    classes = draw(st.integers(2, 300))
    images = draw(st.integers(1, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["any", "empty rows", "empty columns", "one class", "one answer"]))
    true, predicted = rng.integers(0, classes, (2, images))
    right = rng.random(images) < draw(st.floats(0, 1))
    predicted = np.where(right, true, predicted)
    if kind == "empty rows":
        true = true // 2
    if kind == "empty columns":
        predicted = predicted // 2
    if kind == "one class":
        true = np.full_like(true, rng.integers(classes))
    if kind == "one answer":
        predicted = np.full_like(predicted, rng.integers(classes))
    return true, predicted, classes


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(answers())
@settings(max_examples=60)
def test_every_metric_equals_scikit_learn(case):
    true, predicted, classes = case
    evaluation = of(true, predicted, classes)
    labels = np.arange(classes)
    assert evaluation.counts.tolist() == confusion_matrix(true, predicted, labels=labels).tolist()
    found = scores(evaluation)
    assert found.images == len(true)
    assert found.top1.value == pytest.approx(accuracy_score(true, predicted))
    own = precision_recall_fscore_support(true, predicted, labels=labels, zero_division=np.nan)
    for name, expected in zip(("precision", "recall", "f1"), own, strict=False):
        values = [getattr(c, name) for c in found.per_class]
        for value, right in zip(values, expected, strict=True):
            assert value == (None if math.isnan(right) else pytest.approx(right))
    assert [c.support for c in found.per_class] == own[3].tolist()

    seen = np.unique(true)
    for average in ("macro", "weighted"):
        expected = precision_recall_fscore_support(
            true, predicted, labels=seen, average=average, zero_division=0
        )
        mean = getattr(found, average)
        assert [mean.precision, mean.recall, mean.f1] == pytest.approx(list(expected[:3]))
    recall = precision_recall_fscore_support(true, predicted, labels=seen, zero_division=0)[1]
    assert found.balanced_accuracy == pytest.approx(recall.mean())
    if set(predicted) <= set(true):  # scikit-learn warns otherwise
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(true, predicted))

    for by, sk in (("true", "true"), ("pred", "pred"), ("all", "all"), ("none", None)):
        shares = normalised(evaluation, by)
        expected = confusion_matrix(true, predicted, labels=labels, normalize=sk)
        assert np.isnan(shares[evaluation.support == 0]).all()
        known = ~np.isnan(shares)
        np.testing.assert_allclose(shares[known], expected[known])
        if by != "pred":
            assert known[evaluation.support > 0].all()

    pairs = ranked_confusions(evaluation)
    assert sum(p.count for p in pairs) == (true != predicted).sum()
    assert all(0 < p.share <= 1 and p.true != p.predicted for p in pairs)
    assert [p.count for p in pairs] == sorted((p.count for p in pairs), reverse=True)
    for how in ("index", "cluster", "recall"):
        assert sorted(class_order(evaluation, how)) == list(range(classes))
    assert len(most_confused(evaluation, 20)) == min(20, classes)


@given(answers(), st.data())
@settings(max_examples=25)
def test_some_classes_equal_scikit_learn_on_their_images(case, data):
    true, predicted, classes = case
    seen = np.unique(true).tolist()
    chosen = data.draw(st.lists(st.sampled_from(seen), min_size=1, max_size=5, unique=True))
    found = scores(of(true, predicted, classes).only([f"class {i}" for i in chosen]))
    own = np.isin(true, chosen)
    assert found.top1.value == pytest.approx(accuracy_score(true[own], predicted[own]))
    expected = precision_recall_fscore_support(
        true[own], predicted[own], labels=chosen, zero_division=np.nan
    )
    for name, right in zip(("precision", "recall", "f1"), expected, strict=False):
        values = [getattr(c, name) for c in found.per_class]
        np.testing.assert_allclose([np.nan if v is None else v for v in values], right)


@pytest.mark.parametrize(
    ("count", "images"), [(0, 1), (1, 1), (0, 50), (50, 50), (7, 9), (8817, 10_000)]
)
def test_wilson_equals_scipy(count, images):
    expected = binomtest(count, images).proportion_ci(0.95, method="wilson")
    found = wilson(count, images)
    assert (found.value, found.count, found.images) == (count / images, count, images)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_wilson_without_images():
    assert wilson(0, 0) is None


def test_no_image_at_all():
    with pytest.raises(DataError, match="expected images to score, found none"):
        scores(Evaluation(("a", "b"), np.zeros((2, 2), int)))


def test_ranked_confusions_in_words():
    counts = np.array([[900, 87, 13], [50, 900, 50], [0, 2, 8]])
    found = ranked_confusions(Evaluation(("cat", "dog", "elk"), counts))
    assert str(found[0]) == "cat taken for dog: 87, 8.7% of cat"
    assert [(c.true, c.predicted, c.count) for c in found] == [
        ("cat", "dog", 87),
        ("dog", "cat", 50),
        ("dog", "elk", 50),
        ("cat", "elk", 13),
        ("elk", "dog", 2),
    ]
    assert found == ranked_confusions(Evaluation(("cat", "dog", "elk"), counts), 99)
    assert len(ranked_confusions(Evaluation(("cat", "dog", "elk"), counts), 2)) == 2


def test_hardest_classes_first():
    counts = np.array([[9, 1, 0], [5, 5, 0], [0, 0, 0]])
    found = scores(Evaluation(("a", "b", "c"), counts))
    assert [c.name for c in found.hardest] == ["b", "a"]
    assert found.per_class[2].recall is None
    assert found.per_class[2].f1 is None


@pytest.mark.parametrize("images", [1, 17, 3000])
def test_calibration_equals_numpy(images):
    rng = np.random.default_rng(images)
    confidence = np.concatenate([rng.random(images), [1.0, 1 / 15, 0.2, 0.0]])
    true, predicted = rng.integers(0, 4, (2, images + 4))
    table = PredictionTable(tuple("abcd"), true, predicted, confidence)
    curve = calibration_curve(table.evaluation())
    right = true == predicted
    ece, edges = 0.0, np.linspace(0, 1, 16)
    for b, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = (confidence > low) & (confidence <= high)
        if b == 0:
            inside |= confidence == 0
        assert curve.bins[b].count == inside.sum()
        if inside.any():
            accuracy, mean = right[inside].mean(), confidence[inside].mean()
            assert curve.bins[b].accuracy == pytest.approx(accuracy)
            assert curve.bins[b].confidence == pytest.approx(mean)
            ece += inside.mean() * abs(accuracy - mean)
        else:
            assert curve.bins[b].accuracy is None
    assert curve.ece == pytest.approx(ece)
    assert curve.accuracy == pytest.approx(right.mean())
    assert curve.confidence == pytest.approx(confidence.mean())


def test_clustered_order_puts_families_side_by_side():
    families = [(0, 5, 7), (1, 4, 9), (2, 3, 6, 8)]
    counts = 80 * np.eye(10, dtype=np.int64)
    for family in families:
        counts[np.ix_(family, family)] += 6
    counts += 1
    evaluation = Evaluation(tuple(map(str, range(10))), counts)
    order = class_order(evaluation, "cluster")
    family_of = {k: i for i, family in enumerate(families) for k in family}
    blocks = [family_of[k] for k in order]
    assert sum(a != b for a, b in itertools.pairwise(blocks)) == len(families) - 1


def test_order_by_recall():
    counts = np.array([[9, 1, 0, 0], [5, 5, 0, 0], [0, 0, 0, 0], [1, 0, 0, 4]])
    evaluation = Evaluation(tuple("abcd"), counts)
    assert class_order(evaluation, "recall") == [1, 3, 0, 2]
    assert class_order(evaluation, "index") == [0, 1, 2, 3]


def test_confusion_rate_by_hand():
    rate = confusion_rate(Evaluation(tuple("abc"), np.array([[8, 2, 0], [1, 3, 0], [0, 0, 0]])))
    # a for b: 2 of 10; b for a: 1 of 4.
    assert rate.tolist() == [[0, 0.225, 0], [0.225, 0, 0], [0, 0, 0]]


def test_most_confused_are_the_classes_of_the_most_frequent_confusions():
    counts = 100 * np.eye(6, dtype=np.int64)
    counts[4, 1], counts[2, 5], counts[0, 3] = 9, 8, 1
    evaluation = Evaluation(tuple("abcdef"), counts)
    assert most_confused(evaluation, 2) == [1, 4]
    assert most_confused(evaluation, 4) == [1, 2, 4, 5]
    assert most_confused(evaluation, 5) == [0, 1, 2, 4, 5]


@pytest.mark.skipif(
    "SEVIZ_CIFAR10" not in os.environ, reason="needs SEVIZ_CIFAR10=folder of CIFAR-10"
)
@pytest.mark.parametrize("absent", [None, "cat"])
def test_cifar10(tmp_path, absent):
    """The real images, one class folder in the middle of the alphabet missing or not."""
    folder = Path(os.environ["SEVIZ_CIFAR10"]) / "test"
    for source in folder.iterdir():
        if source.name != absent:
            (tmp_path / "data").mkdir(exist_ok=True)
            (tmp_path / "data" / source.name).symlink_to(source)
    tables = []
    record = seviz.collect(
        seviz.load(seviz.sample("se_resnet20_cifar10")),
        str(tmp_path / "data"),
        seviz.PassOptions(num_samples=None if absent is None else 100),
        each=tables.append,
    )
    (table,) = tables
    # The label of each image from its path, its prediction from the pass.
    names = sorted(p.name for p in folder.iterdir())
    true = np.array([names.index(p.split("/")[0]) for p in table.paths])
    assert [table.labels[i] for i in table.true] == [names[i] for i in true]
    predicted = np.array([names.index(table.labels[i]) for i in table.predicted])
    seen = np.unique(true)
    full = confusion_matrix(true, predicted, labels=range(10))
    evaluation = seviz.evaluate(record)
    assert evaluation.labels == tuple(names[i] for i in seen)
    assert evaluation.matrix.tolist() == full[np.ix_(seen, seen)].tolist()
    found = scores(evaluation)
    expected = precision_recall_fscore_support(true, predicted, labels=seen, average="macro")
    assert [found.macro.precision, found.macro.recall, found.macro.f1] == pytest.approx(
        list(expected[:3])
    )
    assert found.top1.value == accuracy_score(true, predicted)
    again = seviz.evaluate(write_predictions(table, tmp_path / "answers.csv"))
    if absent is None:
        assert found.images == 10_000
        assert found.top1.value == 0.8817
        assert again.counts.tolist() == full.tolist()
    assert scores(again).calibration.ece == pytest.approx(found.calibration.ece, abs=1e-6)


@pytest.mark.parametrize("images", [3, 5, 7, 49])
def test_where_all_is_right_every_average_is_one(images: int) -> None:
    """Ten shares of a tenth add up to less."""
    labels = tuple(str(n) for n in range(10))
    found = scores(Evaluation(labels, np.eye(10, dtype=np.int64) * images))
    for average in (found.macro, found.weighted):
        assert (average.precision, average.recall, average.f1) == (1.0, 1.0, 1.0)
