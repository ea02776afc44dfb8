"""Folders are matched to the network's classes by name, never by position."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seviz.data import match_classes, open_source
from seviz.errors import DataError, UsageError
from seviz.results.classes import ClassInfo, ClassTable

ZOO = ClassTable.from_labels(["ant", "bee", "cat", "dog", "elk"])
CRANES = ClassTable(
    (
        ClassInfo("crane", 0, "n02012849", (), "a wading bird"),
        ClassInfo("great white shark", 1, "n01484850", ("man-eater", "Carcharodon carcharias")),
        ClassInfo("crane", 2, "n03126707", (), "lifts heavy objects"),
        ClassInfo("plane", 3, "n03954731", ("carpenter's plane",)),
    )
)


def refusal(*args, **options) -> str:
    with pytest.raises(DataError) as caught:
        match_classes(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("gap", ["missing", "empty"])
def test_a_missing_folder_in_the_middle_shifts_nothing(tmp_path, gap):
    for i, name in enumerate(["ant", "bee", "dog", "elk"]):
        (tmp_path / name).mkdir()
        for k in range(2):
            Image.new("RGB", (2, 2), (i, k, 0)).save(tmp_path / name / f"{k}.png")
    if gap == "empty":
        (tmp_path / "cat").mkdir()
    source = open_source(str(tmp_path))
    match = match_classes(source.folders, source.counts, ZOO)
    assert match.is_model
    assert match.table.labels == ["ant", "bee", "dog", "elk"]
    # The outputs of the network: dog stays 3, elk stays 4.
    assert [c.index for c in match.table.classes] == [0, 1, 3, 4]
    assert [c.folder for c in match.table.classes] == ["ant", "bee", "dog", "elk"]
    assert match.missing == ("cat",)
    assert match.extra == ()
    expected = [0, 1, 2, 3] if gap == "missing" else [0, 1, -1, 2, 3]
    assert match.row_of_folder.tolist() == expected
    rows = match.row_of_folder[source.labels]
    shown = [match.table.classes[r].label for r in rows]
    assert shown == [source.image_name(i).split("/")[0] for i in range(len(source))]


def test_rows_follow_the_network_not_the_folders():
    reverse = ClassTable(tuple(ClassInfo(n, i) for n, i in (("zebra", 0), ("ant", 2), ("yak", 1))))
    match = match_classes(["ant", "yak", "zebra"], [1, 1, 1], reverse)
    assert match.table.labels == ["zebra", "yak", "ant"]
    assert match.row_of_folder.tolist() == [2, 1, 0]
    assert match.row_of_folder.dtype == np.int64


@pytest.mark.parametrize(
    ("folder", "index"),
    [
        ("n01484850", 1),
        ("N01484850", 1),
        ("great white shark", 1),
        ("Great_White-Shark", 1),
        ("Man_Eater", 1),
        ("1", 1),
        ("0001", 1),
        ("crane (n03126707)", 2),
    ],
)
def test_ways_of_naming_a_folder(folder, index):
    match = match_classes([folder], [1], CRANES)
    assert [c.index for c in match.table.classes] == [index]
    assert match.table.classes[0].folder == folder
    assert len(match.missing) == 3


def test_composed_and_decomposed_letters_are_the_same():
    match = match_classes(["cafe\u0301"], [1], ClassTable.from_labels(["bar", "caf\u00e9"]))
    assert match.table.classes[0].index == 1


def test_digits_that_are_labels_are_not_indices():
    street_numbers = ClassTable.from_labels(["1", "2", "3", "0"])
    match = match_classes(["0", "1", "2", "3"], [1, 1, 1, 1], street_numbers)
    assert match.row_of_folder.tolist() == [3, 0, 1, 2]
    assert match.notes == ()
    padded = match_classes(["00", "01"], [1, 1], street_numbers)
    assert [c.index for c in padded.table.classes] == [0, 3]


def test_a_match_by_index_is_remarked_on():
    match = match_classes(["0", "3"], [1, 1], ZOO)
    assert match.table.labels == ["ant", "dog"]
    (note,) = match.notes
    assert "by index" in note
    assert "folder 0 is ant" in note


def test_letters_in_both_cases():
    letters = ClassTable.from_labels(["A", "a", "-", "_"])
    match = match_classes(["-", "A", "_", "a"], [1] * 4, letters)
    assert match.row_of_folder.tolist() == [2, 0, 3, 1]


def test_a_folder_called_plane_is_remarked_on():
    (note,) = match_classes(["plane"], [1], CRANES).notes
    assert "carpenter" in note
    assert "airliner" in note
    assert match_classes(["n03954731"], [1], CRANES).notes == ()


def test_extra_folders_are_left_out_and_reported():
    match = match_classes(["ant", "unicorn", "yeti"], [3, 4, 0], ZOO)
    assert match.extra == ("unicorn", "yeti")
    assert match.row_of_folder.tolist() == [0, -1, -1]
    assert match.missing == ("bee", "cat", "dog", "elk")


def test_an_ambiguous_folder_is_refused_with_every_reading():
    message = refusal(["crane"], [1], CRANES)
    assert "n02012849: a wading bird" in message
    assert "n03126707: lifts heavy objects" in message
    assert "WordNet id" in message
    # Without images it does no harm.
    match = match_classes(["crane", "plane"], [0, 1], CRANES)
    assert match.row_of_folder.tolist() == [-1, 0]
    assert match.extra == ()


def test_two_folders_for_one_class_are_refused():
    message = refusal(["n01484850", "great_white_shark"], [1, 1], CRANES)
    assert "'n01484850', 'great_white_shark'" in message
    assert "merge" in message
    match = match_classes(["n01484850", "great_white_shark"], [0, 1], CRANES)
    assert match.row_of_folder.tolist() == [-1, 0]


def test_no_match_at_all_shows_both_sides():
    message = refusal(["dgo", "x1", "x2", "x3", "x4", "x5"], [1] * 6, ZOO)
    assert "ant, bee, cat, dog, elk" in message
    assert "dgo, x1, x2, x3, x4, ... (6 folders)" in message
    assert "x5" not in message
    assert "'dgo' is close to 'dog'" in message
    assert "--labels data" in message


def test_no_images_at_all():
    assert "expected images" in refusal(["ant", "bee"], [0, 0], ZOO)
    assert "found none in no folders" in refusal([], [], None)


@pytest.mark.parametrize(("model", "labels"), [(None, "model"), (ZOO, "data"), (None, "data")])
def test_folders_as_classes_of_their_own(model, labels):
    match = match_classes(["x", "ant", "y"], [1, 0, 2], model, labels=labels)
    assert not match.is_model
    assert match.table.labels == ["x", "y"]
    assert [(c.index, c.folder) for c in match.table.classes] == [(0, "x"), (1, "y")]
    assert match.row_of_folder.tolist() == [0, -1, 1]
    assert match.missing == ("ant",)
    assert match.extra == ()


def test_an_unknown_way_of_labelling_is_refused():
    with pytest.raises(UsageError, match="'model' or 'data'"):
        match_classes(["ant"], [1], ZOO, labels="folders")


@given(
    folders=st.lists(st.sampled_from([*ZOO.labels, "yeti", "unicorn"]), unique=True, min_size=1),
    data=st.data(),
)
def test_every_folder_with_a_row_has_that_row_name(folders, data):
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(folders), max_size=len(folders)))
    full = {f for f, n in zip(folders, counts, strict=True) if n and f in ZOO.labels}
    if not full:
        return
    match = match_classes(folders, counts, ZOO)
    for folder, row in zip(folders, match.row_of_folder, strict=True):
        if row >= 0:
            assert match.table.classes[row].label == folder
    assert set(match.table.labels) == full
    assert set(match.missing) == set(ZOO.labels) - full
    assert set(match.extra) == set(folders) - set(ZOO.labels)
    indices = [c.index for c in match.table.classes]
    assert indices == sorted(indices)
