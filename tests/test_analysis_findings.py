"""Findings on one block: definitions, intervals, and gates that are built to show something."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import bootstrap
from statsmodels.formula.api import ols
from synthetic import SE_RESNET_50, make_record, record_of_gates

from seviz.analysis import class_share, findings, gate_warnings
from seviz.analysis.findings import sentences, shuffling
from seviz.analysis.findings.wording import remark
from seviz.errors import DataError
from seviz.results.record import Record

NAMES = ("class_share", "spread", "within", "correlation", "scale_only", "high", "low")


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def made(gates: Any, labels: Any, **header: Any) -> Record:
    """Return the record of blocks of gates, with all of its images in the sample."""
    blocks = gates if isinstance(gates, list) else [gates]
    names = [f"c{k}" for k in range(int(labels.max()) + 1)]
    return record_of_gates(blocks, labels, names, indices=np.arange(len(labels)), **header)


def draw(seed: int, classes: int, each: int, own: float, channels: int = 16) -> Any:
    """Return gates whose channels and images vary together, and labels; classes are the same for all."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    labels = np.repeat(np.arange(classes), each)
    base, effect = fixed.normal(size=channels), own * fixed.normal(size=(classes, channels))
    load = 0.3 * fixed.normal(size=(3, channels))
    noise = rng.normal(size=(len(labels), 3)) @ load
    return sigmoid(base + effect[labels] + noise + 0.5 * rng.normal(size=noise.shape)), labels


@pytest.fixture
def few_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "SHUFFLES", 1)


def by_definition(gates: Any, labels: Any) -> dict[str, float]:
    """Return every number, written down as docs/findings.md has it."""
    classes = np.unique(labels)
    means = np.array([gates[labels == k].mean(axis=0) for k in classes])
    mean, n = gates.mean(axis=0), len(gates)
    weight = np.array([(labels == k).mean() for k in classes])
    apart = means - mean
    profile = mean / np.linalg.norm(mean)
    inside = sum(gates[labels == k].var(axis=0) * (labels == k).sum() for k in classes)
    return {
        "spread": gates.std(axis=0).mean(),
        "within": np.sqrt(inside / (n - len(classes))).mean(),
        "correlation": float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in combinations(means, 2)])),
        "scale_only": float(
            (weight * (apart @ profile) ** 2).sum() / (weight[:, None] * apart**2).sum()
        ),
        "high": (gates > 0.95).mean(),
        "low": (gates < 0.05).mean(),
        "dead_channels": (gates.std(axis=0) < 0.01).sum(),
    }


@pytest.mark.parametrize("seed", range(3))
def test_numbers_by_their_definition(seed: int) -> None:
    gates, labels = draw(seed, 6, 15, 1.0)
    keep = np.random.default_rng(seed).random(len(labels)) < 0.7
    gates, labels = np.float32(2.0 * gates[keep] - 0.4), labels[keep]
    (found,) = findings(made(gates, labels)).blocks
    for name, value in by_definition(gates.astype(np.float64), labels).items():
        assert getattr(found, name).value == pytest.approx(value, rel=1e-6), name


def test_class_share_and_its_correction_are_those_of_statsmodels() -> None:
    gates, labels = draw(1, 5, 12, 0.6, channels=4)
    eta, epsilon = [], []
    for channel in gates.T:
        frame = pd.DataFrame({"gate": channel, "label": labels})
        table = sm.stats.anova_lm(ols("gate ~ C(label)", frame).fit())
        between, within = table["sum_sq"]
        error = table["mean_sq"].iloc[1]
        eta.append(between / (between + within))
        epsilon.append((between - 4 * error) / (between + within))
    (found,) = findings(made(gates, labels)).blocks
    assert found.class_share is not None
    assert found.corrected is not None
    assert found.class_share.value == pytest.approx(np.mean(eta), rel=1e-9)
    assert found.corrected.value == pytest.approx(np.mean(epsilon), rel=1e-9)
    assert found.shuffled == pytest.approx(4 / 59)


