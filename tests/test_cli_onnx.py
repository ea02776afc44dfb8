"""The commands on an ONNX model, as on any other checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from conftest import Run, Said
from onnx_models import Small, exported, trained

from seviz.results.record import Record

pytestmark = pytest.mark.usefixtures("elsewhere")
CLASSES = "{0: 'ant', 1: 'bee', 2: 'cat', 3: 'dog'}"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "small.onnx"
    model = onnx.load(exported(trained(Small()), path, (3, 12, 12), new=False))
    model.metadata_props.add(key="names", value=CLASSES)
    onnx.save(model, path)
    return path


def document(said: Said) -> dict[str, Any]:
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


@pytest.mark.usefixtures("no_figures")
def test_inspect_and_audit(run: Run, file: Path) -> None:
    found = document(run("inspect", file, "--json"))
    assert (found["num_classes"], len(found["blocks"])) == (4, 3)
    assert [b["path"] for b in found["blocks"]] == [f"layer1.{i}.se" for i in range(3)]
    audited = document(run("audit", file, "--json", "--latency", "-o", "audit"))
    assert audited["params"]["se"] == 3 * 8 + 2 * 9 * 8 + 9
    assert audited["latency"]["ratio"] > 0  # the network without SE runs


def test_one_pass_and_what_is_made_of_it(run: Run, file: Path, pictures: Path) -> None:
    data = ("--data", pictures, "--device", "cpu", "-j", "0", "-q")
    assert run("collect", file, *data, "-o", "run").code == 0
    record = Record.load(Path("run"))
    assert list(record.classes.labels) == ["ant", "cat", "dog"]  # of four, by name
    assert document(run("confusion", "run", "--allow-missing", "--json"))["images"] == 60
    drawn = run("activations", "run", "--classes", "ant", "dog", "--json", "-o", "figures")
    assert len(document(drawn)["figures"]) > 0
    ablated = document(run("ablate", file, *data, "--json", "-o", "ablation"))
    assert [b["name"] for b in ablated["blocks"]] == ["SE_2_1", "SE_3_1", "SE_3_2"]


@pytest.mark.nightly
def test_side_by_side_and_the_page(run: Run, file: Path, pictures: Path) -> None:
    data = ("--data", pictures, "--device", "cpu", "-j", "0", "-q")
    assert run("compare", file, file, *data, "-o", "comparison").code == 0
    assert run("report", file, *data, "-o", "report").code == 0
    assert "small.onnx" in Path("report/report.html").read_text(encoding="utf-8")


def test_fold(run: Run, file: Path, pictures: Path) -> None:
    words = (
        "fold",
        file,
        "--data",
        pictures,
        "--device",
        "cpu",
        "-j",
        "0",
        "--pairs",
        "0",
        "--json",
    )
    found = document(run(*words, "--blocks", "SE_3_1", "-o", "slim.onnx"))
    assert found["output"] == "slim.onnx"
    assert Path("slim.pt2").is_file()
    again = document(run("inspect", "slim.onnx", "--json"))
    assert [b["path"] for b in again["blocks"]] == ["layer1.0.se", "layer1.2.se"]
    assert again["params"] == found["params_after"]
    refused = run(*words, "--blocks", "SE_3_1", "-o", "slim.pt")
    assert refused.code == 2
    assert "NAME.onnx" in refused.err
    alone = document(run(*words, "--blocks", "SE_3_1", "-o", "alone.pt2"))
    assert alone["output"] == "alone.pt2"
    assert Path("alone.pt2").is_file()
