#!/usr/bin/env python3
"""Measure a pass over ONNX networks: computed by PyTorch, by onnxruntime, and onnxruntime's bare loop.

    python benchmarks/engine.py [--rounds 3] [--batches 8]
    python benchmarks/engine.py --only seresnet50 --batches 4   # one network, in less than two minutes

Three networks of timm with numbers of their own, exported here, and PP-OCR's network that tells the
direction of text (package rapidocr-onnxruntime, left out where that is not installed). Images of noise given
as tensors, two threads each. The ways take turns within each round, and each is divided by the bare loop of
its own round; medians of the rounds count. All give the same gates, and that is checked. Prints a table and
puts it into ``README.md`` beside this file; with ``--only`` the rows of other networks stay there.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, machine, table, write_section

import seviz

TITLE = "ONNX: PyTorch or onnxruntime"
TIMM = {"legacy_seresnet50": 8, "mobilenetv3_large_100": 16, "efficientnet_b0": 16}
DIRECTION = "ch_ppocr_mobile_v2.0_cls_infer.onnx"
THREADS = 2


@dataclass(frozen=True)
class Case:
    """One file, and what it is run on."""

    name: str
    file: Path
    images: torch.Tensor
    batch: int


def cases(folder: Path, batches: int, only: str = "") -> Iterator[Case]:
    """Export the networks whose names hold a word, and find the file of another package."""
    for name, batch in TIMM.items():
        title = f"{name}, batches of {batch}"
        if only not in title:
            continue
        file = folder / f"{name}.onnx"
        _export(name, file)
        yield Case(title, file, _noise(batch * batches, 224, 224), batch)
    title = "PP-OCR direction, batches of 16"
    if only not in title:
        return
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    if spec is not None and spec.submodule_search_locations:
        file = Path(spec.submodule_search_locations[0], "models", DIRECTION)
        yield Case(title, file, _noise(16 * batches, 48, 192), 16)


def _noise(images: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images, 3, height, width, generator=generator)


def _export(name: str, file: Path) -> None:
    import timm

    torch.manual_seed(0)
    net = timm.create_model(name).eval()
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            # As initialised, norms do nothing, and an exporter could leave more away than of a trained one.
            if key.endswith(("running_mean", "bias")) and tensor.dim() == 1:
                tensor.normal_(0.0, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(2, 3, 224, 224),),
            str(file),
            dynamo=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "N"}},
        )


def ways(case: Case) -> dict[str, Callable[[], Any]]:
    """Return how the images are run, by name; each returns its answers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(case.file), options, providers=["CPUExecutionProvider"]
    )
    source = session.get_inputs()[0].name
    batches = [
        (part, torch.zeros(len(part), dtype=torch.long)) for part in case.images.split(case.batch)
    ]
    networks = {engine: seviz.load(case.file, engine=engine) for engine in (None, "onnxruntime")}

    def bare() -> Any:
        for part, _ in batches:
            session.run(None, {source: part.numpy()})

    def collected(engine: str | None, **how: Any) -> Any:
        chosen = seviz.PassOptions(labels="data", **how)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return seviz.collect(networks[engine], batches, chosen, tell=lambda text: None)

    return {
        "onnxruntime, a bare loop": bare,
        "`seviz.collect`, `--engine onnxruntime`": lambda: collected("onnxruntime"),
        "`seviz.collect`": lambda: collected(None),
        "the same, `fast=False`": lambda: collected(None, fast=False),
    }


def measured(case: Case, rounds: int) -> list[tuple[str, ...]]:
    """Return a row for each way."""
    found = ways(case)
    answers = {name: way() for name, way in found.items()}  # not counted; and checked
    _check(case.name, [record for record in answers.values() if record is not None])
    taken: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, way in found.items():
            start = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - start)
    base = taken["onnxruntime, a bare loop"]
    rows = []
    for name, own in taken.items():
        ratios = sorted(t / b for t, b in zip(own, base, strict=True))
        per_image = 1000 * statistics.median(own) / len(case.images)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        rows.append((case.name, name, spread, f"{per_image:.1f} ms"))
    return rows


def _check(name: str, records: list[Any]) -> None:
    """Refuse ways that read other gates."""
    first = records[0]
    for other in records[1:]:
        for block in first.blocks:
            if not np.allclose(
                first.stats(block.name).mean, other.stats(block.name).mean, atol=2e-5
            ):
                raise SystemExit(f"{name}: other gates at {block.name}")


def _written() -> list[tuple[str, ...]]:
    """Return the rows of the table that is there."""
    _, _, section = RESULTS.read_text(encoding="utf-8").partition(f"## {TITLE}\n")
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[1:]]


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--only", default="", help="of these networks, those whose name holds this")
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(Path(folder), asked.batches, asked.only):
            rows += measured(case, asked.rounds)
            print("\n".join(map(str, rows[-4:])), flush=True)
    import onnxruntime

    rows += [] if not asked.only else [r for r in _written() if asked.only not in r[0]]
    lines = [
        f"{asked.batches} batches given as tensors, {THREADS} threads; time against the bare loop of the "
        f"same round, median of {asked.rounds} (least to most). {machine()}, PyTorch {torch.__version__}, "
        f"onnxruntime {onnxruntime.__version__}.",
        "",
        *table(("network", "way", "of the bare loop", "an image"), rows),
    ]
    print("\n".join(lines))
    write_section(TITLE, lines)


if __name__ == "__main__":
    main()
