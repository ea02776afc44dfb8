"""Each number that stands in several places is one number: terminal, CSV, JSON, page and figure."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run, Tiny, without_pictures
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from synthetic import record_of_gates, with_predictions

import seviz
from seviz.analysis import scores
from seviz.figures import ablation_figure, block_bars, comparison, depth, stage_bars
from seviz.results.ablation import Ablation, Replaced
from seviz.results.evaluation import Evaluation
from seviz.results.record import Record

BLOCKS = ("SE_2_1", "SE_3_1", "SE_4_1")
LOST = (30, 9, 17)  # raw p-values: below 0.05 for all, adjusted for two alone


class Page(HTMLParser):
    """The tables of a page by name, row by row: the text of each cell and the number behind it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, float | None]]]] = {}
        self._rows: list[list[tuple[str, float | None]]] | None = None
        self._open = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "div" and (found.get("id") or "").startswith("table-"):
            self._rows = self.tables[str(found["id"])[6:]] = []
        elif self._rows is not None and tag == "tr":
            self._rows.append([])
        elif self._rows and tag in ("td", "th"):
            sort = found.get("data-sort")
            self._rows[-1].append(("", float(sort) if sort is not None else None))
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open and self._rows and self._rows[-1]:
            text, sort = self._rows[-1][-1]
            self._rows[-1][-1] = (text + data.strip(), sort)

    def numbers(self, table: str) -> dict[str, dict[str, tuple[str, float | None]]]:
        """Return a table by the name of the row and the title of the column."""
        titles, *rows = self.tables[table]
        return {
            row[0][0]: dict(zip((t for t, _ in titles), row, strict=True)) for row in rows if row
        }


