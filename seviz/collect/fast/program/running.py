"""Running a network as a list of fused operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seviz.collect.fast.backends import Answer, arranged
from seviz.collect.fast.program.fusing import can_fuse, fuse
from seviz.collect.fast.program.nodes import (
    Node,
    Nodes,
    NotAProgramError,
    Ref,
    Slot,
    filled,
    nodes,
    tensors_in,
)
from seviz.gates import Inputs
from seviz.gates.reading import HookReading, Reading

# A block's name, and which part of its gate.
_Part = tuple[str, int]
_Read = Callable[[Tensor], Tensor]
_Reads = dict[Slot, list[tuple[_Part, _Read]]]


class Program:
    """Run a network as operators, fused where there are kernels for it.

    Args:
        model: A copy of the network that is given away: its weights are stored anew, and gone from it.
        readings: How to read each gate.
        shape: Of the batches, [N, C, H, W]: weights are stored as kernels want them for it. Batches of more
            or fewer images run, too, but of no other size: operators have it in their arguments.
        outputs: Whether the network's output is needed; else it ends at the last gate.

    Attributes:
        fused: How many convolutions something is fused with.

    Raises:
        NotAProgramError: If the network is no list of operators, or there are no kernels here.
    """

    def __init__(
        self,
        model: nn.Module,
        readings: Mapping[str, Reading],
        shape: tuple[int, ...],
        *,
        outputs: bool = True,
    ) -> None:
        if not can_fuse():
            raise NotAProgramError("this PyTorch has no fused operators")
        if len(shape) != 4:
            raise NotAProgramError("its images are no maps")
        given = nodes(model, shape[1:])
        reads = _reads(given, readings, model)
        given.kept = set(reads)
        if not outputs:
            _end_at_the_last_gate(given)
        self.fused = fuse(given, shape[0])
        _forget(model, [given.names[s] for s in given.stored if s in given.names])
        self._outputs = outputs
        self._parts = {name: len(r.parts) for name, r in readings.items()}
        self._images, self._result = given.images, given.result
        taken = {slot for node in given.todo for slot in node.inputs}
        self._constants = {s: t for s, t in given.constants.items() if s in taken}
        self._steps = _steps(given, reads)
        self._held = ExitStack()

    def __enter__(self) -> Program:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            self._held = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._held.close()

    def __call__(self, images: Tensor) -> Answer:
        """Return the answer for images [N, C, H, W] on the network's device."""
        if isinstance(images, Inputs):
            raise NotAProgramError("it takes several inputs")
        gates: dict[_Part, Tensor] = {}
        last = self._computed(arranged(images), gates)
        read = {
            name: torch.cat([gates[name, part] for part in range(parts)], 1)
            for name, parts in self._parts.items()
        }
        return Answer(last if self._outputs else images.new_empty(len(images), 0), read)

    def _computed(self, images: Tensor, gates: dict[_Part, Tensor]) -> Tensor:
        slots = {**self._constants, self._images: images}
        for step in self._steps:
            result = step.run(slots, len(images))
            if isinstance(result, Tensor):
                slots[step.outputs[0]] = result
            else:
                slots.update(zip(step.outputs, tensors_in(result), strict=True))
            for slot, part, read in step.reads:
                gates[part] = read(slots[slot])
            for slot in step.dead:
                del slots[slot]
        return slots[self._result]


class _Step(NamedTuple):
    """An operator, ready to run.

    Attributes:
        run: Called with the slots and the number of images.
        outputs: Where its results go.
        reads: Gates in them.
        dead: Slots of which this is the last use.
    """

    run: Callable[[dict[Slot, Tensor], int], Any]
    outputs: tuple[Slot, ...]
    reads: tuple[tuple[Slot, _Part, _Read], ...]
    dead: tuple[Slot, ...]


def _steps(given: Nodes, reads: _Reads) -> list[_Step]:
    last = {s: p for p, n in enumerate(given.todo) for s in (*n.inputs, *n.outputs)}
    ends: dict[int, list[Slot]] = {}
    for slot, place in last.items():
        if slot != given.result and slot not in given.constants:
            ends.setdefault(place, []).append(slot)
    return [
        _Step(
            _call(node),
            node.outputs,
            tuple((s, part, read) for s in node.outputs for part, read in reads.get(s, ())),
            tuple(ends.get(place, ())),
        )
        for place, node in enumerate(given.todo)
    ]


def _end_at_the_last_gate(given: Nodes) -> None:
    places = [p for p, n in enumerate(given.todo) if set(n.outputs) & given.kept]
    if not places:
        raise NotAProgramError("there is no gate to compute")
    given.todo = given.todo[: places[-1] + 1]
    given.result = next(s for s in given.todo[-1].outputs if s in given.kept)


def _forget(model: nn.Module, names: list[str]) -> None:
    """Free weights of a network that are stored in another form."""
    for name in names:
        path, _, leaf = name.rpartition(".")
        module = model.get_submodule(path)
        if leaf in module._parameters:
            module._parameters[leaf] = nn.Parameter(torch.empty(0), requires_grad=False)


def _call(node: Node) -> Callable[[dict[Slot, Tensor], int], Any]:
    """Return an operator that takes its arguments from the slots."""
    run = node.run
    if not node.kwargs and all(isinstance(a, Ref) for a in node.args):
        places = [a.slot for a in node.args]
        return lambda slots, images: run(*[slots[p] for p in places])

    def general(slots: dict[Slot, Tensor], images: int) -> Any:
        args, kwargs = filled((node.args, node.kwargs), slots, images)
        return run(*args, **kwargs)

    return general


def _reads(given: Nodes, readings: Mapping[str, Reading], model: nn.Module) -> _Reads:
    """Return how the gates are read from the slots."""
    slots = {id(v): s for s, v in given.values.items()}
    found: _Reads = {}
    for name, whole in readings.items():
        for number, part in enumerate(whole.parts):
            if isinstance(part, HookReading):
                ends = [
                    v
                    for v in given.values.values()
                    if any(e.call == part.call and e.position == part.output for e in v.exits)
                ]
            else:
                ends = [
                    op.inputs[part.factor]
                    for op in {id(v.op): v.op for v in given.values.values()}.values()
                    if op is not None
                    and (op.call, op.ordinal) == (part.call, part.ordinal)
                    and op.name == "mul"
                ]
            if len(ends) != 1 or slots[id(ends[0])] in given.constants:
                raise NotAProgramError(f"the gate of {name} is not found among its operators")

            def read(operand: Tensor, part: Any = part) -> Tensor:
                return part.read(operand, model)  # type: ignore[no-any-return]

            found.setdefault(slots[id(ends[0])], []).append(((name, number), read))
    return found
