"""What others say of channel attention, judged: each verdict where it is built to come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Refuses
from scipy import stats
from synthetic import record_of_gates
from test_analysis_findings_statements import ablation

import seviz
from seviz.analysis.channels import ChannelRanking, RankedChannel
from seviz.analysis.findings.alike import alike
from seviz.analysis.findings.channel_importance import judge_importance
from seviz.analysis.findings.literature import ALIKE, LITERATURE, STRIPES, USELESS
from seviz.analysis.proportions import counted_difference
from seviz.errors import DataError
from seviz.results.classes import ClassTable
from seviz.results.distances import read_distances
from seviz.results.record import Record
from seviz.tables import FORMATS, render, tables_of

CLASSES, EACH, CHANNELS = 12, 10, 16
# Of single images, where nine parts in ten of the variance are the channels'.
EDGE = float(np.sqrt(np.random.default_rng(0).uniform(0.2, 0.8, CHANNELS).var() / 9))
NAMES = [f"c{k}" for k in range(CLASSES)]


def network(of_images: float, *, classes: Any = None, blocks: int = 3) -> Record:
    """Return gates of which images, and positions of their classes, move what channels do not."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), EACH)
    profile = rng.uniform(0.2, 0.8, CHANNELS)
    gates = []
    for _ in range(blocks):
        own = profile + of_images * rng.normal(size=(len(labels), CHANNELS))
        if classes is not None:
            own = own + 0.05 * (classes @ rng.normal(size=(classes.shape[1], CHANNELS)))[labels]
        gates.append(own)
    return record_of_gates(gates, labels, NAMES, indices=np.arange(len(labels)))


def said(found: Any, claim: str) -> Any:
    (statement,) = (s for s in found.literature if s.claim == claim)
    return statement


@pytest.mark.parametrize(
    ("of_images", "verdict"), [(0.01, "holds"), (0.2, "does not hold"), (EDGE, "cannot be said")]
)
def test_stripes(of_images: float, verdict: str) -> None:
    record = network(of_images)
    statement = said(seviz.findings(record), STRIPES)
    assert statement.verdict == verdict
    # The least share, from the gates themselves.
    shares = []
    for block in record.blocks:
        sample = record.sample(block.name)
        assert sample is not None
        gates = sample.gates.astype(float)
        within = gates.var(axis=0).mean()
        shares.append(gates.mean(axis=0).var() / (gates.mean(axis=0).var() + within))
    assert statement.numbers["least"].value == pytest.approx(min(shares), rel=1e-3)


@pytest.mark.parametrize(
    ("costs", "verdict", "part"),
    [
        ([(100, 0), (90, 1), (0, 0)], "holds", "surely cost SE_4_1"),
        ([(100, 0), (90, 1), (0, 30)], "holds", "Without SE_4_1 top-1 rises"),
        ([(100, 0), (90, 1), (80, 0)], "does not hold", "SE_4_1 costs least: 8.00"),
        ([(100, 0), (90, 1), (9, 8)], "cannot be said", "Of no block is it sure"),
    ],
)
def test_useless_blocks(costs: Any, verdict: str, part: str) -> None:
    images = 10 if verdict == "holds" and (0, 0) in costs else 1
    measured = ablation([(a * images, b * images) for a, b in costs])
    if images > 1:
        measured = replace(measured, images=10_000, right=9_000)
    statement = said(seviz.findings(network(0.1), measured), USELESS)
    assert statement.verdict == verdict
    assert part in statement.reason
    assert said(seviz.findings(network(0.1)), USELESS).verdict == "cannot be said"


def places() -> tuple[Any, Any]:
    """Return where classes are, and how far they are apart."""
    where = np.random.default_rng(5).normal(size=(CLASSES, 2))
    return where, np.sqrt(((where[:, None] - where) ** 2).sum(axis=2))


def test_gates_that_know_what_classes_mean(tmp_path: Path) -> None:
    where, distances = places()
    path = tmp_path / "distances.csv"
    lines = [f"c{i},c{j},{distances[i, j]}" for i in range(CLASSES) for j in range(i)]
    path.write_text("class,other,distance\n" + "\n".join(lines) + "\nc0,elsewhere,3\n")
    knowing = seviz.findings(network(0.02, classes=where), distances=path)
    statement = said(knowing, ALIKE)
    assert statement.verdict == "holds"
    assert "in 3 of 3 blocks" in statement.reason
    assert said(seviz.findings(network(0.02)), ALIKE).verdict == "cannot be said"
    ignorant = said(seviz.findings(network(0.02), distances=distances), ALIKE)
    assert ignorant.verdict != "holds"
    # As a square, and in another order.
    order = [5, 3, 0, 1, 2, 4, *range(6, CLASSES)]
    square = [["", *(f"c{i}" for i in order)]]
    square += [[f"c{i}", *(repr(float(distances[i, j])) for j in order)] for i in order]
    path.write_text("\n".join(",".join(row) for row in square))
    again = read_distances(path, ClassTable.from_labels(NAMES))
    np.testing.assert_allclose(again, distances)
    table = tables_of(knowing)["literature"]
    assert [row["source"] for row in table.records()] == [c.source for c in LITERATURE]
    assert all(render(table, kind) for kind in FORMATS)
    assert f'"{ALIKE}": holds' in " ".join(knowing.to_dict()["sentences"])


