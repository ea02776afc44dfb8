"""Thresholds that end a command with exit code 1, and networks at the edge of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, Tiny
from synthetic import record_of_gates, with_predictions

from seviz.cli.thresholds import LeastTop1, LeastTop1AndDrop
from seviz.results.record import Record

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def table() -> str:
    """Return a table of ten predictions, of which nine are right."""
    rows = ["true,predicted", *["cat,cat"] * 5, *["dog,dog"] * 4, "dog,cat"]
    Path("p.csv").write_text("\n".join(rows) + "\n")
    return "p.csv"


def record(folder: str, accuracy: float) -> Record:
    labels = np.repeat([0, 1], 50)
    gates = np.random.default_rng(0).random((100, 5))
    made = with_predictions(record_of_gates([gates], labels, ["cat", "dog"]), accuracy=accuracy)
    made.save(folder)
    return made


@pytest.mark.parametrize(
    ("least", "code", "line"),
    [
        ("89", 0, None),
        ("90", 0, None),  # exactly what was asked for
        ("90.5", 1, "exceeded: top-1 is 90 %, below the 90.5 % asked for"),
        ("100", 1, "exceeded: top-1 is 90 %, below the 100 % asked for"),
    ],
)
def test_confusion(table: str, run: Run, least: str, code: int, line: str | None) -> None:
    said = run("confusion", table, "--min-top1", least, "-o", "out", "--format", "svg")
    assert said.code == code
    assert [x for x in said.err.splitlines() if x.startswith("exceeded")] == (
        [line] if line else []
    )
    assert Path("out/confusion.svg").exists()  # written all the same


def test_confusion_as_json(table: str, run: Run) -> None:
    words = ("confusion", table, "-o", "out", "--format", "svg", "--json")
    assert json.loads(run(*words).out)["exceeded"] == []
    said = run(*words, "--min-top1", "95")
    assert said.code == 1
    document = json.loads(said.out)
    assert document["top1"] == 0.9
    assert document["exceeded"] == ["top-1 is 90 %, below the 95 % asked for"]


@pytest.mark.usefixtures("no_figures")
def test_compare_two_records(run: Run) -> None:
    a, b = (record(name, share) for name, share in (("a", 0.9), ("b", 0.7)))
    assert a.top1 is not None
    assert b.top1 is not None
    drop = round(100 * (a.top1 - b.top1), 6)
    assert drop > 5
    words = ("compare", "a", "b", "-o", "out", "--format", "svg")
    assert run(*words, "--max-top1-drop", drop).code == 0
    said = run(*words, "--max-top1-drop", drop - 0.5)
    assert said.code == 1
    assert f"exceeded: top-1 falls by {drop:.4g} points, more than the {drop - 0.5:g}" in said.err
    other = run("compare", "b", "a", "-o", "out", "--format", "svg", "--max-top1-drop", 0)
    assert other.code == 0  # B is better
    both = run(*words, "--max-top1-drop", 0, "--min-top1", 99, "--json")
    assert both.code == 1
    assert len(json.loads(both.out)["exceeded"]) == 2


def test_fold(run: Run, tiny: Tiny, pictures: Path) -> None:
    words = ("fold", tiny.path, "--data", pictures, "--blocks", "SE_4", "-o", "slim.pt", "-j", "0")
    words = (*words, "--no-export", "--pairs", "0", "--json")
    kept = run(*words, "--max-top1-drop", 100)
    assert kept.code == 0, kept.err
    document = json.loads(kept.out)
    before, after = document["top1"]["before"], document["top1"]["after"]
    assert document["exceeded"] == []
    missed = run(*words, "--min-top1", 100 * after + 0.1)
    assert missed.code == 1
    assert len(json.loads(missed.out)["exceeded"]) == 1
    drop = 100 * (before - after)
    fallen = run(*words, "--max-top1-drop", max(0, drop - 0.1))
    assert fallen.code == int(drop > 0)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (
            ("confusion", "p.csv", "--min-top1", "101"),
            "--min-top1 in per cent from 0 to 100, found 101",
        ),
        (
            ("confusion", "p.csv", "--min-top1", "nan"),
            "a number such as 0.5 or 5e-1 for --min-top1, found 'nan'",
        ),
        (("confusion", "p.csv", "--min-top1", "0.74"), "found 0.74; 74 is 74 %"),
        (("compare", "a", "b", "--max-top1-drop", "-1"), "points from 0 to 100, found -1"),
        (("compare", "a", "x.pt", "--max-top1-drop", "1"), "expected --data with --max-top1-drop"),
        (
            ("fold", "a", "--blocks", "all", "--min-top1", "9", "-o", "s.pt"),
            "--data with --min-top1",
        ),
        (("fold", "a", "--blocks", "all", "--max-top1-drop", "9", "-o", "s.pt"), "--max-top1-drop"),
    ],
)
def test_what_cannot_be_meant(table: str, run: Run, words: tuple[str, ...], part: str) -> None:
    for name in "ab":
        record(name, 0.8)
    said = run(*words)
    assert said.code == 2
    assert part in said.err


def test_records_without_predictions(run: Run) -> None:
    gates = np.random.default_rng(0).random((6, 5))
    for name in "ab":
        record_of_gates([gates], np.repeat([0, 1], 3), ["cat", "dog"]).save(name)
    said = run("compare", "a", "b", "--min-top1", "50", "-o", "out", "--format", "svg")
    assert said.code == 4
    assert "found records without predictions" in said.err


def test_the_last_digit_of_a_share_decides_nothing() -> None:
    assert LeastTop1(min_top1=29).missed(0.29) == []  # 100 * 0.29 is 28.999999999999996
    assert LeastTop1AndDrop(max_top1_drop=0.1).exceeded(0.9, 0.899) == []
    assert len(LeastTop1AndDrop(max_top1_drop=0.1).exceeded(0.9, 0.8989)) == 1


@pytest.mark.usefixtures("no_figures")
def test_a_budget_that_takes_every_block_and_the_audit_of_what_is_left(
    run: Run, tiny: Tiny, pictures: Path
) -> None:
    words = ("--data", pictures, "-j", "0", "--no-export", "--pairs", "0", "--json")
    said = run("fold", tiny.path, "--budget", 100, "-o", "slim.pt", *words)
    assert said.code == 0, said.err
    assert len(json.loads(said.out)["blocks"]) == 6
    for option in ("--max-se-params-pct", "--max-se-macs-pct"):
        audited = run("audit", "slim.pt", option, 0, "-o", "out", "--json")
        assert audited.code == 0, audited.err
        document = json.loads(audited.out)
        assert document["params"]["se"] == 0
        assert document["params"]["increase"] == 0
        assert document["macs"]["increase"] == 0
        assert document["blocks"] == []