def test_the_numbers_are_those_of_the_class_share() -> None:
    record = made(*draw(2, 4, 20, 0.5))
    (found,), (share,) = findings(record).blocks, class_share(record)
    assert found.class_share is not None
    assert (found.class_share.value, found.shuffled) == (share.share, share.chance)
    assert found.spread.value == share.spread


def test_intervals_are_those_of_the_bootstrap_of_scipy() -> None:
    """Images resampled class by class, as a data set has them; 60 of each class, and unequal ones."""
    gates, labels = draw(3, 3, 60, 0.7, channels=8)
    gates, labels = gates[25:], labels[25:]
    groups = [np.flatnonzero(labels == k) for k in range(3)]
    (found,) = findings(made(gates, labels)).blocks

    def number(name: str) -> Any:
        def value(*picked: Any) -> Any:
            chosen = gates[np.concatenate(picked)]
            if name != "class_share":
                return by_definition(chosen, labels)[name]
            means = [gates[p].mean(axis=0) for p in picked]
            between = sum(
                len(p) * (m - chosen.mean(0)) ** 2 for p, m in zip(picked, means, strict=True)
            )
            return (between / (chosen.var(0) * len(chosen))).mean()

        return value

    for name in NAMES:
        other = bootstrap(
            tuple(groups),
            number(name),
            n_resamples=600,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(0),
        )
        mine = getattr(found, name)
        width = (mine.high - mine.low) / (2 * 1.97)
        # The standard error of 600 resamplings is known to 3 %.
        assert width == pytest.approx(other.standard_error, rel=0.15), name


@pytest.mark.usefixtures("few_shuffles")
@pytest.mark.parametrize(("classes", "each"), [(10, 100), (100, 5)])
@pytest.mark.parametrize("own", [0.0, 0.5])
def test_intervals_cover_the_truth(classes: int, each: int, own: float) -> None:
    """Of 40 draws of the images, at least 34: 90 % is 36, less two standard errors."""
    population, labels = draw(10_000, classes, 40_000 // classes, own)
    means = np.array([population[labels == k].mean(axis=0) for k in range(classes)])
    # Equal classes: the truth is a ratio of variances, but for 1 / 400 of chance at worst.
    truth = (means.var(axis=0) / population.var(axis=0)).mean()
    truth -= (1 - truth) * (classes - 1) / 40_000
    found = [findings(made(*draw(s, classes, each, own))).blocks[0] for s in range(40)]
    covered = sum(not (f.corrected.above(truth) or f.corrected.below(truth)) for f in found)
    assert covered >= 34
    # The others, for what other images of the same number give on average.
    for name in NAMES:
        estimates = [getattr(f, name) for f in found]
        average = np.mean([e.value for e in estimates])
        assert sum(e.low <= average <= e.high for e in estimates) >= 34, name


@pytest.mark.usefixtures("few_shuffles")
def test_a_sample_gives_the_interval_of_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    gates, labels = draw(5, 10, 200, 0.5)
    (whole,) = findings(made(gates, labels)).blocks
    monkeypatch.setattr("synthetic.capacity", lambda blocks: 500)
    part = findings(made(gates, labels))
    assert (part.images, part.sampled) == (2000, 500)
    for name in NAMES:
        a, b = getattr(whole, name), getattr(part.blocks[0], name)
        assert b.value == a.value
        # The mean square of 500 influences is known to 6 %, its root to 3, heavy tails apart.
        assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.25), name


def test_class_free_gates() -> None:
    gates, labels = draw(7, 5, 40, 0.0)
    (found,) = findings(made(gates, labels)).blocks
    assert found.beyond_chance is False
    assert found.corrected is not None
    assert not found.corrected.above(0)
    assert found.corrected.value == pytest.approx(0, abs=0.02)


