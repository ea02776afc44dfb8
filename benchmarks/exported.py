#!/usr/bin/env python3
"""Compare ONNX and TFLite files, as seviz computes them, with onnxruntime and the TFLite interpreter.

    python benchmarks/exported.py [--only NAME] [--tflite FILE ...]

Ten networks of timm and five of torchvision with numbers of their own, exported by both of PyTorch's
exporters; PP-OCR's three files, where the package rapidocr-onnxruntime is installed; TFLite files that are
named. Outputs are compared as a share of the largest, gates as they are; blocks and MACs with those of the
network that was exported; of folding, what onnxruntime gives for the file without blocks with what it gives
where a constant stands for each gate. The tests of the formats hold the same limits. Prints a table and puts
it into ``README.md`` beside this file; with ``--only`` the rows of other networks stay there.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import HERE, RESULTS, table, write_section

sys.path.insert(0, str(HERE.parent / "tests"))
from onnx_models import apart, exported, reference, trained
from test_networks_formats_onnx_zoo import (
    PP_OCR,
    SIZE,
    TIMM,
    TORCHVISION,
    gate_values,
    held,
    noise,
    text,
)

from seviz.cost.audit import network_cost
from seviz.gates import Tap, find
from seviz.networks import LoadedModel, load
from seviz.pruning.folding import fold

TITLE = "ONNX and TFLite against their own runtimes"
HEADER = (
    *("network", "blocks", "MACs, of the exported network", "outputs apart", "gates apart"),
    "onnxruntime, folded against held",
)
Row = tuple[str, ...]


def compared(file: Path, images: Any) -> tuple[LoadedModel, int, float, float]:
    """Return a network, its blocks, and how far its outputs and its gates are from onnxruntime's."""
    loaded = load(file)
    found = find(loaded.model, images.shape[1:])
    with torch.no_grad(), Tap(loaded.model, found.se_readings) as tap:
        ours = tap.run(torch.from_numpy(images)).numpy()
        gates = {name: gate.numpy() for name, gate in tap.take().items()}
    values = gate_values(loaded, images.shape[1:])
    theirs, *their_gates = reference(file, images, list(values.values()))
    most = max(
        float(np.abs(gates[name].ravel() - gate.ravel()).max())
        for name, gate in zip(values, their_gates, strict=True)
    )
    return loaded, len(found.blocks), apart(ours, theirs), most


def of_zoo(name: str, new: bool, folder: Path) -> Row:
    """Return the row of a network that is exported here."""
    import timm
    import torchvision

    zoo, _, entry = name.partition(":")
    network: Any = (
        timm.create_model(entry)
        if zoo == "timm"
        else getattr(torchvision.models, entry)(weights=None)
    )
    trained(network)
    file = exported(network, folder / "x.onnx", SIZE, new=new)
    loaded, blocks, outputs, gates = compared(file, noise(SIZE))
    own = find(network, SIZE).blocks
    macs, expected = (network_cost(m, SIZE).macs for m in (loaded.model, network))
    fixed = {b.name: np.linspace(0.2, 0.9, b.channels) for b in find(loaded.model, SIZE).blocks}
    slim = fold(loaded, ["all"], fixed).save(folder / "slim.onnx")
    images = noise(SIZE)
    before = reference(held(file, loaded, fixed), images)[0]
    folded = apart(reference(slim, images)[0], before)
    exporter = "newer" if new else "older"
    return (
        f"{name}, {exporter} exporter",
        f"{blocks} of {len(own)}",
        f"{macs / expected:.6f}",
        f"{outputs:.1e}",
        f"{gates:.1e}",
        f"{folded:.1e}",
    )


def of_tflite(file: Path) -> Row:
    """Return the row of a TFLite file; of a quantised one, least correlation of a block's gates."""
    from test_networks_formats_tflite import both
    from test_networks_formats_tflite_zoo import gates_of
    from tflite_models import images

    import seviz

    content, loaded = file.read_bytes(), seviz.load(file)
    size = loaded.preprocessing.input_size
    ours, theirs, mine, their_gates = both(
        loaded, content, gates_of(content), images(20, size[-1], seed=3)
    )
    # Of a gate that is one number for all there is no correlation.
    moving = [(a.ravel(), b.ravel()) for a, b in zip(mine, their_gates, strict=True) if b.std()]
    least = min(float(np.corrcoef(a, b)[0, 1]) for a, b in moving)
    most = max(float(np.abs(a - b).max()) for a, b in zip(mine, their_gates, strict=True))
    agree = float(np.mean(ours.argmax(1) == theirs.argmax(1)))
    return (
        file.name,
        str(len(find(loaded.model, size).blocks)),
        "",
        f"{apart(ours, theirs):.1e}, same answer for {agree:.0%}",
        f"{most:.1e}, correlation {least:.5f}",
        "",
    )


def rows(only: str, files: list[Path]) -> Iterator[Row]:
    """Yield a row for each file."""
    names = [*(f"timm:{n}" for n in TIMM), *(f"torchvision:{n}" for n in TORCHVISION)]
    for name in names:
        for new in (False, True):
            if only in name:
                with tempfile.TemporaryDirectory() as folder:
                    yield of_zoo(name, new, Path(folder))
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    places = (spec.submodule_search_locations if spec is not None else None) or []
    for name, (size, _) in PP_OCR.items():
        if places and only in name:
            file = Path(places[0], "models", name)
            _, blocks, outputs, gates = compared(file, text(size))
            yield name, str(blocks), "", f"{outputs:.1e}", f"{gates:.1e}", ""
    for file in files:
        if only in file.name:
            yield of_tflite(file)


def _written() -> list[Row]:
    """Return the rows of the table that is there."""
    _, _, section = RESULTS.read_text(encoding="utf-8").partition(f"## {TITLE}\n")
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in line[1:-1].split("|")) for line in lines[1:]]


def main() -> None:
    """Compare, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="networks whose name holds this")
    parser.add_argument("--tflite", type=Path, nargs="*", default=[], help="TFLite files")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, Row] = {row[0]: row for row in _written()}
    for row in rows(asked.only, asked.tflite):
        print(" | ".join(row), flush=True)
        found[row[0]] = row
    import onnxruntime

    lines = [
        f"Images of {'x'.join(map(str, SIZE))} for the exported networks; PyTorch {torch.__version__}, "
        f"onnxruntime {onnxruntime.__version__}. The target of outputs, gates and folding is 1e-5; of "
        "quantised TFLite a correlation of 0.98 per block.",
        "",
        *table(HEADER, list(found.values())),
    ]
    write_section(TITLE, lines)


if __name__ == "__main__":
    main()
