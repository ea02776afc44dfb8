"""Which operators and parameters belong to which SE block, or block of another kind.

A gate's operators are those that nobody needs once the map goes on unscaled. The recorded pass is walked
back from the network's output twice: with the multiplications, and past them. What the second walk does not
reach is SE, or whatever kind the blocks are of, in whatever way it is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from seviz.errors import CheckpointError
from seviz.gates import Trace, TracedBlock
from seviz.gates.classify import shift
from seviz.gates.graph import Graph, Op, Value
from seviz.gates.ops import LINEAR, NORM, POOL, REDUCE
from seviz.gates.own_size import OwnSize
from seviz.results.blocks import GateBlock

_SHRINKS = REDUCE | POOL


@dataclass(frozen=True, eq=False)
class Part:
    """The operators of one block, in the order in which they ran.

    Attributes:
        traced: The block.
        squeeze: From the map to the squeezed vector.
        excitation: From there to the gate.
        scale: What is done to the map: the multiplication, the addition of a shift, writing out an
            expanded gate.
        layers: The two fully connected layers; of another kind those that it has, once for each use.
        map_elements: Elements of the scaled map, or maps, of all images of the pass.
    """

    traced: TracedBlock
    squeeze: tuple[Op, ...]
    excitation: tuple[Op, ...]
    scale: tuple[Op, ...]
    layers: tuple[Op, ...]
    map_elements: int

    @property
    def block(self) -> GateBlock:
        """Return what is known of the block."""
        return self.traced.block

    @property
    def ops(self) -> tuple[Op, ...]:
        """Return all of its operators."""
        return (*self.squeeze, *self.excitation, *self.scale)


@dataclass(frozen=True, eq=False)
class Split:
    """A recorded pass, divided into its blocks and the rest.

    Attributes:
        graph: The pass, on images of the size that was asked for.
        parts: One for each block.
        rest: The operators of the twin without them.
    """

    graph: Graph
    parts: tuple[Part, ...]
    rest: tuple[Op, ...]

    @property
    def se(self) -> list[Op]:
        """Return the operators of all blocks."""
        return [op for part in self.parts for op in part.ops]


def split(trace: Trace) -> Split:
    """Divide a recorded pass into its blocks and the rest.

    Raises:
        CheckpointError: If the blocks, found on larger images, cannot be found again in the pass on
            images of the size that was asked for.
    """
    graph = trace.own_size
    same = _Matching(trace)
    sites = {same.op(site.op) for t in trace.blocks for site in t.sites}
    shifts = {t: shift(t.site, t.excitation) for t in trace.blocks if t.block.shift}
    past: dict[Op, list[Value]] = {}
    for t in trace.blocks:
        for site in t.sites:
            past[same.op(site.op)] = [same.value(site.scaled)]
        op, added = same.op(t.site.op), shifts.get(t)
        if op.name == "addcmul" and added is None:
            past[op] += [v for v in op.args[:1] if isinstance(v, Value)]  # the shortcut
        elif added is not None and added is not t.site.op:
            op = same.op(added)
            past[op] = [max(op.activations, key=lambda v: (v.numel, _leads_to(v, sites)))]
    kept = _needed(graph.results, past)
    removed = _needed(graph.results, {}) - kept
    for t in trace.blocks:
        # A write into a part of a map is not seen to be needed; the finder's own list has it.
        own = (*t.excitation.ops, *(site.op for site in t.sites))
        removed |= {same.op(op) for op in own} - kept
    order = {op: n for n, op in enumerate(graph.ops)}
    taken: set[Op] = set()
    parts = []
    for t in trace.blocks:
        last = [site.op for site in t.sites]
        ends = [same.op(op) for op in dict.fromkeys((*last, shifts.get(t) or t.site.op))]
        behind = _behind(ends, removed - taken, [op for op in past if op not in ends])
        taken |= behind
        parts.append(_part(t, sorted(behind, key=order.__getitem__), ends, same))
    rest = tuple(op for op in graph.ops if op not in taken)
    return Split(graph, tuple(parts), rest)


def leaves(value: Value) -> set[Value]:
    """Return the parameters and buffers that a value which depends on nothing else comes from."""
    if value.op is None:
        return {value}
    return {leaf for v in value.op.inputs for leaf in leaves(v)}


def used_parameters(ops: Iterable[Op]) -> set[str]:
    """Return the state-dict names of the parameters and buffers that operators read."""
    return {v.parameter for op in ops for v in op.inputs if v.parameter and v.op is None}


def is_chain(ops: Iterable[Op]) -> bool:
    """Return whether operators are those of a plain chain: no addition and no joining of maps."""

    def joins(ranks: list[int]) -> bool:
        return len(ranks) > 1 and min(ranks) >= 3

    return not any(
        op.name in {"add", "cat"} and joins([len(v.shape) for v in op.activations]) for op in ops
    )


def _needed(results: Iterable[Value], past: dict[Op, list[Value]]) -> set[Op]:
    """Return the operators that ``results`` depend on.

    Args:
        results: Where to begin.
        past: Operators that are left out, with those of their inputs that go on in their place.
    """
    needed: set[Op] = set()
    todo = list(results)
    seen: set[Value] = set()
    while todo:
        value = todo.pop()
        if value in seen or value.op is None:
            continue
        seen.add(value)
        if value.op in past:
            todo.extend(past[value.op])
        elif value.op not in needed:
            needed.add(value.op)
            todo.extend(value.op.inputs)
    return needed


def _behind(ends: list[Op], within: set[Op], stop: Collection[Op]) -> set[Op]:
    """Return ``ends`` and what they depend on, as far as it is ``within`` and not behind ``stop``."""
    found: set[Op] = set(ends)
    todo = list(ends)
    while todo:
        for value in todo.pop().inputs:
            op = value.op
            if op is not None and op in within and op not in found and op not in stop:
                found.add(op)
                todo.append(op)
    return found


def _leads_to(value: Value, sites: set[Op]) -> bool:
    while value.op is not None and value.op not in sites and value.op.activations:
        value = value.op.activations[0]
    return value.op in sites


def _part(traced: TracedBlock, ops: list[Op], ends: list[Op], same: _Matching) -> Part:
    """Sort a block's operators by what they do."""
    maps = [same.value(site.scaled).numel for site in traced.sites]
    scaled = min(maps)
    # A gate for a map of one pixel is as large as the map; else what is as large works on the map.
    grows = scaled > same.value(traced.site.followed.core).numel
    squeezes = [same.op(s.op) for s in traced.site.followed.squeezes]
    before = _behind([op for op in ops if op in squeezes], set(ops), ())
    # A mean over one axis after a mean over the other is still the squeeze.
    squeeze = [
        op for op in ops if op in before or (op.name in _SHRINKS and _is_chained(op, before))
    ]
    scale = [
        op
        for op in ops
        if op in ends
        or (grows and op not in squeeze and any(out.numel >= scaled for out in op.outputs[:1]))
    ]
    rest = [op for op in ops if op not in squeeze and op not in scale]
    layers = tuple(same.op(op) for op, _ in traced.excitation.layers)
    return Part(traced, tuple(squeeze), tuple(rest), tuple(scale), layers, sum(maps))


def _is_chained(op: Op, before: set[Op]) -> bool:
    value = op.inputs[0]
    while value.op is not None and value.op not in before:
        if value.op.name in LINEAR | NORM or not value.op.activations:
            return False
        value = value.op.activations[0]
    return value.op is not None


class _Matching:
    """Finds operators of the traced pass again in the pass on images of the right size, or refuses."""

    def __init__(self, trace: Trace) -> None:
        self._own = OwnSize(trace.graph, trace.own_size)

    def op(self, op: Op) -> Op:
        found = self._own.op(op)
        if found is None:
            raise CheckpointError(
                f"expected {op.name} in {op.call.path or 'the network'} on images of the given size as "
                "on larger ones, found none; give another --input-size"
            )
        return found

    def value(self, value: Value) -> Value:
        return value if value.op is None else self.op(value.op).outputs[value.output]
