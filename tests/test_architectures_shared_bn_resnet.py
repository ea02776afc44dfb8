"""The notes' SE-ResNets: torchvision's ResNet with norms tied together, and their gates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from conftest import sampled
from test_architectures import NORM, count, on_meta
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

import seviz
from seviz.networks.architectures.registry import build
from seviz.networks.recognise.recognise import recognise

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
WIDTHS = (64, 128, 256, 512)


def parameters(depth: int, reduction: int, se_bias: bool, classes: int = 1000) -> int:
    expansion = 4 if depth >= 50 else 1
    total, inputs = 3 * 64 * 49 + 2 * 64, 64
    for width, blocks in zip(WIDTHS, BLOCKS[depth], strict=True):
        outputs = width * expansion
        for index in range(blocks):
            if expansion == 4:
                total += inputs * width + width * width * 9 + width * outputs
                total += 2 * width + 2 * outputs
            else:
                total += inputs * width * 9 + width * width * 9 + 2 * width
            if expansion == 4 or (index == 0 and width > 64):
                total += inputs * outputs + 2 * outputs
            hidden = outputs // reduction
            total += 2 * outputs * hidden + (outputs + hidden if se_bias else 0)
            inputs = outputs
    return total + inputs * classes + classes


@pytest.mark.parametrize("depth", BLOCKS)
def test_parameters_by_hand(depth: int) -> None:
    assert count(on_meta(f"shared_bn_se_resnet{depth}")) == parameters(depth, 16, False)
    model = on_meta(f"shared_bn_se_resnet{depth}", reduction=8, se_bias=True, num_classes=7)
    assert count(model) == parameters(depth, 8, True, 7)


def conv_norm(conv: str, norm: str) -> set[str]:
    return {f"{conv}.weight", *(f"{norm}.{n}" for n in NORM)}


def test_the_names_of_the_notes() -> None:
    state = on_meta("shared_bn_se_resnet50", se_layers=("down", "up"), se_conv=True).state_dict()
    block = {f"conv{n}.weight" for n in (1, 2, 3)} | {f"bn{n}.{k}" for n in (1, 2) for k in NORM}
    block |= conv_norm("shortcut.0", "shortcut.1") | {"se.down.weight", "se.up.weight"}
    stages = zip((2, 3, 4, 5), BLOCKS[50], strict=True)
    expected = {
        f"conv{s}_x.block_{s}_{i}.{name}"
        for s, count in stages
        for i in range(count)
        for name in block
    }
    assert set(state) == expected | conv_norm("conv1.0", "conv1.1") | {"fc.weight", "fc.bias"}
    assert state["conv2_x.block_2_0.se.down.weight"].shape == (16, 256, 1, 1)

    state = on_meta("shared_bn_se_resnet18").state_dict()
    assert {k.split(".")[1] for k in state if "short" in k} == {f"block_{s}_0" for s in (3, 4, 5)}
    assert {k.split(".")[2] for k in state if "block_3_0" in k} == {"conv1", "conv2", "bn"} | {
        *("se", "short_cut")
    }


def tied(depth: int, stride_in_1x1: bool) -> ResNet:
    """Return torchvision's network, made to share norms and to project in every bottleneck."""
    model: ResNet = torchvision.models.get_model(f"resnet{depth}", weights=None, num_classes=5)
    for n in (1, 2, 3, 4):
        for block in model.get_submodule(f"layer{n}").children():
            block.add_module("bn2", block.bn1)
            if isinstance(block, Bottleneck):
                if block.downsample is None:
                    c = block.bn3.num_features
                    block.downsample = nn.Sequential(
                        nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c)
                    )
                if stride_in_1x1:
                    block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return model


