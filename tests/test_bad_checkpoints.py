"""Files that are no usable checkpoint: one line, the right exit code, nothing run and nothing written."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run, Said
from PIL import Image
from torch import Tensor, nn

import seviz
from seviz.loading import save_checkpoint
from seviz.models.registry import build

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*legacy:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*[Ss]parse CSR:UserWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
]

ARGS: dict[str, Any] = {"widths": (4, 4, 4), "reduction": 2}
NAMED = ["--arch", "se_resnet14", "--arch-args", "widths=(4,4,4)", "reduction=2"]
CLASSES = ["ant", "bee", "cat"]


@cache
def network() -> nn.Module:
    torch.manual_seed(0)
    return build("se_resnet14", num_classes=3, **ARGS).eval()


def state() -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network().state_dict().items()}


@dataclass(frozen=True)
class Case:
    """What is wrong, how the command line is asked, and what it must say.

    Attributes:
        make: Writes the file at the path it is given.
        code: The exit code.
        parts: What the line holds.
        words: What follows the file on the command line.
        command: The command.
        file: Name of the file.
        detailed: Whether ``--json`` lists what the line has no room for.
    """

    make: Callable[[Path], object]
    code: int = 3
    parts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    command: str = "inspect"
    file: str = "x.pt"
    detailed: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


CASES: dict[str, Case] = {}


def case(name: str, make: Callable[[Path], object], *parts: str, **more: Any) -> None:
    assert name not in CASES
    CASES[name] = Case(make, parts=parts, **more)


# -------------------------------------------------------------------------------------------------
# No file, and no checkpoint


def raw(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def saved(content: Callable[[], object], **how: Any) -> Callable[[Path], object]:
    return lambda path: torch.save(content(), path, **how)


def png(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path, "PNG")


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())


case("nothing", lambda path: None, "found nothing at")
case("nothing/collect", lambda path: None, "found nothing at", command="collect")
case("nothing/activations", lambda path: None, "found nothing at", command="activations")
case("folder", lambda path: path.mkdir(), "found a folder at")
case("broken-link", lambda path: path.symlink_to("nowhere"), "found nothing at")
case("device", lambda path: path.symlink_to("/dev/null"), "no file of bytes at")
case("pipe", os.mkfifo if hasattr(os, "mkfifo") else (lambda path: path.mkdir()), "at ")
case("name-of-two-lines", lambda path: None, "found nothing at", r"a\nb.pt", file="a\nb.pt")
case("name-with-an-escape", raw(b""), r"\x1b[2J.pt", file="\x1b[2J.pt")
case("name-of-another-script", raw(b""), "сеть-网络.pt (0 bytes)", file="сеть-网络.pt")
case("name-from-right-to-left", raw(b""), r"\u202etp.pt", file="\u202etp.pt")

for word, junk in {
    "empty": b"",
    "text": b"plain text\nof two lines\n",
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "random": np.random.default_rng(0).bytes(3000),
    "zeros": bytes(3000),
    "onnx": b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x90\x01\n\x1e\n\x05input",
    "zip-header": b"PK\x03\x04",
    "empty-zip": b"PK\x05\x06" + bytes(18),
    "pickle-of-nothing": b"\x80\x02N.",
}.items():
    case(word, raw(junk), f"x.pt ({len(junk):,} bytes)", "is it complete?")
case("png", png, "x.pt", "is it complete?")
case("tar", tar, "x.pt", "is it complete?")
case("npz", lambda path: np.savez(path, a=np.zeros(3)), "something else in x.npz", file="x.npz")
case("text/collect", raw(b"text"), "x.pt (4 bytes)", command="collect")
case("text/activations", raw(b"text"), "x.pt (4 bytes)", command="activations")

for word, thing, found in (
    ("list", [1, 2], "found list"),
    ("tensor", torch.zeros(3), "found Tensor"),
    ("empty-dict", {}, "found an empty dict"),
    ("numbered", {1: torch.zeros(1)}, "found a dict without one"),
    ("nested-empty", {"state_dict": {}}, "found a dict without one"),
):
    case(f"holds/{word}", saved(lambda thing=thing: thing), "expected named tensors", found)


# -------------------------------------------------------------------------------------------------
# Damage


@cache
def whole(form: str) -> bytes:
    from safetensors.torch import save

    file = io.BytesIO()
    if form == "safetensors":
        return save(state())
    if form == "export":
        torch.export.save(torch.export.export(network(), (torch.zeros(1, 3, 16, 16),)), file)
    elif form == "scripted":
        torch.jit.save(torch.jit.trace(network(), torch.zeros(1, 3, 16, 16)), file)
    else:
        torch.save(state(), file, _use_new_zipfile_serialization=form == "zip")
    return file.getvalue()


SUFFIX = {"safetensors": ".safetensors", "export": ".pt2"}


def truncated(form: str, share: float) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(whole(form)[: int(len(whole(form)) * share)])


def flipped(marker: bytes, behind: int) -> Callable[[Path], object]:
    """Flip a bit of what stands ``behind`` the last place that holds ``marker``."""

    def make(path: Path) -> None:
        content = bytearray(whole("zip"))
        where = content.rindex(marker) + behind
        content[where] ^= 0x10
        path.write_bytes(content)

    return make


for form in ("zip", "legacy", "safetensors", "export", "scripted"):
    for share in (0.001, 0.3, 0.9, 0.999):
        case(
            f"truncated/{form}/{share}",
            truncated(form, share),
            f"x{SUFFIX.get(form, '.pt')} (",
            file=f"x{SUFFIX.get(form, '.pt')}",
        )
WEIGHT = network().get_parameter("fc.weight").detach().numpy().tobytes()
case("flipped/weight", flipped(WEIGHT, 3), "damage in x.pt", "checksum")
case("flipped/pickle", flipped(b"layer1.0.conv1.weight", 2), "damage in x.pt", "checksum")
case("flipped/directory", flipped(b"PK\x01\x02", 20), "x.pt (")
case("flipped/end", flipped(b"PK\x05\x06", 0), "x.pt (")


# -------------------------------------------------------------------------------------------------
# Made to exhaust the reader


def with_pickle(content: bytes, storage: bytes = bytes(12)) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", content)
            archive.writestr("x/data/0", storage)
            archive.writestr("x/version", "3\n")

    return make


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def claimed(stored: int, size: int, stride: int) -> bytes:
    """Return the pickle of a tensor that says it has ``size`` numbers, of ``stored`` that are there."""
    return (
        b"\x80\x02}" + text("fc.weight") + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        b"" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
        + number(stored) + b"tQ" + number(0) + number(size) + b"\x85" + number(stride) + b"\x85"
        b"\x89ccollections\nOrderedDict\n)RtRs."
    )  # fmt: skip


LEVELS = 100_000
MEETS_ITSELF = b"\x80\x02}q\x00(" + b"".join(text(str(i)) + b"h\x00" for i in range(50)) + b"u."
COPIES = (
    b"\x80\x02](" + b"N" * 10_000 + b"eq\x000" + b"cbuiltins\nset\nh\x00\x85R0" * 10_000 + b"N."
)
case("expanded", with_pickle(claimed(3, 10**12, 0)), "1,000,000,000,000 numbers", "12 bytes")
case("storage-of-4-tb", with_pickle(claimed(10**12, 10**12, 1)), "x.pt", "is it complete?")
case("view-of-4-tb", with_pickle(claimed(3, 10**12, 1)), "x.pt", "is it complete?")
case("itself", with_pickle(MEETS_ITSELF), "found a dict without one")
for word, content in {
    "dicts": b"\x80\x02" + b"}X\x01\0\0\0a" * 10_000 + b"}" + b"s" * 10_000 + b".",
    "lists": b"\x80\x02}" + text("a") + b"]" * LEVELS + b"a" * (LEVELS - 1) + b"s.",
    "tuples": b"\x80\x02})" + b"\x85" * LEVELS + b"K\x01s.",  # hashing it overflows the C stack
}.items():
    case(f"deep/{word}", with_pickle(content), "nested more than 1,000 deep", "it was not read")
case("deep/raw", raw(b"\x80\x02})" + b"\x85" * LEVELS + b"K\x01s."), "nested more than 1,000 deep")
case("copies", with_pickle(COPIES), "copies in", "made to exhaust")
case(
    "bytearray",
    with_pickle(b"\x80\x02cbuiltins\nbytearray\n" + number(10**10) + b"\x85R."),
    "builtins.bytearray, which fills memory",
)
case(
    "storage-by-hand",
    with_pickle(b"\x80\x02ctorch.storage\nUntypedStorage\n" + number(10**10) + b"\x85R."),
    "torch.storage.UntypedStorage, which allocates memory",
)


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        with archive.open("x/data/0", "w") as member:
            for _ in range(300):
                member.write(bytes(1 << 20))


def forged_bomb(path: Path) -> None:
    """Claim 3 GB in the directory of an archive of a few hundred bytes."""
    with_pickle(b"\x80\x02}.")(path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"x/data/0") - 46
    content[entry + 24 : entry + 28] = struct.pack("<I", 3 << 30)
    path.write_bytes(content)


def packed(method: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("x/data.pkl", b"\x80\x02}.")

    return make


def twice(path: Path) -> None:
    """Hold two pickles under what is one name to PyTorch, and two to Python."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        archive.writestr("x/DATA.PKL", b"\x80\x02N.")


