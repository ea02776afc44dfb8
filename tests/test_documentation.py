"""What README.md and docs/ say is there, runs, and leads somewhere."""

from __future__ import annotations

import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import at_night
from dialects import net, settle
from matplotlib.figure import Figure
from mechanisms import LinearContext
from synthetic import make_record, with_predictions

import seviz
from seviz.analysis.findings import statements
from seviz.cli import app, main
from seviz.data import sources
from seviz.figures import catalogue
from seviz.gates import kinds
from seviz.networks.formats import read
from seviz.results import mechanisms
from seviz.tables.markup import to_markdown
from seviz.tables.mechanisms import mechanisms_table

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(p for p in sorted(DOCS.rglob("*.md")) if "_build" not in p.parts),
]
COMMANDS = [name for name in app if not name.startswith("-")]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    every = [Block(m[1], m[2], text[: m.start()].count("\n") + 1) for m in found]
    return [block for block in every if block.language in languages]


def shell_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a shell block, without its comment."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def short(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# Links and pictures


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]+)(?:#[^)]*)?\)", prose(page))
    assert not [t for t in targets if not (page.parent / t).exists()]


def test_every_figure_of_the_reports_is_in_the_gallery() -> None:
    shown = set(re.findall(r"\]\(\.\./(reports/[^)]+\.png)\)", prose(DOCS / "gallery.md")))
    made = {short(p) for p in (ROOT / "reports").rglob("*.png")}
    assert shown == {p for p in made if not p.startswith("reports/demo/")}  # of `make demo`


def test_every_page_is_in_the_sidebar() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^[a-z-]+(?:/index)?$", index, re.MULTILINE))
    there = {short(p).removeprefix("docs/").removesuffix(".md") for p in PAGES if DOCS in p.parents}
    assert {p for p in there if not p.startswith("commands/")} - {"index"} <= listed
    assert "commands/index" in listed


# Commands


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_page_and_its_row(command: str) -> None:
    page = (DOCS / "commands" / f"{command}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# seviz {command}\n")
    assert f"```{{command-options}} {command}\n" in page
    assert f"\nseviz {command}" in page
    rows = re.findall(r"^\| \[`seviz ([a-z]+)", prose(ROOT / "README.md"), re.MULTILINE)
    assert rows.count(command) == 1


def test_no_page_is_of_a_command_that_is_gone() -> None:
    pages = {p.stem for p in (DOCS / "commands").glob("*.md")} - {"index"}
    assert pages == set(COMMANDS)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "bash")], ids=short)
def test_every_command_line_can_be_parsed(page: Path) -> None:
    """Names of commands and options, numbers of words, choices: as the command line itself checks them."""
    for block in blocks(page, "bash"):
        for words in shell_lines(block.text):
            if "seviz" not in words:
                assert words[0] in {"make", "pip", "python"}, words
                continue
            given = words[words.index("seviz") + 1 :]
            app.parse_args(given, exit_on_error=False, print_error=False)


def test_a_wrong_option_would_be_seen() -> None:
    with pytest.raises(Exception, match="--clases"):
        app.parse_args(
            ["activations", "x.pt", "--clases", "a"], exit_on_error=False, print_error=False
        )


def test_every_form_of_data_is_on_its_page() -> None:
    rows = re.findall(r"^\| `?(.+?)`? \|", prose(DOCS / "data.md"), re.MULTILINE)
    named = {row.replace("\\|", "|") for row in rows}
    assert {form.written for form in sources.FORMS} <= named


# Python


