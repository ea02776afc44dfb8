"""Weights that a file holds in parts: put together, they are the weights that PyTorch computes with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from conftest import Refuses
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

import seviz
from seviz.errors import CheckpointError, UsageError
from seviz.networks.formats.reparametrised import resolved


def pruned(layer: nn.Module) -> None:
    prune.random_unstructured(layer, "weight", amount=0.4)


def pruned_in_rows(layer: nn.Module) -> None:
    prune.ln_structured(layer, "weight", amount=0.5, n=2, dim=0)


def old_weight_norm(layer: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        weight_norm(layer)
    layer.weight_g.data *= 1.7


def one_length(layer: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        weight_norm(layer, dim=None)
    layer.weight_g.data *= 1.7


def new_weight_norm(layer: nn.Module) -> None:
    parametrizations.weight_norm(layer)
    layer.parametrizations.weight.original0.data *= 0.6


def old_spectral_norm(layer: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        spectral_norm(layer)


def new_spectral_norm(layer: nn.Module) -> None:
    parametrizations.spectral_norm(layer)


@pytest.mark.parametrize(
    "split",
    [
        pruned,
        pruned_in_rows,
        old_weight_norm,
        one_length,
        new_weight_norm,
        old_spectral_norm,
        new_spectral_norm,
    ],
)
def test_they_are_what_pytorch_computes_with(split: Callable[[nn.Module], None]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 1), nn.Flatten(), nn.Linear(4, 5))
    names = [*network.state_dict()]
    for layer in (network[0], network[1], network[3]):
        split(layer)
    network.eval()
    network(torch.randn(1, 3, 3, 3))  # hooks compute the weights
    found, notes = resolved(network.state_dict())
    assert sorted(found) == sorted(names)
    for place in ("0", "1", "3"):
        expected = network[int(place)].weight.detach()
        torch.testing.assert_close(found[f"{place}.weight"], expected)
        assert torch.equal(found[f"{place}.bias"], network[int(place)].bias)
    (note,) = notes
    assert note.startswith("3 weights are ")


def test_what_is_no_part_stays() -> None:
    tensors = {
        "a_orig": torch.ones(3),  # alone
        "b_g": torch.ones(3),
        "b_v": torch.ones(4, 2),  # of another rank
        "c_orig": torch.ones(2, 2),
        "c_mask": torch.ones(3),
        "d.original": torch.ones(2),
    }
    found, notes = resolved(tensors)
    assert notes == ()
    assert all(found[name] is tensor for name, tensor in tensors.items())


@pytest.mark.usefixtures("elsewhere")
def test_a_pruned_network_is_recognised() -> None:
    torch.manual_seed(0)
    network = timm.create_model("lcnet_035", num_classes=10).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            prune.l1_unstructured(module, "weight", amount=0.5)
    torch.save({"state_dict": network.state_dict()}, "pruned.pt")
    loaded = seviz.load("pruned.pt")
    assert loaded.arch == "timm:lcnet_035"
    assert any("weights are pruned" in note for note in loaded.notes)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(x), network(x))


CODE = """
import torch
from torch import nn
from torch.nn.utils import parametrizations

def make():
    torch.manual_seed(1)
    return nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)))
"""


@pytest.mark.usefixtures("elsewhere")
def test_code_that_keeps_the_parts_gets_them() -> None:
    Path("own.py").write_text(CODE)
    network = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)))
    torch.save(network.state_dict(), "parts.pt")
    loaded = seviz.load("parts.pt", arch="own.py:make")
    assert parametrize.is_parametrized(loaded.model[0])
    torch.testing.assert_close(loaded.model[0].weight, network[0].weight)


@pytest.mark.usefixtures("elsewhere")
def test_weights_of_a_student(refuses: Refuses) -> None:
    networks = {
        "teacher": timm.create_model("lcnet_050", num_classes=10),
        "student": timm.create_model("lcnet_035", num_classes=10),
    }
    both = {
        f"{who}.{name}": tensor
        for who, network in networks.items()
        for name, tensor in network.state_dict().items()
    }
    torch.save({"state_dict": both, "epoch": 3}, "both.ckpt")
    first = seviz.load("both.ckpt")
    assert any("--weights state_dict." in note for note in first.notes)
    for who, arch in (("teacher", "timm:lcnet_050"), ("student", "timm:lcnet_035")):
        for key in (who, f"{who}.", f"state_dict.{who}"):
            loaded = seviz.load("both.ckpt", weights=key)
            assert loaded.arch == arch
            expected = networks[who].conv_stem.weight
            assert torch.equal(loaded.model.conv_stem.weight, expected)
    with refuses(UsageError, "'pupil'", "state_dict.teacher, state_dict.student"):
        seviz.load("both.ckpt", weights="pupil")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int32])
def test_whole_numbers_are_no_weights(refuses: Refuses, kind: torch.dtype) -> None:
    state = timm.create_model("lcnet_035", num_classes=10).state_dict()
    state["conv_stem.weight"] = (100 * state["conv_stem.weight"]).to(kind)
    torch.save(state, "int.pt")
    name = str(kind).removeprefix("torch.")
    with refuses(CheckpointError, f"conv_stem.weight ({name})", "scales"):
        seviz.load("int.pt")