def test_fully_class_determined_gates() -> None:
    labels = np.repeat(np.arange(5), 8)
    gates = np.random.default_rng(0).random((5, 12))[labels]
    (found,) = findings(made(gates, labels)).blocks
    assert found.class_share is not None
    for share in (found.class_share, found.corrected):
        assert (share.value, share.low, share.high) == pytest.approx((1, 1, 1))
    assert found.beyond_chance is True
    # The shares of 499 shufflings are below: p is the own labelling alone.
    assert found.p_value == 1 / 500
    assert found.within is not None
    assert found.within.value == pytest.approx(0, abs=1e-7)


def test_saturated_gates() -> None:
    rng = np.random.default_rng(0)
    gates = np.where(rng.random((50, 20)) < 0.9, 0.99, 0.5)
    gates[:, :2] = 0.01
    (found,) = findings(made(gates, np.arange(50) % 5)).blocks
    assert found.high.value == pytest.approx(0.9 * 0.9, abs=0.02)
    assert found.low.value == pytest.approx(0.1)
    assert found.high.low < found.high.value < found.high.high


def test_the_rule_of_three() -> None:
    """None of 60 images: at 95 % confidence at most 1 - 0.05^(1/60) = 4.87 % have any."""
    gates, labels = draw(0, 3, 20, 0.1)
    (found,) = findings(made(np.clip(gates, 0.1, 0.9), labels)).blocks
    assert (found.high.low, found.high.high) == (0.0, pytest.approx(0.0487, abs=1e-4))
    (found,) = findings(made(np.full((60, 3), 0.97) + 0.01 * gates[:, :3], labels)).blocks
    assert (found.high.low, found.high.high) == (pytest.approx(1 - 0.0487, abs=1e-4), 1.0)


def test_dead_channels_and_dead_blocks() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    pattern = rng.random(10)
    dead = pattern + 0.002 * rng.normal(size=(200, 10))
    half = np.where(np.arange(10) < 5, dead, pattern + 0.1 * rng.normal(size=(200, 10)))
    edge = pattern + 0.01 * rng.normal(size=(200, 10))
    found = findings(made([dead, half, edge], labels))
    a, b, c = found.blocks
    assert (a.dead_channels.value, a.dead, a.moves, a.constant) == (10, True, False, None)
    assert (b.dead_channels.value, b.dead, b.moves) == (5, False, True)
    assert (b.dead_channels.low, b.dead_channels.high) == (5, 5)
    # At the threshold no channel is surely dead, and each may be.
    assert (c.dead_channels.low, c.dead_channels.high) == (0, 10)
    (warning,) = found.warnings
    assert warning.startswith("no gate of SE_2_1 moves over 200 images")
    assert gate_warnings(made([dead, half, edge], labels)) == [warning]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_blocks_stuck_at_a_constant(value: float) -> None:
    labels = np.arange(30) % 3
    good, _ = draw(0, 3, 10, 1.0)
    stuck = np.full((30, 6), value)
    found = findings(made([good, stuck, stuck], labels))
    assert [b.constant for b in found.blocks] == [None, value, value]
    assert found.blocks[1].class_share is None
    assert found.blocks[1].correlation is None
    assert found.blocks[1].scale_only is None
    (warning,) = found.warnings
    assert warning.startswith(f"all gates of SE_3_1 and SE_4_1 sit at {value:.2f}")


def test_scale_only_differences() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 50)
    profile, factor = 0.2 + 0.6 * rng.random(30), np.linspace(0.8, 1.2, 6)
    noise = 0.01 * rng.normal(size=(300, 30))
    scaled = factor[labels, None] * profile + noise
    # Differences at right angles to the profile: none of them is a scale.
    turned = 0.1 * rng.normal(size=(6, 30))
    turned -= np.outer(turned @ profile, profile) / (profile @ profile)
    turned -= turned.mean(axis=0)
    one, other = findings(made([scaled, profile + turned[labels] + noise], labels)).blocks
    assert one.scale_only is not None
    assert one.scale_only.above(0.99)
    assert one.factors == (pytest.approx(0.8, abs=0.005), pytest.approx(1.2, abs=0.005))
    assert one.correlation is not None
    assert one.correlation.value > 0.99
    assert other.scale_only is not None
    assert other.scale_only.below(0.01)
    assert (one.scaled, other.scaled) == (True, False)


