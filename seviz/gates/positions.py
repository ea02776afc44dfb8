"""Where the numbers of one value end up in another, when only shapes change on the way."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from seviz.gates.elementwise import CannotReplayError, is_elementwise
from seviz.gates.graph import Value
from seviz.gates.ops import STRUCTURE


def positions(value: Value, start: Value) -> Tensor:
    """Return, in the shape of ``value``, the position in one image's ``start`` of each number.

    Changes of shape, selections and repetitions are replayed on an index; elementwise operators are
    passed over.

    Raises:
        CannotReplayError: If ``value`` mixes numbers of different positions, or other values take part.
    """
    place = torch.arange(math.prod(start.shape[1:]), dtype=torch.float64)
    done = {id(start): place.reshape(1, *start.shape[1:]).expand(start.shape).clone()}

    def of(current: Value) -> Tensor:
        if id(current) not in done:
            done[id(current)] = compute(current)
        return done[id(current)]

    def compute(current: Value) -> Tensor:
        op = current.op
        if op is None:
            raise CannotReplayError("a constant takes part")
        if op.name in STRUCTURE:

            def fill(leaf: Any) -> Any:
                return of(leaf) if isinstance(leaf, Value) else leaf

            args, kwargs = tree_map(fill, (op.args, op.kwargs))
            kwargs = {k: v for k, v in kwargs.items() if k not in {"dtype", "device", "layout"}}
            result = op.func(*args, **kwargs)
            part: Tensor = result if isinstance(result, Tensor) else result[current.output]
            return part
        if not is_elementwise(op):
            raise CannotReplayError(f"{op.name} is not elementwise")
        places = [of(v) for v in op.activations if v.numel > 1]
        for other in places[1:]:
            if not torch.equal(other.flatten(), places[0].flatten()):
                raise CannotReplayError("two parts of one output take part")
        return places[0].reshape(current.shape)

    return of(value)


def varying_dims(place: Tensor) -> list[int]:
    """Return the dimensions along which the positions differ."""
    return [d for d in range(place.dim()) if bool((place != place.narrow(d, 0, 1)).any())]
