"""Finding every SE block of a network in one traced forward pass."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from seviz.errors import CheckpointError, NoSEBlockError, SevizError
from seviz.gates.attributes import attributes_restored
from seviz.gates.classify import Excitation
from seviz.gates.flow import Flow, Site, follow, root
from seviz.gates.graph import Graph, is_on_meta, meta_copy, record
from seviz.gates.inputs import Example, Inputs, described, like_traced, size_of
from seviz.gates.own_size import OwnSize
from seviz.gates.reading import Reading
from seviz.gates.seen import look
from seviz.gates.tap import evaluating, require_weights, unwrap
from seviz.results.blocks import WITHOUT_SQUEEZE, GateBlock
from seviz.results.mechanisms import BY_KEY, chosen, word_of
from seviz.results.notebook import summary_html, tables_html

_BATCH = 2
# Channels of images, by which a size is seen to have them last.
_COLOURS = (1, 3, 4)
# A map of one pixel cannot be told from its squeeze; the trace is repeated on images up to this many
# times larger.
_ENLARGE = 16
# Numbers of an image that is run, not only traced: 2 GB in float32 for two.
_LARGEST = 2**28
# Packages whose layers, or whose tensors, are quantised: PyTorch's, torchao, bitsandbytes.
_QUANTISED = {"quantized", "torchao", "bitsandbytes"}


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
        blocks: The blocks of the kind that was asked for, SE blocks by default, in forward order.
        without_squeeze: Bottleneck gates that are per pixel (the paper's "NoSqueeze"), in forward order.
        others: Other attention and gating mechanisms.
        readings: How to read each gate at run time, by block name.
        input_size: Channels, height and width of the traced image.
        outputs: Width of the network's output if that is one tensor [N, outputs], else ``None``.
        mechanism: The kind that was asked for.
        readable: All kinds whose gates can be read in the network, in the order in which they come.
        quantised: Layers that are quantised: what they compute is not followed.
        heads: Names of its outputs, where it gives several: ``--head`` takes one.
    """

    blocks: tuple[GateBlock, ...]
    without_squeeze: tuple[GateBlock, ...]
    others: tuple[OtherMechanism, ...]
    readings: Mapping[str, Reading]
    input_size: tuple[int, ...]
    outputs: int | None
    mechanism: str = "se"
    readable: tuple[str, ...] = ()
    quantised: int = 0
    heads: tuple[str, ...] = ()

    @property
    def se_readings(self) -> dict[str, Reading]:
        """Return the readings of the blocks alone, without those that have no squeeze."""
        return self.only(self.blocks)

    @property
    def word(self) -> str:
        """Return what the blocks are called: ``SE``, ``ECA``, ``SE + ECA``."""
        kinds = [block.mechanism for block in self.blocks]
        return word_of(kinds or chosen(self.mechanism)[:1])

    def only(self, blocks: Sequence[GateBlock]) -> dict[str, Reading]:
        """Return the readings of these blocks."""
        return {b.name: self.readings[b.name] for b in blocks}

    def __repr__(self) -> str:
        """Return one line: what was found."""
        seen = [f"{len(self.blocks)} {self.word} blocks", *self._instead()]
        return f"<Found {', '.join(seen)}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the blocks, and what else is there."""
        others = {"other gates": ", ".join(self._instead())}
        if not self.blocks:
            return summary_html(f"no {self.word} block", others)
        more = summary_html("beside these", others) if others["other gates"] else ""
        return tables_html(self.blocks) + more

    def _instead(self) -> list[str]:
        """Return what there is beside the blocks."""
        seen = [f"{len(self.without_squeeze)} x {WITHOUT_SQUEEZE}"] if self.without_squeeze else []
        return [*seen, *(f"{o.count} x {o.kind}" for o in self.others)]

    def require_se(self) -> Found:
        """Return itself.

        Raises:
            NoSEBlockError: If the network has no block of the kind that was asked for; the message says what
                it has instead.
        """
        if self.blocks:
            return self
        kinds = chosen(self.mechanism)
        wanted = f"{kinds[0].word} blocks" if len(kinds) == 1 else "channel gates"
        raise NoSEBlockError(f"expected {wanted} in this network, found none: {self.otherwise}")

    @property
    def otherwise(self) -> str:
        """Return what the network has beside the blocks, and by which options it is read."""
        kinds = chosen(self.mechanism)
        instead = ", ".join(self._instead()) or "no other gate or attention either"
        hint = (
            "; --mechanism gate (--without-squeeze) reads the spatial mean of those"
            if self.without_squeeze
            else ""
        )
        words = [key for key in self.readable if key != "gate" and BY_KEY[key] not in kinds]
        if words:
            options = " or ".join(f"--mechanism {key}" for key in words)
            python = f'mechanism="{words[0]}", of find, audit and PassOptions'
            hint += f"; {options} reads those (in Python, {python})"
        if self.quantised:
            layers = f"{self.quantised} quantised layer{'s' * (self.quantised != 1)}"
            instead = f"{layers}, through which no gate can be followed; give the network before quantisation"
            hint = ""
        return f"{instead}{hint}"


