"""Weights of an unknown network: size and excitations from the shapes alone."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from conftest import Run, sampled

from seviz.gates import find
from seviz.networks import BareWeights, LoadOptions, open_checkpoint
from seviz.networks.building import on_meta
from seviz.networks.recognise.bare import excitations
from seviz.networks.recognise.views import whole

SHARED = Path(__file__).parents[2] / "shared" / "checkpoints"

ZOO = [
    *(
        "timm:seresnet18",
        "timm:legacy_seresnet50",
        "timm:seresnext26d_32x4d",
        "timm:efficientnet_b0",
    ),
    *("timm:mobilenetv3_small_050", "timm:ghostnet_050", "timm:regnety_002", "timm:senet154"),
    *(
        "torchvision:efficientnet_b0",
        "torchvision:mobilenet_v3_small",
        "torchvision:regnet_y_400mf",
    ),
]
WITHOUT = [
    *(
        "timm:resnet50",
        "timm:mobilenetv2_100",
        "timm:densenet121",
        "timm:vgg11_bn",
        "timm:convnext_tiny",
    ),
    *("timm:vit_tiny_patch16_224", "timm:swin_tiny_patch4_window7_224", "timm:inception_v3"),
    *("torchvision:squeezenet1_1", "torchvision:shufflenet_v2_x1_0", "torchvision:mnasnet1_0"),
]


def build(name: str) -> torch.nn.Module:
    zoo, _, entry = name.partition(":")
    if zoo == "timm":
        return on_meta(lambda: timm.create_model(entry))
    return on_meta(lambda: torchvision.models.get_model(entry))


@pytest.mark.parametrize("name", sampled(ZOO, 2))
def test_excitations_are_those_of_the_forward_pass(name: str) -> None:
    """The traced network is the judge of what the shapes alone say."""
    model = build(name)
    seen = excitations(whole({k: tuple(v.shape) for k, v in model.state_dict().items()}))
    traced = find(model, (3, 224, 224)).blocks
    assert [(b.channels, b.hidden, b.params, set(b.parameters)) for b in seen] == [
        (b.channels, b.hidden, b.params, set(b.parameters)) for b in traced
    ]


@pytest.mark.parametrize("name", WITHOUT)
def test_networks_without_se(name: str) -> None:
    shapes = {k: tuple(v.shape) for k, v in build(name).state_dict().items()}
    assert excitations(whole(shapes)) == ()


def test_scale_and_shift_and_norms_inside() -> None:
    shapes: dict[str, tuple[int, ...]] = {
        "a.conv.weight": (16, 3, 3, 3),
        "a.se.fc.0.weight": (4, 16, 1, 1),
        "a.se.bn.weight": (4,),
        "a.se.bn.bias": (4,),
        "a.se.bn.running_mean": (4,),
        "a.se.fc.2.weight": (32, 4, 1, 1),
        # Written inline in the block, beside its convolutions.
        "b.conv1.weight": (16, 16, 3, 3),
        "b.fc1.weight": (2, 16),
        "b.fc1.bias": (2,),
        "b.fc2.weight": (16, 2),
        "b.fc2.bias": (16,),
        "head.weight": (10, 16),
    }
    one, other = excitations(whole(shapes))
    assert (one.path, one.channels, one.hidden, one.shift) == ("a.se", 16, 4, True)
    assert one.params == 4 * 16 + 4 + 4 + 32 * 4
    assert (other.path, other.channels, other.hidden, other.shift) == ("b", 16, 2, False)
    assert other.params == 2 * 16 + 2 + 16 * 2 + 16


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((64, 16), (16, 64)),  # widens
        ((4, 16, 3, 3), (16, 4, 1, 1)),  # not pointwise
        ((4, 16), (20, 4)),  # neither C nor 2C
        ((4, 16), (16, 5)),  # do not follow each other
    ],
    ids=str,
)
def test_pairs_that_are_no_excitation(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    shapes = {"m.a.weight": first, "m.b.weight": second, "head.weight": (3, 16)}
    assert excitations(whole(shapes)) == ()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the two files are not part of this repository")
@pytest.mark.parametrize(
    ("file", "paths"),
    [
        (
            "minifasnet_v1se_dataparallel.pth",
            ("conv_3.model.3", "conv_4.model.5", "conv_5.model.1"),
        ),
        ("minifasnet_v1se_renamed.pth", ("stage2.model.3", "stage3.model.5", "stage4.model.1")),
    ],
)
def test_a_network_from_elsewhere_without_its_code(file: str, paths: tuple[str, ...]) -> None:
    weights = open_checkpoint(SHARED / file, LoadOptions())
    assert isinstance(weights, BareWeights)
    # As its authors state; C = 64, 128, 128, r = 4, no biases, a norm of two vectors after each layer.
    assert weights.params == 433_586
    assert [b.path.rpartition(".")[0] for b in weights.blocks] == list(paths)
    assert [b.params for b in weights.blocks] == [
        2 * c * c // 4 + 2 * c // 4 + 2 * c for c in (64, 128, 128)
    ]
    assert weights.outputs == 3


def test_an_excitation_as_wide_as_its_channels_is_one_among_others_that_are_not() -> None:
    def places(shapes: dict[str, tuple[int, ...]]) -> list[tuple[str, int]]:
        return [(b.path, b.hidden) for b in excitations(whole(shapes))]

    def excitation(path: str, channels: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {
            f"{path}.fc.0.weight": (hidden, channels),
            f"{path}.fc.0.bias": (hidden,),
            f"{path}.fc.2.weight": (channels, hidden),
            f"{path}.fc.2.bias": (channels,),
        }

    conv = {f"features.{i}.conv.weight": (8, 8, 3, 3) for i in range(3)} | {"fc.weight": (10, 16)}
    wide, narrow = excitation("features.0.se", 8, 8), excitation("features.1.se", 16, 4)
    assert places({**conv, **wide, **narrow}) == [("features.0.se", 8), ("features.1.se", 4)]
    # Alone, or called otherwise, two square matrices may be anything.
    assert places({**conv, **wide}) == []
    assert places({**conv, **excitation("head.mlp", 8, 8), **narrow}) == [("features.1.se", 4)]


# -------------------------------------------------------------------------------------------------
# Files that hold several


class Gated(torch.nn.Module):
    """A convolution, and an excitation of its 8 channels: 8 -> 2 -> 8."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, channels, 3)
        self.fc1 = torch.nn.Linear(channels, channels // 4)
        self.fc2 = torch.nn.Linear(channels // 4, channels)


def critic() -> torch.nn.Module:
    """Return a network without SE, larger than `generator`."""
    widths = (3, 24, 24, 24)
    layers = [torch.nn.Conv2d(a, b, 3) for a, b in pairwise(widths)]
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(24, 1))


def generator(channels: int = 8) -> torch.nn.Module:
    return torch.nn.Sequential(Gated(channels), Gated(channels))


def opened(content: dict[str, object], folder: Path) -> BareWeights:
    torch.save(content, folder / "x.pt")
    weights = open_checkpoint(folder / "x.pt", LoadOptions())
    assert isinstance(weights, BareWeights)
    return weights


def count(*networks: torch.nn.Module) -> int:
    return sum(p.numel() for n in networks for p in n.parameters())


@pytest.mark.parametrize(
    ("names", "around"),
    [
        (("generator", "discriminator"), None),
        (("student", "teacher"), "state_dict"),
        (("encoder", "decoder"), "model"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_whole_file_is_counted_and_its_parts_named(
    tmp_path: Path, names: tuple[str, str], around: str | None, turned: bool
) -> None:
    one, other = generator(), critic()
    held = dict(zip(names, (other, one) if turned else (one, other), strict=True))
    content: dict[str, object] = {name: network.state_dict() for name, network in held.items()}
    weights = opened(content if around is None else {around: content, "epoch": 3}, tmp_path)
    assert weights.params == count(one, other)
    prefix = "" if around is None else f"{around}."
    assert {p.path: (p.tensors, p.params) for p in weights.parts} == {
        f"{prefix}{name}": (len(network.state_dict()), count(network))
        for name, network in held.items()
    }
    # 8 -> 2 -> 8 with biases, twice.
    assert [p.excitations for p in weights.parts] == ([0, 2] if turned else [2, 0])
    assert weights.se_params == 2 * (8 * 2 + 2 + 2 * 8 + 8)
    assert sum(p.se_params for p in weights.parts) == weights.se_params


def test_a_part_that_comes_near_a_known_network_does_not_hide_the_rest(tmp_path: Path) -> None:
    near = timm.create_model("resnet18", num_classes=0).state_dict()
    near = {k: v for k, v in near.items() if "layer4.1" not in k}
    other = generator()
    weights = opened({"encoder": near, "decoder": other.state_dict()}, tmp_path)
    assert weights.near
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    own = sum(v.numel() for k, v in near.items() if not k.endswith(buffers))
    assert weights.params == own + count(other)
    assert [p.path for p in weights.parts] == ["encoder", "decoder"]
    assert len(weights.blocks) == 2


def test_averages_are_counted_once_and_networks_that_are_alike_each(tmp_path: Path) -> None:
    one = generator()
    weights = opened({"model": one.state_dict(), "model_ema": one.state_dict()}, tmp_path)
    assert weights.params == count(one)
    assert len(weights.blocks) == 2
    assert any("under model_ema, are not counted again" in note for note in weights.notes)
    weights = opened(
        {"a_to_b": one.state_dict(), "b_to_a": one.state_dict(), "critic": critic().state_dict()},
        tmp_path,
    )
    assert weights.params == 2 * count(one) + count(critic())
    assert [p.like for p in weights.parts] == ["", "a_to_b", ""]


def test_layers_of_a_sequence_are_no_parts(tmp_path: Path) -> None:
    assert opened(dict(generator().state_dict()), tmp_path).parts == ()


def test_the_parts_on_the_command_line(run: Run, tmp_path: Path, elsewhere: Path) -> None:
    content = {"generator": generator().state_dict(), "discriminator": critic().state_dict()}
    torch.save(content, tmp_path / "gan.pt")
    said = run("inspect", tmp_path / "gan.pt")
    assert said.code == 0
    total = count(generator(), critic())
    assert f"parameters    {total:,}\n" in said.out
    assert f"discriminator: {count(critic()):,} parameters in 8 tensors" in said.out
    values = json.loads(run("inspect", tmp_path / "gan.pt", "--json").out)
    assert values["params"] == total
    assert [p["path"] for p in values["parts"]] == ["generator", "discriminator"]
    assert values["parts"][0]["excitations"] == 2