case("zip-bomb", bomb, "a zip bomb", "it was not unpacked")
case("zip-bomb/forged", forged_bomb, "a zip bomb", "it was not unpacked")
case("zip/lzma", packed(zipfile.ZIP_LZMA), "damage in x.pt", "compression")
case("zip/bzip2", packed(zipfile.ZIP_BZIP2), "damage in x.pt", "compression")
case("zip/two-of-one-name", twice, "damage in x.pt", "two members of one name")


def tensors_file(
    header: object, data: bytes = b"", length: int | None = None
) -> Callable[[Path], object]:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(content) if length is None else length
    return raw(struct.pack("<Q", size) + content + data)


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


for word, make in {
    "header-of-10-gb": tensors_file({"a": entry("F32", [1], 0, 4)}, bytes(4), 10 * 1024**3),
    "header-of-everything": tensors_file(b"{", length=2**64 - 1),
    "overlap": tensors_file(
        {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)
    ),
    "hole": tensors_file({"a": entry("F32", [1], 4, 8)}, bytes(8)),
    "out-of-range": tensors_file({"a": entry("F32", [250], 0, 1000)}, bytes(4)),
    "backwards": tensors_file({"a": entry("F32", [1], 4, 0)}, bytes(4)),
    "shape-of-10^36": tensors_file({"a": entry("F32", [10**12] * 3, 0, 4)}, bytes(4)),
    "other-json": tensors_file(b"{nonsense}"),
    "deep-json": tensors_file(b'{"a":' * 50_000),
    "other-dtype": tensors_file({"a": entry("F99", [1], 0, 4)}, bytes(4)),
    "not-utf-8": tensors_file(b'{"\xff\xfe":1}'),
}.items():
    case(f"safetensors/{word}", make, "expected an intact safetensors file", file="x.safetensors")
