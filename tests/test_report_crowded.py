"""Panels with more channels than pixels: what is drawn is true, and nothing that sticks out is lost."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from browser import TOOLTIP, Opened, needs_browser, opened, running
from conftest import at_night, without_pictures
from synthetic import record_of_gates

import seviz
from seviz.results.record import Record

pytestmark = needs_browser

BLOCK, CHANNELS = "SE_3_1", 2048
MIDDLE = 400  # channels of SE_2_1: more than a panel has pixels, but fewer than points on a line
ANT, BEE = 0, 1
HIGHEST, LOWEST = 1234, 777  # channels of the bee that stick out
STEPS = 65535  # of the numbers on the page, from gate 0 to 1

Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def record() -> Record:
    rng = np.random.default_rng(0)
    labels = np.repeat([ANT, BEE, 2], 4)
    middle, large = rng.uniform(0.3, 0.7, (12, MIDDLE)), rng.uniform(0.3, 0.7, (12, CHANNELS))
    large[labels == BEE, HIGHEST] = 0.99
    large[labels == BEE, LOWEST] = 0.01
    return record_of_gates([middle, large], labels, ["ant", "bee", "cat"])


@pytest.fixture(scope="module")
def path(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with without_pictures():
        return seviz.write_report(record, tmp_path_factory.mktemp("crowded"), ["ant", "bee"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running() as browser:
        yield browser


@pytest.fixture(scope="module")
def shared(browser: Any, path: Path) -> Iterator[Opened]:
    with opened(browser, path) as report:
        report.page.select_option("#channels", "all")
        report.page.locator("#show-band").check()
        yield report


@pytest.fixture
def report(shared: Opened) -> Iterator[Opened]:
    """The report with every channel drawn, and the band; what a test changes it changes back."""
    shared.drawn(f"gates-{BLOCK}")
    yield shared
    assert not shared.complaints


def of(report: Opened, kind: str, block: str = BLOCK) -> dict[str, Any]:
    """Return what Bokeh draws of one kind, with the columns of pixels it draws in."""
    found: dict[str, Any] = report.page.evaluate(
        """async ([name, kind]) => {
          const figure = await draw(`gates-${name}`);
          const { start, end } = figure.x_range;
          return { ...source(figure, kind).data, start, end, width: figure.inner_width };
        }""",
        [block, kind],
    )
    return found


def columns(x: Array, view: dict[str, Any]) -> npt.NDArray[np.int64]:
    """Return the column of pixels in which each place is."""
    share = (x - view["start"]) / (view["end"] - view["start"])
    return np.floor(share * view["width"]).astype(np.int64)


def furthest(x: Array, y: Array, view: dict[str, Any], reach: Any) -> dict[int, float]:
    """Return the smallest or the largest value of each column of pixels."""
    place = columns(x, view)
    return {int(c): float(reach(y[place == c])) for c in np.unique(place)}


def on_the_page(values: Array) -> Array:
    """Return gates as the page has them, in 16 bits."""
    return np.asarray(np.rint(values * STEPS) / STEPS)


def zoom(report: Opened, by: float, times: int = 1) -> None:
    for _ in range(times):
        report.page.locator(f'[data-zoom="gates"][data-by="{by}"]').click()
        report.settle()


def test_every_point_is_one_of_the_record(report: Opened, record: Record) -> None:
    points, stats = of(report, "points"), record.stats(BLOCK)
    who, channel = np.array(points["who"]), np.array(points["channel"])
    widest = max(stats.std.max(), stats.all_std.max())
    for name, mean, std in (
        ("ant", stats.mean[ANT], stats.std[ANT]),
        ("bee", stats.mean[BEE], stats.std[BEE]),
        ("all", stats.all_mean, stats.all_std),
    ):
        own = channel[who == name]
        assert 400 < len(own) <= 2 * (points["width"] + 1) < CHANNELS
        shown = np.array(points["y"])[who == name]
        np.testing.assert_allclose(shown, on_the_page(mean)[own], rtol=0, atol=1e-12)
        spread = np.array(points["spread"])[who == name]
        np.testing.assert_allclose(spread, std[own], rtol=0, atol=widest / STEPS)
        np.testing.assert_array_equal(np.array(points["x"])[who == name], own)
    lines = of(report, "lines")
    np.testing.assert_array_equal(np.concatenate(lines["xs"]), points["x"])
    np.testing.assert_array_equal(np.concatenate(lines["ys"]), points["y"])
    assert all((np.diff(x) > 0).all() for x in lines["xs"])


@pytest.mark.parametrize("width", [1280, at_night(900)])
def test_what_sticks_out_of_a_column_of_pixels_is_drawn(
    report: Opened, record: Record, width: int
) -> None:
    report.page.set_viewport_size({"width": width, "height": 900})
    report.settle()
    lines, bands = of(report, "lines"), of(report, "bands")
    bands["width"] = np.ceil(bands["width"]) / 2  # a band has a point for every two columns
    assert {HIGHEST, LOWEST} <= set(lines["xs"][BEE])
    every = np.arange(CHANNELS, dtype=float)
    stats = record.stats(BLOCK)
    for row in (ANT, BEE):
        x, y = np.array(lines["xs"][row]), np.array(lines["ys"][row])
        mean = on_the_page(stats.mean[row])
        for reach in (np.min, np.max):
            assert furthest(x, y, lines, reach) == pytest.approx(
                furthest(every, mean, lines, reach), abs=1e-12
            )
        x, y = np.array(bands["xs"][row]), np.array(bands["ys"][row])
        turn = len(x) // 2  # there along the upper edge, back along the lower one
        for half, edge, reach in (
            (slice(None, turn), stats.mean[row] + stats.std[row], np.max),
            (slice(turn, None), stats.mean[row] - stats.std[row], np.min),
        ):
            assert furthest(x[half], y[half], bands, reach) == pytest.approx(
                furthest(every, edge, bands, reach), abs=2 / STEPS
            )
    report.page.set_viewport_size({"width": 1280, "height": 900})
    report.settle()


def test_closer_up_every_channel_in_view_is_drawn(report: Opened, record: Record) -> None:
    zoom(report, 0.5, times=3)
    lines = of(report, "lines")
    first, last = lines["start"], lines["end"]
    in_view = np.arange(np.ceil(first), np.floor(last) + 1)
    assert 200 < len(in_view) < 300
    mean = on_the_page(record.stats(BLOCK).mean[BEE])
    x = np.array(lines["xs"][BEE])
    assert set(in_view) <= set(x)
    assert x[0] < first, "the line runs on to the left edge"
    assert x[-1] > last, "the line runs on to the right edge"
    np.testing.assert_allclose(lines["ys"][BEE], mean[x.astype(int)], rtol=0, atol=1e-12)
    box = report.page.locator(f'[id="canvas-gates-{BLOCK}"]').bounding_box()
    report.page.mouse.move(box["x"] + 200, box["y"] + 80)
    report.page.mouse.down()
    report.page.mouse.move(box["x"] + 120, box["y"] + 80, steps=4)
    report.page.mouse.up()
    report.settle()
    moved = of(report, "lines")
    assert moved["start"] > first + 20
    in_view = np.arange(np.ceil(moved["start"]), np.floor(moved["end"]) + 1)
    assert set(in_view) <= set(moved["xs"][BEE])
    zoom(report, 0)
    assert len(of(report, "lines")["xs"][BEE]) <= 2 * (lines["width"] + 1)


def test_in_another_order_channels_keep_their_values(report: Opened, record: Record) -> None:
    report.page.select_option("#order", "mean")
    report.settle()
    stats, points = record.stats(BLOCK), of(report, "points")
    own = np.array(points["who"]) == "bee"
    channel = np.array(points["channel"])[own]
    assert {HIGHEST, LOWEST} <= set(channel)
    place = np.empty(CHANNELS)
    place[np.argsort(-on_the_page(stats.all_mean), kind="stable")] = np.arange(CHANNELS)
    np.testing.assert_array_equal(np.array(points["x"])[own], place[channel])
    shown = np.array(points["y"])[own]
    np.testing.assert_allclose(shown, on_the_page(stats.mean[BEE])[channel], rtol=0, atol=1e-12)
    report.page.select_option("#order", "index")
    report.settle()


def test_pointing_and_saving_tell_of_true_channels(
    report: Opened, record: Record, tmp_path: Path
) -> None:
    page = report.page
    box = page.locator(f'[id="canvas-gates-{BLOCK}"]').bounding_box()
    x, y = page.evaluate(
        """([name, channel, gate]) => {
          const view = [...Bokeh.index].find((one) => one.model.name === `gates-${name}`);
          return [view.frame.x_scale.compute(channel), view.frame.y_scale.compute(gate)];
        }""",
        [BLOCK, HIGHEST, 0.99],
    )
    page.mouse.move(box["x"] + x - 3, box["y"] + y)
    page.mouse.move(box["x"] + x, box["y"] + y)
    report.settle()
    assert f"classbeechannel{HIGHEST}gate0.9900spread0.0000" in page.evaluate(TOOLTIP)
    page.mouse.click(box["x"] + x, box["y"] + y)
    page.wait_for_function(f"asked.channel.block === '{BLOCK}'")
    assert abs(int(page.locator("#channel-number").input_value()) - HIGHEST) < 5
    with page.expect_download() as waiting:
        page.locator("#gates-csv").click()
    waiting.value.save_as(tmp_path / "gates.csv")
    with (tmp_path / "gates.csv").open(newline="") as lines:
        rows = [r for r in csv.DictReader(lines) if (r["block"], r["class"]) == (BLOCK, "bee")]
    assert [int(r["channel"]) for r in rows] == list(range(CHANNELS))
    expected = on_the_page(record.stats(BLOCK).mean[BEE])
    np.testing.assert_allclose([float(r["mean"]) for r in rows], expected, atol=1e-6)


def test_lines_with_room_for_all_are_whole_and_bands_become_so(
    report: Opened, record: Record
) -> None:
    stats = record.stats("SE_2_1")
    mean = on_the_page(stats.mean[[ANT, BEE]])
    lines, bands = of(report, "lines", "SE_2_1"), of(report, "bands", "SE_2_1")
    assert lines["width"] < MIDDLE < 2 * lines["width"]
    np.testing.assert_allclose(lines["ys"][:2], mean, rtol=0, atol=1e-12)
    assert len(bands["xs"][BEE]) < MIDDLE
    zoom(report, 0.5, times=2)
    bands = of(report, "bands", "SE_2_1")
    x, y = np.array(bands["xs"][BEE], int), np.array(bands["ys"][BEE])
    turn = len(x) // 2
    in_view = np.arange(np.ceil(bands["start"]), np.floor(bands["end"]) + 1)
    for half, edge in (
        (slice(None, turn), stats.mean[BEE] + stats.std[BEE]),
        (slice(turn, None), stats.mean[BEE] - stats.std[BEE]),
    ):
        assert set(in_view) <= set(x[half])
        np.testing.assert_allclose(y[half], edge[x[half]], atol=2 / STEPS)
    zoom(report, 0)


@pytest.mark.nightly
def test_the_page_says_how_crowded_curves_are_drawn(report: Opened) -> None:
    said = " ".join(report.page.locator("#gates .caption").all_inner_texts())
    assert "smallest and the largest gate of every column of pixels" in said
