"""Several networks: accuracy against statsmodels, geometry against SciPy, its interval by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import pearsonr
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from synthetic import make_record, record_of_gates

import seviz
from seviz.analysis import compare_several, findings
from seviz.analysis.geometry import compare_geometries, geometry_correlation, relative_depths
from seviz.errors import DataError, UsageError
from seviz.results.predictions import PredictionTable
from seviz.results.subject import Subject

LABELS = tuple("abcde")


def answers(rights, labels=LABELS, seed=0):
    """Return tables of the same images, of which each network has its share right."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, len(labels), 400)
    paths = tuple(f"{i}.png" for i in range(400))
    tables = []
    for share in rights:
        right = rng.random(400) < share
        wrong = (true + 1) % len(labels)
        tables.append(PredictionTable(labels, true, np.where(right, true, wrong), paths=paths))
    return tables


def test_every_two_are_mcnemar_with_holm():
    tables = answers([0.6, 0.7, 0.9, 0.88])
    found = compare_several([Subject(str(i), predictions=t) for i, t in enumerate(tables)])
    assert found.paired
    right = [t.true == t.predicted for t in tables]
    p = []
    for pair in found.pairs:
        a, b = right[pair.first], right[pair.second]
        cells = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        p.append(mcnemar(cells, exact=True).pvalue)
        assert pair.top1.delta == pytest.approx(b.mean() - a.mean())
    assert [(x.first, x.second) for x in found.pairs] == [
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
        (2, 3),
    ]
    assert [x.top1.p_value for x in found.pairs] == pytest.approx(p)
    assert [x.p_adjusted for x in found.pairs] == pytest.approx(multipletests(p, method="holm")[1])
    best = max(range(4), key=lambda i: right[i].mean())
    assert f"highest top-1 is that of {best}, {right[best].mean():.2%}" in found.describe()


def test_no_difference_is_said_and_a_difference_has_its_sign():
    same = answers([0.7])[0]
    alike = compare_several([Subject(n, predictions=same) for n in ("x", "y", "z")])
    assert "no two of the 3 networks differ significantly" in alike.describe()
    bad, good, fair = answers([0.5, 0.9, 0.7])
    found = compare_several(
        [
            Subject("good", predictions=good),
            Subject("bad", predictions=bad),
            Subject("fair", predictions=fair),
        ]
    )
    points = 100 * ((good.true == good.predicted).mean() - (bad.true == bad.predicted).mean())
    assert f"good is {points:.2f} points [" in found.describe()
    assert "above bad" in found.describe()
    assert any("Another seed" in note for note in found.notes)


def test_networks_of_one_name_are_told_apart():
    found = compare_several([Subject("n", predictions=t) for t in answers([0.7, 0.7, 0.7])])
    assert found.names == ("n (A)", "n (B)", "n (C)")


def test_nothing_is_known(refuses):
    with refuses(DataError, "something that is known of two networks"):
        compare_several([Subject("a"), Subject("b"), Subject("c")])


