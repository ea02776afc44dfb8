"""Finding every SE block of a network in one traced forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seviz.errors import CheckpointError, NoSEBlockError
from seviz.gates.classify import (
    Excitation,
    channel_dim,
    container,
    excitation,
    kind_of,
    placement,
    shift,
)
from seviz.gates.flow import Flow, Followed, Site, follow, root
from seviz.gates.graph import Graph, Op, is_on_meta, meta_copy, record
from seviz.gates.lookalikes import other_mechanisms, pixel_gates
from seviz.gates.ops import MAXIMUM
from seviz.gates.reading import Reading, plan
from seviz.gates.tap import evaluating, unwrap
from seviz.results.blocks import SE, WITHOUT_SQUEEZE, SEBlock

_BATCH = 2
# A map of one pixel cannot be told from its squeeze; the trace is repeated on images up to this many
# times larger.
_ENLARGE = 16


@dataclass(frozen=True)
class OtherMechanism:
    """Something that looks like SE and is not.

    Attributes:
        kind: What it is.
        path: Module path of its first occurrence.
        count: Number of occurrences.
    """

    kind: str
    path: str
    count: int


@dataclass(frozen=True)
class Found:
    """What a traced forward pass shows.

    Attributes:
        blocks: The SE blocks, in forward order.
        without_squeeze: Bottleneck gates that are per pixel (the paper's "NoSqueeze"), in forward order.
        others: Other attention and gating mechanisms.
        readings: How to read each gate at run time, by block name.
        input_size: Channels, height and width of the traced image.
        outputs: Width of the network's output if that is one tensor [N, outputs], else ``None``.
    """

    blocks: tuple[SEBlock, ...]
    without_squeeze: tuple[SEBlock, ...]
    others: tuple[OtherMechanism, ...]
    readings: Mapping[str, Reading]
    input_size: tuple[int, ...]
    outputs: int | None

    @property
    def se_readings(self) -> dict[str, Reading]:
        """Return the readings of the SE blocks alone."""
        return self.only(self.blocks)

    def only(self, blocks: Sequence[SEBlock]) -> dict[str, Reading]:
        """Return the readings of these blocks."""
        return {b.name: self.readings[b.name] for b in blocks}

    def require_se(self) -> Found:
        """Return itself.

        Raises:
            NoSEBlockError: If the network has no SE block; the message says what it has instead.
        """
        if self.blocks:
            return self
        seen = [f"{len(self.without_squeeze)} x {WITHOUT_SQUEEZE}"] if self.without_squeeze else []
        seen += [f"{o.count} x {o.kind}" for o in self.others]
        instead = ", ".join(seen) if seen else "no other gate or attention either"
        hint = "; --without-squeeze reads the spatial mean of those" if self.without_squeeze else ""
        raise NoSEBlockError(f"expected SE blocks in this network, found none: {instead}{hint}")


@dataclass(frozen=True, eq=False)
class TracedBlock:
    """An SE block with its place in the graph.

    Attributes:
        block: What is known of it.
        site: The multiplication, and the squeezes that lead to it.
        excitation: What lies between them.
    """

    block: SEBlock
    site: Site
    excitation: Excitation


@dataclass(frozen=True, eq=False)
class Trace:
    """The recorded pass behind a `Found`.

    Attributes:
        found: What it shows.
        blocks: The SE blocks, as in ``found.blocks``.
        graph: The graph in which they were found.
        own_size: The graph for images of the size that was asked for; ``graph`` itself, unless a map
            shrinks to one pixel there and larger images had to be traced.
    """

    found: Found
    blocks: tuple[TracedBlock, ...]
    graph: Graph
    own_size: Graph


def find(model: nn.Module, input_size: Sequence[int]) -> Found:
    """Find every SE block by data flow, whatever the classes and attributes are called.

    One forward pass is recorded, on the meta device where the network can be copied there (no memory,
    no arithmetic), else on the network's own device. The network is left as it was.

    Args:
        model: Any network that takes one image batch.
        input_size: Channels, height and width (or channels and length, ...) of an image.

    Returns:
        The blocks, their look-alikes, and how to read the gates.

    Raises:
        CheckpointError: If the network cannot run on such an image, or the image is so small that a
            block scales a map of one pixel and larger images are refused.

    >>> from seviz.networks.architectures.registry import build
    >>> found = find(build("se_resnet20"), (3, 32, 32))
    >>> [b.name for b in found.blocks][-1], found.blocks[-1].channels, found.blocks[-1].gate
    ('SE_4_3', 64, 'sigmoid')
    """
    return trace(model, input_size).found


def trace(model: nn.Module, input_size: Sequence[int]) -> Trace:
    """Find every SE block, as `find` does, and keep the recorded pass.

    Raises:
        CheckpointError: As `find` does.
    """
    model = unwrap(model)
    size = tuple(int(n) for n in input_size)
    graph, flow = _trace(model, size)
    own_size = graph
    factor = 2
    while flow.degenerate and factor <= _ENLARGE:
        larger = (size[0], *(n * factor for n in size[1:]))
        try:
            graph, flow = _trace(model, larger)
        except CheckpointError:
            if _hides_blocks(flow):
                raise CheckpointError(
                    f"expected an image on which no map shrinks to one pixel, found {size}: the last "
                    f"blocks cannot be told apart there, and {larger} is refused by the network; "
                    "give another --input-size"
                ) from None
            break
        factor *= 2
    found, blocks = _describe(graph, flow, size, model)
    return Trace(found, blocks, graph, own_size)


def _trace(model: nn.Module, size: tuple[int, ...]) -> tuple[Graph, Flow]:
    graph = recorded(model, size)
    return graph, follow(graph)


def recorded(model: nn.Module, size: tuple[int, ...]) -> Graph:
    """Record one pass, on the meta device where the network can be copied there.

    Raises:
        CheckpointError: If the network cannot run on images of this size.
    """
    try:
        shadow = model if is_on_meta(model) else meta_copy(model)
        with evaluating(shadow):
            return record(shadow, _example(model, size, torch.device("meta")))
    except Exception:
        # Tensors that are no parameters or buffers, control flow on numbers, scripted code: what
        # cannot be copied to the meta device is run where it is.
        try:
            with evaluating(model):
                return record(model, _example(model, size, None))
        except Exception as exc:
            reason = str(exc).strip().splitlines()
            raise CheckpointError(
                f"expected the network to run on images of size {'x'.join(map(str, size))}, found "
                f"{type(exc).__name__}: {reason[0] if reason else 'no message'}; give --input-size "
                "as it was trained"
            ) from exc


def _example(model: nn.Module, size: tuple[int, ...], device: torch.device | None) -> Tensor:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros((_BATCH, *size), dtype=like.dtype, device=device or like.device)


def _hides_blocks(flow: Flow) -> bool:
    """Whether a squeeze of a one-pixel map leads to a multiplication with that map."""
    sources = {id(root(op.inputs[0])) for op in flow.degenerate}
    for op in flow.degenerate:
        for use in root(op.inputs[0]).uses:
            if use.name == "mul" and any(id(root(v)) in sources for v in use.activations):
                return True
    return False


@dataclass(frozen=True, eq=False)
class _Gate:
    """One gate with the place of its multiplication in the pass."""

    order: int
    site: Site
    found: Excitation
    block: SEBlock
    reading: Reading


def _describe(
    graph: Graph, flow: Flow, size: tuple[int, ...], model: nn.Module
) -> tuple[Found, tuple[TracedBlock, ...]]:
    order = {id(op): n for n, op in enumerate(graph.ops)}
    named = dict(model.named_parameters(remove_duplicate=False))
    gates: list[_Gate] = []
    others: list[tuple[str, str]] = []
    excited = [
        excitation(s.gate, flow.followed, s.followed, graph.parameter_shapes) for s in flow.sites
    ]
    several = Counter(map(_map_and_layer, flow.sites, excited))
    for site, found in zip(flow.sites, excited, strict=True):
        kind = kind_of(site, found)
        if kind == SE and several[_map_and_layer(site, found)] > 1:
            kind = "dynamic activation (several gates of one excitation on one map)"
        channel = channel_dim(site)
        if kind != SE or channel is None:
            others.append((kind, _path(found, named)))
            continue
        block = _block(site, found, channel, named)
        reading = plan(site.op, site.gate, site.scaled, channel)
        gates.append(_Gate(order[id(site.op)], site, found, block, reading))
    pixel: list[_Gate] = []
    for op, gate, scaled, found in pixel_gates(graph, flow):
        site = Site(op, gate, scaled, (0, 1), Followed((), gate))
        block = _block(site, found, 1, named, kind=WITHOUT_SQUEEZE)
        reading = plan(op, gate, scaled, 1, per_pixel=True)
        pixel.append(_Gate(order[id(op)], site, found, block, reading))
    read = {g.order for g in pixel}
    others += [
        (kind, op.call.path)
        for kind, op in other_mechanisms(graph, flow)
        if order[id(op)] not in read
    ]
    se, per_pixel = _named(gates, "SE"), _named(pixel, "GATE")
    shown = Found(
        blocks=tuple(g.block for g in se),
        without_squeeze=tuple(g.block for g in per_pixel),
        others=_grouped(others),
        readings={g.block.name: g.reading for g in (*se, *per_pixel)},
        input_size=size,
        outputs=graph.outputs,
    )
    return shown, tuple(TracedBlock(g.block, g.site, g.found) for g in se)


def _map_and_layer(site: Site, found: Excitation) -> tuple[int, int]:
    layer = found.layers[-1][0] if found.layers else site.op
    return id(root(site.scaled)), id(layer)


def _path(found: Excitation, named: Mapping[str, nn.Parameter]) -> str:
    """Return the module that holds the excitation: the largest one that has no other parameters.

    Where only the whole network holds it, this is the module of its first layer.
    """
    names = found.parameters
    path = container([] if names else [op.call for op in found.ops], names)
    while names and "." in path:
        parent = path.rpartition(".")[0]
        if not {n for n in named if n.startswith(f"{parent}.")} <= set(names):
            break
        path = parent
    return path or (names[0].rpartition(".")[0] if names else "")


def _block(
    site: Site,
    found: Excitation,
    channel: int,
    named: Mapping[str, nn.Parameter],
    kind: str = SE,
) -> SEBlock:
    names = found.parameters
    how = {s.how for s in site.followed.squeezes}
    spatial = [n for d, n in enumerate(site.scaled.shape) if d not in (0, channel)]
    return SEBlock(
        name="",
        path=_path(found, named),
        stage=0,
        index=0,
        channels=site.scaled.shape[channel],
        hidden=_width(found.layers[0][0], kind),
        gate=found.gate,
        squeeze="none" if kind != SE else "max" if how <= MAXIMUM else "mean",
        placement=placement(site),
        parameters=tuple(n for n in names if n in named),
        params=sum(named[n].numel() for n in names if n in named),
        spatial=tuple(spatial),
        shift=shift(site, found) is not None,
        kind=kind,
    )


def _width(layer: Op, kind: str) -> int:
    """Return how many numbers a layer gives for one image (for one pixel, where there is no squeeze)."""
    out = layer.outputs[0]
    return out.numel // out.shape[0] if kind == SE else out.shape[1]


def _named(gates: list[_Gate], prefix: str) -> list[_Gate]:
    """Number the blocks: one stage for each spatial size, the first being 2, as in the paper."""
    stages: dict[tuple[int, ...], int] = {}
    counts: Counter[int] = Counter()
    named = []
    for gate in sorted(gates, key=lambda g: g.order):
        stage = stages.setdefault(gate.block.spatial, len(stages) + 2)
        counts[stage] += 1
        index = counts[stage]
        block = replace(gate.block, name=f"{prefix}_{stage}_{index}", stage=stage, index=index)
        named.append(replace(gate, block=block))
    return named


def _grouped(seen: list[tuple[str, str]]) -> tuple[OtherMechanism, ...]:
    counts = Counter(kind for kind, _ in seen)
    first = dict(reversed(seen))
    return tuple(OtherMechanism(kind, first[kind], n) for kind, n in counts.items())
