"""A network compiled by torch, with the gates among its outputs.

Hooks that are added to a compiled network never fire. Here they are armed before, and what they see is
returned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from seviz.collect.fast.backends import Answer, Eager, arranged
from seviz.gates.inputs import Inputs, call
from seviz.gates.reading import HookReading, Reading

_Seen = tuple[Any, list[Tensor]]


class NotCompilableError(Exception):
    """The network, or the way in which its gates are read, cannot be compiled."""


class Compiled:
    """Run a network that torch compiles for the size of the first batch; smaller ones are filled up.

    Args:
        eager: The way to compile; its network is taken over, and has hooks from now on.

    Raises:
        NotCompilableError: If a gate is no output of a module.
    """

    def __init__(self, eager: Eager) -> None:
        self._eager, self._held = eager, ExitStack()
        self._readings = _hooked(eager.readings)
        self._network = _Network(eager.model, self._readings, outputs=eager.outputs)
        self._compiled: Any = None
        self._size = 0

    def __enter__(self) -> Compiled:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            if self._eager.reduced is not None:
                stack.enter_context(self._eager.reduced.computing(self._eager.device))
            self._held = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._held.close()

    def __call__(self, images: Tensor) -> Answer:
        """Return the answer for images [N, C, H, W] on the network's device."""
        if isinstance(images, Inputs):
            raise NotCompilableError("it takes several inputs, or gives several outputs")
        count = len(images)
        if count > self._size:
            self._compiled, self._size = self._compile(), count
        elif count < self._size:
            images = torch.cat([images, images[-1:].expand(self._size - count, *images.shape[1:])])
        if self._eager.channels_last:
            images = arranged(images)
        try:
            logits, seen = self._run(images)
        except RuntimeError:
            self._size = 0  # a smaller batch may follow, for want of memory
            raise
        outputs = dict(zip(self._readings, seen, strict=True))
        gates = {
            name: reading.read(outputs[name][:count], self._eager.model)
            for name, reading in self._readings.items()
        }
        if logits is None:
            return Answer(images.new_empty(count, 0), gates)
        return Answer(tree_map(lambda t: t[:count], logits), gates)

    def _compile(self) -> Any:
        # No graph breaks: half-compiled networks are slower than what they replace.
        return torch.compile(self._network, fullgraph=True, dynamic=False)

    def _run(self, images: Tensor) -> _Seen:
        from torch._inductor import config

        # Weights are constants of the compiled code, stored as its kernels want them.
        with config.patch(freezing=True):
            seen: _Seen = self._compiled(images)
        return seen


class _Network(nn.Module):
    """A network that returns what some of its modules return, besides its own output."""

    def __init__(
        self, model: nn.Module, readings: Mapping[str, HookReading], *, outputs: bool
    ) -> None:
        super().__init__()
        self.model, self._outputs = model, outputs
        self._wanted = [(r.call.path, r.call.number, r.output) for r in readings.values()]
        self._seen: dict[str, list[Any]] = defaultdict(list)
        for path in dict.fromkeys(path for path, _, _ in self._wanted):
            model.get_submodule(path).register_forward_hook(self._hook(path))
        self.train(False)

    def _hook(self, path: str) -> Any:
        def after(module: nn.Module, args: Any, output: Any) -> None:
            # Copies: what follows may write into the tensor itself.
            kept = [t.clone() for t in tree_leaves(output) if isinstance(t, Tensor)]
            self._seen[path] = [*self._seen[path], kept]

        return after

    def forward(self, images: Tensor) -> _Seen:
        """Return the output, if it is wanted, and the tensors that hold the gates."""
        for path, _, _ in self._wanted:
            self._seen[path] = []
        output = call(self.model, images)
        seen = [self._seen[path][number - 1][place] for path, number, place in self._wanted]
        return (output if self._outputs else None), seen


def _hooked(readings: Mapping[str, Reading]) -> dict[str, HookReading]:
    hooked = {n: r for n, r in readings.items() if isinstance(r, HookReading)}
    watched = next((name for name in readings if name not in hooked), None)
    if watched is not None:
        raise NotCompilableError(f"the gate of {watched} is no output of a module")
    return hooked
