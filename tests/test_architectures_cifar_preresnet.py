"""Pre-activation ResNet-164 for CIFAR: its parameters, its blocks, its gates."""

from __future__ import annotations

import pytest
import torch
from test_architectures import count, on_meta

import seviz
from seviz.networks.architectures.registry import build


def parameters(blocks: int, reduction: int | None) -> int:
    """Count by arXiv 1603.05027, section 5 and figure 4 (e); the norms come before the convolutions."""
    total, inputs = 3 * 16 * 9, 16
    for width in (16, 32, 64):
        outputs = 4 * width
        for index in range(blocks):
            norms = 2 * inputs + 2 * width + 2 * width
            total += norms + inputs * width + width * width * 9 + width * outputs
            if index == 0:
                total += inputs * outputs
            if reduction is not None:
                total += 2 * outputs * (outputs // reduction)
            inputs = outputs
    return total + 2 * 256 + 256 * 10 + 10


def test_parameters_by_hand() -> None:
    assert count(on_meta("resnet164")) == parameters(18, None)
    assert round(parameters(18, None) / 1e6, 1) == 1.7  # table 4 of arXiv 1603.05027
    assert count(on_meta("se_resnet164")) == parameters(18, 16)
    assert count(on_meta("cifar_preresnet", depth=29, reduction=8)) == parameters(3, 8)


def test_the_names_of_a_block() -> None:
    state = on_meta("se_resnet164").state_dict()
    first = {k.removeprefix("layer1.0.") for k in state if k.startswith("layer1.0.")}
    assert {k for k in first if k.endswith("weight")} == {
        f"{module}.weight"
        for module in (
            "bn1",
            "conv1",
            "bn2",
            "conv2",
            "bn3",
            "conv3",
            "se.fc.0",
            "se.fc.2",
            "downsample.0",
        )
    }
    assert {k for k in state if k.count(".") == 1 and "running" not in k and "num" not in k} == {
        *("conv1.weight", "bn.weight", "bn.bias", "fc.weight", "fc.bias")
    }
    assert sum("downsample" in k for k in state) == 3
    assert "layer3.17.conv3.weight" in state


def test_a_block_is_the_papers() -> None:
    torch.manual_seed(0)
    model = build("cifar_preresnet", depth=20, reduction=4).eval()
    block = model.get_submodule("layer2.0")
    part = {name: block.get_submodule(name) for name, _ in block.named_children()}
    x = torch.randn(2, 64, 8, 8)
    with torch.no_grad():
        branch = x
        for n in (1, 2, 3):
            branch = part[f"conv{n}"](part[f"bn{n}"](branch).relu())
        expected = part["se"](branch) + part["downsample"](x)
        torch.testing.assert_close(block(x), expected)
        assert expected.shape == (2, 128, 4, 4)


def test_a_network_is_its_parts() -> None:
    torch.manual_seed(0)
    model = build("cifar_preresnet", depth=20, num_classes=7).eval()
    x = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        y = model.get_submodule("conv1")(x)
        for n in (1, 2, 3):
            y = model.get_submodule(f"layer{n}")(y)
        assert y.shape == (3, 256, 4, 4)
        y = model.get_submodule("bn")(y).relu().mean((2, 3))
        torch.testing.assert_close(model(x), model.get_submodule("fc")(y))
        assert model(x).shape == (3, 7)


def test_fifty_four_blocks() -> None:
    found = seviz.find(on_meta("se_resnet164"), (3, 32, 32))
    assert [b.channels for b in found.blocks] == [64] * 18 + [128] * 18 + [256] * 18
    assert [b.hidden for b in found.blocks] == [4] * 18 + [8] * 18 + [16] * 18
    assert {b.placement for b in found.blocks} == {"standard"}
    assert found.outputs == 10
    assert not seviz.find(on_meta("resnet164"), (3, 32, 32)).blocks


@pytest.mark.parametrize("depth", [-7, 2, 10, 163, 165])
def test_an_impossible_depth(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"9n \+ 2 .*found {depth}$"):
        build("cifar_preresnet", depth=depth)
