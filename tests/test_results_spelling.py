"""Tables of predictions from elsewhere: the right accuracy, or an error that names what may be two things.

Expected values come from pandas, which reads the same cells as text or as numbers, and scikit-learn.
"""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Refuses
from sklearn.metrics import accuracy_score, confusion_matrix

from seviz.errors import DataError
from seviz.results.predictions import PredictionTable, read_predictions
from seviz.results.spelling import class_names


def table(folder: Path, text: str | bytes, name: str = "p.csv") -> PredictionTable:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_predictions(path)


def top1(found: PredictionTable) -> float:
    evaluation = found.evaluation()
    return float(evaluation.correct.sum() / evaluation.images)


@pytest.mark.parametrize(
    ("rows", "labels", "share"),
    [
        # Leading zeros are part of a name (a pandas reader must be told so: dtype=str).
        ("001,001\n01,1\n1,001\n2,2\n", ("001", "01", "1", "2"), 0.5),
        ("007,8\n8,8\n9,9\n", ("007", "8", "9"), 2 / 3),
        # As pandas writes whole numbers with a gap in their column.
        ("1.0,1\n2.0,2\n10.0,2\n", ("1", "2", "10"), 2 / 3),
        ("1,1.0\n2,2.0\n", ("1", "2"), 1.0),
        ("-1,-1\n3,-1\n", ("-1", "3"), 0.5),
        # Versions, and numbers that are no whole ones, are names.
        ("1.5,1.5\n1.50,1.5\n1.50,1.50\n", ("1.5", "1.50"), 2 / 3),
        # "a" and "A" are two letters where both columns know both, or share any class.
        ("a,a\nA,A\na,A\n", ("A", "a"), 2 / 3),
        ("a,A\nb,b\n", ("A", "a", "b"), 0.5),
        # One off in some rows, or right in one: nothing is wrong with the columns.
        ("1,0\n2,2\n3,2\n", ("0", "1", "2", "3"), 1 / 3),
        ("1,3\n2,0\n3,1\n", ("0", "1", "2", "3"), 0.0),
        ("[b],[b]\nc%20d,c%20d\nc d,[b]\n", ("[b]", "c%20d", "c d"), 2 / 3),
        # Words that stand for a gap elsewhere, and are classes in both columns.
        ("nan,nan\ncat,nan\n", ("cat", "nan"), 0.5),
        ("None,cat\ncat,cat\n", ("None", "cat"), 0.5),
        ("NA,EU\nEU,EU\n", ("EU", "NA"), 0.5),
        # Classes that are called like two others, in both columns; and ones of which a part alone is a class.
        ("a|b,a|b\na,b\nb,b\n", ("a", "a|b", "b"), 2 / 3),
        ('"York, PA",York\nYork,York\n', ("York", "York, PA"), 0.5),
        ("9" * 5000 + ",1\n1,1\n", ("1", "9" * 5000), 0.5),
    ],
)
def test_texts_that_are_classes(
    rows: str, labels: tuple[str, ...], share: float, tmp_path: Path
) -> None:
    found = table(tmp_path, f"true,predicted\n{rows}")
    used = [found.labels[i] for i in np.union1d(found.true, found.predicted)]
    assert sorted(used) == sorted(labels)
    assert top1(found) == share
    frame = pd.read_csv(tmp_path / "p.csv", dtype=str, keep_default_na=False)
    if not frame.map(lambda cell: "." in cell and cell.endswith("0")).any(axis=None):
        assert share == accuracy_score(frame["true"], frame["predicted"])


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ("001,1\n002,2\n010,10\n", ["named alike", "'001' and '1'"]),
        ("1,01\n2,02\n10,10\n", ["named alike", "'1' and '01'"]),
        ("001,001\n002,2\n", ["named alike", "'002' and '2'"]),
        ("cat,Cat\ndog,Dog\n", ["named alike", "'cat' and 'Cat'"]),
        ("great_shark,great shark\n", ["named alike", "'great_shark' and 'great shark'"]),
        ("b'cat',cat\ndog,dog\n", ["named alike", "cat"]),
        ('"""cat""",cat\ndog,dog\n', ["named alike", "cat"]),
        ("1.50,1.5\n2,2\n", ["named alike", "'1.50' and '1.5'"]),
        ("cat\u200b,cat\ndog,dog\n", ["named alike", "'cat\\u200b' and 'cat'"]),
        ("hot_dog,hot dog\ncat,cat\n", ["named alike", "'hot_dog' and 'hot dog'"]),
        ("hot-dog,hot dog\ncat,cat\n", ["named alike", "'hot-dog' and 'hot dog'"]),
        ("t-shirt,t\u2010shirt\ncat,cat\n", ["named alike", "'t-shirt'"]),
        ('"1,000",1000\n2,2\n', ["named alike", "'1,000' and '1000'"]),
        ("test/cat,cat\ntest/dog,dog\n", ["named alike", "'test/cat' and 'cat'"]),
        ("lion\u2019s,lion's\nb,b\n", ["named alike", "lion's"]),
        ("A &amp; B,A & B\nb,b\n", ["named alike", "'A &amp; B' and 'A & B'"]),
        ("hot%20dog,hot dog\nb,b\n", ["named alike", "'hot%20dog' and 'hot dog'"]),
        ("['a'],a\nb,b\n", ["named alike", "and 'a'"]),
        ("tensor([3]),3\nb,b\n", ["named alike", "'tensor([3])' and '3'"]),
        ("class_01,class_1\nb,b\n", ["named alike", "'class_01' and 'class_1'"]),
        ("class 1,class1\nb,b\n", ["named alike", "'class 1' and 'class1'"]),
        ("N01443537,n01443537\nb,b\n", ["named alike", "'N01443537'"]),
        ("1,0\n2,1\n3,2\n3,1\n" * 3, ["numbered alike", "1 to 3 and 0 to 2", "75% are where 0"]),
        (
            "cat,\"['cat', 'dog']\"\ndog,\"['cat', 'dog']\"\n",
            ["one class in each cell", "lists several"],
        ),
        ("cat,cat|dog\ndog,dog\n", ["'cat|dog' as a predicted one"]),
        ("cat; dog,cat\ndog,dog\n", ["'cat; dog' as a true one"]),
        ('cat,"(dog, cat,)"\ndog,dog\n', ["lists several"]),
        ("1e3,1000\na,a\n", ["named alike", "'1e3' and '1000'"]),
        ("+1,1\na,a\n", ["named alike", "'+1' and '1'"]),
        ("1,1\n1.0,1\n2,2\n", ["in one way", "'1' and '1.0'"]),
        ("n01443537,goldfish\nn02110958,pug\n", ["named alike", "'n01443537' and 'goldfish'"]),
        ("True,1\nFalse,0\n", ["named alike", "'True' and '1'"]),
        ("1,1\nnan,2\n", ["'nan' as a true one", "gap"]),
        ("1,1\n2,None\n", ["'None' as a predicted one", "gap"]),
        ("cat,cat\n<NA>,dog\ndog,dog\n", ["'<NA>' as a true one", "gap"]),
        ("cat,\n", ["'predicted' in row 1"]),
    ],
)
def test_texts_that_may_be_one_class_or_two(
    rows: str, parts: list[str], tmp_path: Path, refuses: Refuses
) -> None:
    with refuses(DataError, *parts):
        table(tmp_path, f"true,predicted\n{rows}")


