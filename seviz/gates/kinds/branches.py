"""Gates that weigh several maps against each other: a softmax over the maps, for each channel."""

from __future__ import annotations

from seviz.gates.flow import reduced_dims, root
from seviz.gates.graph import Op, Value
from seviz.gates.kinds.base import Candidate
from seviz.gates.ops import JOIN, SELECT, SOFTMAX, STRUCTURE, VIEW


def softmax_of(seen: Candidate) -> Op | None:
    """Return the softmax whose output, or a part of it, is the gate."""
    value = seen.site.gate
    while value.op is not None and value.op.name in STRUCTURE:
        value = value.op.inputs[0]
    return value.op if value.op is not None and value.op.name in SOFTMAX else None


def branches_of(op: Op) -> int:
    """Return how many maps a softmax weighs against each other."""
    dim: int = op.args[1]
    return op.inputs[0].shape[dim]


def weighs_branches(seen: Candidate) -> bool:
    """Whether the gates of all maps add up to one in each channel, and the maps are added after that.

    What is squeezed must be the sum of the maps.
    """
    op = softmax_of(seen)
    if op is None or branches_of(op) < 2:
        return False
    scaled, kept = seen.site.scaled, [d for d in seen.site.kept if d]
    per_image = op.outputs[0].numel // op.outputs[0].shape[0]
    if len(kept) == 2:
        whole = per_image == scaled.shape[kept[0]] * scaled.shape[kept[1]]
        apart = any(scaled.shape[d] == branches_of(op) and _is_summed(seen, d) for d in kept)
    else:
        whole = len(kept) == 1 and per_image == branches_of(op) * scaled.shape[kept[0]]
        apart = whole
    return whole and apart and all(_is_sum_of(v, root(scaled)) for v in seen.sources)


def selects_kernels(seen: Candidate) -> bool:
    """Whether the maps come from several layers (arXiv 1903.06586)."""
    return weighs_branches(seen) and not _comes_from_one(seen)


def is_split_attention(seen: Candidate) -> bool:
    """Whether the maps are parts of what one layer gives (arXiv 2004.08955)."""
    return weighs_branches(seen) and _comes_from_one(seen)


def facts(seen: Candidate) -> dict[str, int]:
    """Return the units of the bottleneck and the number of maps."""
    out, op = seen.excitation.layers[0][0].outputs[0], softmax_of(seen)
    assert op is not None
    return {"hidden": out.numel // out.shape[0], "branches": branches_of(op)}


def branch_dim(seen: Candidate) -> int | None:
    """Return the dimension along which the scaled maps are stacked; ``None`` where they are apart."""
    op = softmax_of(seen)
    kept = [d for d in seen.site.kept if d]
    if op is None or len(kept) != 2:
        return None
    count, shape = branches_of(op), seen.site.scaled.shape
    return next((d for d in kept if shape[d] == count and _is_summed(seen, d)), None)


def _is_summed(seen: Candidate, dim: int) -> bool:
    uses = [use for out in seen.site.op.outputs for use in out.uses]
    return any(use.name == "sum" and reduced_dims(use) == (dim,) for use in uses)


def _comes_from_one(seen: Candidate) -> bool:
    """Whether the scaled maps are parts of one tensor that is not put together from several."""
    value = seen.site.scaled
    while value.op is not None and value.op.name in VIEW | SELECT:
        value = value.op.inputs[0]
    apart = any(d for d in seen.site.kept if d) and branch_dim(seen) is None
    selected = value is not root(seen.site.scaled)
    return (selected if apart else True) and (value.op is None or value.op.name not in JOIN)


def _is_sum_of(value: Value, part: Value) -> bool:
    """Whether ``part`` is one of what is added up to ``value``, or holds all of that."""
    todo = [value]
    while todo:
        current = todo.pop()
        if root(current) is part or current is part:
            return True
        op = current.op
        if op is not None and op.name in {"add", "sum"} | VIEW | SELECT | JOIN:
            todo.extend(op.activations)
    return False
