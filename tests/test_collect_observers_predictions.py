"""Predictions of a pass: confidence and single answers, against NumPy, SciPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix, top_k_accuracy_score

from seviz.collect.observers import EachPrediction, Observation, Predictions, Probabilities
from seviz.errors import CheckpointError, DataError

CPU = torch.device("cpu")
TARGETS = [1, 4, 6]


def outputs(images=500, width=8, scale=3.0):
    rng = np.random.default_rng(2)
    logits = (scale * rng.normal(size=(images, width))).astype(np.float32)
    return logits, rng.integers(0, len(TARGETS), images)


def passed(values, rows, *observers, size=64):
    for begin in range(0, len(rows), size):
        at = slice(begin, begin + size)
        batch = Observation(
            torch.from_numpy(rows[at]),
            {},
            torch.from_numpy(values[at]),
            torch.arange(begin, begin + len(rows[at])),
        )
        for observer in observers:
            observer.update(batch)


def bins(confidence, rows, right):
    """Return count, sum and hits of each class and bin, an image at a time."""
    count, total, correct = (np.zeros((len(TARGETS), 15)) for _ in range(3))
    for c, k, hit in zip(confidence, rows, right, strict=True):
        b = next(b for b in range(15) if c <= (b + 1) / 15 or b == 14)
        count[k, b] += 1
        total[k, b] += c
        correct[k, b] += hit
    return count, total, correct


@pytest.mark.parametrize("kind", ["logits", "probabilities", "log-probabilities"])
def test_no_second_softmax(kind):
    logits, rows = outputs()
    values = {
        "logits": logits,
        "probabilities": softmax(logits, axis=1),
        "log-probabilities": log_softmax(logits, axis=1),
    }[kind]
    shared = Probabilities()
    observer = Predictions(TARGETS, 8, CPU, shared)
    passed(values, rows, observer)
    assert shared.kind == kind
    assert bool(shared.notes) == (kind != "logits")
    arrays = observer.compute()

    shares = softmax(logits.astype(np.float64), axis=1)
    predicted = logits.argmax(1)
    true = np.array(TARGETS)[rows]
    count, total, correct = bins(shares.max(1), rows, predicted == true)
    assert arrays["calibration_count"].tolist() == count.tolist()
    assert arrays["calibration_correct"].tolist() == correct.tolist()
    np.testing.assert_allclose(arrays["calibration_confidence"], total, atol=1e-4)
    full = confusion_matrix(true, predicted, labels=range(8))
    assert arrays["confusion"].tolist() == full[TARGETS].tolist()
    hits = top_k_accuracy_score(true, logits, k=5, labels=range(8), normalize=False)
    assert arrays["top5"].sum() == hits
    assert arrays["calibration_count"].sum() == 500


def test_what_the_outputs_are_is_decided_on_the_first_batch():
    shared = Probabilities()
    shared(torch.tensor([[0.2, 0.8], [0.5, 0.5]]))
    assert shared(torch.tensor([[3.0, 1.0]])).tolist() == [[3.0, 1.0]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[0.2, 0.9], [0.5, 0.5]], "logits"),
        ([[-0.2, 1.2]], "logits"),
        ([[0.50004, 0.5]], "probabilities"),
        ([[0.5003, 0.5]], "logits"),
        ([[1.0, 0.0]], "probabilities"),
        ([[-50.0, 0.0]], "log-probabilities"),
        ([[1.0]], "logits"),
    ],
)
def test_kinds_of_outputs(values, kind):
    shared = Probabilities()
    shared(torch.tensor(values))
    assert shared.kind == kind


@pytest.mark.parametrize("rows", [[0, 1, 3], [0, -1, 1]])
def test_a_label_out_of_range_is_an_error_and_no_count(rows):
    observer = Predictions(TARGETS, 8, CPU)
    passed(outputs(3)[0], np.array(rows), observer)
    with pytest.raises(DataError, match="labels from 0 to 2, found 1 images"):
        observer.compute()


def test_a_target_out_of_range_is_an_error():
    with pytest.raises(DataError, match="indices from 0 to 5, found 6"):
        Predictions(TARGETS, 6, CPU)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_outputs_that_are_no_numbers_are_an_error(value):
    logits, rows = outputs(10)
    logits[3] = value
    observer = Predictions(TARGETS, 8, CPU)
    passed(logits, rows, observer)
    with pytest.raises(CheckpointError, match="found NaN or Inf for 1 images"):
        observer.compute()


@given(cut=st.integers(0, 80), size=st.integers(1, 80))
@settings(max_examples=25)
def test_batches_and_parts_add_up(cut, size):
    logits, rows = outputs(80)
    whole, *parts = (Predictions(TARGETS, 8, CPU) for _ in range(3))
    passed(logits, rows, whole)
    for part, at in zip(parts, (slice(None, cut), slice(cut, None)), strict=True):
        passed(logits[at], rows[at], part, size=size)
    one, two = (p.compute() for p in parts)
    for name, array in whole.compute().items():
        np.testing.assert_allclose(one[name] + two[name], array, rtol=1e-12)


@pytest.mark.parametrize("width", [2, 5, 8])
def test_single_answers(width):
    logits, rows = outputs(70, width)
    each = EachPrediction()
    passed(logits, rows, each)
    found = each.compute()
    assert found["index"].tolist() == list(range(70))
    assert found["row"].tolist() == rows.tolist()
    assert found["predicted"].tolist() == logits.argmax(1).tolist()
    order = np.argsort(-logits, axis=1)[:, :5]
    assert found["top"].tolist() == order.tolist()
    shares = np.take_along_axis(softmax(logits, axis=1), order, axis=1)
    np.testing.assert_allclose(found["probability"], shares, rtol=1e-4)


def test_single_answers_of_nothing():
    found = EachPrediction().compute()
    assert [len(v) for v in found.values()] == [0] * 5


def test_single_answers_need_positions():
    with pytest.raises(DataError, match="position of each image"):
        EachPrediction().update(Observation(torch.zeros(1).long(), {}, torch.zeros(1, 3)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    logits, rows = outputs()
    here, there = Predictions(TARGETS, 8, CPU), Predictions(TARGETS, 8, torch.device("cuda"))
    passed(logits, rows, here)
    there.update(
        Observation(torch.from_numpy(rows).cuda(), {}, torch.from_numpy(logits).cuda(), None)
    )
    expected, found = here.compute(), there.compute()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-9)


# -------------------------------------------------------------------------------------------------
# Outputs that a file rounds


def in_steps(shares, step, most):
    """Round as a quantised softmax does: to whole steps, `most` of them at most."""
    return np.clip(np.round(shares / step), 0, most) * step


@pytest.mark.parametrize("classes", [2, 3, 10, 100, 1001])
@pytest.mark.parametrize("sharpness", [0.0, 1.0, 5.0, 50.0])
def test_a_rounded_softmax_is_no_logits(classes, sharpness):
    """As uint8 and int8 have it: 256 steps, of which the last is 255/256."""
    logits = np.random.default_rng(classes).normal(size=(32, classes)) * sharpness
    values = in_steps(softmax(logits, axis=1), 1 / 256, 255)
    shared = Probabilities(1 / 256)
    assert shared(torch.tensor(values)).numpy().tolist() == values.tolist()
    assert shared.kind == "probabilities"


def test_a_rounded_softmax_is_not_known_without_its_step():
    values = in_steps(softmax(outputs()[0], axis=1), 1 / 256, 255)
    shared = Probabilities()
    shared(torch.tensor(values))
    assert shared.kind == "logits"


@pytest.mark.parametrize("step", [1 / 16, 1 / 8])
def test_rounded_logarithms(step):
    """As TFLite has them: 16 / 256, down to -16."""
    logits = np.random.default_rng(0).normal(size=(32, 10)) * 4
    values = -in_steps(-log_softmax(logits, axis=1), step, 255)
    shared = Probabilities(step)
    shared(torch.tensor(values))
    assert shared.kind == "log-probabilities"


@pytest.mark.parametrize("step", [1 / 256, 0.1, 0.5])
def test_rounded_logits_stay_logits(step):
    logits = np.round(np.random.default_rng(0).normal(size=(32, 10)) * 4 / step) * step
    for values in (logits, np.maximum(logits, 0), np.clip(logits, 0, 6)):
        shared = Probabilities(step)
        shared(torch.tensor(values))
        assert shared.kind == "logits"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("classes", [3, 1000])
def test_a_softmax_of_half_the_bits(dtype, classes):
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(16, classes)) * 3)
    shared = Probabilities()
    shared(logits.softmax(1).to(dtype))
    assert shared.kind == "probabilities"
    shared = Probabilities()
    shared(logits.to(dtype))
    assert shared.kind == "logits"
