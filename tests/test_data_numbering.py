"""Folders in the orders of ImageFolder and timm, and what tells one from the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seviz.data import open_source
from seviz.data.numbering import better_order, in_order, numbered_folders, other_order
from seviz.errors import DataError

NAMES = ["class_1", "class_10", "class_11", "class_2", "Zebra", "ant", "7", "10", "x2y10", "x2y9"]


@given(st.lists(st.text(st.sampled_from("aB1029_ "), min_size=1, max_size=6), unique_by=str.lower))
def test_natural_order_is_timms(names):
    from timm.utils.misc import natural_key

    # timm's key compares text with numbers where one name begins with a digit and another does not;
    # both begin with text here, as in its own split.
    keys = [natural_key(name) for name in in_order(names, "natural")]
    assert keys == sorted(keys)
    assert in_order(names, "sorted") == sorted(names)


def test_both_readers_number_the_folders_so(tmp_path):
    from timm.data.readers.reader_image_folder import ReaderImageFolder
    from torchvision.datasets import ImageFolder

    for name in NAMES:
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "1.png")
    source = open_source(str(tmp_path))
    for order, expected in (
        ("sorted", ImageFolder(str(tmp_path)).class_to_idx),
        ("natural", ReaderImageFolder(str(tmp_path)).class_to_idx),
    ):
        folders, table, notes = numbered_folders(source, len(NAMES), order)
        assert {c.label: c.index for c in table.classes} == expected
        assert list(folders) == list(source.folders)
        assert f"--labels {order} says" in notes[0]
        other = "natural" if order == "sorted" else "sorted"
        assert f"--labels {other} takes that order" in notes[1]
    with pytest.raises(DataError, match=r"\(11\) for --labels natural, found 10"):
        numbered_folders(source, 11, "natural")
    with pytest.raises(DataError, match="one output of scores for --labels sorted, found one that"):
        numbered_folders(source, None, "sorted")


def test_orders_that_agree_are_not_remarked_on(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "1.png")
    source = open_source(str(tmp_path))
    assert len(numbered_folders(source, 2, "natural")[2]) == 1
    assert other_order(["c1", "c2"], "sorted") is None
    with pytest.raises(DataError, match="without classes"):
        numbered_folders(open_source(str(tmp_path / "a")), 1, "sorted")


def test_groups_around_the_classes_are_numbered_as_their_readers_do(tmp_path):
    """torchvision numbers the outer folders, timm the inner ones; the number of outputs tells."""
    for name in ("dogs/pug", "dogs/husky", "cats/manx"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(tmp_path / name / "1.png")
    source = open_source(str(tmp_path))
    folders, table, notes = numbered_folders(source, 2, "sorted")
    assert (list(folders), table.labels) == (["cats", "dogs", "dogs"], ["cats", "dogs"])
    assert "the outer ones, 2 as the outputs, are the classes (cats, dogs)" in notes[1]
    folders, table, notes = numbered_folders(source, 3, "natural")
    assert "the inner ones, 3 as the outputs, are the classes (husky, manx, pug)" in notes[1]
    assert (list(folders), table.labels) == (["manx", "husky", "pug"], ["husky", "manx", "pug"])


def test_parts_are_not_numbered_as_one(tmp_path):
    for name in ("Training/cat", "Training/dog", "Probe/cat", "Probe/dog", "Rest/dog"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(tmp_path / name / "1.png")
    source = open_source(str(tmp_path))
    with pytest.raises(DataError, match="parts of a data set") as caught:
        numbered_folders(source, 2, "natural")
    assert "--split" in str(caught.value)


NUMBERED = sorted(f"c{i}" for i in range(1, 13))


def answers(right_in: str, wrong: int = 0) -> np.ndarray:
    """Ten images per folder, answered as a network does that numbered the folders in this order."""
    order = in_order(NUMBERED, right_in)
    matrix = np.zeros((12, 12), np.int64)
    for row, name in enumerate(NUMBERED):
        matrix[row, order.index(name)] += 10 - wrong
        matrix[row, (order.index(name) + 5) % 12] += wrong
    return matrix


def test_the_answers_speak_for_the_other_order():
    for taken, right in (("sorted", "natural"), ("natural", "sorted")):
        note = better_order(answers(right, wrong=2), NUMBERED, taken)
        assert note is not None
        assert "80.0 %" in note
        assert f"--labels {right}" in note
        assert better_order(answers(taken), NUMBERED, taken) is None


def test_few_or_doubtful_answers_propose_nothing():
    assert better_order(np.eye(12, dtype=np.int64)[:, ::-1], NUMBERED, "sorted") is None
    chance = np.full((12, 12), 10, np.int64)
    assert better_order(chance, NUMBERED, "sorted") is None
    assert better_order(answers("natural"), NUMBERED, "model") is None
    assert better_order(np.zeros((12, 12), np.int64), NUMBERED, "sorted") is None
