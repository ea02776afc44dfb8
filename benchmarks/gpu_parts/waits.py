"""Whether a GPU ever waits for the host, and the host for it: read off a profiler's trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from gpu_parts.clock import Clock, say, synchronise
from gpu_parts.networks import CLASSES, LARGE, SMALL, Batch, Subject, pool, stream
from seviz.collect.fast import REDUCED, Speed
from seviz.collect.forward import run
from seviz.collect.observers import GateSample, GateSums, Predictions

WARM, SEEN = 6, 10
# Between two kernels that wait in its queue a GPU needs a microsecond or two; a host that is late, more.
LATE = 20.0
# The host stands still in these until the GPU has come so far.
STOPS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")


def waits(device: torch.device, clock: Clock, *, small: bool) -> dict[str, Any]:
    """Profile some batches: the time in which no kernel runs, and stops of the host."""
    found = {}
    count = 8 if small else 256
    for subject in SMALL if small else LARGE[:2]:
        for mode in ("float32", "bfloat16"):
            for fast in (True, False) if subject is LARGE[0] else (True,):
                key = f"{subject.name}, {mode}, batches of {count}, {'default' if fast else '--no-fast'}"
                found[key] = _traced(subject, device, mode, count, fast=fast)
                say(f"{key}: {found[key]}", clock)
    return found


def _traced(
    subject: Subject, device: torch.device, mode: str, count: int, *, fast: bool
) -> dict[str, Any]:
    model, traced = subject.make(device)
    found = traced.found
    assert found.outputs is not None
    kinds = [ProfilerActivity.CPU]
    kinds += [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    seen = profile(activities=kinds, acc_events=True)

    def batches() -> Iterator[Batch]:
        for number, batch in enumerate(stream(pool(subject.size, count), WARM + SEEN + 2)):
            # One batch is always ahead of the one that is computed.
            if number == WARM:
                synchronise(device)
                seen.start()
            if number == WARM + SEEN:
                seen.stop()
            yield batch

    run(
        model,
        found.se_readings,
        batches(),
        [
            GateSums(found.blocks, CLASSES, device),
            GateSample(found.blocks, device),
            Predictions(range(CLASSES), found.outputs, device),
        ],
        device=device,
        reduced=REDUCED.get(mode),
        speed=Speed(fast=fast, graph=traced.own_size),
    )
    return _read(seen)


def _read(seen: Any) -> dict[str, Any]:
    events = list(seen.events())
    stops = Counter(e.name for e in events if e.name in STOPS)
    on_gpu = torch.autograd.DeviceType.CUDA
    kernels = sorted(
        (e.time_range.start, e.time_range.end, e.name)
        for e in events
        if e.device_type == on_gpu and not e.name.startswith(("Memcpy", "Memset"))
    )
    # The stop of the profiler itself waits once.
    result: dict[str, Any] = {"stops of the host": dict(stops), "batches": SEEN}
    if kernels:
        begin, end = kernels[0][0], max(e for _, e, _ in kernels)
        gaps, reached = [], begin
        for start, stop, _ in kernels:
            gaps.append(max(0.0, start - reached))
            reached = max(reached, stop)
        result["gaps"] = round(sum(gaps) / (end - begin), 4)
        result["gaps of a late host"] = round(sum(g for g in gaps if g > LATE) / (end - begin), 4)
        result["kernels per batch"] = round(len(kernels) / SEEN)
    return result
