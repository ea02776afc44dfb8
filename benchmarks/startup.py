#!/usr/bin/env python3
"""Measure how soon a command answers, against the imports that no such program could do without.

    python benchmarks/startup.py

Whole processes, in turns within one run: each command right after the imports it is held against. The
targets are ratios of processor time, which other programs on the machine disturb least. Prints a table and
puts it into ``README.md`` beside this file.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import HERE, Spent, machine, spent, table, write_section

PAIRS = 9
TITLE = "Start-up"
RECORD = HERE.parent / "reports" / "se_resnet20_cifar10"
CHECKPOINT = HERE.parent / "sample_checkpoints" / "se_resnet20_cifar10.pt"
DRAWING = "import numpy, matplotlib.figure"
NETWORKS = "import torch"
ZOOS = "import torch, torchvision"


@dataclass(frozen=True)
class Case:
    """One command.

    Attributes:
        what: In words.
        words: Of the command line, after ``seviz``.
        imports: What it is held against.
        target: The most that it may take, in processor times of those imports; ``None`` for no wish.
        made: A folder that it makes, and would use again; it is removed before each run.
    """

    what: str
    words: tuple[str, ...]
    imports: str
    target: float | None
    made: Path | None = None

    def spent(self) -> Spent:
        """Return what one run of it took."""
        if self.made is not None:
            shutil.rmtree(self.made, ignore_errors=True)
        return spent([sys.executable, "-m", "seviz", *self.words])

    def row(self) -> tuple[str, ...]:
        """Measure it, and return its row of the table."""
        imports = [sys.executable, "-c", self.imports]
        spent(imports)  # not counted: files are read into the cache of the system
        self.spent()
        pairs = [(self.spent(), spent(imports)) for _ in range(PAIRS)]
        cpu = [own.cpu / other.cpu for own, other in pairs]
        wall = [own.wall / other.wall for own, other in pairs]
        return (
            self.what,
            f"`{self.imports}`",
            f"{statistics.median(cpu):.2f} ({min(cpu):.2f} to {max(cpu):.2f})",
            f"{self.target:.2f}" if self.target is not None else "",
            f"{statistics.median(wall):.2f}",
            f"{_seconds([own for own, _ in pairs])} against {_seconds([o for _, o in pairs])}",
        )


def _seconds(runs: list[Spent]) -> str:
    return f"{statistics.median(run.cpu for run in runs):.2f} s"


def cases(demo: Path, output: Path) -> list[Case]:
    """Return the commands.

    Args:
        demo: Folder with the results of ``seviz demo``.
        output: Where files go.
    """
    to = ("-q", "-o", str(output))
    fresh = output.with_name("fresh")
    drawn = ("--classes", "2", "5", "--blocks", "all", *to)
    return [
        Case("`seviz --help`", ("--help",), DRAWING, 0.4),
        Case(
            "redraw from a record: 2 figures, PNG and SVG, 3 tables",
            ("activations", str(demo), *drawn),
            DRAWING,
            2.5,
        ),
        Case(
            "report from a record: 9 blocks, 10 classes",
            ("report", str(RECORD), *to),
            DRAWING,
            6.0,
        ),
        Case("inspect of an own checkpoint", ("inspect", str(CHECKPOINT), "-q"), NETWORKS, 1.25),
        Case("audit of an own checkpoint", ("audit", str(CHECKPOINT), *to), NETWORKS, None),
        Case(
            "`seviz demo` after set-up",
            ("demo", "--no-open", "-q", "-o", str(fresh)),
            ZOOS,
            3.0,
            fresh,
        ),
    ]


def main() -> None:
    """Measure, print, write."""
    header = ("what", "against", "CPU ratio", "target", "wall ratio", "CPU")
    about = f"{machine()}; whole processes, medians of {PAIRS} pairs after one that is not counted."
    lines = [about, "", *table(header, [])]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        demo, output = Path(folder, "demo"), Path(folder, "output")
        subprocess.run(
            [sys.executable, "-m", "seviz", "demo", "--no-open", "-q", "-o", str(demo)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for case in cases(demo, output):
            lines.append("| " + " | ".join(case.row()) + " |")
            print(lines[-1], flush=True)
    write_section(TITLE, lines)


if __name__ == "__main__":
    main()
