"""Real SE blocks for a network that has none, at the places where the paper puts them.

The place is found in the recorded pass, not by class names:

- where branches are added to shortcuts, at the end of each branch, after its last norm
  (SE-ResNet, arXiv 1709.01507v4, figure 3);
- else where a module returns joined maps, after that module: an inception or a dense block (figure 2);
- else, in a plain chain, after each pointwise convolution if some are depthwise (MobileNet), and after
  each convolution if none is (VGG), with the norm that follows it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from seviz.cost.attribution import is_chain
from seviz.errors import CheckpointError, UsageError
from seviz.gates import Example, trace, unwrap
from seviz.gates.flow import root
from seviz.gates.graph import Graph, Op, Value, walk_back
from seviz.gates.ops import LINEAR, NORM, VIEW
from seviz.networks.architectures.se import SqueezeExcite

_CONVOLUTION = frozenset({"convolution", "_convolution", "conv2d"})


class WithSE(nn.Module):
    """A module of the network, and the SE block that scales what it returns.

    Args:
        body: The module that was there.
        se: The SE block.
    """

    def __init__(self, body: nn.Module, se: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.se = se

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the scaled output of the body."""
        out: Tensor = self.se(self.body(*args, **kwargs))
        return out

    def __getattr__(self, name: str) -> Any:
        # Networks look at their modules: at ``norm.weight``, at ``block.stride``.
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("body"), name)


@dataclass(frozen=True)
class InsertionPoint:
    """Where an SE block goes.

    Attributes:
        path: The module after which it goes.
        channels: Channels of the map that the module returns.
    """

    path: str
    channels: int


def insert(
    model: nn.Module,
    input_size: Example,
    *,
    reduction: int = 16,
    after: str | None = None,
    bias: bool = True,
) -> tuple[nn.Module, tuple[InsertionPoint, ...]]:
    """Return a copy of a network with SE blocks in it, and where they are.

    Args:
        model: A network without SE, with weights or on the meta device; it is left as it is.
        input_size: Channels, height and width of an image.
        reduction: Ratio r; the bottleneck has ``max(1, C // r)`` units.
        after: Regular expression that module paths must match as a whole to get an SE block; by default
            the places are found in the pass.
        bias: Whether the fully connected layers have biases, as in the authors' released networks.

    Raises:
        UsageError: If the ratio is not positive, or ``after`` fits no module that returns a map.
        CheckpointError: If the network has SE blocks already, or no place is found.
    """
    if reduction < 1:
        raise UsageError(
            f"expected --reduction of at least 1, found {reduction}; the paper uses 16"
        )
    network = copy.deepcopy(unwrap(model))
    traced = trace(network, input_size)
    if traced.found.blocks:
        count = len(traced.found.blocks)
        raise CheckpointError(
            f"expected a network without SE to insert it, found {count} SE blocks; leave --insert-se out "
            "to audit those"
        )
    places = _matching(traced.own_size, after) if after is not None else _standard(traced.own_size)
    if not places:
        raise CheckpointError(
            "expected a place for SE: branches that are added or joined, or a chain of convolutions, "
            "found none; name modules with --after"
        )
    for place in places:
        parent, _, name = place.path.rpartition(".")
        body = network.get_submodule(place.path)
        like = next(network.parameters())
        se = SqueezeExcite(place.channels, reduction, bias=bias).to(like.device, like.dtype)
        setattr(network.get_submodule(parent), name, WithSE(body, se).train(body.training))
    return network, places


def _standard(graph: Graph) -> tuple[InsertionPoint, ...]:
    for rule in (_residual, _joined, _chain):
        places = tuple(dict.fromkeys(rule(graph)))
        if places:
            return places
    return ()


def _residual(graph: Graph) -> Iterator[InsertionPoint]:
    """Yield the end of every branch that is added to a shortcut."""
    for op in graph.ops:
        maps = [v for v in op.activations if _is_map(v)]
        if op.name == "add" and len(maps) == 2 and maps[0].shape == maps[1].shape:
            branch = _branch(*maps)
            place = _last_module(branch) if branch is not None else None
            if place is not None:
                yield place