@dataclass(frozen=True, eq=False)
class TracedBlock:
    """A block with its place in the graph.

    Attributes:
        block: What is known of it.
        sites: The multiplication, and the squeezes that lead to it; several where it weighs separate maps.
        excitation: What lies between them.
        dims: Dimensions of the map over which its gate varies.
    """

    block: GateBlock
    sites: tuple[Site, ...]
    excitation: Excitation
    dims: tuple[int, ...]

    @property
    def site(self) -> Site:
        """Return the multiplication, the first of several."""
        return self.sites[0]


@dataclass(frozen=True, eq=False)
class Trace:
    """The recorded pass behind a `Found`.

    Attributes:
        found: What it shows.
        blocks: The blocks, as in ``found.blocks``.
        graph: The graph in which they were found.
        own_size: The graph for images of the size that was asked for; ``graph`` itself, unless a map
            shrinks to one pixel there and larger images had to be traced.
        example: What it was traced with: the size of an image, or several inputs.
    """

    found: Found
    blocks: tuple[TracedBlock, ...]
    graph: Graph
    own_size: Graph
    example: Example = ()


def find(model: nn.Module, input_size: Example, mechanism: str = "se") -> Found:
    """Find every SE block, or every gate of another kind, by data flow.

    Classes, modules and attributes may be called whatever they like.

    One forward pass is recorded, on the meta device where the network can be copied there (no memory,
    no arithmetic), else on the network's own device. The network is left as it was.

    Args:
        model: Any network.
        input_size: Channels, height and width (or channels and length, ...) of an image; where the network
            takes several inputs, a batch of them (`seviz.gates.Inputs`).
        mechanism: The kind of gate, by its key in `seviz.results.mechanisms.MECHANISMS`: ``se``, ``eca``,
            ``cbam``, ...; ``all`` for every kind that has a number per channel.

    Returns:
        The blocks, what else there is, and how to read the gates.

    Raises:
        UsageError: If there is no such kind.
        CheckpointError: If the network cannot run on such an image, or the image is so small that a
            block scales a map of one pixel and larger images are refused.

    >>> from seviz.networks.architectures.registry import build
    >>> found = find(build("se_resnet20"), (3, 32, 32))
    >>> [b.name for b in found.blocks][-1], found.blocks[-1].channels, found.blocks[-1].gate
    ('SE_4_3', 64, 'sigmoid')
    """
    return trace(model, input_size, mechanism).found


def trace(model: nn.Module, input_size: Example, mechanism: str = "se") -> Trace:
    """Find every SE block, or gate of another kind, as `find` does, and keep the recorded pass.

    Raises:
        UsageError: As `find` does.
        CheckpointError: As `find` does.
    """
    chosen(mechanism)
    model = unwrap(model)
    require_weights(model)
    size = size_of(input_size)
    example = input_size if isinstance(input_size, Inputs) else size
    graph, flow = _trace(model, example)
    own_size = graph
    factor = 2
    while flow.degenerate and factor <= _ENLARGE and not isinstance(example, Inputs):
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
    found, blocks = _describe(OwnSize(graph, own_size), graph, flow, size, model, mechanism)
    return Trace(found, blocks, graph, own_size, example)


def _trace(model: nn.Module, example: Example) -> tuple[Graph, Flow]:
    graph = recorded(model, example)
    return graph, follow(graph)


