"""A network as a list of operators that can be run for any number of images.

The pass is recorded by shapes alone, with two images and with three. An argument that is the same in both is
a constant; a whole number that is not grows by as much with each image. Anything else depends on the images
in a way that a list of operators does not tell, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from seviz.collect.fast.norms import named_tensors
from seviz.gates import evaluating
from seviz.gates.graph import Graph, Op, Value, meta_copy, record

Slot = int
_META = torch.device("meta")
_aten = torch.ops.aten
# What depends on where numbers lie, or on more than its arguments.
_REFUSED = frozenset({"as_strided", "set", "resize", "_local_scalar_dense", "nonzero", "item"})


class NotAProgramError(Exception):
    """A network is no list of operators; the message says why."""


class Ref(NamedTuple):
    """An argument that an earlier operator, the batch or the network gives."""

    slot: Slot


class PerImage(NamedTuple):
    """A whole number that grows with the images: ``offset + each * images``."""

    offset: int
    each: int


@dataclass(frozen=True, eq=False)
class Node:
    """An operator, as it is run.

    Attributes:
        run: Called with the arguments.
        args: With `Ref` and `PerImage` in the place of what is known only when it runs.
        kwargs: Likewise.
        outputs: Where its results go, one for each tensor.
        mutates: What it writes into.
        name: Of the operator; of fused ones that of the first.
    """

    run: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Slot, ...]
    mutates: tuple[Slot, ...] = ()
    name: str = ""

    @cached_property
    def inputs(self) -> tuple[Slot, ...]:
        """Return what it takes, constants too, each once."""
        leaves = tree_leaves((self.args, self.kwargs), is_leaf=_is_placeholder)
        return tuple(dict.fromkeys(leaf.slot for leaf in leaves if isinstance(leaf, Ref)))


@dataclass
class Nodes:
    """A network as operators.

    Attributes:
        todo: Operators in the order in which they run.
        constants: Numbers of the network, and what is computed from them alone.
        names: State-dict names of those that are parameters or buffers.
        images: Where the batch goes.
        result: Where the network's output is.
        values: The recorded value in each slot, with two images.
        bases: For each slot the first one whose memory it shares: views, and what was written in place.
        kept: Slots that are read, beside the result; no operator may do away with them.
        stored: Constants that an operator has stored in a form of its own.
    """

    todo: list[Node]
    constants: dict[Slot, Tensor]
    names: dict[Slot, str]
    images: Slot
    result: Slot
    values: dict[Slot, Value]
    bases: dict[Slot, Slot]
    kept: set[Slot] = field(default_factory=set)
    stored: set[Slot] = field(default_factory=set)

    def users(self) -> dict[Slot, list[int]]:
        """Return the places of the operators that take each slot."""
        found: dict[Slot, list[int]] = {}
        for place, node in enumerate(self.todo):
            for slot in node.inputs:
                found.setdefault(slot, []).append(place)
        return found

    def shape(self, slot: Slot) -> tuple[int, ...]:
        """Return the shape in a pass with two images."""
        return self.values[slot].shape

    def is_written(self, slot: Slot, after: int, until: int) -> bool:
        """Whether an operator between two places writes into the memory of a slot."""
        base = self.bases[slot]
        return any(
            self.bases[m] == base for node in self.todo[after + 1 : until] for m in node.mutates
        )

    def is_own(self, slot: Slot) -> bool:
        """Whether no other slot shares its memory."""
        return [s for s, b in self.bases.items() if b == self.bases[slot]] == [slot]


def nodes(model: nn.Module, size: tuple[int, ...]) -> Nodes:
    """Return the operators of a network.

    Args:
        model: The network, in evaluation mode.
        size: Of an image, [C, H, W].

    Raises:
        NotAProgramError: If it is no list of operators for any number of images, or has not one output.
    """
    # In inference mode operators are seen that are made of others, dropout and whole convolutions.
    try:
        with torch.inference_mode(False):
            two, three = (_recorded(model, size, count) for count in (2, 3))
    except Exception as exc:
        raise NotAProgramError(f"it cannot be recorded: {type(exc).__name__}") from exc
    if len(two.ops) != len(three.ops):
        raise NotAProgramError("its operators depend on the number of images")
    if two.outputs is None or len(two.results) != 1:
        raise NotAProgramError("it has not one output [N, classes]")
    numbers = _numbered(three)
    found = _Builder(model, two, size)
    for op, again in zip(two.ops, three.ops, strict=True):
        found.add(op, again, numbers)
    return found.done()


def _recorded(model: nn.Module, size: tuple[int, ...], count: int) -> Graph:
    shadow = meta_copy(model)
    with evaluating(shadow):
        return record(shadow, torch.empty(count, *size, device="meta"))


def _numbered(graph: Graph) -> dict[int, Slot]:
    """Number the values in the order in which they appear: alike in all recordings."""
    found: dict[int, Slot] = {}
    for op in graph.ops:
        for value in (*op.inputs, *op.outputs):
            found.setdefault(id(value), len(found))
    return found


class _Builder:
    def __init__(self, model: nn.Module, graph: Graph, size: tuple[int, ...]) -> None:
        self._graph, self._numbers, self._size = graph, _numbered(graph), size
        self._tensors = named_tensors(model)
        self._device = next((t.device for t in self._tensors.values()), torch.device("cpu"))
        self.constants: dict[Slot, Tensor] = {}
        self.names: dict[Slot, str] = {}
        self.values: dict[Slot, Value] = {}
        self.bases: dict[Slot, Slot] = {}
        self.images: Slot | None = None
        self.todo: list[Node] = []

    def add(self, op: Op, again: Op, numbers: dict[int, Slot]) -> None:
        if again.func is not op.func or op.name in _REFUSED:
            raise NotAProgramError(
                f"it calls {op.name}, which is no operator for any number of images"
            )
        if torch.Tag.nondeterministic_seeded in op.func.tags and op.name != "native_dropout":
            raise NotAProgramError(f"it draws random numbers ({op.name})")
        for value in op.inputs:
            self._enter(value)
        args, kwargs = _for_any_number(
            _form((op.args, op.kwargs), self._numbers, self._device),
            _form((again.args, again.kwargs), numbers, self._device),
        )
        outputs = tuple(self._numbers[id(v)] for v in op.outputs)
        node = Node(op.func, args, kwargs, outputs, self._mutated(op), op.name)
        for slot, value in zip(outputs, op.outputs, strict=True):
            self.values[slot] = value
        self._share(op, outputs)
        if node.inputs and not node.mutates and all(s in self.constants for s in node.inputs):
            self._compute(node)
            return
        if any(s in self.constants for s in node.mutates):
            raise NotAProgramError("it writes into its parameters")
        self.todo.append(_any_layout(node))

    def _enter(self, value: Value) -> None:
        slot = self._numbers[id(value)]
        if slot in self.values:
            return
        self.values[slot], self.bases[slot] = value, slot
        if value.parameter is not None:
            self.names[slot] = value.parameter
            self.constants[slot] = self._tensors[value.parameter].detach()
        elif value.shape == (2, *self._size) and self.images is None:
            self.images = slot
        else:
            raise NotAProgramError("it computes with numbers that are no parameters of it")

    def _mutated(self, op: Op) -> tuple[Slot, ...]:
        given = [*op.args, *op.kwargs.values()]
        names = [a.name for a in op.func._schema.arguments]
        by_name = {**dict(zip(names, op.args, strict=False)), **op.kwargs}
        found = []
        for argument in op.func._schema.arguments:
            if argument.alias_info is not None and argument.alias_info.is_write:
                found += [v for v in tree_leaves(by_name.get(argument.name)) if v in given]
        return tuple(self._numbers[id(v)] for v in found if isinstance(v, Value))

    def _share(self, op: Op, outputs: tuple[Slot, ...]) -> None:
        """Note whose memory the results share: that of the first tensor, where the schema says so."""
        returns = op.func._schema.returns
        shared = any(r.alias_info is not None for r in returns) or op.name in _VIEWS
        first = next((v for v in op.inputs), None)
        for slot in outputs:
            self.bases[slot] = self.bases[self._numbers[id(first)]] if shared and first else slot

    def _compute(self, node: Node) -> None:
        with torch.inference_mode(False), torch.no_grad():
            made = node.run(*filled(node.args, self.constants, 0), **node.kwargs)
        for slot, tensor in zip(node.outputs, tensors_in(made), strict=True):
            self.constants[slot] = tensor

    def done(self) -> Nodes:
        result = self._numbers.get(id(self._graph.results[0]))
        if self.images is None or result is None or result in self.constants:
            raise NotAProgramError("its output does not depend on the images")
        # What nobody takes is not computed: the masks and reserves that some operators leave.
        todo = self.todo
        while (used := _used(todo, {result}, self.values)) != todo:
            todo = used
        return Nodes(
            todo,
            self.constants,
            self.names,
            self.images,
            result,
            self.values,
            self.bases,
        )


# Whose results may share memory although their schema does not say so.
_VIEWS = frozenset({"reshape", "contiguous", "flatten", "_reshape_alias", "_unsafe_view"})


def _used(todo: list[Node], wanted: set[Slot], values: dict[Slot, Value]) -> list[Node]:
    taken = wanted | {slot for node in todo for slot in node.inputs}
    read = {slot for slot, value in values.items() if value.exits}
    return [n for n in todo if n.mutates or any(s in taken or s in read for s in n.outputs)]


def _any_layout(node: Node) -> Node:
    """Return an operator that also runs where maps lie with the channels innermost."""
    if node.run in (_aten.view.default, _aten._unsafe_view.default):
        return replace(node, run=_aten.reshape.default)
    return node


def _is_placeholder(leaf: Any) -> bool:
    return isinstance(leaf, (Ref, PerImage))


def _form(arguments: Any, numbers: dict[int, Slot], device: torch.device) -> Any:
    def form(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return Ref(numbers[id(leaf)])
        return device if isinstance(leaf, torch.device) and leaf == _META else leaf

    return tree_map(form, arguments)


def _for_any_number(two: Any, three: Any) -> Any:
    """Return arguments for any number of images, from those with two and with three."""

    def joined(b: Any, c: Any) -> Any:
        if type(b) is type(c) and b == c:
            return b
        if type(b) is type(c) is int:
            return PerImage(b - 2 * (c - b), c - b)
        raise NotAProgramError("an argument of an operator depends on the number of images")

    try:
        return tree_map(joined, two, three, is_leaf=_is_placeholder)
    except ValueError as exc:  # another number of arguments
        raise NotAProgramError("its operators depend on the number of images") from exc


def filled(arguments: Any, slots: Any, images: int) -> Any:
    """Return arguments with everything in its place."""

    def fill(leaf: Any) -> Any:
        if isinstance(leaf, Ref):
            return slots[leaf.slot]
        return leaf.offset + leaf.each * images if isinstance(leaf, PerImage) else leaf

    return tree_map(fill, arguments, is_leaf=_is_placeholder)


def tensors_in(result: Any) -> list[Tensor]:
    """Return the tensors that an operator returned."""
    if isinstance(result, Tensor):
        return [result]
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
