#!/usr/bin/env python3
"""Measure ``seviz.collect`` on JPEG files against a loop written by hand.

    python benchmarks/endtoend.py [--images 256] [--rounds 3]

SE-ResNet-50 on photographs of 500 x 375 made up here, resized and cropped to 224. Each round runs, in turns:
decoding alone, the fast forward pass alone (on images in memory), a DataLoader with a plain forward loop and
torchvision's transforms, and seviz. Medians of the rounds' ratios count. Prints a table and puts it into
``README.md`` beside this file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import NETWORK, machine, network, table, write_section
from PIL import Image

from seviz.collect.fast import Choice
from seviz.collect.forward import run
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.run import collect
from seviz.networks import LoadedModel
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import Preprocessing

BATCH = 32
CLASSES = 4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_files(folder: Path, count: int) -> None:
    """Write photographs: smooth noise, which is as large as a photograph when it is compressed."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (94, 125, 3), dtype=np.uint8))
        here = folder / f"class {i % CLASSES}"
        here.mkdir(exist_ok=True)
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(here / f"{i:05}.jpg", quality=92)


@dataclass(frozen=True)
class Contest:
    """The same files through the same network in several ways.

    Attributes:
        loaded: The network.
        folder: The files.
        options: How seviz passes them.
    """

    loaded: LoadedModel
    folder: Path
    options: PassOptions

    def seviz(self) -> None:
        """Collect a record."""
        collect(self.loaded, str(self.folder), self.options)

    def decoding(self) -> None:
        """Only make the batches."""
        for _ in prepare(self.loaded, str(self.folder), self.options).batches():
            pass

    def forward(self) -> None:
        """Only run the network, on one batch again and again."""
        ready = prepare(self.loaded, str(self.folder), self.options)
        batches = ready.batches()
        batch = next(iter(self.first))
        run(
            self.loaded.model,
            ready.found.only(ready.blocks),
            [batch] * batches.steps,
            [],
            device=ready.device,
            speed=ready.speed(batches, Choice()),
        )

    @property
    def first(self) -> list[Any]:
        """Return one batch of images in memory."""
        images = torch.randn(BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(0))

        @dataclass(frozen=True)
        class Batch:
            images: torch.Tensor
            rows: torch.Tensor

        return [Batch(images, torch.zeros(BATCH, dtype=torch.long))]

    def by_hand(self) -> None:
        """What a script does: ImageFolder, DataLoader, hooks that keep the gates, NumPy at the end."""
        from torch.utils.data import DataLoader
        from torchvision import transforms
        from torchvision.datasets import ImageFolder

        prepared = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )
        files = ImageFolder(str(self.folder), prepared)
        kept: dict[str, list[Any]] = {}
        model = self.loaded.model

        def keep(name: str) -> Any:
            return lambda m, a, out: kept.setdefault(name, []).append(out.flatten(1).numpy())

        handles = [
            m.sigmoid.register_forward_hook(keep(n))
            for n, m in model.named_modules()
            if n.endswith("se_module")
        ]
        labels = []
        with torch.inference_mode():
            for images, rows in DataLoader(files, BATCH, num_workers=2):
                model(images)
                labels.append(rows.numpy())
        for handle in handles:
            handle.remove()
        label = np.concatenate(labels)
        for gates in kept.values():
            whole = np.concatenate(gates)
            for k in range(CLASSES):
                whole[label == k].mean(0), whole[label == k].std(0)


def seconds(work: Callable[[], None]) -> float:
    """Return how long a piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    preprocessing = Preprocessing((3, 224, 224), MEAN, STD, "bilinear", 0.875, "ours")
    names = ClassTable.from_labels([f"class {k}" for k in range(CLASSES)])
    model = network()
    model.last_linear = torch.nn.Linear(model.last_linear.in_features, CLASSES)
    loaded = LoadedModel(model, NETWORK, NETWORK, "0" * 64, names, preprocessing)
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), given.images)
        options = PassOptions(batch_size=BATCH, workers=given.workers)
        contest = Contest(loaded, Path(folder), options)
        works = {
            "decoding alone": contest.decoding,
            "fast forward pass alone, images in memory": contest.forward,
            "DataLoader and forward loop by hand, 2 workers": contest.by_hand,
            "seviz": contest.seviz,
        }
        took: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(given.rounds):
            for name, work in works.items():
                took[name].append(seconds(work))
    slower = [max(a, b) for a, b in zip(*list(took.values())[:2], strict=True)]
    rows = [
        (
            name,
            f"{given.images / statistics.median(own):.1f}",
            f"{statistics.median(s / o for s, o in zip(slower, own, strict=True)):.2f}",
        )
        for name, own in took.items()
    ]
    lines = [
        f"{machine()}; {given.images} files, batches of {BATCH}, medians of {given.rounds} rounds.",
        "",
        *table(("what", "images/s", "of the slower of the first two"), rows),
        "",
        "Target for seviz: 0.95 of the slower of the first two.",
    ]
    print("\n".join(lines))
    write_section("End to end on JPEG files", lines)


if __name__ == "__main__":
    main()
