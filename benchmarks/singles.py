#!/usr/bin/env python3
"""Measure how soon one picture and one channel are explained, whole commands.

    python benchmarks/singles.py [mobilenet_v3_small_in1k.tflite path/to/val]

Without a network that was trained on ImageNet, and images for its record, the sample alone. Prints a table
and puts it into ``README.md`` beside this file. The targets are 10 s for a picture and, for a channel from a
record, 2 s more than the imports that no such command could do without.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import HERE, Spent, machine, spent, table, write_section

ROUNDS = 3
TITLE = "One picture, one channel"
SAMPLE = HERE.parent / "sample_checkpoints" / "se_resnet20_cifar10.pt"
RECORD = HERE.parent / "reports" / "se_resnet20_cifar10"
DRAWING = [sys.executable, "-c", "import numpy, matplotlib.figure"]
PICTURE_TARGET, CHANNEL_TARGET = 10.0, 2.0  # seconds of wall time


def seviz(*words: object) -> list[str]:
    """Return a command as the words of a process."""
    return [sys.executable, "-m", "seviz", *map(str, words)]


def picture(folder: Path, side: int = 512) -> Path:
    """Write a picture of coloured waves, of the size of a photograph of the web; return its path."""
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(6 * (k * x + y * y) + k) for k in (1, 3, 5)]
    path = folder / "picture.png"
    Image.fromarray(np.uint8(127.5 + 127.5 * np.stack(waves, 2))).save(path)
    return path


def measured(what: str, words: list[str], target: float, less: float = 0.0) -> tuple[str, ...]:
    """Return the row of a command; ``less`` are the seconds of the imports that its target does not count."""
    spent(words)  # not counted: files are read into the cache of the system
    runs: list[Spent] = [spent(words) for _ in range(ROUNDS)]
    wall = statistics.median(r.wall for r in runs)
    cpu = statistics.median(r.cpu for r in runs)
    memory = max(r.memory for r in runs)
    row = (what, f"{wall:.1f} s", f"{cpu:.1f} s", f"{target + less:.1f} s", f"{memory:,.0f} MB")
    print(" | ".join(row), flush=True)
    return row


def rows(
    name: str, network: Path, record: Path, channel: str, folder: Path
) -> list[tuple[str, ...]]:
    """Return the rows of one network."""
    to = ("-q", "-o", folder / name)
    imports = statistics.median(spent(DRAWING).wall for _ in range(ROUNDS))
    return [
        measured(
            f"{name}: `seviz image`, one picture, every block",
            seviz("image", network, picture(folder), "--record", record, *to),
            PICTURE_TARGET,
        ),
        measured(
            f"{name}: `seviz channel`, from a record",
            seviz("channel", record, channel, *to),
            CHANNEL_TARGET,
            imports,
        ),
    ]


def main() -> None:
    """Measure, print, write."""
    if len(sys.argv) not in (1, 3):
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = rows("SE-ResNet-20", SAMPLE, RECORD, "SE_4_2:40", folder)
        if len(sys.argv) == 3:
            network, images = map(Path, sys.argv[1:])
            record = folder / "record"
            subprocess.run(
                seviz("collect", network, "--data", images, "-q", "-o", record), check=True
            )
            found += rows("MobileNetV3-Small, ImageNet", network, record, "SE_4_3:40", folder)
    header = ("command", "wall", "CPU", "at most", "memory")
    about = (
        f"{machine()}; whole processes with all imports, medians of {ROUNDS} after one that is not counted. "
        f"A channel has {CHANNEL_TARGET:g} s beside the imports of numpy and matplotlib."
    )
    write_section(TITLE, [about, "", *table(header, found)])


if __name__ == "__main__":
    main()
