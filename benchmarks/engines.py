#!/usr/bin/env python3
"""Measure a pass against onnxruntime, OpenVINO and torch.compile on the same networks.

    python benchmarks/engines.py [--networks NAME ...] [--ways WORD ...] [--rounds 5] [--held AVX2]

Five networks with random weights, float32, the same batches in memory. Each way is a process of its own that
loads the network, computes two batches that are not counted (seviz chooses on the first one, others compile
or warm up), and then waits; in each round every way computes the batch as often, and is divided by the bare
forward pass of that round, by the clock and by the processor: where other programs run only the latter tells
much. Medians of the rounds count. Engines run with the settings that they come with, but for the number of
threads. One that is not installed has no row: ``pip install onnxruntime openvino``. ``--held AVX2`` keeps
PyTorch and its libraries to the instructions of older processors; the other engines cannot be held, and have
no row then. ``engines.json`` keeps the numbers, so that networks can be measured one at a time. Prints a
table of all that is in it and puts it into ``README.md`` beside this file.

What was tried for a pass as a program (``seviz/collect/fast/program``) and saved nothing, by the processor's
time of one thread: few images at a time through the layers with large maps (4 or 8 of 32: MobileNetV3-Large
-3 and -2 %, EfficientNet-B0 +2 and 0 %, RegNetY-008 +3 and -2 %); a squeeze as a product with a row of ones,
two to three times as long as a pooling where the map is in main memory. Convolutions of SE-ResNet-50 run at
103 (1 x 1) and 121 GFLOP/s (3 x 3) on one thread, and are nine tenths of its pass: what a target below them
asks for the processor does not have.
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

from common import HERE, machine, table, write_section

# Size of an image, and of a batch.
NETWORKS = {
    "legacy_seresnet50": (224, 16),
    "mobilenetv3_large_100": (224, 32),
    "efficientnet_b0": (224, 32),
    "regnety_008": (224, 32),
    "se_resnet20": (32, 256),
}
BARE, OURS = "bare", "seviz"
KEPT = HERE / "engines.json"
# What holds PyTorch and oneDNN to older instructions.
HELD = {
    "AVX2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
}
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
            begin, before = time.perf_counter(), time.process_time()
            for _ in range(int(line)):
                compute()
            print(time.perf_counter() - begin, flush=True)
            print(time.process_time() - before, flush=True)


def exported(name: str, file: Path) -> None:
    """Write a network as ONNX."""
    import torch

    images = torch.from_numpy(batch(name))
    torch.onnx.export(built(name), (images,), str(file), dynamo=True, verbose=False)


def measured(
    name: str, ways: list[str], rounds: int, threads: int, file: str, held: str
) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds for an image in every round, of the clock and of the processor, by way."""
    environment = {**os.environ, **HELD.get(held, {}), "OMP_NUM_THREADS": str(threads)}
    workers = {}
    for way in ways:  # one after the other: they are not to disturb each other's choice
        words = [sys.executable, __file__, "--serve", way, name, file]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        workers[way] = subprocess.Popen(words, env=environment, **pipes)
        if _answer(workers[way]) != "ready":
            raise SystemExit(f"failed: {way} on {name}")

    def took(way: str, often: int) -> tuple[float, float]:
        print(often, file=workers[way].stdin, flush=True)
        wall, cpu = (float(_answer(workers[way])) for _ in range(2))
        return wall / NETWORKS[name][1] / often, cpu / NETWORKS[name][1] / often

    # As often as the bare pass takes a second, or once: threads that have slept are slow at first.
    often = max(1, round(_LEAST / took(BARE, 1)[0] / NETWORKS[name][1]))
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways if turn % 2 else ways[::-1]:
            times[way].append(took(way, often))
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


def lines_of(found: dict[str, dict[str, Any]], held: str) -> list[str]:
    """Return the table."""
    rows = []
    for way in WAYS:
        cells = [
            _cell(f["times"][way], f["times"][BARE]) if way in f["times"] else "not run"
            for f in found.values()
        ]
        rows.append((way, *cells))
    sizes = [f"{n}, {NETWORKS[n][1]} of {NETWORKS[n][0]} px" for n in found]
    threads = sorted({f["threads"] for f in found.values()})
    return [
        f"{machine()}, {' or '.join(map(str, threads))} threads"
        f"{f', held to {held}' if held else ''}; float32; time by that of the bare pass in the same "
        "round, of the clock (of the processor), milliseconds per image; medians "
        f"of {min(len(f['times'][BARE]) for f in found.values())} rounds or more.",
        "",
        *table(("way", *sizes), rows),
    ]


def _cell(own: list[list[float]], bare: list[list[float]]) -> str:
    wall, cpu = (
        statistics.median(o[n] / b[n] for o, b in zip(own, bare, strict=True)) for n in range(2)
    )
    return f"{wall:.2f} ({cpu:.2f}), {1000 * statistics.median(o[0] for o in own):.2f} ms"


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
    parser.add_argument("--held", default="", choices=list(HELD))
    parser.add_argument("--onnx", type=Path, help="folder for the exported networks")
    given = parser.parse_args()
    ways = [
        way
        for way in WAYS
        if (way == BARE or any(w in way for w in given.ways))
        and not (way in _NEEDED and given.held)
        and (way not in _NEEDED or importlib.util.find_spec(_NEEDED[way]))
    ]
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    of = kept.setdefault(given.held or "all", {})
    with tempfile.TemporaryDirectory() as folder:
        for name in given.networks:
            file = (given.onnx or Path(folder)) / f"{name}.onnx"
            if not file.exists() and set(ways) & set(_NEEDED):
                exported(name, file)
            times = measured(name, ways, given.rounds, given.threads, str(file), given.held)
            of[name] = {"threads": given.threads, "times": times}
            KEPT.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    lines = lines_of({n: of[n] for n in NETWORKS if n in of}, given.held)
    print("\n".join(lines))
    write_section(TITLE + (f" held to {given.held}" if given.held else ""), lines)


if __name__ == "__main__":
    main()
