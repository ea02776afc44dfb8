"""A pass of seviz against the bare pass, hooks and Captum, on a GPU, in several types and batch sizes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gpu_parts.clock import Clock, say, synchronise
from gpu_parts.networks import CLASSES, LARGE, SMALL, Batch, Subject, pool, stream
from seviz.collect.fast import REDUCED, Speed, full_float32
from seviz.collect.forward import run
from seviz.collect.observers import GateSample, GateSums, Predictions
from seviz.gates import Trace

WARM, ROUNDS = 4, 3
MODES = ("float32", "tf32", "bfloat16")
_Pool = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass
class Contest:
    """One network in one type at one batch size.

    Attributes:
        model: The network, on the device.
        traced: What is in it.
        device: The device.
        mode: Of `MODES`.
        pooled: Batches on the host.
        steps: How many batches are timed.
        seconds: Of the batches after the first few, filled by each run.
        notes: What seviz says of its way, likewise.
    """

    model: nn.Module
    traced: Trace
    device: torch.device
    mode: str
    pooled: _Pool
    steps: int
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())

    def batches(self) -> Iterator[Batch]:
        """Yield the batches, and time those after the first few to the end of what the GPU was told."""
        begin = 0.0
        for number, batch in enumerate(stream(self.pooled, WARM + self.steps)):
            if number == WARM:
                synchronise(self.device)
                begin = time.perf_counter()
            yield batch
        synchronise(self.device)
        self.seconds = time.perf_counter() - begin

    def computing(self) -> AbstractContextManager[object]:
        """Return the context of the type."""
        return (
            nullcontext() if self.mode == "float32" else REDUCED[self.mode].computing(self.device)
        )

    def bare(self, *, model: Any = None, last: bool = False) -> None:
        """Run the network, and look at nothing."""
        model = self.model if model is None else model
        kind = torch.channels_last if last else torch.contiguous_format
        with torch.inference_mode(), full_float32(self.device), self.computing():
            for batch in self.batches():
                images = batch.images.to(self.device, non_blocking=True)
                model(images.contiguous(memory_format=kind))

    def channels_last(self) -> None:
        """Run it with the channels innermost in memory."""
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        try:
            self.bare(last=True)
        finally:
            self.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def graph(self) -> None:
        """Replay it as a CUDA graph."""
        replay: Callable[[torch.Tensor], None] | None = None
        with torch.inference_mode(), full_float32(self.device), self.computing():
            for batch in self.batches():
                images = batch.images.to(self.device, non_blocking=True)
                replay = replay or self._recorded(images)
                replay(images)

    def _recorded(self, images: torch.Tensor) -> Callable[[torch.Tensor], None]:
        static, graph = images.clone(), torch.cuda.CUDAGraph()
        torch.set_autocast_cache_enabled(False)
        try:
            for _ in range(2):
                self.model(static)
            with torch.cuda.graph(graph):
                self.model(static)
        finally:
            torch.set_autocast_cache_enabled(True)

        def replay(images: torch.Tensor) -> None:
            static.copy_(images)
            graph.replay()

        return replay

    def compiled(self) -> None:
        """Run it compiled."""
        with torch.no_grad():
            self.bare(model=torch.compile(self.model))

    def hooks(self) -> None:
        """What a notebook does: hooks that bring every gate to the host, into lists."""
        kept: dict[str, list[Any]] = {}

        def keep(name: str) -> Any:
            return lambda m, a, out: kept.setdefault(name, []).append(
                out.flatten(1).float().cpu().numpy()
            )

        handles = [m.register_forward_hook(keep(n)) for n, m in self._layers().items()]
        try:
            self.bare()
        finally:
            for handle in handles:
                handle.remove()

    def captum(self) -> None:
        """Captum's LayerActivation of all layers at once."""
        from captum.attr import LayerActivation

        reader = LayerActivation(self.model, list(self._layers().values()))
        with torch.no_grad(), full_float32(self.device), self.computing():
            for batch in self.batches():
                for gates in reader.attribute(batch.images.to(self.device, non_blocking=True)):
                    gates.detach().flatten(1).cpu()

    def _layers(self) -> dict[str, nn.Module]:
        modules = dict(self.model.named_modules())
        readings = self.traced.found.se_readings
        paths = {part.call.path for r in readings.values() for part in r.parts}
        return {path: modules[path] for path in paths}

    def seviz(self, *, fast: bool = True, compiled: bool = False) -> None:
        """Collect what a record has: sums, a sample, predictions."""
        blocks, outputs = self.traced.found.blocks, self.traced.found.outputs
        assert outputs is not None
        observers = [
            GateSums(blocks, CLASSES, self.device),
            GateSample(blocks, self.device),
            Predictions(range(CLASSES), outputs, self.device),
        ]
        passed = run(
            self.model,
            self.traced.found.se_readings,
            self.batches(),
            observers,
            device=self.device,
            reduced=REDUCED.get(self.mode),
            speed=Speed(fast=fast, compiled=compiled, graph=self.traced.own_size),
        )
        self.notes = passed.notes


