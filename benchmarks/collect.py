#!/usr/bin/env python3
"""Measure a pass against the bare forward pass, a notebook's hooks, Captum, torchvision and nnsight.

    python benchmarks/collect.py [--images 256 1024 4096] [--rounds 3 1 1] [--only WORD ...] [--peers-up-to N]

SE-ResNet-50 with random weights, images of 224 x 224 in memory, batches of 16, eager float32 unless it says
otherwise; the result of each is mean and standard deviation of every gate by class, and all must be the
same. Each run is a process of its own, after one batch that is not counted. They take turns, and each is
divided by the bare forward pass of its own round; medians of the rounds count. Needs
``pip install '.[bench]'``. Prints tables and puts them into ``README.md`` beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from common import NETWORK, machine, network, peak_memory, table, write_section

BATCH, CLASSES, POOL, EARLY = 16, 10, 8, 256
SIZE = (3, 224, 224)
CPU = torch.device("cpu")
Stats = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Batch:
    """Images with the rows of their classes."""

    images: torch.Tensor
    rows: torch.Tensor


class Stream:
    """A few batches in memory, again and again, until there were so many images.

    Attributes:
        early: Peak memory in MB after the first 256 images.
    """

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self._steps = -(-count // BATCH)
        self._pool = [
            Batch(
                torch.randn(BATCH, *SIZE, generator=generator),
                torch.randint(0, CLASSES, (BATCH,), generator=generator),
            )
            for _ in range(POOL)
        ]

        self.early = 0.0

    def __iter__(self) -> Iterator[Batch]:
        for step, batch in enumerate(itertools.islice(itertools.cycle(self._pool), self._steps)):
            if step * BATCH == EARLY:
                self.early = peak_memory()
            yield batch


def layers(model: Any) -> dict[str, Any]:
    """Return the modules whose outputs are the gates, by path."""
    return {
        f"{path}.sigmoid": module.sigmoid
        for path, module in model.named_modules()
        if path.endswith("se_module")
    }


def summarised(kept: dict[str, list[np.ndarray]], rows: list[np.ndarray]) -> Stats:
    """Return mean and standard deviation by class, as a notebook computes them."""
    label = np.concatenate(rows)
    stats = {}
    for path, parts in kept.items():
        gates = np.concatenate(parts)
        own = [gates[label == k] for k in range(CLASSES)]
        stats[path] = (np.stack([g.mean(0) for g in own]), np.stack([g.std(0) for g in own]))
    return stats


def bare(model: Any, stream: Stream) -> Stats:
    """Run the network, and look at nothing."""
    with torch.inference_mode():
        for batch in stream:
            model(batch.images)
    return {}


def bare_keeping(model: Any, stream: Stream) -> Stats:
    """Do the same with the C library told to keep memory, as in seviz: what that alone is worth."""
    from seviz.collect.fast import keeping_memory

    with keeping_memory():
        return bare(model, stream)


def notebook(model: Any, stream: Stream) -> Stats:
    """Append what hooks see to lists."""
    kept: dict[str, list[np.ndarray]] = {path: [] for path in layers(model)}
    rows = []

    def keep(path: str) -> Any:
        return lambda module, args, output: kept[path].append(output.flatten(1).numpy())

    handles = [m.register_forward_hook(keep(path)) for path, m in layers(model).items()]
    with torch.inference_mode():
        for batch in stream:
            model(batch.images)
            rows.append(batch.rows.numpy())
    for handle in handles:
        handle.remove()
    return summarised(kept, rows)


def captum(model: Any, stream: Stream) -> Stats:
    """Captum's LayerActivation of all layers at once."""
    from captum.attr import LayerActivation

    named = layers(model)
    kept: dict[str, list[np.ndarray]] = {path: [] for path in named}
    rows = []
    reader = LayerActivation(model, list(named.values()))
    with torch.no_grad():
        for batch in stream:
            for path, gates in zip(named, reader.attribute(batch.images), strict=True):
                kept[path].append(gates.detach().flatten(1).numpy())
            rows.append(batch.rows.numpy())
    return summarised(kept, rows)


