"""``seviz doctor``: the environment, for a bug report or before a long run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.options import OutputOptions
from seviz.cli.settings import Setting, settings
from seviz.cli.surroundings import Checked, State, guarded, surroundings, versions

_FAILED = 1
_NOT_TRIED = "not tried: PyTorch would not start"
# Of a layer that is timed: channels, size; long enough to be timed, a tenth of a second.
_CHANNELS, _SIZE = 64, 28


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
    """Check all that a long run depends on, and show versions and devices.

    The verdict comes first. Ends with 1 where something does not work.

    Args:
        defaults: Show the defaults of this folder instead.
        output: How much is output.
    """
    from seviz.tables.table import text_table

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    if defaults:
        _say_defaults(speaker)
        return 0
    checks = surroundings()
    startable = all(c.state != "bad" for c in checks if c.name in ("libraries", "memory"))
    if startable:
        from seviz.cli.process import for_networks

        for_networks()
    for name, check in _CHECKS.items():
        unknown = Checked(name, "bad", _NOT_TRIED)
        checks.append(guarded(name, check) if startable else unknown)
    devices = _devices() if startable else {}
    healthy = any(c.name == _GATES and c.state == "ok" for c in checks)
    verdict = _verdict(checks)
    found = {name: number or "not installed" for name, number in versions().items()}
    speaker.document(
        {
            "verdict": verdict,
            "checks": [asdict(c) for c in checks],
            "versions": found,
            "devices": devices,
            "gates_readable": healthy,
        }
    )
    speaker.say(verdict, "strong")
    speaker.line()
    rows = [(c.name, c.state if c.state != "bad" else "FAILS", c.said) for c in checks]
    speaker.table(text_table("checks", ["what", "state", "found"], rows))
    speaker.table(text_table("versions", ["library", "version"], found.items()))
    for name, what in devices.items():
        speaker.line(f"{name}: {what}")
    speaker.line(f"reading gates: {'works' if healthy else 'FAILS'}")
    return _FAILED if any(c.state == "bad" for c in checks) else 0


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


def _verdict(checks: list[Checked]) -> str:
    """Return the sentence that says whether a run will go well."""
    bad = [c.name for c in checks if c.state == "bad"]
    notes = [c.name for c in checks if c.state == "note"]
    remarks = f"; could be better: {', '.join(notes)}" if notes else ""
    if bad:
        return f"not ready: {', '.join(bad)}{remarks}"
    return f"ready: everything that seviz needs works here{remarks}"


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


def _gates() -> tuple[State, str]:
    return ("ok", "read, and between 0 and 1") if _check() else ("bad", "others than expected")


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


def _halves() -> tuple[State, str]:
    """Say whether ``--amp`` is of use on this processor."""
    import torch
    from torch import nn

    from seviz.collect.fast import REDUCED, slower_here

    layer = nn.Sequential(*(nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1) for _ in range(2)))
    size = (_CHANNELS, _SIZE, _SIZE)
    said = slower_here(layer, size, REDUCED["bfloat16"], torch.device("cpu"), measured=True)
    return "ok", "computed by the processor" if said is None else f"--amp is {said}"


def _gpu() -> tuple[State, str]:
    import torch

    count = torch.cuda.device_count()
    if not count:
        return "ok", "MPS" if torch.backends.mps.is_available() else "none"
    for i in range(count):
        ones = torch.ones(8, 8, device=f"cuda:{i}")
        if float((ones @ ones).sum()) != 8**3:
            return "bad", f"cuda:{i} computes something else"
    return "ok", f"{count}, and {'it computes' if count == 1 else 'they compute'}"


_GATES = "reading gates"
_CHECKS: dict[str, Callable[[], tuple[State, str]]] = {
    _GATES: _gates,
    "bfloat16": _halves,
    "GPU": _gpu,
}
