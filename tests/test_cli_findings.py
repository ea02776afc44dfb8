"""What the commands say of findings: the table, the statements, and warnings in every output."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run, Said
from synthetic import record_of_gates

from seviz.analysis import findings
from seviz.results.classes import ClassTable
from seviz.results.record import Record

pytestmark = pytest.mark.usefixtures("elsewhere")
STUCK = "all gates of SE_3_1 sit at 0.50"


@pytest.fixture
def stuck(elsewhere: Path) -> Path:
    """Return the record of a network with a block whose gates all sit at 0.5, and its predictions."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 4
    moving = 1 / (1 + np.exp(-(rng.normal(size=(4, 6))[labels] + 0.5 * rng.normal(size=(80, 6)))))
    blocks = [moving, np.full((80, 6), 0.5)]
    record = record_of_gates(blocks, labels, "abcd", indices=np.arange(80))
    confusion = np.full((4, 4), 2) + 12 * np.eye(4, dtype=np.int64)
    record = replace(
        record,
        classes=ClassTable.from_labels("abcd"),
        header=replace(record.header, num_classes=4),
        arrays={**record.arrays, "confusion": confusion, "top5": np.full(4, 20)},
    )
    record.save(elsewhere / "stuck")
    return elsewhere / "stuck"


def document(said: Said) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(said.out)
    return values


@pytest.mark.parametrize("command", ["activations", "confusion"])
def test_a_stuck_block_is_a_warning_in_every_output(run: Run, stuck: Path, command: str) -> None:
    text = run(command, stuck, "-o", "out", "--format", "svg", "-q")
    assert text.code == 0
    assert f"warning: {STUCK}" in text.out
    said = run(command, stuck, "-o", "out", "--format", "svg", "--json")
    (warning,) = document(said)["warnings"]
    assert warning.startswith(STUCK)


def test_collect_warns_too(
    run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, stuck: Path
) -> None:
    record = Record.load(stuck)
    monkeypatch.setattr("seviz.collect.run.execute", lambda *args, **kwargs: record)
    import seviz

    words = ["collect", seviz.sample("se_resnet_digits"), "--data", "digits", "-o", "out"]
    assert f"warning: {STUCK}" in run(*words).out
    (warning,) = document(run(*words, "--json"))["warnings"]
    assert warning.startswith(STUCK)


def test_the_table(run: Run, digits_record: Path) -> None:
    said = run("activations", digits_record, "-o", "out", "--format", "svg", "--classes", "3", "8")
    lines = said.out.splitlines()
    found = findings(Record.load(digits_record))
    rows = {line.split()[0]: line for line in lines if line.startswith("SE_")}
    for block in found.blocks:
        share = block.class_share
        assert share is not None
        shown = f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"
        assert (shown if block.moves else f"({share.value:.3f})") in rows[block.block]
        assert rows[block.block].endswith("hardly moves") != block.moves
    text = " ".join(lines)
    for statement in found.statements:
        assert f'"{statement.claim}": {statement.verdict}. ' in text
    assert max(len(line) for line in lines if not line.startswith(("SE_", "block "))) <= 120
    channels = [line.split() for line in lines if line.startswith(("3 ", "8 "))]
    assert [c[0] for c in channels] == ["3"] * 3 + ["8"] * 3


def test_json_and_tables(run: Run, digits_record: Path) -> None:
    words = ["--classes", "3", "--format", "svg", "--json"]
    values = document(run("activations", digits_record, "-o", "out", *words))
    found = findings(Record.load(digits_record))
    assert values["findings"] == json.loads(json.dumps(found.to_dict()))
    assert values["warnings"] == []
    with Path("out/findings.csv").open(newline="") as file:
        assert [r["block"] for r in csv.DictReader(file)] == [b.block for b in found.blocks]
    with Path("out/selective_channels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    alive = [b.channels - int(b.dead_channels.value) for b in found.blocks]
    assert len(rows) == len(values["selective_channels"]) == sum(min(10, n) for n in alive)
    assert {r["class"] for r in rows} == {"3"}
    # The keys that scripts read are there as before.
    shares = {b.block: b.class_share for b in found.blocks}
    for block in values["blocks"]:
        assert block["class_share"] == shares[block["name"]].value
        assert {"class_share_by_chance", "spread", "within"} <= set(block)


def test_one_class_alone(run: Run, elsewhere: Path) -> None:
    gates = np.random.default_rng(0).random((12, 4))
    record_of_gates([gates] * 2, np.zeros(12, np.int64), ["a"]).save(elsewhere / "one")
    said = run("activations", "one", "--classes", "a", "--format", "svg")
    assert said.code == 0
    assert "cannot be said" in said.out
    assert "Hedges" not in said.out
