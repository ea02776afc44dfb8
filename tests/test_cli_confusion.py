"""``seviz confusion`` end to end: from images, from a record, from a table of predictions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import seviz
from seviz.networks import save_checkpoint
from seviz.networks.architectures.registry import build
from seviz.results.record import Record

SAMPLE = seviz.sample("se_resnet_digits")
FIGURES = [
    f"{n}.{k}" for n in ("confusion", "gate_confusion", "reliability") for k in ("png", "svg")
]
TABLES = ["confusion.csv", "confusion_classes.csv", "confusion_pairs.csv"]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVIZ_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def everything(pictures, elsewhere):
    """Return images of all four classes."""
    folder = elsewhere / "everything"
    shutil.copytree(pictures, folder)
    shutil.copytree(pictures / "dog", folder / "bee")
    return folder


def document(said):
    assert said.code == 0, said.err
    assert said.out.count("\n") == 1
    return json.loads(said.out)


def expected_predictions(tiny, folder):
    """Return true and predicted classes from plain torch, image by image."""
    true, predicted = [], []
    for file in sorted(folder.rglob("*.png")):
        pixels = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
        with torch.no_grad():
            logits = tiny.model(torch.from_numpy((pixels - 0.5) / 0.25).float()[None])
        true.append(file.parent.name)
        predicted.append(tiny.classes[int(logits.argmax())])
    return true, predicted


@pytest.mark.usefixtures("no_figures")
def test_from_images(run, tiny, everything):
    said = run("confusion", tiny.path, "--data", everything, "--json", "--predictions", "p.csv")
    values = document(said)
    true, predicted = expected_predictions(tiny, everything)
    counts = confusion_matrix(true, predicted, labels=tiny.classes)
    frame = pd.read_csv(values["matrix"], index_col=0)
    assert frame.to_numpy().tolist() == counts.tolist()
    assert list(frame) == list(frame.index) == tiny.classes
    assert values["images"] == 80
    assert values["top1"] == np.trace(counts) / 80
    assert values["top5"] is None  # of three classes every answer is among the first five
    low, high = values["top1_interval"]
    assert low < values["top1"] < high
    scores = precision_recall_fscore_support(
        true, predicted, labels=tiny.classes, zero_division=np.nan
    )
    for position, found in enumerate(values["per_class"]):
        assert found["name"] == tiny.classes[position]
        for name, right in zip(("precision", "recall", "f1", "support"), scores, strict=True):
            value = right[position]
            assert found[name] == (None if np.isnan(value) else pytest.approx(value))
    off = counts - np.diag(np.diag(counts))
    assert sum(c["count"] for c in values["confusions"]) == off.sum()
    assert set(values["confusions"][0]) == {"true", "predicted", "count", "share"}
    assert len(values["gates"]) == 6
    assert values["record"] == "reports/tiny/record.npz"

    single = pd.read_csv("p.csv")
    assert single["true"].tolist() == true
    assert single["predicted"].tolist() == predicted
    assert single["path"].tolist() == [
        str(p.relative_to(everything)) for p in sorted(everything.rglob("*.png"))
    ]
    again = document(run("confusion", "p.csv", "--json"))
    assert Path(again["matrix"]).read_text() == Path(values["matrix"]).read_text()
    for name in ("top1", "top5", "per_class", "confusions", "macro"):
        assert again[name] == values[name]
    assert again["ece"] == pytest.approx(values["ece"], abs=1e-6)
    assert again["record"] is None


def test_files_and_text(run, everything, tiny, elsewhere):
    said = run("confusion", tiny.path, "--data", everything, "-o", "out", "--top", "2")
    assert said.code == 0
    lines = said.out.splitlines()
    # The answer first.
    assert lines[0].startswith("top-1 ")
    assert "95 % interval" in lines[0]
    assert lines[1].endswith("on everything: 80 images of 4 classes")
    start = next(i for i, line in enumerate(lines) if line.startswith("true class "))
    assert lines[start + 3].startswith("and ")
    assert lines[start + 3].endswith(" more, in confusion_pairs.csv")
    assert "calibration error" in said.out
    found = sorted(p.name for p in (elsewhere / "out").iterdir())
    assert found == sorted([*FIGURES, *TABLES, "record.npz"])
    assert lines[-1] == "record: out/record.npz"


@pytest.mark.usefixtures("no_figures")
def test_one_pass_serves_both_commands(run, digits_record, elsewhere, monkeypatch):
    """From the record of any command, without the network and the images."""

    def never(*args, **kwargs):
        raise AssertionError("a second pass")

    monkeypatch.setattr("seviz.collect.run.execute", never)
    values = document(run("confusion", digits_record, "-o", "out", "--json"))
    assert values["top1"] == Record.load(digits_record).top1
    assert values["images"] == 364
    assert 0 < values["ece"] < 0.05
    assert run("activations", digits_record, "-o", "out", "-q").code == 0


def test_a_table_needs_no_torch_and_a_record_none_either(digits_record, elsewhere):
    (elsewhere / "p.csv").write_text("true,pred\na,b\nb,b\n")
    code = (
        "import sys; from seviz.cli import main\n"
        f"for spec in ({str(digits_record)!r}, 'p.csv'):\n"
        "    assert main(['confusion', spec, '-o', 'out', '-q']) == 0\n"
        "print(*[m for m in ('torch', 'torchvision', 'timm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_an_old_record_has_no_calibration(run, digits_record, elsewhere):
    record = Record.load(digits_record)
    kept = {k: v for k, v in record.arrays.items() if not k.startswith("calibration")}
    replace(record, arrays=kept).save("old")
    said = run("confusion", "old")
    assert said.code == 0
    assert "calibration error  not in the record" in said.out
    assert not list(Path("old").glob("reliability*"))
    assert document(run("confusion", "old", "--json"))["ece"] is None


def test_classes_that_only_the_network_has(run, tiny, pictures):
    said = run("confusion", tiny.path, "--data", pictures)
    assert said.code == 4
    assert said.err.splitlines()[-1].startswith(
        "seviz: expected the same classes in network and data, found 1 only in the network (bee); "
    )
    assert not Path("reports").exists()
    said = run("confusion", tiny.path, "--data", pictures, "--json")
    assert json.loads(said.out)["details"] == {
        "only in the network": ["bee"],
        "only in the data": [],
    }


@pytest.mark.usefixtures("no_figures")
def test_classes_that_only_the_data_has(run, tiny, everything):
    (everything / "bee").rename(everything / "elk")
    said = run("confusion", tiny.path, "--data", everything)
    assert said.code == 4
    assert "1 only in the network (bee) and 1 only in the data (elk)" in said.err
    values = document(
        run("confusion", tiny.path, "--data", everything, "--allow-missing", "--json")
    )
    assert values["classes"] == ["ant", "cat", "dog"]
    assert (values["missing"], values["extra"]) == (["bee"], ["elk"])


@pytest.mark.usefixtures("no_figures")
def test_every_other_class_keeps_its_label(run, tiny, pictures):
    """Bee is missing in the middle of the alphabet."""
    words = ["confusion", tiny.path, "--data", pictures, "--allow-missing", "-o", "out"]
    values = document(run(*words, "--json"))
    true, predicted = expected_predictions(tiny, pictures)
    counts = confusion_matrix(true, predicted, labels=tiny.classes)
    frame = pd.read_csv("out/confusion.csv", index_col=0)
    assert list(frame.index) == ["ant", "cat", "dog"]
    for name in frame.index:
        for other in frame:
            row, column = tiny.classes.index(name), tiny.classes.index(other)
            assert frame.loc[name, other] == counts[row, column]
    assert frame.to_numpy().sum() == counts.sum() == values["images"]
    # From the record too: it does not forget what is missing.
    assert run("confusion", "out").code == 4
    assert document(run("confusion", "out", "--allow-missing", "--json"))["top1"] == values["top1"]
    some = document(run("confusion", "out", "--classes", "dog", "ant", "--json"))
    assert some["classes"] == ["dog", "ant"]
    assert some["images"] == 40


def test_named_classes_are_looked_up_before_the_pass(run, tiny, pictures):
    words = ["confusion", tiny.path, "--data", pictures, "--classes"]
    said = run(*words, "bee")
    assert said.code == 4
    assert "expected images of 'bee', found none in the data" in said.err
    assert run(*words, "elk").code == 2
    assert run(*words, "ant", "--explain", "ant", "elk").code == 2
    assert not Path("reports").exists()


def test_folders_of_their_own_cannot_be_scored(run, tiny, pictures, elsewhere):
    said = run("confusion", tiny.path, "--data", pictures, "--labels", "data")
    assert said.code == 4
    assert "expected folders matched to the network's classes" in said.err
    assert run("collect", tiny.path, "--data", pictures, "--labels", "data", "-o", "own").code == 0
    said = run("confusion", "own")
    assert said.code == 4
    assert "as classes of their own" in said.err


@pytest.fixture
def twin(tiny, elsewhere):
    """Return the checkpoint of a network without SE."""
    torch.manual_seed(0)
    return save_checkpoint(
        elsewhere / "twin.pt",
        build("resnet14", num_classes=4, widths=(8, 8, 16)),
        arch="resnet14",
        arch_args={"widths": (8, 8, 16)},
        classes=tiny.classes,
        preprocessing=tiny.preprocessing,
    )


def test_a_network_without_se(run, twin, everything):
    values = document(run("confusion", twin, "--data", everything, "-o", "out", "--json"))
    assert values["images"] == 80
    assert values["gates"] == []
    assert values["gates_finding"] is None
    assert not list(Path("out").glob("gate_confusion*"))
    record = Record.load("out")
    assert record.blocks == ()
    assert record.count.tolist() == [20] * 4
    assert len(record.to_frame()) == 0
    assert document(run("confusion", "out", "--json"))["top1"] == values["top1"]
    said = run("activations", "out")
    assert said.code == 3
    assert "the network has no SE block" in said.err
    assert run("activations", twin, "--data", everything).code == 3
    assert run("confusion", "out", "--explain", "ant", "bee").code == 3
    assert run("confusion", twin, "--data", everything, "--explain", "ant", "bee").code == 2


@pytest.mark.usefixtures("no_figures")
def test_explain(run, digits_record):
    said = run("confusion", digits_record, "-o", "out", "--explain", "3", "8")
    assert said.code == 0
    block = [x for x in said.out.splitlines() if x.startswith("SE_4_2") and " of 45 " in x]
    assert len(block) == 1
    values = document(run("confusion", digits_record, "-o", "out", "--explain", "3", "8", "--json"))
    assert values["explain"]["classes"] == ["3", "8"]
    assert [b["block"] for b in values["explain"]["blocks"]] == [
        b["block"] for b in values["gates"]
    ]
    assert len(values["explain"]["blocks"][0]["channels"]) == 5
    assert values["gates_finding"]


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--normalize", "rows"], 2, "--normalize"),
        (["--order", "size"], 2, "--order"),
        (["--top", "0"], 2, "--top as at least 1"),
        (["--format", "gif"], 2, "--format"),
        (["--predictions", "p.csv"], 2, "holds no single images"),
        (["--data", "digits"], 2, "--data"),
        (["--explain", "1", "1"], 2, "which are one"),
        (["--explain", "1"], 2, "--explain"),
    ],
)
def test_requests_that_make_no_sense(run, digits_record, words, code, part):
    said = run("confusion", digits_record, "-o", "out", *words)
    assert said.code == code
    assert part in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--data", "digits"], "--data"),
        (["--predictions", "q.csv"], "--predictions"),
        (["--explain", "a", "b"], "--explain"),
    ],
)
def test_a_table_has_no_images_and_no_gates(run, words, part):
    Path("p.csv").write_text("true,pred\na,b\nb,b\n")
    said = run("confusion", "p.csv", *words)
    assert said.code == 2
    assert part in said.err


@pytest.mark.usefixtures("no_figures")
def test_a_table_of_another_tool(run, elsewhere):
    Path("p.csv").write_text(
        "image;label;prediction\nx.png;cat;dog\ny.png;cat;cat\nz.png;dog;elk\n"
    )
    said = run("confusion", "p.csv", "-o", "out")
    assert said.code == 0
    rows = [line.split() for line in said.out.splitlines()]
    assert ["cat", "dog", "1", "50.0%"] in rows
    assert ["elk", "0", "1", "0", "0.00%", "no", "images", "0.00%"] in rows
    assert "the table has no column of confidences" in said.out
    values = document(run("confusion", "p.csv", "-o", "out", "--json", "--allow-missing"))
    assert values["classes"] == ["cat", "dog"]
    assert values["top5"] is values["ece"] is None
    said = run("confusion", "none.csv")
    assert said.code == 4
    assert "expected a table of predictions at none.csv" in said.err


def test_a_bad_name_for_predictions_is_refused_before_the_pass(run, tiny, everything):
    said = run("confusion", tiny.path, "--data", everything, "--predictions", "p.txt")
    assert said.code == 2
    assert not Path("reports").exists()


def test_no_path_of_this_machine(run, tiny, everything):
    run("confusion", tiny.path, "--data", everything, "-o", "out", "--predictions", "out/p.csv")
    for path in Path("out").iterdir():
        assert str(everything.parent).encode() not in path.read_bytes()


def test_figures_as_asked_for(run, digits_record):
    words = ["--normalize", "true", "--order", "cluster", "--log", "--format", "pdf"]
    assert run("confusion", digits_record, "-o", "out", *words).code == 0
    assert sorted(p.name for p in Path("out").glob("*.pdf")) == [
        "confusion.pdf",
        "gate_confusion.pdf",
        "reliability.pdf",
    ]


@pytest.mark.parametrize("rename", [["nosuch=foo"], ["a=b"]])
def test_new_names_that_cannot_be(run, elsewhere, rename):
    (elsewhere / "p.csv").write_text("true,pred\na,b\nb,b\n")
    found = run("confusion", "p.csv", "-o", "out", "--rename", *rename)
    assert found.code == 2
    assert found.err.count("\n") == 1
    assert "nosuch" in found.err or "found 'b' twice, for a, b" in found.err


def test_new_names_are_refused_before_the_pass(run, tiny, everything):
    found = run("confusion", tiny.path, "--data", everything, "-o", "out", "--rename", "nosuch=foo")
    assert found.code == 2
    assert "found 'nosuch'" in found.err
    assert not Path("out/record.npz").exists()