WAYS: dict[str, Callable[[Contest], None]] = {
    "bare": Contest.bare,
    "bare, channels last": Contest.channels_last,
    "bare, CUDA graph": Contest.graph,
    "hooks and lists": Contest.hooks,
    "Captum": Contest.captum,
    "seviz --no-fast": lambda c: c.seviz(fast=False),
    "seviz": Contest.seviz,
}
FEW = ("bare", "seviz --no-fast", "seviz")
COMPILED: dict[str, Callable[[Contest], None]] = {
    "bare, compiled": Contest.compiled,
    "seviz --torchcompile": lambda c: c.seviz(compiled=True),
}


def measured(contest: Contest, ways: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Return rates, ratios to the bare pass of the same round, and peak memory of each way."""
    rates: dict[str, list[float]] = {}
    found: dict[str, Any] = {}
    images = contest.steps * len(contest.pooled[0][1])
    for _ in range(rounds):
        for name, way in ways.items():
            if "failed" in found.get(name, ""):
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            try:
                way(contest)
            except Exception as exc:
                found[name] = {"failed": f"{type(exc).__name__}: {str(exc).splitlines()[0]}"[:200]}
                continue
            rates.setdefault(name, []).append(images / contest.seconds)
            found[name] = {"notes": contest.notes} if name.startswith("seviz") else {}
            if torch.cuda.is_available():
                found[name]["memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
    for name, own in rates.items():
        found[name]["images_per_s"] = round(statistics.median(own))
        pairs = zip(rates["bare"], own, strict=False)
        found[name]["against_bare"] = round(statistics.median(b / o for b, o in pairs), 3)
    return found


def _plan(subject: Subject, *, small: bool) -> list[tuple[str, int, bool]]:
    """Return type, batch size, and whether every way is measured, the most important first."""
    if small:
        return [(mode, 8, True) for mode in MODES]
    if subject.size[-1] < 64:
        return [(mode, count, False) for count in (2048, 256) for mode in MODES]
    if subject is not LARGE[0]:
        return [(mode, 256, False) for mode in MODES]
    main = [(mode, count, True) for count in (256, 64) for mode in MODES]
    return main + [(mode, count, False) for count in (128, 512) for mode in MODES]


def passes(device: torch.device, clock: Clock, *, small: bool) -> dict[str, Any]:
    """Measure every network, type and batch size for which there is time."""
    found: dict[str, Any] = {}
    reserve = 0 if small else 125  # for the parts that follow
    first, *others = SMALL if small else LARGE
    plans = [(s, _plan(s, small=small)) for s in (first, *others)]
    # What every GPU should be asked comes first: one size of each network, then the other sizes of one.
    rounds = [(first, plans[0][1][:3]), *plans[1:], (first, plans[0][1][3:])]
    for subject, plan in rounds:
        model, traced = subject.make(device)
        for mode, count, every in plan:
            key = f"{subject.name}, {mode}, batches of {count}"
            if clock.left < reserve + 10:
                found[key] = {"left out": "no time"}
                continue
            steps = 2 if small else max(6, (1536 if subject.size[-1] > 64 else 20_000) // count)
            contest = Contest(model, traced, device, mode, pool(subject.size, count), steps)
            ways = WAYS if every else {name: WAYS[name] for name in FEW}
            found[key] = measured(contest, ways, 1 if small else ROUNDS if every else 2)
            cells = {n: v.get("images_per_s", v.get("failed")) for n, v in found[key].items()}
            say(f"{key}: {cells}", clock)
        if (
            subject is first
            and len(found) > len(MODES)
            and clock.left > reserve + 120
            and not small
        ):
            contest = Contest(model, traced, device, "bfloat16", pool(subject.size, 256), 8)
            key = f"{subject.name}, bfloat16, batches of 256, compiled"
            found[key] = measured(contest, {"bare": Contest.bare, **COMPILED}, 1)
            say(f"{key}: {found[key]}", clock)
        model.cpu()
    return found
