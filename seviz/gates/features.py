"""The features of a network: what its last layer reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seviz.errors import CheckpointError
from seviz.gates.graph import Graph, Op, Value, record, walk_back
from seviz.gates.inputs import call
from seviz.gates.mode import DispatchMode
from seviz.gates.ops import LINEAR
from seviz.gates.tap import evaluating, unwrap


class Features:
    """Reads what the last layer of a network with weights takes: its penultimate, pooled features.

    Args:
        model: The network; its parameters and flags are not touched.
        example: Two images or more on the network's device, as large as those to come.

    Raises:
        CheckpointError: If the network has no such layer.

    >>> from seviz.networks.architectures.registry import build
    >>> model = build("se_resnet14").eval()
    >>> images = torch.rand(3, 3, 32, 32)
    >>> Features(model, images)(images).shape
    torch.Size([3, 64])
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self._model = unwrap(model)
        with evaluating(self._model), torch.no_grad():
            graph = record(self._model, example[:2].clone())
        self._ops = [op.func for op in graph.ops]
        self._number, self._place = _last_layer(graph)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the features [N, F] of a batch [N, ...]; maps that are not pooled yet are averaged.

        Raises:
            CheckpointError: If the network takes another way for these images.
        """
        reading = _Reading(self._ops, self._number, self._place)
        own = images.clone()  # a network may write into its input, which is the caller's
        with evaluating(self._model), torch.no_grad(), reading:
            call(self._model, own)
        if reading.found is None or len(reading.found) != len(images):
            raise _another_way()
        found = reading.found
        return found.flatten(2).mean(2) if found.dim() > 2 else found


def _last_layer(graph: Graph) -> tuple[int, int]:
    """Return the number of the last operator with weights before the output, and which argument it reads.

    Raises:
        CheckpointError: If there is none.
    """
    behind = {id(op) for value in graph.results for op in walk_back(value)}
    for number in reversed(range(len(graph.ops))):
        op = graph.ops[number]
        if id(op) in behind and op.name in LINEAR and op.parameters and op.activations:
            place = _place(op)
            if place is not None and op.args[place].shape[:1] == (graph.batch,):
                return number, place
    raise CheckpointError(
        "expected a last layer with weights, found none; features are what it reads, so leave them out"
    )


def _place(op: Op) -> int | None:
    """Return the position of what a layer reads among its arguments."""
    read = op.activations[0]
    places = (i for i, arg in enumerate(op.args) if isinstance(arg, Value) and arg is read)
    return next(places, None)


class _Reading(DispatchMode):
    """Keeps one argument of one operator, which is told by its number."""

    def __init__(self, ops: list[Any], number: int, place: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._ops, self._wanted, self._place = ops, number, place
        self._number = 0
        self.found: Tensor | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        number, self._number = self._number, self._number + 1
        if number <= self._wanted and self._ops[number] is not func:
            raise _another_way()
        if number == self._wanted:
            self.found = args[self._place].detach().clone()
        return func(*args, **(kwargs or {}))


def _another_way() -> CheckpointError:
    return CheckpointError(
        "expected the network to take the same way to its last layer as in the traced pass, found another; "
        "give --input-size as the images have it"
    )
