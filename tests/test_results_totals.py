"""Rows of sums and means under a table: no image, and no class; and classes that are really called so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import Refuses, Run
from PIL import Image
from sklearn.metrics import accuracy_score

import seviz
from seviz.data import open_source
from seviz.errors import DataError
from seviz.networks.architectures.registry import build
from seviz.results.predictions import PredictionTable, read_predictions, write_predictions

NAMED = pd.DataFrame(
    {
        "file": [f"{i}.png" for i in range(12)],
        "true": ["cat", "dog", "elk"] * 4,
        "predicted": ["cat", "dog", "elk"] * 3 + ["dog"] * 3,
        "confidence": [0.5] * 12,
    }
)
NUMBER = {"cat": 3, "dog": 1, "elk": 2}
NUMBERED = NAMED.assign(**{role: NAMED[role].map(NUMBER) for role in ("true", "predicted")})
AS_TEXT = NUMBERED.astype({"true": str, "predicted": str})


def top1(table: PredictionTable) -> float:
    evaluation = table.evaluation()
    return float(evaluation.correct.sum() / evaluation.images)


def written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def under(frame: pd.DataFrame, *cells: object) -> pd.DataFrame:
    """Return a table with a row more."""
    return pd.concat([frame, pd.DataFrame([cells], columns=frame.columns)])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("frame", "row", "found"),
    [
        (NAMED, ("", "Total", "2", 0.5), "'Total' in row 13"),
        (NAMED, ("", "Accuracy:", "0.83", 0.5), "'Accuracy:' in row 13"),
        (NAMED, ("Sum", "cat", "dog", 0.5), "'Sum' in row 13"),
        (AS_TEXT, ("", "Average", "2", 0.5), "'Average' in row 13"),
        (AS_TEXT, ("", "2", "GRAND_TOTAL", 0.5), "'GRAND_TOTAL' in row 13"),
        (NAMED, ("", "Summe", "12", 0.5), "'Summe' in row 13"),
        (NAMED, ("", "合計", "12", 0.5), "'合計' in row 13"),
        # As pandas writes df.sum(), without a word.
        (NUMBERED, ("", *NUMBERED[["true", "predicted"]].sum(), 0.5), "24, the sum or the mean"),
    ],
)
def test_a_row_of_sums(
    frame: pd.DataFrame,
    row: tuple[object, ...],
    found: str,
    suffix: str,
    tmp_path: Path,
    refuses: Refuses,
) -> None:
    plain = read_predictions(written(frame, tmp_path / f"plain{suffix}"))
    assert top1(plain) == accuracy_score(frame["true"].astype(str), frame["predicted"].astype(str))
    with refuses(DataError, "expected an image in every row", found, "take it out"):
        read_predictions(written(under(frame, *row), tmp_path / f"p{suffix}"))


def test_means_of_numbers(tmp_path: Path, refuses: Refuses) -> None:
    frame = pd.DataFrame({"true": [0, 1] * 6 + [3], "predicted": [0, 1] * 5 + [1, 1, 3]})
    frame = pd.concat([frame, frame.mean().to_frame().T])
    with refuses(DataError, "the sum or the mean of all others", "in row 14"):
        read_predictions(written(frame, tmp_path / "p.csv"))


def test_a_word_in_a_column_that_is_not_read(tmp_path: Path, refuses: Refuses) -> None:
    frame = NAMED.rename(columns={"file": "number"})
    with refuses(DataError, "'Total' in row 13"):
        read_predictions(written(under(frame, "Total", "cat", "cat", 0.5), tmp_path / "p.csv"))
    # A column that says so in each row is of something else.
    averaged = written(frame.assign(number="mean"), tmp_path / "q.csv")
    assert len(read_predictions(averaged)) == 12


@pytest.mark.parametrize(
    ("true", "predicted"),
    [
        ("all|all|dog|dog", "all|dog|dog|dog"),  # twice
        ("dog|dog|all|dog", "dog|dog|all|dog"),  # found where it is
        ("mean|dog|dog", "dog|mean|dog"),
        ("Total|total|dog", "total|Total|dog"),
    ],
)
def test_a_class_that_is_called_so(true: str, predicted: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"true": true.split("|"), "predicted": predicted.split("|")})
    found = read_predictions(written(frame, tmp_path / "p.csv"))
    assert top1(found) == accuracy_score(frame["true"], frame["predicted"])


def test_a_class_with_an_index_is_one(tmp_path: Path, refuses: Refuses) -> None:
    frame = NAMED.assign(true=["all", *NAMED["true"][1:]])
    with refuses(DataError, "'all' in row 1", "rename"):
        read_predictions(written(frame, tmp_path / "p.csv"))
    number = {"all": 0, "cat": 1, "dog": 2, "elk": 3}
    of = {f"{role}_index": frame[role].map(number) for role in ("true", "predicted")}
    own = read_predictions(written(frame.assign(**of), tmp_path / "own.csv"))
    assert own.labels == ("all", "cat", "dog", "elk")
    again = read_predictions(write_predictions(own, tmp_path / "again.csv"))
    assert top1(again) == accuracy_score(frame["true"], frame["predicted"])


def test_tables_put_together(tmp_path: Path, refuses: Refuses) -> None:
    text = written(NAMED, tmp_path / "one.csv").read_text()
    (tmp_path / "two.csv").write_text(text * 2)
    with refuses(DataError, "the names of the columns again in row 13", "take it out"):
        read_predictions(tmp_path / "two.csv")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_list_of_images_with_sums(suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b", "total"):
        Image.new("RGB", (2, 2)).save(tmp_path / f"{name}.png")
    frame = pd.DataFrame({"path": ["a.png", "b.png", "Total"], "label": ["cat", "dog", "2"]})
    source = open_source(str(written(frame, tmp_path / f"list{suffix}")))
    assert (source.folders, source.labels.tolist()) == (("cat", "dog"), [0, 1])
    said = f"left out of list{suffix}: its last line, 'Total', which is one of sums"
    assert said in source.notes
    ids = frame.replace({"path": {"a.png": "a", "b.png": "b", "Total": "total"}})
    source = open_source(str(written(ids, tmp_path / f"ids{suffix}")))
    assert (source.folders, len(source)) == (("2", "cat", "dog"), 3)  # there is such an image


def test_lists_put_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (2, 2)).save(tmp_path / f"{name}.png")
    (tmp_path / "list.csv").write_text("path,label\na.png,cat\npath,label\nb.png,dog\n")
    source = open_source(str(tmp_path / "list.csv"))
    assert (source.folders, source.labels.tolist()) == (("cat", "dog"), [0, 1])
    assert "left out of list.csv: the names of its columns again, in line 3" in source.notes


@pytest.mark.parametrize(
    ("file", "text"),
    [("classes.txt", "ant\nbee\ncat\ntotal\n"), ("classes.csv", "ant,0\nbee,1\ncat,2\nTotal,3\n")],
)
def test_names_with_sums(file: str, text: str, tmp_path: Path) -> None:
    """Of three outputs it is one row more; of four it is what the last one is called."""
    (tmp_path / file).write_text(text)
    for outputs in (3, 4):
        network = build("se_resnet14", num_classes=outputs)
        torch.save(network.state_dict(), tmp_path / "c.pt")
        of = {"arch": "se_resnet14", "arch_args": {"num_classes": outputs}}
        for given in ({}, {"class_names": tmp_path / file}):
            loaded = seviz.load(tmp_path / "c.pt", **of, **given)
            assert loaded.classes is not None
            assert [n.lower() for n in loaded.classes.labels] == ["ant", "bee", "cat", "total"][
                :outputs
            ]
            assert any("a row of sums" in note for note in loaded.notes) == (outputs == 3)


def test_images_that_stand_there_twice(run: Run, tmp_path: Path) -> None:
    """They count, as files put together or images seen with several crops would; and it is said."""
    twice = written(pd.concat([NAMED, NAMED.head(3)]), tmp_path / "twice.csv")
    said = "3 of 15 rows name an image that a row before them names (0.png)"
    assert said in " ".join(read_predictions(twice).notes)
    told = run("confusion", twice, "-o", tmp_path / "out", "--format", "svg")
    assert told.code == 0
    assert f"note: {said}" in told.err
    with pytest.warns(seviz.RecordWarning, match="3 of 15 rows"):
        assert seviz.evaluate(twice).images == 15
    # Images of two folders are called alike, and gaps are no name.
    alike = NAMED.assign(file=["0.png", "0.png", "0.png", *NAMED["file"][3:11], ""])
    assert read_predictions(written(alike, tmp_path / "alike.csv")).notes == ()
    assert read_predictions(written(NAMED.assign(file=""), tmp_path / "gaps.csv")).notes == ()
