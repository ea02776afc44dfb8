"""Residual units of a recorded pass: the branch, the shortcut, and the modules at their ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seviz.gates.graph import Graph, Op, Value, walk_back
from seviz.gates.ops import LINEAR, NORM


@dataclass(frozen=True, eq=False)
class Unit:
    """A map that is computed by layers, added to one that has fewer of them.

    Attributes:
        add: The addition.
        branch: What its layers give.
        first: The first operator of the branch that takes the map at which both begin; ``None`` where
            several do.
    """

    add: Op
    branch: Value
    first: Op | None

    @property
    def fork(self) -> Value | None:
        """Return the map at which branch and shortcut part."""
        return self.first.inputs[0] if self.first is not None else None

    @property
    def ends(self) -> list[Value]:
        """Return the sum, after it what an activation makes of it alone, the last one first."""
        values = [self.add.outputs[0]]
        while len(values[-1].uses) == 1:
            (use,) = values[-1].uses
            same = use.outputs and use.outputs[0].shape == values[-1].shape
            if use.name in LINEAR | NORM or len(use.activations) != 1 or not same:
                break
            values.append(use.outputs[0])
        return values[::-1]


def is_map(value: Value) -> bool:
    """Return whether a value is a map [N, C, H, W] of more than one pixel."""
    return len(value.shape) == 4 and value.shape[2] * value.shape[3] > 1


def units(graph: Graph) -> Iterator[Unit]:
    """Yield every residual unit, in forward order."""
    for op in graph.ops:
        maps = [v for v in op.activations if is_map(v)]
        if op.name == "add" and len(maps) == 2 and maps[0].shape == maps[1].shape:
            branch = _branch(*maps)
            if branch is not None:
                yield Unit(op, branch, _first(branch, *maps))


def _branch(a: Value, b: Value) -> Value | None:
    """Return which of two added maps is the branch: the one with more layers since they parted."""
    behind = [list(walk_back(v)) for v in (a, b)]
    common = {id(op) for op in behind[0]} & {id(op) for op in behind[1]}
    layers = [sum(op.name in LINEAR and id(op) not in common for op in branch) for branch in behind]
    if layers[0] == layers[1]:
        return None
    return a if layers[0] > layers[1] else b


def _first(branch: Value, a: Value, b: Value) -> Op | None:
    other = b if branch is a else a
    shared = {id(op) for op in walk_back(other)}
    own = [op for op in walk_back(branch) if id(op) not in shared]
    begins = [
        op
        for op in own
        if any(is_map(v) and (v.op is None or id(v.op) in shared) for v in op.activations)
    ]
    return begins[0] if len(begins) == 1 else None
