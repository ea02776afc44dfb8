"""SE-DenseNet: torchvision's DenseNet where the gates are taken out, and its gates."""

from __future__ import annotations

import pytest
import torch
import torchvision
from test_architectures import count, on_meta
from torch import nn

import seviz
from seviz.networks.architectures.registry import build

# Width of the map after each dense block: stem / 2 (halved by each transition) + layers * growth.
GATED = {
    "121": (256, 512, 1024, 1024),
    "169": (256, 512, 1280, 1664),
    "201": (256, 512, 1792, 1920),
    "161": (384, 768, 2112, 2208),
}
# https://pytorch.org/vision/stable/models/densenet.html
PLAIN = {"121": 7_978_856, "169": 14_149_480, "201": 20_013_928, "161": 28_681_000}


@pytest.mark.parametrize("depth", GATED)
def test_parameters_are_torchvisions_and_the_gates(depth: str) -> None:
    gates = sum(2 * c * (c // 16) + c // 16 + c for c in GATED[depth])
    assert count(on_meta(f"se_densenet{depth}")) == PLAIN[depth] + gates


@pytest.mark.parametrize("depth", GATED)
def test_four_gates_on_the_whole_width(depth: str) -> None:
    found = seviz.find(on_meta(f"se_densenet{depth}"), (3, 224, 224))
    assert [b.channels for b in found.blocks] == list(GATED[depth])
    assert [b.hidden for b in found.blocks] == [c // 16 for c in GATED[depth]]
    assert [b.path for b in found.blocks] == [f"features.denseblock{n}.se" for n in (1, 2, 3, 4)]
    assert [b.spatial for b in found.blocks] == [(n, n) for n in (56, 28, 14, 7)]
    assert found.outputs == 1000


@pytest.mark.parametrize("depth", GATED)
def test_the_names_are_torchvisions_with_one_more_level(depth: str) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(f"densenet{depth}", weights=None).state_dict()
    ours = on_meta(f"se_densenet{depth}").state_dict()
    assert {
        k.replace(".dense_block.", "."): v.shape for k, v in ours.items() if ".se." not in k
    } == {k: v.shape for k, v in theirs.items()}
    assert {k for k in ours if ".se." in k} == {
        f"features.denseblock{n}.se.fc.{layer}.{kind}"
        for n in (1, 2, 3, 4)
        for layer in (0, 2)
        for kind in ("weight", "bias")
    }


def test_without_gates_it_computes_torchvisions_logits() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.densenet121(weights=None, num_classes=5)
    ours = build("se_densenet121", num_classes=5)
    for n in (1, 2, 3, 4):
        ours.get_submodule(f"features.denseblock{n}").add_module("se", nn.Identity())
    names = {k.replace(".dense_block.", "."): k for k in ours.state_dict()}
    ours.load_state_dict({names[k]: v for k, v in theirs.state_dict().items()})
    x = torch.randn(2, 3, 64, 64)
    # Norms that use the statistics of the batch keep the signal of random weights alive.
    with torch.no_grad():
        expected = theirs(x)
        assert expected.std() > 0.1
        torch.testing.assert_close(ours(x), expected)


def test_each_dense_block_ends_in_its_gate() -> None:
    torch.manual_seed(0)
    block = build("se_densenet121").eval().get_submodule("features.denseblock1")
    x = torch.randn(2, 64, 6, 5)
    with torch.no_grad():
        dense = block.get_submodule("dense_block")(x)
        assert dense.shape == (2, 256, 6, 5)
        assert torch.equal(dense[:, :64], x)
        torch.testing.assert_close(block(x), block.get_submodule("se")(dense))
