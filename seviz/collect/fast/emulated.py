"""Shorter types on a processor that has no instructions for them: they are emulated, and slower than float32.

On an AVX2 machine a network in bfloat16 takes seven to nine times as long. Whoever asks for it wants speed.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from seviz.collect.fast.reduced import Reduced
from seviz.collect.fast.trial import SLOWER
from seviz.data import processors
from seviz.gates import Example, evaluating
from seviz.gates.inputs import call, like_traced

_IMAGES, _RUNS = 2, 2


def slower_here(
    model: nn.Module, example: Example, shorter: Reduced, device: torch.device, *, measured: bool
) -> str | None:
    """Return a remark where float32 is faster than what was asked for, ``None`` elsewhere.

    Args:
        model: The network.
        example: What it is traced with.
        shorter: What was asked for.
        device: Where to compute.
        measured: Whether time may decide; it may not among several processes, each of which would decide for
            itself.
    """
    if device.type != "cpu" or shorter.dtype is None or processors.computes_in(shorter.name):
        return None
    why = f"this processor is not known to have instructions for {shorter.name}, which is emulated then"
    if not measured:
        return f"computed in float32: {why}"
    try:
        ratio = _times_as_long(model, example, shorter, device)
    except Exception:  # the pass tells what is wrong with the network
        return None
    if ratio < SLOWER:
        return None
    return f"computed in float32: {why}, and takes {ratio:.1f} times as long"


def _times_as_long(
    model: nn.Module, example: Example, shorter: Reduced, device: torch.device
) -> float:
    """Return how long a pass in the shorter type takes, by float32's; the shortest of two runs each."""
    images = like_traced(example, _IMAGES, model, device)
    own: list[float] = []
    other: list[float] = []
    with evaluating(model), torch.inference_mode():
        call(model, images)
        for _ in range(_RUNS):
            begin = time.perf_counter()
            call(model, images)
            middle = time.perf_counter()
            with shorter.computing(device):
                call(model, images)
            own.append(middle - begin)
            other.append(time.perf_counter() - middle)
    return min(other) / min(own)
