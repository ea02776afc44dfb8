"""One table and its five languages: layout, escapes, what a narrow terminal leaves out."""

from __future__ import annotations

import csv
import io
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import Refuses, Tiny
from hypothesis import given
from hypothesis import strategies as st

from seviz.analysis.findings.estimates import Estimate
from seviz.errors import UsageError, printable
from seviz.results.files import csv_writer, inert, lively
from seviz.tables import FORMATS, Column, Table, render, tables_of, write_csv
from seviz.tables.table import BLANK, Cell, text_table
from seviz.tables.text import columns_of, to_text, wrapped

COLUMNS = (
    Column("name", "class"),
    Column("images", "images", ",", rank=2),
    Column("delta", "change", "+.2f", unit="points", scale=100, ends=("low", "high")),
    Column("p", "p", "p", rank=1),
    Column("more"),
    Column("", "remark"),
)
PERSIAN, FAMILY = "می\u200cشود", "👩\u200d👧"


@pytest.fixture
def table() -> Table:
    rows = (
        (PERSIAN, 1200, Estimate(-0.05, -0.0865, -0.0125), 0.0129, 1 / 3, ""),
        ("=1+1", None, Cell(Estimate(0.01, 0, 0.02), "faint"), 1.0, True, "hardly moves"),
        ("all", 1201, BLANK, None, ("a", "b"), ""),
    )
    return Table("t", "A caption", COLUMNS, rows, ("a note",), foot=1)


def test_text(table: Table) -> None:
    # By hand: names to the left, numbers to the right, two spaces between; a joiner takes no room.
    widths = (5, 6, 20, 5)
    rows = [
        ("class", "images", "change, points", "p", "remark"),
        (PERSIAN, "1,200", "-5.00 [-8.65, -1.25]", "0.013", ""),
        ("=1+1", "-", "(+1.00)", "1", "hardly moves"),
        ("all", "1,201", "", "-", ""),
    ]
    lines = [
        f"{row[0]}{' ' * (widths[0] - len(row[0].replace(chr(0x200C), '')))}"
        + "".join(f"  {text:>{size}}" for text, size in zip(row[1:4], widths[1:], strict=True))
        + f"  {row[4]}"
        for row in rows
    ]
    assert to_text(table).splitlines() == [line.rstrip() for line in lines]


def test_csv(table: Table, tmp_path: Path) -> None:
    expected = (
        "name,images,delta,low,high,p,more\n"
        f"{PERSIAN},1200,-0.05,-0.0865,-0.0125,0.0129,0.333333333\n"
        "'=1+1,,0.01,0,0.02,1,1\n"
        "all,1201,,,,,a b\n"
    )
    assert render(table, "csv") == expected
    assert write_csv(table, tmp_path / "new" / "t.csv").read_text(encoding="utf-8") == expected


