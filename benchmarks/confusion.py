#!/usr/bin/env python3
"""Measure the figure of a large confusion matrix against seaborn's and scikit-learn's.

    python benchmarks/confusion.py

1,000 classes and 50,000 samples, made up. Figures are drawn and saved in this process, in turns, once
without being counted and then several times. Medians count, in processor time: drawing uses one core, and
others may use the machine too. Memory is that of a fresh process that draws and saves once.
Prints a table and puts it into ``README.md`` beside this file.
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, peak_memory, table, write_section

from seviz.figures import confusion_matrix, save_figure
from seviz.figures.saving import DPI
from seviz.results.evaluation import Evaluation

TITLE = "Confusion matrices"
RUNS = 7
CLASSES, SAMPLES = 1_000, 50_000
SMALLER, HUGE = 100, 10_000


def evaluation(classes: int, samples: int) -> Evaluation:
    """Return a network that is right in 75 % of cases, and wrong mostly among neighbours."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, classes, samples)
    near = true // 5 * 5 + rng.integers(0, 5, samples)
    wrong = np.where(rng.random(samples) < 0.7, near, rng.integers(0, classes, samples))
    predicted = np.where(rng.random(samples) < 0.75, true, wrong)
    counts = np.bincount(true * classes + predicted, minlength=classes**2)
    return Evaluation(
        tuple(f"class number {i}" for i in range(classes)), counts.reshape(classes, classes)
    )


def ours(found: Evaluation, kind: str, **options: Any) -> int:
    """Draw and save with seviz; return the size of the file."""
    with tempfile.TemporaryDirectory() as folder:
        (path,) = save_figure(confusion_matrix(found, **options), Path(folder) / "figure", kind)
        return path.stat().st_size


def seaborns(found: Evaluation) -> int:
    """Draw and save with seaborn, colours alone."""
    import seaborn
    from matplotlib.figure import Figure

    data, figure = io.BytesIO(), Figure(figsize=(10, 10))
    seaborn.heatmap(found.counts, ax=figure.add_subplot(), cmap="Blues")
    figure.savefig(data, format="png", dpi=DPI)
    return len(data.getvalue())


def scikit_learns(found: Evaluation) -> int:
    """Draw and save with scikit-learn, with the values in the cells, as it does by default."""
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    data, figure = io.BytesIO(), Figure(figsize=(10, 10))
    display = ConfusionMatrixDisplay(found.counts, display_labels=found.labels)
    display.plot(ax=figure.add_subplot(), cmap="Blues", xticks_rotation=90)
    figure.savefig(data, format="png", dpi=DPI)
    return len(data.getvalue())


def timed(*draws: Callable[[], int], runs: int = RUNS) -> list[tuple[float, float, int]]:
    """Return the median seconds of each, those by the first one's of the same turn, and the file's size.

    They take turns, so that whatever else the machine does slows all of them.
    """
    sizes = [draw() for draw in draws]
    turns = [[processor_time(draw) for draw in draws] for _ in range(runs)]
    return [
        (statistics.median(own), statistics.median(t[i] / t[0] for t in turns), size)
        for i, (own, size) in enumerate(zip(zip(*turns, strict=True), sizes, strict=True))
    ]


def processor_time(draw: Callable[[], int]) -> float:
    """Return the seconds of one drawing."""
    start = time.process_time()
    draw()
    return time.process_time() - start


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield (what, measured, target)."""
    large, small = evaluation(CLASSES, SAMPLES), evaluation(SMALLER, SAMPLES)
    what = f"{CLASSES:,} classes, {SAMPLES:,} samples"
    (png, _, _), (theirs, longer, _), (clustered, _, _), (svg, _, size) = timed(
        lambda: ours(large, "png"),
        lambda: seaborns(large),
        lambda: ours(large, "png", order="cluster", log=True),
        lambda: ours(large, "svg"),
    )
    yield f"{what}: PNG", f"{png:.2f} s", "1.5 s"
    yield (
        "the same with seaborn.heatmap, without annotation",
        f"{theirs:.2f} s ({longer:.1f} x)",
        "slower than ours",
    )
    yield f"{what}: PNG, clustered order, logarithmic colours", f"{clustered:.2f} s", ""
    yield f"{what}: SVG", f"{svg:.2f} s, {size / 1000:.0f} kB", "1,000 kB"
    process = subprocess.run(
        [sys.executable, __file__, "--once"], capture_output=True, text=True, check=True
    )
    memory, whole = process.stdout.split()
    yield f"{what}: peak memory of a fresh process, PNG and SVG", f"{memory} MB", "1,000 MB"
    yield f"{what}: that process, imports and all", f"{whole} s of CPU", ""
    (own, _, _), (sklearn, longer, _) = timed(
        lambda: ours(small, "png"), lambda: scikit_learns(small)
    )
    yield (
        f"{SMALLER} classes: PNG, against scikit-learn's display with values",
        f"{own:.2f} s against {sklearn:.2f} s ({longer:.1f} x)",
        "10 x",
    )
    huge = evaluation(HUGE, 10 * HUGE)
    [(png, _, _)] = timed(lambda: ours(huge, "png"), runs=3)
    yield f"{HUGE:,} classes, {10 * HUGE:,} samples: PNG", f"{png:.1f} s", ""


def once() -> None:
    """Draw and save once; print the largest resident memory in MB, and the seconds."""
    found = evaluation(CLASSES, SAMPLES)
    for kind in ("png", "svg"):
        ours(found, kind)
    print(f"{peak_memory():.0f}", f"{time.process_time():.1f}")


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["--once"]:
        once()
        return
    about = (
        f"{machine()}; processor time, medians of {RUNS} turns (10,000 classes: of 3) after one that is not "
        "counted."
    )
    lines = [about, "", *table(("what", "measured", "target"), [])]
    print("\n".join(lines))
    for row in rows():
        lines.append("| " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    write_section(TITLE, lines)


if __name__ == "__main__":
    main()
