"""Weights that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from bad_checkpoints.cases import NAMED, case, saved, state
from seviz.networks.architectures.registry import build


@cache
def resnet18() -> dict[str, Tensor]:
    import torchvision

    return dict(torchvision.models.resnet18(weights=None).state_dict())


def renamed(old: str, new: str) -> dict[str, Tensor]:
    return {name.replace(old, new): tensor for name, tensor in state().items()}


def without(word: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state().items() if word not in name}


def shaped(name: str, *shape: int) -> dict[str, Tensor]:
    return {**state(), name: torch.zeros(shape)}


def replaced(name: str, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    weights = state()
    return {**weights, name: change(weights[name])}


def spoiled(*values: float) -> dict[str, Tensor]:
    weights = state()
    for name, value in zip(("layer1.0.conv1.weight", "fc.bias"), values, strict=False):
        weights[name].view(-1)[0] = value
    return weights


def twin() -> dict[str, Tensor]:
    return dict(build("resnet14", widths=(4, 4, 4), num_classes=3).state_dict())


case("no-se/resnet18", saved(resnet18), "expected SE blocks", command="collect")
case(
    "no-se/twin",
    saved(twin),
    "expected SE blocks",
    command="collect",
    words=("--input-size", "3", "8", "8"),
)
case(
    "no-se/twin-as-se",
    saved(twin),
    "12 missing (layer1.0.se",
    words=(*NAMED, "num_classes=3"),
    detailed=True,
)
LINEAR = {"a.weight": torch.zeros(3, 3), "b.weight": torch.zeros(3, 3)}
case("unknown", saved(lambda: LINEAR), "none", command="collect")
case("unknown/activations", saved(lambda: LINEAR), "--arch NAME", command="activations")
case(
    "no-builder",
    saved(lambda: shaped("fc.weight", 3, 99)),
    "tensors that fit none",
    command="collect",
)
case(
    "no-builder/named",
    saved(lambda: shaped("fc.weight", 3, 99)),
    *("1 of another shape (fc.weight (3, 99) instead of (3, 4))", "check --arch and --arch-args"),
    words=(*NAMED, "num_classes=3"),
    detailed=True,
)
for word, content, found in (
    ("missing", lambda: without("layer1"), "missing (layer1.0.conv1.weight, "),
    (
        "unexpected",
        lambda: {**state(), "more.weight": torch.zeros(1)},
        "1 unexpected (more.weight)",
    ),
    ("both", lambda: renamed("layer1", "stage1"), "unexpected (stage1.0.conv1.weight, "),
    ("all", lambda: renamed("", "ü"), "missing (conv1.weight, "),
    (
        "hundreds",
        lambda: {
            **state(),
            **{f"{chr(97 + i % 26)}{i}.{chr(97 + i % 23)}": torch.zeros(1) for i in range(400)},
        },
        "400 unexpected",
    ),
):
    case(f"keys/{word}", saved(content), found, words=(*NAMED, "num_classes=3"), detailed=True)
for word, name in {
    "empty": "",
    "of-two-lines": "more\nweight",
    "controls": "\x1b[2J\x07weight",
    "right-to-left": "\u202eweight",
    "surrogate": "\ud800weight",
    "10,000-letters": "w" * 10_000,
    "of-dots": "." * 10_000,
    "900-letters": "w" * 900,
}.items():
    content = {name: torch.zeros(3, 3), f"{name}2": torch.zeros(3), "c.weight": torch.zeros(2)}
    case(f"key/{word}", saved(lambda content=content: content), "none", command="collect")
    case(
        f"key/{word}/named",
        saved(lambda content=content: content),
        "missing (conv1.weight, ",
        words=tuple(NAMED),
        detailed=True,
    )

case(
    "nan",
    saved(lambda: spoiled(float("nan"))),
    "layer1.0.conv1.weight (1)",
    "--allow-nan",
    detailed=True,
)
case("inf", saved(lambda: spoiled(0.0, float("inf"))), "fc.bias (1)", "--allow-nan", detailed=True)
case(
    "nan-and-inf/collect",
    saved(lambda: spoiled(float("nan"), float("-inf"))),
    *("2 of ", "layer1.0.conv1.weight (1), fc.bias (1)"),
    command="collect",
    detailed=True,
)
case(
    "too-large",
    saved(lambda: replaced("fc.bias", lambda t: t.double() + 1e300)),
    "fc.bias (3)",
    detailed=True,
)
for word, change in {
    "sparse": lambda t: t.to_sparse(),
    "csr": lambda t: t.to_sparse_csr(),
    "complex": lambda t: t + 1j,
    "meta": lambda t: t.to("meta"),
    "quantised": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
}.items():
    case(
        f"kind/{word}",
        saved(lambda change=change: replaced("fc.weight", change)),
        *("plain dense numbers in x.pt", "1 of 89 tensors: fc.weight ("),
        detailed=True,
    )
case("ema", saved(state), "averaged weights (EMA)", "leave --ema out", words=("--ema",), code=2)