def test_the_correlation_and_how_often_chance_gives_it() -> None:
    where, distances = places()
    tests, classes = alike(network(0.02, classes=where), distances)
    assert classes == CLASSES
    record = network(0.02, classes=where)
    upper = np.triu_indices(CLASSES, 1)
    for test in tests:
        means = record.stats(test.block).mean
        apart = np.sqrt(((means[:, None] - means) ** 2).mean(axis=2))
        assert test.correlation == pytest.approx(np.corrcoef(apart[upper], distances[upper])[0, 1])
    # A false alarm in about 5 of 100, adjusted for three blocks: 6 in 25 is once in 1,000.
    alarms = 0
    for seed in range(25):
        other = np.random.default_rng(seed).permutation(CLASSES)
        found, _ = alike(record, distances[np.ix_(other, other)])
        alarms += any(t.p_value < 0.05 for t in found)
    assert alarms <= 5
    few = distances.copy()
    few[4:, :] = few[:, 4:] = np.nan
    assert alike(record, few) == ([], 4)
    told = said(seviz.findings(record, distances=few), ALIKE)
    assert "4 classes have images and a distance to each other; it needs 5" in told.reason


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty file"),
        ("c0,c1\n", "2 cells"),
        ("c0,c1,-1\n", "'-1'"),
        ("c0,c1,1\nc2,c3,near\n", "'near'"),
        ("c0,c1,1\nc1,c0,2\n", "1 and 2"),
        ("c0,zebra,1\nlion,zebra,2\n", "none of two of them"),
    ],
)
def test_files_that_say_no_distances(
    text: str, part: str, tmp_path: Path, refuses: Refuses
) -> None:
    path = tmp_path / "d.csv"
    path.write_text(text)
    with refuses(DataError, part):
        read_distances(path, ClassTable.from_labels(NAMES))
    with refuses(DataError, "nothing to read"):
        read_distances(tmp_path / "none.csv", ClassTable.from_labels(NAMES))


def ranking(costs: Any, importance: Any) -> ChannelRanking:
    """Return blocks of channels of these importances that each lose so many of 1,000 images."""
    channels = [
        RankedChannel(
            f"SE_{b + 2}_1", c, 1000, 0.5, 0.1, 0.0, 0.0, None, 1.0, 0.1, float(i), c + 1, (), (),
            counted_difference(1000, 900, int(cost), 0), int(cost), 0,
        )
        for b, (own, given) in enumerate(zip(costs, importance, strict=True))
        for c, (cost, i) in enumerate(zip(own, given, strict=True))
    ]  # fmt: skip
    return ChannelRanking("a.pt", "data", 1000, tuple(channels), "mean gate", "zero")


def test_importance_is_judged_by_what_channels_cost() -> None:
    rng = np.random.default_rng(0)
    costs = rng.integers(0, 30, (2, 40))
    near = costs + rng.normal(0, 6, costs.shape)
    statement = judge_importance(ranking(costs, near))
    assert statement.verdict == "holds"
    each = [stats.spearmanr(a, b).statistic for a, b in zip(costs, near, strict=True)]
    middle = np.arctanh(each).mean()
    reach = stats.norm.ppf(0.975) * np.sqrt(1.06 / 74)
    found = statement.numbers["correlation"]
    expected = np.tanh([middle, middle - reach, middle + reach])
    assert (found.value, found.low, found.high) == pytest.approx(tuple(expected))
    assert judge_importance(ranking(costs, -near)).verdict == "does not hold"
    other = rng.normal(size=costs.shape)
    assert judge_importance(ranking(costs, other)).verdict != "holds"
    assert judge_importance(ranking(np.zeros((2, 40)), near)).verdict == "cannot be said"
    unheld = [replace(c, effect=None, lost=None, won=None) for c in ranking(costs, near).channels]
    known = ChannelRanking("a.pt", "data", 1000, tuple(unheld), "mean gate")
    assert "No channel was held" in judge_importance(known).reason
