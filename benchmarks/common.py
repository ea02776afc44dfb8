"""What several benchmarks share: the network, memory of a process, tables in ``results.md``."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.md"
FIGURES = HERE / "figures"
NETWORK = "legacy_seresnet50"


def machine() -> str:
    """Return on what a table was measured."""
    return f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def write_section(title: str, lines: list[str]) -> None:
    """Put a section in the place of the one with the same title in ``results.md``, else at its end."""
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    heading = f"## {title}"
    kept = re.sub(rf"\n*{re.escape(heading)}\n.*?(?=\n## |\Z)", "", before, flags=re.DOTALL)
    text = "\n".join([heading, "", *lines])
    RESULTS.write_text(f"{kept.rstrip()}\n\n{text}\n", encoding="utf-8")


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
