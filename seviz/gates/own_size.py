"""The same operator in two passes: on images of the size that was asked for, and on larger ones.

Padding that depends on the size can put an operator more or less into one of them; so they are matched by
name within each call of a module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from seviz.gates.graph import Call, Graph, Op, Value
from seviz.gates.seen import Gate, map_size

Key = tuple[Call, str, int]


class OwnSize:
    """Finds operators of the traced pass again in the pass on images of the right size.

    Args:
        traced: The pass on larger images; or the other one.
        own: The pass on images of the size that was asked for.
    """

    def __init__(self, traced: Graph, own: Graph) -> None:
        self._same = traced is own
        self._keys: Mapping[Op, Key] = {} if self._same else {op: k for k, op in _keyed(traced)}
        self._ops: Mapping[Key, Op] = {} if self._same else dict(_keyed(own))

    def op(self, op: Op) -> Op | None:
        """Return an operator in the pass of the right size; ``None`` where it is not there."""
        return op if self._same else self._ops.get(self._keys[op])

    def value(self, value: Value) -> Value | None:
        """Return a value in it; ``None`` where no operator of it gives that."""
        if self._same:
            return value
        op = self.op(value.op) if value.op is not None else None
        return op.outputs[value.output] if op is not None else None

    def gate(self, gate: Gate) -> Gate:
        """Return a gate with the size that its map has in it."""
        scaled = self.value(gate.parts[0].site.scaled)
        if self._same or scaled is None:
            return gate
        return replace(gate, block=replace(gate.block, spatial=map_size(scaled, gate.dims)))


def _keyed(graph: Graph) -> Iterator[tuple[Key, Op]]:
    counts: dict[tuple[Call, str], int] = {}
    for op in graph.ops:
        number = counts[op.call, op.name] = counts.get((op.call, op.name), 0) + 1
        yield (op.call, op.name, number), op