@pytest.mark.parametrize("name", seviz.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    reference = (DOCS / "api.md").read_text(encoding="utf-8")
    assert len(re.findall(rf"^\.\. auto(?:function|class):: {name}$", reference, re.M)) == 1


@pytest.fixture
def like_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_pictures: None) -> Path:
    """Run in a folder that has what a clone has, and is not one: results are to be written there."""
    for name in ("sample_checkpoints", "reports"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    return tmp_path


TUTORIAL = DOCS / "tutorial.md"
GUIDE = ROOT / "CONTRIBUTING.md"
WITH_PYTHON = [p for p in PAGES if p not in {TUTORIAL, GUIDE} and blocks(p, "python")]


# Those that make a whole report, explain images or exchange gates: each has its own tests.
LONG = {DOCS / name for name in ("report.md", "image.md", "swap.md")}


@pytest.mark.parametrize("page", [at_night(p) if p in LONG else p for p in WITH_PYTHON], ids=short)
def test_python_on_the_pages_runs(page: Path, like_a_clone: Path) -> None:
    seen: dict[str, Any] = {}
    for block in blocks(page, "python"):
        needs = re.match(r"# needs (\w+)\n", block.text)  # what is no part of a check-out
        if needs and find_spec(needs[1]) is None:
            continue
        lines = "\n" * block.line + block.text
        # A block with a library of others goes on with what stands above it; every other runs by itself.
        names = dict(seen) if needs else {"__name__": "__main__"}
        with redirect_stdout(io.StringIO()):
            exec(compile(lines, str(page), "exec"), names)
        seen |= names


# At night, as pages that make whole reports: it trains, exports, folds and writes two reports.
@pytest.mark.nightly
@pytest.mark.usefixtures("no_pictures")
def test_the_tutorial_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file of it is written, every line of it is run, and prints what the page shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    said = ""
    for block in blocks(TUTORIAL, "python", "bash", "text"):
        if block.language == "text":
            assert [line.split() for line in block.text.splitlines()] == [
                line.split()
                for line in said.splitlines()
                if line.startswith(("block ", "SE_")) and "%" not in line
            ]
        elif named := re.match(r"# (\w+\.py)\n", block.text):
            Path(named[1]).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, str(TUTORIAL), "exec"), {"__name__": "__main__"})
        else:
            for words in shell_lines(block.text):
                if words[0] == "python":
                    runpy.run_path(words[1], run_name="__main__")
                else:
                    assert main(words[1:]) == 0, words
        said = capsys.readouterr().out
    for name in ("mynet", "train", "share"):
        sys.modules.pop(name, None)
    assert {"mynet.pt", "digits.pt", "slim.pt", "slim.pt2", "gates.pdf", "again.npz"} <= {
        p.name for p in tmp_path.iterdir()
    }
    assert (tmp_path / "out" / "report.html").is_file()
    record = seviz.Record.load("out/record.npz")
    assert record.header.images == 360
    assert record.top1 is not None
    assert record.top1 > 0.95  # that of the page, 0.989, on another machine


# Worked examples of the guide for contributors


def example(file: str) -> dict[str, Any]:
    """Run the code that the guide adds to a file, where it would stand, and return the names there."""
    (text,) = (b.text for b in blocks(GUIDE, "python") if b.text.startswith(f"# {file}"))
    around: dict[str, Any] = {"__name__": "example"}
    if (ROOT / file).is_file():
        around |= vars(import_module(file.removesuffix(".py").replace("/", ".")))
    exec(compile(text, file, "exec"), around)
    return around


def test_a_reader_can_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = seviz.load(seviz.sample("se_resnet_digits")).model.state_dict()
    np.savez(tmp_path / "weights.npz", **{name: w.numpy() for name, w in weights.items()})
    with pytest.raises(seviz.SevizError):
        seviz.load(tmp_path / "weights.npz")
    added = example("seviz/networks/formats/numpy_archive.py")["NUMPY"]
    monkeypatch.setattr(read, "READERS", (*read.READERS, added))
    loaded = seviz.load(tmp_path / "weights.npz")
    assert all((loaded.model.state_dict()[name] == w).all() for name, w in weights.items())


def test_a_source_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    added = example("seviz/data/sources.py")["NOISE"]
    monkeypatch.setattr(sources, "FORMS", (*sources.FORMS, added))
    assert sources.known_forms().endswith(" or noise:COUNT")
    record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "noise:12")
    assert record.header.images == 12
    assert record.stats("SE_2_1").minimum.min() > 0


def test_a_figure_can_be_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType("seviz.figures.recall")
    vars(module).update(example("seviz/figures/recall.py"))
    monkeypatch.setitem(sys.modules, "seviz.figures.recall", module)
    added = example("seviz/figures/catalogue.py")["RECALL"]
    monkeypatch.setattr(catalogue, "FIGURES", (*catalogue.FIGURES, added))
    record = ROOT / "reports" / "se_resnet_digits"
    assert main(["confusion", str(record), "-o", str(tmp_path)]) == 0
    assert "recall.png" in capsys.readouterr().out
    for suffix in ("png", "svg"):
        assert (tmp_path / f"recall.{suffix}").stat().st_size > 1000


