"""How a gate is read at run time, worked out once from the graph.

In order of preference: a forward hook on the module that returns the gate; a hook on the last layer
before it, with the elementwise end replayed; where no module boundary exists (raw parameters, scripted
code), the multiplication itself, watched under a light dispatch mode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seviz.errors import CheckpointError
from seviz.gates.elementwise import CannotReplayError, is_elementwise, replay
from seviz.gates.graph import Call, Op, Value
from seviz.gates.ops import STRUCTURE
from seviz.gates.positions import positions


@dataclass(frozen=True, eq=False)
class HookReading:
    """Read the gate from what a module returns.

    Attributes:
        call: Which call of which module.
        output: Position of the tensor among the tensors that the module returns.
        columns: Positions of the C gates in the flattened output of one image; ``None`` for all of
            them in order.
        gate: The gate's value in the graph.
        start: The module's output in the graph.
    """

    call: Call
    output: int
    columns: Tensor | None
    gate: Value
    start: Value
    _placed: dict[torch.device, Tensor] = field(default_factory=dict, init=False, repr=False)

    @property
    def parts(self) -> tuple[HookReading]:
        """Return itself, which is all of it."""
        return (self,)

    def read(self, output: Tensor, model: nn.Module) -> Tensor:
        """Return gates [N, C] from the module's output [N, ...].

        Raises:
            CheckpointError: If the output has another size than in the traced pass.
        """
        flat = output.detach().reshape(output.shape[0], -1)
        traced = math.prod(self.start.shape[1:])
        if flat.shape[1] != traced:
            raise CheckpointError(
                f"expected {traced} numbers per image from {self.call.path}, as in the traced pass, "
                f"found {flat.shape[1]}; run images of the size that was traced"
            )
        if self.columns is not None:
            flat = flat[:, self._columns_on(flat.device)]
        if self.gate is self.start:
            return flat.clone()
        gates = replay(self.gate, self.start, flat, lambda name: _tensor(model, name))
        return gates.clone() if gates is flat else gates

    def _columns_on(self, device: torch.device) -> Tensor:
        # Copied once: the host would wait for the GPU at every batch.
        if device not in self._placed:
            assert self.columns is not None
            self._placed[device] = self.columns.to(device)
        return self._placed[device]


@dataclass(frozen=True, eq=False)
class ModeReading:
    """Read the gate from the operand of a multiplication.

    Attributes:
        call: The module call in which it runs.
        ordinal: Which multiplication of two tensors it is in that call, from 1.
        factor: Position of the gate among the two factors.
        rank: Number of dimensions of the scaled map.
        dims: Those over which the gate varies: the channels; before them the maps, where several are
            stacked.
        sizes: How large they are.
        per_pixel: Whether the gate varies over the map; its spatial mean is read then.
    """

    call: Call
    ordinal: int
    factor: int
    rank: int
    dims: tuple[int, ...]
    sizes: tuple[int, ...]
    per_pixel: bool = False

    @property
    def parts(self) -> tuple[ModeReading]:
        """Return itself, which is all of it."""
        return (self,)

    def read(self, operand: Tensor, model: nn.Module) -> Tensor:
        """Return gates [N, C] from the factor that broadcasts over [N, ..., C, ...]."""
        full = operand.detach().reshape((1,) * (self.rank - operand.dim()) + operand.shape)
        own = range(1, 1 + len(self.dims))
        full = full.movedim(self.dims, tuple(own)).flatten(1 + len(self.dims))
        gate = full.mean(-1) if self.per_pixel else full[..., 0]
        return gate.expand(-1, *self.sizes).flatten(1).clone()


@dataclass(frozen=True, eq=False)
class JoinedReading:
    """Read the gate in parts: one for each of several maps that are multiplied one by one.

    Attributes:
        parts: How each part is read, in their order.
    """

    parts: tuple[HookReading | ModeReading, ...]


Reading = HookReading | ModeReading | JoinedReading


def plan(
    op: Op, gate: Value, scaled: Value, dims: tuple[int, ...], *, per_pixel: bool = False
) -> HookReading | ModeReading:
    """Return the best way to read ``gate``, a factor of the multiplication ``op`` with ``scaled``.

    Args:
        op: The multiplication.
        gate: The gate.
        scaled: The map.
        dims: Dimensions of the map over which the gate varies, in the order in which it is read.
        per_pixel: Whether it varies over the pixels as well, so that its mean over them is read.
    """
    if not per_pixel:
        hook = _hook(gate, scaled, dims)
        if hook is not None:
            return hook
    return multiplication(op, gate, scaled, dims, per_pixel=per_pixel)


def multiplication(
    op: Op, gate: Value, scaled: Value, dims: tuple[int, ...], *, per_pixel: bool = False
) -> ModeReading:
    """Return how the gate is read from its multiplication, whatever module returns it."""
    factors = op.args[1:3] if op.name == "addcmul" else op.args[:2]
    return ModeReading(
        op.call,
        op.ordinal,
        0 if factors[0] is gate else 1,
        len(scaled.shape),
        dims,
        tuple(scaled.shape[d] for d in dims),
        per_pixel,
    )


def _hook(gate: Value, scaled: Value, dims: tuple[int, ...]) -> HookReading | None:
    start = _module_output(gate)
    return from_output(gate, start, scaled, dims) if start is not None else None


def from_output(
    gate: Value, start: Value, scaled: Value, dims: tuple[int, ...]
) -> HookReading | None:
    """Return how ``gate`` is read from ``start``, which a module returns; ``None`` if it cannot be."""
    if start.shape[:1] != scaled.shape[:1]:
        return None
    call, output = start.exits[0]
    try:
        place = positions(gate, start)
        probe = torch.zeros(1, 1, dtype=torch.float64)
        replay(gate, start, probe, lambda name: torch.ones((), dtype=torch.float64))
    except (CannotReplayError, RuntimeError, TypeError, IndexError):
        return None
    full = place.reshape((1,) * (len(scaled.shape) - place.dim()) + place.shape)
    full = full.expand(*[max(n, m) for n, m in zip(full.shape, scaled.shape, strict=True)])
    first = full.movedim(dims, tuple(range(-len(dims), 0)))
    while first.dim() > len(dims):
        first = first[0]
    columns = first.flatten().round().long()
    everything = torch.arange(math.prod(start.shape[1:]))
    return HookReading(
        call, output, None if torch.equal(columns, everything) else columns, gate, start
    )


def _module_output(gate: Value) -> Value | None:
    """Return the value nearest to the gate that a module returns and that determines the gate."""
    value = gate
    # An expanded output has as many numbers as the map: its size would change with the image's.
    while not value.exits or 0 in value.stride:
        op = value.op
        if op is None or not (op.name in STRUCTURE or is_elementwise(op)):
            return None
        inputs = [v for v in op.activations if v.op is not None]
        if len({id(v) for v in inputs}) != 1:
            return _common(inputs)
        value = inputs[0]
    return value


def _common(inputs: list[Value]) -> Value | None:
    """Return the module output that all of several elementwise operands come from (``x * sigmoid(x)``)."""
    found = [_module_output(v) for v in inputs]
    return found[0] if found and all(f is not None and f is found[0] for f in found) else None


def _tensor(model: nn.Module, name: str) -> Tensor:
    path, _, leaf = name.rpartition(".")
    tensor: Tensor = getattr(model.get_submodule(path), leaf)
    return tensor.detach()
