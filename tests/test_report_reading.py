"""The report as it is read: by eye, by ear, by hand, on paper, on a phone, with names meant to harm."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import TOOLTIP, Opened, needs_browser, opened, running
from conftest import at_night
from synthetic import CIFAR, make_record, record_of_gates, with_predictions

import seviz
from seviz.results.ablation import Ablation, Replaced
from seviz.results.record import Record

pytestmark = needs_browser

HOSTILE = (
    "<script>window.harmed = 1</script>",
    "</script><img src=x onerror='window.harmed = 2'>",
    '"><svg onload=window.harmed=3>',
    "'; window.harmed = 4; //",
    "\u202egnp.exe\u202c",
    "x" * 300,
    "猫 🐈 Straße",
    "${window.harmed=5}{{7*7}}@who{safe}$x",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running() as browser:
        yield browser


def an_ablation(record: Record) -> Ablation:
    rows = [
        Replaced(b.name, (b.name,), lost=4 + i, won=3, params=b.params, macs=b.params)
        for i, b in enumerate(record.blocks)
    ]
    header = record.header
    return Ablation(
        header.checkpoint, header.checkpoint_sha256, header.architecture, header.source, header.split,
        images=header.images, right=int(0.8 * header.images), by="block", gates="mean", seed=0,
        params=100_000, se_params=sum(r.params for r in rows), macs=10**6, single=tuple(rows),
        cumulative=tuple(rows),
    )  # fmt: skip


@pytest.fixture(scope="module")
def record() -> Record:
    return with_predictions(make_record(CIFAR, [f"kind {i}" for i in range(10)]))


@pytest.fixture(scope="module")
def path(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    audit = replace(seviz.audit("timm:seresnext26d_32x4d"), name=record.header.checkpoint)
    folder = tmp_path_factory.mktemp("page")
    return seviz.write_report(record, folder, audit=audit, ablation=an_ablation(record))


# What is judged takes as long as the page has elements: by day it has every section, but few blocks.
@pytest.fixture(params=["few", at_night("many")])
def judged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "many":
        return request.getfixturevalue("path")
    record = with_predictions(make_record(((1, 16), (1, 32)), [f"kind {i}" for i in range(4)]))
    audit = replace(seviz.audit(seviz.sample("se_resnet_digits")), name=record.header.checkpoint)
    return seviz.write_report(record, tmp_path, audit=audit, ablation=an_ablation(record))


def test_no_serious_violation_of_accessibility(browser: Any, judged: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # In the other scheme the page has other colours, and nothing else is other.
    colours = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
    with opened(browser, judged, color_scheme="light") as report:
        report.draw_all()
        for scheme, rules in (("light", None), ("dark", colours)):
            report.page.emulate_media(color_scheme=scheme)  # drawn charts follow
            report.settle()
            answer = Axe().run(report.page, options=rules).response
            assert answer["passes"], "rules were looked at"
            found = answer["violations"]
            serious = [
                (v["id"], [n["target"] for n in v["nodes"]][:3])
                for v in found
                if v["impact"] in ("serious", "critical")
            ]
            assert serious == [], scheme
        still = "getComputedStyle(document.documentElement).scrollBehavior"
        assert report.page.evaluate(still) == "auto"


def test_every_chart_has_words_and_data(browser: Any, path: Path) -> None:
    with opened(browser, path) as report:
        for chart in report.page.locator(".chart").all():
            assert len(chart.get_attribute("aria-label")) > 10
        sections = report.page.evaluate(
            "[...document.querySelectorAll('section')].filter((s) => s.querySelector('.chart'))"
            ".map((s) => s.querySelectorAll('table, [id$=csv]').length)"
        )
        assert len(sections) == 5
        assert min(sections) >= 1


def test_the_keyboard_reaches_every_control(browser: Any, path: Path) -> None:
    with opened(browser, path) as report:
        page = report.page
        wanted = page.evaluate(
            "[...document.querySelectorAll('button, input, select, a[href], summary')]"
            ".filter((e) => e.checkVisibility()).map((e, i) => (e.dataset.place = i))"
        )
        # The Tab key stops once in each group; within it arrow keys go on.
        at = (
            "(() => { const e = document.activeElement;"
            " return [e.dataset.place ?? null, e.closest('[aria-describedby=arrows]') !== null]; })()"
        )
        seen: set[int] = set()
        for _ in range(len(wanted)):
            page.keyboard.press("Tab")
            place, grouped = page.evaluate(at)
            while place is not None and int(place) not in seen:
                seen.add(int(place))
                if grouped:
                    page.keyboard.press("ArrowRight")
                    place, grouped = page.evaluate(at)
            if len(seen) == len(wanted):
                break
        assert seen == set(wanted)


def test_readable_on_a_phone(browser: Any, path: Path) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with opened(browser, path, **phone) as report:
        report.draw_all()
        page = report.page
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        beyond = page.evaluate(
            "[...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() && "
            "!e.closest('.scroll, .choices') && e.getBoundingClientRect().right > 391)"
            ".map((e) => e.outerHTML.slice(0, 80))"
        )
        assert beyond == []
        # A finger scrolls the page wherever it is put.
        assert page.evaluate("async () => (await draw('confusion')).toolbar.active_drag") is None
        page.set_viewport_size({"width": 844, "height": 390})
        report.settle()
        page.set_viewport_size({"width": 390, "height": 844})
        report.settle()
        assert report.complaints == []


def test_schemes_differ_and_follow(browser: Any, path: Path) -> None:
    with opened(browser, path) as report:
        light = report.pixels("confusion")
        assert light.mean() > 180
        report.page.emulate_media(color_scheme="dark")
        for _ in range(100):  # the page is told when the browser finds time to
            if report.pixels("confusion").mean() < 110:
                break
        else:
            raise AssertionError("the chart stays light")


def pages(report: Opened) -> list[Any]:
    """Print to A4; return the pages as arrays of grey, 0 to 255."""
    import pymupdf

    data = report.page.pdf(format="A4", prefer_css_page_size=True, print_background=True)
    with pymupdf.open(stream=io.BytesIO(data), filetype="pdf") as document:
        assert {(round(p.rect.width), round(p.rect.height)) for p in document} <= {
            (595, 842),
            (596, 842),
        }
        return [
            (
                np.frombuffer(s.samples, np.uint8).reshape(s.height, s.width, s.n),
                p.get_text(),
                [tuple(b["bbox"]) for b in p.get_image_info()],
            )
            for p in document
            for s in [p.get_pixmap(dpi=50)]
        ]


def test_prints_to_paper_without_cut_panels(browser: Any, path: Path) -> None:
    with opened(browser, path, color_scheme="dark") as report:
        tall = report.page.evaluate(
            "() => { const found = []; for (const s of document.querySelectorAll('.still img'))"
            " found.push(s.naturalHeight / s.naturalWidth); return found; }"
        )
        printed = pages(report)
    text = " ".join(words for _, words, _ in printed)
    for title in ("Findings", "Gates", "Depth", "Cost", "Ablation", "Confusion", "Provenance"):
        assert title in text
    assert len(tall) >= 6
    for pixels, words, _ in printed:
        grey = pixels.mean(axis=2)
        assert grey[[0, -1]].min() > 250, "ink in the margin"
        assert grey[:, [0, -1]].min() > 250, "ink in the margin"
        assert words.strip() or (grey < 200).sum() > 500, "an empty page"
    # Panels are divided by no page: the titles of each figure's panels are on one.
    blocks = ("SE_2_3", "SE_3_3", "SE_4_1", "SE_4_2", "SE_4_3")
    whole = [w for _, w, _ in printed if all(f"{b}: class by channel" in w for b in blocks)]
    assert len(whole) == 1


def test_a_table_that_a_page_holds_is_on_one_page(browser: Any, path: Path) -> None:
    """Wherever on a page it begins; its head is never left alone at the foot."""
    with opened(browser, path) as report:
        report.page.evaluate(
            """() => {
              const space = document.createElement("div");
              space.id = "space";
              document.querySelector("main").replaceChildren(space, byId("table-classes"));
            }"""
        )
        for millimetres in (215, 225, 235):
            report.page.evaluate(f"() => {{ byId('space').style.height = '{millimetres}mm'; }}")
            found = [words for _, words, _ in pages(report)]
            holding = [words for words in found if "kind 0" in words]
            assert len(holding) == 1, millimetres
            assert all(f"kind {k}" in holding[0] for k in range(10))
            assert holding[0].count("precision") == 1
            assert sum("precision" in words for words in found) == 1, millimetres


def test_a_legend_keeps_each_mark_with_its_name(browser: Any, path: Path) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with opened(browser, path, **phone) as report:
        apart = report.page.evaluate(
            """() => [...document.querySelectorAll("p.legend .key")].map((key) => {
              const range = document.createRange();
              range.setStartAfter(key);
              range.setEnd(key.nextSibling, 1);
              const [mark, name] = [key, range].map((one) => one.getBoundingClientRect());
              return name.top < mark.bottom && mark.top < name.bottom && mark.right <= name.left;
            })"""
        )
        assert len(apart) >= 5
        assert all(apart)
        # A word of a row's name is not divided.
        divided = report.page.evaluate(
            """() => [...document.querySelectorAll("tbody th")].filter((cell) => {
              if (!cell.checkVisibility() || !/^[a-z, ]+$/.test(cell.textContent.trim())) return false;
              const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
              return [...text.data.matchAll(/[a-z]+/g)].some(({ index, 0: word }) => {
                const range = document.createRange();
                range.setStart(text, index);
                range.setEnd(text, index + word.length);
                return range.getClientRects().length > 1;
              });
            }).map((cell) => cell.textContent)"""
        )
        assert divided == []


def test_without_scripts_the_figures_are_there(browser: Any, path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.resolve().as_uri())
    stills = page.locator(".still img")
    assert stills.count() >= 6
    for still in stills.all():
        still.scroll_into_view_if_needed()
        assert still.bounding_box()["height"] > 100
    assert not page.locator("#gate-controls").is_visible()
    context.close()


def test_hostile_names_are_text(browser: Any, tmp_path: Path) -> None:
    record = with_predictions(make_record(((1, 16), (1, 32)), HOSTILE))
    header = replace(
        record.header,
        checkpoint="<script>window.harmed=6</script>.pt",
        source="/home/me/<b>pictures</b>",
        command="seviz report '/home/me/secret/</script><script>window.harmed=7</script>.pt'",
        notes=("read /home/me/secret/<img src=x onerror=window.harmed=8>",),
        skipped=(("/home/me/secret/<script>window.harmed=9</script>.png", "cut off"),),
    )
    path = seviz.write_report(replace(record, header=header), tmp_path)
    text = path.read_text(encoding="utf-8")
    assert "/home/me" not in text
    with opened(browser, path) as report:
        page = report.page
        report.draw_all()
        listed = page.locator("#class-choices bdi").all_inner_texts()
        assert listed[0] == HOSTILE[0]
        assert listed[4] == r"\u202egnp.exe\u202c"
        assert listed[5:] == list(HOSTILE[5:])
        page.evaluate(
            "document.querySelectorAll('#class-choices input:not(:checked)').forEach((b) => b.click())"
        )
        report.settle()
        assert page.locator("#class-choices input:checked").count() == len(HOSTILE)
        said = []
        for row in range(len(HOSTILE)):
            said.append(report.hover("confusion", 0.55, (row + 0.5) / 8 * 0.75))
        assert any("<script>window.harmed = 1</script>" in s for s in said)
        page.locator("#confusion-row").fill(HOSTILE[1])
        page.locator("#confusion-row").press("Enter")
        page.wait_for_function("document.getElementById('confusion-text').textContent !== ''")
        assert page.locator("#confusion-text").inner_text().startswith(HOSTILE[1])
        options = page.evaluate(
            "[...document.querySelectorAll('#class-names option')].map((o) => o.value)"
        )
        assert options[3] == HOSTILE[3]
        assert page.evaluate(TOOLTIP) is not None
        assert page.evaluate("window.harmed ?? null") is None
        assert (
            page.evaluate(
                "document.querySelectorAll('main script, main img[src=x], main svg:not(.network svg)').length"
            )
            == 0
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert report.complaints == []


def test_partial_and_stuck_are_said_on_the_first_screen(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gates = [rng.uniform(0, 1, (40, 8)), np.full((40, 8), 0.5)]
    labels = np.repeat([0, 1], 20)
    record = record_of_gates(gates, labels, ["a", "b"], partial=True)
    path = seviz.write_report(record, tmp_path)
    with opened(browser, path) as report:
        alarms = report.page.locator(".alarm")
        said = " ".join(alarms.all_inner_texts())
        assert "interrupted after 40 images" in said
        assert "SE_3_1" in said
        assert "0.5" in said
        for alarm in alarms.all():
            assert alarm.bounding_box()["y"] < 700
        assert "stuck at 0.500" in report.page.locator('[data-panel="SE_3_1"]').inner_text()