def test_letters_composed_and_taken_apart(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "Bär,Café")
    found = table(tmp_path, f"true,predicted\nBär,Bär\nCafé,Café\n{apart}\n")
    assert found.labels == ("Bär", "Café")
    assert top1(found) == 2 / 3
    one_column = table(tmp_path, f"true,predicted\n{apart.partition(',')[0]},Bär\nBär,Bär\n")
    assert (one_column.labels, top1(one_column)) == (("Bär",), 1.0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_unicode_of_every_form(encoding: str, tmp_path: Path, refuses: Refuses) -> None:
    text = "Actual Class\tPrediction\nBär\tBär\n猫\tBär\n"
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    found = table(tmp_path, mark + text.encode(encoding))
    assert found.labels == ("Bär", "猫")
    assert top1(found) == 0.5
    for unmarked in ("utf-16-le", "utf-16-be", "cp1252"):
        with refuses(DataError, "UTF-8"):
            table(tmp_path, text.replace("猫", "ü").encode(unmarked))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("class,prediction", "a,b"),
        ("Actual Class,Predicted Class", "a,b"),
        ("class,label,predicted", "x,a,b"),  # what is more often meant goes first
        ("true_index,true,predicted,predicted_index", "0,a,b,1"),
        ("prediction,id,category", "b,7,a"),
        (",y_true,y_pred", "0,a,b"),
        ("true,score,pred,other,other", "a,0.5,b,1,2"),  # twice, and not used
    ],
)
def test_headers_of_other_tools(header: str, row: str, tmp_path: Path) -> None:
    found = table(tmp_path, f"{header}\n{row}\n")
    assert [found.labels[found.true[0]], found.labels[found.predicted[0]]] == ["a", "b"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("true,predicted,true", "'true'"),
        ("True,pred,true", "'true'"),
        ("y_true,y_pred,Y True,x", "'y_true'"),
        ("true,predicted,confidence,Confidence", "'confidence'"),
        ("true,predicted,top1,top1", "'top1'"),
    ],
)
def test_a_column_that_is_there_twice(
    header: str, name: str, tmp_path: Path, refuses: Refuses
) -> None:
    cells = ",".join("0" for _ in header.split(","))
    with refuses(DataError, f"one column {name}", "found 2"):
        table(tmp_path, f"{header}\n{cells}\n")


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        # Two of ImageNet's classes are called crane, and each is right half of the time.
        ("crane,134,crane,517\ncat,1,cat,1\n", "'crane' with 517 beside 134"),
        ("cat,3,cat,3\ndog,3,dog,3\n", "with 3"),
        ("cat,0,dog,0\ndog,1,cat,1\n", "with "),
    ],
)
def test_indices_that_contradict_the_names(
    rows: str, part: str, tmp_path: Path, refuses: Refuses
) -> None:
    with refuses(DataError, "one index for each class", part):
        table(tmp_path, f"true,true_index,predicted,predicted_index\n{rows}")


