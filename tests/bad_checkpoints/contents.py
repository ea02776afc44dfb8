"""No checkpoint, and damaged ones."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bad_checkpoints.cases import case, network, raw, saved, state


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
    "zip-header": b"PK\x03\x04",
    "empty-zip": b"PK\x05\x06" + bytes(18),
    "pickle-of-nothing": b"\x80\x02N.",
}.items():
    case(word, raw(junk), f"x.pt ({len(junk):,} bytes)", "is it complete?")
onnx = b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x90\x01\n\x1e\n\x05input"
case("onnx", raw(onnx), f"x.pt ({len(onnx):,} bytes)", "is it complete?")
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
