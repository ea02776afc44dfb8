"""Channels that answer to one class, against statsmodels' effect sizes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Refuses
from statsmodels.stats.meta_analysis import effectsize_smd
from synthetic import make_record, record_of_gates

from seviz.analysis import selective_channels
from seviz.errors import UsageError
from seviz.figures import write_selective_csv


def two_classes(seed: int = 0, sizes: tuple[int, int] = (30, 20)) -> Any:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], sizes)
    gates = 0.5 + 0.1 * rng.normal(size=(sum(sizes), 5)) + 0.03 * labels[:, None] * np.arange(5)
    return gates, labels


def test_hedges_g_is_that_of_statsmodels() -> None:
    """With two classes it is the usual one; the interval is Bonferroni's over five channels."""
    gates, labels = two_classes()
    rows = selective_channels(record_of_gates([gates], labels, ["a", "b"]), "b")
    a, b = gates[labels == 0], gates[labels == 1]
    for row in rows:
        c = row.channel
        effect, variance = effectsize_smd(
            b[:, c].mean(), b[:, c].std(ddof=1), 20, a[:, c].mean(), a[:, c].std(ddof=1), 30
        )
        assert row.effect.value == pytest.approx(effect)
        assert row.own == pytest.approx(b[:, c].mean())
        assert row.everything == pytest.approx((a[:, c].mean() + b[:, c].mean()) / 2)
        # t of 19 degrees of freedom at 0.995 is 2.861; classes of unlike variance move it a little.
        assert row.effect.high - row.effect.low == pytest.approx(
            2 * 2.861 * np.sqrt(variance), rel=0.15
        )
    sizes = [abs(r.effect.value) for r in rows]
    assert sizes == sorted(sizes, reverse=True)


def test_the_other_classes_weigh_the_same() -> None:
    """By hand: classes of 2, 4 and 4 images, the first against the mean of the means of the others."""
    gates = np.array([0.8, 0.6, *[0.3, 0.5] * 2, *[0.1, 0.3] * 2])[:, None]
    labels = np.array([0] * 2 + [1] * 4 + [2] * 4)
    (row,) = selective_channels(record_of_gates([gates], labels, "abc"), "a")
    # Within: 0.02 + 0.04 + 0.04 over 7; difference 0.7 - (0.4 + 0.2) / 2; J = 1 - 3 / 27.
    assert row.effect.value == pytest.approx((8 / 9) * 0.4 / np.sqrt(0.1 / 7))
    assert row.everything == pytest.approx((0.7 + 0.4 + 0.2) / 3)


def test_all_intervals_hold_together() -> None:
    """Of 200 draws, in at most 5 % any of 60 channels' intervals leaves out the truth."""
    missed = 0
    truth = 0.02 * np.linspace(0, 3, 60) / 0.1
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(4), 25)
        gates = 0.5 + 0.1 * rng.normal(size=(100, 60))
        gates[labels == 2] += 0.1 * truth
        blocks = [gates[:, :20], gates[:, 20:]]
        rows = selective_channels(record_of_gates(blocks, labels, "abcd"), "c", 60)
        at = {"SE_2_1": 0, "SE_3_1": 20}
        missed += any(
            r.effect.above(truth[at[r.block] + r.channel])
            or r.effect.below(truth[at[r.block] + r.channel])
            for r in rows
        )
    assert missed <= 10


def test_dead_channels_are_not_looked_at() -> None:
    gates, labels = two_classes()
    gates[:, 4] = 0.5 + 0.001 * labels
    rows = selective_channels(record_of_gates([gates], labels, ["a", "b"]), "b")
    assert {r.channel for r in rows} == {0, 1, 2, 3}


def test_top_is_of_each_block() -> None:
    record = make_record(((2, 8), (1, 16)), "abc")
    rows = selective_channels(record, record.classes.choose(["b"])[0], top=3)
    names = [r.block for r in rows]
    assert names == sorted(names)
    assert max(names.count(n) for n in names) <= 3


def test_a_class_of_one_image_has_no_interval() -> None:
    gates, labels = two_classes(sizes=(30, 1))
    record = record_of_gates([gates], labels, ["a", "b"])
    assert all(r.effect.low is None for r in selective_channels(record, "b"))
    assert all(r.effect.low is not None for r in selective_channels(record, "a"))


def test_every_class_one_image() -> None:
    gates, labels = two_classes(sizes=(1, 1))
    assert selective_channels(record_of_gates([gates], labels, ["a", "b"]), "b") == []


def test_a_class_that_cannot_be_compared(refuses: Refuses) -> None:
    gates, labels = two_classes(sizes=(30, 0))
    record = record_of_gates([gates], labels, ["a", "b"])
    with refuses(UsageError, "the only one with images"):
        selective_channels(record, "a")
    with refuses(UsageError, "one without images"):
        selective_channels(record, "b")
    with refuses(UsageError, "at least 1 channel"):
        selective_channels(record, "a", top=0)


def test_csv(tmp_path: Path) -> None:
    gates, labels = two_classes()
    rows = selective_channels(record_of_gates([gates], labels, ["a", "b"]), "b", top=2)
    with write_selective_csv(rows, tmp_path / "x.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(r["channel"]) for r in table] == [r.channel for r in rows]
    assert float(table[0]["effect_low"]) == pytest.approx(rows[0].effect.low, rel=1e-8)
    assert set(table[0]) >= {"class", "block", "gate", "all", "effect", "effect_high"}