@pytest.mark.parametrize(
    ("depth", "options"), sampled([(18, {}), (50, {}), (50, {"stride_in_1x1": True})], 3), ids=str
)
def test_without_gates_it_computes_torchvisions_probabilities(
    depth: int, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    theirs = tied(depth, bool(options))
    ours = build(f"shared_bn_se_resnet{depth}", num_classes=5, **options)
    pairs = [(ours.get_submodule("conv1.0"), theirs.conv1), (ours.get_submodule("fc"), theirs.fc)]
    pairs += [(ours.get_submodule("conv1.1"), theirs.bn1)]
    for s in (2, 3, 4, 5):
        for i, block in enumerate(theirs.get_submodule(f"layer{s - 1}").children()):
            mine = ours.get_submodule(f"conv{s}_x.block_{s}_{i}")
            mine.add_module("se", nn.Identity())
            bottleneck = isinstance(block, Bottleneck)
            names = {"conv1": "conv1", "conv2": "conv2"}
            names |= (
                {"conv3": "conv3", "bn1": "bn1", "bn2": "bn3", "shortcut": "downsample"}
                if bottleneck
                else {"bn": "bn1", "short_cut": "downsample"}
            )
            pairs += [
                (mine.get_submodule(a), block.get_submodule(b))
                for a, b in names.items()
                if getattr(block, b) is not None
            ]
    for a, b in pairs:
        a.load_state_dict(b.state_dict())
    x = torch.randn(2, 3, 64, 64)
    # Norms that use the statistics of the batch keep the signal of random weights alive.
    with torch.no_grad():
        logits = theirs(x)
        assert logits.std() > 0.1
        torch.testing.assert_close(ours(x), logits.softmax(1))


@pytest.mark.parametrize("depth", [18, 50])
def test_the_stem_as_published(depth: int) -> None:
    """``conv1`` and ``bn`` instead of ``conv1.0`` and ``conv1.1``: the same network under other names."""
    torch.manual_seed(0)
    plain = build(f"shared_bn_se_resnet{depth}", num_classes=5, plain_stem=True).eval()
    weights = plain.state_dict()
    assert {"conv1.weight", "bn.running_mean"} <= weights.keys()
    found = recognise({n: tuple(t.shape) for n, t in weights.items()}, {}).found
    assert (found[0].fit.name, found[0].fit.args) == (
        f"shared_bn_se_resnet{depth}",
        {"num_classes": 5, "plain_stem": True},
    )
    nested = build(f"shared_bn_se_resnet{depth}", num_classes=5).eval()
    for old, new in (("conv1.", "conv1.0."), ("bn.", "conv1.1.")):
        weights = {n.replace(old, new) if n.startswith(old) else n: t for n, t in weights.items()}
    nested.load_state_dict(weights)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(plain(x), nested(x))


@pytest.mark.parametrize("options", [{}, {"se_conv": True, "se_layers": ("squeeze", "excite.1")}])
@pytest.mark.parametrize("depth", [18, 50])
def test_the_gate_ends_the_branch(depth: int, options: dict[str, Any]) -> None:
    """Changing the gate changes the branch, and nothing of the shortcut."""
    torch.manual_seed(0)
    model = build(f"shared_bn_se_resnet{depth}", **options).eval()
    block = model.get_submodule("conv3_x.block_3_0")
    seen: dict[str, torch.Tensor] = {}
    block.get_submodule("se").register_forward_hook(
        lambda module, inputs, output: seen.update(into=inputs[0], out=output)
    )
    last = block.get_submodule("bn2" if depth == 50 else "bn")
    last.register_forward_hook(lambda module, inputs, output: seen.update(norm=output))
    x = torch.randn(2, 256 if depth == 50 else 64, 8, 8)
    with torch.no_grad():
        out = block(x)
        shortcut = block.get_submodule("shortcut" if depth == 50 else "short_cut")(x)
        assert torch.equal(seen["into"], seen["norm"])
        torch.testing.assert_close(out, (seen["out"] + shortcut).relu())


@pytest.mark.parametrize(
    "options", [{}, {"se_conv": True, "se_bias": True, "se_layers": ("a", "b.c")}]
)
@pytest.mark.parametrize("depth", [18, 50])
def test_every_block_is_found(depth: int, options: dict[str, Any]) -> None:
    found = seviz.find(on_meta(f"shared_bn_se_resnet{depth}", **options), (3, 224, 224))
    expansion = 4 if depth == 50 else 1
    widths = [w * expansion for w, n in zip(WIDTHS, BLOCKS[depth], strict=True) for _ in range(n)]
    assert [b.channels for b in found.blocks] == widths
    assert [b.hidden for b in found.blocks] == [w // 16 for w in widths]
    assert [b.stage for b in found.blocks] == [
        s for s, n in zip((2, 3, 4, 5), BLOCKS[depth], strict=True) for _ in range(n)
    ]
    assert {b.placement for b in found.blocks} == {"standard"}
    assert {b.gate for b in found.blocks} == {"sigmoid"}
