#!/usr/bin/env python3
"""Time an ablation, one block at a time, against a full pass for each block.

    python benchmarks/ablate.py path/to/cifar10 [images per class]

Both give the top-1 of ``se_resnet20_cifar10.pt`` and of the network with the gates of each of its nine blocks
replaced, on the same JPEG or PNG files (``test/<class>/*``), decoded in this process. The other way is ten
passes, in nine of which a hook on the module of one SE block returns its input times the new gate. Rounds
alternate; the counts of both must be equal. Prints a table and writes it to ``README.md`` beside this file.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from common import HERE, machine, write_section

import seviz
from seviz.collect.prepare import prepare
from seviz.collect.prepared import Prepared
from seviz.data import KeptBatches
from seviz.gates import Tap, trace
from seviz.pruning.ablation.study import Study

CHECKPOINT = HERE.parent / "sample_checkpoints" / "se_resnet20_cifar10.pt"
ROUNDS = 3
TARGET = 0.6

Answer = list[int]


def ours(ready: Prepared, gates: str) -> Answer:
    """Return the images that are right, with no gate replaced and with those of each block."""
    traced = trace(ready.loaded.model, ready.loaded.preprocessing.input_size)
    study = Study(ready, traced, KeptBatches(ready.batches()))
    new = {b.name: torch.ones(b.channels) for b in ready.blocks}
    if gates == "mean":
        new = {name: torch.from_numpy(m).float() for name, m in study.mean_gates().items()}
    found, _ = study.one_at_a_time({b.name: (b.name,) for b in ready.blocks}, new)
    changes = zip(found.lost, found.won, strict=True)
    return [found.right, *(found.right - lost + won for lost, won in changes)]


@torch.inference_mode()
def theirs(ready: Prepared, gates: str) -> Answer:
    """Return the same from full passes."""
    model, targets = ready.loaded.model, torch.tensor(ready.targets)
    new = {b.name: torch.ones(b.channels) for b in ready.blocks}
    if gates == "mean":
        sums = {b.name: torch.zeros(b.channels, dtype=torch.float64) for b in ready.blocks}
        count = 0
        with Tap(model, ready.found) as tap:
            for batch in ready.batches():
                model(batch.images)
                count += len(batch)
                for name, gate in tap.take().items():
                    sums[name] += gate.double().sum(0)
        new = {name: (total / count).float() for name, total in sums.items()}

    def right() -> int:
        return sum(
            int((model(batch.images).argmax(1) == targets[batch.rows]).sum())
            for batch in ready.batches()
        )

    found = [right()]
    for block in ready.blocks:
        gate = new[block.name].view(1, -1, 1, 1)

        def replace(module: Any, args: Any, output: Any, gate: torch.Tensor = gate) -> Any:
            return args[0] * gate

        with model.get_submodule(block.path).register_forward_hook(replace):
            found.append(right())
    return found


def taken(count: Callable[[Prepared, str], Answer], ready: Prepared, gates: str) -> Any:
    """Return the answer, and the processor and wall time that it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    answer = count(ready, gates)
    return answer, time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Measure, print, write."""
    if len(sys.argv) < 2:
        print("ablate: left out; give a folder with CIFAR-10 as image files", file=sys.stderr)
        return
    samples = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    torch.set_num_threads(1)
    options = seviz.PassOptions(num_samples=samples, workers=0, device="cpu")
    ready = prepare(seviz.load(CHECKPOINT), f"cifar10:{sys.argv[1]}", options)
    lines = [
        f"{machine()}, one thread; "
        f"{ready.batches().total} images, medians of {ROUNDS} rounds after one that is not counted.",
        "",
        "| gates replaced by | ablate, CPU | full passes, CPU | ablate / full passes, CPU | the same, wall |",
        "|---|---|---|---|---|",
    ]
    for gates in ("one", "mean"):
        rounds = []
        for _ in range(ROUNDS + 1):
            mine, other = taken(ours, ready, gates), taken(theirs, ready, gates)
            assert mine[0] == other[0], "the two do not agree"
            rounds.append((mine[1], other[1], mine[1] / other[1], mine[2] / other[2]))
        a, b, cpu, wall = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
        lines.append(f"| {gates} | {a:.2f} s | {b:.2f} s | {cpu:.2f} | {wall:.2f} |")
    lines += ["", f"Target: {TARGET:.2f}."]
    print("\n".join(lines))
    write_section("Ablations", lines)


if __name__ == "__main__":
    main()
