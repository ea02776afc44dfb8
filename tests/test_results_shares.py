"""Shares in per cent: one way to write them, whoever does."""

from __future__ import annotations

import pytest

from seviz.analysis.proportions import Share
from seviz.results.shares import shown_share
from seviz.tables.table import Column


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1.0, ".1%", "100.0%"),
        (0.9996, ".1%", ">99.9%"),
        (0.9994, ".1%", "99.9%"),
        (0.0, ".1%", "0.0%"),
        (0.0004, ".1%", "<0.1%"),
        (0.0006, ".1%", "0.1%"),
        (0.99996, ".2%", ">99.99%"),
        (0.00004, ".2%", "<0.01%"),
        (0.5, ".2%", "50.00%"),
    ],
)
def test_what_is_not_all_is_not_a_hundred(value: float, form: str, text: str) -> None:
    assert shown_share(value, form) == text
    assert Column("share", "share", form).shown(value) == text


def test_changes_are_no_shares() -> None:
    assert Column("increase", "increase", "+.2%").shown(0.99999) == "+100.00%"


def test_a_share_with_its_interval() -> None:
    assert str(Share(0.99996, 0.9999, 0.99999, 99996, 100000)) == ">99.99% [99.99%, >99.99%]"
    assert str(Share(0.5, 0.00001, 1.0, 1, 2)) == "50.00% [<0.01%, 100.00%]"
