"""safetensors, exported programs and TorchScript: their weights, without running what is in them."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import Refuses, crossed
from torch import nn

from seviz.errors import CheckpointError
from seviz.gates import find
from seviz.networks import load
from seviz.networks.architectures.registry import build
from seviz.networks.formats.programs import scripted_weights

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]


def small(name: str = "se_resnet14") -> nn.Module:
    torch.manual_seed(3)
    model = build(name, num_classes=5, widths=(4, 4, 8), reduction=2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.normal_()
    return model.eval()


def as_safetensors(model: nn.Module, path: Path) -> None:
    safetensors.torch.save_file(dict(model.state_dict()), path, {"format": "pt", "epoch": "3"})


def as_export(model: nn.Module, path: Path) -> None:
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)


def as_traced(model: nn.Module, path: Path) -> None:
    torch.jit.save(torch.jit.trace(model, torch.zeros(1, 3, 32, 32)), path)


class Scriptable(nn.Module):
    """TorchScript does not compile CifarResNet, which looks its layers up by name; it compiles this."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.shared = nn.Parameter(torch.arange(6.0).reshape(2, 3).t())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) * self.shared.sum()


WRITERS: dict[str, tuple[Callable[[nn.Module, Path], None], str, str]] = {
    "safetensors": (as_safetensors, "x.safetensors", "safetensors"),
    "torch.export": (as_export, "x.pt2", "torch.export"),
    "TorchScript": (as_traced, "x.pt", "TorchScript"),
}


def same(one: nn.Module, other: nn.Module) -> bool:
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(one(x), other(x))


@pytest.mark.parametrize(("kind", "extension"), crossed(WRITERS, ["own", "other"]))
def test_weights_of_other_formats(kind: str, extension: str, tmp_path: Path) -> None:
    """The content tells what it is, not the extension."""
    write, name, shown = WRITERS[kind]
    model = small()
    write(model, tmp_path / name)
    path = tmp_path / name
    if extension == "other":
        path = path.rename(tmp_path / "weights.bin")
    loaded = load(path)
    assert loaded.format == shown
    assert loaded.recognised.startswith("se_resnet14 (seviz), 100 % of ")
    assert same(loaded.model, model)
    assert len(find(loaded.model, (3, 32, 32)).blocks) == 6


@pytest.mark.parametrize("kind", ["torch.export", "TorchScript"])
def test_a_program_is_not_run(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, name, _ = WRITERS[kind]
    write(small(), tmp_path / name)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the program was run")

    for place in ("torch.jit.load", "torch.export.load", "pickle.loads", "pickle.load"):
        monkeypatch.setattr(place, refuse)
    assert any("the program itself was not run" in n for n in load(tmp_path / name).notes)


@pytest.mark.parametrize("kind", ["torch.export", "TorchScript"])
def test_a_program_is_run_on_the_users_word(kind: str, tmp_path: Path) -> None:
    """Where no known network has the weights, the program itself can be looked into."""
    write, name, shown = WRITERS[kind]
    model = small()
    write(model, tmp_path / name)
    loaded = load(tmp_path / name, unsafe=True)
    assert loaded.architecture == f"{shown} program"
    assert same(loaded.model, model)
    found = find(loaded.model, (3, 32, 32))
    assert [b.channels for b in found.blocks] == [4, 4, 4, 4, 8, 8]


def test_scripted_modules_keep_views_and_names(tmp_path: Path) -> None:
    module = Scriptable()
    torch.jit.save(torch.jit.script(module), tmp_path / "x.pt")
    read = scripted_weights(tmp_path / "x.pt")
    expected = module.state_dict()
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[k], expected[k]) for k in expected)


def test_a_scripted_file_names_nothing_but_tensors(tmp_path: Path, refuses: Refuses) -> None:
    torch.jit.save(torch.jit.script(Scriptable()), tmp_path / "good.pt")
    made = tmp_path / "made"

    class Trap:
        def __reduce__(self) -> Any:
            return made.mkdir, ()

    with (
        zipfile.ZipFile(tmp_path / "good.pt") as good,
        zipfile.ZipFile(tmp_path / "x.pt", "w") as bad,
    ):
        for member in good.namelist():
            content = good.read(member)
            if member.endswith("/data.pkl"):
                content = pickle.dumps({"conv": Trap()}, 2)
            bad.writestr(member, content)
    with refuses(CheckpointError, "cannot be read in x.pt"):
        load(tmp_path / "x.pt")
    assert not made.exists()


def test_weights_that_an_export_pickles_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    as_export(small(), tmp_path / "good.pt2")
    with (
        zipfile.ZipFile(tmp_path / "good.pt2") as good,
        zipfile.ZipFile(tmp_path / "x.pt2", "w") as bad,
    ):
        for member in good.namelist():
            content = good.read(member)
            if member.endswith("model_weights_config.json"):
                config = json.loads(content)
                config["config"]["fc.weight"]["use_pickle"] = True
                content = json.dumps(config).encode()
            bad.writestr(member, content)
    with refuses(CheckpointError, "found fc.weight as a pickle", "--unsafe-load"):
        load(tmp_path / "x.pt2")


def test_the_architecture_in_the_metadata_of_safetensors(tmp_path: Path) -> None:
    import timm

    port = timm.create_model("tf_mobilenetv3_small_075").eval()
    safetensors.torch.save_file(
        dict(port.state_dict()), tmp_path / "x.safetensors", {"arch": "tf_mobilenetv3_small_075"}
    )
    assert load(tmp_path / "x.safetensors").architecture == "timm:tf_mobilenetv3_small_075"


def test_half_precision_of_every_kind(tmp_path: Path) -> None:
    model = small()
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        halves = {
            k: v.to(dtype) if v.is_floating_point() else v for k, v in model.state_dict().items()
        }
        safetensors.torch.save_file(halves, tmp_path / "x.safetensors")
        loaded = load(tmp_path / "x.safetensors")
        assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
        weight = model.get_parameter("fc.weight")
        assert torch.equal(loaded.model.get_parameter("fc.weight"), weight.to(dtype).float())
