"""The tests that need a GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from gpu_parts.clock import Clock

ROOT = Path(__file__).resolve().parents[2]


def guarded(device: torch.device, clock: Clock, *, small: bool) -> dict[str, Any]:
    """Run tests/test_devices.py where there is a GPU; return how many passed, failed, were skipped."""
    if small or not torch.cuda.is_available():
        return {"left out": "no GPU"}
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-o",
        "addopts=-q",  # without a second -q, which would hide the numbers
        "-p",
        "no:cacheprovider",
        "tests/test_devices.py",
    ]
    run = subprocess.run(
        words,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=max(60.0, min(clock.left, 180.0)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])},
        check=False,
    )
    print(run.stdout[-6000:], run.stderr[-2000:], flush=True)
    numbers = {
        what: int(n) for n, what in re.findall(r"(\d+) (passed|failed|error|skipped)", run.stdout)
    }
    return {**numbers, **({"failed": run.stdout[-300:]} if run.returncode else {})}
