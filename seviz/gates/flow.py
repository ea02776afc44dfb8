"""Following what was squeezed: from a spatial reduction to the multiplication with a map.

A *squeeze* is a reduction that keeps the batch and drops other dimensions. What is computed from it
stays small and is followed; where it is multiplied onto a larger tensor that it broadcasts over is a
*site*. Whether a site is SE is decided in `seviz.gates.classify`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from seviz.gates.elementwise import CannotReplayError
from seviz.gates.graph import Graph, Op, Value
from seviz.gates.ops import JOIN, LINEAR, MULTIPLY, POOL, REDUCE, REPEAT, SELECT, VIEW
from seviz.gates.positions import positions, varying_dims

# A tensor this many times larger than what is followed is a map, not part of the excitation.
_MAP_FACTOR = 4
# More maps than this are not stacked and added; a volume has more channels.
_MOST_MAPS = 8


@dataclass(frozen=True, eq=False)
class Squeeze:
    """A reduction: the operator, and the map it reduced."""

    op: Op
    source: Value
    how: str


@dataclass(frozen=True, eq=False)
class Followed:
    """A value that was computed from squeezes alone (and parameters).

    Attributes:
        squeezes: The first reduction on each way to it.
        core: The value before it was expanded; tells a repeated number from different ones.
    """

    squeezes: tuple[Squeeze, ...]
    core: Value


@dataclass(frozen=True, eq=False)
class Site:
    """A followed value multiplied onto a larger one.

    Attributes:
        op: The multiplication.
        gate: The small operand.
        scaled: The large operand.
        kept: Dimensions of ``scaled`` over which the gate varies.
        followed: What is known of the gate.
    """

    op: Op
    gate: Value
    scaled: Value
    kept: tuple[int, ...]
    followed: Followed


@dataclass(frozen=True)
class Flow:
    """All that was followed in one graph.

    Attributes:
        followed: Known values, by ``id``.
        sites: The multiplications, in forward order.
        degenerate: Squeezes of maps that were already 1x1: at this input size their gates cannot be
            told from the maps.
    """

    followed: dict[int, Followed]
    sites: list[Site]
    degenerate: list[Op]


def root(value: Value) -> Value:
    """Return the value that holds the same numbers, before any change of shape or type, and any rounding.

    In a quantised network the squeeze may read a map, and the multiplication the same map in 8 bits.
    """
    while value.op is not None and _keeps_numbers(value.op):
        before = value.op.activations[0]
        if before.numel != value.numel:
            break
        value = before
    return value


def _keeps_numbers(op: Op) -> bool:
    return (op.name in VIEW or op.rounds) and bool(op.activations)


def follow(graph: Graph) -> Flow:
    """Find every squeeze of the graph, and every site that it leads to."""
    flow = Flow({}, [], [])
    for op in graph.ops:
        if op.name in MULTIPLY and (site := _site(op, flow.followed)) is not None:
            flow.sites.append(site)
        if not op.activations:
            continue
        squeeze = _squeeze(op, flow)
        if squeeze is not None:
            before = flow.followed.get(id(squeeze.source))
            squeezes = before.squeezes if before is not None else (squeeze,)
            out = op.outputs[0]
            flow.followed[id(out)] = Followed(squeezes, out)
        else:
            _propagate(op, flow.followed)
    return flow


def multiplied(op: Op) -> tuple[Value, Value] | None:
    """Return the two tensor factors of a multiplication; ``None`` for a plain number, another operator."""
    if op.name not in MULTIPLY:
        return None
    factors = op.args[1:3] if op.name == "addcmul" else op.args[:2]
    tensors = [f for f in factors if isinstance(f, Value)]
    return (tensors[0], tensors[1]) if len(tensors) == 2 else None


def _squeeze(op: Op, flow: Flow) -> Squeeze | None:
    if not op.outputs:
        return None
    out = op.outputs[0]
    source = op.inputs[0]
    already = id(source) in flow.followed
    if op.name in REDUCE | POOL and source.parameter is None and len(source.shape) >= 3:
        dims = reduced_dims(op)
        if op.name == "sum" and _adds_maps(source, out):
            return None
        if dims and 0 not in dims and out.shape[:1] == source.shape[:1] and len(out.shape) >= 2:
            if all(source.shape[d] == 1 for d in dims):
                flow.degenerate.append(op)
            return Squeeze(op, source, op.name)
    if already:
        return None
    if op.name in LINEAR and op.parameters and len(source.shape) >= 4:
        # A convolution that leaves no space (gather-excite with parameters).
        same = len(out.shape) == len(source.shape)
        if (
            same
            and all(d == 1 for d in out.shape[2:])
            and math.prod(source.shape[2:]) > 1
            and source.parameter is None
        ):
            return Squeeze(op, source, "convolution")
    if op.name == "bmm" and not op.parameters and out.shape[-1] == 1:
        # Attention pooling: (B, C, L) @ (B, L, 1).
        large = max(op.inputs, key=lambda v: v.numel)
        if out.numel * 2 <= large.numel and not any(id(v) in flow.followed for v in op.inputs):
            return Squeeze(op, large, "attention pooling")
    return None


def _adds_maps(source: Value, out: Value) -> bool:
    """Whether a few stacked maps are made one: what is left has channels and pixels, as each of them."""
    left = sum(n > 1 for n in out.shape[1:])
    return left >= 3 and source.numel <= _MOST_MAPS * out.numel


def reduced_dims(op: Op) -> tuple[int, ...]:
    """Return the dimensions that a reduction or a pooling removes; empty if it leaves some space."""
    source, out = op.inputs[0], op.outputs[0]
    rank = len(source.shape)
    if op.name in POOL:
        space = int(next(c for c in op.name if c.isdigit()))
        dims = tuple(range(rank - space, rank))
        return dims if all(out.shape[d] == 1 for d in dims) else ()
    position = 2 if op.name in {"norm", "linalg_vector_norm"} else 1
    given = op.args[position] if len(op.args) > position else op.kwargs.get("dim")
    if given is None or given == []:
        # var and std have an overload (input, unbiased); everything else reduces to one number.
        return ()
    listed = [given] if isinstance(given, int) else list(given)
    if any(isinstance(d, bool) for d in listed):
        return ()
    return tuple(d % rank for d in listed)


def _propagate(op: Op, followed: dict[int, Followed]) -> None:
    known = [(v, followed[id(v)]) for v in op.inputs if id(v) in followed]
    if not known:
        return
    core = max((f.core for _, f in known), key=lambda v: v.numel)
    others = [v for v in op.activations if id(v) not in followed]
    if op.name in LINEAR and any(
        len(v.shape) >= 3 and v.numel > 2 * _MAP_FACTOR * core.numel for v in others
    ):
        return  # A matrix product with a map, as in attention.
    squeezes = tuple(dict.fromkeys(s for _, f in known for s in f.squeezes))
    for out in op.outputs:
        if not out.floating:
            continue
        grown = out.numel > core.numel
        if op.name in VIEW | REPEAT | SELECT:
            origin = known[0][1].core if grown else out
        elif op.name in LINEAR | JOIN or not grown:
            origin = out
        elif any(v.numel >= out.numel or (v.op is not None and v.op.inputs) for v in others):
            continue  # Joined with a map, if only of one channel: what comes out is a map.
        else:
            origin = out
        followed[id(out)] = Followed(squeezes, origin)


def _site(op: Op, followed: dict[int, Followed]) -> Site | None:
    for gate, scaled in _factors(op):
        known = followed.get(id(gate))
        if known is None or scaled.parameter is not None or len(scaled.shape) < 3:
            continue
        other = followed.get(id(scaled))
        if other is not None and other.core.numel <= _MAP_FACTOR * known.core.numel:
            continue  # Two small values: swish inside the bottleneck, the gates of an LSTM.
        kept = kept_dims(gate, known.core, scaled)
        if kept and not {d for d, n in enumerate(scaled.shape) if n > 1} <= set(kept):
            return Site(op, gate, scaled, kept, known)
    return None


def _factors(op: Op) -> Iterator[tuple[Value, Value]]:
    pair = multiplied(op)
    if pair is not None:
        yield pair
        yield pair[1], pair[0]


def kept_dims(gate: Value, core: Value, scaled: Value) -> tuple[int, ...]:
    """Return the dimensions of ``scaled`` over which ``gate`` varies: neither broadcast nor expanded.

    Args:
        gate: One factor.
        core: The gate before it was expanded; the gate itself if it was not.
        scaled: The other factor.
    """
    offset = max(len(scaled.shape) - len(gate.shape), 0)
    kept = [
        d
        for d in range(offset, len(scaled.shape))
        if gate.shape[d - offset] != 1 and gate.stride[d - offset] != 0
    ]
    if core.numel < math.prod(scaled.shape[d] for d in kept):
        # An expansion that was written out (repeat, interpolate) shows only in what it repeats.
        try:
            varying = varying_dims(positions(gate, core))
        except (CannotReplayError, RuntimeError, TypeError, IndexError):
            return tuple(kept)
        return tuple(d for d in kept if d == 0 or d - offset in varying)
    return tuple(kept)
