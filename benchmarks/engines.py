#!/usr/bin/env python3
"""Measure a pass against onnxruntime, OpenVINO and torch.compile on the same networks.

    python benchmarks/engines.py [--networks NAME ...] [--ways WORD ...] [--rounds 5] [--keep FILE]

Five networks with random weights, float32, the same batches in memory. Each way is a process of its own that
loads the network, computes two batches that are not counted (seviz chooses on the first one, others compile
or warm up), and then waits; in each round every way computes the batch as often, and is divided by the bare
forward pass of that round. Medians of the rounds count. Engines run with the settings that they come with,
but for the number of threads. One that is not installed has no row: ``pip install onnxruntime openvino``.
``--keep`` adds the numbers to a JSON file and makes the table of all that is in it, so that networks can be
measured one at a time. Prints a table and puts it into ``README.md`` beside this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import machine, table, write_section

# Size of an image, and of a batch.
NETWORKS = {
    "legacy_seresnet50": (224, 16),
    "mobilenetv3_large_100": (224, 32),
    "efficientnet_b0": (224, 32),
    "regnety_008": (224, 32),
    "se_resnet20": (32, 256),
}
BARE, OURS = "bare", "seviz"
_LEAST = 1.0
TITLE = "A pass against engines"
Compute = Callable[[], object]


def built(name: str) -> Any:
    """Return a network with random weights, the same ones every time."""
    import torch
    from common import network

    if name != "se_resnet20":
        return network(name)
    from seviz.networks.architectures.registry import build

    torch.manual_seed(0)
    return build(name).eval()


def batch(name: str) -> Any:
    """Return a batch of it."""
    import numpy as np

    size, images = NETWORKS[name]
    return np.random.default_rng(0).standard_normal((images, 3, size, size), np.float32)


def bare(name: str, file: str, held: ExitStack) -> Compute:
    """Run the network, and look at nothing."""
    import torch

    model, images = built(name), torch.from_numpy(batch(name))
    held.enter_context(torch.inference_mode())
    return lambda: model(images)


def seviz(name: str, file: str, held: ExitStack, *, fast: bool = True) -> Compute:
    """Compute, and add up the gates, as a pass does."""
    import torch

    from seviz.collect.fast import Chosen, Speed, full_float32, keeping_memory
    from seviz.collect.observers import GateSums, Observation
    from seviz.gates import trace

    model, images, cpu = built(name), torch.from_numpy(batch(name)), torch.device("cpu")
    traced = trace(model, images.shape[1:])
    sums, rows = GateSums(traced.found.blocks, 10, cpu), torch.arange(len(images)) % 10
    held.enter_context(keeping_memory())
    held.enter_context(full_float32(cpu))
    held.enter_context(torch.inference_mode())
    speed = Speed(fast=fast, graph=traced.own_size)
    way = held.enter_context(Chosen(model, traced.found.se_readings, cpu, None, speed))

    def compute() -> None:
        answer = way(images)
        sums.update(Observation(rows, answer.gates, answer.logits, None))

    compute()
    print(f"{name}: {'; '.join(way.notes) or 'as it is'}", file=sys.stderr)
    return compute


def compiled(name: str, file: str, held: ExitStack) -> Compute:
    """Compile it by torch with weights as constants."""
    import torch
    from torch._inductor import config

    model, images = built(name), torch.from_numpy(batch(name))
    held.enter_context(torch.no_grad())
    held.enter_context(config.patch(freezing=True))
    network = torch.compile(model)
    return lambda: network(images)


def onnxruntime(name: str, file: str, held: ExitStack) -> Compute:
    """Run it by onnxruntime, as that comes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    images, place = batch(name), session.get_inputs()[0].name
    return lambda: session.run(None, {place: images})


def openvino(name: str, file: str, held: ExitStack) -> Compute:
    """Run it by OpenVINO in float32: where a processor has bfloat16 it would take that by itself."""
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": int(os.environ["OMP_NUM_THREADS"]),
    }
    network, images = core.compile_model(file, "CPU", settings), batch(name)
    return lambda: network(images)


