#!/usr/bin/env python3
"""Measure how time and memory grow: with images, classes, blocks, channels, files and shards.

    python benchmarks/growth.py [--what images classes ...] [--runs 3]

Passes: equal SE blocks of depthwise convolutions in a row, made-up images of 32 x 32, batches of 64, the
network run as it is; one thing grows at a time. Files: empty ones, a thousand in each class folder, listed
and hashed. Shards: as many images in more and more tar files, a whole `seviz.collect`. And images from
shards, up to a million of 16 x 16: what ten thousand and a hundred thousand foretell of a million is in the
table beside what it took. Each point is a process of its own. ``growth.json`` keeps the points, so that each
thing can be measured alone; draws ``figures/growth.png`` and ``.svg``, and puts a table into ``README.md``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import growth_parts as parts
import numpy as np
from common import FIGURES, HERE, machine, table, write_section

KEPT = HERE / "growth.json"
SHARDED = 8_192


class Thing(NamedTuple):
    """What grows.

    Attributes:
        of: Which process measures it.
        values: To what it grows.
        runs: How often at most.
    """

    of: str
    values: tuple[int, ...]
    runs: int = 9


_PASS = {"images": 2_048, "classes": 10, "blocks": 9, "channels": 16}
THINGS = {
    "images": Thing("pass", (1_024, 2_048, 4_096, 8_192)),
    "classes": Thing("pass", (10, 100, 1_000)),
    "blocks": Thing("pass", (3, 16, 50)),
    "channels": Thing("pass", (16, 32, 64, 128)),
    "files": Thing("files", (10_000, 100_000, 1_000_000), 2),
    "shards": Thing("shards", (1, 16, 256, 1_024)),
    "images from shards": Thing("sharded", (10_000, 100_000, 1_000_000), 1),
}
# What should be a straight line; the others should not grow at all.
_STRAIGHT = ("images", "blocks", "channels", "files", "images from shards")
_EACH = 10_000


@dataclass(frozen=True)
class Point:
    """What one process needed.

    Attributes:
        value: Of what is varied.
        seconds: Of the processor.
        memory: Peak memory in MB.
    """

    value: int
    seconds: float
    memory: float


def once(what: str, value: int, folder: str) -> tuple[float, float]:
    """Measure one point in this process."""
    of = THINGS[what].of
    if of == "pass":
        return parts.run_pass(**{**_PASS, what: value})
    if of == "files":
        return parts.list_files(folder)
    return parts.collect_shards(folder, value if of == "shards" else value // _EACH)


@contextmanager
def written(what: str, value: int) -> Iterator[str]:
    """Write what a point reads."""
    with tempfile.TemporaryDirectory() as folder:
        of = THINGS[what].of
        if of == "files":
            parts.write_files(Path(folder), value)
        elif of == "shards":
            parts.write_shards(Path(folder), SHARDED, value)
        elif of == "sharded":
            parts.write_shards(Path(folder), value, value // _EACH)
        yield folder


def measured(what: str, runs: int) -> list[Point]:
    """Return the best of several runs for each value of one thing."""
    points = []
    for value in THINGS[what].values:
        with written(what, value) as folder:
            found = []
            for _ in range(min(runs, THINGS[what].runs)):
                words = [sys.executable, __file__, "--once", what, str(value), folder]
                process = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
                found.append([float(n) for n in process.stdout.split()])
        seconds, memory = np.min(found, axis=0)
        points.append(Point(value, float(seconds), float(memory)))
        print(what, points[-1], flush=True)
    return points


def straightness(points: list[Point]) -> float:
    """Return R squared of a straight line through the times."""
    x, y = [p.value for p in points], [p.seconds for p in points]
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def foretold(points: list[Point]) -> float:
    """Return what the line through all points but the last says of the last one's seconds."""
    *others, last = points
    return float(
        np.polyval(
            np.polyfit(*zip(*((p.value, p.seconds) for p in others), strict=True), 1), last.value
        )
    )


def draw(series: dict[str, list[Point]]) -> None:
    """Draw time above memory, a column for each thing that grows."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(2.6 * len(series), 5), layout="constrained")
    axes = figure.subplots(2, len(series), sharex="col", squeeze=False)
    for column, (what, points) in zip(axes.T, series.items(), strict=True):
        x = [p.value for p in points]
        for axis, y in zip(
            column, ([p.seconds for p in points], [p.memory for p in points]), strict=True
        ):
            axis.plot(x, y, "o-", color="#1f4e79", clip_on=False)
            axis.set_xlim(left=0)
            axis.set_ylim(bottom=0)
            axis.spines[["top", "right"]].set_visible(False)
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        column[1].set_xlabel(what)
    axes[0, 0].set_ylabel("processor time (s)")
    axes[1, 0].set_ylabel("peak memory of the process (MB)")
    FIGURES.mkdir(exist_ok=True)
    for kind in ("png", "svg"):
        figure.savefig(FIGURES / f"growth.{kind}", dpi=150)


def lines_of(series: dict[str, list[Point]]) -> list[str]:
    """Return the table, and what a straight line says."""
    rows = [
        (what, f"{p.value:,}", f"{p.seconds:.2f} s", f"{p.memory:.0f} MB")
        for what, points in series.items()
        for p in points
    ]
    straight = [f"{straightness(series[w]):.3f} by {w}" for w in _STRAIGHT if w in series]
    level = [
        f"{p[-1].seconds / p[0].seconds:.2f} by {w}"
        for w, p in series.items()
        if w not in _STRAIGHT
    ]
    text = [
        f"Of the time a straight line explains {', '.join(straight)}."
        + f" From the fewest to the most it changes by a factor of {', '.join(level)}."
        * bool(level)
        + " Peaks of equal passes differ by 150 MB or so: the allocator finds other gaps."
    ]
    long = series.get("images from shards")
    if long:
        told = foretold(long)
        text += [
            "",
            f"The line through {' and '.join(f'{p.value:,}' for p in long[:-1])} images from shards "
            f"foretells {told:.0f} s for {long[-1].value:,}; it took {long[-1].seconds:.0f} s, "
            f"{long[-1].seconds / told:.2f} of that, and "
            f"{long[-1].memory / long[0].memory:.2f} of the memory of the fewest.",
        ]
    size = ", ".join(f"{n:,} {what}" for what, n in _PASS.items())
    return [
        f"{machine()}; passes over {size}, unless it says otherwise; {SHARDED:,} images in the "
        "shards that grow in number; processor time, best of the runs, each a process.",
        "",
        *table(("what grows", "to", "time", "peak memory"), rows),
        "",
        *text,
        "",
        "![Time and peak memory](figures/growth.png)",
    ]


def main() -> None:
    """Measure, draw, write."""
    if sys.argv[1:2] == ["--once"]:
        what, value, folder = sys.argv[2:]
        print(*once(what, int(value), folder))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", nargs="+", default=list(THINGS), choices=THINGS)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    for what in given.what:
        kept[what] = [asdict(point) for point in measured(what, given.runs)]
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    series = {w: [Point(**p) for p in kept[w]] for w in THINGS if w in kept}
    draw(series)
    lines = lines_of(series)
    print("\n".join(lines))
    write_section("Growth", lines)


if __name__ == "__main__":
    main()
