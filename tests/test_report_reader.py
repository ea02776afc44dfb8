"""What a reader does with the report: follows a finding, sends a link, searches, prints, saves."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Opened, needs_browser, opened, running
from conftest import sampled, without_pictures
from synthetic import record_of_gates, with_predictions

import seviz
from seviz.results.ablation import Ablation, Replaced
from seviz.results.record import Record

pytestmark = needs_browser

NAMES = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay"]
EACH = 24
BEST = "SE_3_1"  # the block that tells classes apart best


@pytest.fixture(scope="module")
def gates() -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Return gates of single images, [240, C] by block; one channel of the second is all class."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(10), EACH)
    made = []
    for width, own in ((6, 0.02), (12, 0.25), (130, 0.05)):
        by_class = rng.uniform(-1, 1, (10, width))[labels]
        made.append(0.5 + own * by_class + rng.uniform(-0.15, 0.15, (len(labels), width)))
    made[1][:, 5] = made[1][:, 4] * 0.5 + 0.25  # moves with another
    return made


@pytest.fixture(scope="module")
def record(gates: list[Any]) -> Record:
    labels = np.repeat(np.arange(10), EACH)
    made = record_of_gates(gates, labels, NAMES, indices=np.arange(len(labels)))
    return with_predictions(made)


@pytest.fixture(scope="module")
def path(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    header = record.header
    rows = [
        Replaced(b.name, (b.name,), lost=30 if i == 0 else 3, won=2, params=b.params, macs=b.params)
        for i, b in enumerate(record.blocks)
    ]
    ablation = Ablation(
        header.checkpoint, header.checkpoint_sha256, header.architecture, header.source, header.split,
        images=header.images, right=int(0.8 * header.images), by="block", gates="mean", seed=0,
        params=100_000, se_params=sum(r.params for r in rows), macs=10**6, single=tuple(rows),
        cumulative=tuple(rows),
    )  # fmt: skip
    audit = replace(
        seviz.audit(seviz.sample("se_resnet_digits"), sweep=(2,)), name=header.checkpoint
    )
    folder = tmp_path_factory.mktemp("reader")
    with without_pictures():
        return seviz.write_report(record, folder, audit=audit, ablation=ablation)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(browser: Any, path: Path) -> Iterator[Opened]:
    """The report, open for all tests that leave it as it was."""
    with opened(browser, path, viewport={"width": 1440, "height": 900}) as report:
        yield report


def hash_holds(report: Opened, text: str) -> None:
    """Wait until the address says something."""
    report.page.wait_for_function(
        "(text) => decodeURIComponent(location.hash).includes(text)", arg=text
    )


def in_view(report: Opened, selector: str) -> bool:
    """Wait until the page has come to rest; return whether the top of something is in view."""
    report.settle()
    report.page.wait_for_function(
        "(s) => new Promise((go) => { const e = document.querySelector(s); let y = null; const look = () => {"
        " const now = e.getBoundingClientRect().top; if (now === y) go(true);"
        " y = now; setTimeout(look, 60); }; look(); })",
        arg=selector,
    )
    top = report.page.evaluate(
        "(s) => document.querySelector(s).getBoundingClientRect().top", selector
    )
    return bool(-40 <= top < 900)


def test_the_first_screen_is_map_accuracy_and_three_findings(
    report: Opened, record: Record
) -> None:
    page = report.page
    bottom = {
        what: max(
            e.bounding_box()["y"] + e.bounding_box()["height"] for e in page.locator(what).all()
        )
        for what in (".network ol", ".numbers", ".leading li")
    }
    assert max(bottom.values()) <= 900
    assert page.locator(".leading li").count() == 3
    matrix = record.arrays["confusion"]
    top1 = page.locator(".numbers > div").first.inner_text()
    assert f"{matrix.trace() / matrix.sum():.2%}" in top1
    assert "95 %" in top1
    most, links = page.locator(".leading li").all_inner_texts(), page.locator(".leading a")
    assert f"{BEST} tells classes apart best" in most[0]
    assert "SE_2_1 matters most" in most[1]
    wrong = matrix - np.diag(np.diagonal(matrix))
    assert f"{wrong.max():,} images" in most[2]
    for i, target in enumerate((f'[data-panel="{BEST}"]', "#ablation", "#confusion")):
        links.nth(i).click()
        assert in_view(report, target), target
        page.go_back()
    report.settle()
    assert page.evaluate("location.hash") == ""


def test_the_page_glides_where_motion_is_liked(browser: Any, path: Path) -> None:
    with opened(browser, path, reduced_motion="no-preference") as report:
        report.page.locator(".leading a").first.click()
        assert in_view(report, f'[data-panel="{BEST}"]')
        assert report.complaints == []


def test_every_link_of_the_page_leads_somewhere(report: Opened) -> None:
    lost = report.page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.getAttribute('href').slice(1)"
        ".split('?')[0]).filter((id) => document.getElementById(id) === null)"
    )
    assert lost == []


def test_a_link_shows_what_its_sender_saw(browser: Any, path: Path) -> None:
    with opened(browser, path) as sender:
        page = sender.page
        sender.drawn(f"gates-{BEST}")
        page.get_by_role("button", name="Remove ant", exact=True).click()
        page.locator('#class-choices input[data-row="7"]').check()
        page.locator('[data-block="SE_2_1"]').uncheck()
        page.select_option("#order", "mean")
        page.locator("#show-band").check()
        page.locator('[data-zoom="gates"][data-by="0.5"]').click()
        page.locator(f'[data-block="{BEST}"]').focus()
        hash_holds(sender, "view=")
        page.locator("#channel-number").fill("7")
        page.locator("#channel-number").press("Enter")
        hash_holds(sender, "channel=")
        page.locator("#confusion-order").select_option("hardest first")
        page.locator("#confusion-row").fill("bee")
        page.locator("#confusion-row").press("Enter")
        hash_holds(sender, "true=bee")
        page.locator("#table-classes").get_by_role("button", name="recall").click()
        page.locator('[data-filter="classes"]').fill("e")
        hash_holds(sender, "find-classes=e")
        link = page.url
        seen = said(sender)
        assert sender.complaints == []
    with opened(browser, path, link.partition("#")[2]) as reader:
        reader.drawn("confusion")
        reader.drawn(f"gates-{BEST}")
        assert said(reader) == seen
        assert decoded(reader) == decoded(link)
        assert reader.complaints == []


def decoded(link: Opened | str) -> str:
    from urllib.parse import unquote_plus

    url = link if isinstance(link, str) else link.page.url
    return unquote_plus(url.partition("#")[2])


def said(report: Opened) -> dict[str, Any]:
    """Return what the reader sees of what was chosen."""
    found: dict[str, Any] = report.page.evaluate(
        """async () => ({
          chips: [...document.querySelectorAll('#chips .chip')].map((c) => [c.textContent,
            c.querySelector('.swatch').style.background]),
          blocks: [...document.querySelectorAll('.panel:not([hidden])')].map((p) => p.dataset.panel),
          controls: ['order', 'show-band', 'confusion-order', 'confusion-row', 'channel-block',
            'channel-number'].map((id) => byId(id).type === 'checkbox' ? byId(id).checked : byId(id).value),
          view: Object.values(asked.view).map((v) => v.toFixed(3)),
          sorted: [...document.querySelectorAll('#table-classes tbody tr:not([hidden]) th')].map((h) =>
            h.textContent),
          heads: [...document.querySelectorAll('[aria-sort$=cending]')].map((h) => h.textContent),
          confusion: [byId('confusion-text').textContent, [...picked.rows].sort((a, b) => a - b)],
          channel: byId('channel-title').textContent,
        })"""
    )
    return found


def test_back_and_forward_go_through_what_was_chosen(browser: Any, path: Path) -> None:
    with opened(browser, path) as report:
        page = report.page
        report.drawn(f"gates-{BEST}")
        orders = page.locator("#order")
        for order in ("mean", "selectivity"):
            page.select_option("#order", order)
            hash_holds(report, f"order={order}")
        field = page.locator('[data-filter="classes"]')
        field.press_sequentially("ibis", delay=5)
        hash_holds(report, "find-classes=ibis")
        page.go_back()  # what was typed was one step
        page.wait_for_function("document.querySelector('[data-filter=classes]').value === ''")
        assert orders.input_value() == "selectivity"
        page.go_back()
        page.wait_for_function("document.getElementById('order').value === 'mean'")
        page.go_back()
        page.wait_for_function("document.getElementById('order').value === 'index'")
        assert page.evaluate("location.hash") == ""
        for _ in range(3):
            page.go_forward()
        page.wait_for_function("document.querySelector('[data-filter=classes]').value === 'ibis'")
        assert orders.input_value() == "selectivity"
        assert page.locator("#table-classes tbody tr:not([hidden])").count() == 1
        assert report.complaints == []


DAMAGED = (
    "gates?order=backwards&view=1,2,x&class=yeti&colour=-1&colour=z&block=SE_9_9&channel=SE_3_1:9999",
    "%E0%A4%A?order=%zz&channel=%&cells=9,9,1&sort=classes&sort=classes:99:ascending&sort=:::&map=no",
    "?&&==&class&block&__proto__=1&constructor=2&show=3&log=7&true",
    "block-SE_9_9?view=NaN,1,0,1&cells=1e9,2,3,4",
    "<img src=x onerror=window.harmed=1>?class=<img src=x onerror=window.harmed=1>",
)


# By day the page is opened with one of them, and then led to the others.
@pytest.mark.parametrize("opening", sampled(range(len(DAMAGED)), of=len(DAMAGED)))
def test_what_an_address_says_of_nothing_known_is_left_aside(
    browser: Any, path: Path, opening: int
) -> None:
    first, *others = DAMAGED[opening:] + DAMAGED[:opening]
    with opened(browser, path, first) as report:
        page = report.page
        for damaged in (first, *others):
            page.goto(f"{path.resolve().as_uri()}#{damaged}")
            report.drawn("confusion")
            assert page.locator("#order").input_value() == "index", damaged
            blocks = page.evaluate("shownBlocks().length")
            assert blocks >= (0 if "&block&" in damaged else 2), damaged
            assert page.evaluate("window.harmed ?? null") is None, damaged
            assert page.evaluate("confusion.said()") == [], damaged
            assert report.complaints == [], damaged


def test_a_link_that_says_one_thing_very_often_costs_little(browser: Any, path: Path) -> None:
    """An address of 2 MB is read in the time of its length, and each table is sorted once."""
    with opened(browser, path) as report:
        took, kept, sorts = report.page.evaluate(
            """async () => {
              const button = all(".table .sort")[0];
              const text = `class=bee&sort=${nameOfTable(button)}:${button.dataset.column}:ascending&`;
              const begun = performance.now();
              const { said } = readAddress(`#gates?${text.repeat(1e5)}`);
              let sorts = 0;
              new MutationObserver((all) => (sorts += all.length)).observe(byId("said"), { childList: true });
              kept.get("sort").set(said.get("sort"));
              await breath();
              return [performance.now() - begun, said.get("class").length, sorts];
            }"""
        )
        assert took < 2000
        assert kept == 5000
        assert 1 <= sorts <= 2
        assert report.complaints == []


def test_a_search_says_when_it_finds_nothing_and_shows_what_it_finds(
    report: Opened, record: Record
) -> None:
    page = report.page
    report.drawn("confusion")
    row, text = page.locator("#confusion-row"), page.locator("#confusion-text")
    row.fill("yeti")
    row.press("Enter")
    page.wait_for_function("byId('confusion-text').textContent !== ''")
    assert text.inner_text() == "No class of 10 has “yeti” in its name."
    assert page.evaluate("confusion.shape") == [10, 10]
    row.fill("B")  # bee and ibis
    row.press("Enter")
    page.wait_for_function("byId('confusion-text').textContent.startsWith('Found 2')")
    report.settle()
    shown = page.evaluate("[confusion.content.rows, confusion.content.columns]")
    assert shown == [["bee", "ibis"], ["bee", "ibis"]]
    values = [
        0 if v is None else v
        for v in page.evaluate("[...confusion.content.values].map((v) => v || 0)")
    ]
    expected = record.arrays["confusion"][np.ix_([1, 8], [1, 8])]
    assert np.reshape(values, (2, 2)).tolist() == expected.tolist()
    row.fill("dog")
    row.press("Enter")
    page.wait_for_function("byId('confusion-text').textContent.startsWith('dog:')")
    report.settle()
    rows, columns = page.evaluate("[confusion.content.rows, confusion.content.columns]")
    assert rows == columns
    assert "dog" in rows
    assert len(rows) == 6
    size = page.evaluate("[confusion.figure.x_range.end, confusion.figure.y_range.start]")
    assert size == [6, 6]
    row.fill("")
    row.press("Enter")
    page.wait_for_function("byId('confusion-text').textContent === ''")
    report.settle()
    assert page.evaluate("confusion.figure.x_range.end") == 10
    page.locator("#class-search").fill("yeti")
    assert page.locator("#class-count").inner_text() == "No class of 10 has “yeti” in its name."
    page.locator("#class-search").fill("")
    find = page.locator('[data-filter="classes"]')
    find.fill("yeti")
    assert page.locator("#none-classes").inner_text() == "No row of 10 has “yeti” in its name."
    find.fill("")
    assert page.locator("#none-classes").is_hidden()


def test_few_stops_of_the_tab_key_lead_to_the_panels(report: Opened) -> None:
    page = report.page
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    page.locator(".skip").first.focus()
    stops = 1
    while page.evaluate("!document.activeElement.closest('#panels, #panels ~ *')"):
        page.keyboard.press("Tab")
        stops += 1
        assert stops < 60
    assert stops <= 25
    page.locator(".network a").first.focus()
    page.keyboard.press("ArrowRight")
    assert "SE_3_1" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("End")
    assert "SE_4_1" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.network') === null")
    page.locator("#chips .chip").first.focus()
    page.keyboard.press("Enter")  # the class goes, and the keyboard stays among the chips
    assert page.evaluate("document.activeElement.closest('#chips') !== null")
    page.go_back()
    page.wait_for_function("document.querySelectorAll('#chips .chip').length === 4")


@pytest.mark.parametrize("width", [390, pytest.param(768, marks=pytest.mark.nightly), 1440])
def test_wide_tables_say_so_and_keep_their_names(report: Opened, width: int) -> None:
    page = report.page
    page.set_viewport_size({"width": width, "height": 900})
    for table in page.locator(".table").all():
        table.scroll_into_view_if_needed()
        report.settle()
        scroll = table.locator(".scroll")
        wide = scroll.evaluate("(e) => e.scrollWidth > e.clientWidth + 1")
        assert table.locator(".hint").first.is_visible() == wide
        title = table.locator(".title")
        if title.count():
            assert title.evaluate("(e) => e.scrollWidth <= e.clientWidth + 1")
        if wide:
            scroll.evaluate("(e) => e.scrollTo(e.scrollWidth, 0)")
            left = scroll.evaluate("(e) => e.getBoundingClientRect().left")
            name = table.locator("tbody tr").first.locator("th, td").first
            if name.evaluate("(e) => e.tagName") == "TH":
                assert name.bounding_box()["x"] >= left - 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1440, "height": 900})


def test_ten_classes_have_ten_swatches(browser: Any, path: Path) -> None:
    with opened(browser, path) as report:
        report.page.evaluate(
            "document.querySelectorAll('#class-choices input:not(:checked)').forEach((b) => b.click())"
        )
        report.settle()
        seen = {chip.screenshot() for chip in report.page.locator("#chips .swatch").all()}
        assert len(seen) == 10


def test_the_page_opens_at_the_most_class_specific_block(report: Opened, gates: list[Any]) -> None:
    page = report.page
    eta = [
        float((own.reshape(10, EACH, -1).mean(axis=1).var(axis=0) / own.var(axis=0)).mean())
        for own in gates
    ]
    assert int(np.argmax(eta)) == 1, "which is SE_3_1"
    report.drawn("channel")
    assert page.locator(f'[data-panel="{BEST}"]').is_visible()
    assert "most class-specific" in page.locator(f'[data-panel="{BEST}"]').inner_text()
    assert page.locator("#channel-block").input_value() == BEST
    assert page.locator(".map-block").first.input_value() == BEST


def test_a_channel_tells_its_images_and_companions(
    report: Opened, record: Record, gates: list[Any]
) -> None:
    page = report.page
    report.drawn("channel")
    page.locator("#channel-block").select_option(BEST)
    page.locator("#channel-number").fill("4")
    page.locator("#channel-number").press("Enter")
    page.wait_for_function("byId('channel-title').textContent.endsWith('channel 4')")
    report.settle()
    own = gates[1][:, 4].astype(np.float32).astype(np.float64)
    order = np.argsort(-own, kind="stable")
    for ends, images in (("largest", order[:6]), ("smallest", order[::-1][:6])):
        listed = page.locator(f"#channel-{ends} li").all_inner_texts()
        assert len(listed) == 6
        for text, image in zip(listed, images, strict=True):
            name, rest = text.split("\n")
            assert name == f"image {image}"
            assert rest.startswith(f"{NAMES[image // EACH]}, ")
            assert float(rest.split(", ")[1]) == pytest.approx(own[image], abs=2e-3)
    companions = page.locator("#channel-companions li").all_text_contents()
    assert companions[0] == f"{BEST}:5 +1.00"
    boxes = page.evaluate("async () => source(await draw('channel'), 'boxes').data")
    who = page.evaluate("async () => source(await draw('channel'), 'classes').data.who")
    for i, name in enumerate(who):
        mine = own[NAMES.index(name) * EACH :][:EACH]
        expected = np.quantile(mine, (0.25, 0.5, 0.75))
        got = [boxes[k][i] for k in ("first", "median", "third")]
        np.testing.assert_allclose(got, expected, atol=2e-3)
    page.locator("#channel-companions a").first.click()
    page.wait_for_function("byId('channel-title').textContent.endsWith('channel 5')")
    page.go_back()
    page.wait_for_function("byId('channel-title').textContent.endsWith('channel 4')")


def saved(report: Opened, selector: str) -> list[dict[str, str]]:
    report.show(selector)
    report.settle()  # what comes into view is drawn, and moves what is pressed
    with report.page.expect_download() as waiting:
        report.page.locator(selector).click()
    return list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))))


def test_saved_tables_have_a_number_to_a_cell_and_all_of_their_rows(
    report: Opened, record: Record
) -> None:
    page, matrix = report.page, record.arrays["confusion"]
    names = page.evaluate("[...document.querySelectorAll('[data-csv]')].map((b) => b.dataset.csv)")
    assert len(names) >= 5
    for name in names:
        rows = saved(report, f'[data-csv="{name}"]')
        assert rows
        for cell in (c for row in rows for c in row.values()):
            assert not re.search(r"\d\s*\[|%$", cell), (name, cell)
    pairs = saved(report, '[data-csv="pairs"]')
    wrong = {
        (NAMES[i], NAMES[j]): int(matrix[i, j])
        for i in range(10)
        for j in range(10)
        if i != j and matrix[i, j]
    }
    assert {(r["true"], r["predicted"]): int(r["count"]) for r in pairs} == wrong
    report.drawn(f"gates-{BEST}")
    curves = saved(report, "#gates-csv")
    every = [float(r["mean"]) for r in curves if (r["block"], r["class"]) == (BEST, "all")]
    np.testing.assert_allclose(every, record.stats(BEST).all_mean, atol=2e-5)


@pytest.mark.usefixtures("no_pictures")
def test_printed_tables_repeat_their_heads_and_nothing_is_cut(browser: Any, tmp_path: Path) -> None:
    import pymupdf

    record = with_predictions(
        record_of_gates(
            [np.random.default_rng(i).uniform(0.2, 0.8, (60, 8)) for i in range(60)],
            np.repeat(np.arange(30), 2),
            [f"kind {i}" for i in range(30)],
            indices=np.arange(60),
        )
    )
    audit = replace(seviz.audit(seviz.sample("se_resnet_digits")), name=record.header.checkpoint)
    page = seviz.write_report(record, tmp_path, audit=audit)
    with opened(browser, page, color_scheme="dark") as report:
        printed = report.page.pdf(format="A4", prefer_css_page_size=True, print_background=True)
    margin, heads = 36, []  # points
    open_pdf: Any = pymupdf.open
    with open_pdf(stream=io.BytesIO(printed), filetype="pdf") as document:
        for sheet in document:
            beyond = [w[4] for w in sheet.get_text("words") if w[0] < margin or w[2] > 595 - margin]
            assert beyond == []
            text = sheet.get_text()
            if len(re.findall(r"SE_\d+_1\n8\n", text)) >= 2:  # rows of the findings: name, channels
                heads.append(re.search(r"shuffled\s+labels", text) is not None)
    assert len(heads) >= 2, "the table takes two pages"
    assert all(heads)


def test_names_and_sentences_are_spelled_as_they_should(report: Opened) -> None:
    text = report.page.evaluate("document.body.innerText")
    assert not re.search(r"\bsE\b|\bSe_\d|\bmACs\b|\bfLOPs\b", text)
    for said in report.page.locator(".sentences li, .leading p, .alarm").all_inner_texts():
        assert re.match(r"[A-Z“\d]|Note\. ", said), said


def test_without_scripts_nothing_is_offered_that_needs_them(browser: Any, path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.resolve().as_uri())
    assert page.locator(".leading a").first.is_visible()
    assert not [
        b
        for b in page.locator("button").all()
        if b.is_visible() and "sort" not in (b.get_attribute("class") or "")
    ]
    assert page.locator(f"#block-{BEST}").count() == 1
    assert page.locator("#table-classes tbody tr").count() == 10
    context.close()
