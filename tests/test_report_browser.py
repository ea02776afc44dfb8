"""The report in a real browser: it is drawn, it answers, and it asks nobody for anything."""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import PATIENCE, TOOLTIP, Opened, needs_browser, opened, running
from conftest import without_pictures

import seviz
from seviz.analysis import gate_distances
from seviz.results.files import csv_writer, inert
from seviz.results.record import Record

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running() as browser:
        yield browser


@pytest.fixture(scope="module")
def record(digits_record: Path) -> Record:
    return Record.load(digits_record)


@pytest.fixture(scope="module")
def path(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    audit = seviz.audit(seviz.sample("se_resnet_digits"), sweep=(2, 8))
    folder = tmp_path_factory.mktemp("report")
    with without_pictures():
        return seviz.write_report(record, folder, ["1", "4"], audit=audit)


@pytest.fixture(scope="module")
def shared(browser: Any, path: Path) -> Iterator[Opened]:
    with opened(browser, path) as report:
        yield report


@pytest.fixture
def report(shared: Opened) -> Iterator[Opened]:
    """The report, open for all tests that look, or change what no other looks at."""
    yield shared
    assert not shared.complaints


@pytest.fixture
def fresh(browser: Any, path: Path) -> Iterator[Opened]:
    """The report, open for one test that changes it."""
    with opened(browser, path) as report:
        yield report
        assert not report.complaints


CHARTS = (
    "gates-SE_4_2", "channel", "heat", "alike", "depth-share", "depth-saturation", "depth-spread",
    "depth-correlation", "cost-params", "cost-operations", "cost-bytes", "confusion", "reliability",
)  # fmt: skip


def coloured(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    """Return how many pixels are neither grey nor nearly so: curves, cells, bars; no axis."""
    return int((np.ptp(pixels.astype(int), axis=2) > 40).sum())


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_drawn_in_pixels(report: Opened, name: str) -> None:
    pixels = report.pixels(name)
    if name == "cost-params":  # its bars are grey
        assert (pixels.max(axis=2) < 0x80).sum() > 2000
    else:
        assert coloured(pixels) > 60


def test_nothing_but_the_file_is_asked_for(report: Opened, path: Path) -> None:
    for name in CHARTS:
        report.drawn(name)
    asked = [url for url in report.requests if not url.startswith(("data:", "blob:"))]
    assert asked == [path.resolve().as_uri()]
    assert report.complaints == []


def test_the_network_is_closed_to_the_page(report: Opened) -> None:
    """The policy of the page refuses what a script would fetch, whatever the browser allows."""
    said = report.page.evaluate(
        "async () => { try { await fetch('https://example.org/x'); return 'fetched'; } "
        "catch (error) { return 'refused'; } }"
    )
    assert said == "refused"
    report.complaints.clear()


def test_webgl_draws_as_well(browser: Any, path: Path) -> None:
    """Where there is a GPU; the imitated one of this browser is taken for one here."""
    context = browser.new_context(viewport={"width": 700, "height": 700})
    context.add_init_script(
        "const real = WebGLRenderingContext.prototype.getParameter;"
        "WebGLRenderingContext.prototype.getParameter = function (name) {"
        " return name === 37446 ? 'a GPU' : real.call(this, name); };"
    )
    page = context.new_page()
    page.goto(path.resolve().as_uri())
    page.wait_for_selector(".canvas[data-drawn]", timeout=PATIENCE)
    assert page.evaluate("gpu") is True
    assert coloured(Opened(page).pixels("gates-SE_4_2")) > 60
    backend = "(async () => (await drawn.get('gates-SE_4_2')).output_backend)()"
    assert page.evaluate(backend) == "webgl"
    context.close()


def test_what_is_in_view_is_drawn_before_what_was_passed(browser: Any, path: Path) -> None:
    """Who flicks through the page on a telephone is shown where it stops, and not all charts before that."""
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with opened(browser, path, **phone) as report:
        order = report.page.evaluate(
            """async () => {
              const embed = Bokeh.embed.embed_item;
              const order = [];
              Bokeh.embed.embed_item = async (item, where) => {
                order.push(where.replace("canvas-", ""));
                await new Promise((go) => setTimeout(go, 300));
                return embed(item, where);
              };
              const last = [...document.querySelectorAll(".chart")].at(-1);
              for (;;) {
                scrollBy(0, 500);
                await new Promise((go) => requestAnimationFrame(go));
                const { top, bottom } = last.getBoundingClientRect();
                if (top < innerHeight && bottom < 2 * innerHeight) break;
              }
              last.scrollIntoView();
              for (let i = 0; i < 600 && !last.querySelector("[data-drawn]"); i++) {
                await new Promise((go) => setTimeout(go, 20));
              }
              return [order, last.dataset.chart, document.querySelectorAll(".chart").length];
            }"""
        )
    began, last, charts = order
    assert charts > 10
    assert last in began
    # One may have begun on the way, and stand beside it.
    assert began.index(last) <= 3, began


def test_hover_tells_class_channel_and_gate(fresh: Opened, record: Record) -> None:
    page = fresh.page
    page.locator("#show-all").uncheck()
    page.select_option("#vertical", "fitted")
    box = fresh.drawn("gates-SE_4_2").bounding_box()
    fresh.settle()
    assert len(curves(fresh)) == 2
    stats = record.stats("SE_4_2")
    x, y = page.evaluate(
        """([channel, gate]) => {
          const view = [...Bokeh.index].find((one) => one.model.name === 'gates-SE_4_2');
          return [view.frame.x_scale.compute(channel), view.frame.y_scale.compute(gate)];
        }""",
        [38, float(stats.mean[1, 38])],
    )
    for aside in (-3, 0):
        page.mouse.move(box["x"] + x + aside, box["y"] + y)
    fresh.settle()
    said = str(page.evaluate(TOOLTIP))
    found = re.search(r"class(\d)channel(\d+)gate([\d.]+)spread([\d.]+)", said)
    assert found, said
    row, channel = int(found[1]), int(found[2])
    assert abs(channel - 38) <= 1
    assert float(found[3]) == pytest.approx(stats.mean[row, channel], abs=1e-4)
    assert float(found[4]) == pytest.approx(stats.std[row, channel], abs=1e-4)


def curves(report: Opened, block: str = "SE_4_2") -> list[list[float]]:
    """Return the curves of a panel as they are drawn."""
    found: list[list[float]] = report.page.evaluate(
        "async (name) => source(await draw(`gates-${name}`), 'lines').data.ys", block
    )
    return found


def test_curves_are_the_means_of_the_record(report: Opened, record: Record) -> None:
    stats = record.stats("SE_4_2")
    expected = np.vstack([stats.mean[[1, 4]], stats.all_mean])
    np.testing.assert_allclose(np.array(curves(report)), expected, atol=1 / 65535)


def test_classes_can_be_chosen_and_dropped(fresh: Opened, record: Record) -> None:
    page = fresh.page
    fresh.drawn("gates-SE_4_2")
    page.locator("#class-search").fill("7")
    page.locator('#class-choices input[data-row="7"]').check()
    page.get_by_role("button", name="Remove 1", exact=True).click()
    fresh.settle()
    assert len(curves(fresh)) == 3
    expected = record.stats("SE_4_2").mean[[4, 7]]
    np.testing.assert_allclose(np.array(curves(fresh))[:2], expected, atol=1 / 65535)
    assert page.locator("#chips bdi").all_inner_texts() == ["4", "7"]


def test_blocks_orders_and_bands(fresh: Opened, record: Record) -> None:
    page = fresh.page
    fresh.drawn("gates-SE_4_2")
    page.locator('[data-block="SE_2_1"]').check()
    fresh.drawn("gates-SE_2_1")
    assert len(curves(fresh, "SE_2_1")) == 3
    page.select_option("#order", "mean")
    fresh.settle()
    falling = np.array(curves(fresh))[-1]
    np.testing.assert_allclose(
        falling, np.sort(record.stats("SE_4_2").all_mean)[::-1], atol=2 / 65535
    )
    before = fresh.pixels("gates-SE_4_2")
    page.locator("#show-band").check()
    fresh.settle()
    bands = "async () => source(await draw('gates-SE_4_2'), 'bands').data.xs.length"
    assert page.evaluate(bands) == 2
    assert (fresh.pixels("gates-SE_4_2") != before).any(axis=2).sum() > 500
    page.locator("#show-all").uncheck()
    fresh.settle()
    assert len(curves(fresh)) == 2


def test_panels_move_together(fresh: Opened) -> None:
    page = fresh.page
    fresh.drawn("gates-SE_4_1")
    box = fresh.drawn("gates-SE_4_2").bounding_box()
    ranges = (
        "async () => Promise.all(['gates-SE_4_1', 'gates-SE_4_2'].map(async (name) => {"
        " const f = await draw(name); return [f.x_range.start, f.x_range.end, f.y_range.start]; }))"
    )
    whole = page.evaluate(ranges)
    page.locator('[data-zoom="gates"][data-by="0.5"]').click()
    fresh.settle()
    first, second = page.evaluate(ranges)
    assert first == pytest.approx(second)
    assert first[1] - first[0] == pytest.approx((whole[0][1] - whole[0][0]) / 2)
    page.mouse.move(box["x"] + 200, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 90, steps=4)
    page.mouse.up()
    fresh.settle()
    moved, other = page.evaluate(ranges)
    assert moved == pytest.approx(other)
    assert moved[0] > first[0]
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    fresh.settle()
    closer, other = page.evaluate(ranges)
    assert closer == pytest.approx(other)
    assert closer[1] - closer[0] < moved[1] - moved[0]


def test_a_click_shows_one_channel_for_every_class(report: Opened, record: Record) -> None:
    page = report.page
    report.drawn("channel")
    box = report.drawn("gates-SE_4_2").bounding_box()
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 80)
    page.wait_for_function(
        "document.getElementById('channel-title').textContent.includes('SE_4_2')"
    )
    report.settle()
    channel = int(page.locator("#channel-number").input_value())
    assert 25 < channel < 45
    shown = page.evaluate("async () => source(await draw('channel'), 'classes').data")
    mean = record.stats("SE_4_2").mean[:, channel]
    who = np.array([int(k) for k in shown["who"]])[np.argsort(shown["x"])]
    assert who.tolist() == np.argsort(-mean).tolist()
    np.testing.assert_allclose(np.sort(shown["y"]), np.sort(mean), atol=1 / 65535)
    assert f"channel {channel}" in page.locator("#channel-title").inner_text()


def test_maps_show_the_numbers_of_the_record(report: Opened, record: Record) -> None:
    page = report.page
    report.drawn("heat")
    page.locator(".map-block").first.select_option("SE_3_1")
    page.locator("#heat-kind").select_option("gate")
    report.settle()
    said = report.hover("heat", 0.5, 0.4)
    assert all(word in said for word in ("class", "channel", "gate"))
    shown = page.evaluate("async () => [...heat.content.values]")
    stats = record.stats("SE_3_1")
    np.testing.assert_allclose(np.reshape(shown, stats.mean.shape), stats.mean, atol=2e-5)
    report.drawn("alike")
    apart = page.evaluate("async () => [...alike.content.values]")
    np.testing.assert_allclose(np.reshape(apart, (10, 10)), gate_distances(stats), atol=2e-5)


def test_matrix_hover_search_and_zoom(report: Opened, record: Record) -> None:
    page = report.page
    said = report.hover("confusion", 0.5, 0.2)
    assert all(word in said for word in ("true", "predicted", "images", "share"))
    page.locator("#confusion-row").fill("9")
    page.locator("#confusion-row").press("Enter")
    page.wait_for_function("document.getElementById('confusion-text').textContent !== ''")
    row = record.arrays["confusion"][9]
    assert f"{row[9]} of {row.sum()} images right" in page.locator("#confusion-text").inner_text()
    page.locator("#confusion-column").fill("5")
    page.locator("#confusion-column").press("Enter")
    page.wait_for_function(
        "document.getElementById('confusion-text').textContent.includes('9 taken for 5')"
    )
    for field in ("row", "column"):
        page.locator(f"#confusion-{field}").fill("")
        page.locator(f"#confusion-{field}").press("Enter")
    page.wait_for_function("document.getElementById('confusion-text').textContent === ''")
    report.settle()
    size = "confusion.figure.x_range.end - confusion.figure.x_range.start"
    page.locator('[data-zoom="confusion"][data-by="0.5"]').click()
    assert page.evaluate(size) == pytest.approx(5)
    page.locator("#confusion-by").select_option("true")
    page.locator("#confusion-order").select_option("hardest first")
    report.settle()
    values = np.array(page.evaluate("[...confusion.content.values].map((v) => v || 0)"))
    np.testing.assert_allclose(values.reshape(10, 10).sum(axis=1), 100, atol=1e-3)
    recalls = np.diagonal(values.reshape(10, 10))
    assert (np.diff(recalls) >= -1e-4).all()


def test_tables_sort_and_filter(report: Opened) -> None:
    page = report.page
    table = page.locator("#table-classes")
    table.scroll_into_view_if_needed()
    column = "#table-classes tbody tr:not([hidden]) td:nth-child(6)"
    table.get_by_role("button", name="recall").click()
    falling = [float(t.rstrip("%")) for t in page.locator(column).all_inner_texts()]
    assert falling == sorted(falling, reverse=True)
    assert table.locator('th[aria-sort="descending"]').inner_text() == "recall"
    table.get_by_role("button", name="recall").press("Enter")
    rising = [float(t.rstrip("%")) for t in page.locator(column).all_inner_texts()]
    assert rising == sorted(falling)
    table.locator("input").fill("7")
    names = page.locator("#table-classes tbody tr:not([hidden]) th").all_inner_texts()
    assert "7" in names


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@x", "'@x"),
        ("'=x", "''=x"),
        ("-0.05", "-0.05"),
        ("+0.07%", "+0.07%"),
        ("-5.00 [-8.65, -1.25]", "-5.00 [-8.65, -1.25]"),
        ("-5.00 [-8.65, 1+1]", "'-5.00 [-8.65, 1+1]"),
        ("3e-05", "3e-05"),
        ("cat", "cat"),
        ("cat;=1+1", "cat;'=1+1"),
        (';"=1+1', ";'\"=1+1"),
    ],
)
def test_saved_cells_are_no_formulas(report: Opened, text: str, cell: str) -> None:
    assert report.page.evaluate("(text) => inert(text)", text) == cell