def test_the_five_largest(tmp_path: Path, refuses: Refuses) -> None:
    header = "true,predicted,top1,top2,top3,top4,top5\n"
    found = table(tmp_path, f"{header}1,2,2.0,1,3,4,5\n6,2,2,1,3,4,5\n")
    assert found.labels == ("1", "2", "6", "3", "4", "5")
    assert found.evaluation().top5 is not None
    assert found.evaluation().top5.tolist() == [1, 0, 0]
    with refuses(DataError, "'2' twice in row 1"):
        table(tmp_path, f"{header}1,2,2,2,3,4,5\n")
    with refuses(DataError, "none for 'top3' in row 2"):
        table(tmp_path, f"{header}1,2,2,1,3,4,5\n1,2,2,1,,4,5\n")


@pytest.mark.filterwarnings("ignore:A single label was found")
def test_random_tables_against_scikit_learn(tmp_path: Path) -> None:
    rng = random.Random(3)
    for _ in range(150):
        names = rng.choice(
            [["cat", "dog", "emu"], ["0", "1", "2", "10"], ["01", "02", "10"], ["-1", "0", "1"]]
        )
        rows = [(rng.choice(names), rng.choice(names)) for _ in range(rng.randint(1, 12))]
        text = "".join(f"{a},{b}\n" for a, b in rows)
        true, predicted = zip(*rows, strict=True)
        evaluation = table(tmp_path, f"true,predicted\n{text}").evaluation()
        expected = confusion_matrix(true, predicted, labels=list(evaluation.labels))
        assert evaluation.counts.tolist() == expected.tolist()


# -------------------------------------------------------------------------------------------------
# Parquet


def parquet(folder: Path, **columns: Any) -> PredictionTable:
    pyarrow = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pyarrow.table(columns), folder / "p.parquet")
    return read_predictions(folder / "p.parquet")


