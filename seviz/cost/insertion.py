"""Real SE blocks, or gates of another kind, for a network that has none, where the papers put them.

The place is found in the recorded pass, not by class names:

- where branches are added to shortcuts, at the end of each branch, after its last norm
  (SE-ResNet, arXiv 1709.01507v4, figure 3);
- else where a module returns joined maps, after that module: an inception or a dense block (figure 2);
- else, in a plain chain, after each pointwise convolution if some are depthwise (MobileNet), and after
  each convolution if none is (VGG), with the norm that follows it.

In a residual network they may also go before each branch, after each addition, or on each shortcut
(figure 5 and Table 14).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from seviz.cost.attribution import is_chain
from seviz.cost.inserted import Before, OnShortcut, WithSE, gate_maker
from seviz.cost.units import is_map, units
from seviz.errors import CheckpointError, UsageError
from seviz.gates import Example, trace, unwrap
from seviz.gates.attributes import copied
from seviz.gates.flow import root
from seviz.gates.graph import Graph, Op, Value
from seviz.gates.ops import LINEAR, NORM, VIEW
from seviz.results.mechanisms import BY_KEY, DEFAULT_KIND

_CONVOLUTION = frozenset({"convolution", "_convolution", "conv2d"})


PLACEMENTS = ("standard", "pre", "post", "identity")


@dataclass(frozen=True)
class InsertionPoint:
    """Where a gate goes.

    Attributes:
        path: The module beside which it goes.
        channels: Channels of the map that is scaled.
        size: Height and width of that map.
        first: For a gate on a shortcut: path of the branch's first module inside of that module.
    """

    path: str
    channels: int
    size: tuple[int, ...] = ()
    first: str = ""


def insert(
    model: nn.Module,
    input_size: Example,
    *,
    reduction: int | None = None,
    after: str | None = None,
    bias: bool = True,
    kind: str = DEFAULT_KIND,
    placement: str = PLACEMENTS[0],
    stages: Collection[int] = (),
) -> tuple[nn.Module, tuple[InsertionPoint, ...]]:
    """Return a copy of a network with gates in it, and where they are.

    Args:
        model: A network without such gates, with weights or on the meta device; it is left as it is.
        input_size: Channels, height and width of an image.
        reduction: Ratio r; the bottleneck has ``max(1, C // r)`` units. 16 by default, where there is one.
        after: Regular expression that module paths must match as a whole to be followed by a gate; by
            default the places are found in the pass.
        bias: Whether the fully connected layers have biases, as in the authors' released networks.
        kind: ``se``, ``eca``, ``cbam`` (its channel half) or ``ge`` (without parameters).
        placement: ``standard``, or in residual networks ``pre``, ``post`` or ``identity``, as in Table 14.
        stages: The stages that get gates, as blocks are named by them, from 2; all by default.

    Raises:
        UsageError: If the kind or the placement is unknown, the ratio is not positive or not the kind's,
            ``after`` fits no module that returns a map, or a stage does not exist.
        CheckpointError: If the network has such gates already, or no place is found.
    """
    make = gate_maker(kind, reduction, bias)
    if placement not in PLACEMENTS:
        raise UsageError(
            f"expected --placement as one of {', '.join(PLACEMENTS)}, found {placement!r}; give one of them"
        )
    if after is not None and placement != PLACEMENTS[0]:
        raise UsageError(
            f"expected --after with the standard placement, found {placement}; leave one of them out"
        )
    network = copied(unwrap(model))
    word = BY_KEY[kind].word
    traced = trace(network, input_size, kind)
    if traced.found.blocks:
        count = len(traced.found.blocks)
        raise CheckpointError(
            f"expected a network without {word} to insert it, found {count} {word} blocks; leave "
            f"--insert{'-se' if kind == DEFAULT_KIND else ''} out to audit those"
        )
    graph = traced.own_size
    if after is not None:
        places = _matching(graph, after)
    elif placement == PLACEMENTS[0]:
        places = _standard(graph)
    else:
        places = tuple(dict.fromkeys(_around(graph, placement)))
    if not places:
        found = (
            "branches that are added"
            if placement != PLACEMENTS[0]
            else ("branches that are added or joined, or a chain of convolutions")
        )
        raise CheckpointError(
            f"expected a place for {word}: {found}, found none; name modules with --after"
        )
    places = _of_stages(places, stages)
    for place in places:
        parent, _, name = place.path.rpartition(".")
        body = network.get_submodule(place.path)
        like = next(network.parameters())
        gate = make(place.channels).to(like.device, like.dtype)
        beside: nn.Module
        if placement == "pre":
            beside = Before(body, gate, kind)
        elif placement == "identity":
            beside = OnShortcut(body, gate, kind, place.first)
        else:
            beside = WithSE(body, gate, kind)
        setattr(network.get_submodule(parent), name, beside.train(body.training))
    if placement != PLACEMENTS[0]:
        _check(network, input_size, kind, places)
    return network, places


def _check(
    network: nn.Module, input_size: Example, kind: str, places: Sequence[InsertionPoint]
) -> None:
    """Check that every gate scales what it should, where modules were given other maps than before.

    Raises:
        CheckpointError: If one does not.
    """
    left = len(trace(network, input_size, kind).found.blocks)
    if left != len(places):
        raise CheckpointError(
            f"expected residual units whose modules take and return the map, found {left} of {len(places)} "
            "gates in place; use the standard placement, or name modules with --after"
        )


def _of_stages(
    places: tuple[InsertionPoint, ...], stages: Collection[int]
) -> tuple[InsertionPoint, ...]:
    """Return the places in some stages, which are numbered as blocks are: by the sizes of their maps."""
    if not stages:
        return places
    number = {size: n for n, size in enumerate(dict.fromkeys(p.size for p in places), start=2)}
    wrong = sorted(set(stages) - set(number.values()))
    if wrong:
        raise UsageError(
            f"expected --stages among {', '.join(map(str, number.values()))}, found {wrong[0]}; a stage "
            "holds the places whose maps are equally large"
        )
    return tuple(p for p in places if number[p.size] in stages)


def _point(path: str, value: Value, first: str = "") -> InsertionPoint:
    return InsertionPoint(path, value.shape[1], tuple(value.shape[2:]), first)


def _around(graph: Graph, placement: str) -> Iterator[InsertionPoint]:
    """Yield the modules before each branch, or the residual units themselves."""
    for unit in units(graph):
        fork, whole = unit.fork, _place_of(unit.add, unit.ends)
        if placement == "post":
            if whole is not None:
                yield whole
            continue
        first = unit.first.call.path if unit.first is not None else ""
        # A function that begins a branch is no module that could be given another map.
        inside = whole is not None and first.startswith(f"{whole.path}.")
        if fork is None or not first or whole is None or not inside:
            continue
        if placement == "pre":
            yield _point(first, fork)
        else:
            yield _point(whole.path, fork, first.removeprefix(f"{whole.path}."))


def _standard(graph: Graph) -> tuple[InsertionPoint, ...]:
    for rule in (_residual, _joined, _chain):
        places = tuple(dict.fromkeys(rule(graph)))
        if places:
            return places
    return ()


def _residual(graph: Graph) -> Iterator[InsertionPoint]:
    """Yield the end of every branch that is added to a shortcut."""
    for unit in units(graph):
        place = _last_module(unit.branch)
        if place is not None:
            yield place


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
    ends = (_point(v.exits[0].call.path, v) for v in chain[:1] if v.exits and is_map(v))
    return next((place for place in ends if place.path), None)


def _place_of(maker: Op, values: Sequence[Value]) -> InsertionPoint | None:
    """Return the innermost module that runs ``maker`` and returns one of ``values``, the first that is."""
    for value in values:
        for call, _ in value.exits:
            runs = maker.call.path == call.path or maker.call.path.startswith(f"{call.path}.")
            if call.path and runs and is_map(value):
                return _point(call.path, value)
    return None


def _joined(graph: Graph) -> Iterator[InsertionPoint]:
    """Yield every module that returns maps joined along their channels."""
    for op in graph.ops:
        maps = [v for v in op.activations if is_map(v)]
        if op.name != "cat" or len(maps) < 2:
            continue
        for value in _same(op.outputs[0]):
            if value.exits and value.exits[0].call.path:
                yield _point(value.exits[0].call.path, value)
                break


def _chain(graph: Graph) -> Iterator[InsertionPoint]:
    """Yield every convolution, or every pointwise one where some are depthwise, after its norm."""
    if not is_chain(graph.ops):
        return
    convolutions = [op for op in graph.ops if op.name in _CONVOLUTION and is_map(op.outputs[0])]
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
        call.path: _point(call.path, out)
        for op in graph.ops
        for out in op.outputs
        for call, _ in out.exits
        if call.path and is_map(out) and pattern.fullmatch(call.path)
    }
    if not places:
        known = [c.path for op in graph.ops for o in op.outputs if is_map(o) for c, _ in o.exits]
        shown = ", ".join(dict.fromkeys(p for p in known if p))
        raise UsageError(
            f"expected --after to match modules that return a map, found none for {after!r}; there are "
            f"{shown[:200]}"
        )
    return tuple(places.values())


def _same(value: Value) -> Iterator[Value]:
    """Yield ``value`` and what holds the same numbers in another shape or order."""
    yield value
    for use in value.uses:
        if use.name in VIEW and use.outputs and root(use.outputs[0]) is root(value):
            yield from _same(use.outputs[0])
