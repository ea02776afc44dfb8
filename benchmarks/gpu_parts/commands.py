"""Whole commands on the GPU and on the processor of the same machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import HERE
from PIL import Image

from gpu_parts.clock import Clock, say

SAMPLE = HERE.parent / "sample_checkpoints" / "se_resnet20_cifar10.pt"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
COMMANDS = {
    "confusion": ("confusion",),
    "report": ("report",),
    "ablate": ("ablate",),
}


def commands(device: torch.device, clock: Clock, *, small: bool) -> dict[str, Any]:
    """Return the seconds of each command on both, start-up included."""
    if small or not torch.cuda.is_available():
        return {"left out": "no GPU"}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        images = _images(Path(folder) / "images")
        for name, words in COMMANDS.items():
            for place in (str(device), "cpu"):
                if clock.left < 40:
                    found[f"{name}, {place}"] = {"left out": "no time"}
                    continue
                out = Path(folder) / f"{name}-{place.replace(':', '')}"
                took = _seconds(
                    [*words, str(SAMPLE), "--data", str(images), "--device", place, "-o", str(out)]
                )
                found[f"{name}, {place}"] = took
                say(f"{name} on {place}: {took}", clock)
    found["images"] = len(CLASSES) * EACH
    return found


EACH = 300


def _images(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for i in range(EACH):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png", compress_level=1)
    return root


def _seconds(words: list[str]) -> float | str:
    begin = time.perf_counter()
    path = os.pathsep.join([str(HERE.parent), *filter(None, sys.path[1:])])
    run = subprocess.run(
        [sys.executable, "-m", "seviz", *words, "-q"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    if run.returncode:
        return f"failed: {(run.stderr.strip().splitlines() or ['no message'])[-1][:200]}"
    return round(time.perf_counter() - begin, 1)
