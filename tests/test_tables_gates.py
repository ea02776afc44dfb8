"""The CSV beside a figure: every channel of the chosen blocks, whatever was drawn."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_record, record_of_gates

from seviz.errors import UsageError
from seviz.figures import write_gate_csv
from seviz.results.classes import ClassChoice, ClassInfo, ClassTable


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_values_are_numpys(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [5, 1, 9])
    gates = [rng.random((15, 4), np.float32), rng.random((15, 3), np.float32)]
    record = record_of_gates(gates, labels, ["cat", "dog", "cow"])
    path = write_gate_csv(
        record, record.classes.choose(["cow", "dog"]), record.blocks, tmp_path / "new" / "g.csv"
    )
    rows = read(path)
    assert path.read_text().splitlines()[0] == "block,class,channel,mean,std,count"
    expected = []
    for block, values in zip(record.blocks, gates, strict=True):
        exact = values.astype(np.float64)
        groups = [exact[labels == k] for k in range(3)]
        for name, row in (("cow", 2), ("dog", 1)):
            mean, std, count = groups[row].mean(0), groups[row].std(0), len(groups[row])
            expected += [(block.name, name, c, mean[c], std[c], count) for c in range(len(mean))]
        mean, std = np.mean([g.mean(0) for g in groups], axis=0), exact.std(0)
        expected += [(block.name, "all", c, mean[c], std[c], 15) for c in range(len(mean))]
    assert len(rows) == len(expected) == 3 * (4 + 3)
    for found, wanted in zip(rows, expected, strict=True):
        assert (found["block"], found["class"]) == wanted[:2]
        assert (int(found["channel"]), int(found["count"])) == (wanted[2], wanted[5])
        assert float(found["mean"]) == pytest.approx(wanted[3], rel=1e-8)
        assert float(found["std"]) == pytest.approx(wanted[4], rel=1e-7, abs=2e-8)


def test_nine_significant_digits(tmp_path):
    record = record_of_gates([np.array([[1 / 3]])], np.array([0]), "a")
    (first, _) = read(
        write_gate_csv(record, [ClassChoice(0, "a")], record.blocks, tmp_path / "g.csv")
    )
    assert first["mean"] == "0.333333333"


def test_every_channel_of_the_chosen_blocks_only(tmp_path):
    record = make_record()
    blocks = [record.block("SE_2_3"), record.block("SE_5_1")]
    rows = read(write_gate_csv(record, record.classes.choose(["pug"]), blocks, tmp_path / "g.csv"))
    assert len(rows) == 2 * (256 + 2048)
    assert {row["block"] for row in rows} == {"SE_2_3", "SE_5_1"}


def test_a_class_called_all_is_not_the_mean_over_all(tmp_path):
    record = make_record(((1, 2),), ["all", "dog"])
    for chosen in (["all"], ["dog"]):
        path = write_gate_csv(
            record, record.classes.choose(chosen), record.blocks, tmp_path / "g.csv"
        )
        names = list(dict.fromkeys(row["class"] for row in read(path)))
        assert names == [*chosen, "all (mean over classes)"]


def test_names_with_commas_quotes_and_shared_names(tmp_path):
    classes = ClassTable((ClassInfo('a, "b"', 0), ClassInfo("b", 1), ClassInfo("c", 2)))
    record = replace(make_record(((1, 1),), "abc"), classes=classes)
    chosen = [ClassChoice(0, 'a, "b"'), ClassChoice(1, "same"), ClassChoice(2, "same")]
    rows = read(write_gate_csv(record, chosen, record.blocks, tmp_path / "g.csv"))
    assert [row["class"] for row in rows] == ['a, "b"', "same (1)", "same (2)", "all"]


def test_a_class_without_images_writes_nothing(tmp_path):
    record = record_of_gates([np.full((2, 2), 0.5)], np.zeros(2, np.int64), ["cat", "dog"])
    with pytest.raises(UsageError, match="found none of 'dog'"):
        write_gate_csv(record, [ClassChoice(1, "dog")], record.blocks, tmp_path / "g.csv")
    assert not list(tmp_path.iterdir())
