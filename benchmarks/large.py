#!/usr/bin/env python3
"""Measure large inputs: inspection of a large file, listing of many, memory against images.

    python benchmarks/large.py

Every figure is of a whole process. Prints a table and puts it into ``README.md`` beside this file.
``startup.py`` has what a user waits for elsewhere.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Spent, machine, spent, table, write_section

INSPECTIONS = 5
IMAGES = (1_000, 10_000, 50_000)
FILES = 50_000


def collect_generated(count: int) -> None:
    """Stream ``count`` generated images through a small SE network: memory is that of the pass."""
    import torch

    from seviz.collect.forward import run
    from seviz.collect.observers import GateSums, Predictions
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
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        save = "import timm, torch; m = timm.create_model('legacy_seresnet152'); "
        subprocess.run(
            [python, "-c", f"{save}torch.save(m.state_dict(), {str(path)!r})"], check=True
        )
        size = path.stat().st_size / 1e6
        inspect = [python, "-m", "seviz", "inspect", "-q", str(path)]
        least = f"import torch; open({str(path)!r}, 'rb').read()"
        zoo = "from seviz.networks.importing import without_compiler\nwith without_compiler(): import timm"
        against = {"importing torch and reading it": least, "importing torch and timm": zoo}
        took, others = [], dict[str, list[Spent]]()
        for _ in range(INSPECTIONS):  # in turns: each against what was measured beside it
            took.append(spent(inspect))
            for name, code in against.items():
                others.setdefault(name, []).append(spent([python, "-c", code]))
        memory = max(run.memory for run in took)
        for name, runs in others.items():
            ratios = [
                (mine.cpu / other.cpu, mine.wall / other.wall)
                for mine, other in zip(took, runs, strict=True)
            ]
            cpu, wall = (statistics.median(r[n] for r in ratios) for n in range(2))
            yield (
                f"seviz inspect of a bare state dict of {size:.0f} MB, against {name}",
                f"{cpu:.2f} x of the processor's time, {wall:.2f} x of the clock's",
                "1.25 x" if "reading" in name else "",
            )
        yield (
            "its peak memory",
            f"{memory:.0f} MB (the file and {memory - size:.0f} MB)",
            "the file and 1000 MB",
        )
    yield from many_files()
    least = None
    for count in IMAGES:
        memory = spent([python, __file__, "--collect", str(count)]).memory
        least = least or memory
        yield (
            f"pass over {count:,} images: peak memory",
            f"{memory:.0f} MB ({memory / least:.3f} of the first)",
            "constant",
        )


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["--collect"]:
        collect_generated(int(sys.argv[2]))
        return
    lines = [
        f"{machine()}; whole processes, ratios are medians of {INSPECTIONS} pairs.",
        "",
        *table(("what", "measured", "target"), []),
    ]
    print("\n".join(lines))
    for row in rows():
        lines.append("| " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    write_section("Large inputs", lines)


if __name__ == "__main__":
    main()
