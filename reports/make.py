#!/usr/bin/env python3
"""Make the committed results of the sample checkpoints again: figures, tables and records.

    python reports/make.py path/to/cifar10

The folder holds CIFAR-10 as torchvision unpacks it, or as ``test/<class>/*`` image files. Without it
only the digits are made. No image of a data set is written.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

from seviz.cli import main
from seviz.report import write_index

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "sample_checkpoints"
CIFAR10_CLASSES = ("airplane", "cat", "dog", "truck")
SPREAD_CLASSES = ("airplane", "cat")
SWEEP = ("2", "4", "8", "16", "32")


def make(name: str, data: str, classes: tuple[str, ...], spread: tuple[str, ...]) -> None:
    """Collect once, then draw the paper's two figures and the confusions from the record."""
    run("activations", checkpoint(name), "--data", data, "--classes", *classes, "-o", folder(name))
    run("activations", folder(name), "--classes", *spread, "--spread", "-q")
    run("audit", checkpoint(name), "--sweep", *SWEEP, "-o", folder(name), "-q")
    evaluate(name, folder(name))
    run("report", folder(name), "--classes", *classes)


def evaluate(name: str, *words: str) -> None:
    """Make the figures and tables of confusion, and keep what is said with them."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        run("confusion", *words, "-o", folder(name))
    text = said.getvalue().partition("\nwrote ")[0]
    (HERE / name / "confusion.txt").write_text(text, encoding="utf-8")


def run(*words: str) -> None:
    """Run a command of seviz; stop where it fails."""
    code = main(words)
    if code:
        sys.exit(code)


def checkpoint(name: str) -> str:
    """Return the path of a sample checkpoint."""
    return str(SAMPLES / f"{name}.pt")


def folder(name: str) -> str:
    """Return where the results of a checkpoint go."""
    return str(HERE / name)


if __name__ == "__main__":
    make("se_resnet_digits", "digits", ("0", "1", "4", "7"), ("1", "4"))
    if len(sys.argv) > 1:
        cifar10 = f"cifar10:{sys.argv[1]}"
        for sample in ("se_resnet20_cifar10", "senet_notes_cifar10"):
            make(sample, cifar10, CIFAR10_CLASSES, SPREAD_CLASSES)
        # The twin has no SE, hence no gates: predictions alone.
        twin = "resnet20_cifar10"
        evaluate(twin, checkpoint(twin), "--data", cifar10)
        run("audit", checkpoint(twin), "--insert-se", "--reduction", "8", "-o", folder(twin), "-q")
        run("report", folder(twin))
    else:
        print("CIFAR-10 left out: give the folder that holds it", file=sys.stderr)
    write_index(HERE)
