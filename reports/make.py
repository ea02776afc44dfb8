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
SLIM = ("SE_2_3", "SE_3_2", "SE_4_2", "SE_4_3")
SWEEP = ("2", "4", "8", "16", "32")


def make(
    name: str,
    data: str,
    classes: tuple[str, ...],
    spread: tuple[str, ...],
    *,
    ablation: bool = True,
) -> None:
    """Collect once, then draw, count, ablate and evaluate; the report shows all of it."""
    words = ("--data", data, "-o", folder(name))
    if ablation:
        told(
            name, "ablation", "ablate", checkpoint(name), *words, "--with", "mean", "--by", "block"
        )
        stages = (
            "--data",
            data,
            "-o",
            f"{folder(name)}/by_stage",
            "--with",
            "mean",
            "--by",
            "stage",
        )
        told(name, "ablation_by_stage", "ablate", checkpoint(name), *stages)
    told(name, "findings", "activations", checkpoint(name), *words, "--classes", *classes)
    run("activations", folder(name), "--classes", *spread, "--spread", "-q")
    run("audit", checkpoint(name), "--sweep", *SWEEP, "-o", folder(name), "-q")
    told(name, "confusion", "confusion", folder(name))
    run("report", folder(name), "--classes", *classes)


def told(name: str, text: str, *words: str) -> None:
    """Run a command, and keep what it says beside the files that it writes."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        run(*words)
    target = HERE / name / f"{text}.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{said.getvalue().partition('wrote ')[0].rstrip()}\n", encoding="utf-8")


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
        se, twin, notes = "se_resnet20_cifar10", "resnet20_cifar10", "senet_notes_cifar10"
        make(se, cifar10, CIFAR10_CLASSES, SPREAD_CLASSES)
        make(notes, cifar10, CIFAR10_CLASSES, SPREAD_CLASSES, ablation=False)
        # The blocks that the ablation finds to matter least, folded into the layers before them.
        slim = ("--blocks", *SLIM, "--record", folder(se), "--data", cifar10, "--no-export")
        told(se, "slim", "fold", checkpoint(se), *slim, "-o", f"{folder(se)}/slim.pt")
        # The twin has no SE, hence no gates: predictions alone.
        words = ("--data", cifar10, "-o", folder(twin))
        told(twin, "confusion", "confusion", checkpoint(twin), *words)
        run("audit", checkpoint(twin), "--insert-se", "--reduction", "8", "-o", folder(twin), "-q")
        run("report", folder(twin))
        both = (checkpoint(twin), checkpoint(se))
        told(
            twin,
            "against_se",
            "compare",
            *both,
            "--data",
            cifar10,
            "-o",
            f"{folder(twin)}/against_se",
        )
        for record in HERE.glob(f"{twin}/against_se/*/record.npz"):
            record.unlink()  # of the same passes as above
            record.parent.rmdir()
    else:
        print("CIFAR-10 left out: give the folder that holds it", file=sys.stderr)
    write_index(HERE)
