"""The sample checkpoints are what their cards say, and the committed results are theirs."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import seviz
from seviz.collect.options import PassOptions
from seviz.results.record import Record

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "sample_checkpoints"
CARDS = sorted(SAMPLES.glob("*.json"))
# What each sample must reach on its test images; the twin is trained to be compared.
TWINS = tuple(f"{kind}resnet14_cifar10" for kind in ("", "se_", "eca_", "cbam_"))
LEAST = {"se_resnet20_cifar10": 0.88, "senet_notes_cifar10": 0.80, "se_resnet_digits": 0.95}
SE_BLOCKS = {"se_resnet20_cifar10": 9, "senet_notes_cifar10": 9, "se_resnet_digits": 6}
SE_BLOCKS["se_resnet14_cifar10"] = 6


def card_of(path: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return card


def name(path: Path) -> str:
    return path.stem


def test_every_checkpoint_has_a_card() -> None:
    assert {c.stem for c in CARDS} == {p.stem for p in SAMPLES.glob("*.pt")}
    assert set(LEAST) | {"resnet20_cifar10", *TWINS} == {c.stem for c in CARDS}


@pytest.mark.parametrize("path", CARDS, ids=name)
def test_card(path: Path) -> None:
    card = card_of(path)
    file = SAMPLES / card["file"]
    assert card["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert card["bytes"] == file.stat().st_size < 3_000_000
    assert card["name"] == path.stem
    assert {"data", "recipe", "epochs", "seed", "date", "test_images"} <= card.keys()
    loaded = seviz.load(file)
    assert loaded.params == card["parameters"]
    assert not loaded.notes
    found = seviz.find(loaded.model, loaded.preprocessing.input_size)
    assert len(found.blocks) == SE_BLOCKS.get(path.stem, 0)
    assert found.outputs == 10
    assert card["top1"] >= LEAST.get(path.stem, 0.8 if path.stem in TWINS else 0)


def test_the_twin_has_the_same_recipe() -> None:
    one, twin = (
        card_of(SAMPLES / f"{n}.json") for n in ("se_resnet20_cifar10", "resnet20_cifar10")
    )
    different = {k for k in one["recipe"] if one["recipe"][k] != twin["recipe"][k]}
    assert different == {"arch", "arch_args"}
    assert one["seed"] == twin["seed"]


def test_the_twins_differ_in_their_gates_alone() -> None:
    cards = [card_of(SAMPLES / f"{n}.json") for n in TWINS]
    recipes = [
        {k: v for k, v in c["recipe"].items() if k not in ("arch", "arch_args")} for c in cards
    ]
    assert all(recipe == recipes[0] for recipe in recipes)
    assert recipes[0]["like"] == "resnet14"
    counts = [
        dict(Counter(b.kind for b in seviz.find(loaded.model, (3, 32, 32), "all").blocks))
        for loaded in (seviz.load(SAMPLES / c["file"]) for c in cards)
    ]
    assert counts == [{}, {"SE": 6}, {"ECA": 6}, {"CBAM": 6}]


def test_the_twins_begin_alike() -> None:
    """The same random weights in all that they share, whatever their gates draw."""
    spec = importlib.util.spec_from_file_location("train", SAMPLES / "train.py")
    assert spec is not None
    assert spec.loader is not None
    train = importlib.util.module_from_spec(spec)
    sys.modules["train"] = train  # where its dataclasses look for their annotations
    spec.loader.exec_module(train)
    plain, *gated = (train.start(train.RECIPES[n], 10).state_dict() for n in TWINS)
    for other in gated:
        assert plain.keys() < other.keys()
        assert all(torch.equal(plain[k], other[k]) for k in plain)


def test_the_notes_network_shifts() -> None:
    loaded = seviz.load(SAMPLES / "senet_notes_cifar10.pt")
    found = seviz.find(loaded.model, (3, 32, 32))
    assert {(b.stage, b.shift, b.gate, b.hidden) for b in found.blocks} == {(2, True, "sigmoid", 2)}
    assert not any(name.endswith("fc.0.bias") for name in loaded.model.state_dict())


@pytest.mark.parametrize("path", [p for p in CARDS if p.stem in LEAST], ids=name)
def test_committed_record(path: Path) -> None:
    """The pass and the training script measured the same accuracy, each in its own way."""
    card = card_of(path)
    record = Record.load(ROOT / "reports" / path.stem)
    assert record.header.checkpoint_sha256 == card["sha256"]
    assert record.header.images == card["test_images"]
    assert record.top1 == pytest.approx(card["top1"], abs=2 / card["test_images"])


@pytest.mark.skipif("SEVIZ_CIFAR10" not in os.environ, reason="needs CIFAR-10 (SEVIZ_CIFAR10)")
@pytest.mark.parametrize(
    "path", [p for p in CARDS if p.stem in SE_BLOCKS and "cifar10" in p.stem], ids=name
)
def test_cifar10_accuracy(path: Path) -> None:
    card = card_of(path)
    record = seviz.collect(
        seviz.load(SAMPLES / card["file"]), f"cifar10:{os.environ['SEVIZ_CIFAR10']}", PassOptions()
    )
    assert record.header.images == 10_000
    assert record.top1 == pytest.approx(card["top1"], abs=2e-4)
