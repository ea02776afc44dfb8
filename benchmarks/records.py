#!/usr/bin/env python3
"""Measure large records: their size, choosing classes from them, and a report from one.

    python benchmarks/records.py

Records of a network with the channels of SE-ResNet-50 (15,104 in 16 blocks) and 1,000 classes; the gates are
made up, sigmoids in float32 that differ by class and image by about 0.05. Their entropy, which is known since
they are made up, is the least that any form takes that gives them back to the bit. Choosing reads means,
spreads and the mean over all classes of all blocks, for two classes; a report is a whole process. Prints a
table and puts it into ``README.md`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, peak_memory, spent, table, write_section

TITLE = "Large records"
WIDTHS = (256,) * 3 + (512,) * 4 + (1024,) * 6 + (2048,) * 3
CLASSES, MANY = 1_000, 21_841
# Deviations of the made-up logits: between channels, between classes, between images.
CHANNELS, BETWEEN, WITHIN = 0.8, 0.2, 0.15
# Images of each class.
KINDS = {"1 image of each of 1,000 classes": 1, "20 images of each of 1,000 classes": 20}


def made_up(each: int) -> Any:
    """Return a record of made-up gates."""
    from seviz.results.blocks import SEBlock
    from seviz.results.classes import ClassTable
    from seviz.results.header import Header
    from seviz.results.preprocessing import Preprocessing
    from seviz.results.record import Record
    from seviz.results.sample import INDEX, ROW, capacity, key_order, packed, sample_name

    rng = np.random.default_rng(0)
    blocks = tuple(
        SEBlock(
            name=f"SE_{int(np.log2(width)) - 6}_{WIDTHS[:n].count(width) + 1}",
            path=f"block{n}.se",
            stage=int(np.log2(width)) - 6,
            index=WIDTHS[:n].count(width) + 1,
            channels=width,
            hidden=width // 16,
            gate="sigmoid",
            squeeze="mean",
            placement="standard",
            parameters=(),
            params=width * width // 8,
            spatial=(8, 8),
        )
        for n, width in enumerate(WIDTHS)
    )
    images = CLASSES * each
    labels = np.repeat(np.arange(CLASSES), each)
    kept = key_order(np.arange(images), labels)[: capacity(blocks)]
    arrays: dict[str, Any] = {"count": np.full(CLASSES, each), INDEX: kept, ROW: labels[kept]}
    for block in blocks:
        common = rng.normal(0, CHANNELS, block.channels)
        logits = common + rng.normal(0, BETWEEN, (CLASSES, 1, block.channels))
        logits = logits + rng.normal(0, WITHIN, (CLASSES, each, block.channels))
        gates = (1 / (1 + np.exp(-logits))).astype(np.float32)
        exact = gates.astype(np.float64)
        arrays |= {
            f"gates/{block.name}/sum": exact.sum(1),
            f"gates/{block.name}/sumsq": np.square(exact).sum(1),
            f"gates/{block.name}/minimum": gates.min(1),
            f"gates/{block.name}/maximum": gates.max(1),
            f"gates/{block.name}/low": (gates < 0.05).sum(1, dtype=np.int32),
            f"gates/{block.name}/high": (gates > 0.95).sum(1, dtype=np.int32),
            sample_name(block.name): packed(gates.reshape(images, -1)[kept]),
        }
    header = Header("made.pt", "made up", "0" * 64, "made up", "", Preprocessing(), CLASSES, images)
    names = [f"class {k}" for k in range(CLASSES)]
    return Record(header, ClassTable.from_labels(names), blocks, arrays)


def entropy(record: Any) -> float:
    """Return the bytes that the gates of a record of one image of each class hold.

    A logit is normal around its channel's; a gate's density is that by the slope of the sigmoid, and a
    float32 stands for as much of it as lies between it and the next one.
    """
    normal = np.log2(np.hypot(BETWEEN, WITHIN) * np.sqrt(2 * np.pi * np.e))
    bits = 0.0
    for block in record.blocks:
        gates = np.asarray(record.arrays[f"gates/{block.name}/minimum"])
        exact = gates.astype(np.float64)
        bits += np.sum(normal + np.log2(exact * (1 - exact)) - np.log2(np.spacing(gates)))
    return float(bits / 8)


def choose(path: str) -> None:
    """Read what curves of two classes need; print seconds and megabytes of memory."""
    from seviz.results.record import Record

    before, begin = peak_memory(), time.process_time()
    record = Record.load(path)
    for block in record.blocks:
        stats = record.stats(block.name)
        some = stats.of([3, 700])
        for needed in (some.mean, some.std, stats.all_mean, stats.all_std):
            assert np.isfinite(needed).all()
    print(json.dumps([time.process_time() - begin, peak_memory() - before]))


def rows(folder: Path) -> list[tuple[str, ...]]:
    """Return what, measured, target."""
    found: list[tuple[str, ...]] = []
    for kind, each in KINDS.items():
        place = folder / str(each)
        record = made_up(each)
        begin = time.process_time()
        path = record.save(place)
        seconds, size = time.process_time() - begin, path.stat().st_size / 1e6
        plain = sum(np.asarray(a).nbytes for a in record.arrays.values()) / 1e6
        sampled = (
            sum(np.asarray(a).nbytes for n, a in record.arrays.items() if "sample/" in n) / 1e6
        )
        rate = size / CLASSES / sum(WIDTHS) * 1e6
        least = entropy(record) / 1e6 if each == 1 else None
        del record
        target = "40 MB" if each == 1 else ""
        found.append((f"record of {kind}", f"{size:.0f} MB (as arrays {plain:.0f} MB)", target))
        if least is not None:
            found.append(
                ("the entropy of its gates, the least of any exact form", f"{least:.0f} MB", "")
            )
        found.append(("writing it", f"{seconds:.1f} s", ""))
        if each > 1:
            rate = (size - sampled) / CLASSES / sum(WIDTHS) * 1e6
        found.append(
            (
                f"the same for {MANY:,} classes, at {rate:.1f} bytes for each class and channel",
                f"{rate * MANY * sum(WIDTHS) / 1e9:.1f} GB",
                "",
            )
        )
        words = [sys.executable, __file__, "--choose", str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        took, memory = json.loads(done.stdout)
        found.append(("choosing two classes from it", f"{took:.2f} s", "1 s"))
        found.append(("memory for that", f"{memory:.0f} MB", "300 MB"))
        words = [sys.executable, "-m", "seviz", "report", str(path), "-o", str(place), "-q"]
        report = spent(words)
        found.append(("report from it", f"{report.cpu:.1f} s", "10 s"))
        for row in found[-7:]:
            print(row, flush=True)
    return found


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--choose")
    asked = parser.parse_args()
    if asked.choose:
        choose(asked.choose)
        return
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            f"{machine()}; {sum(WIDTHS):,} channels in {len(WIDTHS)} blocks; seconds are of the processor.",
            "",
            *table(("what", "measured", "target"), rows(Path(folder))),
        ]
    print("\n".join(lines))
    write_section(TITLE, lines)


if __name__ == "__main__":
    main()
