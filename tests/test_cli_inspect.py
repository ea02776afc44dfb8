"""``seviz inspect``: what is in a checkpoint, in text and as one JSON document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from conftest import Run, Said, Tiny

import seviz
from seviz.networks.architectures.registry import build
from seviz.results.files import SCHEMA_VERSION

NOTES: dict[str, Any] = {"filters": 8, "blocks": 2, "reduction": 2}


def document(said: Said) -> dict[str, Any]:
    """Return the one JSON document on stdout."""
    assert said.out.count("\n") == 1
    values: dict[str, Any] = json.loads(said.out)
    assert values["schema_version"] == SCHEMA_VERSION
    return values


@pytest.fixture
def notes(tmp_path: Path) -> list[str]:
    """Return how the command line names a bare checkpoint of the network of the SENet notes."""
    torch.save(build("senet_notes", **NOTES).state_dict(), tmp_path / "notes.pt")
    pairs = [f"{k}={v}" for k, v in NOTES.items()]
    size = ["--input-size", "3", "16", "16"]
    return [
        str(tmp_path / "notes.pt"),
        *("--arch", "senet_notes", *size, "--arch-args", *pairs),
    ]


@pytest.fixture
def twin(tmp_path: Path) -> list[str]:
    """Return how the command line names a bare checkpoint of a network without SE."""
    torch.save(build("resnet14", widths=(4, 4, 4)).state_dict(), tmp_path / "twin.pt")
    named = ["--arch", "resnet14", "--arch-args", "widths=(4,4,4)", "--input-size", "3", "12", "12"]
    return [str(tmp_path / "twin.pt"), *named]


def test_json(run: Run, tiny: Tiny) -> None:
    said = run("inspect", tiny.path, "--json")
    assert (said.code, said.err) == (0, "")
    values = document(said)
    assert values["architecture"] == "se_resnet14(reduction=4, widths=(8, 8, 16))"
    assert values["checkpoint"] == "tiny.pt"
    assert values["num_classes"] == 4
    assert values["classes"] == tiny.classes
    assert values["params"] == sum(p.numel() for p in tiny.model.parameters())
    # Two blocks in each of three stages of 8, 8 and 16 channels; W1 and W2 without bias, r = 4.
    widths = [8, 8, 8, 8, 16, 16]
    assert [
        {
            k: b[k]
            for k in (
                *("name", "path", "stage", "index", "channels"),
                *("hidden", "reduction", "gate", "params"),
            )
        }
        for b in values["blocks"]
    ] == [
        {
            "name": f"SE_{2 + n // 2}_{1 + n % 2}",
            "path": f"layer{1 + n // 2}.{n % 2}.se",
            "stage": 2 + n // 2,
            "index": 1 + n % 2,
            "channels": width,
            "hidden": width // 4,
            "reduction": 4,
            "gate": "sigmoid",
            "params": 2 * width * (width // 4),
        }
        for n, width in enumerate(widths)
    ]
    assert values["se_params"] == sum(2 * w * (w // 4) for w in widths)


def test_text(run: Run, tiny: Tiny) -> None:
    said = run("inspect", tiny.path)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    params = sum(p.numel() for p in tiny.model.parameters())
    se = sum(2 * w * (w // 4) for w in (8, 8, 8, 8, 16, 16))
    assert lines[0].startswith(f"SE            6 blocks, {se} parameters")
    assert lines[1].split() == ["checkpoint", "tiny.pt", "(torch.save)"]
    assert "classes       4 (ant, bee, cat, ...)" in lines
    assert f"parameters    {params:,}" in lines
    rows = [line.split() for line in lines if line.startswith("SE_")]
    assert [r[0] for r in rows] == ["SE_2_1", "SE_2_2", "SE_3_1", "SE_3_2", "SE_4_1", "SE_4_2"]
    assert [r[1:5] for r in rows] == 4 * [["8", "2", "4", "sigmoid"]] + 2 * [
        ["16", "4", "4", "sigmoid"]
    ]
    assert [r[5] for r in rows] == ["12x12", "12x12", "6x6", "6x6", "3x3", "3x3"]
    assert all(line == line.rstrip() for line in lines)


def test_blocks_of_a_zoo_network(run: Run, no_network: None) -> None:
    name = "mobilenetv3_small_050"
    model = timm.create_model(name)
    own = [n for n, m in model.named_modules() if type(m).__name__ == "SqueezeExcite"]
    arguments = ["--arch-args", "pretrained=false", "--input-size", "3", "64", "64"]
    said = run("inspect", f"timm:{name}", *arguments, "--json")
    assert said.code == 0
    values = document(said)
    assert [b["path"] for b in values["blocks"]] == own
    assert {b["gate"] for b in values["blocks"]} == {"hardsigmoid"}
    assert values["params"] == sum(p.numel() for p in model.parameters())
    assert values["num_classes"] == 1000
    assert "random weights" in values["notes"][0]
    assert "note: random weights" in said.err


@pytest.mark.parametrize("as_json", [False, True])
def test_the_twin_without_se(run: Run, twin: list[str], as_json: bool) -> None:
    """What is there is shown, and then refused."""
    said = run("inspect", *twin, *["--json"] * as_json)
    assert said.code == 3
    assert "seviz: expected SE blocks in this network, found none" in said.err.splitlines()[-1]
    if as_json:
        values = document(said)
        assert values["blocks"] == []
        assert values["num_classes"] == 10
    else:
        assert "architecture  resnet14(widths=(4, 4, 4))" in said.out.splitlines()
        assert "SE_" not in said.out


def test_the_published_form_of_the_notes(run: Run, notes: list[str]) -> None:
    said = run("inspect", *notes, "squeeze=false", "--json")
    assert said.code == 3
    error = said.err.splitlines()[-1]
    assert "expected SE blocks in this network, found none: 2 x gate without squeeze" in error
    assert "--without-squeeze" in error
    assert "ambiguous" not in said.err
    values = document(said)
    assert values["blocks"] == []
    assert [b["kind"] for b in values["without_squeeze"]] == 2 * ["gate without squeeze"]
    assert [b["path"] for b in values["without_squeeze"]] == [
        f"res_blocks.{n}.se_block" for n in (0, 1)
    ]
    said = run("inspect", *notes, "squeeze=false")
    assert said.code == 3
    assert "gates without squeeze" in said.out.splitlines()


def test_the_intended_form_of_the_notes(run: Run, notes: list[str]) -> None:
    """Nobody said which of two networks the weights belong to: one is chosen, and that is said."""
    said = run("inspect", *notes, "--json")
    assert said.code == 0
    (note,) = [line for line in said.err.splitlines() if "ambiguous" in line]
    assert note.startswith("note: ")
    assert "squeeze=false" in note
    assert [b["shift"] for b in document(said)["blocks"]] == [True, True]
    assert "ambiguous" not in run("inspect", *notes, "squeeze=true").err


def test_quiet(run: Run, notes: list[str]) -> None:
    said = run("inspect", *notes, "-q")
    assert (said.code, said.err) == (0, "")
    assert "SE_2_2" in said.out


def test_help_and_version(run: Run) -> None:
    for words in ([], ["--help"], ["-h"]):
        said = run(*words)
        assert (said.code, said.err) == (0, "")
        assert all(c in said.out for c in ("inspect", "collect", "activations", "demo", "doctor"))
    said = run("--version")
    assert (said.code, said.out) == (0, f"{seviz.__version__}\n")
    said = run("activations", "--help")
    assert said.code == 0
    names = "--classes --blocks --channels --spread --format --data --split --labels --strict"
    names += " --arch --arch-args --input-size --mean --std --crop-pct --device --amp --num-samples"
    for name in (*names.split(), "-b", "-j", "-o", "-q", "-v", "--json"):
        assert name in said.out, name


# -------------------------------------------------------------------------------------------------
# Files without code


def small() -> torch.nn.Module:
    return build("se_resnet14", num_classes=3, widths=(4, 4, 8), reduction=2)


def test_a_recognised_file(run: Run, elsewhere: Path) -> None:
    torch.save({"net": {f"module.{k}": v for k, v in small().state_dict().items()}}, "x.pt")
    values = document(run("inspect", "x.pt", "--json", "--input-size", "3", "32", "32"))
    assert values["recognised"] == "se_resnet14 (seviz), 100 % of 89 tensors"
    assert (values["format"], values["prefix"]) == ("torch.save", "net.module")
    said = run("inspect", "x.pt", "--input-size", "3", "32", "32")
    assert "recognised    se_resnet14 (seviz), 100 % of 89 tensors" in said.out
    assert "weights       under net.module." in said.out


@pytest.mark.parametrize(
    ("flag", "value"), [([], 2.0), (["--ema"], 2.0), (["--no-ema"], 1.0)], ids=str
)
def test_raw_or_averaged(run: Run, elsewhere: Path, flag: list[str], value: float) -> None:
    """The averaged copy has NaN in one tensor, or the raw one: the one that is named was taken."""
    raw, averaged = dict(small().state_dict()), dict(small().state_dict())
    (averaged if value == 2.0 else raw)["fc.bias"] = torch.full((3,), float("nan"))
    torch.save({"model": raw, "model_ema": averaged}, "x.pt")
    said = run("inspect", "x.pt", *flag)
    assert said.code == 3
    where = "model_ema.fc.bias" if value == 2.0 else "model.fc.bias"
    assert f"{where} (3)" in said.err
    assert run("inspect", "x.pt", *flag, "--allow-nan").code == 0


def test_a_network_of_unknown_make(run: Run, elsewhere: Path) -> None:
    weights = {f"net.{k.replace('conv', 'c')}": v for k, v in small().state_dict().items()}
    torch.save(weights, "x.pt")
    said = run("inspect", "x.pt", "--json")
    assert said.code == 0
    values = document(said)
    assert values["architecture"] is None
    assert values["params"] == sum(p.numel() for p in small().parameters())
    assert [(b["path"], b["channels"], b["hidden"]) for b in values["blocks"]] == [
        (f"layer{1 + n // 2}.{n % 2}.se", c, c // 2) for n, c in enumerate([4, 4, 4, 4, 8, 8])
    ]
    assert values["num_classes"] == 3
    said = run("inspect", "x.pt")
    assert "architecture  not known" in said.out
    assert "6 excitations" in said.out
    assert "--arch file.py:factory" in said.err
    refused = run("collect", "x.pt", "--data", "digits")
    assert refused.code == 3
    assert "found 89 tensors that fit none" in refused.err


def test_a_whole_network_only_on_the_users_word(run: Run, elsewhere: Path) -> None:
    torch.save(small(), "x.pt")
    size = ["--input-size", "3", "32", "32"]
    said = run("inspect", "x.pt", *size)
    assert said.code == 3
    assert "--unsafe-load" in said.err
    said = run("inspect", "x.pt", *size, "--unsafe-load")
    assert said.code == 0
    assert "CifarResNet" in said.out
    assert "the file's own code was run" in said.err


def test_one_block_is_one(run: Run, tmp_path: Path) -> None:
    state = {"se.fc1.weight": torch.ones(2, 8), "se.fc2.weight": torch.ones(8, 2)}
    torch.save(state, tmp_path / "one.pt")
    said = run("inspect", tmp_path / "one.pt")
    assert "1 excitation, 32 parameters" in said.out