@pytest.fixture(scope="module")
def ablation() -> Ablation:
    single = tuple(
        Replaced(name, (name,), lost, 1, 100 * n, 90 * n)
        for n, (name, lost) in enumerate(zip(BLOCKS, LOST, strict=True), start=1)
    )
    together = tuple(
        replace(part, blocks=BLOCKS[: n + 1], lost=lost)
        for n, (part, lost) in enumerate(zip(single, (5, 12, 40), strict=True))
    )
    return Ablation(
        "se_net.pt", "0" * 64, "se_net", "pictures", "val", 120, 90, "block", "mean", 0, 10_000, 600,
        10**6, single, together,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, ablation: Ablation, tiny: Tiny) -> Path:
    """Return a folder with every result of one network, and its report."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4
    gates = [
        0.5 + 0.1 * rng.normal(size=(120, 6)) + 0.05 * labels[:, None],
        0.5 + 0.002 * rng.normal(size=(120, 6)),
        np.where(rng.random((120, 6)) < 0.4, 0.99, 0.4),
    ]
    record = with_predictions(record_of_gates(gates, labels, "abcd", indices=np.arange(120)))
    path = tmp_path_factory.mktemp("agree")
    record.save(path)
    ablation.save(path)
    audit = seviz.audit(seviz.load(tiny.path), sweep=(2, 4))
    replace(audit, checkpoint_sha256=record.header.checkpoint_sha256).save(path)
    with without_pictures():
        seviz.write_report(path, path)
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(folder / "report.html")


def read(path: Path, key: str) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row[key]: row for row in csv.DictReader(file)}


def line(text: str, start: str, after: str = "") -> str:
    """Return the first line that begins with a word, after a heading."""
    lines = text[text.index(after) :].splitlines()
    return " ".join(
        next(x for x in lines if x.split()[:1] == start.split()[:1] and x.startswith(start)).split()
    )


def agree(
    exact: float | None,
    cell: str,
    shown: tuple[str, float | None],
    text: str,
    *,
    interval: bool = True,
) -> None:
    """Check a number (JSON) against a cell of CSV, one of the page, and a line of the terminal."""
    words, sort = shown
    if exact is None:
        assert (cell, sort) == ("", None)
        return
    assert sort == exact
    assert float(cell) == pytest.approx(exact, rel=1e-8, abs=1e-12)
    brief = words if interval or words.startswith("(") else words.split(" [")[0]
    assert brief in text


def dots(axes: Any, marker: str) -> list[float]:
    """Return the heights of the dots of a panel in order of their places."""
    found = {}
    for drawn in axes.lines:
        if drawn.get_marker() == marker:
            found |= {round(float(x)): float(y) for x, y in drawn.get_xydata()}
    return [found[x] for x in sorted(found)]


def test_ablation(run: Run, folder: Path, page: Page, ablation: Ablation, capsys: Any) -> None:
    from seviz.cli.ablate import _document, say
    from seviz.cli.console import Speaker
    from seviz.report.folder import write_ablation

    write_ablation(ablation, folder / "ablated", ("svg",))
    say(ablation, (), Speaker(as_json=False, quiet=True))
    text = capsys.readouterr().out
    document = json.loads(json.dumps(_document(ablation, ())))
    rows = read(folder / "ablated" / "ablation.csv", "name")
    # Independently: exact McNemar tests, adjusted by Holm's method.
    raw = [mcnemar([[90 - lost, lost], [1, 29]], exact=True).pvalue for lost in LOST]
    holm = multipletests(raw, method="holm")[1]
    assert [p < 0.05 for p in raw] == [True] * 3
    both = zip(document["blocks"], raw, holm, strict=True)
    with (folder / "ablated" / "ablation.csv").open(newline="") as file:
        rows = {r["name"]: r for r in csv.DictReader(file) if r["kind"] == "single"}
    for own, p, adjusted in both:
        name = own["name"]
        cells, said = page.numbers("ablation")[name], line(text, name, "Top-1 with")
        assert (own["p"], own["p_holm"]) == (pytest.approx(p), pytest.approx(adjusted))
        for key, title in (
            ("top1", "top-1"), ("delta", "change, points"), ("p", "p"), ("p_holm", "p (Holm)"),
            ("params", "parameters"), ("macs", "MACs"), ("lost", "lost"), ("won", "won"),
        ):  # fmt: skip
            agree(own[key], rows[name][key], cells[title], said)
        for end in ("ci_low", "ci_high"):
            assert float(rows[name][end]) == pytest.approx(own[end])
            assert f"{100 * own[end]:.2f}".lstrip("-") in cells["change, points"][0]
        assert cells["verdict"][0] == ("significant" if adjusted < 0.05 else "by chance")
    bars = ablation_figure(ablation).axes[1].patches
    assert [b.get_height() for b in bars] == pytest.approx(
        [100 * own["delta"] for own in document["blocks"]]
    )
    assert [b.get_facecolor() != (1, 1, 1, 1) for b in bars] == [p < 0.05 for p in holm]
    for own in document["cumulative"]:
        assert page.numbers("ablation_together")[own["name"]]["top-1"][1] == own["top1"]


def test_what_the_page_says_of_an_ablation(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    section = text[text.index('<section id="ablation"') : text.index('<section id="confusion"')]
    assert "gates held at their mean" in section
    assert "Holm" in section
    assert "without each block" not in text


FINDINGS = (
    ("class_share", "class share", True),
    ("shuffled", "shuffled labels", False),
    ("spread", "spread", False),
    ("within", "within class", False),
    ("correlation", "class correlation", False),
    ("high", "above 0.95", False),
    ("low", "below 0.05", False),
    ("dead_channels", "dead channels", False),
    ("scale_only", "scale only", False),
)


def value(found: Any) -> Any:
    return found["value"] if isinstance(found, Mapping) else found


def test_findings(run: Run, folder: Path, page: Page, tmp_path: Path) -> None:
    words = ("activations", folder, "--classes", "a", "b", "--format", "svg", "-o", tmp_path)
    text = run(*words).out
    document = json.loads(run(*words, "--json").out)
    rows = read(tmp_path / "findings.csv", "block")
    for own in document["findings"]["blocks"]:
        name = own["block"]
        cells, said = page.numbers("blocks")[name], line(text, name, "Findings of every block")
        for key, title, interval in FINDINGS:
            agree(value(own[key]), rows[name][key], cells[title], said, interval=interval)
            if isinstance(own[key], Mapping) and own[key]["low"] is not None:
                assert float(rows[name][f"{key}_low"]) == pytest.approx(own[key]["low"], rel=1e-8)
    axes = depth(seviz.findings(Record.load(folder), Ablation.load(folder))).axes
    keys = (
        ("class_share", "o", 1),
        ("spread", "o", 1),
        ("high", "o", 100),
        ("correlation", "o", 1),
    )
    keys += (("within", "^", 1), ("low", "^", 100))
    for place, (key, marker, scale) in zip((0, 1, 2, 3, 1, 2), keys, strict=True):
        known = [value(b[key]) for b in document["findings"]["blocks"] if b[key] is not None]
        assert dots(axes[place], marker) == pytest.approx([scale * v for v in known])
    # The channels of the chosen classes, and the gates that are drawn.
    channels = list(csv.DictReader((tmp_path / "selective_channels.csv").read_text().splitlines()))
    for own, row in zip(document["selective_channels"], channels, strict=True):
        assert float(row["effect"]) == pytest.approx(own["effect"]["value"], rel=1e-8)
        assert float(row["gate"]) == pytest.approx(own["own"], rel=1e-8)
    record = Record.load(folder)
    for row in csv.DictReader((tmp_path / "activations.csv").read_text().splitlines()):
        if row["class"] in "ab":
            mean = record.stats(row["block"]).mean["abcd".index(row["class"]), int(row["channel"])]
            assert float(row["mean"]) == pytest.approx(mean, rel=1e-8)


TOTALS = {
    "parameters": ("params", "total", "without_se"),
    "MACs": ("macs", "total", "without_se"),
    "FLOPs, 2 x MACs": ("flops", "total", "without_se"),
    "bytes moved": ("memory", "bytes", "bytes_without_se"),
}


def test_audit(folder: Path, page: Page, capsys: Any) -> None:
    from seviz.cli.audit_text import say
    from seviz.cli.console import Speaker
    from seviz.report.folder import write_audit

    audit = seviz.Audit.load(folder)
    write_audit(audit, folder / "audited", ("svg",))
    document = json.loads((folder / "audited" / "audit.json").read_text())
    say(audit, Speaker(as_json=False, quiet=True))
    text = capsys.readouterr().out
    totals = page.numbers("costs")
    for name, (group, with_se, without) in TOTALS.items():
        own, cells = document[group], totals[name]
        said = line(text, name)
        for number, title in (
            (own[with_se], "with SE"),
            (own[without], "without SE"),
            (own[with_se] - own[without], "SE"),
        ):
            assert cells[title] == (f"{number:,}", number)
            assert f"{number:,}" in said
    rows = read(folder / "audited" / "audit.csv", "block")
    for own in document["blocks"]:
        name, params, work = own["name"], own["cost"]["params"], own["cost"]["work"]
        cells, said = page.numbers("block_costs")[name], line(text, name, "What each block costs")
        total = sum(params[k] for k in ("weights", "biases", "norms", "others"))
        moved = work["squeeze_bytes"] + work["scale_bytes"] + 4 * total
        for number, key, title in (
            (total, "params", "parameters"),
            (params["weights"], "weights", "weights"),
            (work["fc_macs"], "fc_macs", "FC (MACs)"),
            (work["squeeze_adds"], "squeeze_adds", "squeeze (adds)"),
            (moved, "bytes_moved", "MB moved"),
        ):
            agree(number, rows[name][key], cells[title], said)
        assert own["cost"]["bytes_moved"] == moved
    # Blocks add up to their stages, and these to what SE has of the whole.
    memory = document["memory"]
    se = memory["bytes"] - memory["bytes_without_se"]
    assert sum(b["cost"]["bytes_moved"] for b in document["blocks"]) == se
    assert sum(s["bytes_moved"] for s in document["stages"]) == se
    assert page.numbers("stages")["all"]["MB moved"][1] == se
    assert totals["bytes moved"]["SE"][1] == se
    for own in document["sweep"]:
        cells = page.numbers("sweep")[str(own["reduction"])]
        assert (cells["parameters"][1], cells["of SE"][1]) == (own["params"], own["se_params"])
        assert f"{own['params']:,}" in line(text, str(own["reduction"]), "The same network")
    params, operations, bytes_moved = block_bars(audit).axes
    names = [b["name"] for b in document["blocks"]]
    for axes, key in ((params, "params"), (operations, None), (bytes_moved, "bytes_moved")):
        ends = [
            max(b.get_x() + b.get_width() for b in axes.patches[n :: len(names)])
            for n in range(len(names))
        ]
        unit = (
            1e6
            if "millions" in axes.get_xlabel()
            else 1e3
            if "thousands" in axes.get_xlabel()
            else 1
        )
        if key is not None:
            assert [unit * e for e in ends] == pytest.approx([float(rows[n][key]) for n in names])
    assert sum(b.get_height() for b in stage_bars(audit).axes[0].patches) == pytest.approx(
        document["params"]["se"]
    )


def test_confusion(run: Run, folder: Path, page: Page, tmp_path: Path) -> None:
    words = ("confusion", folder, "--format", "svg", "-o", tmp_path)
    text = run(*words).out
    document = json.loads(run(*words, "--json").out)
    rows = read(tmp_path / "confusion_classes.csv", "class")
    for own in document["per_class"]:
        cells = page.numbers("classes")[own["name"]]
        said = line(text, own["name"], "Precision, recall")
        for key, title in (
            ("support", "images"), ("predicted", "taken for it"), ("correct", "right"),
            ("precision", "precision"), ("recall", "recall"), ("f1", "F1"),
        ):  # fmt: skip
            agree(own[key], rows[own["name"]][key], cells[title], said)
    pairs = list(csv.DictReader((tmp_path / "confusion_pairs.csv").read_text().splitlines()))
    shown = page.tables["pairs"][1:]
    for own, row, cells in zip(document["confusions"], pairs, shown, strict=False):
        assert (row["true"], row["predicted"], int(row["count"])) == (
            own["true"], own["predicted"], own["count"],
        )  # fmt: skip
        assert [c[0] for c in cells][:3] == [own["true"], own["predicted"], str(own["count"])]
        assert float(row["share"]) == pytest.approx(own["share"]) == pytest.approx(cells[3][1])
    assert f"{document['top1']:.2%}" in text.splitlines()[0]
    assert f"{document['ece']:.2%}" in text
    found = scores(Evaluation.of_record(Record.load(folder)))
    assert document["top1"] == found.top1.value
    for own in document["gates"]:
        if own["correlation"] is not None:
            assert f"{own['correlation']:+.3f}" in line(text, own["block"], "Distance of two")


def test_comparison(run: Run, folder: Path, tmp_path: Path) -> None:
    record = Record.load(folder)
    other = with_predictions(record, accuracy=0.6, seed=3).save(tmp_path / "other")
    words = ("compare", folder, other, "--format", "svg", "-o", tmp_path / "out")
    text = run(*words).out
    document = json.loads(run(*words, "--json").out)
    rows = read(tmp_path / "out" / "compare_classes.csv", "class")
    for own in document["per_class"]:
        row, recall = rows[own["name"]], own["recall"]
        said = line(text, own["name"], "Recall of each class")
        assert float(row["recall_a"]) == pytest.approx(recall["before"], rel=1e-8)
        assert float(row["delta"]) == pytest.approx(recall["delta"], rel=1e-8)
        assert float(row["low"]) == pytest.approx(recall["low"], rel=1e-8)
        assert float(row["p_adjusted"]) == pytest.approx(own["p_adjusted"], rel=1e-8)
        assert f"{100 * recall['delta']:+.2f} [{100 * recall['low']:+.2f}, " in said
    change = document["top1"]
    assert f"{100 * change['delta']:+.2f} [{100 * change['low']:+.2f}, " in line(
        text, "difference", "Both"
    )
    blocks = read(tmp_path / "out" / "compare_blocks.csv", "block")
    for own in document["blocks"]:
        assert float(blocks[own["block"]]["drift"]) == pytest.approx(own["drift"], abs=1e-9)
        assert f"{own['drift']:.4f}" in line(text, own["block"], "Gates of both networks")
    compared = seviz.compare(record, Record.load(other))
    points = [x.get_xdata()[0] for x in comparison(compared).axes[0].lines if x.get_marker() == "o"]
    changes = [change, *(own["recall"] for own in document["per_class"])]
    assert points == pytest.approx([100 * c["delta"] for c in changes])
