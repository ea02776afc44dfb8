#!/usr/bin/env python3
"""Train a small SE network on handwritten digits, keep each second epoch, and follow its gates.

    python reports/training.py

Half a minute on one core; the checkpoints are not kept. Writes ``digits_training/`` beside this file: the
figures and tables of `seviz track`.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import seviz
from seviz.cli import main
from seviz.data.builtin import digits
from seviz.networks import save_checkpoint
from seviz.networks.architectures.registry import build

HERE = Path(__file__).resolve().parent
LAST = 16
ARCH: dict[str, Any] = {"in_chans": 1, "reduction": 4, "widths": (16, 32, 64)}


def train(folder: Path) -> None:
    """Train, and leave checkpoints and a log in a folder."""
    names, splits = digits()
    prep = seviz.load(seviz.sample("se_resnet_digits")).preprocessing
    pixels, labels = splits["train"]
    x = (torch.tensor(pixels)[:, None].float() / 255 - prep.mean[0]) / prep.std[0]
    y = torch.tensor(labels)
    torch.manual_seed(0)
    net = build("se_resnet14", num_classes=10, **ARCH)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    rows: list[tuple[int, float]] = []
    for epoch in range(LAST + 1):
        net.train()
        losses = []
        for part in torch.randperm(len(x)).split(64) if epoch else ():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[part]), y[part])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
        if losses:
            rows.append((epoch, sum(losses) / len(losses)))
        if epoch % 2 == 0:
            more = {"arch_args": ARCH, "classes": names, "preprocessing": prep}
            save_checkpoint(folder / f"epoch_{epoch}.pt", net.eval(), arch="se_resnet14", **more)
    with (folder / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("epoch", "train_loss"), *rows])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        train(made)
        out = made / "track"
        words = ("--data", "digits", "--log", str(made / "log.csv"), "-o", str(out), "-q")
        main(["track", *map(str, sorted(made.glob("*.pt"))), *words])
        target = HERE / "digits_training"
        target.mkdir(exist_ok=True)
        for file in (*out.glob("track*.png"), *out.glob("track*.csv")):
            (target / file.name).write_bytes(file.read_bytes())