def test_types_of_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    for true, predicted, labels, share in [
        ([1, 2, 2], [1.0, 2.0, 1.0], ("1", "2"), 2 / 3),
        (["cat", "dog"], pa.array([b"cat", b"cat"]), ("cat", "dog"), 0.5),
        (["cat", "dog"], pa.array(["cat", "dog"]).dictionary_encode(), ("cat", "dog"), 1.0),
        ([True, False], [True, True], ("False", "True"), 0.5),
        (pa.array([1, 2], pa.int8()), pa.array([1, 2], pa.uint64()), ("1", "2"), 1.0),
        (pa.array(["a", "b"], pa.large_string()), ["a", "a"], ("a", "b"), 0.5),
        ([2**60, 1], [2**60, 1], ("1", str(2**60)), 1.0),
    ]:
        found = parquet(tmp_path, true=true, predicted=predicted)
        assert (found.labels, top1(found)) == (labels, share)
        frame = pd.read_parquet(tmp_path / "p.parquet")
        if frame.dtypes.nunique() == 1 and frame["true"].dtype != object:
            assert share == accuracy_score(frame["true"], frame["predicted"])


def test_other_columns_of_parquet_are_not_read(tmp_path: Path) -> None:
    found = parquet(
        tmp_path,
        y_true=["a", "b"],
        y_pred=["a", "a"],
        score=[0.5, 0.25],
        file=["x/1.png", None],
        embedding=[[1.0, 2.0], [3.0]],
    )
    assert found.confidence is not None
    assert found.confidence.tolist() == [0.5, 0.25]
    assert found.paths == ("x/1.png", "")


def test_gaps_and_nests_in_parquet(tmp_path: Path, refuses: Refuses) -> None:
    pa = pytest.importorskip("pyarrow")
    with refuses(DataError, "none for 'true' in row 3"):
        parquet(tmp_path, true=[1.0, 2.0, float("nan")], predicted=[1, 2, 2])
    with refuses(DataError, "none for 'predicted' in row 2"):
        parquet(tmp_path, true=["a", "b"], predicted=["a", None])
    with refuses(DataError, "from 0 to 1", "nan in row 2"):
        parquet(tmp_path, true=["a", "b"], predicted=["a", "b"], confidence=[0.5, None])
    with refuses(DataError, "no UTF-8"):
        parquet(tmp_path, true=pa.array([b"\xff"]), predicted=["a"])
    with refuses(DataError, "one value in each row of 'true'"):
        parquet(tmp_path, true=[["a"]], predicted=["a"])
    with refuses(DataError, "only column names"):
        parquet(tmp_path, true=pa.array([], pa.string()), predicted=pa.array([], pa.string()))


def test_dictionaries_that_change_between_batches(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"class {i}" for i in range(300)])
    true, predicted = (names[rng.integers(0, 300, 150_000)] for _ in range(2))
    found = parquet(tmp_path, true=true, predicted=predicted)
    expected = confusion_matrix(true, predicted, labels=list(found.labels))
    assert found.evaluation().counts.tolist() == expected.tolist()


def test_many_equal_rows_in_a_small_file(
    tmp_path: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted without being unpacked: 100 GB of text in half a megabyte."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows, name = 1_000_000, "a" * 100_000
    codes = pa.array(np.zeros(rows, np.int8))
    column = pa.DictionaryArray.from_arrays(codes, [name])
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"true": column, "predicted": column, "path": column}), path)
    assert path.stat().st_size < 500_000
    found = read_predictions(path)
    assert (len(found), found.labels) == (rows, (name,))
    assert found.paths is not None
    assert len({id(text) for text in found.paths}) == 1
    monkeypatch.setattr("seviz.results.parquet.MOST_ROWS", rows - 1)
    with refuses(DataError, "at most 16,777,216 rows", "found 1,000,000"):
        read_predictions(path)


def test_a_list_of_class_names() -> None:
    assert class_names(["3.0"], ["3"], "x") == {"3.0": "3", "3": "3"}
