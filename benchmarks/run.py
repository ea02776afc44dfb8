#!/usr/bin/env python3
"""Measure what a user waits for: start-up, a redraw, a report, an inspection, and memory against images.

    python benchmarks/run.py

Every figure is of a whole process, the median of several runs. Prints a table and puts it into
``README.md`` beside this file.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import HERE, machine, table, write_section

SAMPLE = HERE.parent / "reports" / "se_resnet20_cifar10"
RUNS = 7
INSPECTIONS = 3
IMAGES = (1_000, 10_000, 50_000)
FILES = 50_000


@dataclass(frozen=True)
class Measured:
    """Wall seconds of each run, and the largest resident memory in MB."""

    seconds: list[float]
    memory: float

    @property
    def median(self) -> float:
        """Return the median time in seconds."""
        return statistics.median(self.seconds)


def measure(words: list[str], runs: int) -> Measured:
    """Run a command several times after one that is not counted."""
    seconds, memory = [], 0.0
    for number in range(runs + 1):
        start = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"failed: {' '.join(words)}")
        if number or runs == 0:
            seconds.append(time.perf_counter() - start)
            memory = max(memory, usage.ru_maxrss / 1024)
    return Measured(seconds, memory)


def collect_generated(count: int) -> None:
    """Stream ``count`` generated images through a small SE network: memory is that of the pass."""
    import torch

    from seviz.collect.observers import GateSums, Predictions, run
    from seviz.gates import find
    from seviz.networks.architectures.registry import build

    @dataclass(frozen=True)
    class Batch:
        images: Any
        rows: Any

    def batches() -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(0)
        for begin in range(0, count, 250):
            size = min(250, count - begin)
            yield Batch(
                torch.rand(size, 3, 16, 16, generator=generator),
                torch.randint(0, 10, (size,), generator=generator),
            )

    model = build("se_resnet20")
    found = find(model, (3, 32, 32))
    cpu = torch.device("cpu")
    observers = [GateSums(found.blocks, 10, cpu), Predictions(range(10), 10, cpu)]
    passed = run(model, found.se_readings, batches(), observers, device=cpu)
    assert passed.images == count


def many_files() -> Iterator[tuple[str, str, str]]:
    """List and hash empty files in class folders: processor time of the better of two runs."""
    from seviz.data import open_source

    with tempfile.TemporaryDirectory() as root:
        for number in range(FILES):
            folder = Path(root) / f"class{number % 50:02}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number}.jpg").touch()

        def seconds(action: Callable[[], object]) -> float:
            start = time.process_time()
            action()
            return time.process_time() - start

        source = open_source(root)
        assert len(source) == FILES
        listing = min(seconds(lambda: open_source(root)) for _ in range(2))
        hashing = min(seconds(lambda: source.fingerprint(times=True)) for _ in range(2))
    yield (f"listing {FILES:,} files in 50 folders", f"{listing:.2f} s", "5 s")
    yield ("hashing their names, sizes and times", f"{hashing:.2f} s", "1 s")


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield (what, measured, target)."""
    python = sys.executable
    bare = measure([python, "-c", "pass"], RUNS)
    for what in ("--help", "--version"):
        took = measure([python, "-m", "seviz", what], RUNS)
        yield (f"seviz {what}", f"{took.median:.2f} s (python alone {bare.median:.2f} s)", "0.3 s")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [python, "-m", "seviz", "demo", "--no-open", "-q", "-o", folder],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        redraw = [python, "-m", "seviz", "activations", folder, "-q", "--classes", "2", "5"]
        took = measure([*redraw, "--blocks", "all"], RUNS)
        yield ("redraw from a record: 6 panels, PNG, SVG, CSV", f"{took.median:.2f} s", "2 s")
    with tempfile.TemporaryDirectory() as folder:
        report = [python, "-m", "seviz", "report", str(SAMPLE), "-q", "-o", folder]
        took = measure(report, RUNS)
        size = (Path(folder) / "report.html").stat().st_size / 1e6
        yield (
            "report from a record: 9 blocks, 10 classes; HTML, figures, tables",
            f"{took.median:.2f} s, {size:.1f} MB",
            "3 MB",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        save = "import timm, torch; m = timm.create_model('legacy_seresnet152'); "
        subprocess.run(
            [python, "-c", f"{save}torch.save(m.state_dict(), {str(path)!r})"], check=True
        )
        size = path.stat().st_size / 1e6
        imports = measure([python, "-c", "import torch, timm"], INSPECTIONS)
        took = measure([python, "-m", "seviz", "inspect", "-q", str(path)], INSPECTIONS)
        yield (
            f"seviz inspect of a bare state dict of {size:.0f} MB",
            f"{took.median:.2f} s (importing torch and timm alone {imports.median:.2f} s)",
            "4 s",
        )
        yield (
            "its peak memory",
            f"{took.memory:.0f} MB (the file and {took.memory - size:.0f} MB)",
            "the file and 1000 MB",
        )
    yield from many_files()
    least = None
    for count in IMAGES:
        took = measure([python, __file__, "--collect", str(count)], 0 if count > 20_000 else 1)
        least = least or took.memory
        yield (
            f"pass over {count:,} images: peak memory",
            f"{took.memory:.0f} MB ({took.memory / least:.3f} of the first)",
            "constant",
        )


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["--collect"]:
        collect_generated(int(sys.argv[2]))
        return
    about = f"{machine()}; medians of {RUNS} whole processes after one that is not counted."
    lines = [about, "", *table(("what", "measured", "target"), [])]
    print("\n".join(lines))
    for row in rows():
        lines.append("| " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    write_section("Start-up, redraw, memory", lines)


if __name__ == "__main__":
    main()
