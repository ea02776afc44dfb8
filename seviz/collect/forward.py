"""The one pass: every image goes through the network once, and every observer sees it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seviz.collect.fast import (
    Chosen,
    Halving,
    Reduced,
    Speed,
    full_float32,
    keeping_memory,
    sent_ahead,
)
from seviz.collect.observers.gates import Observation, Observer
from seviz.errors import DeviceError
from seviz.gates.attributes import attributes_restored
from seviz.gates.reading import Reading


class BatchLike(Protocol):
    """What a pass needs of a batch."""

    @property
    def images(self) -> Tensor:
        """Return images float32 [N, C, H, W]."""

    @property
    def rows(self) -> Tensor:
        """Return the row of each image's class, int64 [N]."""


@dataclass(frozen=True)
class Passed:
    """How a pass ended.

    Attributes:
        images: Images that every observer has seen.
        interrupted: Whether Ctrl-C ended it early.
        notes: How the network was computed, where it was not simply run.
    """

    images: int
    interrupted: bool
    notes: tuple[str, ...] = ()


def resolve_device(name: str) -> torch.device:
    """Return the device of this name; ``auto`` takes a GPU where there is one.

    Raises:
        DeviceError: If there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        have = ["cpu"]
        have += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        have += ["mps"] if torch.backends.mps.is_available() else []
        raise DeviceError(
            f"expected a device of this machine ({', '.join(have)}), found --device {name}"
        ) from exc
    return device


def run(
    model: nn.Module,
    readings: Mapping[str, Reading],
    batches: Iterable[BatchLike],
    observers: Sequence[Observer],
    *,
    device: torch.device,
    reduced: Reduced | None = None,
    on_batch: Callable[[int], Any] | None = None,
    speed: Speed | None = None,
) -> Passed:
    """Stream batches through the network once.

    The network is moved to the device; its weights, training flags, hooks and what it keeps at its modules
    are otherwise as before when this returns, also after an error.

    Args:
        model: The network.
        readings: How to read each gate.
        batches: Images float32 [N, C, H, W] with their rows int64 [N], and with their positions in the
            source, ``indices`` int64 [N], where an observer asks for them.
        observers: What watches the pass.
        device: Where to compute.
        reduced: The shorter type to compute in, or ``None`` for the network's own.
        on_batch: Called with the number of images after each batch.
        speed: What may be done for speed; nothing by default.

    Where memory is not enough for a batch it is computed in parts, and the observers see it whole.

    Ctrl-C ends the pass after the current batch, so that every observer has seen the same images; a
    second Ctrl-C raises ``KeyboardInterrupt`` at once.

    Raises:
        DeviceError: If the memory of the device is not enough.
        CheckpointError: If a block gives no gate.
    """
    seen = 0
    interrupted = False
    try:
        model.to(device)
        with (
            interrupts() as requested,
            current(device),
            keeping_memory(),
            full_float32(device),
            torch.inference_mode(),
            attributes_restored(model),
            Chosen(model, readings, device, reduced, speed) as way,
        ):
            forward = Halving(way, device)
            for batch in sent_ahead(batches, device):
                _observe(batch, forward, observers, device)
                seen += len(batch.rows)
                if on_batch is not None:
                    on_batch(len(batch.rows))
                if requested.is_set():
                    interrupted = True
                    break
    except torch.OutOfMemoryError as exc:
        raise DeviceError(
            f"expected enough memory on {device}, found it exhausted after {seen} images; use a smaller "
            "--batch-size"
        ) from exc
    return Passed(seen, interrupted, (*way.notes, *forward.notes))


def _observe(
    batch: BatchLike, forward: Halving, observers: Sequence[Observer], device: torch.device
) -> None:
    # A function, so that nothing of one batch is alive in the next: small things left among the large
    # free blocks of memory would split them, and the process would grow.
    rows = batch.rows.to(device, non_blocking=True)
    logits, gates = forward(batch.images)
    observation = Observation(rows, gates, logits, getattr(batch, "indices", None))
    for observer in observers:
        observer.update(observation)


def current(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which a GPU of several is the current one, to which streams and graphs belong."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event; the second one raises as usual."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    before = signal.getsignal(signal.SIGINT)

    def request(number: int, frame: object) -> None:
        requested.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, request)
    try:
        yield requested
    finally:
        signal.signal(signal.SIGINT, before)
