"""``seviz doctor``: the environment, for a bug report or before a long run."""

from __future__ import annotations

import os
import platform
import re
from typing import Annotated, Any

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.options import OutputOptions
from seviz.cli.process import for_networks
from seviz.cli.settings import Setting, settings


def doctor(
    *,
    defaults: Annotated[
        bool,
        Parameter(
            name="--config",
            help="Show the defaults of this folder instead, and where each comes from: a variable, "
            "seviz.toml, pyproject.toml.",
            negative=(),
            show_default=False,
        ),
    ] = False,
    output: OutputOptions = OutputOptions(),
) -> int:
    """Show versions and devices, and check that gates can be read here.

    Args:
        defaults: Show the defaults of this folder instead.
        output: How much is output.
    """
    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    if defaults:
        _say_defaults(speaker)
        return 0
    for_networks()
    from seviz.tables.table import text_table

    versions = _versions()
    devices = _devices()
    healthy = _check()
    speaker.document({"versions": versions, "devices": devices, "gates_readable": healthy})
    speaker.table(text_table("versions", ["library", "version"], versions.items()))
    for name, what in devices.items():
        speaker.line(f"{name}: {what}")
    speaker.line(f"reading gates: {'works' if healthy else 'FAILS'}")
    return 0 if healthy else 1


def _say_defaults(speaker: Speaker) -> None:
    """Print each default, and where it comes from."""
    from seviz.cli.config import built_in, unknown_variables
    from seviz.tables.table import text_table

    here = settings()
    own = {k: Setting(k, v) for k, v in built_in().items()} | dict(here.found)
    unknown = sorted(set(unknown_variables()))
    speaker.document(
        {
            "config": {
                "file": str(here.file) if here.file else None,
                "unknown_variables": unknown,
                "values": {
                    key: {"value": setting.value, "from": setting.origin or "default"}
                    for key, setting in own.items()
                },
            }
        }
    )
    speaker.line(f"file: {here.file or 'none; seviz.toml or [tool.seviz] in pyproject.toml'}")
    rows = [
        (key, "" if s.value in (None, ()) else " ".join(s.words), s.origin or "default")
        for key, s in own.items()
    ]
    speaker.table(text_table("defaults", ["option", "value", "from"], rows))
    for name in unknown:
        speaker.line(f"not read: {name}, which no option takes")


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, requires, version

    found = {"python": platform.python_version(), "seviz": version("seviz")}
    for requirement in requires("seviz") or ():
        name = re.split(r"[^\w.\-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _devices() -> dict[str, Any]:
    import torch

    from seviz.data.processors import available

    found = {"cpu": f"{os.cpu_count()} cores, {available()} for this process"}
    for i in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(i).total_memory / 2**30
        found[f"cuda:{i}"] = f"{torch.cuda.get_device_name(i)}, {memory:.0f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "available"
    return found


def _check() -> bool:
    """Read the gates of a small network, and compare one with its formula."""
    import torch

    from seviz.gates import Tap, evaluating, find
    from seviz.networks.architectures.registry import build

    model = build("se_resnet14")
    with evaluating(model), torch.no_grad(), Tap(model, find(model, (3, 32, 32))) as tap:
        model(torch.rand(2, 3, 32, 32))
        gates = tap.take()
    return len(gates) == 6 and all(bool(((g > 0) & (g < 1)).all()) for g in gates.values())