def _branch(a: Value, b: Value) -> Value | None:
    """Return which of two added maps is the branch: the one with more layers since they parted."""
    behind = [list(walk_back(v)) for v in (a, b)]
    common = {id(op) for op in behind[0]} & {id(op) for op in behind[1]}
    layers = [sum(op.name in LINEAR and id(op) not in common for op in branch) for branch in behind]
    if layers[0] == layers[1]:
        return None
    return a if layers[0] > layers[1] else b


def _last_module(value: Value) -> InsertionPoint | None:
    """Return the module of the last norm or convolution before ``value``, its activation included."""
    chain = [value]
    while chain[-1].op is not None and chain[-1].op.name not in LINEAR | NORM:
        if len(chain[-1].op.activations) != 1:
            break
        chain.append(chain[-1].op.activations[0])
    maker = chain[-1].op
    if maker is not None and maker.name in _CONVOLUTION | NORM:
        place = _place_of(maker, chain[::-1])
        if place is not None:
            return place
    # A map whose channels come last (ConvNeXt) is one again only at the end of the branch.
    ends = (
        InsertionPoint(v.exits[0].call.path, v.shape[1])
        for v in chain[:1]
        if v.exits and _is_map(v)
    )
    return next((place for place in ends if place.path), None)


def _place_of(maker: Op, values: Sequence[Value]) -> InsertionPoint | None:
    """Return the innermost module that runs ``maker`` and returns one of ``values``, the first that is."""
    for value in values:
        for call, _ in value.exits:
            runs = maker.call.path == call.path or maker.call.path.startswith(f"{call.path}.")
            if call.path and runs and _is_map(value):
                return InsertionPoint(call.path, value.shape[1])
    return None


def _joined(graph: Graph) -> Iterator[InsertionPoint]:
    """Yield every module that returns maps joined along their channels."""
    for op in graph.ops:
        maps = [v for v in op.activations if _is_map(v)]
        if op.name != "cat" or len(maps) < 2:
            continue
        for value in _same(op.outputs[0]):
            if value.exits and value.exits[0].call.path:
                yield InsertionPoint(value.exits[0].call.path, value.shape[1])
                break


def _chain(graph: Graph) -> Iterator[InsertionPoint]:
    """Yield every convolution, or every pointwise one where some are depthwise, after its norm."""
    if not is_chain(graph.ops):
        return
    convolutions = [op for op in graph.ops if op.name in _CONVOLUTION and _is_map(op.outputs[0])]
    depthwise = any(op.args[8] > 1 for op in convolutions if op.name == "convolution")
    for op in convolutions:
        weight = op.args[1].shape
        if depthwise and (any(k > 1 for k in weight[2:]) or op.args[8] > 1):
            continue
        out = op.outputs[0]
        norms = [use for use in out.uses if use.name in NORM]
        maker = norms[0] if len(out.uses) == 1 and norms else op
        end = maker.outputs[0]
        activated = end.uses[0].outputs[:1] if len(end.uses) == 1 else []
        place = _place_of(maker, [end, *activated])
        if place is not None:
            yield place


def _matching(graph: Graph, after: str) -> tuple[InsertionPoint, ...]:
    try:
        pattern = re.compile(after)
    except re.error as exc:
        raise UsageError(
            f"expected --after as a regular expression, found {after!r} ({exc}); for example 'layer\\d'"
        ) from exc
    places = {
        call.path: InsertionPoint(call.path, out.shape[1])
        for op in graph.ops
        for out in op.outputs
        for call, _ in out.exits
        if call.path and _is_map(out) and pattern.fullmatch(call.path)
    }
    if not places:
        known = [c.path for op in graph.ops for o in op.outputs if _is_map(o) for c, _ in o.exits]
        shown = ", ".join(dict.fromkeys(p for p in known if p))
        raise UsageError(
            f"expected --after to match modules that return a map, found none for {after!r}; there are "
            f"{shown[:200]}"
        )
    return tuple(places.values())


def _is_map(value: Value) -> bool:
    return len(value.shape) == 4 and value.shape[2] * value.shape[3] > 1


def _same(value: Value) -> Iterator[Value]:
    """Yield ``value`` and what holds the same numbers in another shape or order."""
    yield value
    for use in value.uses:
        if use.name in VIEW and use.outputs and root(use.outputs[0]) is root(value):
            yield from _same(use.outputs[0])