def test_json(table: Table) -> None:
    assert table.records()[0] == {
        "name": PERSIAN, "images": 1200, "delta": -0.05, "low": -0.0865, "high": -0.0125, "p": 0.0129,
        "more": 1 / 3,
    }  # fmt: skip


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, dict[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append(("", dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            text, attrs = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data.strip(), attrs)


def test_html(table: Table) -> None:
    page = Cells()
    page.feed(render(table, "html"))
    texts = [[text for text, _ in row] for row in page.rows]
    assert texts[0] == ["class", "images", "change, points", "p", "remark"]
    assert texts[1] == [PERSIAN, "1,200", "-5.00 [-8.65, -1.25]", "0.013", ""]
    assert texts[2][1:3] == ["–", "(+1.00)"]  # noqa: RUF001
    assert page.rows[1][2][1]["data-sort"] == "-0.05"
    assert page.rows[2][2][1]["class"] == "faint"


def test_latex_and_markdown(table: Table) -> None:
    latex = render(table, "latex").splitlines()
    assert latex[:3] == ["% A caption", "% a note", r"\begin{tabular}{lrrrl}"]
    assert latex[-4:] == [
        r"\midrule",
        r"all & 1,201 &   & - & - \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert render(table, "markdown").splitlines()[2:4] == [
        "| class | images | change, points | p | remark |",
        "| --- | ---: | ---: | ---: | --- |",
    ]


HOSTILE = (
    "</td><script>x</script>",
    "a|b",
    "_a_ *b*",
    r"\input{x}%$_{}&#~^",
    "a\nb",
    "\u202eb",
    "[x](y)",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_in_every_language(name: str) -> None:
    made = Table("t", name, (Column("a", "name"),), ((name,), ("b",)), (name,))
    said = {kind: render(made, kind) for kind in FORMATS}
    assert "<script" not in said["html"].lower()
    # A line break is no new row, and a mark of direction turns nothing round.
    assert not any("\u202e" in said[kind] for kind in ("text", "html", "latex", "markdown"))
    assert len(said["text"].splitlines()) == 3
    assert list(csv.reader(io.StringIO(said["csv"], newline="")))[1] == [name]
    body = [line for line in said["latex"].splitlines() if not line.startswith("%")]
    assert len(body) == 8
    assert r"\input" not in "".join(body)
    assert "<script" not in said["markdown"].replace(r"\<", "")
    row = said["markdown"].splitlines()[4]
    assert row.replace(r"\|", "").count("|") == 2
    assert "](" not in row.replace(r"\](", "")


def test_a_narrow_terminal_breaks_titles_then_leaves_out_the_least() -> None:
    columns = (
        Column("a", "block"),
        Column("b", "share of the class", ".2%"),
        Column("c", "rarely read", ",", rank=2),
        Column("d", "second", ",", rank=1),
        Column("e", "remark"),
    )
    remark = "one profile for all of the classes, whatever they are"
    wide = Table("t", "", columns, (("SE_2_1", 0.5, 1_000_000, 7, remark),))
    for width in range(40, 130):
        lines = to_text(wide, width).splitlines()
        assert max(map(len, lines)) <= width
        words = " ".join(" ".join(lines).split())
        for word in ("SE_2_1", "50.00%", *remark.split()):
            assert word in words.split()  # whole
    assert "left out" not in to_text(wide, 90)
    assert "left out" not in to_text(wide, 59)  # 6, 6, 9, 6 and 24 columns, and four gaps
    lines = to_text(wide, 58).splitlines()
    assert lines[-1] == "left out, for the terminal is narrow: rarely read"
    assert "second" in " ".join(lines)
    assert "left out, for the terminal is narrow: second, rarely read" in " ".join(
        to_text(wide, 47).split()
    )


def test_marks_take_no_room() -> None:
    made = Table(
        "t", "", (Column("a", "a", "d"),), ((1,), (Cell(2, "strong"),), (Cell(3, "faint"),))
    )
    said = to_text(made, 20, lambda text, how: f"<{how}>{text}</>")
    assert said.splitlines() == ["<head>  a</>", "  1", "<strong>  2</>", "<faint>(3)</>"]


def test_sentences_break_at_spaces_alone() -> None:
    text = "a share of 95 % of well-known/paths-and-more.than-that is kept"
    for width in range(12, 60):
        lines = wrapped(text, width).splitlines()
        assert " ".join(line.strip() for line in lines) == text
        assert not any(line.strip().startswith("%") for line in lines)
    assert wrapped(text, None) == text


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("猫", 2), (PERSIAN, 5), ("e\u0301", 1), ("ｱ", 1)]
)
def test_columns_of_a_terminal(text: str, columns: int) -> None:
    assert columns_of(text) == columns


@pytest.mark.parametrize(
    "text", [PERSIAN, FAMILY, "क्\u200dष", "ab\u00a0c", "猫\u3000犬", "🏴\U000e0067\U000e007f"]
)
def test_spelling_stands_as_it_is(text: str) -> None:
    assert printable(text) == text
    for kind in ("text", "html", "latex", "markdown", "csv"):
        assert text in render(text_table("t", ["name"], [[text]]), kind)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", r"a\u202eb"),
        ("a\u2066b", r"a\u2066b"),
        ("a\u200eb", r"a\u200eb"),
        ("a\x1b[2J", r"a\x1b[2J"),
        ("a\u2028b", r"a\u2028b"),
        ("a\U000e0067", r"a\U000e0067"),
        ("a\ud800", r"a\ud800"),
    ],
)
def test_what_could_do_harm_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet="'=+-@\t\r\n1.e a", max_size=6))
def test_cells_are_inert_and_come_back(text: str) -> None:
    cell = inert(text)
    assert lively(cell) == text
    if cell[:1] in tuple("=+-@\t\r\n"):
        float(cell)  # a number, which a spreadsheet shows and does not run


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("cat;=1+1", "cat;'=1+1"),
        ("cat\t@x", "cat\t'@x"),
        ("cat\n-x", "cat\n'-x"),
        (';"=x', ";'\"=x"),
        (";'+x", ";''+x"),
        ("goldfish, Carassius auratus", "goldfish, Carassius auratus"),
    ],
)
def test_what_another_separator_would_begin_is_marked(text: str, cell: str) -> None:
    assert inert(text) == cell
    assert lively(cell) == text


