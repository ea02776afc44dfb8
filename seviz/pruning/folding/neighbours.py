"""What can stand where an SE block was, so that its parameters go and nobody's ``forward`` changes.

Where the block is a module of its own, that module is replaced. Where SE is written into something larger,
the module that gives the gate (or what the gate is a function of) is replaced by one that always gives the
same numbers, and the layers before it by ones without weights.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from seviz.cost.attribution import Part, Split, used_parameters
from seviz.gates.additions import addition
from seviz.gates.elementwise import CannotReplayError, is_elementwise, replay
from seviz.gates.graph import Call, Op, Value
from seviz.gates.ops import STRUCTURE, VIEW
from seviz.gates.reading import HookReading, from_output
from seviz.networks.folds import Place
from seviz.pruning.folding.absorbing import moved

# No gate function is further from its limits than rounding at this distance from zero.
_REACH = 100.0
_STEPS = 200
_AGREE = 1e-6

# State-dict name of a parameter, and the module that runs the operator on it.
Own = tuple[str, str]


class Modules:
    """Which modules of a recorded pass can be replaced.

    Args:
        split: The pass, divided into SE and the rest.
    """

    def __init__(self, split: Split) -> None:
        self._split = split
        self._results = set(split.graph.results)
        self._calls: dict[str, set[Call]] = {}
        self._returned: dict[Call, list[Value]] = {}
        values = {v: None for op in split.graph.ops for v in (*op.inputs, *op.outputs)}
        for value in values:
            for call, _ in value.exits:
                self._calls.setdefault(call.path, set()).add(call)
                self._returned.setdefault(call, []).append(value)

    def returned(self, path: str) -> Value | None:
        """Return what a module returns, if it runs once and returns one tensor."""
        calls = self._calls.get(path, set())
        if len(calls) != 1:
            return None
        values = self._returned[next(iter(calls))]
        return values[0] if len(values) == 1 else None

    def only(self, path: str, ops: Collection[Op]) -> bool:
        """Return whether a module runs no operator that is not among ``ops`` or without effect."""
        inside = [op for op in self._split.graph.ops if _is_in(op.call.path, path)]
        return not any(self._matters(op, ops) for op in inside)

    def _matters(self, op: Op, ops: Collection[Op]) -> bool:
        """Whether anything but ``ops`` depends on an operator."""
        if op in ops:
            return False
        if op.func._schema.is_mutable or any(out in self._results for out in op.outputs):
            return True
        return any(self._matters(use, ops) for out in op.outputs for use in out.uses)


def whole(part: Part, path: str | None, modules: Modules) -> tuple[Value, int] | None:
    """Return what the module that is a block returns, and its channel dimension.

    Args:
        part: The block.
        path: The module that holds it, and nothing else, if there is one.
        modules: The modules of the pass.
    """
    end = modules.returned(path) if path is not None else None
    if end is None:
        return None
    value = part.scale[-1].outputs[0]
    dim: int | None = channel(part)
    while value is not end:
        following = [use for use in value.uses if use.name in VIEW and use.outputs]
        if len(following) != 1 or dim is None:
            return None
        dim = moved(value, following[0].outputs[0], dim)
        value = following[0].outputs[0]
    return (end, dim) if dim is not None else None


def channel(part: Part) -> int:
    """Return the channel dimension of the map that a block scales."""
    (dim,) = (d for d in part.traced.site.kept if d != 0)
    return dim


def scale_shape(end: Value, dim: int) -> tuple[int, ...]:
    """Return the shape of a scale that broadcasts over the map of one image."""
    return tuple(n if d == dim else 1 for d, n in enumerate(end.shape))[1:]


def fixed(
    part: Part,
    own: Sequence[Own],
    gate: Tensor,
    modules: Modules,
    tensors: Mapping[str, Tensor],
    parameters: Collection[str],
    shift: Tensor | None = None,
) -> tuple[list[Place], Tensor] | None:
    """Return what makes gate and shift come out as given, wherever SE is written, and the numbers of it.

    Args:
        part: The block.
        own: What `own_parameters` gives.
        gate: The gate [C], float64.
        modules: The modules of the pass.
        tensors: Parameters and buffers by state-dict name.
        parameters: Which of them are parameters.
        shift: The shift [C], float64, where the block has one.

    Returns:
        The places, the first of them the one that gives the numbers; ``None`` where no module gives the
        gate, or weights belong to none.
    """
    ops = set(part.ops)
    found = _source(part, gate, shift, modules, tensors)
    if found is None:
        return None
    path, shape, numbers = found
    places = [Place(path, "gate", shape)]
    for name, runs in own:
        owner = runs.partition(".parametrizations.")[0]
        if any(_is_in(owner, place.path) for place in places):
            continue
        out = modules.returned(owner) if owner else None
        if out is not None and modules.only(owner, ops):
            places.append(Place(owner, "zeros", out.shape[1:]))
        elif name in parameters:
            return None
    return places, numbers.reshape(shape)


def _source(
    part: Part,
    gate: Tensor,
    shift: Tensor | None,
    modules: Modules,
    tensors: Mapping[str, Tensor],
) -> tuple[str, tuple[int, ...], Tensor] | None:
    """Return the module nearest to the gate that can be replaced: path, shape for one image, numbers."""
    site, ops = part.traced.site, set(part.ops)
    for start in _before(site.gate):
        fits = [
            call.path
            for call, _ in start.exits
            if call.path and modules.returned(call.path) is start and modules.only(call.path, ops)
        ]
        reading = from_output(site.gate, start, site.scaled, (channel(part),)) if fits else None
        if reading is None:
            continue
        shape = start.shape[1:]
        if part.traced.block.mechanism.per_pixel:  # one number for all pixels of a channel
            if start.shape != site.scaled.shape or shift is not None:
                continue
            shape = scale_shape(start, channel(part))
            numbers = _solved(reading, gate, tensors.__getitem__)
        else:
            numbers = inverse(reading, gate, tensors.__getitem__)
        if numbers is not None and shift is not None:
            others = _of_shift(part, start, shift, tensors)
            # Each number of the module is one of the gate's, or one of the shift's.
            if others is None or bool(((numbers != 0) & (others != 0)).any()):
                continue
            numbers = numbers + others
        if numbers is not None:
            return fits[-1], shape, numbers  # the outermost: most goes with it
    return None


def _of_shift(
    part: Part, start: Value, shift: Tensor, tensors: Mapping[str, Tensor]
) -> Tensor | None:
    """Return the numbers of what a module returns that make a shift, the others being 0."""
    sum_ = addition(part.traced)
    if sum_ is None:
        return None
    reading = from_output(sum_.addend, start, sum_.op.outputs[0], (channel(part),))
    if reading is None:
        return None
    return inverse(reading, shift / sum_.factor, tensors.__getitem__)


def _before(gate: Value) -> Iterator[Value]:
    """Yield the gate, and what it is an elementwise function of, step by step."""
    value: Value | None = gate
    while value is not None:
        # An expanded output has as many numbers as the map: its size would change with the image's.
        if value.exits and 0 not in value.stride:
            yield value
        op = value.op
        if op is None or not (op.name in STRUCTURE or is_elementwise(op)):
            return
        inputs = {v for v in op.activations if v.op is not None}
        value = inputs.pop() if len(inputs) == 1 else None


def own_parameters(part: Part, split: Split, kept: Sequence[Part]) -> list[Own]:
    """Return the parameters and buffers that go with a block, in the order of use.

    Args:
        part: The block.
        split: The pass.
        kept: The blocks that stay.
    """
    shared = used_parameters([*split.rest, *(op for p in kept for op in p.ops)])
    used = {(v.parameter, op.call.path): None for op in part.ops for v in op.inputs if v.op is None}
    return [(name, path) for name, path in used if name is not None and name not in shared]


def inverse(
    reading: HookReading, gate: Tensor, parameters: Callable[[str], Tensor]
) -> Tensor | None:
    """Return the numbers from which the elementwise end of an excitation makes a gate.

    Args:
        reading: How the gate is read.
        gate: The gate [C], float64.
        parameters: Look-up by state-dict name.

    Returns:
        Every number that the module gives for one image, float64; ``None`` if there are none that make
        this gate.
    """
    size = reading.start.numel // reading.start.shape[0]
    columns = reading.columns if reading.columns is not None else torch.arange(len(gate))
    found = _solved(reading, gate, parameters)
    if found is None or len(columns) != len(gate):
        return None
    numbers = gate.new_zeros(size)
    numbers[columns] = found
    return numbers


def _solved(
    reading: HookReading, gate: Tensor, parameters: Callable[[str], Tensor]
) -> Tensor | None:
    """Return the number for each channel from which the elementwise end makes its gate."""
    if reading.gate is reading.start:
        return gate
    low, high = torch.full_like(gate, -_REACH), torch.full_like(gate, _REACH)

    def made(numbers: Tensor) -> Tensor:
        return replay(reading.gate, reading.start, numbers, parameters).double()

    try:
        falls = made(high) < made(low)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            above = (made(middle) > gate) != falls
            low, high = low.where(above, middle), high.where(~above, middle)
        found = (low + high) / 2
        agrees = (made(found) - gate).abs().max() <= _AGREE
    except (CannotReplayError, RuntimeError, TypeError):
        return None
    return found if agrees else None


def _is_in(path: str, module: str) -> bool:
    return path == module or path.startswith(f"{module}.")