case("safetensors/empty", tensors_file({}), "found an empty dict", file="x.safetensors")


# -------------------------------------------------------------------------------------------------
# Would run code

MARK = "mark-of-the-trap"
SCRIPT = "trap.py"


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.reduced = (function, args)

    def __reduce__(self) -> Any:
        return self.reduced


def traps(folder: Path) -> dict[str, object]:
    """Return objects that leave a mark when they are unpickled."""
    import runpy

    mark = str(folder / MARK)
    code = f"open({mark!r}, 'w').close()"
    (folder / SCRIPT).write_text(code)
    (folder / "hubconf.py").write_text(f"def net():\n    {code}\n")
    return {
        "os.system": Call(os.system, f"touch '{mark}'"),
        "subprocess.call": Call(subprocess.call, ["touch", mark]),
        "subprocess.Popen": Call(subprocess.Popen, ["touch", mark]),
        "eval": Call(eval, code),
        "exec": Call(exec, code),
        "open": Call(open, mark, "w"),
        "run_path": Call(runpy.run_path, str(folder / SCRIPT)),
        "hub": Call(torch.hub._load_local, str(folder), "net"),
    }


TRAPS = ["os.system", "subprocess.call", "subprocess.Popen", "eval", "exec", "open"]
TRAPS += ["run_path", "hub"]


def built_trap(folder: Path) -> bytes:
    """Return a pickle that calls nothing: it replaces how an object takes its state, and gives it one."""
    command = f"touch '{folder / MARK}'"
    return (
        b"\x80\x02cargparse\nNamespace\n)\x81}" + text("__setstate__") + b"cos\nsystem\nsb"
        + text(command) + b"b."
    )  # fmt: skip