def feature_extractor(model: Any, stream: Stream) -> Stats:
    """Torchvision's extractor, which traces the network with FX."""
    from torchvision.models.feature_extraction import create_feature_extractor

    kept: dict[str, list[np.ndarray]] = {path: [] for path in layers(model)}
    rows = []
    extractor = create_feature_extractor(model, return_nodes={p: p for p in kept})
    with torch.inference_mode():
        for batch in stream:
            for path, gates in extractor(batch.images).items():
                kept[path].append(gates.flatten(1).numpy())
            rows.append(batch.rows.numpy())
    return summarised(kept, rows)


def nnsight(model: Any, stream: Stream) -> Stats:
    """Nnsight's trace, which saves the outputs of modules."""
    from nnsight import NNsight

    wrapped = NNsight(model)
    paths = list(layers(model))
    envoys = [wrapped.get(path) for path in paths]
    kept: dict[str, list[np.ndarray]] = {path: [] for path in paths}
    rows = []
    with torch.no_grad():
        for batch in stream:
            with wrapped.trace(batch.images):
                saved = [envoy.output.save() for envoy in envoys].save()
            for path, gates in zip(paths, saved, strict=True):
                kept[path].append(gates.detach().flatten(1).numpy())
            rows.append(batch.rows.numpy())
    return summarised(kept, rows)


def seviz(model: Any, stream: Stream, reduced: str | None = None, **options: bool) -> Stats:
    """Find the blocks, and collect their sums."""
    from seviz.collect.fast import REDUCED, Speed
    from seviz.collect.forward import run
    from seviz.collect.observers import GateSums
    from seviz.gates import trace
    from seviz.results.stats import BlockStats

    traced = trace(model, SIZE)
    sums = GateSums(traced.found.blocks, CLASSES, CPU)
    run(
        model,
        traced.found.se_readings,
        stream,
        [sums],
        device=CPU,
        reduced=REDUCED[reduced] if reduced else None,
        speed=Speed(graph=traced.own_size, **options),
    )
    arrays = sums.compute()
    stats = {}
    for block in traced.found.blocks:
        fields = {
            name.rpartition("/")[2]: array
            for name, array in arrays.items()
            if name.startswith(f"gates/{block.name}/")
        }
        own = BlockStats(count=arrays["count"], **fields)
        stats[f"{block.path}.sigmoid"] = (own.mean, own.std)
    return stats


BARE = "bare forward pass"
PEERS = (
    "bare forward pass, freed memory kept",
    "Captum LayerActivation",
    "torchvision create_feature_extractor",
    "nnsight",
)
CONTESTANTS: dict[str, tuple[Callable[[Any, Stream], Stats], str]] = {
    BARE: (bare, "1"),
    "bare forward pass, freed memory kept": (bare_keeping, ""),
    "hooks, lists, NumPy (a notebook)": (notebook, ""),
    "Captum LayerActivation": (captum, ""),
    "torchvision create_feature_extractor": (feature_extractor, ""),
    "nnsight": (nnsight, ""),
    "seviz --no-fast": (seviz, ""),
    "seviz": (lambda m, s: seviz(m, s, fast=True), "0.68"),
    "seviz --amp (bfloat16)": (lambda m, s: seviz(m, s, "bfloat16", fast=True), "0.40"),
    "seviz --torchcompile": (lambda m, s: seviz(m, s, fast=True, compiled=True), "0.50"),
}


@dataclass(frozen=True)
class Run:
    """What one process needed.

    Attributes:
        wall: Seconds.
        cpu: Processor seconds.
        memory: Peak memory in MB.
        early: The same after the first 256 images; 0 where there were no more.
        stats: The result.
    """

    wall: float
    cpu: float
    memory: float
    early: float
    stats: Stats


def once(name: str, count: int, file: str) -> None:
    """Run a contestant, and leave what it needed and found in a file."""
    model, stream = network(), Stream(count)
    bare(model, Stream(BATCH))
    wall, cpu = time.perf_counter(), time.process_time()
    stats = CONTESTANTS[name][0](model, stream)
    took = [time.perf_counter() - wall, time.process_time() - cpu]
    pairs = {path: np.stack(pair) for path, pair in stats.items()}
    np.savez(file, needed=[*took, peak_memory(), stream.early], **pairs)


