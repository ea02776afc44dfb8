"""The networks that no zoo has: their parameters, their names, and their gates against NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

import seviz
from seviz.networks.architectures.registry import AMBIGUOUS, BUILDERS, build
from seviz.networks.architectures.se import NamedSqueezeExcite, ScaleShiftExcite, SqueezeExcite

Array = npt.NDArray[np.float64]
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def on_meta(name: str, **arch_args: object) -> nn.Module:
    """Build without memory and arithmetic: names and shapes are all that is asked for."""
    with torch.device("meta"):
        return build(name, **arch_args)


def numbers(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


# -------------------------------------------------------------------------------------------------
# ResNets for small images


def resnet_parameters(depth: int, reduction: int | None, classes: int = 10) -> int:
    """Count by the formulas of arXiv 1512.03385, section 4.2, and 1709.01507, eq. 5 (no bias)."""
    total, inputs = 3 * 16 * 9 + 2 * 16, 16
    for width in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            total += inputs * width * 9 + 2 * width
            total += width * width * 9 + 2 * width
            if inputs != width:
                total += inputs * width + 2 * width
            if reduction is not None:
                total += 2 * width * max(1, width // reduction)
            inputs = width
    return total + 64 * classes + classes


@pytest.mark.parametrize("depth", [14, 20, 56])
def test_parameters_by_hand(depth: int) -> None:
    assert count(on_meta(f"se_resnet{depth}")) == resnet_parameters(depth, 16)
    assert count(on_meta(f"se_resnet{depth}", reduction=8)) == resnet_parameters(depth, 8)
    assert count(on_meta(f"resnet{depth}", num_classes=7)) == resnet_parameters(depth, None, 7)


def test_the_numbers_of_resnet_20() -> None:
    # 272,474 is the published count with 1x1 shortcuts; 6 * (16 * 1 + 32 * 2 + 64 * 4) are SE's.
    assert count(on_meta("resnet20")) == 272_474
    assert count(on_meta("se_resnet20")) == 272_474 + 2_016


def test_nine_blocks_of_se_resnet_20() -> None:
    found = seviz.find(build("se_resnet20"), (3, 32, 32))
    assert [b.name for b in found.blocks] == [f"SE_{s}_{i}" for s in (2, 3, 4) for i in (1, 2, 3)]
    assert [b.channels for b in found.blocks] == [16] * 3 + [32] * 3 + [64] * 3
    assert {b.placement for b in found.blocks} == {"standard"}


def test_the_twin_is_the_same_network_without_se() -> None:
    with_se, twin = (on_meta(n).state_dict() for n in ("se_resnet20", "resnet20"))
    kept = {k: v.shape for k, v in with_se.items() if ".se." not in k}
    assert kept == {k: v.shape for k, v in twin.items()}
    assert list(kept) == list(twin)


def test_a_block_is_the_papers() -> None:
    """Conv-BN-ReLU-conv-BN, SE, addition, ReLU: the block's output from its parts."""
    torch.manual_seed(0)
    model = build("se_resnet14", reduction=4).eval()
    block = model.get_submodule("layer2.0")
    x = torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        part = {name: block.get_submodule(name) for name, _ in block.named_children()}
        inner = part["bn1"](part["conv1"](x)).relu()
        branch = part["se"](part["bn2"](part["conv2"](inner)))
        expected = (branch + part["downsample"](x)).relu()
        assert torch.equal(block(x), expected)
        assert expected.shape == (2, 32, 4, 4)


@pytest.mark.parametrize("depth", [-4, 2, 7, 18, 21])
def test_an_impossible_depth(depth: int) -> None:
    from seviz.networks.architectures.cifar_resnet import CifarResNet

    with pytest.raises(ValueError, match=rf"6n \+ 2 .*found {depth}$"):
        CifarResNet(depth)


def test_every_name_builds() -> None:
    small = (14, 20, 32, 44, 56, 110)
    depths = {f"{gates}resnet{d}" for gates in ("se_", "eca_", "cbam_", "") for d in small}
    depths |= {"se_resnet164", "resnet164"}  # with pre-activation
    shared = {f"shared_bn_se_resnet{d}" for d in (18, 34, 50, 101, 152)}
    dense = {f"se_densenet{d}" for d in (121, 161, 169, 201)}
    others = {"senet_notes", "bn_inception", "se_bn_inception"}
    any_depth = {"cifar_resnet": 26, "cifar_preresnet": 29}
    assert set(BUILDERS) == depths | shared | dense | others | set(any_depth)
    for name in BUILDERS:
        depth = {"depth": any_depth[name]} if name in any_depth else {}
        layers = on_meta(name, num_classes=3, **depth).modules()
        assert [m for m in layers if isinstance(m, nn.Linear)][-1].out_features == 3
    assert set(AMBIGUOUS) <= set(BUILDERS)


def test_what_cannot_be_built() -> None:
    with pytest.raises(KeyError):
        build("se_resnet21")
    with pytest.raises(TypeError, match="depths"):
        build("se_resnet20", depths=3)


# -------------------------------------------------------------------------------------------------
# The network of the SENet notes


def notes_names(blocks: int) -> set[str]:
    def conv_norm(name: str) -> set[str]:
        return {f"{name}.0.weight", *(f"{name}.1.{n}" for n in NORM)}

    names = conv_norm("conv_block") | conv_norm("out_conv") | {"fc.weight", "fc.bias"}
    for n in range(blocks):
        names |= conv_norm(f"res_blocks.{n}.conv_lower") | conv_norm(f"res_blocks.{n}.conv_upper")
        names |= {f"res_blocks.{n}.se_block.fc.{layer}.weight" for layer in (0, 2)}
    return names


