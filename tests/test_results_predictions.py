"""Tables of predictions: written, read again, and read from other tools."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from seviz.errors import DataError, UsageError
from seviz.results.predictions import (
    PredictionTable,
    is_predictions,
    read_predictions,
    write_predictions,
)

NAMES = ("zebra", "ant", "cat, big", 'say "ah"', "Ünï", "f", "g")


def table(**changes):
    rng = np.random.default_rng(0)
    top = np.array([rng.permutation(7)[:5] for _ in range(40)])
    probability = np.sort(rng.dirichlet(np.ones(7), 40), axis=1)[:, :-6:-1]
    values = {
        "labels": NAMES,
        "true": rng.integers(0, 7, 40),
        "predicted": top[:, 0],
        "confidence": probability[:, 0],
        "paths": tuple(f"a b/{i},1.png" for i in range(40)),
        "top": top,
        "probability": probability,
    }
    return PredictionTable(**{**values, **changes})


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".pq", ".CSV"])
def test_what_is_written_is_read_again(tmp_path, suffix):
    if "p" in suffix[:2]:
        pytest.importorskip("pyarrow")
    written = table()
    path = write_predictions(written, tmp_path / f"answers{suffix}")
    found = read_predictions(path)
    # The order of the network's outputs, not that of the alphabet.
    assert found.labels == NAMES
    for field in ("true", "predicted", "top"):
        assert getattr(found, field).tolist() == getattr(written, field).tolist()
    assert found.paths == written.paths
    np.testing.assert_allclose(found.confidence, written.confidence, rtol=1e-8)
    one, other = written.evaluation(), found.evaluation()
    assert one.counts.tolist() == other.counts.tolist()
    assert one.top5.tolist() == other.top5.tolist()
    assert one.calibration.count.tolist() == other.calibration.count.tolist()


def test_columns_that_pandas_reads(tmp_path):
    path = write_predictions(table(), tmp_path / "answers.csv")
    frame = pd.read_csv(path)
    assert list(frame) == [
        *("path", "true", "true_index", "predicted", "predicted_index", "confidence"),
        *(f"top{k}" for k in range(1, 6)),
        *(f"probability{k}" for k in range(1, 6)),
    ]
    assert (frame["predicted"] == frame["top1"]).all()


@pytest.mark.parametrize(
    ("header", "rows", "labels", "counts"),
    [
        ("y_true,y_pred", "cat,dog\ncat,cat\n", ("cat", "dog"), [[1, 1], [0, 0]]),
        ("Label;Prediction", "10;9\n9;9\n", ("9", "10"), [[1, 0], [1, 0]]),
        ("target\tPredicted Label", "a\tb\nb\tb\n", ("a", "b"), [[0, 1], [0, 1]]),
        ("ground-truth,pred,score", "1.0,2\n2.0,2\n", ("1", "2"), [[0, 1], [0, 1]]),
        ("true,label,predicted", "a,x,b\nb,y,b\n", ("a", "b"), [[0, 1], [0, 1]]),
        ("\ufeffactual , y_hat", "b, a\na, a\n", ("a", "b"), [[1, 0], [1, 0]]),
    ],
)
def test_tables_of_other_tools(tmp_path, header, rows, labels, counts):
    path = tmp_path / "other.csv"
    if "score" in header:
        rows = "".join(f"{row},0.5\n" for row in rows.splitlines())
    path.write_text(f"{header}\n{rows}", encoding="utf-8")
    found = read_predictions(path)
    assert found.labels == labels
    assert found.evaluation().counts.tolist() == counts
    assert (found.confidence is not None) == ("score" in header)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["column 'true'", "found none"]),
        ("a,b\n1,2\n", ["column 'true'", "found a, b", "also known: y_true, label"]),
        ("true,b\n1,2\n", ["column 'predicted'", "y_pred"]),
        ("label,target,pred\n1,1,2\n", ["one column for the true class", "label, target"]),
        ("true,pred\n", ["only column names"]),
        ("true,pred\na,\n", ["'predicted' in row 1"]),
        ("true,pred\na\n", ["2 cells", "found 1 in row 1"]),
        ("true,pred\ncat,3\n", ["named alike", "'cat'", "'3'"]),
        ("true,pred,confidence\na,a,97.3\n", ["from 0 to 1", "97.3"]),
        ("true,pred,confidence\na,a,nan\n", ["from 0 to 1", "nan"]),
        ("true,pred,confidence\na,a,high\n", ["numbers as confidences", "'high'"]),
        ("true,pred\n" + "".join(f"{i},0\n" for i in range(10_001)), ["at most 10,000 classes"]),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path, refuses, text, parts):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with refuses(DataError, *parts):
        read_predictions(path)


def test_files_that_are_none(tmp_path, refuses):
    with refuses(DataError, "found nothing"):
        read_predictions(tmp_path / "none.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with refuses(DataError, "UTF-8"):
        read_predictions(binary)
    pytest.importorskip("pyarrow")
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1 and no more")
    with refuses(DataError, "Parquet"):
        read_predictions(damaged)


def test_names_to_write_to(tmp_path, refuses, monkeypatch):
    with refuses(UsageError, "'answers.txt'"):
        write_predictions(table(), tmp_path / "answers.txt")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with refuses(UsageError, "pip install 'seviz[parquet]'"):
        write_predictions(table(), tmp_path / "answers.parquet")
    assert not list(tmp_path.iterdir())
    assert [is_predictions(n) for n in ("a.CSV", "b.pq", "c.pt", "csv")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(
    data=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60),
)
@settings(max_examples=50)
def test_counts_equal_scikit_learn(data):
    true, predicted = (np.array(c) for c in zip(*data, strict=True))
    found = PredictionTable(tuple("abcdefghij"), true, predicted).evaluation()
    used = sorted({*true.tolist(), *predicted.tolist()})
    assert found.labels == tuple("abcdefghij"[i] for i in used)
    assert found.counts.tolist() == confusion_matrix(true, predicted, labels=used).tolist()
