"""Gates and confusion together, on gates that are made to go with it, or not to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from synthetic import CIFAR, make_record, record_of_gates

from seviz.analysis import (
    confusion_rate,
    describe_gate_confusion,
    explain_pair,
    gate_confusion,
    gate_distances,
)
from seviz.errors import NoSEBlockError, UsageError
from seviz.results.evaluation import Evaluation

CLASSES = 12
NAMES = [f"class {i}" for i in range(CLASSES)]


def place(rng):
    """Return a point for each class; near classes are confused."""
    return rng.normal(size=(CLASSES, 3))


def confused(points, rng, images=400):
    far = np.linalg.norm(points[:, None] - points, axis=2)
    share = np.exp(-1.5 * far)
    np.fill_diagonal(share, 6.0)
    share /= share.sum(1, keepdims=True)
    return np.array([rng.multinomial(images, row) for row in share])


def record_with(centres, counts, rng, noise=0.01):
    """Return a record whose blocks have these mean gates, a block for each array [K, C]."""
    labels = np.repeat(np.arange(CLASSES), 30)
    gates = [c[labels] + noise * rng.normal(size=(len(labels), c.shape[1])) for c in centres]
    record = record_of_gates(gates, labels, NAMES)
    return replace(record, arrays={**record.arrays, "confusion": counts})


def test_distances_by_hand():
    gates = np.array([[0.1, 0.2], [0.1, 0.6], [0.4, 0.2]])
    record = record_of_gates([gates], np.array([0, 1, 3]), ["a", "b", "c", "d"])
    found = gate_distances(record.stats("SE_2_1"))
    assert found[0, 1] == pytest.approx(0.4 / np.sqrt(2))
    assert found[0, 3] == pytest.approx(0.3 / np.sqrt(2))
    assert found[1, 3] == pytest.approx(np.sqrt((0.09 + 0.16) / 2))
    assert np.isinf(found[2]).all()
    assert found[0, 0] == 0


@pytest.mark.parametrize("seed", range(4))
def test_correlation_equals_scipy(seed):
    rng = np.random.default_rng(seed)
    points = place(rng)
    counts = confused(points, rng)
    record = record_with(
        [0.5 + 0.1 * points, 0.5 + 0.1 * rng.normal(size=(CLASSES, 8))], counts, rng
    )
    pairs = np.triu_indices(CLASSES, 1)
    rate = confusion_rate(Evaluation.of_record(record))[pairs]
    for block, found in zip(record.blocks, gate_confusion(record, permutations=9), strict=True):
        distance = gate_distances(record.stats(block.name))[pairs]
        assert found.correlation == pytest.approx(spearmanr(distance, rate).statistic, abs=1e-9)


def test_gates_that_go_with_confusion_and_gates_that_do_not():
    rng = np.random.default_rng(1)
    points = place(rng)
    counts = confused(points, rng)
    alike = 0.5 + 0.1 * points
    record = record_with([alike, 0.5 + 0.1 * rng.normal(size=(CLASSES, 8))], counts, rng)
    first, second = gate_confusion(record)
    assert first.correlation < -0.6
    assert first.p == first.p_corrected == 0.001
    assert first.holds
    assert not second.holds
    said = describe_gate_confusion([first, second])
    assert said.startswith("Classes gated alike are confused more often in SE_2_1 (-0.")
    assert "SE_3_1" not in said
    assert describe_gate_confusion([second]).startswith("Nothing here: in none of the 1 block ")
    # Turned round: the classes that are confused are those gated apart.
    turned = replace(first, correlation=0.7)
    assert "classes gated apart" in describe_gate_confusion([turned]).lower()


def test_nothing_is_found_where_there_is_nothing():
    """At most one in twenty records, however many blocks."""
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        counts = confused(place(rng), rng)
        centres = [0.5 + 0.1 * rng.normal(size=(CLASSES, 6)) for _ in range(4)]
        blocks = gate_confusion(record_with(centres, counts, rng), permutations=199, seed=seed)
        found += any(b.holds for b in blocks)
    # 60 trials at 5 % give more than 7 once in a hundred times.
    assert found <= 7


def test_the_same_seed_gives_the_same_numbers():
    rng = np.random.default_rng(3)
    record = record_with([0.5 + 0.1 * place(rng)], confused(place(rng), rng), rng)
    assert gate_confusion(record) == gate_confusion(record)


def test_a_weak_correlation_is_nothing_however_sure():
    rng = np.random.default_rng(3)
    record = record_with([0.5 + 0.1 * place(rng)], confused(place(rng), rng), rng)
    (found,) = gate_confusion(record, permutations=9)
    weak = replace(found, correlation=-0.03, p=0.001, p_corrected=0.001)
    assert not weak.holds
    assert "largest rank correlation -0.030" in describe_gate_confusion([weak])


@pytest.mark.parametrize(
    ("classes", "counts"),
    [(3, [[5, 1, 1], [2, 5, 0], [0, 0, 7]]), (5, 10 * np.eye(5, dtype=np.int64))],
    ids=["three-classes", "no-confusion"],
)
def test_what_cannot_be_said(classes, counts):
    rng = np.random.default_rng(0)
    labels = np.arange(classes)
    record = record_of_gates([rng.random((classes, 4))], labels, NAMES[:classes])
    record = replace(record, arrays={**record.arrays, "confusion": np.asarray(counts)})
    (found,) = gate_confusion(record)
    assert found.correlation is found.p is found.p_corrected is None
    assert not found.holds
    assert describe_gate_confusion([found]).startswith(
        "Gates and confusion cannot be compared here"
    )


def test_equal_gates_have_no_correlation():
    rng = np.random.default_rng(0)
    record = record_with([np.full((CLASSES, 4), 0.5)], confused(place(rng), rng), rng, noise=0.0)
    (found,) = gate_confusion(record, permutations=9)
    assert found.correlation is None
    assert not found.moves


def test_explain_by_hand():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    gates = 0.5 + 0.02 * rng.normal(size=(200, 6))
    gates[labels == 1, 3] += 0.05
    gates[labels == 2] += 0.3
    gates[labels == 3] -= 0.3
    gates[:, 5] = 0.7
    record = record_of_gates([gates], labels, ["cat", "dog", "elk", "fox"])
    (block,) = explain_pair(record, "cat", "dog", channels=2)
    a, b = gates[labels == 0], gates[labels == 1]
    assert block.distance == pytest.approx(np.sqrt(((a.mean(0) - b.mean(0)) ** 2).mean()))
    assert (block.rank, block.pairs) == (1, 6)
    top = block.channels[0]
    assert top.channel == 3
    pooled = np.sqrt((a[:, 3].var() + b[:, 3].var()) / 2)
    assert top.effect == pytest.approx((a[:, 3].mean() - b[:, 3].mean()) / pooled)
    assert (top.first, top.second) == pytest.approx((a[:, 3].mean(), b[:, 3].mean()))
    (every,) = explain_pair(record, "elk", "fox", channels=99)
    assert every.rank == 6
    # Channel 5 never moves: it has no effect size.
    assert sorted(c.channel for c in every.channels) == [0, 1, 2, 3, 4]


def test_one_image_has_no_deviation_to_measure_an_effect_by():
    rng = np.random.default_rng(0)
    labels = np.array([0] * 50 + [1])
    gates = 0.5 + 0.02 * rng.normal(size=(51, 3))
    record = record_of_gates([gates], labels, ["cat", "dog"])
    (block,) = explain_pair(record, "cat", "dog")
    many = gates[:50]
    for found in block.channels:
        wanted = (many.mean(0) - gates[50])[found.channel] / many.std(0)[found.channel]
        assert found.effect == pytest.approx(wanted)
    (alone,) = explain_pair(
        record_of_gates([gates[-2:]], np.array([0, 1]), ["cat", "dog"]), "cat", "dog"
    )
    assert alone.channels == ()


def test_what_cannot_be_explained(refuses):
    record = make_record(CIFAR, ("cat", "dog"))
    with pytest.raises(UsageError, match="which are one"):
        explain_pair(record, "cat", "Cat")
    with pytest.raises(UsageError, match="found 'elk'"):
        explain_pair(record, "cat", "elk")
    bare = replace(record, blocks=())
    with refuses(NoSEBlockError, "no SE block"):
        explain_pair(bare, "cat", "dog")
    with refuses(NoSEBlockError, "no SE block"):
        gate_confusion(bare)
