"""The first batch, computed by the untouched network and by others that may take its place."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from seviz.collect.fast.agreement import Agreement, compare
from seviz.collect.fast.backends import Answer, Backend, Eager

# A way that is this much slower than the untouched network, each time, is not taken. Time decides nothing
# else: two runs on one machine compute alike. Of the first runs, which are cold, only a clear gain tells
# something.
SLOWER, GAIN = 1.15, 0.9
# What computes the same bits in another way has to save so much.
WORTH = 0.97
_PAIRS = 2


class RefusedError(Exception):
    """A way is not taken; the message says why."""


class Trial:
    """The first batch by the untouched network.

    Args:
        reference: The untouched network.
        exact: The same in float32, where the reference computes in mixed precision.
        images: The batch, on the device.

    Attributes:
        answer: The answer of the last way that was found good; at first the untouched network's.
    """

    def __init__(self, reference: Eager, exact: Eager | None, images: Tensor) -> None:
        self._reference, self._images = reference, images
        self.answer, self._seconds = timed(reference, images)
        self._trusted = self.answer
        self.rounding: Agreement | None = None
        if exact is not None:
            self._trusted, _ = timed(exact, images)
            self.rounding = compare(self._trusted, self.answer)

    @property
    def images(self) -> int:
        """Return the number of images."""
        return len(self._images)

    @property
    def are_maps(self) -> bool:
        """Return whether the network takes maps [N, C, H, W], and nothing else."""
        return isinstance(self._images, Tensor) and self._images.dim() == 4

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the batch."""
        return tuple(self._images.shape)

    def check(self, way: Backend, *, may_be_slower: bool = False) -> tuple[Agreement, float]:
        """Return how far a way is from the untouched network in float32, and the seconds of its first run.

        Raises:
            RefusedError: If it does not run, or differs by more than rounding, or is clearly slower.
        """
        try:
            answer, seconds = timed(way, self._images)
            agreement = compare(self._trusted, answer)
        except Exception as exc:
            # Whatever goes wrong in a changed copy, the untouched network is there.
            raise RefusedError(_reason(exc)) from exc
        if (reason := agreement.reason(self.rounding)) is not None:
            raise RefusedError(reason)
        if not may_be_slower and self._is_slower(way, seconds):
            raise RefusedError("it is slower here")
        self.answer = answer
        return agreement, seconds

    def _is_slower(self, way: Backend, seconds: float) -> bool:
        # A GPU's first run prepares its libraries: it takes seconds, and every later one looks like a gain.
        if self._images.device.type != "cuda" and seconds < GAIN * self._seconds:
            return False
        return all(
            self.seconds(way) > SLOWER * self.seconds(self._reference) for _ in range(_PAIRS)
        )

    def gains(self, way: Backend, over: Backend) -> bool:
        """Whether a way is faster than another by more than timing is uncertain; each is warm."""
        pairs = [(self.seconds(way), self.seconds(over)) for _ in range(_PAIRS)]
        return min(p[0] for p in pairs) < WORTH * min(p[1] for p in pairs)

    def seconds(self, way: Backend) -> float:
        """Return how long a way takes for the batch."""
        return timed(way, self._images)[1]


def timed(way: Backend, images: Tensor) -> tuple[Answer, float]:
    """Return a way's answer, and the seconds that it took."""
    with way:
        _synchronise(images.device)
        start = time.perf_counter()
        answer = way(images)
        _synchronise(images.device)
        return answer, time.perf_counter() - start


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _reason(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return f"{type(exc).__name__}: {lines[0][:200] if lines else 'no message'}"
