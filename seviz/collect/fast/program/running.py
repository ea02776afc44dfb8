"""Running a network as a list of fused operators, a few images at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from seviz.collect.fast.backends import Answer, arranged
from seviz.collect.fast.program.chunks import Segment, segments
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

_Gates = dict[str, Tensor]
_Read = Callable[[Tensor], Tensor]
# Of the recordings that everything was worked out from.
_LEAST = 2


class Program:
    """Run a network as operators, fused where there are kernels for it.

    Args:
        model: A copy of the network that is given away: its weights are stored anew, and gone from it.
        readings: How to read each gate.
        size: Of an image, [C, H, W].
        outputs: Whether the network's output is needed; else it ends at the last gate.
        cache_size: Bytes that the maps of a few images are to have room in; the machine's by default.

    Attributes:
        fused: How many convolutions something is fused with.
        segments: Which operators run for how many images at a time.

    Raises:
        NotAProgramError: If the network is no list of operators, or there are no kernels here.
    """

    def __init__(
        self,
        model: nn.Module,
        readings: Mapping[str, Reading],
        size: tuple[int, ...],
        *,
        outputs: bool = True,
        cache_size: int | None = None,
    ) -> None:
        if not can_fuse():
            raise NotAProgramError("this PyTorch has no fused operators")
        if len(size) != 3:
            raise NotAProgramError("its images are no maps")
        given = nodes(model, size)
        reads = _reads(given, readings, model)
        given.kept = set(reads)
        if not outputs:
            _end_at_the_last_gate(given)
        planned = segments(given, cache_size)
        self.fused = fuse(given, lambda place: _segment_at(planned, place).images)
        _forget(model, [given.names[s] for s in given.stored if s in given.names])
        self.segments = segments(given, cache_size)
        self._outputs, self._names = outputs, list(readings)
        self._parts = {name: len(r.parts) for name, r in readings.items()}
        self._run = [_Part(given, s, reads) for s in self.segments]
        self._result = given.result
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
        count = len(images)
        if count < _LEAST:
            images = images.expand(_LEAST, *images.shape[1:])
        gates: dict[tuple[str, int], list[Tensor]] = {}
        last = self._through(len(self._run) - 1, images, gates)
        whole = {key: torch.cat(parts)[:count] for key, parts in gates.items()}
        read = {
            name: torch.cat([whole[name, part] for part in range(self._parts[name])], 1)
            for name in self._names
        }
        logits = last[:count] if self._outputs else images.new_empty(count, 0)
        return Answer(logits, read)

    def _through(
        self, number: int, images: Tensor, gates: dict[tuple[str, int], list[Tensor]]
    ) -> Tensor:
        """Return what a part of the network and those before it make of images."""
        part = self._run[number]
        made = []
        for some in torch.split(images, part.segment.images):
            taken = self._through(number - 1, some, gates) if number else arranged(some)
            made.append(part(taken, gates))
        return made[0] if len(made) == 1 else torch.cat(made)


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


def _segment_at(planned: list[Segment], place: int) -> Segment:
    return next(s for s in planned if s.start <= place < s.stop)


class _Part:
    """One segment, ready to run."""

    def __init__(
        self, given: Nodes, segment: Segment, reads: dict[Slot, list[tuple[tuple[str, int], _Read]]]
    ) -> None:
        self.segment = segment
        own = given.todo[segment.start : segment.stop]
        self._constants = {
            s: given.constants[s] for node in own for s in node.inputs if s in given.constants
        }
        last = {s: place for place, node in enumerate(own) for s in (*node.inputs, *node.outputs)}
        following = [s for n in given.todo[segment.stop :] for s in n.inputs]
        needed = {given.result, *following}
        self._steps = []
        for place, node in enumerate(own):
            dead = [
                s for s, p in last.items() if p == place and s not in needed | set(self._constants)
            ]
            reading = [(s, r) for s in node.outputs for r in reads.get(s, ())]
            self._steps.append((node, _call(node), reading, dead))
        ends = [s for node in own for s in node.outputs if s in needed]
        self._gives = ends[-1] if ends else own[-1].outputs[-1]

    def __call__(self, taken: Tensor, gates: dict[tuple[str, int], list[Tensor]]) -> Tensor:
        slots: dict[Slot, Tensor] = {**self._constants, self.segment.takes: taken}
        images = len(taken)
        for node, run, reading, dead in self._steps:
            result = run(slots, images)
            if isinstance(result, Tensor):
                slots[node.outputs[0]] = result
            else:
                slots.update(zip(node.outputs, tensors_in(result), strict=True))
            for slot, (key, read) in reading:
                gates.setdefault(key, []).append(read(slots[slot]))
            for slot in dead:
                del slots[slot]
        return slots[self._gives]


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


def _reads(
    given: Nodes, readings: Mapping[str, Reading], model: nn.Module
) -> dict[Slot, list[tuple[tuple[str, int], _Read]]]:
    """Return how the gates are read from the slots."""
    slots = {id(v): s for s, v in given.values.items()}
    found: dict[Slot, list[tuple[tuple[str, int], _Read]]] = {}
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