def two_networks(channels, classes=6, seed=0, noise=0.0):
    """Return two records whose classes lie alike, in other channels in another order."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 8)
    centres = rng.normal(0, 0.1, (classes, 5))
    records = []
    for count in channels:
        basis = np.linalg.qr(rng.normal(size=(count, 5)))[0].T
        own = centres + noise * rng.normal(size=centres.shape)
        gates = 0.5 + own[labels] @ basis + 0.001 * rng.normal(size=(len(labels), count))
        names = [str(i) for i in range(classes)]
        records.append(record_of_gates([gates], labels, names, indices=np.arange(len(labels))))
    return records


def test_geometry_does_not_depend_on_channels():
    a, b = two_networks([8, 32])
    (found,) = compare_geometries([a, b], [findings(a), findings(b)])
    assert found.chosen
    assert found.matched
    assert found.correlation.value > 0.99
    means = [r.stats(r.blocks[0].name).mean for r in (a, b)]
    own = pearsonr(pdist(means[0]), pdist(means[1])).statistic
    assert found.correlation.value == pytest.approx(own, abs=1e-9)


def test_the_interval_leaves_classes_out():
    rng = np.random.default_rng(1)
    one = rng.normal(size=(7, 3))
    a, b = (squareform(pdist(x)) for x in (one, one + 0.5 * rng.normal(size=one.shape)))
    found = geometry_correlation(a, b)
    assert found is not None
    upper = np.triu_indices(6, 1)
    left = []
    for gone in range(7):
        kept = [i for i in range(7) if i != gone]
        left.append(pearsonr(a[np.ix_(kept, kept)][upper], b[np.ix_(kept, kept)][upper]).statistic)
    z = np.arctanh(left)
    error = np.sqrt(6 / 7 * ((z - z.mean()) ** 2).sum())
    reach = np.arctanh(found.high) - np.arctanh(found.value)
    assert reach == pytest.approx(
        2.4469 * error, rel=0.002
    )  # Student's t of 6 degrees, R: qt(.975, 6)
    assert reach == pytest.approx(np.arctanh(found.value) - np.arctanh(found.low))


def test_the_interval_holds_the_correlation_as_often_as_it_says():
    """Classes drawn from a population, 10 at a time; the truth from 1,500 of them."""
    rng = np.random.default_rng(2)
    whole = rng.normal(size=(1500, 4))
    other = whole + 0.8 * rng.normal(size=whole.shape)
    truth = pearsonr(pdist(whole), pdist(other)).statistic
    held = 0
    for _ in range(300):
        few = rng.choice(1500, 10, replace=False)
        found = geometry_correlation(squareform(pdist(whole[few])), squareform(pdist(other[few])))
        held += found.low <= truth <= found.high
    assert held / 300 > 0.9


def test_equal_distances_have_no_correlation():
    equal = 1.0 - np.eye(5)
    assert geometry_correlation(equal, np.random.default_rng(0).random((5, 5))) is None


def test_blocks_are_matched_by_relative_depth():
    names = [f"c{i}" for i in range(5)]
    deep = make_record(((3, 16), (3, 16)), names, seed=1)
    flat = make_record(((1, 16), (1, 16)), names, seed=2)
    found = compare_geometries([deep, flat], [findings(deep), findings(flat)])
    matched = [g for g in found if g.matched]
    # Six blocks at 1/12, 3/12, ...; two at 1/4 and 3/4.
    assert {g.depths for g in matched} == {(0.25, 0.25), (0.75, 0.75)}
    assert {g.blocks for g in matched} == {("SE_2_2", "SE_2_1"), ("SE_3_2", "SE_3_1")}
    assert relative_depths(2).tolist() == [0.25, 0.75]


def test_a_network_without_gates_takes_part_in_accuracy():
    record = make_record(((2, 8),), LABELS)
    tables = answers([0.7, 0.8, 0.9])
    found = compare_several(
        [
            Subject("plain", predictions=tables[0]),
            Subject("one", record, tables[1]),
            Subject("two", replace(record), tables[2]),
        ]
    )
    assert len(found.pairs) == 3
    assert {(g.first, g.second) for g in found.geometries} == {(1, 2)}
    assert found.findings[0] is None
    assert found.mechanism(0) == ""
    assert found.mechanism(1) == "SE"


def test_few_images_of_a_class_are_said():
    records = [make_record(((1, 8),), LABELS, images=5, seed=s) for s in range(3)]
    found = compare_several([Subject(str(i), r) for i, r in enumerate(records)])
    assert any("mean gates are partly noise" in note for note in found.notes)


def test_python_takes_a_list(refuses):
    records = [make_record(((1, 8),), LABELS, seed=s) for s in range(3)]
    assert seviz.compare(records[:2]).blocks[0].drift > 0
    assert len(seviz.compare(records).geometries) == 3
    with refuses(UsageError, "two networks or more, found 1"):
        seviz.compare(records[:1])
    with refuses(UsageError, "images once after a list"):
        seviz.compare(records, "digits", "digits")


def test_one_network_on_two_sets_of_images_leads_with_the_drift():
    one = make_record(((2, 8),), LABELS, seed=1, checkpoint_sha256="f" * 64, source="here")
    other = make_record(((2, 8),), LABELS, seed=2, checkpoint_sha256="f" * 64, source="there")
    found = seviz.compare(one, other)
    most = max(found.blocks, key=lambda b: b.drift)
    said = found.describe()
    assert said.startswith("One network on two sets of images: here")
    assert f"drift most in {most.block} ({most.drift:.4f}" in said
    assert not seviz.compare(one, one).one_network
    assert not seviz.compare(one, make_record(((2, 8),), LABELS, source="there")).one_network
