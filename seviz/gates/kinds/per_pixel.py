"""Gates that vary over the map they scale: what is read of them is their spatial mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seviz.gates.classify import Excitation, describe, excitation
from seviz.gates.elementwise import is_elementwise, starts
from seviz.gates.flow import Flow, Followed, Site, multiplied, root
from seviz.gates.graph import Graph, Op, Value
from seviz.gates.kinds.base import Candidate, Kind, only_input
from seviz.gates.ops import LINEAR, NORM, STRUCTURE
from seviz.results.mechanisms import BY_KEY


@dataclass(frozen=True, eq=False)
class Pair:
    """Two factors of the shape of a map.

    Attributes:
        gate: One of them.
        scaled: The other.
        graph: The pass that they are in.
        flow: What was followed in it.
    """

    gate: Value
    scaled: Value
    graph: Graph
    flow: Flow


def pixel_gates(graph: Graph, flow: Flow) -> Iterator[tuple[Kind, Candidate]]:
    """Yield kind and candidate of every gate per pixel that is read."""
    taken = {id(site.op) for site in flow.sites}
    for op in graph.ops:
        pair = multiplied(op) if id(op) not in taken else None
        for gate, scaled in (pair, pair[::-1]) if pair is not None else ():
            if len(scaled.shape) < 4 or gate.shape != scaled.shape or gate.parameter is not None:
                continue
            seen = _seen(op, Pair(gate, scaled, graph, flow))
            if seen is not None:
                yield seen
                break


def _seen(op: Op, pair: Pair) -> tuple[Kind, Candidate] | None:
    for excited, kind in PER_PIXEL:
        found = excited(pair)
        if found is not None:
            site = Site(op, pair.gate, pair.scaled, (0, 1), Followed((), pair.gate))
            return kind, Candidate(site, found)
    return None


def _without_squeeze(pair: Pair) -> Excitation | None:
    """Return an SE-shaped bottleneck on the map that it scales: SE with the squeeze left out."""
    gate, scaled = pair.gate, pair.scaled
    begins = starts(gate, lambda v: False)
    if len(begins) != 1 or begins[0].op is None or begins[0].op.name not in LINEAR:
        return None
    ops = _branch(begins[0], root(scaled))
    if ops is None:
        return None
    found = describe(gate, [*ops, *_chain(gate, begins[0])], pair.graph.parameter_shapes)
    pointwise = all(all(k == 1 for k in shape[2:]) for _, shape in found.layers)
    return found if found.bounded and len(found.layers) == 2 and pointwise else None


def _two_halves(pair: Pair) -> Excitation | None:
    """Return a bottleneck on the squeezed map, joined with layers on the map before the gate function."""
    value = pair.gate
    while (before := only_input(value)) is not None:
        value = before
    op = value.op
    if op is None or op.name not in {"add", "mul"} or len(op.activations) != 2:
        return None
    shapes, source = pair.graph.parameter_shapes, root(pair.scaled)
    halves = [_unexpanded(v) for v in op.activations]
    for channel, spatial in (halves, halves[::-1]):
        known = pair.flow.followed.get(id(channel))
        if known is None or id(spatial) in pair.flow.followed or spatial.numel >= pair.scaled.numel:
            continue
        ops = _branch(spatial, source)
        if ops is None or [root(s.source) for s in known.squeezes] != [source]:
            continue
        half = excitation(channel, pair.flow.followed, known, shapes)
        found = describe(pair.gate, [*half.ops, *ops, op, *_chain(pair.gate, value)], shapes)
        if len(half.layers) == 2 and Candidate(_joint(pair, value), found).bounded:
            return found
    return None


def _joint(pair: Pair, value: Value) -> Site:
    assert value.op is not None
    return Site(value.op, pair.gate, pair.scaled, (0, 1), Followed((), pair.gate))


def _unexpanded(value: Value) -> Value:
    while value.op is not None and value.op.name in STRUCTURE and value.op.activations:
        before = value.op.activations[0]
        if before.numel == value.numel:
            break
        value = before
    return value


def _branch(value: Value, source: Value) -> list[Op] | None:
    """Return the operators from ``source`` to ``value``, first to last, if they are a plain chain."""
    ops: list[Op] = []
    while root(value) is not source:
        op = value.op
        if op is None or not op.activations:
            return None
        if not (op.name in LINEAR | NORM | STRUCTURE or is_elementwise(op)):
            return None
        ops.append(op)
        value = op.activations[0]
        if len(ops) > 32:
            return None
    return ops[::-1]


def _chain(gate: Value, begin: Value) -> list[Op]:
    ops: list[Op] = []
    value = gate
    while value is not begin and value.op is not None:
        ops.append(value.op)
        value = value.op.activations[0]
    return ops[::-1]


def _bottleneck(seen: Candidate) -> dict[str, int]:
    """Return the channels that the first layer gives."""
    return {"hidden": seen.excitation.layers[0][0].outputs[0].shape[1]}


PER_PIXEL: tuple[tuple[Callable[[Pair], Excitation | None], Kind], ...] = (
    (
        _without_squeeze,
        Kind(
            BY_KEY["gate"].name,
            mechanism=BY_KEY["gate"],
            facts=_bottleneck,
            squeeze="none",
        ),
    ),
    (
        _two_halves,
        Kind(
            "BAM (a channel half and a spatial half in one gate)",
            mechanism=BY_KEY["bam"],
            facts=_bottleneck,
            squeeze="mean",
        ),
    ),
)
