"""Architectures by name: registered, from a zoo, from a file or a module of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from conftest import Refuses, Tiny

from seviz.errors import CheckpointError, SevizError, UsageError
from seviz.networks import load, parse_arch_args
from seviz.networks.arch import build_architecture, describe_architecture
from seviz.networks.building import on_meta

OWN = """
import dataclasses
from neighbour import build

@dataclasses.dataclass
class Settings:
    widths: "tuple"

def make(widths, **kwargs):
    return build("se_resnet14", widths=Settings(widths).widths, **kwargs)

def raising():
    raise ValueError("of two\\nlines")

def silent():
    raise RuntimeError

def leaving():
    raise SystemExit("usage: train.py [-h]")

def number():
    return 3

def pair():
    return make((8, 8, 8)), 1

CONSTANT = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go to a folder with a user's code in it, and forget that code afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [p for p in sys.path if p])
    before = set(sys.modules)
    Path("neighbour.py").write_text("from seviz.networks.architectures.registry import build\n")
    Path("users_net.py").write_text(OWN)
    Path("users_package").mkdir()
    Path("users_package/nets.py").write_text("from users_net import make\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"neighbour", "users_net", "users_package", "broken"}:
            del sys.modules[name]


@pytest.fixture
def bare(tiny: Tiny, tmp_path: Path) -> Path:
    """Return a bare state dict of the tiny network."""
    torch.save(tiny.model.state_dict(), tmp_path / "bare.pt")
    return tmp_path / "bare.pt"


# -------------------------------------------------------------------------------------------------
# What builds


@pytest.mark.parametrize(
    ("arch", "more"),
    [
        ("se_resnet14", {}),
        ("users_net.py:make", {}),
        ("users_package.nets:make", {}),
        ("seviz.networks.architectures.registry:build", {"name": "se_resnet14"}),
        ("seviz.networks.architectures.cifar_resnet:CifarResNet", {"depth": 14}),
    ],
)
def test_the_same_network_by_any_name(
    tiny: Tiny, folder: Path, bare: Path, arch: str, more: dict[str, Any]
) -> None:
    loaded = load(bare, arch=arch, arch_args={**tiny.arch_args, "num_classes": 4, **more})
    assert not any(m.training for m in loaded.model.modules())
    x = torch.randn(3, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), tiny.model(x))


