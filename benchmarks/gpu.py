#!/usr/bin/env python3
"""Measure seviz on a GPU: tests, passes, waits, files, commands; one JSON file and one table.

    python benchmarks/gpu.py [--minutes 8] [--device cuda] [--only passes ...] [--out FOLDER] [--small]

Meant for a GPU that is lent for a quarter of an hour: one command, which looks at its clock before each
measurement, leaves out what does not fit and says so, goes on after a failure, and writes what it has after
each part. Every ratio is taken within one round of one run. ``--small`` takes a toy network, to try the
script itself on any machine. Needs ``pip install '.[bench]'``; Captum is left out where it is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import HERE, write_section
from gpu_parts.clock import Clock
from gpu_parts.commands import commands
from gpu_parts.files import files
from gpu_parts.guarded import guarded
from gpu_parts.passes import passes
from gpu_parts.waits import waits
from gpu_parts.written import written

PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "tests": guarded,
    "waits": waits,
    "passes": passes,
    "files": files,
    "commands": commands,
}


def machine(device: torch.device) -> dict[str, Any]:
    """Return on what all this was measured."""
    found: dict[str, Any] = {"device": str(device), "torch": torch.__version__}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
        found["capability"] = ".".join(map(str, torch.cuda.get_device_capability(device)))
        found["cuda"], found["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
    return found


def main(words: list[str] | None = None) -> int:
    """Measure, write, and return how many parts failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="folder of gpu.json; the table goes there as well")
    parser.add_argument("--small", action="store_true", help="a toy network: to try the script")
    given = parser.parse_args(words)
    device = torch.device(given.device)
    clock = Clock(60 * given.minutes)
    out = given.out or HERE
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine(device)}
    failed = 0
    for name in given.only:
        begin = time.perf_counter()
        try:
            results[name] = PARTS[name](device, clock, small=given.small)
        except Exception as exc:  # the next part may do, and the GPU goes back soon
            traceback.print_exc()
            results[name] = {"failed": f"{type(exc).__name__}: {exc}"[:300]}
        failed += bool(results[name].get("failed"))
        results[name]["seconds"] = round(time.perf_counter() - begin, 1)
        (out / "gpu.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    lines = written(results)
    print("\n".join(lines))
    if given.out:
        (out / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        write_section("On a GPU", lines)
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
