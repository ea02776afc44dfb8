#!/usr/bin/env python3
"""Make the committed results of the sample checkpoints again: figures, tables and records.

    python reports/make.py path/to/cifar10
    python reports/make.py --comparisons path/to/cifar10
    python reports/make.py --worlds path/to/cifar10
    python reports/make.py --redraw

The folder holds CIFAR-10 as torchvision unpacks it, or as ``test/<class>/*`` image files. Without it
only the digits are made. With ``--comparisons`` only the comparisons of the twins are made, with ``--worlds``
only what SE does in other images and with the gates of others. With
``--redraw`` everything is drawn and written again from the records and ablations that are here: the same
numbers, without a pass. No image of a data set is written.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from seviz.analysis import findings
from seviz.analysis.network_map import network_map
from seviz.cli import main
from seviz.cli.ablate import say
from seviz.cli.console import Speaker
from seviz.figures import save_figure
from seviz.figures.catalogue import drawn_from
from seviz.report import write_index
from seviz.report.folder import write_ablation
from seviz.results.ablation import ABLATION_NAME, Ablation
from seviz.results.files import RECORD_NAME
from seviz.results.record import Record

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "sample_checkpoints"
CIFAR10_CLASSES = ("airplane", "cat", "dog", "truck")
SPREAD_CLASSES = ("airplane", "cat")
SLIM = ("SE_2_3", "SE_3_2", "SE_4_2", "SE_4_3")
SWEEP = ("2", "4", "8", "16", "32")
# Networks that differ in their gates alone.
TWINS = tuple(f"{kind}resnet14_cifar10" for kind in ("", "se_", "eca_", "cbam_"))


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
    told(name, "findings", "activations", checkpoint(name), *words)
    styles(name, classes, spread)
    run("audit", checkpoint(name), "--sweep", *SWEEP, "-o", folder(name), "-q")
    told(name, "confusion", "confusion", folder(name))
    run("report", folder(name), "--classes", *classes)


def compare_pair(data: str) -> None:
    """Compare the SE-ResNet-20 with its twin image by image."""
    both = ("resnet20_cifar10", "se_resnet20_cifar10")
    compared("resnet20_cifar10/against_se", both, data, ("resnet20_cifar10", "against_se"))


def compare_twins(data: str) -> None:
    """Compare the networks that differ in their gates alone, image by image."""
    compared("twins", TWINS, data, ("twins", "compared"))


def compared(name: str, networks: tuple[str, ...], data: str, text: tuple[str, str]) -> None:
    """Compare networks; the records of these passes are those of elsewhere, or are not kept."""
    words = (*map(checkpoint, networks), "--data", data, "-o", folder(name))
    told(*text, "compare", *words)
    for record in (HERE / name).glob("*/record.npz"):
        record.unlink()
        record.parent.rmdir()


def worlds(data: str) -> None:
    """Let the SE-ResNet-20 and its twin see worse images, and images the gates of others; keep no record."""
    name = "se_resnet20_cifar10"
    kinds = ("brightness", "contrast", "noise", "blur", "jpeg")
    asked = ("--corrupt", *kinds, "--twin", checkpoint("resnet20_cifar10"), "--num-samples", "200")
    place = f"{name}/shift"
    told(place, "shift", "shift", checkpoint(name), "--data", data, *asked, "-o", folder(place))
    shutil.rmtree(HERE / place / "shift", ignore_errors=True)
    place = f"{name}/swap"
    told(place, "swap", "swap", checkpoint(name), "--data", data, "-o", folder(place))


def redraw(name: str, classes: tuple[str, ...] = (), spread: tuple[str, ...] = ()) -> None:
    """Write everything again that follows from the record and the ablations in a folder."""
    own = Path(folder(name))
    for place, text in ((own, "ablation"), (own / "by_stage", "ablation_by_stage")):
        if (place / ABLATION_NAME).is_file():
            result = Ablation.load(place)
            write_ablation(result, place)
            kept(name, text, partial(say, result, (), Speaker(as_json=False, quiet=True)))
    if spread:
        told(name, "findings", "activations", folder(name))
        map_blocks(own)
        styles(name, classes, spread)
        run("audit", checkpoint(name), "--sweep", *SWEEP, "-o", folder(name), "-q")
    else:
        run("audit", checkpoint(name), "--insert-se", "--reduction", "8", "-o", folder(name), "-q")
    told(name, "confusion", "confusion", folder(name))
    run("report", folder(name), *(("--classes", *classes) if classes else ()))


def map_blocks(own: Path) -> None:
    """Draw the network map, which the command draws after a pass and not from a record."""
    record = Record.load(own / RECORD_NAME)
    ablation = Ablation.load(own) if (own / ABLATION_NAME).is_file() else None
    mapped = network_map(record.blocks, findings(record, ablation), ablation)
    for drawing, figure in drawn_from(mapped):
        save_figure(figure, own / drawing.stem)


def styles(name: str, classes: tuple[str, ...], spread: tuple[str, ...]) -> None:
    """Draw the gates in the styles that are not the first one."""
    run("activations", folder(name), "--style", "lines", "--classes", *classes, "-q")
    run("activations", folder(name), "--classes", *spread, "--spread", "-q")
    run("activations", folder(name), "--style", "ridges", "-q")


def told(name: str, text: str, *words: str) -> None:
    """Run a command, and keep what it says beside the files that it writes."""
    kept(name, text, lambda: run(*words))


def kept(name: str, text: str, speak: Callable[[], None]) -> None:
    """Keep what is said on stdout, up to the list of files."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        speak()
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


if __name__ == "__main__" and sys.argv[1:] == ["--redraw"]:
    redraw("se_resnet_digits", ("0", "1", "4", "7"), ("1", "4"))
    for each in ("se_resnet20_cifar10", "senet_notes_cifar10"):
        redraw(each, CIFAR10_CLASSES, SPREAD_CLASSES)
    redraw("resnet20_cifar10")
    write_index(HERE)
elif __name__ == "__main__" and sys.argv[1:2] == ["--comparisons"]:
    compare_pair(f"cifar10:{sys.argv[2]}")
    compare_twins(f"cifar10:{sys.argv[2]}")
elif __name__ == "__main__" and sys.argv[1:2] == ["--worlds"]:
    worlds(f"cifar10:{sys.argv[2]}")
elif __name__ == "__main__":
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
        compare_pair(cifar10)
        compare_twins(cifar10)
        worlds(cifar10)
    else:
        print("CIFAR-10 left out: give the folder that holds it", file=sys.stderr)
    write_index(HERE)
