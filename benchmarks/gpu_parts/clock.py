"""How much time is left, and how a measurement is timed."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


class Clock:
    """A number of seconds from now on.

    Args:
        seconds: How many.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Return the seconds that are left."""
        return self._end - time.monotonic()


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def say(text: str, clock: Clock) -> None:
    """Print a line at once, with the time that is left."""
    print(f"[{clock.left:5.0f} s left] {text}", flush=True)


def seconds_of(action: Callable[[], object], device: torch.device) -> float:
    """Return how long an action takes, to the end of what it told a GPU."""
    synchronise(device)
    begin = time.perf_counter()
    action()
    synchronise(device)
    return time.perf_counter() - begin
