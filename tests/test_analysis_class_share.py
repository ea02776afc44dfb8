"""Class share: eta squared per block, against independent implementations on raw gates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.feature_selection import f_classif
from synthetic import SE_RESNET_50, make_record, record_of_gates

from seviz.analysis import class_share
from seviz.errors import DataError


def random_gates(sizes, channels=7, seed=0):
    """Return gates [N, C] whose class means differ by channel, and labels; sizes may be 0."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    offsets = rng.normal(size=(len(sizes), channels)) * np.linspace(0, 2, channels)
    logits = offsets[labels] + rng.normal(size=(len(labels), channels))
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels


def eta_squared(gates, labels):
    """Return scikit-learn's F, turned into eta squared, per channel."""
    f, _ = f_classif(gates.astype(np.float64), labels)
    between, within = len(np.unique(labels)) - 1, len(labels) - len(np.unique(labels))
    return f * between / (f * between + within)


@pytest.mark.parametrize(
    "sizes", [(20, 20, 20), (3, 50, 11, 8), (30, 0, 17), (1, 1, 40), (500, 2)], ids=str
)
def test_share_is_the_eta_squared_of_scikit_learn_and_scipy(sizes):
    gates, labels = random_gates(sizes)
    (found,) = class_share(record_of_gates([gates], labels, [f"c{k}" for k in range(len(sizes))]))
    assert found.share == pytest.approx(eta_squared(gates, labels).mean(), rel=1e-9)
    groups = [gates[labels == k].astype(np.float64) for k in range(len(sizes)) if sizes[k]]
    f = stats.f_oneway(*groups).statistic
    ratio = (len(groups) - 1) / (len(labels) - len(groups))
    assert found.share == pytest.approx((f * ratio / (1 + f * ratio)).mean(), rel=1e-9)


def test_spread_and_within_by_the_definition():
    gates, labels = random_gates((5, 9, 30))
    (found,) = class_share(record_of_gates([gates], labels, "abc"))
    exact = gates.astype(np.float64)
    inside = np.concatenate([exact[labels == k] - exact[labels == k].mean(0) for k in range(3)])
    assert found.spread == pytest.approx(exact.std(axis=0).mean(), rel=1e-9)
    assert found.within == pytest.approx(np.sqrt((inside**2).mean(axis=0)).mean(), rel=1e-9)


def test_by_hand():
    gates = np.array([[0.0], [0.2], [0.6], [0.8]])
    (found,) = class_share(record_of_gates([gates], np.array([0, 0, 1, 1]), "ab"))
    # Class means 0.1 and 0.7, mean 0.4: between 4 * 0.09, within 4 * 0.01.
    assert found.share == pytest.approx(0.9)
    assert found.spread == pytest.approx(np.sqrt(0.1))
    assert found.within == pytest.approx(0.1)
    assert found.chance == pytest.approx(1 / 3)


def test_channels_that_do_not_move_are_counted_and_left_out():
    gates, labels = random_gates((10, 10), channels=3)
    still = np.concatenate([gates, np.full((20, 2), 0.3, np.float32)], axis=1)
    moving, both = (class_share(record_of_gates([g], labels, "ab"))[0] for g in (gates, still))
    assert (moving.still, both.still) == (0, 2)
    assert both.share == pytest.approx(moving.share)
    assert both.spread == pytest.approx(moving.spread * 3 / 5)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 1.0, 1.9])
def test_constant_gates_have_no_share(value):
    gates = np.full((3000, 4), value, np.float32)
    labels = np.arange(3000) % 7
    (found,) = class_share(record_of_gates([gates], labels, "abcdefg"))
    assert found.share is None
    assert found.still == 4
    assert found.spread < 1e-6
    assert not found.moves


def test_one_class_has_no_share():
    gates, labels = random_gates((12, 0))
    (found,) = class_share(record_of_gates([gates], labels, "ab"))
    assert found.share is None
    assert found.chance is None
    assert found.within == pytest.approx(found.spread)


def test_without_images_there_is_an_error():
    empty = record_of_gates([np.zeros((0, 3))], np.zeros(0, np.int64), "ab")
    with pytest.raises(DataError, match="found none from 'pictures'"):
        class_share(empty)


def test_gates_that_know_no_class_have_the_share_of_chance():
    rng = np.random.default_rng(3)
    gates, labels = rng.random((60, 4000)), np.arange(60) % 10
    (found,) = class_share(record_of_gates([gates], labels, "abcdefghij"))
    assert found.chance == pytest.approx(9 / 59)
    assert found.share == pytest.approx(found.chance, rel=0.02)


def test_small_differences_survive_the_sums():
    """Gates that differ in the fifth digit only: most digits cancel in sums of squares."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 250)
    gates = (0.9 + 1e-5 * (labels[:, None] + rng.normal(size=(1000, 6)))).astype(np.float64)
    (found,) = class_share(record_of_gates([gates], labels, "abcd"))
    assert found.share == pytest.approx(eta_squared(gates, labels).mean(), rel=1e-4)
    assert found.still == 0
    assert not found.moves


@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=5).filter(
        lambda s: sum(x > 0 for x in s) > 1
    ),
    st.integers(0, 2**16),
)
@settings(max_examples=40)
def test_two_records_added_share_like_one(sizes, seed):
    gates, labels = random_gates(sizes, seed=seed)
    names = [f"c{k}" for k in range(len(sizes))]
    first = np.random.default_rng(seed).random(len(labels)) < 0.5
    whole = record_of_gates([gates], labels, names)
    parts = [record_of_gates([gates[m]], labels[m], names) for m in (first, ~first)]
    (expected,), (found,) = class_share(whole), class_share(parts[0] + parts[1])
    assert found.still == expected.still
    assert found.spread == pytest.approx(expected.spread, abs=1e-9)
    assert found.within == pytest.approx(expected.within, abs=1e-9)
    assert (found.share is None) == (len(labels) == np.count_nonzero(sizes))  # one image of each
    assert found.share == pytest.approx(expected.share, abs=1e-9)
    assert found.share is None or 0 <= found.share <= 1


def test_a_network_like_the_papers():
    record = make_record(SE_RESNET_50, [f"c{k}" for k in range(12)])
    found = class_share(record)
    assert [f.block for f in found] == [b.name for b in record.blocks]
    by_name = {f.block: f for f in found}
    assert by_name["SE_2_1"].share < 0.2
    assert by_name["SE_5_1"].share > 0.4
    assert by_name["SE_5_1"].moves
    assert not by_name["SE_5_3"].moves


def test_a_record_from_a_file_gives_the_same(tmp_path):
    record = make_record(((2, 8),), "abc")
    loaded = type(record).load(record.save(tmp_path))
    assert class_share(loaded) == class_share(record)
    assert class_share(replace(loaded)) == class_share(record)
