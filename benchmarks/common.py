"""What several benchmarks share: the network, memory of a process, tables in ``README.md``."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "README.md"
FIGURES = HERE / "figures"
NETWORK = "legacy_seresnet50"


def machine() -> str:
    """Return on what a table was measured."""
    return f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"


@dataclass(frozen=True)
class Spent:
    """What one process took: processor and wall seconds, and its largest resident memory in MB."""

    cpu: float
    wall: float
    memory: float


def spent(words: list[str]) -> Spent:
    """Run a command and return what it took; what it prints is dropped."""
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(words)}")
    return Spent(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def write_section(title: str, lines: list[str]) -> None:
    """Put a section in the place of the one with the same title in ``README.md``, else at its end."""
    before = RESULTS.read_text(encoding="utf-8")
    text = "\n".join([f"## {title}", "", *lines]) + "\n"
    place = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if place.search(before):
        # The last one ends the file, the others are followed by an empty line and a heading.
        whole = place.sub(lambda found: text + "\n" * (found.end() < len(before)), before)
    else:
        whole = f"{before.rstrip()}\n\n{text}"
    RESULTS.write_text(whole, encoding="utf-8")


def peak_memory() -> float:
    """Return the largest resident memory of this process in MB."""
    # Not getrusage, which remembers the memory of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) / 1024


def network(name: str = NETWORK) -> Any:
    """Return a network of timm with random weights, the same ones every time."""
    import timm
    import torch

    torch.manual_seed(0)
    return timm.create_model(name).eval()