def test_saved_cells_are_those_of_the_files(report: Opened) -> None:
    """For texts without a number of their own in them, which a page writes in more ways."""
    rng = random.Random(0)
    letters = "'\"=+@\t\r\n;,|a "
    texts = ["".join(rng.choices(letters, k=rng.randrange(9))) for _ in range(2000)]
    file = io.StringIO()
    csv_writer(file).writerows([inert(text), "b"] for text in texts)
    cells = report.page.evaluate("(texts) => texts.map(csvCell)", texts)
    assert "".join(f"{cell},b\n" for cell in cells) == file.getvalue()


def test_data_can_be_saved(report: Opened, record: Record, tmp_path: Path) -> None:
    report.drawn("gates-SE_4_2")
    report.show("#gates-csv")
    report.settle()
    with report.page.expect_download() as waiting:
        report.page.locator("#gates-csv").click()
    file = tmp_path / "gates.csv"
    waiting.value.save_as(file)
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    shown = [r for r in rows if (r["block"], r["class"]) == ("SE_4_2", "4")]
    expected = record.stats("SE_4_2").mean[4]
    assert [int(r["channel"]) for r in shown] == list(range(len(expected)))
    np.testing.assert_allclose([float(r["mean"]) for r in shown], expected, atol=2e-5)
