"""A report of a thousand classes: all can be chosen, and what is in view is drawn before all else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browser import Opened, needs_browser, opened, running
from conftest import without_pictures
from synthetic import make_record

import seviz

pytestmark = needs_browser

# The last block is large; the others take place on the page.
STAGES = ((4, 32), (4, 32), (1, 2048))
LARGE = "gates-SE_4_1"
NAMES = [f"class {i:04}" for i in range(1000)]
NAMED = [NAMES[i] for i in (7, 33, 707)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("many")
    with without_pictures():
        path = seviz.write_report(make_record(STAGES, NAMES), folder, NAMED)
    with opened(browser, path) as report:
        yield report
        assert not report.complaints


def first_curve(report: Opened) -> list[int]:
    """Return the channels that are drawn of the first class in the last block."""
    report.drawn(LARGE)
    found: list[int] = report.page.evaluate(
        f"async () => source(await draw('{LARGE}'), 'lines').data.xs[0]"
    )
    return found


def test_large_blocks_are_drawn_as_in_the_paper_or_whole(report: Opened) -> None:
    """Whole: in two points for each column of pixels."""
    some = first_curve(report)
    assert (len(some), some[0], some[-1]) == (50, 0, 2047)
    report.page.select_option("#channels", "all")
    whole = first_curve(report)
    assert 400 < len(whole) < 2048
    assert max(np.diff([0, *whole, 2047])) < 20
    report.page.select_option("#channels", "some")
    assert first_curve(report) == some


def test_every_class_can_be_chosen(report: Opened) -> None:
    drawn = f"async () => source(await draw('{LARGE}'), 'points').data.who"
    assert "class 0999" not in NAMED
    report.page.locator("#class-search").fill("class 0999")
    report.page.locator('#class-choices input[data-row="999"]').check()
    report.drawn(LARGE)
    assert "class 0999" in report.page.evaluate(drawn)
    assert "class 0999" in report.page.locator("#chips").inner_text()
    report.page.get_by_role("button", name="Remove class 0999").click()
    report.settle()


def test_what_is_in_view_is_drawn_first_and_what_is_far_when_it_comes_near(report: Opened) -> None:
    """Once each: an answer costs what the panels in view cost, however many there are."""
    page = report.page
    page.evaluate("document.querySelector('[data-blocks=\"all\"]').click()")
    panels = [f"gates-{name}" for name in page.evaluate("GATES.blocks.map(({ name }) => name)")]
    for name in (*panels, "heat", "alike"):
        report.drawn(name)
    page.set_viewport_size({"width": 900, "height": 300})
    middle = panels[4]
    report.show(f'[data-chart="{middle}"]')
    report.settle()
    filled, seen, near, left = page.evaluate(
        """async () => {
          const order = [], real = fill;
          fill = (name, figure) => { order.push(name); return real(name, figure); };
          toggleClass(500);
          await renewing;
          fill = real;
          return [order, [...inView], [...near], [...stale]];
        }"""
    )
    asked = {*panels, "heat", "alike"}
    assert len(filled) == len(set(filled))
    at_once = asked & set(seen)
    assert middle in at_once
    assert set(filled[: len(at_once)]) == at_once
    assert set(filled[len(at_once) :]) <= set(near)
    assert panels[-1] in left
    report.drawn(panels[-1])
    assert panels[-1] not in page.evaluate("[...stale]")
    assert "class 0500" in page.evaluate(
        f"async () => source(await draw('{panels[-1]}'), 'points').data.who"
    )
