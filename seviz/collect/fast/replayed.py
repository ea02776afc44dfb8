"""A pass of a network recorded on a GPU once, and replayed for every batch: a CUDA graph.

A small network is done with a batch before the host has told the GPU of its next operators; replayed, they
are told in one word. The operators are the same ones, so the numbers are the same bits.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor

from seviz.collect.fast.backends import Answer, Eager
from seviz.gates import Inputs

# Of the batch, before the pass is recorded: libraries choose kernels and take memory on the first.
_WARM = 2


def can_record(device: torch.device) -> bool:
    """Whether there are CUDA graphs on a device."""
    return device.type == "cuda" and torch.cuda.is_available() and torch.version.hip is None


class Replayed:
    """Run a network as it was recorded for the size of the first batch; batches of other sizes run as ever.

    What it answers lies in memory that the next batch overwrites: it must have been added up by then.

    Args:
        eager: The way that is recorded.
    """

    def __init__(self, eager: Eager) -> None:
        self._eager = eager
        self._held = ExitStack()
        self._graph: Any = None
        self._images: Tensor | None = None
        self._answer: Answer | None = None

    def __enter__(self) -> Replayed:
        with ExitStack() as stack:
            stack.enter_context(self._eager)
            self._held = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._held.close()

    def __call__(self, images: Tensor) -> Answer:
        """Return the answer for images [N, C, H, W] on the network's device.

        Raises:
            RuntimeError: If the network cannot be recorded: it waits for the GPU, or asks the host.
        """
        if isinstance(images, Inputs):
            return self._eager(images)
        if self._images is None:
            self._record(images)
        if self._images is None or self._answer is None or images.shape != self._images.shape:
            return self._eager(images)
        self._images.copy_(images, non_blocking=True)
        self._graph.replay()
        return self._answer

    def _record(self, images: Tensor) -> None:
        reduced = self._eager.reduced
        # A weight that autocast has kept in 16 bits is freed when its context ends, and would be missing.
        uncached = (
            nullcontext() if reduced is None else reduced.computing(images.device, cached=False)
        )
        static = images.clone()
        graph = torch.cuda.CUDAGraph()
        with uncached:
            aside: Any = torch.cuda.Stream(images.device)  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream(images.device))
            with torch.cuda.stream(aside):
                for _ in range(_WARM):
                    self._eager(static)
            torch.cuda.current_stream(images.device).wait_stream(aside)
            # Only of this thread: another one may be pinning memory for the batches to come.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                answer = self._eager(static)
        self._graph, self._images, self._answer = graph, static, answer
