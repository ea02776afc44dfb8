"""What a kind of gate is, and what it is recognised by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from seviz.gates.classify import Excitation, channel_dim
from seviz.gates.elementwise import function_name, is_elementwise
from seviz.gates.flow import Site, root
from seviz.gates.graph import Op, Value
from seviz.gates.ops import AVERAGE, JOIN, LINEAR, MAXIMUM, NORM, POOL, REDUCE, SOFTMAX, STRUCTURE
from seviz.results.blocks import GateBlock
from seviz.results.mechanisms import Mechanism

Shape = tuple[int, ...]
SPREAD = frozenset({"std", "var", "std_mean", "var_mean"})
_NAMES = {
    **dict.fromkeys(sorted(AVERAGE), "mean"),
    **dict.fromkeys(sorted(MAXIMUM), "max"),
    **dict.fromkeys(sorted(SPREAD), "std"),
    **dict.fromkeys(("norm", "linalg_vector_norm"), "norm"),
}
_FIRST = "mean"
_NOT_POINTWISE = LINEAR | NORM | POOL | REDUCE | SOFTMAX | JOIN


@dataclass(frozen=True, eq=False)
class Candidate:
    """A map that is multiplied by something squeezed, and all that kinds ask about it.

    Attributes:
        site: The multiplication, and the squeezes that lead to it.
        excitation: What lies between them.
    """

    site: Site
    excitation: Excitation

    @cached_property
    def channel(self) -> int | None:
        """Return the dimension over which the gate varies, if it is one only."""
        return channel_dim(self.site)

    @property
    def channels(self) -> int:
        """Return the number of gates, where there is one for each channel."""
        return self.site.scaled.shape[self.channel] if self.channel is not None else 0

    @cached_property
    def map(self) -> Value:
        """Return the map that is scaled, before any change of shape."""
        return root(self.site.scaled)

    @cached_property
    def how(self) -> frozenset[str]:
        """Return the operators that squeeze."""
        return frozenset(s.how for s in self.site.followed.squeezes)

    @cached_property
    def squeezes(self) -> tuple[Op, ...]:
        """Return the operators that squeeze, each as often as it runs."""
        return tuple(s.op for s in self.site.followed.squeezes)

    @cached_property
    def sources(self) -> list[Value]:
        """Return the maps that are squeezed, each once."""
        return list(
            {id(v): v for v in (root(s.source) for s in self.site.followed.squeezes)}.values()
        )

    @property
    def is_of_its_own_map(self) -> bool:
        """Whether what is squeezed, however often, is the map that is scaled."""
        return self.sources == [self.map]

    @cached_property
    def weights(self) -> list[Shape]:
        """Return the shapes of the layers' weights, in the order of use."""
        return [shape for _, shape in self.excitation.layers]

    @cached_property
    def matrices(self) -> list[Shape]:
        """Return the shapes of the layers' weights, one that is used twice once."""
        named = {}
        for op, shape in self.excitation.layers:
            named[op.weight.parameter if op.weight is not None else id(op)] = shape
        return list(named.values())

    @cached_property
    def function(self) -> tuple[str, bool]:
        """Return the gate function, and whether it is bounded and not negative.

        Where several layers' outputs are added before it, it is the function of their sum.
        """
        found = self.excitation
        if found.start is not None:
            return found.gate, found.bounded
        value = self.site.gate
        while (before := only_input(value)) is not None:
            value = before
        return function_name(self.site.gate, value)

    @property
    def bounded(self) -> bool:
        """Whether the gate is bounded and not negative."""
        return self.function[1]

    @property
    def has_parameters(self) -> bool:
        """Whether anything learned lies between squeeze and gate."""
        return any(op.parameters for op in self.excitation.ops if op not in self.squeezes)

    @property
    def mixes_by_reducing(self) -> bool:
        """Whether channels meet in a reduction over them, as where they are normalised."""
        least = self.site.scaled.shape[0] * self.channels
        return any(op.name in REDUCE and op.outputs[0].numel < least for op in self.excitation.ops)

    @property
    def joins(self) -> bool:
        """Whether several squeezes are put side by side."""
        return any(op.name in JOIN for op in self.excitation.ops if op not in self.squeezes)

    def is_pointwise_of_map(self, value: Value) -> bool:
        """Whether a value is the map, or computed from each of its numbers alone (and from statistics)."""
        value = root(value)
        if value is self.map:
            return True
        if value.op is None or value.op.name in _NOT_POINTWISE:
            return False
        large = [v for v in value.op.activations if v.numel == value.numel]
        return bool(large) and all(map(self.is_pointwise_of_map, large))

    @property
    def squeeze(self) -> str:
        """Return what the map is reduced by, as a block says it."""
        names = {_NAMES.get(how, how) for how in self.how}
        return " + ".join(sorted(names, key=lambda n: (n != _FIRST, n)))


def only_input(value: Value) -> Value | None:
    """Return the one value that ``value`` is computed from, elementwise or by a change of shape."""
    op = value.op
    if op is None or not (op.name in STRUCTURE or is_elementwise(op)):
        return None
    inputs = {id(v): v for v in op.activations}
    return next(iter(inputs.values())) if len(inputs) == 1 else None


@dataclass(frozen=True)
class Kind:
    """What a kind is called and what its blocks know.

    Attributes:
        title: What it is called where it is not read.
        detail: What the title is filled in with, where it depends on the candidate.
        mechanism: What its blocks are, where its gates can be read; ``None`` where it is no gate per channel,
            or none that has been described.
        facts: What its blocks know beside what all blocks do.
        squeeze: What the map is reduced by, where the operators' names do not say it.
        function: The gate function, where it is not one of a single number.
        placement: Where its blocks sit, where that is part of what they are.
        gathers: Whether what is learned before the squeeze belongs to the block as well.
        weights: Numbers in its layers' weights, biases and norms left out, by a block's facts.
        macs: Multiplications with those weights for one image.
    """

    title: str
    detail: Callable[[Candidate], object] = field(default=lambda seen: "")
    mechanism: Mechanism | None = None
    facts: Callable[[Candidate], dict[str, int]] = field(default=lambda seen: {})
    squeeze: str = ""
    function: str = ""
    placement: str = ""
    gathers: bool = False
    weights: Callable[[GateBlock], float] | None = None
    macs: Callable[[GateBlock], float] | None = None

    def called(self, seen: Candidate) -> str:
        """Return what a candidate of this kind is called where it is not read."""
        return self.title.format(self.detail(seen))


Row = tuple[Callable[[Candidate], bool], Kind]
