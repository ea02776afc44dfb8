"""Files that would run code."""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bad_checkpoints.cases import case, network, raw, saved, state
from bad_checkpoints.exhausting import text, with_pickle

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