@pytest.mark.parametrize("squeeze", [True, False])
def test_names_and_shapes_of_the_notes(squeeze: bool) -> None:
    state = on_meta("senet_notes", squeeze=squeeze).state_dict()
    assert set(state) == notes_names(9)
    assert state["res_blocks.8.se_block.fc.0.weight"].shape == (8, 128, 1, 1)
    assert state["res_blocks.8.se_block.fc.2.weight"].shape == (256, 8, 1, 1)
    assert state["conv_block.0.weight"].shape == (128, 3, 3, 3)
    assert state["out_conv.0.weight"].shape == (128, 128, 1, 1)
    assert state["fc.weight"].shape == (10, 128)


def test_parameters_of_the_notes_by_hand() -> None:
    stem = 3 * 128 * 9 + 2 * 128
    block = 2 * (128 * 128 * 9 + 2 * 128) + 128 * 8 + 8 * 256
    head = 128 * 128 + 2 * 128 + 128 * 10 + 10
    assert count(on_meta("senet_notes")) == stem + 9 * block + head


def test_the_squeeze_is_all_that_differs() -> None:
    small = {"filters": 8, "blocks": 2, "reduction": 2}
    torch.manual_seed(0)
    squeezed = build("senet_notes", **small).eval()
    published = build("senet_notes", squeeze=False, **small).eval()
    published.load_state_dict(squeezed.state_dict())
    x = torch.randn(5, 3, 16, 16)
    with torch.no_grad():
        a, b = squeezed(x), published(x)
    for logs in (a, b):
        assert logs.shape == (5, 10)
        np.testing.assert_allclose(np.exp(numbers(logs)).sum(axis=1), 1, atol=1e-6)
    assert not torch.allclose(a, b, atol=1e-3)
    # On one pixel the mean over pixels is the pixel.
    with torch.no_grad():
        assert torch.allclose(squeezed(x[:, :, :1, :1]), published(x[:, :, :1, :1]), atol=1e-6)


# -------------------------------------------------------------------------------------------------
# The blocks against NumPy


@pytest.mark.parametrize("bias", [False, True])
def test_squeeze_excite_is_the_papers_formula(bias: bool) -> None:
    torch.manual_seed(1)
    block = SqueezeExcite(12, reduction=5, bias=bias)
    x = torch.randn(3, 12, 5, 4)
    w1, w2 = (numbers(block.get_parameter(f"fc.{n}.weight")) for n in (0, 2))
    assert w1.shape == (2, 12)
    b1, b2 = (numbers(block.get_parameter(f"fc.{n}.bias")) if bias else 0.0 for n in (0, 2))
    z = numbers(x).mean(axis=(2, 3))
    gate = sigmoid(np.maximum(z @ w1.T + b1, 0) @ w2.T + b2)
    np.testing.assert_allclose(numbers(block(x)), numbers(x) * gate[:, :, None, None], atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize(
    "layers", [("fc.0", "fc.2"), ("conv", "bias"), ("a.b.c", "a.b.d"), ["z", "a"]]
)
def test_any_names_are_the_same_gate(layers: tuple[str, str], conv: bool, bias: bool) -> None:
    torch.manual_seed(3)
    block = NamedSqueezeExcite(12, reduction=5, layers=layers, conv=conv, bias=bias)
    plain = SqueezeExcite(12, reduction=5, bias=bias)
    assert {k.rpartition(".")[0] for k in block.state_dict()} == set(layers)
    for ours, theirs in zip(layers, ("fc.0", "fc.2"), strict=True):
        for key, tensor in plain.get_submodule(theirs).named_parameters():
            parameter = block.get_parameter(f"{ours}.{key}")
            assert parameter.dim() == (4 if conv and key == "weight" else tensor.dim())
            parameter.data.copy_(tensor.data.reshape(parameter.shape))
    x = torch.randn(3, 12, 5, 4)
    torch.testing.assert_close(block(x), plain(x))


@pytest.mark.parametrize(
    "layers", [("fc",), ("fc", "fc"), ("fc", "fc.2"), ("fc.2.x", "fc.2"), ("a", ""), ("a..b", "c")]
)
def test_layers_that_cannot_be_named_so(layers: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="two separate layers"):
        NamedSqueezeExcite(16, layers=layers)


@pytest.mark.parametrize("squeeze", [True, False])
def test_scale_shift_excite(squeeze: bool) -> None:
    torch.manual_seed(2)
    block = ScaleShiftExcite(6, reduction=2, squeeze=squeeze)
    x = torch.randn(3, 6, 4, 5)
    w1, w2 = (numbers(block.get_parameter(f"fc.{n}.weight"))[:, :, 0, 0] for n in (0, 2))
    assert (w1.shape, w2.shape) == ((3, 6), (12, 3))
    pixels = numbers(x).transpose(0, 2, 3, 1)
    z = pixels.mean(axis=(1, 2), keepdims=True) if squeeze else pixels
    both = np.maximum(z @ w1.T, 0) @ w2.T
    expected = pixels * sigmoid(both[..., :6]) + both[..., 6:]
    np.testing.assert_allclose(numbers(block(x)), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_a_bottleneck_has_at_least_one_unit() -> None:
    assert SqueezeExcite(8, reduction=16).get_parameter("fc.0.weight").shape == (1, 8)
    assert ScaleShiftExcite(8, reduction=16).get_parameter("fc.0.weight").shape == (1, 8, 1, 1)
