"""One way of computing what a pass needs of a batch: the network's output and the gates."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from seviz.collect.fast.reduced import Reduced
from seviz.gates import Inputs, Tap, evaluating, uncompiled
from seviz.gates.reading import Reading


class Answer(NamedTuple):
    """What a network gives for a batch.

    Attributes:
        logits: Output of the network [N, outputs]; [N, 0] where the pass stops before it.
        gates: Gates [N, C] by block name.
    """

    logits: Tensor
    gates: dict[str, Tensor]


class Backend(Protocol):
    """A network made ready; entered before its first batch and left after the last."""

    def __enter__(self) -> Backend: ...

    def __exit__(self, *exc: object) -> None: ...

    def __call__(self, images: Tensor) -> Answer:
        """Return the answer for images [N, C, H, W] on the network's device."""


class Eager:
    """Run a network operator by operator; nothing but its gates is looked at.

    Args:
        model: The network.
        readings: How to read each gate.
        device: Its device.
        reduced: The shorter type to compute in, or ``None`` for the network's own.
        outputs: Whether the network's output is needed; else each pass ends at the last gate.
        channels_last: Whether images [N, C, H, W] are given with the channels innermost in memory.
    """

    def __init__(
        self,
        model: nn.Module,
        readings: Mapping[str, Reading],
        device: torch.device,
        *,
        reduced: Reduced | None = None,
        outputs: bool = True,
        channels_last: bool = False,
    ) -> None:
        # Compiled for a batch that a user had, a network may skip the hooks of this pass.
        model = uncompiled(model)
        self.model, self.readings, self.device = model, readings, device
        self.reduced, self.outputs, self.channels_last = reduced, outputs, channels_last
        self._tap = Tap(model, readings, stop=not outputs)
        self._held = ExitStack()

    def __enter__(self) -> Eager:
        with ExitStack() as stack:
            stack.enter_context(evaluating(self.model))
            stack.enter_context(torch.inference_mode())
            if self.reduced is not None:
                stack.enter_context(self.reduced.computing(self.device))
            stack.enter_context(self._tap)
            self._held = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._held.close()

    def __call__(self, images: Tensor) -> Answer:
        """Return the answer for images [N, C, H, W] on the network's device.

        Raises:
            CheckpointError: If a block gives no gate.
        """
        logits: Any = self._tap.run(arranged(images) if self.channels_last else images)
        if logits is None:
            logits = images.new_empty(len(images), 0)
        return Answer(logits, self._tap.take())


def arranged(images: Any) -> Any:
    """Return images [N, C, H, W] with the channels innermost in memory; others as they are."""
    if isinstance(images, Inputs):
        return images.map(arranged)
    if images.dim() != 4:
        return images
    return images.contiguous(memory_format=torch.channels_last)
