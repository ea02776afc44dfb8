"""Counts of true and predicted classes, out of records and plain matrices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CIFAR, CIFAR_LABELS, make_record

import seviz
from seviz.errors import DataError, UsageError
from seviz.results.classes import ClassInfo, ClassTable
from seviz.results.evaluation import Evaluation
from seviz.results.record import Record


def with_predictions(confusion, labels=("ant", "cat", "dog"), indices=(0, 2, 3), missing=("bee",)):
    """Return the record of a network of four outputs, one of which has no image."""
    counts = np.asarray(confusion, np.int64)
    images = counts.sum(1)
    record = make_record(CIFAR, labels, images=1, missing=missing, num_classes=4)
    table = ClassTable(tuple(ClassInfo(n, i) for n, i in zip(labels, indices, strict=True)))
    arrays = {
        name: array * images.astype(array.dtype)[:, None] if name.startswith("gates/") else array
        for name, array in record.arrays.items()
    }
    # The extremes are those of one image and of many.
    for name, array in record.arrays.items():
        if name.endswith(("/minimum", "/maximum")):
            arrays[name] = array
    arrays |= {"confusion": counts, "top5": images, "count": images}
    header = replace(record.header, images=int(images.sum()))
    return replace(record, header=header, classes=table, arrays=arrays)


COUNTS = [[5, 1, 2, 0], [0, 3, 6, 1], [0, 0, 2, 8]]


def test_a_missing_class_shifts_no_label():
    found = Evaluation.of_record(with_predictions(COUNTS))
    assert found.labels == ("ant", "cat", "dog")
    assert found.others == ("bee",)
    # By hand: the columns of ant, cat, dog (outputs 0, 2, 3), then that of bee (output 1).
    assert found.counts.tolist() == [[5, 2, 0, 1], [0, 6, 1, 3], [0, 2, 8, 0]]
    assert found.correct.tolist() == [5, 6, 8]
    assert found.support.tolist() == [8, 10, 10]
    assert found.elsewhere.tolist() == [1, 3, 0]
    assert found.missing == ("bee",)


def test_outputs_without_a_known_name_are_numbered():
    record = with_predictions(COUNTS, missing=())
    assert Evaluation.of_record(record).others == ("output 1",)


def test_some_classes_of_an_evaluation():
    found = Evaluation.of_record(with_predictions(COUNTS)).only(["dog", "ant"])
    assert found.columns == ("dog", "ant", "cat", "bee")
    assert found.counts.tolist() == [[8, 0, 2, 0], [0, 5, 2, 1]]
    assert found.top5 is None  # of four outputs it would be 100 %
    with pytest.raises(UsageError, match="expected classes among ant, cat, dog, found 'elk'"):
        Evaluation.of_record(with_predictions(COUNTS)).only(["elk"])


def test_only_classes_with_images():
    found = Evaluation(("a", "b", "c"), np.array([[1, 1, 0], [0, 0, 0], [0, 2, 3]]))
    kept = found.with_images()
    assert (kept.labels, kept.others) == (("a", "c"), ("b",))
    assert kept.counts.tolist() == [[1, 0, 1], [0, 3, 2]]
    with pytest.raises(DataError, match="found none"):
        Evaluation(("a",), np.array([[0]])).with_images()


@pytest.mark.parametrize(
    ("labels", "counts", "part"),
    [
        (("a", "b"), [[1, 2, 3], [4, 5, 6]], r"shape \(2, 2\)"),
        ((), np.zeros((0, 0), int), "shape"),
        (("a", "b"), [[0.5, 0.5], [0, 1]], "before any normalisation"),
        (("a", "b"), [[1, -1], [0, 1]], "negative"),
        (("a", "a"), [[1, 0], [0, 1]], "'a' twice"),
    ],
)
def test_what_is_no_matrix_of_counts(labels, counts, part):
    with pytest.raises(DataError, match=part):
        Evaluation(labels, np.asarray(counts))


def test_an_old_record_without_calibration_opens(tmp_path):
    record = with_predictions(COUNTS)
    path = record.save(tmp_path)
    found = Evaluation.of_record(Record.load(path))
    assert found.calibration is None
    assert seviz.scores(found).calibration is None
    with pytest.raises(DataError, match="found none: an older seviz did not keep them"):
        seviz.reliability_diagram(found)


def test_a_part_without_calibration_leaves_the_whole_without():
    old = with_predictions(COUNTS)
    bins = {
        f"calibration_{n}": np.ones((3, 15), k)
        for n, k in (("count", np.int64), ("confidence", np.float64), ("correct", np.int64))
    }
    new = replace(old, arrays={**old.arrays, **bins})
    assert Evaluation.of_record(old + new).calibration is None
    assert Evaluation.of_record(new + old).calibration is None
    assert Evaluation.of_record(new + new).calibration.count.tolist() == [[2] * 15] * 3


def test_a_record_without_predictions():
    with pytest.raises(DataError, match="found the folders of 'pictures' as classes of their own"):
        Evaluation.of_record(make_record(CIFAR, CIFAR_LABELS))


def test_what_evaluate_takes(tmp_path):
    record = with_predictions(COUNTS)
    table = tmp_path / "answers.csv"
    table.write_text("y_true,y_pred\ncat,dog\ncat,cat\ndog,dog\n")
    whole = seviz.evaluate(record)
    for source in (whole, record.save(tmp_path), str(tmp_path)):
        assert seviz.evaluate(source).counts.tolist() == whole.counts.tolist()
    assert seviz.evaluate(table).counts.tolist() == [[1, 1], [0, 1]]
    assert seviz.evaluate(table, ["dog"]).counts.tolist() == [[1, 0]]
    assert seviz.evaluate(record, ["3", "ANT"]).labels == ("dog", "ant")
    with pytest.raises(UsageError, match="'elk'"):
        seviz.evaluate(record, ["elk"])
