"""Readers: from the names and shapes of a state dict back to the builder and its arguments."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import timm
import torch
import torchvision
from conftest import sampled
from hypothesis import given, settings
from hypothesis import strategies as st
from test_architectures import on_meta
from torch import nn

from seviz.networks.architectures.landmarks import (
    Landmarks,
    OtherFamilyError,
    Reading,
    Shapes,
    changed,
)
from seviz.networks.architectures.registry import BUILDERS, READERS
from seviz.networks.architectures.se import are_separate

ANY_DEPTH = {"cifar_resnet": {"depth": 8}, "cifar_preresnet": {"depth": 11}}


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {k: tuple(v.shape) for k, v in model.state_dict().items()}


def read(found: Shapes) -> list[Reading]:
    return [reading for r in READERS if (reading := r(found)) is not None]


def check(name: str, arguments: dict[str, Any]) -> Reading:
    """Build, read, build again: one reader answers, and its network has the same names and shapes."""
    found = shapes(on_meta(name, **arguments))
    ((read_name, read_arguments),) = read(found)
    assert shapes(on_meta(read_name, **read_arguments)) == found
    # Some files sort the names.
    assert read(dict(sorted(found.items()))) == [(read_name, read_arguments)]
    return read_name, read_arguments


@pytest.mark.parametrize("name", sampled(sorted(set(BUILDERS) - set(ANY_DEPTH)), 3))
def test_a_builder_without_arguments_is_read_as_itself(name: str) -> None:
    assert read(shapes(on_meta(name))) == [(name, {})]


# Of each network the smallest form; the others differ in their depth alone.
@pytest.mark.parametrize(
    "name",
    [
        "se_resnet14",
        "resnet14",
        *ANY_DEPTH,
        "senet_notes",
        "se_densenet121",
        "se_densenet161",
        "shared_bn_se_resnet18",
        "shared_bn_se_resnet50",
        "bn_inception",
        "se_bn_inception",
    ],
)
def test_classes_and_channels(name: str) -> None:
    _, arguments = check(name, {"num_classes": 7, "in_chans": 1, **ANY_DEPTH.get(name, {})})
    assert (arguments["num_classes"], arguments["in_chans"]) == (7, 1)


@pytest.mark.parametrize("reduction", sampled([8, 1, 3, 9, 10_000], 3))
@pytest.mark.parametrize(
    "name",
    ["se_resnet14", "se_densenet121", "shared_bn_se_resnet18", "se_bn_inception", "senet_notes"],
)
def test_reductions(name: str, reduction: int) -> None:
    _, arguments = check(name, {"reduction": reduction})
    if reduction == 8:  # divides every width
        assert arguments == {"reduction": reduction}


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("cifar_resnet", {"depth": 20}, ("se_resnet20", {})),
        ("cifar_resnet", {"depth": 20, "reduction": None}, ("resnet20", {})),
        ("cifar_resnet", {"depth": 26}, ("cifar_resnet", {"depth": 26})),
        ("se_resnet14", {"reduction": None}, ("resnet14", {})),
        ("cifar_preresnet", {"depth": 164}, ("se_resnet164", {})),
        (
            "cifar_preresnet",
            {"depth": 29, "reduction": None},
            ("cifar_preresnet", {"depth": 29, "reduction": None}),
        ),
        ("senet_notes", {"squeeze": False}, ("senet_notes", {})),
        ("se_bn_inception", {"reduction": None}, ("bn_inception", {"bias": False})),
        ("bn_inception", {"reduction": 16}, ("se_bn_inception", {"bias": True})),
        ("se_bn_inception", {"se_bias": False}, ("se_bn_inception", {"se_bias": False})),
        ("shared_bn_se_resnet50", {"stride_in_1x1": True}, ("shared_bn_se_resnet50", {})),
    ],
    ids=str,
)
def test_the_plainest_name(name: str, arguments: dict[str, Any], expected: Reading) -> None:
    assert check(name, arguments) == expected


@settings(max_examples=30)
@given(
    name=st.sampled_from(["cifar_resnet", "cifar_preresnet"]),
    blocks=st.integers(1, 4),
    reduction=st.none() | st.integers(1, 80),
    widths=st.lists(st.integers(1, 96), min_size=1, max_size=4),
    classes=st.integers(1, 100),
)
def test_small_resnets_of_any_size(
    name: str, blocks: int, reduction: int | None, widths: list[int], classes: int
) -> None:
    depth = blocks * (6 if name == "cifar_resnet" else 9) + 2
    size = {"depth": depth, "reduction": reduction, "widths": widths, "num_classes": classes}
    check(name, size)


@settings(max_examples=20)
@given(filters=st.integers(1, 200), blocks=st.integers(1, 12), reduction=st.integers(1, 64))
def test_the_notes_network_of_any_size(filters: int, blocks: int, reduction: int) -> None:
    _, arguments = check(
        "senet_notes", {"filters": filters, "blocks": blocks, "reduction": reduction}
    )
    assert arguments.get("blocks", 9) == blocks


PATHS = st.lists(st.sampled_from(["fc", "fc1", "down", "excite", "0", "2"]), min_size=1, max_size=3)


@settings(max_examples=15)
@given(
    depth=st.sampled_from([18, 50]),
    layers=st.tuples(PATHS, PATHS)
    .map(lambda pair: tuple(map(".".join, pair)))
    .filter(are_separate),
    conv=st.booleans(),
    bias=st.booleans(),
    reduction=st.sampled_from([2, 4, 16, 64]),
)
def test_excitations_under_any_name(
    depth: int, layers: tuple[str, str], conv: bool, bias: bool, reduction: int
) -> None:
    wanted = {"se_layers": layers, "se_conv": conv, "se_bias": bias, "reduction": reduction}
    name = f"shared_bn_se_resnet{depth}"
    assert check(name, wanted) == (name, changed(BUILDERS[name], wanted))


def test_square_layers_are_taken_in_the_order_of_the_file() -> None:
    wanted = {"se_layers": ("squeeze", "excite"), "reduction": 1}
    found = shapes(on_meta("shared_bn_se_resnet18", **wanted))
    assert read(found) == [("shared_bn_se_resnet18", wanted)]
    swapped = {**wanted, "se_layers": ("excite", "squeeze")}
    assert read(dict(sorted(found.items()))) == [("shared_bn_se_resnet18", swapped)]


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "resnet50",
        "seresnet50",
        "legacy_seresnet50",
        "legacy_seresnet18",
        "densenet121",
        "vgg11_bn",
        "efficientnet_b0",
        "resnetv2_50",
        "inception_v3",
        "senet154",
    ],
)
def test_networks_of_timm(name: str) -> None:
    with torch.device("meta"):
        assert read(shapes(timm.create_model(name))) == []


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50", "densenet121", "googlenet", "mobilenet_v3_small"]
)
def test_networks_of_torchvision(name: str) -> None:
    options = {"init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        assert read(shapes(torchvision.models.get_model(name, weights=None, **options))) == []


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(16, 1), (32, 2), (64, 4)], 16),
        ([(16, 2), (32, 4), (64, 8)], 8),
        ([(8, 1)], 16),
        ([(64, 1)], 33),
        ([(10, 3)], 3),
        ([(8, 8)], 1),
        ([(100, 6), (200, 12)], 16),
        ([(16, 2), (16, 3)], None),
        ([(8, 9)], None),
        ([(64, 1), (64, 4)], None),
    ],
)
def test_ratios_by_hand(pairs: list[tuple[int, int]], expected: int | None) -> None:
    found = Landmarks({f"{n}.weight": (hidden, c) for n, (c, hidden) in enumerate(pairs)})
    paths = [str(n) for n in range(len(pairs))]
    if expected is None:
        with pytest.raises(OtherFamilyError):
            found.reduction(paths)
    else:
        assert found.reduction(paths) == expected
        assert all(max(1, c // expected) == hidden for c, hidden in pairs)


def answers_are_sound(found: Shapes) -> None:
    for name, arguments in read(found):
        assert set(arguments) <= set(inspect.signature(BUILDERS[name]).parameters)


ANY_SHAPE = st.lists(st.integers(-2, 2**40), max_size=5).map(tuple)
SMALL = {
    name: shapes(on_meta(name, **ANY_DEPTH.get(name, {})))
    for name in [
        "cifar_resnet",
        "cifar_preresnet",
        "senet_notes",
        "shared_bn_se_resnet18",
        "shared_bn_se_resnet50",
        "se_densenet121",
        "bn_inception",
        "se_bn_inception",
    ]
}
NAMES = sorted({key for found in SMALL.values() for key in found})


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=20) | st.sampled_from(NAMES), ANY_SHAPE, max_size=12))
def test_anything_at_all(found: dict[str, tuple[int, ...]]) -> None:
    answers_are_sound(found)


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_state_dict(data: st.DataObject) -> None:
    found = dict(SMALL[data.draw(st.sampled_from(sorted(SMALL)))])
    # The landmarks are few: half of the damage goes to the names that readers look at.
    near = [k for k in found if "se" in k or "fc" in k or k.startswith(("conv1", "features.conv0"))]
    keys = st.sampled_from(sorted(found)) | st.sampled_from(sorted(near))
    for key in data.draw(st.lists(keys, min_size=1, max_size=6)):
        how = data.draw(st.sampled_from(["drop", "shape", "rename"]))
        shape = found.pop(key, ())
        if how == "shape":
            found[key] = data.draw(ANY_SHAPE)
        elif how == "rename":
            found[f"{key}{data.draw(st.sampled_from(['.weight', '.', '..weight', 'x']))}"] = shape
    answers_are_sound(found)


@pytest.mark.parametrize("found", [{}, {"": ()}, {".weight": (1, 1)}, {"fc.weight": ()}])
def test_next_to_nothing(found: dict[str, tuple[int, ...]]) -> None:
    assert read(found) == []


@pytest.mark.parametrize(
    "extra",
    [
        {"conv2_x.block_2_0.se.weight": (16, 64)},
        {"conv2_x.block_2_0.se.fc.1.weight": (4, 4)},
        {"conv2_x.block_2_0.se.fc.0.weight": (4, 64, 1, 1)},
    ],
    ids=str,
)
def test_an_excitation_that_is_none(extra: dict[str, tuple[int, ...]]) -> None:
    assert read(SMALL["shared_bn_se_resnet18"]) == [("shared_bn_se_resnet18", {})]
    assert read({**SMALL["shared_bn_se_resnet18"], **extra}) == []


@pytest.mark.parametrize("kind", ["eca", "cbam"])
def test_gates_of_other_kinds_are_read(kind: str) -> None:
    for asked, told in (
        ((f"{kind}_resnet14", {}), (f"{kind}_resnet14", {})),
        (
            ("cifar_resnet", {"depth": 8, "attention": kind, "widths": (8, 16)}),
            ("cifar_resnet", {"depth": 8, "attention": kind, "widths": (8, 16)}),
        ),
    ):
        state = BUILDERS[asked[0]](**asked[1]).state_dict()
        found = next(
            r for read in READERS if (r := read({k: tuple(v.shape) for k, v in state.items()}))
        )
        assert found == told
