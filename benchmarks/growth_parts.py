"""What grows in ``growth.py``: one pass, one folder, one set of shards, each in a process of its own."""

from __future__ import annotations

import io
import itertools
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import peak_memory

BATCH, POOL = 64, 4
# Files of a folder, and what a small image is.
_EACH, _SIDE = 1_000, 16


def network(blocks: int, classes: int, channels: int) -> Any:
    """Return blocks with SE in a row: every one costs the same, and so does every channel."""
    import torch
    from torch import nn

    from seviz.networks.architectures.se import SqueezeExcite

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
            self.bn, self.se = nn.BatchNorm2d(channels), SqueezeExcite(channels, 4)

        def forward(self, x: Any) -> Any:
            return x + self.se(self.bn(self.conv(x))).relu()

    torch.manual_seed(0)
    stem = nn.Conv2d(3, channels, 3, padding=1)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    return nn.Sequential(stem, *(Block() for _ in range(blocks)), *head).eval()


def run_pass(images: int, classes: int, blocks: int, channels: int) -> tuple[float, float]:
    """Run a pass; return processor seconds and peak memory in MB."""
    import torch

    from seviz.collect.forward import run
    from seviz.collect.observers import GateSums, Predictions
    from seviz.gates import find

    @dataclass(frozen=True)
    class Batch:
        images: Any
        rows: Any

    model, cpu = network(blocks, classes, channels), torch.device("cpu")
    generator = torch.Generator().manual_seed(0)
    pool = [
        Batch(
            torch.randn(BATCH, 3, 32, 32, generator=generator),
            torch.randint(0, classes, (BATCH,), generator=generator),
        )
        for _ in range(POOL)
    ]
    found = find(model, (3, 32, 32))
    observers = [
        GateSums(found.blocks, classes, cpu),
        Predictions(range(classes), classes, cpu),
    ]
    stream = itertools.islice(itertools.cycle(pool), images // BATCH)
    start = time.process_time()
    passed = run(model, found.se_readings, stream, observers, device=cpu)
    assert passed.images == images
    return time.process_time() - start, peak_memory()


def write_files(folder: Path, count: int) -> None:
    """Write empty files, a thousand in each class folder."""
    for begin in range(0, count, _EACH):
        inside = folder / f"class{begin // _EACH:04}"
        inside.mkdir()
        for number in range(min(_EACH, count - begin)):
            (inside / f"{begin + number}.jpg").touch()


def list_files(folder: str) -> tuple[float, float]:
    """List and hash the files of a folder; return processor seconds and peak memory in MB."""
    from seviz.data import open_source

    start = time.process_time()
    source = open_source(folder)
    source.fingerprint(times=True)
    assert len(source)
    return time.process_time() - start, peak_memory()


def write_shards(folder: Path, images: int, shards: int) -> None:
    """Write images of ten classes into shards of equal size; the pictures are the same in all."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = []
    for label in range(10):
        made = io.BytesIO()
        pixels = rng.integers(0, 256, (_SIDE, _SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(made, "JPEG")
        pictures.append((made.getvalue(), str(label).encode()))
    numbers = itertools.count()
    for shard in range(shards):
        with tarfile.open(folder / f"shard-{shard:05}.tar", "w") as archive:
            for number in itertools.islice(numbers, images // shards):
                picture, label = pictures[number % 10]
                for suffix, content in (("jpg", picture), ("cls", label)):
                    member = tarfile.TarInfo(f"{number:09}.{suffix}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))


def collect_shards(folder: str, shards: int) -> tuple[float, float]:
    """Collect a record of all images in shards; return processor seconds and peak memory in MB.

    The seconds are those of the process that computes, and of those that decode.
    """
    import os

    import seviz
    from seviz.networks import LoadedModel

    data = f"{folder}/shard-{{00000..{shards - 1:05}}}.tar"
    options = seviz.PassOptions(batch_size=256, workers=1, labels="data", fast=False)
    prepared = seviz.Preprocessing((3, _SIDE, _SIDE), crop_pct=1.0, interpolation="bilinear")
    made = "made up"
    model = LoadedModel(network(2, 10, 16), made, made, "0" * 64, None, prepared)
    before = os.times()
    record = seviz.collect(model, data, options, tell=lambda text: None)
    after = os.times()
    assert record.header.images
    return sum(after[:4]) - sum(before[:4]), peak_memory()