def fresh(name: str, count: int) -> Run:
    """Run a contestant in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/run.npz"
        subprocess.run([sys.executable, __file__, "--once", name, str(count), file], check=True)
        arrays = dict(np.load(file))
    return Run(*arrays.pop("needed"), {path: (pair[0], pair[1]) for path, pair in arrays.items()})


def check(expected: Stats, found: Stats, name: str) -> None:
    """Refuse to compare times of different results."""
    tolerance = 0.05 if "bfloat16" in name else 1e-4
    for path, pair in expected.items():
        for one, other in zip(pair, found[path], strict=True):
            np.testing.assert_allclose(other, one, atol=tolerance, err_msg=f"{name}: {path}")


def measured(names: list[str], count: int, rounds: int) -> dict[str, list[Run]]:
    """Return the runs of every round, by name."""
    runs: dict[str, list[Run]] = {name: [] for name in names}
    expected: Stats = {}
    for _ in range(rounds):
        for name in names:
            run = fresh(name, count)
            runs[name].append(run)
            expected = expected or run.stats
            if run.stats:
                check(expected, run.stats, name)
            print(f"{count} {name}: {run.wall:.1f} s, {run.memory:.0f} MB", flush=True)
    return runs


def memory_cell(runs: list[Run] | None) -> str:
    """Return the peak memory."""
    return f"{statistics.median(r.memory for r in runs):.0f} MB" if runs else "not run"


def growth_cell(runs: list[Run] | None) -> str:
    """Return the peak memory against that after the first images."""
    return (
        f"{statistics.median(r.memory / (r.early or r.memory) for r in runs):.3f}" if runs else ""
    )


def time_cell(runs: list[Run] | None, base: list[Run]) -> str:
    """Return time against the bare pass, wall (processor), and seconds."""
    if runs is None:
        return "not run"
    wall = statistics.median(o.wall / b.wall for o, b in zip(runs, base, strict=True))
    cpu = statistics.median(o.cpu / b.cpu for o, b in zip(runs, base, strict=True))
    return f"{wall:.2f} ({cpu:.2f}), {statistics.median(o.wall for o in runs):.1f} s"


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["--once"]:
        once(sys.argv[2], int(sys.argv[3]), sys.argv[4])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[256])
    parser.add_argument("--rounds", type=int, nargs="+", default=[3], help="for each of --images")
    parser.add_argument("--only", nargs="+", default=[""], help="words in the names to run")
    parser.add_argument("--peers-up-to", type=int, default=10**9, metavar="N", help="images")
    given = parser.parse_args()
    names = [n for n in CONTESTANTS if n == BARE or any(w in n for w in given.only)]
    rounds = (given.rounds * len(given.images))[: len(given.images)]
    runs = [
        measured([n for n in names if count <= given.peers_up_to or n not in PEERS], count, r)
        for count, r in zip(given.images, rounds, strict=True)
    ]
    numbers = [f"{n:,} images" for n in given.images]
    times = [
        (name, *(time_cell(r.get(name), r[BARE]) for r in runs), CONTESTANTS[name][1])
        for name in names
    ]
    memory = [
        (name, *(memory_cell(r.get(name)) for r in runs), growth_cell(runs[-1].get(name)))
        for name in names
    ]
    lines = [
        f"{machine()}, {torch.get_num_threads()} threads; {NETWORK}, batches of {BATCH}; time against the "
        f"bare pass of the same round, wall (processor); medians of {', '.join(map(str, rounds))} rounds.",
        "",
        *table(("time", *numbers, "target"), times),
        "",
        *table(("peak memory", *numbers, f"{numbers[-1]} / first {EARLY}"), memory),
        "",
        f"The last column is of one process: its peak at the end against that after {EARLY} images. Target "
        "for seviz: 1.03 at 4,096 images. Between processes the peak differs by a few percent: the allocator "
        "finds other gaps.",
    ]
    print("\n".join(lines))
    write_section("A pass against other ways to read gates", lines)


if __name__ == "__main__":
    main()