WAYS: dict[str, Callable[[str, str, ExitStack], Compute]] = {
    BARE: bare,
    "seviz --no-fast": lambda n, f, h: seviz(n, f, h, fast=False),
    OURS: seviz,
    "torch.compile, freezing": compiled,
    "onnxruntime": onnxruntime,
    "OpenVINO": openvino,
}
_NEEDED = {"onnxruntime": "onnxruntime", "OpenVINO": "openvino"}


def serve(way: str, name: str, file: str) -> None:
    """Make a way ready; then compute the batch at each line that comes, and say how long it took."""
    with ExitStack() as held:
        compute = WAYS[way](name, file, held)
        compute()
        compute()
        print("ready", flush=True)
        for line in sys.stdin:
            begin = time.perf_counter()
            for _ in range(int(line)):
                compute()
            print(time.perf_counter() - begin, flush=True)


def exported(name: str, file: Path) -> None:
    """Write a network as ONNX."""
    import torch

    images = torch.from_numpy(batch(name))
    torch.onnx.export(built(name), (images,), str(file), dynamo=True, verbose=False)


def measured(name: str, ways: list[str], rounds: int, threads: int, file: str) -> dict[str, Any]:
    """Return the images per second of every round, by way."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    workers = {}
    for way in ways:  # one after the other: they are not to disturb each other's choice
        words = [sys.executable, __file__, "--serve", way, name, file]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        workers[way] = subprocess.Popen(words, env=environment, **pipes)
        if _answer(workers[way]) != "ready":
            raise SystemExit(f"failed: {way} on {name}")
    images = NETWORKS[name][1]
    # As often as the bare pass takes a second, or once: threads that have slept are slow at first.
    print(1, file=workers[BARE].stdin, flush=True)
    often = max(1, round(_LEAST / float(_answer(workers[BARE]))))
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways if turn % 2 else ways[::-1]:
            print(often, file=workers[way].stdin, flush=True)
            times[way].append(float(_answer(workers[way])) / images / often)
    for worker in workers.values():
        worker.communicate()
    return times


def _answer(worker: Any) -> str:
    """Return the next line, past what libraries print."""
    while line := worker.stdout.readline():
        word: str = line.strip()
        if word == "ready" or word.replace(".", "").replace("e-", "").isdigit():
            return word
    raise SystemExit("failed: a way ended early")


def lines_of(found: dict[str, dict[str, list[float]]], threads: int) -> list[str]:
    """Return the table."""
    rows = []
    for way in WAYS:
        cells = []
        for times in found.values():
            if way not in times:
                cells.append("not run")
                continue
            ratio = statistics.median(o / b for o, b in zip(times[way], times[BARE], strict=True))
            cells.append(f"{ratio:.2f}, {1000 * statistics.median(times[way]):.2f} ms")
        rows.append((way, *cells))
    sizes = [f"{n}, {NETWORKS[n][1]} of {NETWORKS[n][0]} px" for n in found]
    return [
        f"{machine()}, {threads} threads{_pretended()}; float32; time by that of the bare pass in the same "
        "round, milliseconds per image; medians of "
        f"{min(len(t[BARE]) for t in found.values())} rounds.",
        "",
        *table(("way", *sizes), rows),
    ]


def _pretended() -> str:
    least = os.environ.get("ONEDNN_MAX_CPU_ISA")
    return f", held to {least} by ONEDNN_MAX_CPU_ISA" if least else ""


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:5])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--ways", nargs="+", default=[""], help="words in the names to run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="JSON file of earlier runs, to be added to")
    parser.add_argument("--onnx", type=Path, help="folder for the exported networks")
    given = parser.parse_args()
    ways = [
        way
        for way in WAYS
        if (way == BARE or any(w in way for w in given.ways))
        and (way not in _NEEDED or importlib.util.find_spec(_NEEDED[way]))
    ]
    kept = json.loads(given.keep.read_text()) if given.keep and given.keep.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.networks:
            file = (given.onnx or Path(folder)) / f"{name}.onnx"
            if not file.exists() and set(ways) & set(_NEEDED):
                exported(name, file)
            if given.rounds:
                kept[name] = measured(name, ways, given.rounds, given.threads, str(file))
    if not kept:
        return
    if given.keep:
        given.keep.write_text(json.dumps(kept))
    lines = lines_of(kept, given.threads)
    print("\n".join(lines))
    write_section(TITLE + (" held to AVX2" if _pretended() else ""), lines)


if __name__ == "__main__":
    main()