def test_a_file_in_another_folder(tiny: Tiny, folder: Path, bare: Path) -> None:
    """Its neighbours are found, and the folder stays out of what a record shows."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    Path("users_net.py").rename(elsewhere / "users_net.py")
    Path("neighbour.py").rename(elsewhere / "neighbour.py")
    arch_args = {**tiny.arch_args, "num_classes": 4}
    loaded = load(bare, arch=f"{elsewhere / 'users_net.py'}:make", arch_args=arch_args)
    assert loaded.architecture == "users_net.py:make(reduction=4, widths=(8, 8, 16))"


def test_a_file_that_is_called_like_a_module(folder: Path) -> None:
    import json

    Path("json.py").write_text(OWN)
    model = build_architecture("json.py:make", {"widths": (8, 8, 8)})
    assert isinstance(model, torch.nn.Module)
    assert sys.modules["json"] is json


def test_weights_of_timm(no_network: None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model("mobilenetv3_small_050").eval()
    torch.save(model.state_dict(), tmp_path / "x.pt")
    loaded = load(tmp_path / "x.pt", arch="timm:mobilenetv3_small_050")
    assert loaded.preprocessing.origin == "timm:mobilenetv3_small_050's"
    assert loaded.preprocessing.assumed
    assert loaded.classes is not None
    assert len(loaded.classes) == 1000
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), model(x))


def test_weights_of_torchvision(no_network: None, tmp_path: Path) -> None:
    """``pretrained`` means the zoo's weights, which the file's replace: nothing is downloaded."""
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v3_small(num_classes=3).eval()
    torch.save(model.state_dict(), tmp_path / "x.pt")
    arch_args = {"num_classes": 3, "pretrained": True, "weights": "DEFAULT"}
    loaded = load(tmp_path / "x.pt", arch="torchvision:mobilenet_v3_small", arch_args=arch_args)
    assert loaded.preprocessing.origin == "torchvision:mobilenet_v3_small's"
    assert loaded.classes is None
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), model(x))


# -------------------------------------------------------------------------------------------------
# What does not


@pytest.mark.parametrize(
    ("arch", "arch_args", "error", "parts"),
    [
        ("se_resnet2", {}, UsageError, ["'se_resnet2'; closest: ", "se_resnet20"]),
        ("vgg", {}, UsageError, ["'vgg'; known: ", "senet_notes"]),
        ("", {}, UsageError, ["found ''; known: "]),
        ("users_net.py", {}, UsageError, ["found 'users_net.py'; name what", "users_net.py:NAME"]),
        ("users_net.py:", {}, UsageError, ["found 'users_net.py:'"]),
        (":make", {}, UsageError, ["found ':make'"]),
        ("se_resnet14", {"ratio": 4}, CheckpointError, ["'ratio'", "--arch-args {'ratio': 4}"]),
        ("se_resnet14", {"widths": ()}, CheckpointError, ["IndexError"]),
        ("timm:seresnet5", {}, UsageError, ["of timm", "'seresnet5'; closest: ", "seresnet50"]),
        ("timm:", {}, UsageError, ["of timm, found ''"]),
        ("torchvision:efficientnet_b00", {}, UsageError, ["of torchvision", "efficientnet_b0"]),
        ("timm:seresnet18", {"ratio": 4}, CheckpointError, ["TypeError", "'ratio'"]),
        ("users_net.py:raising", {}, CheckpointError, ["found ValueError: of two; "]),
        ("users_net.py:silent", {}, CheckpointError, ["found RuntimeError: no message; "]),
        ("users_net.py:leaving", {}, CheckpointError, ["SystemExit: usage: train.py [-h]"]),
        ("users_net.py:number", {}, CheckpointError, ["a torch.nn.Module, found int"]),
        ("users_net.py:pair", {}, CheckpointError, ["a torch.nn.Module, found tuple"]),
        ("users_net.py:mak", {}, UsageError, ["'mak' in users_net.py", "it has make"]),
        ("users_net.py:CONSTANT", {}, UsageError, ["'CONSTANT' in users_net.py"]),
        ("no_file.py:make", {}, UsageError, ["found none at no_file.py"]),
        ("no_module.nets:make", {}, CheckpointError, ["No module named 'no_module'"]),
        (".nets:make", {}, CheckpointError, ["TypeError"]),
    ],
)
def test_what_cannot_be_built(
    folder: Path,
    no_network: None,
    refuses: Refuses,
    arch: str,
    arch_args: dict[str, Any],
    error: type[SevizError],
    parts: list[str],
) -> None:
    with refuses(error, *parts):
        build_architecture(arch, arch_args)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def make(:\n", "SyntaxError"),
        ("import not_installed_at_all\n", "ModuleNotFoundError"),
        ("import sys; sys.exit(2)\n", "SystemExit: 2"),
    ],
)
def test_a_file_that_cannot_be_imported(
    folder: Path, refuses: Refuses, code: str, found: str
) -> None:
    Path("broken.py").write_text(code)
    with refuses(CheckpointError, "broken.py", found):
        build_architecture("broken.py:make", {})
    assert "broken" not in sys.modules


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_what_torchvision_says_of_training_is_not_passed_on(name: str) -> None:
    """Warnings are errors in these tests."""
    built = on_meta(lambda: build_architecture(f"torchvision:{name}", {}))
    assert all(parameter.is_meta for parameter in built.parameters())


def test_interrupting_a_factory_is_no_error_of_the_network(folder: Path) -> None:
    Path("users_net.py").write_text("def make():\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        build_architecture("users_net.py:make", {})


# -------------------------------------------------------------------------------------------------
# Words


def test_values_are_python_where_they_can_be() -> None:
    words = ["a=1", "b=0.5", "c=None", "d=TRUE", "e=[1, 2]", "f=se", "g=", "h='3'", "i=x=y"]
    assert parse_arch_args(words) == {
        **{"a": 1, "b": 0.5, "c": None, "d": True, "e": [1, 2]},
        **{"f": "se", "g": "", "h": "3", "i": "x=y"},
    }


@pytest.mark.parametrize("word", ["reduction", "=8", "a b=3", "8=x"])
def test_other_words(refuses: Refuses, word: str) -> None:
    with refuses(UsageError, repr(word), "reduction=8"):
        parse_arch_args([word])


def test_how_an_architecture_is_shown() -> None:
    assert describe_architecture("senet_notes", {}) == "senet_notes"
    assert describe_architecture("a/b/net.py:f", {"k": 3, "s": "x"}) == "net.py:f(k=3, s=x)"
    assert describe_architecture("timm:seresnet50.a1_in1k", {}) == "timm:seresnet50.a1_in1k"


def test_a_name_of_a_zoo_without_the_zoo(refuses: Refuses) -> None:
    with refuses(UsageError, "found 'lcnet_035'; give timm:lcnet_035"):
        build_architecture("lcnet_035", {})
    with refuses(UsageError, "give timm:resnet18 or torchvision:resnet18"):
        build_architecture("resnet18", {})
