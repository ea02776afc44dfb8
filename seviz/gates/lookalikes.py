"""Mechanisms that multiply maps without a squeeze: named for what they are, never counted as SE."""

from __future__ import annotations

from collections.abc import Iterator

from seviz.gates.classify import Excitation, describe
from seviz.gates.elementwise import is_elementwise, starts
from seviz.gates.flow import Flow, kept_dims, multiplied, root
from seviz.gates.graph import Graph, Op, Value
from seviz.gates.ops import ATTENTION, LINEAR, NORM, SOFTMAX, STRUCTURE

LAYER_SCALE = "layer scale (a learned constant per channel)"


def other_mechanisms(graph: Graph, flow: Flow) -> Iterator[tuple[str, Op]]:
    """Yield (name, operator) for self-attention, layer scale, spatial attention and gated units."""
    taken = {id(site.op) for site in flow.sites}
    for op in graph.ops:
        if op.name in ATTENTION or (op.name == "bmm" and _after_softmax(op)):
            yield "self-attention", op
        elif op.name == "glu":
            yield "gated unit (GLU)", op
        elif id(op) not in taken and (pair := multiplied(op)) is not None:
            name = _multiplication(op, *pair, flow)
            if name is not None:
                yield name, op


def pixel_gates(graph: Graph, flow: Flow) -> Iterator[tuple[Op, Value, Value, Excitation]]:
    """Yield (operator, gate, map, excitation) where an SE-shaped bottleneck gates its own input per pixel.

    This is SE with the squeeze left out: the paper's "NoSqueeze" (arXiv 1709.01507v4, Table 16).
    """
    taken = {id(site.op) for site in flow.sites}
    for op in graph.ops:
        pair = multiplied(op) if id(op) not in taken else None
        for gate, scaled in (pair, pair[::-1]) if pair is not None else ():
            found = _pixel_excitation(gate, scaled, graph)
            if found is not None:
                yield op, gate, scaled, found
                break


def _pixel_excitation(gate: Value, scaled: Value, graph: Graph) -> Excitation | None:
    if len(scaled.shape) < 4 or gate.shape != scaled.shape or gate.parameter is not None:
        return None
    begins = starts(gate, lambda v: False)
    if len(begins) != 1 or begins[0].op is None or begins[0].op.name not in LINEAR:
        return None
    ops = _branch(begins[0], root(scaled))
    if ops is None:
        return None
    found = describe(gate, [*ops, *_chain(gate, begins[0])], graph.parameter_shapes)
    pointwise = all(all(k == 1 for k in shape[2:]) for _, shape in found.layers)
    if found.bounded and len(found.layers) == 2 and pointwise:
        return found
    return None


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


def _after_softmax(op: Op) -> bool:
    value = op.inputs[0] if op.inputs else None
    while value is not None and value.op is not None and value.op.name in STRUCTURE:
        value = value.op.inputs[0]
    return value is not None and value.op is not None and value.op.name in SOFTMAX


def _multiplication(op: Op, a: Value, b: Value, flow: Flow) -> str | None:
    """Name a multiplication of two tensors that no squeeze leads to."""
    for constant, activation in ((a, b), (b, a)):
        if constant.parameter is not None and activation.parameter is None:
            return LAYER_SCALE if _is_layer_scale(op, constant, activation, flow) else None
    if any(id(v) in flow.followed or len(v.shape) < 3 for v in (a, b)):
        return None
    for gate, scaled in ((a, b), (b, a)):
        gates = [v for v in starts(gate, lambda v: False) if v.op is not None]
        if gate.op is None or not is_elementwise(gate.op):
            continue
        if {id(root(v)) for v in gates} & {
            id(root(v)) for v in starts(scaled, lambda v: False)
        } or any(root(v) is root(scaled) for v in gates):
            # A function of the same tensor: swish and its relatives.
            return None
        if len(gates) != 1 or gates[0].op is None or gates[0].op.name not in LINEAR | NORM:
            continue
        kept = kept_dims(gate, gate, scaled)
        if 1 not in kept and len(scaled.shape) >= 4:
            return "spatial attention"
        return "gated unit (gated MLP, GLU)"
    return None


def _is_layer_scale(op: Op, constant: Value, activation: Value, flow: Flow) -> bool:
    if sum(n > 1 for n in constant.shape) != 1 or len(activation.shape) < 3:
        return False
    # The affine part of a norm that is written out: a statistic was multiplied before, or a learned
    # offset is added after.
    affine = any(use.name == "add" and use.parameters for out in op.outputs for use in out.uses)
    maker = root(activation).op
    return not affine and all(maker is not site.op for site in flow.sites)