_CELLS = st.text(alphabet="'\"=+-@\t\r\n;,|1a ", max_size=8)


@given(st.tuples(_CELLS, _CELLS), st.sampled_from(",\t"), st.sampled_from(",;\t|"))
def test_no_separator_makes_a_formula(texts: tuple[str, str], separator: str, theirs: str) -> None:
    """A spreadsheet of another country splits at its own separator; quotes within a cell mean nothing."""
    row = ("x", *texts, "-1", texts[0])
    file = io.StringIO()
    csv_writer(file, separator).writerow(map(inert, row))
    (own,) = csv.reader(io.StringIO(file.getvalue(), newline=""), delimiter=separator)
    assert tuple(map(lively, own)) == row
    for cells in csv.reader(io.StringIO(file.getvalue(), newline=""), delimiter=theirs):
        for cell in cells:
            if cell.startswith(("=", "+", "-", "@")):
                float(cell)  # a number, which a spreadsheet shows and does not run


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\rx", "-x", "'=x", "a;=1", 'a;"=1', "a,'=1"],
)
def test_predictions_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    import numpy as np

    from seviz.results.predictions import PredictionTable, read_predictions, write_predictions

    made = PredictionTable((name, "b"), np.array([0, 1]), np.array([0, 0]), paths=(name, "x.png"))
    for suffix in (".csv", ".tsv"):
        path = write_predictions(made, tmp_path / f"p{suffix}")
        text = io.StringIO(path.read_bytes().decode(), newline="")
        rows = csv.reader(text, delimiter="\t" if suffix == ".tsv" else ",")
        assert not any(cell[:1] in tuple("=+-@\t\r") and cell for row in rows for cell in row)
        again = read_predictions(path)
        assert set(again.labels) == {name, "b"}
        assert again.paths == (name, "x.png")


def test_results_that_have_no_tables(refuses: Refuses, table: Table) -> None:
    with refuses(UsageError, "a result of seviz", "found dict"):
        tables_of({})
    with refuses(UsageError, "found 'pdf'"):
        render(table, "pdf")


def test_every_result_has_all_five(digits_record: Path, tiny: Tiny) -> None:
    import seviz
    from seviz.results.ablation import Ablation, Replaced

    record = seviz.Record.load(digits_record)
    parts = tuple(Replaced(b.name, (b.name,), 1, 0, 9, 9) for b in record.blocks)
    header = record.header
    ablation = Ablation(
        header.checkpoint, header.checkpoint_sha256, header.architecture, header.source, header.split,
        364, 361, "block", "one", 0, 10**6, 10**4, 10**6, parts, parts,
    )  # fmt: skip
    evaluation = seviz.evaluate(record)
    results = {
        "ablation": (ablation, {"ablation", "ablation_together"}),
        "audit": (
            seviz.audit(seviz.load(tiny.path), sweep=(2,)),
            {"costs", "stages", "block_costs", "sweep"},
        ),
        "comparison": (
            seviz.compare(record, record),
            {"networks", "compare_classes", "compare_blocks"},
        ),
        "evaluation": (evaluation, {"scores", "classes", "pairs", "confusion", "calibration"}),
        "scores": (seviz.scores(evaluation), {"scores", "classes", "calibration"}),
        "findings": (seviz.findings(record), {"blocks", "statements", "literature"}),
        "record": (record, {"blocks", "gates"}),
        "blocks": (record.blocks, {"blocks"}),
        "channels": (seviz.selective_channels(record, "3"), {"selective_channels"}),
    }
    for result, names in results.values():
        made = tables_of(result)
        assert names <= set(made)
        for table in made.values():
            if table.name == "gates":
                table = table.first(3)  # noqa: PLW2901
            said = {kind: render(table, kind) for kind in FORMATS}
            rows = len(table)
            assert said["csv"].count("\n") == rows + 1
            assert said["html"].count("<tr") == rows + 1
            assert said["latex"].count(r"\\") == rows + 1
            assert said["text"].count("\n") == rows
            titles = [c.heading for c in table.columns if c.title]
            for title in titles:
                assert title in said["text"]
                assert escape(title) in said["html"]
