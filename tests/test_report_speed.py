"""How fast a report of ImageNet's shape is. In processor time: a shared machine's clock tells little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Opened, needs_browser, opened, running
from synthetic import SE_RESNET_50, make_record, with_predictions

import seviz

pytestmark = [
    needs_browser,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]
FIRST_PANEL, ANSWER = 2.5, 0.3  # seconds


def renderer_seconds() -> float:
    """Return the processor time of the page: of Chromium's renderers that this process has started."""
    ticks, parents, spent = os.sysconf("SC_CLK_TCK"), {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        parents[int(entry.name)] = int(fields[1])
        if "--type=renderer" in command:
            spent[int(entry.name)] = (int(fields[11]) + int(fields[12])) / ticks
    own = 0.0
    for process, seconds in spent.items():
        above: int | None = process
        while above is not None and above != os.getpid():
            above = parents.get(above)
        own += seconds if above is not None else 0.0
    return own


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    record = with_predictions(make_record(SE_RESNET_50, [f"class {i:04}" for i in range(1000)]))
    path = seviz.write_report(
        record, tmp_path_factory.mktemp("large"), ["class 0007", "class 0300"]
    )
    with running() as browser:
        before = renderer_seconds()
        with opened(browser, path, bypass_csp=True) as report:
            report.first = renderer_seconds() - before  # type: ignore[attr-defined]
            for name in ("gates-SE_5_3", "channel", "heat", "alike", "confusion"):
                report.drawn(name)
            report.show("#panels")
            report.page.wait_for_timeout(1000)
            yield report


def test_the_first_panel_is_drawn_soon(report: Any) -> None:
    assert report.first < FIRST_PANEL


@pytest.mark.parametrize(
    "action",
    [
        "toggleClass(33)",
        "byId('show-band').click()",
        "byId('order').selectedIndex = 1; byId('order').dispatchEvent(new Event('change'))",
        "byId('class-search').value = '77'; showChoices()",
        "zooms.get('gates')(0.5)",
        "askChannel('SE_5_3', 5)",
        "fillHeat(await drawn.get('heat'))",
        "fillAlike(await drawn.get('alike'))",
        "byId('confusion-log').click()",
        "byId('confusion-row').value = 'class 0300'; findConfusion()",
        "confusion.point(3, 4)",
        "document.querySelector('#table-classes .sort').click()",
    ],
)
def test_an_answer_is_painted_at_once(report: Opened, action: str) -> None:
    """From what a reader does to the first frame after it; panels out of the way may follow."""
    painted = "await new Promise((go) => requestAnimationFrame(() => setTimeout(go, 0)))"
    before = renderer_seconds()
    report.page.evaluate(f"async () => {{ {action}; {painted}; }}")
    assert renderer_seconds() - before < ANSWER
    report.settle()


def test_large_blocks_are_drawn_as_in_the_paper_or_whole(report: Opened) -> None:
    length = "async () => source(await draw('gates-SE_5_3'), 'lines').data.xs[0].length"
    assert report.page.evaluate(length) == 50
    report.page.select_option("#channels", "all")
    report.page.wait_for_function(f"async () => (await ({length})()) === 2048")
    report.page.select_option("#channels", "some")
    report.page.wait_for_function(f"async () => (await ({length})()) === 50")


def test_every_class_can_be_chosen(report: Opened) -> None:
    report.page.locator("#class-search").fill("class 0999")
    report.page.locator('#class-choices input[data-row="999"]').check()
    report.page.wait_for_function(
        "async () => source(await draw('gates-SE_5_3'), 'lines').data.colour.length >= 4"
    )
    assert "class 0999" in report.page.locator("#chips").inner_text()
