"""BN-Inception with and without SE: the sizes and the costs that were published."""

from __future__ import annotations

from math import floor, prod
from typing import Any

import pytest
import timm
import torch
from test_architectures import count, on_meta
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import seviz
from seviz.networks.architectures.registry import build

CONCATENATED = (256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024)
KEYS = ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b")


class Operations(TorchDispatchMode):
    """Count as the SENet paper's table 2 does: what is found by a search for a rule that gives it.

    One per multiply-accumulate of convolutions and fully connected layers, per output of a norm, per
    input of a pooling layer with windows, and one pass over the map that a gate scales. (Maximum
    poolings alone would leave SE-BN-Inception 18 thousand operations below its 2.04 G.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name == "convolution":
            self.total += out.numel() * prod(args[1].shape[1:])
        elif name in {"addmm", "mm"}:
            self.total += out.numel() * args[-2].shape[-1]
        elif name == "native_batch_norm":
            self.total += out[0].numel()
        elif name in {"max_pool2d_with_indices", "avg_pool2d"}:
            self.total += args[0].numel()
        elif name == "mul":
            self.total += out.numel()
        return out


def giga_operations(model: nn.Module) -> float:
    """Return the paper's GFLOPs at 224 pixels, cut to two decimals as in its table."""
    with torch.device("meta"), torch.no_grad(), Operations() as operations:
        model.eval()(torch.empty(1, 3, 224, 224))
    return floor(operations.total / 1e7) / 100


@pytest.mark.parametrize(("name", "gflops"), [("bn_inception", 2.03), ("se_bn_inception", 2.04)])
def test_the_cost_of_table_2(name: str, gflops: float) -> None:
    assert giga_operations(on_meta(name)) == gflops


def test_the_rule_gives_the_cost_of_another_network() -> None:
    with torch.device("meta"):
        assert giga_operations(timm.create_model("legacy_seresnet50")) == 3.87


def test_published_sizes() -> None:
    # The PyTorch port of the plain network has 11,295,240 parameters. Open Model Zoo counts 11.922 M in
    # the authors' SE network, where the scale of each norm is folded into its convolution.
    assert count(on_meta("bn_inception")) == 11_295_240
    gated = on_meta("se_bn_inception")
    scales = sum(m.num_features for m in gated.modules() if isinstance(m, nn.BatchNorm2d))
    assert round((count(gated) - scales) / 1e6, 3) == 11.922
    # With a bias in every convolution there is one more number for each channel of each norm.
    assert count(on_meta("se_bn_inception", bias=True)) == count(gated) + scales
    excitations = sum(2 * c * (c // 16) + c + c // 16 for c in CONCATENATED)
    assert count(gated) == 11_295_240 - scales + excitations
    assert count(on_meta("se_bn_inception", se_bias=False)) == count(gated) - sum(
        c + c // 16 for c in CONCATENATED
    )


def test_ten_gates_on_the_concatenated_maps() -> None:
    found = seviz.find(on_meta("se_bn_inception"), (3, 224, 224))
    assert [b.path for b in found.blocks] == [f"inception_{k}_se" for k in KEYS]
    assert [b.channels for b in found.blocks] == list(CONCATENATED)
    assert [b.hidden for b in found.blocks] == [c // 16 for c in CONCATENATED]
    assert [b.spatial[0] for b in found.blocks] == [28, 28, 14, 14, 14, 14, 14, 7, 7, 7]
    assert not seviz.find(on_meta("bn_inception"), (3, 224, 224)).blocks


def test_names() -> None:
    state = on_meta("bn_inception").state_dict()
    block = {"1x1", "3x3_reduce", "3x3", "double_3x3_reduce", "double_3x3_1", "double_3x3_2"}
    halving = block - {"1x1"}
    convs = {"conv1_7x7_s2", "conv2_3x3_reduce", "conv2_3x3"}
    for key in KEYS:
        names = halving if key in {"3c", "4e"} else block | {"pool_proj"}
        convs |= {f"inception_{key}_{name}" for name in names}
    assert {k.partition(".")[0] for k in state} == convs | {f"{c}_bn" for c in convs} | {
        "last_linear"
    }
    gates = {k for k in on_meta("se_bn_inception").state_dict() if "_se." in k}
    assert gates == {
        f"inception_{key}_se.fc.{layer}.{kind}"
        for key in KEYS
        for layer in (0, 2)
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("key", ["3a", "3c", "5b"])
def test_a_block_is_its_branches(key: str) -> None:
    torch.manual_seed(0)
    model = build("se_bn_inception").eval()
    name = f"inception_{key}"
    seen: dict[str, torch.Tensor] = {}
    reduce = model.get_submodule(f"{name}_3x3_reduce")
    reduce.register_forward_hook(lambda module, inputs, output: seen.update(x=inputs[0]))
    gate = model.get_submodule(f"{name}_se")
    gate.register_forward_hook(
        lambda module, inputs, output: seen.update(cat=inputs[0], out=output)
    )

    def unit(x: torch.Tensor, *parts: str) -> torch.Tensor:
        for part in parts:
            conv, norm = (model.get_submodule(f"{name}_{part}{end}") for end in ("", "_bn"))
            x = norm(conv(x)).relu()
        return x

    with torch.no_grad():
        model(torch.randn(1, 3, 96, 96))
        x = seen["x"]
        three = unit(x, "3x3_reduce", "3x3")
        double = unit(x, "double_3x3_reduce", "double_3x3_1", "double_3x3_2")
        if key == "3c":
            expected = [three, double, nn.MaxPool2d(3, 2, ceil_mode=True)(x)]
        else:
            pool = nn.AvgPool2d(3, 1, 1) if key == "3a" else nn.MaxPool2d(3, 1, 1)
            expected = [unit(x, "1x1"), three, double, unit(pool(x), "pool_proj")]
        torch.testing.assert_close(seen["cat"], torch.cat(expected, 1))
        gates = gate.get_submodule("fc")(seen["cat"].mean((2, 3)))
        torch.testing.assert_close(seen["out"], seen["cat"] * gates[:, :, None, None])
