#!/usr/bin/env python3
"""Measure ``seviz.collect(net, loader)`` against a bare loop, and ``seviz.monitor`` in a training.

    python benchmarks/loaders.py [--images 256] [--rounds 5]

SE-ResNet-50 with random weights, images of 224 x 224 from a ``DataLoader``, batches of 16, float32, one
thread. The ways take turns within each round, and each is divided by the bare loop of its own round; medians
of the rounds count. All read the same gates, and that is checked. The training is that of a small
SE-ResNet on handwritten digits; ``seviz.monitor`` looks at 364 images in each tenth epoch. Prints a table
and puts it into ``README.md`` beside this file.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import machine, network, table, write_section
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import seviz

TITLE = "A loader of one's own"
CLASSES, BATCH = 10, 16
Means = dict[str, np.ndarray]


def bare(net: Any, loader: DataLoader[Any]) -> Means:
    """Run the network, and look at nothing."""
    with torch.inference_mode():
        for images, _ in loader:
            net(images)
    return {}


def notebook(net: Any, loader: DataLoader[Any]) -> Means:
    """Append what hooks see to lists, and take means by class at the end."""
    kept: dict[str, list[torch.Tensor]] = {}
    handles = [
        m.sigmoid.register_forward_hook(
            lambda module, args, out, path=path: kept.setdefault(path, []).append(out.flatten(1))
        )
        for path, m in net.named_modules()
        if path.endswith("se_module")
    ]
    rows = []
    with torch.inference_mode():
        for images, labels in loader:
            net(images)
            rows.append(labels)
    for handle in handles:
        handle.remove()
    label = torch.cat(rows).numpy()
    gates = {path: torch.cat(parts).double().numpy() for path, parts in kept.items()}
    return {p: np.stack([g[label == k].mean(0) for k in range(CLASSES)]) for p, g in gates.items()}


def collected(net: Any, loader: DataLoader[Any], **options: Any) -> Means:
    """Collect a record."""
    chosen = seviz.PassOptions(labels="data", **options)
    record = seviz.collect(net, loader, chosen, tell=lambda text: None)
    return {b.path: record.stats(b.name).mean for b in record.blocks}


def passes(images: int, rounds: int) -> list[tuple[str, ...]]:
    """Return a row for each way of reading gates."""
    net = network()
    torch.manual_seed(0)
    pixels, labels = torch.randn(images, 3, 224, 224), torch.arange(images) % CLASSES
    loader = DataLoader(TensorDataset(pixels, labels), batch_size=BATCH)
    ways: dict[str, Callable[[], Means]] = {
        "a bare loop": lambda: bare(net, loader),
        "hooks that append to lists": lambda: notebook(net, loader),
        "`seviz.collect(net, loader)`": lambda: collected(net, loader),
        "the same with `PassOptions(fast=False)`": lambda: collected(net, loader, fast=False),
    }
    bare(net, DataLoader(TensorDataset(pixels[:BATCH], labels[:BATCH]), batch_size=BATCH))
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    answers: dict[str, Means] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            answers[name] = way()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    _check(answers)
    base = taken["a bare loop"]
    return [
        (
            name,
            *(
                f"{statistics.median(t[k] / b[k] for t, b in zip(own, base, strict=True)):.3f}"
                for k in (0, 1)
            ),
            f"{images / statistics.median(t[0] for t in own):.1f}",
        )
        for name, own in taken.items()
    ]


def _check(answers: dict[str, Means]) -> None:
    """Refuse ways that read other gates."""
    by_hand = list(answers["hooks that append to lists"].values())
    for name, found in answers.items():
        if found:
            for own, other in zip(found.values(), by_hand, strict=True):
                if not np.allclose(own, other, atol=2e-5):
                    raise SystemExit(f"{name} reads other gates")


def training(rounds: int) -> tuple[float, float]:
    """Return seconds of ten epochs of a training, and of one look at its gates."""
    from seviz.data.builtin import digits
    from seviz.networks.architectures.registry import build

    _, splits = digits()
    sets = {
        name: TensorDataset(torch.tensor(x)[:, None].float() / 255, torch.tensor(y))
        for name, (x, y) in splits.items()
    }
    torch.manual_seed(0)
    net = build("se_resnet14", in_chans=1, num_classes=10, reduction=4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    train = DataLoader(sets["train"], batch_size=64, shuffle=True)
    test = DataLoader(sets["test"], batch_size=64)
    seviz.monitor(net, test)  # not counted: what is loaded at the first call
    epochs, looks = [], []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(10):
            for images, labels in train:
                optimizer.zero_grad()
                F.cross_entropy(net(images), labels).backward()
                optimizer.step()
        epochs.append(time.process_time() - start)
        start = time.process_time()
        seviz.monitor(net, test)
        looks.append(time.process_time() - start)
    return statistics.median(epochs), statistics.median(looks)


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = passes(asked.images, asked.rounds)
    epochs, look = training(asked.rounds)
    header = ("way", "wall time, of the bare loop", "processor time", "images/s")
    lines = [
        f"{asked.images} images of 224 x 224 from a `DataLoader`, SE-ResNet-50, batches of {BATCH}, one "
        f"thread; medians of {asked.rounds} rounds. {machine()}. The target is 1.05.",
        "",
        *table(header, rows),
        "",
        f"`seviz.monitor` with 364 images in each tenth epoch of a training on 1,433: {look:.2f} s beside "
        f"the {epochs:.1f} s of ten epochs, {100 * look / epochs:.1f} %. The target is 5 %.",
    ]
    print("\n".join(lines))
    write_section(TITLE, lines)


if __name__ == "__main__":
    main()