def test_noise_that_is_a_scale_is_no_difference_between_classes() -> None:
    """Images scaled at random: so are the means of few, and that says nothing of classes."""
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(20), 5)
    gates = (1 + 0.2 * rng.normal(size=(100, 1))) * (0.3 + 0.3 * rng.random(30))
    (found,) = findings(made(gates, labels)).blocks
    assert found.scale_only is not None
    assert found.scale_only.above(0.9)
    assert not found.scaled


def test_shuffling_gives_chance_on_average() -> None:
    gates, labels = draw(0, 8, 25, 1.0)
    order = np.random.default_rng(0).permutation(200)
    shuffled = shuffling.shuffle_labels([gates[order]], labels[order])
    assert shuffled is not None
    (own,) = class_share(made(gates, labels))
    assert shuffled.own[0] == pytest.approx(own.share, abs=1e-5)
    assert own.chance is not None
    error = shuffled.others.std() / np.sqrt(len(shuffled.others))
    assert shuffled.others.mean() == pytest.approx(own.chance, abs=4 * error)


def test_shuffled_labels_show_nothing() -> None:
    """At most 5 % of 200 shufflings of labels that mean much: of a block, and of any block."""
    blocks, families = 0, 0
    for seed in range(200):
        gates, labels = zip(*(draw(b, 4, 15, 0.3 + b, channels=8) for b in range(3)), strict=True)
        record = made(list(gates), np.random.default_rng(seed).permutation(labels[0]))
        found = findings(record)
        blocks += sum((b.p_value or 0) < 0.025 for b in found.blocks)
        families += any(b.beyond_chance for b in found.blocks)
        assert sum(s.verdict == "holds" for s in found.statements) <= families
    assert blocks / 600 <= 0.05
    assert families / 200 <= 0.05


def test_the_same_record_gives_the_same_findings() -> None:
    record = made(*draw(0, 4, 15, 0.5))
    assert findings(record) == findings(record)


def test_an_older_record_has_numbers_and_no_intervals() -> None:
    gates, labels = draw(0, 4, 15, 0.5)
    new = findings(made(gates, labels))
    old = findings(record_of_gates([gates], labels, "abcd"))
    assert "collect it again" in old.method
    assert old.sampled == 0
    for name in (*NAMES, "dead_channels", "corrected"):
        a, b = getattr(old.blocks[0], name), getattr(new.blocks[0], name)
        assert a.value == b.value
        assert a.low is None
        assert b.low is not None
    assert old.blocks[0].p_value is None


def test_classes_of_two_images_give_no_interval() -> None:
    found = findings(made(*draw(0, 20, 2, 0.5)))
    assert found.method == "There are no intervals: no class has three images."
    assert found.blocks[0].spread.low is None


