"""What lies around a site: its excitation, the shift beside it, the module and the place it is in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seviz.gates.elementwise import function_name, starts
from seviz.gates.flow import Followed, Site, root
from seviz.gates.graph import Call, Op, Value, walk_back
from seviz.gates.ops import LINEAR, SELECT


@dataclass(frozen=True, eq=False)
class Excitation:
    """What lies between the squeeze and the multiplication.

    Attributes:
        ops: Operators from the squeeze (first) to the gate (last).
        layers: Fully connected layers, as pairs (operator, weight shape).
        gate: Name of the gate function.
        bounded: Whether it is bounded and non-negative.
        start: The value that the gate is an elementwise function of; ``None`` if there are several.
    """

    ops: list[Op]
    layers: list[tuple[Op, tuple[int, ...]]]
    gate: str
    bounded: bool
    start: Value | None

    @property
    def parameters(self) -> list[str]:
        """Return the state-dict names that take part, in the order of use."""
        names = [v.parameter for op in self.ops for v in op.parameters if v.parameter]
        return list(dict.fromkeys(names))


def excitation(
    gate: Value, followed: dict[int, Followed], known: Followed, shapes: dict[str, tuple[int, ...]]
) -> Excitation:
    """Read the excitation of a gate off the graph."""
    sources = {id(s.op): s for s in known.squeezes}
    ops: list[Op] = []
    seen: set[int] = set()

    def visit(value: Value) -> None:
        op = value.op
        if op is None or id(op) in seen:
            return
        seen.add(id(op))
        if id(op) not in sources:
            for v in op.inputs:
                if id(v) in followed or v.parameter is not None:
                    visit(v)
        ops.append(op)

    visit(gate)
    return describe(gate, ops, shapes)


def describe(gate: Value, ops: list[Op], shapes: dict[str, tuple[int, ...]]) -> Excitation:
    """Sort the operators that lead to ``gate`` into layers and gate function."""
    layers = [
        (op, shapes.get(weight.parameter or "", weight.shape))
        for op in ops
        if op.name in LINEAR
        for weight in [op.weight]
        if weight is not None and len(weight.shape) >= 2
    ]
    begins = starts(gate, lambda v: False)
    name, bounded = function_name(gate, begins[0]) if len(begins) == 1 else ("unrecognised", False)
    return Excitation(ops, layers, name, bounded, begins[0] if len(begins) == 1 else None)


def channel_dim(site: Site) -> int | None:
    """Return the one non-batch dimension over which the gate varies, if there is one only."""
    dims = [d for d in site.kept if d != 0]
    return dims[0] if len(dims) == 1 else None


def shift(site: Site, found: Excitation) -> Op | None:
    """Return the operator that adds another output of the same excitation to the scaled map, if any."""
    sum_ = added(site, found)
    return sum_[0] if sum_ is not None else None


def added(site: Site, found: Excitation) -> tuple[Op, Value] | None:
    """Return that operator, and the output of the excitation that it adds."""
    first = next((n for n, op in enumerate(found.ops) if op.name in LINEAR), len(found.ops))
    # From the first layer on: a bias may be added by an operator of its own.
    excited = {id(op) for op in found.ops[first:]}
    for out in site.op.outputs:
        for use in _uses(out):
            if use.name in {"add", "sub"}:
                for other in use.activations:
                    # Of a gate times a map, written in this order, the product comes from there as well.
                    own = root(other) is root(out)
                    if other.numel and not own and _comes_from(other, excited):
                        return use, other
    addend = site.op.args[0] if site.op.name == "addcmul" else None
    if isinstance(addend, Value) and _comes_from(addend, excited):
        return site.op, addend
    return None


def _comes_from(value: Value, layers: set[int]) -> bool:
    """Whether ``value`` is another part of what one of these operators gives."""
    if not any(op.name in SELECT for op in _chain(value)):
        return False  # of most maps: nobody has to walk through all that leads to them
    selected = False
    for begin in starts(value, lambda v: False):
        current: Value | None = value
        while current is not None and current.op is not None and current is not begin:
            selected |= current.op.name in SELECT
            current = current.op.activations[0] if current.op.activations else None
        if selected and begin.op is not None and id(begin.op) in layers:
            return True
    return False


def _chain(value: Value) -> Iterator[Op]:
    """Yield the operators that lead to a value, along the first map that each takes."""
    current: Value | None = value
    while current is not None and current.op is not None:
        yield current.op
        current = current.op.activations[0] if current.op.activations else None


def _uses(value: Value) -> list[Op]:
    """Return what takes the value, looking through changes of shape."""
    direct: list[Op] = []
    for use in value.uses:
        same = bool(use.outputs) and root(use.outputs[0]) is root(value)
        if same:
            direct.extend(_uses(use.outputs[0]))
        elif not _leads_nowhere(use):
            direct.append(use)
    return direct


def _leads_nowhere(op: Op) -> bool:
    """Whether a part was taken that nobody uses: it was only asked for its size."""
    return op.name in SELECT and all(_leads_nowhere(u) for out in op.outputs for u in out.uses)


def placement(site: Site) -> str:
    """Return where the block sits in its residual unit (arXiv 1709.01507v4, section 6.5 and figure 5).

    ``standard`` (end of the residual branch), ``pre`` (before the branch), ``post`` (after the addition),
    ``identity`` (on the shortcut) or ``inside`` (between the layers of the branch, or no residual unit).
    """
    scaled = root(site.scaled)
    if site.op.name == "addcmul":
        after, added = [site.op], True
    else:
        after = [u for out in site.op.outputs for u in _uses(out)]
        # A shift, and a constant factor as of NFNets, do not change where the block sits.
        while any(_keeps_place(u) for u in after):
            after = [v for u in after for v in (_uses(u.outputs[0]) if _keeps_place(u) else [u])]
        added = any(u.name == "add" and len(u.activations) > 1 for u in after)
    own = {id(op) for op in (*walk_back(site.gate, {id(scaled)}), site.op, *after)}
    shared = any(id(op) not in own for op in _uses(scaled))
    if shared:
        return "identity" if added else "pre"
    if added:
        return "standard"
    maker = scaled.op
    while maker is not None and maker.name in {"relu", "clamp_min", "silu", "hardtanh"}:
        maker = maker.inputs[0].op
    after_addition = maker is not None and maker.name == "add" and len(maker.activations) > 1
    return "post" if after_addition else "inside"


def _keeps_place(op: Op) -> bool:
    """Whether an operator multiplies by a constant, or adds one number per channel to a map."""
    if op.name in {"mul", "div"} and len(op.activations) == 1:
        return True
    sizes = sorted(v.numel for v in op.activations)
    return op.name == "add" and len(sizes) == 2 and sizes[0] < sizes[1]


def container(calls: list[Call], parameters: list[str]) -> str:
    """Return the deepest module path that holds all of these calls and parameters."""
    paths = [c.path.split(".") if c.path else [] for c in calls]
    paths += [p.split(".")[:-1] for p in parameters]
    common: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common)
