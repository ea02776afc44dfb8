"""Gates whose map is squeezed by more than a mean: by attention, by a convolution, by a weight per pixel."""

from __future__ import annotations

from collections.abc import Iterator

from seviz.gates.flow import root
from seviz.gates.graph import Op, Value, walk_back
from seviz.gates.kinds.base import Candidate
from seviz.gates.ops import AVERAGE, LINEAR, POOL, REDUCE, SOFTMAX


def pools_by_attention(seen: Candidate) -> bool:
    """A softmax over the pixels weighs them, and a bottleneck follows (arXiv 1904.11492)."""
    if len(seen.squeezes) != 1 or not seen.bounded or len(seen.matrices) != 2:
        return False
    before = list(behind(seen))
    return (
        any(op.name in SOFTMAX for op in before)
        and not any(op.name in POOL | REDUCE for op in before)
        and _is_gathered(seen)
    )


def gathers_by_convolution(seen: Candidate) -> bool:
    """Convolutions of each channel on its own, down to one pixel (arXiv 1810.12348, GE-theta+)."""
    layers = [op for op in (*behind(seen), *seen.squeezes) if op.name in LINEAR]
    return (
        seen.how == {"convolution"}
        and seen.bounded
        and len(seen.weights) == 1
        and all(_is_depthwise(op) for op in layers)
        and _is_gathered(seen)
    )


def weighs_pixels(seen: Candidate) -> bool:
    """A sum over the map after each pixel was given a weight that is no image's (arXiv 2012.11779)."""
    if len(seen.squeezes) != 1 or not seen.how <= AVERAGE or seen.is_of_its_own_map:
        return False
    op = seen.sources[0].op
    if op is None or op.name != "mul" or not seen.bounded or len(seen.matrices) != 2:
        return False
    product = seen.sources[0]
    fixed = [v for v in op.inputs if v.op is None or v.parameter is not None]
    varies = any(sum(n > 1 for n in v.shape) > 1 for v in fixed)
    maps = [v for v in op.activations if v.numel == product.numel and v not in fixed]
    return varies and len(maps) == 1 and _is_pooled(maps[0], seen.map)


def behind(seen: Candidate) -> Iterator[Op]:
    """Yield the operators between the map and the squeezes."""
    for op in seen.squeezes:
        for value in op.inputs:
            yield from walk_back(value, {id(seen.map), id(seen.site.scaled)})


def _is_gathered(seen: Candidate) -> bool:
    """Whether the squeezed map is the scaled one, or comes from it alone."""
    makers = {id(op) for op in walk_back(seen.map)}
    return all(id(op) not in makers for op in behind(seen)) and (
        seen.is_of_its_own_map or any(root(v) is seen.map for op in behind(seen) for v in op.inputs)
    )


def _is_depthwise(op: Op) -> bool:
    groups = op.args[8] if op.name == "convolution" else 1
    return bool(groups == op.inputs[0].shape[1])


def _is_pooled(value: Value, source: Value) -> bool:
    """Whether ``value`` is a map, or that map made smaller by averaging."""
    value = root(value)
    while value is not source and value.op is not None and value.op.name in POOL & AVERAGE:
        value = root(value.op.inputs[0])
    return value is source
