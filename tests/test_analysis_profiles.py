"""Deviations of class means, what chance does to them, and in which order they stand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t
from synthetic import CIFAR, CIFAR_LABELS, make_record, record_of_gates

from seviz.analysis.profiles import (
    order_of_channels,
    order_of_classes,
    profiles,
    student,
    thinned,
)


def test_deviations_by_hand() -> None:
    gates = np.array([[0.1, 0.5], [0.3, 0.5], [0.8, 0.1]])
    record = record_of_gates([gates], np.array([0, 0, 2]), "abc")
    # Class means 0.2 0.5 and 0.8 0.1; b has no image. Their mean is 0.5 0.3.
    (found,) = profiles(record, [2, 0], record.blocks)
    np.testing.assert_allclose(found.deviation, [[0.3, -0.2], [-0.3, 0.2]])
    assert found.largest == pytest.approx(0.3)
    # Chance is that of all channels, and so is the largest that it is held against.
    some = found.only(np.array([1]))
    np.testing.assert_allclose(some.deviation, [[-0.2], [0.2]])
    assert some.largest == pytest.approx(0.3)


def test_chance_is_reached_by_chance_alone_in_few_records() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(6), [4, 8, 12, 12, 12, 12])
    over = []
    for _ in range(200):
        gates = 0.5 + 0.1 * rng.normal(size=(len(labels), 10))
        record = record_of_gates([gates], labels, "abcdef")
        (found,) = profiles(record, range(6), record.blocks)
        assert found.chance is not None
        over.append(found.largest > found.chance)
        assert found.within_chance == (found.largest <= found.chance)
    # 5 % or less; 200 draws of 5 % exceed 20 in one of a thousand.
    assert sum(over) <= 20
    # And not far more than what happens: twice the noise is told from chance nearly always.
    gates[labels == 0] += 0.4
    (found,) = profiles(record_of_gates([gates], labels, "abcdef"), range(6), record.blocks)
    assert not found.within_chance


def test_chance_cannot_be_told_from_one_image_a_class() -> None:
    record = record_of_gates([np.eye(3)], np.arange(3), "abc")
    assert profiles(record, range(3), record.blocks)[0].chance is None


# The last level is that of a thousand classes and all channels of SE-ResNet-50.
@pytest.mark.parametrize("free", [1, 2, 3, 8, 30, 99, 100, 500])
@pytest.mark.parametrize("level", [0.975, 0.9999, 1 - 0.025 / 15_104_000])
def test_student_s_quantiles_are_scipy_s(level: float, free: float) -> None:
    assert student(level, free) == pytest.approx(t.isf(1 - level, free), rel=2e-3)


def test_one_order_of_classes_keeps_groups_together_in_every_block() -> None:
    rng = np.random.default_rng(0)
    group = np.array([0, 1, 0, 1, 0, 1])
    own = [rng.normal(size=(2, c)) for c in (8, 32)]
    labels = np.repeat(np.arange(6), 20)
    gates = [o[group][labels] + 0.3 * rng.normal(size=(120, o.shape[1])) for o in own]
    record = record_of_gates(gates, labels, "abcdef")
    order = order_of_classes(profiles(record, range(6), record.blocks))
    assert np.count_nonzero(np.diff(group[order])) == 1


def test_channels_that_deviate_alike_stand_together() -> None:
    kind = np.array([0, 1, 2, 0, 1, 2, 0])
    deviation = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])[:, kind]
    assert np.count_nonzero(np.diff(kind[order_of_channels(deviation)])) == 2


def test_neighbours_are_averaged_and_the_mean_is_kept() -> None:
    values = np.arange(7.0)[:, None]
    assert thinned(values, 3).ravel().tolist() == [1.0, 4.0, 6.0]
    assert thinned(values, 1) is values


def test_blocks_that_hardly_move() -> None:
    record = make_record(CIFAR, CIFAR_LABELS)
    found = profiles(record, range(10), record.blocks)
    assert [p.moves for p in found][-1] is False
    assert found[4].moves