def trapped(name: str, form: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        trap = traps(path.parent)[name]
        content = {"state_dict": state(), "more": {"list": [1, trap]}}
        if form in ("zip", "legacy"):
            torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
        elif form == "first":
            torch.save(trap, path)
        else:
            path.write_bytes(pickle.dumps({"w": trap}, int(form)))

    return make


for name in TRAPS:
    for form in ("zip", "legacy"):
        case(
            f"trap/{name}/{form}",
            trapped(name, form),
            "would run code",
            "model.state_dict() instead",
        )
for form in ("first", *"012345"):
    case(
        f"trap/protocol-{form}", trapped("os.system", form), "would run code", "os" if form else ""
    )
case(
    "trap/importlib",
    raw(pickle.dumps(Call(importlib.import_module, "antigravity"), 2)),
    *("would run code", "importlib.import_module"),
)
case("trap/collect", trapped("os.system", "zip"), "would run code", command="collect")
case(
    "trap/build",
    lambda path: path.write_bytes(built_trap(path.parent)),
    "would run code",
    "os.system",
)
case(
    "trap/build/zip",
    lambda path: with_pickle(built_trap(path.parent))(path),
    "would run code",
    "os.system",
)
for name, value in (
    ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1"),
    ("SEVIZ_UNSAFE_LOAD", "1"),
    ("SEVIZ_INSPECT_UNSAFE_LOAD", "true"),
):
    case(
        f"trap/{name}",
        trapped("os.system", "zip"),
        "would run code",
        environment={name: value},
    )
for form in (True, False):
    case(
        f"whole-network/{'zip' if form else 'legacy'}",
        saved(network, _use_new_zipfile_serialization=form),
        "a whole pickled network that would run code",
        "torch.nn.modules.",
        "--unsafe-load",
    )
case(
    "whole-network/forced",
    saved(network),
    "a whole pickled network",
    environment={"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "SEVIZ_UNSAFE_LOAD": "1"},
)


# -------------------------------------------------------------------------------------------------
# Weights that do not fit


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


# -------------------------------------------------------------------------------------------------
# Architectures and arguments


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
case("arch-args/no-arch", saved(state), "with --arch", words=("--arch-args", "reduction=2"), code=2)
for name in ("timm:no_such_network", "torchvision:no_such_network", "timm:"):
    case(f"zoo/{name}", lambda path: None, "expected a network of", file=name, code=2)
case("zoo/arch", lambda path: None, "--arch", file="timm:seresnet18", words=("--arch", "x"), code=2)
SIZE = ("--input-size",)
case("input-size/channels", saved(state), "1x16x16", words=(*SIZE, "1", "16", "16"))
case("input-size/zero", saved(state), "3x0x0", words=(*SIZE, "3", "0", "0"))
case("input-size/negative", saved(state), "3x-8x8", words=(*SIZE, "3", "-8", "8"))


# -------------------------------------------------------------------------------------------------
# seviz's own format, and data of other classes


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


# -------------------------------------------------------------------------------------------------


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Run in an empty folder beside the one of the files."""
    for name in ("SEVIZ_DEBUG", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "files").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def there(root: Path) -> set[str]:
    found = {str(p.relative_to(root)) for p in root.rglob("*")}
    return {name for name in found if "__pycache__" not in name}


def check_said(said: Said, one: Case) -> None:
    assert said.code == one.code, said.err
    assert "Traceback" not in said.err
    *remarks, line = said.err.split("\n")[:-1]
    assert line.startswith("seviz: ")
    assert line.isprintable()
    assert len(line) <= 1600
    assert not any(r.startswith("seviz: ") for r in remarks)
    assert len(remarks) <= 10
    assert all(len(r) <= 1600 and r.isprintable() for r in remarks)
    expected, found = line.index("expected "), line.index(", found ")
    assert expected < found
    assert "; " in line[found:] or "found none" in line
    for part in one.parts:
        assert part in line
    assert "bug" not in line


@pytest.mark.parametrize("name", CASES)
def test_bad_input(run: Run, monkeypatch: pytest.MonkeyPatch, here: Path, name: str) -> None:
    one = CASES[name]
    file = here / "files" / one.file
    one.make(file)
    for variable, value in one.environment.items():
        monkeypatch.setenv(variable, value)
    before = there(here)
    spec = one.file if one.file.startswith("timm:") or one.file.startswith("torchvision:") else file
    words = [w.replace("{folder}", str(here / "files")) for w in one.words]
    if one.command != "inspect" and "--data" not in words:
        words += ["--data", "digits"]

    said = run(one.command, spec, *words)
    check_said(said, one)
    assert said.out == ""

    if one.detailed:
        said = run(one.command, spec, *words, "--json")
        check_said(said, one)
        document = json.loads(said.out)
        assert document["exit_code"] == one.code
        assert said.err == f"seviz: {document['error']}\n"
        assert all(isinstance(names, list) and names for names in document["details"].values())
    assert there(here) == before
    assert not (here / "files" / MARK).exists()


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", TRAPS)
def test_the_traps_work(tmp_path: Path, name: str) -> None:
    """Unpickled without care, each leaves its mark."""
    made = pickle.loads(pickle.dumps(traps(tmp_path)[name], 2))
    if isinstance(made, subprocess.Popen):
        made.wait()
    elif isinstance(made, io.IOBase):
        made.close()
    assert (tmp_path / MARK).exists()


def test_the_trap_of_two_states_works(tmp_path: Path) -> None:
    pickle.loads(built_trap(tmp_path))
    assert (tmp_path / MARK).exists()


# -------------------------------------------------------------------------------------------------
# What looks bad and is not, or only in part


def test_weights_that_are_not_finite_load_when_asked_for(run: Run, here: Path) -> None:
    torch.save(spoiled(float("nan"), float("inf")), "x.pt")
    said = run("inspect", "x.pt", "--allow-nan")
    assert said.code == 0
    assert "note: NaN or infinity in 2 of " in said.err
    assert "layer1.0.conv1.weight (1), fc.bias (1)" in said.err


def test_two_complete_copies(run: Run, here: Path) -> None:
    copies = {f"{p}.{name}": t for p in ("first", "second") for name, t in state().items()}
    torch.save(copies, "x.pt")
    said = run("inspect", "x.pt")
    assert said.code == 0
    assert "those under first were taken, not those under second" in said.err


def test_a_compressed_archive(run: Run, here: Path) -> None:
    """PyTorch maps the compressed bytes into memory and takes them for the weights."""
    torch.save(state(), "x.pt")
    with zipfile.ZipFile("x.pt") as old, zipfile.ZipFile("y.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    mapped = torch.load("y.pt", weights_only=True, mmap=True)
    assert any(not torch.equal(mapped[name], tensor) for name, tensor in state().items())
    loaded = seviz.load("y.pt").model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state().items())


def test_weights_of_nothing_but_excitations(run: Run, here: Path) -> None:
    torch.save({"se.fc1.weight": torch.ones(2, 8), "se.fc2.weight": torch.ones(8, 2)}, "x.pt")
    said = run("inspect", "x.pt")
    assert said.code == 0
    assert "1 excitations, 32 parameters\n" in said.out


def test_names_that_would_write_to_the_terminal(run: Run, here: Path) -> None:
    bad = "\x1b[2Jse\n"
    weights = {f"{bad}.fc1.weight": torch.ones(2, 8), f"{bad}.fc2.weight": torch.ones(8, 2)}
    torch.save({**weights, "conv.weight": torch.ones(8, 3, 3, 3)}, "x.pt")
    said = run("inspect", "x.pt")
    assert said.code == 0
    assert r"\x1b[2Jse\n" in said.out
    assert "\x1b" not in said.out + said.err


class Kind:
    """Pickles as a type of NumPy's whose state says that eight bytes of the file are an address."""

    def __reduce__(self) -> Any:
        inner = Call(np.dtype, "O8", False, True)
        fields = (3, "|", None, ("a",), {"a": (inner, 0)}, 8, 1, 0)
        return np.dtype, ("V8", False, True), fields


class Addresses:
    """Pickles as an array of that type: showing it would read wherever the file says."""

    def __reduce__(self) -> Any:
        rebuild = np.zeros(1).__reduce__()[0]
        return rebuild, (np.ndarray, (0,), b"b"), (1, (1,), Kind(), False, b"AAAAAAAA")


def test_an_array_of_addresses_is_never_made(run: Run, here: Path) -> None:
    content = {"seviz_format": 1, "arch": Addresses(), "state_dict": {}}
    with zipfile.ZipFile("x.pt", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(content, 2))
        archive.writestr("x/version", "3\n")
    said = run("inspect", "x.pt")
    assert said.code == 3
    assert "expected a name under 'arch'" in said.err


def test_numbers_of_numpy_are_read(here: Path) -> None:
    """They are no weights, but class names may be among them."""
    names = [np.str_(name) for name in CLASSES]
    best = {"accuracy": np.float64(0.5), "epoch": np.int64(3), "curve": np.arange(3.0)}
    torch.save({"state_dict": state(), "classes": names, **best}, "x.pt")
    table = seviz.load("x.pt").classes
    assert table is not None
    assert table.labels == CLASSES


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read")
def test_a_file_that_may_not_be_read(run: Run, here: Path) -> None:
    torch.save(state(), "x.pt")
    Path("x.pt").chmod(0)
    said = run("inspect", "x.pt")
    assert said.code == 3
    assert "Permission denied in x.pt" in said.err
