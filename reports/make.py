#!/usr/bin/env python3
"""Make the committed results of the sample checkpoints again: figures, tables and records.

    python reports/make.py path/to/cifar10

The folder holds CIFAR-10 as torchvision unpacks it, or as ``test/<class>/*`` image files. Without it
only the digits are made. No image of a data set is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

from seviz.cli import main

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "sample_checkpoints"
CIFAR10_CLASSES = ("airplane", "cat", "dog", "truck")
SPREAD_CLASSES = ("airplane", "cat")


def make(name: str, data: str, classes: tuple[str, ...], spread: tuple[str, ...]) -> None:
    """Collect once, then draw the paper's two figures from the record."""
    folder = str(HERE / name)
    checkpoint = str(SAMPLES / f"{name}.pt")
    for words in (
        ["activations", checkpoint, "--data", data, "--classes", *classes, "-o", folder],
        ["activations", folder, "--classes", *spread, "--spread", "-q"],
    ):
        code = main(words)
        if code:
            sys.exit(code)


if __name__ == "__main__":
    make("se_resnet_digits", "digits", ("0", "1", "4", "7"), ("1", "4"))
    if len(sys.argv) > 1:
        for sample in ("se_resnet20_cifar10", "senet_notes_cifar10"):
            make(sample, f"cifar10:{sys.argv[1]}", CIFAR10_CLASSES, SPREAD_CLASSES)
    else:
        print("CIFAR-10 left out: give the folder that holds it", file=sys.stderr)
