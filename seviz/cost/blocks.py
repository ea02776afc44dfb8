"""What one block costs: from its operators, or from what is known of it alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from seviz.cost.attribution import Part, leaves
from seviz.cost.counting import Counts
from seviz.cost.operators import is_constant
from seviz.gates.graph import Graph, Op, Value
from seviz.gates.kinds import row_of
from seviz.gates.ops import LINEAR, NORM
from seviz.results.blocks import GateBlock, SEBlock
from seviz.results.cost import BYTES, BlockParams, BlockWork


def block_params(part: Part, own: set[str], formula: float | None) -> BlockParams:
    """Sort a block's parameters by what they are, and by whether they grow with the bottleneck.

    Args:
        part: The block.
        own: State-dict names of the parameters that only the blocks use.
        formula: The closed form of its weights, if there is one.
    """
    sums = {"weights": 0, "biases": 0, "norms": 0, "others": 0}
    per_hidden = biases_per_hidden = 0
    hidden = part.block.facts.get("hidden") if part.block.mechanism.has_bottleneck else None
    position = {op: n for n, op in enumerate(part.ops)}
    # Of two layers that are used twice, as in CBAM, the first use of each.
    uses = {_weights_of(op): position[op] for op in reversed(part.layers)}
    first, last = (min(uses.values()), max(uses.values())) if uses else (0, 0)
    seen: set[str] = set()
    for op, name, kind, count in _parameters(part):
        if name not in own or name in seen:
            continue
        seen.add(name)
        # Without a layer, all that is learned is a number for each channel.
        sums["weights" if not part.layers and kind != "norms" else kind] += count
        at = position[op]
        widens = op in part.layers if kind == "weights" else first <= at < last
        if hidden and widens and count % hidden == 0:
            per_hidden += int(count // hidden)
            biases_per_hidden += int(count // hidden) if kind == "biases" else 0
    return BlockParams(
        **sums,
        per_hidden=per_hidden,
        biases_per_hidden=biases_per_hidden,
        formula=formula,
    )


def _weights_of(layer: Op) -> frozenset[Value]:
    """Return the parameters that a layer's weight is made of."""
    return frozenset(leaves(layer.weight)) if layer.weight is not None else frozenset()


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
        fc_macs=squeeze.macs + excitation.macs + scale.macs,
        scale_multiplications=scale.total("multiply"),
        elementwise=squeeze.total("multiply", *small)
        + excitation.total("add", "pool", "multiply", *small)
        + scale.total(*small),
        squeeze_bytes=map_bytes,
        scale_bytes=2 * map_bytes,
    )


def split_params(block: SEBlock, shared: float | None) -> BlockParams:
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
        formula=closed_form(block, shared),
    )


def closed_form(block: GateBlock, shared: float | None) -> float | None:
    """Return the weights of a block by its kind's closed form, ``None`` where there is none.

    Of SE it is the paper's 2 C^2 / r.

    Args:
        block: The block.
        shared: The ratio r of the network, if it has one; else a block's own is taken.
    """
    if isinstance(block, SEBlock):
        return 2 * block.channels**2 / (shared or block.channels / block.hidden)
    weights = row_of(block).weights
    return weights(block) if weights is not None else None


def form_of(part: Part, own: Collection[str], shared: float | None) -> float | None:
    """Return the closed form of a block's weights; ``None`` also where it gathers in several steps.

    Args:
        part: The block.
        own: State-dict names of the parameters that only the blocks use.
        shared: As for `closed_form`.
    """
    learned = [op for op in part.ops if op.name in LINEAR]
    steps = [op for op in learned if {v.parameter for v in _weights_of(op)} & set(own)]
    in_steps = part.block.squeeze == "convolution" and len(steps) > 1
    return None if in_steps else closed_form(part.block, shared)


def macs_of_layers(part: Part, graph: Graph) -> int:
    """Return the MACs for one image of a block's layers, those that grow with its bottleneck."""
    return Counts(graph, part.layers).macs
