"""Names of classes, and what they may mean."""

from __future__ import annotations

import pytest

from seviz.errors import UsageError
from seviz.results.classes import ClassInfo, ClassTable, normalise

PETS = ClassTable(
    (
        ClassInfo("tabby", 0, "n02123045", ("tabby cat",), "a cat with a grey coat"),
        ClassInfo("pug", 1, "n02110958", ("pug-dog",)),
        ClassInfo("crane", 2, "n02012849", (), "a wading bird"),
        ClassInfo("crane", 3, "n03126707", (), "lifts heavy objects"),
        ClassInfo("lesser panda", 4, "n02509815", ("panda",)),
        ClassInfo("giant panda", 5, "n02510455", ("panda",)),
    )
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (" Great_White-Shark ", "great white shark"),
        ("a__b - c", "a b c"),
        ("-1", "-1"),
        ("-", "-"),
        ("_", "_"),
        ("STRASSE", normalise("stra\u00dfe")),
        ("cafe\u0301", "caf\u00e9"),
        ("", ""),
    ],
)
def test_names_are_compared_without_case_and_separators(name, expected):
    assert normalise(name) == expected


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("tabby", 0),
        ("Tabby_Cat", 0),
        ("n02110958", 1),
        ("N02110958", 1),
        ("pug dog", 1),
        ("1", 1),
        ("001", 1),
        ("crane (n03126707)", 3),
        ("5", 5),
    ],
)
def test_ways_of_naming_a_class(name, row):
    assert PETS.find(name) == row


def test_precedence_of_wordnet_id_label_synonym_index():
    table = ClassTable(
        (
            ClassInfo("2", 0, "n1"),
            ClassInfo("x", 1, "n2", ("2", "y")),
            ClassInfo("y", 2, "n3", ("n1",)),
        )
    )
    assert table.find("2") == 0
    assert table.find("y") == 2
    assert table.find("n1") == 0
    assert table.find("1") == 1


@pytest.mark.parametrize("name", ["-1", "6", "1.0", ""])
def test_what_is_no_index_is_no_class(name):
    assert PETS.rows(name) == []


def test_namesakes_are_refused_and_listed():
    with pytest.raises(UsageError) as caught:
        PETS.find("crane")
    message = str(caught.value)
    assert "crane (index 2, n02012849: a wading bird)" in message
    assert "crane (index 3, n03126707: lifts heavy objects)" in message
    assert "\n" not in message
    assert PETS.rows("panda") == [4, 5]


def test_no_two_labels_are_equal():
    assert PETS.labels[1:4] == ["pug", "crane (n02012849)", "crane (n03126707)"]
    plain = ClassTable.from_labels(["a", "b", "a"])
    assert plain.labels == ["a (0)", "b", "a (2)"]
    assert [plain.find(label) for label in plain.labels] == [0, 1, 2]
    # Neither where a class is called what a namesake would be, nor where the ids are alike, too.
    called = ClassTable.from_labels(["cat", "cat", "cat (1)"])
    assert len(set(called.labels)) == 3
    assert [called.find(label) for label in called.labels] == [0, 1, 2]
    twins = ClassTable(tuple(ClassInfo("pug", i, "n02110958") for i in range(2)))
    assert len(set(twins.labels)) == 2


def test_labels_that_differ_in_case_are_told_apart():
    letters = ClassTable.from_labels(["A", "a", "b"])
    assert [letters.find(n) for n in ("A", "a", "B")] == [0, 1, 2]
    assert ClassTable.from_labels(["New-York", "new york"]).rows("NEW_YORK") == [0, 1]


def test_an_unknown_name_gets_the_closest():
    with pytest.raises(UsageError, match="'pgu'; closest: pug"):
        PETS.find("pgu")
    with pytest.raises(UsageError, match="there are 6 classes"):
        PETS.find("zzzzzz")
    assert PETS.closest("cat") == ["tabby"]


def test_choices_keep_the_users_order_and_come_once():
    chosen = PETS.choose(["pug", "tabby", "n02110958", "0"])
    assert [(c.row, c.name) for c in chosen] == [(1, "pug"), (0, "tabby")]


def test_a_preset_needs_its_classes():
    with pytest.raises(UsageError) as caught:
        PETS.choose(["senet-paper"])
    message = str(caught.value)
    assert "goldfish (n01443537)" in message
    assert "pug" not in message


def test_round_trip():
    assert ClassTable.from_list(PETS.to_list()) == PETS
    assert PETS.to_list()[1] == {
        "label": "pug",
        "index": 1,
        "wnid": "n02110958",
        "synonyms": ("pug-dog",),
    }
