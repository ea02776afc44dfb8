"""ImageNet's class names, and the traps among them."""

from __future__ import annotations

import pytest

from seviz.data import match_classes
from seviz.errors import DataError, UsageError
from seviz.networks.imagenet import imagenet_classes
from seviz.results.classes import ClassNameWarning


@pytest.fixture(scope="module")
def table():
    return imagenet_classes()


def test_a_thousand_classes_in_order(table):
    assert len(table) == 1000
    assert [c.index for c in table.classes] == list(range(1000))
    wnids = [c.wnid for c in table.classes]
    assert wnids == sorted(set(wnids))
    assert len(set(table.labels)) == 1000
    assert all(c.definition for c in table.classes)
    assert imagenet_classes() is table


def test_labels_synonyms_and_definitions(table):
    goldfish = table.classes[1]
    assert (goldfish.label, goldfish.wnid) == ("goldfish", "n01443537")
    assert goldfish.synonyms == ("Carassius auratus",)
    assert goldfish.definition.startswith("small golden or orange-red freshwater fishes")


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("goldfish", 1),
        ("pug", 254),
        ("pug-dog", 254),
        ("n02690373", 404),
        ("airliner", 404),
        ("cliff", 972),
        ("drop_off", 972),
        ("999", 999),
    ],
)
def test_known_indices(table, name, index):
    assert table.classes[table.find(name)].index == index


@pytest.mark.parametrize(
    ("name", "wnids"),
    [
        ("crane", ("n02012849", "n03126707")),
        ("maillot", ("n03710637", "n03710721")),
        ("panda", ("n02509815", "n02510455")),
    ],
)
def test_ambiguous_names(table, name, wnids):
    with pytest.raises(UsageError) as caught:
        table.find(name)
    assert all(w in str(caught.value) for w in wnids)
    with pytest.raises(DataError) as caught:
        match_classes([name], [1], table)
    assert all(w in str(caught.value) for w in wnids)


def test_plane_is_the_carpenters(table):
    with pytest.warns(ClassNameWarning, match="airliner"):
        (choice,) = table.choose(["plane"])
    assert choice.row == 726


def test_the_papers_classes(table):
    chosen = table.choose(["senet-paper"])
    assert [c.row for c in chosen] == [1, 254, 404, 972]
    assert [c.name for c in chosen] == ["goldfish", "pug", "plane", "cliff"]


def test_a_misspelling_gets_the_closest(table):
    with pytest.raises(UsageError, match=r"'goldfsh'; closest: .*goldfish"):
        table.find("goldfsh")


def test_folders_of_wordnet_ids_land_on_their_outputs(table):
    match = match_classes(["n01443537", "n02110958", "n09246464"], [1, 1, 1], table)
    assert [c.index for c in match.table.classes] == [1, 254, 972]
    assert match.table.labels == ["goldfish", "pug", "cliff"]
    assert len(match.missing) == 997
    assert "crane (n02012849)" in match.missing
