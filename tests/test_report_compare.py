"""The page of a comparison: its sentences first, every table, the figure twice, nothing from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from synthetic import CIFAR, make_record, with_predictions

import seviz
from seviz.report.compare import comparison_page
from seviz.tables import tables_of

NAMES = [f"class {i}" for i in range(5)]


def record(seed, **header):
    return with_predictions(
        make_record(CIFAR, NAMES, seed=seed, num_classes=5, **header), seed=seed
    )


@pytest.fixture(scope="module")
def compared():
    made = [
        record(s, checkpoint=n, checkpoint_sha256=str(s) * 64)
        for s, n in enumerate(("one.pt", "<b>two</b>", "three"))
    ]
    return seviz.compare(made[:2]), seviz.compare(made)


@pytest.mark.parametrize("which", [0, 1])
def test_page(compared, which):
    found = compared[which]
    page = comparison_page(found)
    text = page.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")
    places = [text.index(sentence) for sentence in found.sentences()]
    assert places == sorted(places)
    assert places[-1] < text.index("<section")
    for table in tables_of(found).values():
        assert f'id="table-{table.name}"' in page
        for note in table.notes:
            assert note[1:] in text  # its first letter is a capital there
    assert page.count("<img ") == 2
    assert "<script" not in page
    assert "<b>two" not in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_the_same_page_twice(compared):
    assert comparison_page(compared[1]) == comparison_page(compared[1])


def test_cost_alone_has_no_figure():
    net = seviz.sample("se_resnet_digits")
    page = comparison_page(seviz.compare([net, net, net]))
    assert "<img " not in page
    assert "table-networks" in page


def test_notes_and_warnings_are_said(compared):
    found = replace(compared[1], notes=("some note of its own",))
    page = comparison_page(found)
    assert "Some note of its own." in page
    warnings = [w for f in found.findings for w in f.warnings]
    assert warnings
    assert all(w.replace("'", "&#39;") in page for w in warnings)


UNSEEN = "\x1b]0;owned\x07 a\x00b\u202ec\u2066d\x85e"


@pytest.mark.parametrize("number", [2, 3])
def test_nothing_unseen_is_in_the_page(number):
    """Control characters of a name would be in a terminal that shows the page; others turn the line round."""
    made = [
        with_predictions(
            make_record(
                CIFAR,
                [f"{UNSEEN} {i}" for i in range(5)],
                seed=s,
                num_classes=5,
                checkpoint=f"{UNSEEN}{s}",
                source=UNSEEN,
                notes=(UNSEEN,),
            ),
            seed=s,
        )
        for s in range(number)
    ]
    page = comparison_page(seviz.compare(made))
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page) == []
    assert r"\x1b]0;owned\x07" in page
    assert r"\u202ec" in page
