"""Every result of seviz in all five languages: the same numbers, as exact in files as they are known."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import Tiny

import seviz
from seviz.results.ablation import Ablation, Replaced
from seviz.results.record import Record
from seviz.tables import _MAKERS, Table, render, tables_of
from seviz.tables.table import P_VALUE

Maker = Callable[[Record, Tiny, Path, Path], Any]


def ablation(record: Record) -> Ablation:
    header = record.header
    parts = tuple(
        Replaced(b.name, (b.name,), lost=9 + i, won=i % 4, params=90 + i, macs=91 + i)
        for i, b in enumerate(record.blocks)
    )
    return Ablation(
        header.checkpoint, header.checkpoint_sha256, header.architecture, header.source, header.split,
        364, 361, "block", "one", 0, 10**6, 10**4, 10**6, parts, parts,
    )  # fmt: skip


def others(record: Record, count: int) -> list[Record]:
    """Return the record as if it were of other checkpoints."""
    return [
        replace(
            record,
            header=replace(record.header, checkpoint=f"{i}.pt", checkpoint_sha256=f"{i}" * 64),
        )
        for i in range(count)
    ]


def tracked(record: Record, folder: Path) -> Any:
    for epoch in (0, 10):
        record.save(folder / f"epoch_{epoch}")
    return seviz.track([folder / "epoch_0", folder / "epoch_10"])


RESULTS: dict[str, Maker] = {
    "Ablation": lambda record, *_: ablation(record),
    "Audit": lambda record, tiny, *_: seviz.audit(seviz.load(tiny.path), sweep=(2, 8)),
    "ChannelRanking": lambda record, *_: seviz.channels(record),
    "ChannelView": lambda record, *_: seviz.channel(record, "SE_4_2:29"),
    "Comparison": lambda record, *_: seviz.compare(*others(record, 2)),
    "Evaluation": lambda record, *_: seviz.evaluate(record),
    "Findings": lambda record, *_: seviz.findings(record),
    "ImageExplanation": lambda record, tiny, pictures, _: seviz.explain_image(
        tiny.path, pictures / "cat" / "03.png"
    ),
    "Record": lambda record, *_: record,
    "Scores": lambda record, *_: seviz.scores(seviz.evaluate(record)),
    "SeveralComparison": lambda record, *_: seviz.compare(others(record, 3)),
    "Shift": lambda record, *_: seviz.shift(record, against=record),
    "Swap": lambda record, tiny, pictures, _: seviz.swap_gates(
        tiny.path, pictures, blocks=["SE_4"], pairs=6
    ),
    "Track": lambda record, tiny, pictures, folder: tracked(record, folder),
}


class Cells(HTMLParser):
    """The cells of a table's rows, each with the number that it is sorted by."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[list[Any]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append(["", dict(attrs).get("data-sort")])

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1][0] += data


def near(shown: str, exact: float) -> bool:
    """Return whether a number as people read it is the exact one, rounded to the digits it has."""
    found = re.search(r"[-+\u2212]?[\d,]*\.?\d+(?:e[-+]\d+)?", shown)
    assert found is not None, shown
    digits = found[0].replace(",", "").replace("\u2212", "-")
    unit = 10.0 ** -len(digits.partition("e")[0].partition(".")[2])
    if "e" in digits or re.search(r"[<>≥≤]", shown):
        return True  # of few digits, or a bound
    of = {"%": 0.01, " k": 1e3, " M": 1e6, " G": 1e9}
    size = next((many for word, many in of.items() if word in shown), 1)
    return abs(float(digits) * size - exact) <= 0.5001 * unit * size + 1e-8 * abs(exact)


def numeric(text: str) -> str:
    """Return what is left of a cell in any language: its digits."""
    return re.sub(r"[^\d.,%]", "", text)


def check(table: Table) -> int:
    """Compare the languages of a table; return how many numbers were compared."""
    told = {kind: render(table, kind) for kind in ("text", "csv", "html", "latex", "markdown")}
    files = list(csv.DictReader(io.StringIO(told["csv"])))
    page = Cells(told["html"]).rows[1:]
    text = told["text"].splitlines()[-len(page) :] if page else []
    marked = [x for x in told["markdown"].splitlines() if x.startswith("|")][2:]
    set_ = [x for x in told["latex"].splitlines() if x.endswith(r"\\")][1:]
    records = table.records()
    assert len(files) == len(page) == len(text) == len(marked) == len(set_) == len(records)
    compared = 0
    columns = [c for c in table.columns if c.title]
    for number, (file, cells, said) in enumerate(zip(files, page, records, strict=True)):
        assert len(cells) == len(columns)
        latex = set_[number].removesuffix(r"\\").split(" & ")
        for place, (column, (shown, exact)) in enumerate(zip(columns, cells, strict=True)):
            if exact is None or not numeric(shown):  # not known, or a word in its place
                continue
            assert numeric(shown) == numeric(latex[place])
            assert numeric(shown) in numeric(marked[number].replace("\\", ""))
            printed = shown.partition(" [")[0] if column.brief else shown
            assert printed in text[number], (table.name, column.key)
            if column.form != P_VALUE and "*" not in shown:
                assert near(shown, float(exact) * column.scale), (table.name, shown, exact)
            if column.key:
                assert float(file[column.key]) == pytest.approx(float(exact), rel=1e-8), column.key
                assert float(said[column.key]) == pytest.approx(float(exact), rel=1e-8), column.key
                for end in column.ends or ():
                    one, other = file[end], said[end]
                    assert (one == "") == (other is None)
                    assert other is None or float(one) == pytest.approx(other, rel=1e-8)
            compared += 1
    return compared


@pytest.mark.parametrize("kind", RESULTS)
def test_all_languages_say_the_same(
    kind: str, digits_record: Path, tiny: Tiny, pictures: Path, tmp_path: Path
) -> None:
    record = Record.load(digits_record)
    result = RESULTS[kind](record, tiny, pictures, tmp_path)
    assert type(result).__name__ == kind
    tables = tables_of(result)
    assert tables
    assert sum(check(table.first(20)) for table in tables.values()) > 5


def test_no_kind_of_result_is_left_out() -> None:
    assert {kind.__name__ for kind, _ in _MAKERS} == set(RESULTS)


def test_a_contradiction_would_be_seen() -> None:
    assert near("12.35%", 0.12345)
    assert not near("12.35%", 0.1224)
    assert near("1,204", 1204)
    assert not near("+0.03", 0.04)
