"""timm's and torchvision's networks, without a network to reach them by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from conftest import Refuses, Tiny
from timm.models import get_pretrained_cfg

import seviz
from seviz.errors import CheckpointError, UsageError
from seviz.networks import load

RANDOM = {"pretrained": False}


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "tf_mobilenetv3_small_075"])
def test_preprocessing_is_timms_own(no_network: None, name: str) -> None:
    loaded = load(f"timm:{name}", arch_args=RANDOM)
    config = get_pretrained_cfg(name)
    assert loaded.preprocessing.input_size == config.input_size
    assert loaded.preprocessing.mean == config.mean
    assert loaded.preprocessing.std == config.std
    assert loaded.preprocessing.interpolation == config.interpolation
    assert loaded.preprocessing.crop_pct == config.crop_pct
    assert loaded.preprocessing.origin == "timm"
    assert loaded.name == loaded.architecture == f"timm:{name}"
    assert loaded.params == sum(p.numel() for p in timm.create_model(name).parameters())
    assert not any(m.training for m in loaded.model.modules())
    assert "random weights" in loaded.notes[0]


def test_classes_of_imagenet(no_network: None) -> None:
    for name in ("timm:mobilenetv3_small_050", "torchvision:mobilenet_v3_small"):
        table = load(name, arch_args=RANDOM).classes
        assert table is not None
        assert len(table) == 1000
        known = {0: "tench", 1: "goldfish", 254: "pug", 404: "airliner", 999: "toilet tissue"}
        assert {i: table.classes[i].label for i in known} == known


@pytest.mark.parametrize("name", ["timm:mobilenetv3_small_050", "torchvision:mobilenet_v3_small"])
def test_other_classes_have_no_names(no_network: None, name: str) -> None:
    loaded = load(name, arch_args={**RANDOM, "num_classes": 7})
    assert loaded.classes is None
    assert loaded.model.get_submodule("classifier") is not None


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "regnet_y_400mf"])
def test_preprocessing_is_torchvisions_own(no_network: None, name: str) -> None:
    """regnet_y_400mf's weights were made for images resized to 232, not to 256."""
    loaded = load(f"torchvision:{name}", arch_args=RANDOM)
    shown = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    prepared = loaded.preprocessing
    assert prepared.input_size == (3, shown.crop_size[0], shown.crop_size[0])
    assert int(prepared.input_size[1] / prepared.crop_pct) == shown.resize_size[0]
    assert list(prepared.mean) == shown.mean
    assert list(prepared.std) == shown.std
    assert prepared.interpolation == shown.interpolation.value
    assert not any(m.training for m in loaded.model.modules())


def test_blocks_are_the_zoos_own(no_network: None) -> None:
    loaded = load("timm:mobilenetv3_small_050", arch_args=RANDOM)
    named = loaded.model.named_modules()
    own = [name for name, m in named if type(m).__name__ == "SqueezeExcite"]
    found = seviz.find(loaded.model, (3, 64, 64))
    assert [b.path for b in found.blocks] == own


def test_the_hash_is_that_of_the_weights(no_network: None) -> None:
    def loaded(seed: int) -> str:
        torch.manual_seed(seed)
        return load("torchvision:mobilenet_v3_small", arch_args=RANDOM).sha256

    assert loaded(0) == loaded(0)
    assert loaded(0) != loaded(1)
    assert len(loaded(0)) == 64


# -------------------------------------------------------------------------------------------------
# What fails


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("timm:seresnet5", ["of timm, found 'seresnet5'; closest: ", "seresnet50"]),
        ("timm:seresnet5.a1_in1k", ["closest: ", "seresnet50"]),
        ("timm:qqqqqq", ["of timm, found 'qqqqqq'"]),
        ("timm:", ["of timm, found ''"]),
        ("torchvision:efficientnet_b00", ["of torchvision", "closest: ", "efficientnet_b0"]),
        ("torchvision:seresnet50", ["of torchvision, found 'seresnet50'"]),
    ],
)
def test_an_unknown_name(no_network: None, refuses: Refuses, spec: str, parts: list[str]) -> None:
    with refuses(UsageError, *parts):
        load(spec)


@pytest.mark.parametrize("name", ["timm:mobilenetv3_small_050", "torchvision:efficientnet_b0"])
def test_an_unknown_argument(no_network: None, refuses: Refuses, name: str) -> None:
    with refuses(CheckpointError, name, "TypeError", "'ratio'", "check --arch-args"):
        load(name, arch_args={**RANDOM, "ratio": 8})


def test_timm_without_a_network(
    no_network: None, monkeypatch: pytest.MonkeyPatch, refuses: Refuses
) -> None:
    asked: list[Any] = []

    def unreachable(*args: Any, **kwargs: Any) -> None:
        asked.append(args)
        raise ConnectionError("cannot reach the hub\nafter some tries")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", unreachable)
    spec = "timm:mobilenetv3_small_050"
    with refuses(
        CheckpointError,
        f"{spec} from timm, found ConnectionError: cannot reach the hub; check the connection",
        f"--arch {spec}",
    ):
        load(spec)
    assert len(asked) == 1


def test_torchvision_without_a_network(no_network: None, refuses: Refuses) -> None:
    with refuses(CheckpointError, "URLError", "no network in tests", "check the connection"):
        load("torchvision:mobilenet_v3_small")


def test_a_network_without_published_weights(no_network: None, refuses: Refuses) -> None:
    with refuses(CheckpointError, "No pretrained weights exist for seresnet18"):
        load("timm:seresnet18")


def test_two_architectures(tiny: Tiny, no_network: None, refuses: Refuses) -> None:
    with refuses(UsageError, "--arch with a checkpoint file", "timm:seresnet18"):
        load("timm:seresnet18", arch="se_resnet14", arch_args=RANDOM)
    assert load(tiny.path, arch="se_resnet14").classes is not None


def test_a_folder_laid_out_like_the_hub(tmp_path: Path, no_network: None) -> None:
    """What timm does with hf-hub:NAME after the download; the hub itself is not asked here."""
    model = timm.create_model("mobilenetv3_small_050", num_classes=3).eval()
    timm.models.save_for_hf(model, tmp_path / "net", model_args={"num_classes": 3})
    loaded = load(f"local-dir:{tmp_path / 'net'}")
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), model(x))
    assert loaded.architecture == loaded.name == "local-dir:net"
    assert loaded.preprocessing.origin == "timm"


def test_the_hub_without_a_network(
    no_network: None, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The hub's client tries again several times, and waits longer each time.
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with refuses(CheckpointError, "expected timm:hf-hub:nobody/nothing", "check the name"):
        load("hf-hub:nobody/nothing")