def recorded(model: nn.Module, example: Example) -> Graph:
    """Record one pass, on the meta device where the network can be copied there.

    Raises:
        CheckpointError: If the network cannot run on images of this size.
    """
    try:
        shadow = model if is_on_meta(model) else meta_copy(model)
        with evaluating(shadow):
            return record(shadow, like_traced(example, _BATCH, model, torch.device("meta")))
    except Exception as first:
        # Tensors that are no parameters or buffers, control flow on numbers, scripted code: what
        # cannot be copied to the meta device is run where it is, on what memory has room for.
        try:
            if not isinstance(example, Inputs) and math.prod(size_of(example)) > _LARGEST:
                raise first
            with evaluating(model), attributes_restored(model):
                return record(model, like_traced(example, _BATCH, model, _device(model)))
        except SevizError:
            raise  # says what is wrong
        except Exception as exc:
            reason = str(exc).strip().splitlines()
            raise CheckpointError(
                f"expected the network to run on images of size {described(example)}, found "
                f"{type(exc).__name__}: {reason[0] if reason else 'no message'}; "
                f"{_remedy(model, example, exc)}"
            ) from exc


def _remedy(model: nn.Module, example: Example, exc: Exception) -> str:
    """Return what to do about a network that does not run on a batch."""
    args, named = (example.args, example.kwargs) if isinstance(example, Inputs) else ((None,), {})
    try:
        inspect.signature(unwrap(model).forward).bind(*args, **named)
    except TypeError as other:  # as many inputs as it takes are not a matter of size
        return (
            f"its forward takes other inputs ({other}): give batches that have them, with inputs= where they "
            "are among more, in Python or as --data file.py:function"
        )
    except ValueError:  # a compiled program does not tell
        pass
    if isinstance(example, Inputs):
        if isinstance(exc, LookupError) and example.output is not None:
            return f"give as output one that the network has, found {example.output!r}"
        return "give batches as it was trained with: the size, the order of the axes, floating-point numbers"
    if len(example) < 3 and "[" in str(exc):
        return (
            "put the number of images first: batches are [N, channels, ...]; or give --input-size with the "
            "channels first: of an image 3 224 224"
        )
    if len(example) > 2 and example[-1] in _COLOURS and example[0] not in _COLOURS:
        return "put the channels first, in front of height and width"
    return "give the size with which it was trained (--input-size)"


def _device(model: nn.Module) -> torch.device:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    return like.device


def _hides_blocks(flow: Flow) -> bool:
    """Whether a squeeze of a one-pixel map leads to a multiplication with that map."""
    sources = {id(root(op.inputs[0])) for op in flow.degenerate}
    for op in flow.degenerate:
        for use in root(op.inputs[0]).uses:
            if use.name == "mul" and any(id(root(v)) in sources for v in use.activations):
                return True
    return False


def _describe(
    own: OwnSize,
    graph: Graph,
    flow: Flow,
    size: tuple[int, ...],
    model: nn.Module,
    mechanism: str,
) -> tuple[Found, tuple[TracedBlock, ...]]:
    seen = look(graph, flow, dict(model.named_parameters(remove_duplicate=False)))
    wanted = chosen(mechanism)
    # Numbered by the maps of the pass in which they can be told apart, and shown with those of the own size.
    gates = [own.gate(gate) for gate in seen.gates]
    read = [g for g in gates if g.mechanism in wanted]
    per_pixel = [g for g in gates if g.mechanism is BY_KEY["gate"]]
    unread = seen.unread({*wanted, BY_KEY["gate"]})
    shown = Found(
        blocks=tuple(g.block for g in read),
        without_squeeze=tuple(g.block for g in per_pixel),
        others=_grouped([(o.title, o.path) for o in unread]),
        readings={g.block.name: g.reading for g in (*read, *per_pixel)},
        input_size=size,
        outputs=graph.outputs,
        mechanism=mechanism,
        readable=tuple(dict.fromkeys(g.mechanism.key for g in seen.gates)),
        quantised=sum(map(_is_quantised, model.modules())),
        heads=graph.heads,
    )
    blocks = (
        TracedBlock(g.block, tuple(p.site for p in g.parts), g.parts[0].excitation, g.dims)
        for g in read
    )
    return shown, tuple(blocks)


def _is_quantised(module: nn.Module) -> bool:
    """Return whether a layer computes with whole numbers, whoever quantised it."""
    kind = type(module)
    if _QUANTISED.intersection(kind.__module__.split(".")):
        return not kind.__name__.endswith("PackedParams")  # a part of a layer
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return any(
        t.is_quantized or _QUANTISED.intersection(type(t).__module__.split(".")) for t in own
    )


def _grouped(seen: Sequence[tuple[str, str]]) -> tuple[OtherMechanism, ...]:
    counts = Counter(kind for kind, _ in seen)
    first = dict(reversed(seen))
    return tuple(OtherMechanism(kind, first[kind], n) for kind, n in counts.items())
