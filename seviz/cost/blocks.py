"""What one SE block costs: from its operators, or from what is known of it alone."""

from __future__ import annotations

from collections.abc import Iterator

from seviz.cost.attribution import Part, leaves
from seviz.cost.counting import Counts
from seviz.cost.operators import is_constant
from seviz.gates.graph import Graph, Op
from seviz.gates.ops import LINEAR, NORM
from seviz.results.blocks import SEBlock
from seviz.results.cost import BYTES, BlockParams, BlockWork


def block_params(part: Part, own: set[str], reduction: float) -> BlockParams:
    """Sort a block's parameters by what they are, and by whether they grow with the bottleneck.

    Args:
        part: The block.
        own: State-dict names of the parameters that only SE uses.
        reduction: The ratio r of the formula.
    """
    sums = {"weights": 0, "biases": 0, "norms": 0, "others": 0}
    per_hidden = biases_per_hidden = 0
    block = part.block
    position = {op: n for n, op in enumerate(part.ops)}
    last = position[part.layers[-1]]
    seen: set[str] = set()
    for op, name, kind, count in _parameters(part):
        if name not in own or name in seen:
            continue
        seen.add(name)
        sums[kind] += count
        widens = kind == "weights" if position[op] == last else position[op] < last
        if widens and count % block.hidden == 0:
            per_hidden += count // block.hidden
            biases_per_hidden += count // block.hidden if kind == "biases" else 0
    return BlockParams(
        **sums,
        per_hidden=per_hidden,
        biases_per_hidden=biases_per_hidden,
        formula=2 * block.channels**2 / reduction,
    )


def _parameters(part: Part) -> Iterator[tuple[Op, str, str, int]]:
    """Yield (operator, state-dict name, kind, elements) of everything that the block reads."""
    for op in part.ops:
        if is_constant(op) or not op.parameters:
            continue
        for value in op.parameters:
            if op.name in NORM:
                kind = "norms"
            elif op.name in LINEAR:
                kind = "weights" if value is op.weight else "biases"
            else:
                # A bias may be added by an operator of its own.
                kind = "biases" if op.name == "add" and value.numel > 1 else "others"
            for leaf in leaves(value):
                yield op, leaf.parameter or "", kind, leaf.numel


def block_work(part: Part, graph: Graph) -> BlockWork:
    """Count a block's operations for one image.

    Bytes are those of the map alone, read by the squeeze, read and written by the scaling: a copy more
    or less in how a block is written, or a kernel as large as its map, is no cost of SE.
    """
    squeeze, excitation, scale = (
        Counts(graph, ops) for ops in (part.squeeze, part.excitation, part.scale)
    )
    small = ("elementwise", "norm")
    map_bytes = BYTES * part.map_elements // graph.batch
    return BlockWork(
        squeeze_adds=squeeze.total("add", "pool"),
        fc_macs=excitation.macs,
        scale_multiplications=scale.total("multiply"),
        elementwise=squeeze.total("multiply", *small)
        + excitation.total("add", "pool", "multiply", *small)
        + scale.total(*small),
        squeeze_bytes=map_bytes,
        scale_bytes=2 * map_bytes,
    )


def split_params(block: SEBlock, reduction: float) -> BlockParams:
    """Sort the parameters of a block whose network is not known, by their number.

    Two layers without biases have 2 C h weights; biases bring h and C more (2 C for a scale with a
    shift), a norm between the layers 2 h, one after both 2 C.
    """
    channels, hidden = block.channels, block.hidden
    gates = 2 * channels if block.shift else channels
    weights = (channels + gates) * hidden
    extra = block.params - weights
    biases = norms = 0
    for first, second, norm, after in (
        (0, 0, 0, 0),
        (1, 1, 0, 0),
        (0, 1, 2, 0),
        (1, 1, 2, 0),
        (0, 0, 2, 0),
        (0, 0, 2, 2),
        (1, 1, 2, 2),
        (0, 1, 0, 0),
        (1, 0, 0, 0),
    ):
        if extra == first * hidden + second * gates + norm * hidden + after * gates:
            biases, norms = first * hidden + second * gates, norm * hidden + after * gates
            per_hidden = channels + gates + first + norm
            break
    else:
        first, per_hidden = 0, channels + gates
    return BlockParams(
        weights=weights,
        biases=biases,
        norms=norms,
        others=extra - biases - norms,
        per_hidden=per_hidden,
        biases_per_hidden=first,
        formula=2 * channels**2 / reduction,
    )


def formula_reduction(block: SEBlock, shared: float | None) -> float:
    """Return the ratio r for the formula: that of the network, or the block's own."""
    return shared or block.channels / block.hidden
