"""Where a fixed gate can go: into the layers that make the map it scales, or into those that take it.

Multiplying the channels of a map by numbers commutes with everything that works on each channel by itself and
is linear, and with ReLU and its like where no number is negative. So the gate is moved through the recorded
pass, backwards or forwards, until every way ends at parameters that can take it up. Parameters and maps that
anything else uses are left alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seviz.gates.graph import Graph, Op, Value, walk_back
from seviz.gates.ops import POOL, VIEW

_BATCH_NORM = frozenset(
    [
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_no_training",
        "_batch_norm_no_update",
        "cudnn_batch_norm",
        "miopen_batch_norm",
        "batch_norm",
    ]
)
_GROUP_NORM = frozenset({"native_group_norm", "group_norm"})
_LAYER_NORM = frozenset({"native_layer_norm", "layer_norm"})
# f(s x) = s f(x) for s >= 0, whatever the other channels are.
_HOMOGENEOUS = frozenset({"relu", "leaky_relu", "prelu", "_prelu_kernel"}) | {
    name for name in POOL if "max" in name
}
# f(s x) = s f(x) for every s.
_LINEAR = frozenset(
    [
        "neg",
        "upsample_nearest2d",
        "upsample_bilinear2d",
        "_upsample_nearest_exact2d",
        "reflection_pad1d",
        "reflection_pad2d",
        "reflection_pad3d",
        "replication_pad1d",
        "replication_pad2d",
        "replication_pad3d",
    ]
) | {name for name in POOL if "avg" in name}


@dataclass(frozen=True, eq=False)
class Change:
    """A parameter that takes a gate up: ``parameter * factor + addend``.

    Attributes:
        parameter: Its state-dict name.
        factor: Broadcasts over it, float64.
        addend: As large as it, float64, or nothing.
        kind: ``norm``, ``convolution``, ``linear`` or ``scale``: what layer it is of.
    """

    parameter: str
    factor: Tensor
    kind: str
    addend: Tensor | None = None


class Absorber:
    """Moves the gate of one block through a recorded pass.

    Args:
        graph: The pass.
        gone: The operators of the block, which will not be there any more.
        numbers: Look-up of parameters and buffers by state-dict name.
        unchanged: State-dict names of what takes nothing up: weights that stand for whole numbers.
    """

    def __init__(
        self,
        graph: Graph,
        gone: set[Op],
        numbers: Callable[[str], Tensor],
        unchanged: Collection[str] = (),
    ) -> None:
        self._gone, self._numbers, self._unchanged = gone, numbers, unchanged
        self._results = set(graph.results)
        self._needed = {op for value in graph.results for op in walk_back(value)}

    def before(
        self, scaled: Value, dim: int, gate: Tensor, shift: Tensor | None = None
    ) -> list[Change] | None:
        """Return what takes up a gate [C] on dimension ``dim`` of ``scaled``, before it is made.

        Args:
            scaled: The map.
            dim: Its channel dimension.
            gate: The gate, float64.
            shift: What is added after it [C], float64. That goes into the bias of the layer that makes the
                map: nothing may lie between.
        """
        changes = self._back(scaled, dim, gate, None)
        if shift is None or changes is None:
            return changes
        assert scaled.op is not None, "made by something, where something took the gate up"
        if self._made(scaled.op, scaled, dim, gate) is None or len(changes) != 2:
            return None  # not a layer, or one without a bias
        weight, bias = changes
        return [weight, replace(bias, addend=shift)]

    def after(self, product: Value, dim: int, gate: Tensor, scaled: Value) -> list[Change] | None:
        """Return what takes up a gate [C] on dimension ``dim`` of ``product``, where that is used.

        Args:
            product: The scaled map.
            dim: Its channel dimension.
            gate: The gate, float64.
            scaled: The map before; it will stand in the place of ``product``.
        """
        alone = not self._others(scaled, None) and (scaled.op is None or scaled.op.name not in VIEW)
        return self._onward(product, dim, gate, in_place=alone)

    def _others(self, value: Value, own: Op | None) -> list[Op]:
        """Return the operators that need a value, besides ``own`` and the block's."""
        return [op for op in self._users(value) if op is not own]

    def _users(self, value: Value) -> list[Op]:
        return [op for op in dict.fromkeys(value.uses) if op not in self._gone and self._lives(op)]

    def _lives(self, op: Op) -> bool:
        """Whether anything depends on an operator: some are asked for a size alone."""
        return (
            op in self._needed
            or op.func._schema.is_mutable
            or any(self._lives(use) for out in op.outputs for use in out.uses)
        )

    def _leaf(self, value: object, op: Op) -> str | None:
        """Return the name of a parameter that is itself an input of ``op``, of no other, and may change."""
        if not isinstance(value, Value) or value.op is not None or value.parameter is None:
            return None
        if value.parameter in self._unchanged or set(value.uses) != {op}:
            return None
        return value.parameter

    def _transposed(self, value: object, op: Op) -> str | None:
        """Return the name of a matrix whose transpose is an input of ``op``, and used nowhere else."""
        if not isinstance(value, Value) or value.op is None or value.op.name != "t":
            return None
        return self._leaf(value.op.args[0], value.op) if set(value.uses) == {op} else None

    # Backwards

    def _back(self, value: Value, dim: int, gate: Tensor, own: Op | None) -> list[Change] | None:
        op = value.op
        if op is None or value.parameter is not None or value in self._results or value.output:
            return None
        if self._others(value, own):
            return None
        made = self._made(op, value, dim, gate)
        if made is not None:
            return made
        if op.name == "cat":
            return self._joined(op, dim, gate)
        maps = op.activations
        if op.name == "add" and len(maps) == 2 and _same_shapes(maps, value):
            return self._all([(v, gate) for v in maps], dim, op)
        if op.name == "add" and len(maps) == 1 and len(op.parameters) == 1:
            offset = self._vector(op.parameters[0], op, value, dim)
            rest = self._back(maps[0], dim, gate, op) if offset is not None else None
            if offset is None or rest is None:
                return None
            return [Change(offset, gate.reshape(self._numbers(offset).shape), "linear"), *rest]
        if not self._passes(op, gate):
            return None
        place = moved(op.outputs[0], op.inputs[0], dim)
        return self._back(op.inputs[0], place, gate, op) if place is not None else None

    def _all(self, parts: Sequence[tuple[Value, Tensor]], dim: int, op: Op) -> list[Change] | None:
        """Return what takes the gate up in every one of several maps, or nothing."""
        if len({value for value, _ in parts}) < len(parts):
            return None
        changes: list[Change] = []
        for value, gate in parts:
            found = self._back(value, dim, gate, op)
            if found is None:
                return None
            changes += found
        return changes

    def _joined(self, op: Op, dim: int, gate: Tensor) -> list[Change] | None:
        along = op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)
        if along % len(op.outputs[0].shape) != dim:
            return self._all([(v, gate) for v in op.inputs], dim, op)
        shares = torch.split(gate, [v.shape[dim] for v in op.inputs])
        return self._all(list(zip(op.inputs, shares, strict=True)), dim, op)

    def _made(self, op: Op, value: Value, dim: int, gate: Tensor) -> list[Change] | None:
        """Return the parameters of the layer that makes a map, if it is a layer that can take a gate."""
        weight: str | None
        if op.name in _BATCH_NORM | _GROUP_NORM and dim == 1:
            return self._layer(op, op.args[1], op.args[2], gate, "norm")
        if op.name in _LAYER_NORM and dim == len(value.shape) - 1:
            if len(op.args[1]) == 1:
                return self._layer(op, op.args[2], op.args[3], gate, "norm")
        elif op.name == "convolution" and dim == 1 and not op.args[6]:
            return self._layer(op, op.args[1], op.args[2], gate, "convolution")
        elif op.name in {"addmm", "mm"} and dim == 1 and not op.kwargs:
            *bias, _, matrix = op.args
            weight = self._transposed(matrix, op)
            biases = [self._leaf(b, op) for b in bias]
            if weight is not None and None not in biases:
                names = [weight, *map(str, biases)]
                return [self._scaled(name, gate, "linear") for name in names]
        elif op.name == "mul" and (weight := self._factor(op, value, dim)) is not None:
            return [self._scaled(weight, gate.reshape(self._numbers(weight).shape), "scale")]
        return None

    def _layer(
        self, op: Op, weight: object, bias: object, gate: Tensor, kind: str
    ) -> list[Change] | None:
        names = [self._leaf(weight, op)]
        if bias is not None:
            names.append(self._leaf(bias, op))
        if None in names or any(self._numbers(str(n)).shape[0] != len(gate) for n in names):
            return None
        return [self._scaled(str(name), gate, kind) for name in names]

    def _scaled(self, name: str, gate: Tensor, kind: str) -> Change:
        """Return the change that multiplies a parameter by a gate along its first dimension."""
        shape = self._numbers(name).shape
        if gate.dim() == 1 and len(shape) > 1:
            gate = gate.reshape(-1, *[1] * (len(shape) - 1))
        return Change(name, gate, kind)

    def _factor(self, op: Op, value: Value, dim: int) -> str | None:
        """Return the parameter of one number per channel that ``op`` multiplies a map by."""
        if len(op.activations) != 1 or len(op.parameters) != 1:
            return None
        return self._vector(op.parameters[0], op, value, dim)

    def _vector(self, given: Value, op: Op, value: Value, dim: int) -> str | None:
        offset = len(value.shape) - len(given.shape)
        along = dim - offset
        channels = value.shape[dim]
        if offset < 0 or along < 0 or not given.numel == given.shape[along] == channels:
            return None
        if op.activations[0].shape != value.shape or op.kwargs:
            return None
        return self._leaf(given, op)

    def _passes(self, op: Op, gate: Tensor) -> bool:
        """Whether a multiplication of channels can be moved past an operator of one map."""
        if len(op.activations) != 1 or not op.outputs:
            return False
        if op.name in VIEW | _LINEAR:
            return True
        if op.name in {"mul", "div"}:
            return len(op.inputs) == 1 and not op.kwargs
        if op.name == "constant_pad_nd":
            return (op.args[2] if len(op.args) > 2 else 0) == 0
        return op.name in _HOMOGENEOUS and bool((gate >= 0).all())

    # Forwards

    def _onward(
        self, value: Value, dim: int, gate: Tensor, *, in_place: bool
    ) -> list[Change] | None:
        users = self._users(value)
        if value in self._results or not users:
            return None
        changes: list[Change] = []
        for op in users:
            # What works in place would change a map that others still read.
            if op.func._schema.is_mutable and not in_place:
                return None
            found = self._taken(op, value, dim, gate)
            if found is None and self._passes(op, gate) and op.inputs[0] is value:
                place = moved(value, op.outputs[0], dim)
                if place is not None:
                    found = self._onward(op.outputs[0], place, gate, in_place=in_place)
            elif found is None and op.name == "mean" and op.inputs[0] is value:
                found = self._averaged(op, dim, gate, in_place=in_place)
            if found is None:
                return None
            changes += found
        return changes

    def _averaged(self, op: Op, dim: int, gate: Tensor, *, in_place: bool) -> list[Change] | None:
        rank = len(op.inputs[0].shape)
        dims = [d % rank for d in op.args[1]] if len(op.args) > 1 and op.args[1] else []
        if not dims or dim in dims:
            return None
        kept = len(op.outputs[0].shape) == rank
        place = dim if kept else dim - sum(d < dim for d in dims)
        return self._onward(op.outputs[0], place, gate, in_place=in_place)

    def _taken(self, op: Op, value: Value, dim: int, gate: Tensor) -> list[Change] | None:
        """Return the parameters of a layer that takes a map, if it can take the gate along."""
        if [v for v in op.activations if v is not value] or op.inputs[0].numel == 0:
            return None
        if op.name == "convolution" and dim == 1 and not op.args[6]:
            return self._convolution(op, gate)
        if op.name in {"addmm", "mm"} and dim == 1 and not op.kwargs and op.args[-2] is value:
            weight = self._transposed(op.args[-1], op)
            return [Change(weight, gate[None, :], "linear")] if weight is not None else None
        if op.name in _BATCH_NORM and dim == 1 and op.args[5] is False:
            return self._norm(op, gate)
        if op.name == "mul" and (weight := self._factor(op, value, dim)) is not None:
            return [self._scaled(weight, gate.reshape(self._numbers(weight).shape), "scale")]
        return None

    def _convolution(self, op: Op, gate: Tensor) -> list[Change] | None:
        weight = self._leaf(op.args[1], op)
        if weight is None:
            return None
        shape, groups = self._numbers(weight).shape, op.args[8]
        # Each group of outputs reads its own group of inputs.
        each = gate.reshape(groups, 1, shape[1]).expand(-1, shape[0] // groups, -1)
        factor = each.reshape(shape[0], shape[1], *[1] * (len(shape) - 2))
        return [Change(weight, factor, "convolution")]

    def _norm(self, op: Op, gate: Tensor) -> list[Change] | None:
        """Take a gate g into a norm with fixed statistics: w (g x - m) / s + b = w g (x - m) / s + b'."""
        weight, bias = (self._leaf(op.args[n], op) for n in (1, 2))
        if weight is None or bias is None:
            return None
        if any(op.args[n].op is not None for n in (3, 4)):
            return None
        mean, variance = (self._numbers(op.args[n].parameter).double() for n in (3, 4))
        slope = self._numbers(weight).double() / (variance + op.args[7]).sqrt()
        return [
            Change(weight, gate, "norm"),
            Change(bias, gate.new_ones(1), "norm", slope * mean * (gate - 1)),
        ]


def moved(before: Value, after: Value, dim: int) -> int | None:
    """Return which dimension of ``after`` are the channels that are dimension ``dim`` of ``before``.

    One of the two is made from the other by an operator that keeps channels together, or by a change of
    shape or order.
    """
    op = after.op if after.op is not None and before in after.op.inputs else before.op
    assert op is not None
    channels, forwards = before.shape[dim], op is after.op
    if op.name in {"permute", "transpose", "t", "swapaxes", "movedim"}:
        order = _order(op)
        if order is None:
            return None
        place = order.index(dim) if forwards else order[dim]
    elif op.name in VIEW and before.shape != after.shape:
        if before.numel != after.numel or channels == 1:
            return None
        leading = math.prod(before.shape[:dim])
        fits = [
            d
            for d, n in enumerate(after.shape)
            if n == channels and math.prod(after.shape[:d]) == leading
        ]
        place = fits[0] if len(fits) == 1 else -1
    else:
        if dim >= len(before.shape) - _window(op):
            return None
        place = dim
    fits_there = 0 <= place < len(after.shape) and after.shape[place] == channels
    return place if fits_there else None


def _window(op: Op) -> int:
    """Return over how many of the last dimensions an operator pools, pads or resizes."""
    if op.name == "constant_pad_nd":
        return len(op.args[1]) // 2
    if "pool" in op.name or "pad" in op.name or op.name.lstrip("_").startswith("upsample"):
        return next(int(letter) for letter in op.name if letter.isdigit())
    return 0


def _order(op: Op) -> list[int] | None:
    """Return which dimension of the input each dimension of the output is."""
    rank = len(op.inputs[0].shape)
    if op.name == "permute":
        return [d % rank for d in op.args[1]]
    if op.name == "movedim":
        return None
    order = list(range(rank))
    first, second = op.args[1:3] if op.name != "t" else (0, rank - 1)
    order[first], order[second] = order[second], order[first]
    return order


def _same_shapes(maps: Sequence[Value], value: Value) -> bool:
    return all(v.shape == value.shape for v in maps)