@pytest.mark.parametrize("sizes", [(1,), (1, 1), (30,), (30, 0), (3, 1, 1)], ids=str)
def test_few_images_and_classes(sizes: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    gates = np.random.default_rng(0).random((len(labels), 4))
    names = [f"c{k}" for k in range(len(sizes))]
    record = record_of_gates([gates] * 3, labels, names, indices=np.arange(len(labels)))
    found = findings(record)
    assert all(s.verdict != "holds" for s in found.statements)
    if len(labels) == len(sizes):
        assert found.blocks[0].corrected is None
        assert found.blocks[0].within is None
    assert not found.blocks[0].dead


def test_no_image_and_no_block() -> None:
    empty = record_of_gates([np.zeros((0, 3))], np.zeros(0, np.int64), "ab")
    with pytest.raises(DataError, match="found none from 'pictures'"):
        findings(empty)
    assert gate_warnings(empty) == []
    plain = replace(made(*draw(0, 2, 5, 0.5)), blocks=())
    assert findings(plain).blocks == ()
    assert findings(plain).statements == ()


def test_a_network_like_the_papers() -> None:
    record = make_record(SE_RESNET_50, [f"c{k}" for k in range(12)])
    by_name = {b.block: b for b in findings(record).blocks}
    assert by_name["SE_5_2"].high.value == 1
    assert by_name["SE_5_3"].dead
    assert by_name["SE_5_1"].class_share.value > by_name["SE_2_1"].class_share.value


# -------------------------------------------------------------------------------------------------
# Too few images


def test_one_image_of_each_class_has_no_class_share() -> None:
    gates, labels = draw(0, 12, 1, 0.5)
    record = made([gates, gates], labels)
    (share, _) = class_share(record)
    assert share.share is None
    assert share.chance is None
    found = findings(record)
    assert all(b.class_share is None and b.corrected is None for b in found.blocks)
    said = " ".join(sentences(found))
    assert "explains most" not in said
    assert "cannot be said (12 images, one of each class; needs about 3 of each)" in said


def test_most_and_least_are_told_apart_by_their_intervals(few_shuffles: None) -> None:
    strong, labels = draw(0, 4, 20, 2.0)
    weak, _ = draw(1, 4, 20, 0.2)
    alike, _ = draw(2, 4, 20, 2.0)

    def said(*gates: Any, labels: Any = labels) -> str:
        return " ".join(sentences(findings(made(list(gates), labels))))

    apart = said(strong, weak)
    assert "Class explains most of the gate variance in SE_2_1" in apart
    assert "cannot be said: seen most" not in apart
    together = said(strong, alike)
    assert "Where class explains most of the gate variance cannot be said: seen most in" in together
    assert "Class explains most" not in together
    # Of eight images, two of each class, not even that.
    few = np.concatenate([np.arange(20 * k, 20 * k + 2) for k in range(4)])
    least = said(strong[few], weak[few], labels=labels[few])
    assert "explains most" not in least
    assert "cannot be said (8 images; needs about 10)" in least


@pytest.mark.parametrize("images", [1, 2, 9])
def test_of_few_images_no_block_is_called_still(images: int) -> None:
    gates = np.full((images, 8), 0.3) + 0.001 * np.arange(8)
    found = findings(made([gates, gates, gates], np.zeros(images, int)))
    assert not any(b.still or b.dead for b in found.blocks)
    assert {s.verdict for s in found.statements} == {"cannot be said"}
    said = " ".join([*sentences(found), *(s.reason for s in found.statements)])
    assert "hardly" not in said
    assert "plausible" not in said
    assert f"({images} image" in said
    assert "needs about 10" in said


def test_no_interval_of_few_images_has_no_width() -> None:
    # Half of the channels saturated in every image, and no channel moves.
    gates = np.tile(np.where(np.arange(16) < 8, 1.0, 0.4), (5, 1))
    (found,) = findings(made(gates, np.zeros(5, int))).blocks
    most = 1 - 0.05 ** (1 / 5)  # of images may be others: 45 %
    assert (found.high.low, found.high.high) == (
        pytest.approx(0.5 - most),
        pytest.approx(0.5 + most),
    )
    assert found.dead_channels is None  # of five images, which may be alike
    assert (found.spread.value, found.spread.low) == (pytest.approx(0, abs=1e-6), None)


def test_channels_that_do_not_move_are_said() -> None:
    rng = np.random.default_rng(0)
    gates = np.where(np.arange(16) < 14, 0.5, rng.uniform(0.1, 0.9, (40, 16)))
    found = findings(made([gates], np.arange(40) % 2))
    (said,) = found.warnings
    assert said.startswith("14 of 16 gates of SE_2_1 are constant over 40 images")
    assert remark(found.blocks[0]) == "14 of 16 constant"
    gates[:, :8] = rng.uniform(0.1, 0.9, (40, 8))  # six of sixteen are no failure
    assert findings(made([gates], np.arange(40) % 2)).warnings == ()
