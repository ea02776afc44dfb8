"""All gates of a recorded pass: of which kind each is, and what is known of its block."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from seviz.gates.classify import container, excitation, placement, shift
from seviz.gates.flow import Flow, root
from seviz.gates.graph import Graph, Op, Value
from seviz.gates.kinds import DYNAMIC, Candidate, Kind, kind_of, other_products, pixel_gates
from seviz.gates.kinds.branches import branch_dim, branches_of, softmax_of
from seviz.gates.kinds.gathering import behind
from seviz.gates.reading import JoinedReading, Reading, plan
from seviz.results.blocks import FORMS, GateBlock
from seviz.results.mechanisms import BY_KEY, Mechanism

Parameters = Mapping[str, nn.Parameter]


@dataclass(frozen=True)
class Other:
    """Something that is not read.

    Attributes:
        order: Its place in the pass.
        title: What it is.
        path: The module that holds it.
    """

    order: int
    title: str
    path: str


@dataclass(frozen=True, eq=False)
class Gate:
    """One gate that can be read.

    Attributes:
        mechanism: What it is.
        parts: Where it is applied; more than one where it weighs maps that are apart.
        dims: Dimensions of the map over which it varies.
        block: What is known of it.
        reading: How it is read at run time.
        unread: What stands for it where other kinds are read, once for each part.
    """

    mechanism: Mechanism
    parts: tuple[Candidate, ...]
    dims: tuple[int, ...]
    block: GateBlock
    reading: Reading
    unread: tuple[Other, ...]


@dataclass(frozen=True)
class Seen:
    """What a recorded pass shows.

    Attributes:
        gates: What can be read, in forward order.
        others: Everything else, in forward order.
    """

    gates: tuple[Gate, ...]
    others: tuple[Other, ...]

    def unread(self, kinds: Collection[Mechanism]) -> list[Other]:
        """Return everything that is named where only these kinds are read, in forward order."""
        left = [o for g in self.gates if g.mechanism not in kinds for o in g.unread]
        return sorted([*left, *self.others], key=lambda o: o.order)


def look(graph: Graph, flow: Flow, named: Parameters) -> Seen:
    """Return everything in a pass that multiplies a map and is not plain arithmetic.

    Args:
        graph: The pass.
        flow: What was followed in it.
        named: The network's parameters, under all their names.
    """
    order = {id(op): n for n, op in enumerate(graph.ops)}
    candidates = [
        Candidate(s, excitation(s.gate, flow.followed, s.followed, graph.parameter_shapes))
        for s in flow.sites
    ]
    several = Counter(map(_map_and_layer, candidates))
    gates: list[Gate] = []
    others: list[Other] = []
    apart: dict[int, list[tuple[Candidate, Other]]] = defaultdict(list)
    for seen in candidates:
        kind, number = kind_of(seen), order[id(seen.site.op)]
        dynamic = kind.mechanism is not None and several[_map_and_layer(seen)] > 1
        path = _path(seen.excitation.parameters, seen.excitation.ops, named)
        other = Other(number, DYNAMIC if dynamic else kind.called(seen), path)
        if kind.mechanism is None or dynamic:
            others.append(other)
            continue
        group = [(seen, other)]
        softmax = softmax_of(seen)
        if softmax is not None and branch_dim(seen) is None and not _holds_all(seen, softmax):
            group = apart[id(softmax)]
            group.append((seen, other))
            if len(group) < branches_of(softmax):
                continue
            del apart[id(softmax)]
        gates.append(_gate(kind, kind.mechanism, group, named))
    others += [other for group in apart.values() for _, other in group]
    inner: set[int] = set()
    for kind, seen in pixel_gates(graph, flow):
        assert kind.mechanism is not None
        inner |= {order[id(op)] for op in (seen.site.op, *seen.excitation.ops)}
        other = Other(len(order) + order[id(seen.site.op)], kind.title, seen.site.op.call.path)
        gates.append(_gate(kind, kind.mechanism, [(seen, other)], named))
    others = [other for other in others if other.order not in inner]
    others += [
        Other(len(order) + order[id(op)], name, op.call.path)
        for name, op in other_products(graph, flow)
        if order[id(op)] not in inner
    ]
    return Seen(_numbered(gates), tuple(others))


def _map_and_layer(seen: Candidate) -> tuple[int, int]:
    layers = seen.excitation.layers
    return id(root(seen.site.scaled)), id(layers[-1][0] if layers else seen.site.op)


def _holds_all(seen: Candidate, softmax: Op) -> bool:
    """Whether one multiplication takes the weights of all maps."""
    return seen.channels * seen.site.scaled.shape[0] == softmax.outputs[0].numel


def _path(names: Sequence[str], ops: Sequence[Op], named: Parameters) -> str:
    """Return the module that holds the excitation: the largest one that has no other parameters.

    Where only the whole network holds it, this is the module of its first layer.
    """
    path = container([] if names else [op.call for op in ops], list(names))
    while names and "." in path:
        parent = path.rpartition(".")[0]
        if not {n for n in named if n.startswith(f"{parent}.")} <= set(names):
            break
        path = parent
    return path or (names[0].rpartition(".")[0] if names else "")


def _gate(
    kind: Kind, mechanism: Mechanism, group: Sequence[tuple[Candidate, Other]], named: Parameters
) -> Gate:
    parts = tuple(seen for seen, _ in group)
    seen = parts[0]
    site, stacked = seen.site, branch_dim(seen)
    channel = next(d for d in site.kept if d not in (0, stacked))
    dims = (channel,) if stacked is None else (stacked, channel)
    readings = [
        plan(p.site.op, p.site.gate, p.site.scaled, dims, per_pixel=mechanism.per_pixel)
        for p in parts
    ]
    block = _block(kind, mechanism, seen, dims, named)
    return Gate(
        mechanism,
        parts,
        dims,
        replace(block, channels=block.channels * len(parts)),
        readings[0] if len(readings) == 1 else JoinedReading(tuple(readings)),
        tuple(other for _, other in group),
    )


def _block(
    kind: Kind, mechanism: Mechanism, seen: Candidate, dims: tuple[int, ...], named: Parameters
) -> GateBlock:
    site, found = seen.site, seen.excitation
    ops = [*reversed(list(behind(seen))), *found.ops] if kind.gathers else found.ops
    read = [v.parameter for op in ops for v in op.parameters if v.parameter]
    names = list(dict.fromkeys(read))
    return FORMS[mechanism.form](
        name="",
        path=_path(names, ops, named),
        stage=0,
        index=0,
        channels=math.prod(site.scaled.shape[d] for d in dims),
        gate=kind.function or seen.function[0],
        squeeze=kind.squeeze or seen.squeeze,
        placement=kind.placement or placement(site),
        parameters=tuple(n for n in names if n in named),
        params=sum(named[n].numel() for n in names if n in named),
        spatial=map_size(site.scaled, dims),
        shift=shift(site, found) is not None,
        kind=mechanism.name,
        **kind.facts(seen),
    )


def map_size(scaled: Value, dims: Sequence[int]) -> tuple[int, ...]:
    """Return the size of a map, without the images and the dimensions over which its gate varies."""
    return tuple(n for d, n in enumerate(scaled.shape) if d not in (0, *dims))


def _numbered(gates: list[Gate]) -> tuple[Gate, ...]:
    """Name the blocks, those of each kind on their own.

    One stage for each spatial size, the first being 2, as in the paper.
    """
    stages: dict[str, dict[tuple[int, ...], int]] = {m: {} for m in BY_KEY}
    counts: Counter[tuple[str, int]] = Counter()
    named = []
    for gate in sorted(gates, key=lambda g: g.unread[0].order):
        kind = gate.mechanism
        sizes = stages[kind.key]
        stage = sizes.setdefault(gate.block.spatial, len(sizes) + 2)
        counts[kind.key, stage] += 1
        index = counts[kind.key, stage]
        name = f"{kind.prefix}_{stage}_{index}"
        named.append(replace(gate, block=replace(gate.block, name=name, stage=stage, index=index)))
    return tuple(named)
