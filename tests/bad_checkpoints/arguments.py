"""Architectures, arguments, seviz's own format, and data of other classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from bad_checkpoints.cases import ARGS, CLASSES, NAMED, case, network, saved, state
from seviz.networks import save_checkpoint

FACTORIES = """
import sys
def raises(): raise ValueError("first line\\nsecond line")
def returns_nothing(): return None
def leaves(): sys.exit(3)
value = 3
"""


def with_factory(code: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        torch.save(state(), path)
        Path("factories.py").write_text(code)

    return make


def arch(name: str, *parts: str, code: int = 3, source: str = FACTORIES) -> None:
    case(f"arch/{name}", with_factory(source), *parts, words=("--arch", name), code=code)


arch("factories.py:raises", "ValueError: first line;")
arch("factories.py:returns_nothing", "found NoneType")
arch("factories.py:leaves", "SystemExit")
arch("factories.py:value", "a function or class 'value'", code=2)
arch("factories.py:nobody", "a function or class 'nobody'", code=2)
arch("nowhere.py:net", "found none at nowhere.py", code=2)
arch("no_such_module:net", "ModuleNotFoundError")
arch("se_resnet", "found 'se_resnet'", code=2)
arch("timm:se_nothing", "expected a network of timm", code=2)
arch("torchvision:se_nothing", "expected a network of torchvision", code=2)
case(
    "arch/syntax",
    with_factory("def net(:\n"),
    "SyntaxError",
    words=("--arch", "factories.py:net"),
)
case(
    "arch/exit",
    with_factory("raise SystemExit"),
    "SystemExit",
    words=("--arch", "factories.py:net"),
)
for word, args, parts, code in (
    ("unknown", ["colour=3"], ["TypeError", "check --arch-args"], 3),
    ("negative", ["widths=(-4,4,4)"], ["check --arch-args"], 3),
    ("text", ["reduction=many"], ["check --arch-args"], 3),
    ("no-pair", ["reduction"], ["'reduction'"], 2),
):
    case(f"arch-args/{word}", saved(state), *parts, words=(*NAMED[:3], *args), code=code)
case("arch-args/no-arch", saved(state), "--arch-args", words=("--arch-args", "reduction=4"))
for name in ("timm:no_such_network", "torchvision:no_such_network", "timm:"):
    case(f"zoo/{name}", lambda path: None, "expected a network of", file=name, code=2)
case("zoo/arch", lambda path: None, "--arch", file="timm:seresnet18", words=("--arch", "x"), code=2)
SIZE = ("--input-size",)
case("input-size/channels", saved(state), "1x16x16", words=(*SIZE, "1", "16", "16"))
case("input-size/zero", saved(state), "3x0x0", words=(*SIZE, "3", "0", "0"))
case("input-size/negative", saved(state), "3x-8x8", words=(*SIZE, "3", "-8", "8"))


def own(**changes: object) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        save_checkpoint(path, network(), arch="se_resnet14", arch_args=ARGS, classes=CLASSES)
        torch.save({**torch.load(path, weights_only=True), **changes}, path)

    return make


PREPROCESSING = {"input_size": (3, 8, 8), "mean": (0.5,), "std": (0.5,)}
for word, changes, found in (
    ("newer", {"seviz_format": 99}, "update seviz"),
    ("format", {"seviz_format": "one"}, "'seviz_format'"),
    ("arch", {"arch": 3}, "'arch'"),
    ("arch-unknown", {"arch": "se_unknown"}, "'se_unknown'"),
    ("arch-code", {"arch": "os:system"}, "'os:system', which is code"),
    ("arch-file", {"arch": "/tmp/evil.py:net"}, "which is code"),
    ("arch-hub", {"arch": "timm:hf-hub:someone/net"}, "which is code"),
    ("arch_args", {"arch_args": [1]}, "'arch_args'"),
    ("arch_args-keys", {"arch_args": {1: 2}}, "'arch_args'"),
    ("arch_args-huge", {"arch_args": {"widths": (4, 4, 10**9)}}, "'arch_args'"),
    ("classes", {"classes": "ant"}, "'classes'"),
    ("classes-empty", {"classes": []}, "'classes'"),
    ("classes-more", {"classes": ["a", "b"]}, "instead of"),
    ("preprocessing", {"preprocessing": [1]}, "'preprocessing'"),
    ("preprocessing-field", {"preprocessing": {"colour": 1}}, "'preprocessing'"),
    ("size-0", {"preprocessing": {**PREPROCESSING, "input_size": (3, 0, 8)}}, "'preprocessing'"),
    ("nan", {"preprocessing": {**PREPROCESSING, "mean": (float("nan"),)}}, "'preprocessing'"),
    ("std-0", {"preprocessing": {**PREPROCESSING, "std": (0.0,)}}, "'preprocessing'"),
    ("crop-0", {"preprocessing": {**PREPROCESSING, "crop_pct": 0}}, "'preprocessing'"),
    ("state_dict", {"state_dict": 3}, "expected named tensors"),
):
    case(f"own/{word}", own(**changes), found, detailed=word == "classes-more")


def with_folders(*names: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        save_checkpoint(path, network(), arch="se_resnet14", arch_args=ARGS, classes=CLASSES)
        for name in names:
            (path.parent / "images" / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(path.parent / "images" / name / "1.png")

    return make


for command in ("collect", "activations"):
    case(
        f"data/no-class/{command}",
        with_folders("lion", "tiger"),
        *("ant, bee, cat", "lion, tiger"),
        command=command,
        code=4,
        words=("--data", "{folder}/images"),
    )