@pytest.mark.nightly
def test_a_figure_of_a_record_can_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(record: seviz.Record, asked: catalogue.Choices) -> Figure:
        figure = Figure(figsize=(1, 1))
        figure.text(0, 0, f"{record.header.images} images")
        return figure

    added = catalogue.Drawing("many", "How many there are", seviz.Record, drawn, "gates")
    monkeypatch.setattr(catalogue, "FIGURES", (*catalogue.FIGURES, added))
    record = with_predictions(make_record(((1, 16), (1, 64)), [f"kind {i}" for i in range(10)]))
    written = seviz.write_results(record, tmp_path, formats=["svg"])
    assert "500 images" in (tmp_path / "many.svg").read_text(encoding="utf-8")
    stems = [path.stem for path in written.figures]
    assert len(set(stems)) == len(stems)
    assert {"activations", "activations_spread", "depth", "gate_confusion", "many"} <= set(stems)
    page = seviz.write_report(record, tmp_path).read_text(encoding="utf-8")
    gates = page[page.index('id="gates"') : page.index('id="depth"')]
    shown = [gates.index(f'alt="{text}') for text in ("Mean gate by channel", added.shows)]
    assert shown == sorted(shown)


def test_a_kind_of_gate_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    model, size = settle(net(LinearContext)), (3, 32, 32)
    assert seviz.find(model, size, "all").blocks == ()
    added = example("seviz/results/mechanisms.py")["LCT"]
    monkeypatch.setattr(mechanisms, "MECHANISMS", (*mechanisms.MECHANISMS, added))
    monkeypatch.setitem(mechanisms.BY_KEY, added.key, added)
    monkeypatch.setitem(mechanisms.BY_NAME, added.name, added)
    row = example("seviz/gates/kinds/squeezed.py")["LCT"]
    before = next(n for n, (_, kind) in enumerate(kinds.SQUEEZED) if "per channel" in kind.title)
    table = (*kinds.SQUEEZED[:before], row, *kinds.SQUEEZED[before:])
    monkeypatch.setattr(kinds, "SQUEEZED", table)
    for word in ("lct", "all"):
        found = seviz.find(model, size, word)
        assert [(b.name, b.params) for b in found.blocks] == [
            *(("LCT_2_1", 32), ("LCT_2_2", 32), ("LCT_3_1", 48))
        ]
    assert all(kinds.row_of(b).weights(b) == b.params for b in found.blocks)


@pytest.mark.nightly
def test_a_finding_can_be_added(
    like_a_clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    added = example("seviz/analysis/findings/statements.py")
    claim = statements.Claim(added["EVERY"], "here", added["_on_moving"])
    monkeypatch.setattr(statements, "CLAIMS", (*statements.CLAIMS, claim))
    assert main(["activations", "reports/se_resnet20_cifar10", "-o", "out"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert '"every block moves": does not hold. Gates move least in SE_2_3: 0.004 [' in said
    assert main(["activations", "reports/se_resnet20_cifar10", "-o", "out", "--json"]) == 0
    assert '"every block moves"' in capsys.readouterr().out


# Numbers


def test_numbers_of_the_readme_stand_in_a_result() -> None:
    """A measured number is one of reports/ or benchmarks/, to the last digit."""
    texts = [ROOT / "benchmarks" / "README.md", *(ROOT / "reports").rglob("*.txt")]
    known = " ".join(p.read_text(encoding="utf-8") for p in texts)
    measured = re.findall(r"(\d+\.\d+) ?%", prose(ROOT / "README.md"))
    assert measured
    assert not [n for n in measured if not re.search(rf"(?<![\d.]){re.escape(n)}(?!\d)", known)]


def test_the_kinds_of_gates_are_those_that_are_read() -> None:
    page = (DOCS / "mechanisms.md").read_text(encoding="utf-8")
    table = to_markdown(mechanisms_table()).partition("\n\n")[2].strip()
    assert table in page
