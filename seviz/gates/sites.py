"""Passes that look at what each block scales, or that scale it by another gate.

A block's site is the multiplication of its gate onto a map. In a pass under a light dispatch mode every
multiplication is counted as in the traced pass, so that the sites are known by their number, however the
block is written; what they take and give can then be looked at, or their gate be replaced.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seviz.errors import CheckpointError
from seviz.gates.find import TracedBlock
from seviz.gates.graph import Call, op_name
from seviz.gates.inputs import call
from seviz.gates.mode import DispatchMode
from seviz.gates.ops import MULTIPLY
from seviz.gates.reading import ModeReading, multiplication
from seviz.gates.tap import CountingStack, evaluating, unwrap

Gates = Mapping[str, Tensor]
# Given the product [N, c, *space] of a map and its gate, once the network has it.
Product = Callable[[Tensor], Any]


@dataclass(frozen=True, eq=False)
class Scaling:
    """One site in a pass, just before its multiplication.

    Attributes:
        block: Name of the block.
        columns: Which of the block's channels: all of them, but where a block weighs maps that are apart.
        gates: The gates of these channels, [N, c]; where they vary over the pixels, their mean.
        factor: What is multiplied onto the map, [N, c, *space]: the gates, and one for each pixel where they
            vary over them.
        before: The map that is about to be scaled, [N, c, *space]: a view of the network's own, which may
            be written into as soon as the pass goes on.
    """

    block: str
    columns: slice
    gates: Tensor
    factor: Tensor
    before: Tensor


# Looks at a site; what it returns is given the product.
Look = Callable[[Scaling], Product | None]


@dataclass(frozen=True, eq=False)
class _Site:
    block: str
    columns: slice
    reading: ModeReading


class Sites:
    """A network whose blocks can be looked at, and set, while it runs.

    Args:
        model: The network; its parameters and flags are not touched.
        blocks: The blocks, from `seviz.gates.trace`; those that weigh maps which are apart as well.

    >>> from seviz.gates import trace
    >>> from seviz.networks.architectures.registry import build
    >>> model, shapes = build("se_resnet14").eval(), {}
    >>> def look(seen):
    ...     shapes[seen.block] = tuple(seen.before.shape)
    >>> sites = Sites(model, trace(model, (3, 32, 32)).blocks)
    >>> logits = sites.run(torch.rand(2, 3, 32, 32), look)
    >>> shapes["SE_4_2"]
    (2, 64, 8, 8)
    """

    def __init__(self, model: nn.Module, blocks: Sequence[TracedBlock]) -> None:
        self._model = unwrap(model)
        self._blocks = {t.block.name: t.block.channels for t in blocks}
        self._at: dict[tuple[Call, int], list[_Site]] = defaultdict(list)
        for traced in blocks:
            each = traced.block.channels // len(traced.sites)
            for number, site in enumerate(traced.sites):
                reading = multiplication(
                    site.op,
                    site.gate,
                    site.scaled,
                    traced.dims,
                    per_pixel=traced.block.mechanism.per_pixel,
                )
                columns = slice(number * each, (number + 1) * each)
                self._at[reading.call, reading.ordinal].append(
                    _Site(traced.block.name, columns, reading)
                )

    def run(self, images: Any, look: Look | None = None, gates: Gates | None = None) -> Any:
        """Run the network once.

        Args:
            images: A batch [N, ...] on the network's device; it is not written into.
            look: Called at each site before its multiplication. Of a gate that is replaced it sees the new
                one.
            gates: What replaces gates: [C] for all images, or [N, C], by block name.

        Returns:
            The network's output.

        Raises:
            CheckpointError: If the pass did not run every block.
        """
        passing = _Passing(self._model, self._at, look, gates or {})
        with evaluating(self._model), torch.no_grad(), passing.counting():
            # A network may write into its input, which is the caller's.
            output = call(self._model, images.clone())
        missing = [name for name in self._blocks if name not in passing.seen]
        if missing:
            raise CheckpointError(
                f"expected each of {len(self._blocks)} blocks in the pass, found no "
                f"{', '.join(missing[:5])}; the network takes another way for these images than in the "
                "traced pass, so give --input-size as the images have it"
            )
        return output


class _Passing(DispatchMode):
    """Counts the multiplications of one pass, and knows the sites among them."""

    def __init__(
        self,
        model: nn.Module,
        at: Mapping[tuple[Call, int], list[_Site]],
        look: Look | None,
        gates: Gates,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._model, self._at, self._look, self._new = model, at, look, gates
        self._counts: Counter[Call] = Counter()
        self._stack = CountingStack(model, self._counts)
        self.seen: set[str] = set()

    @contextmanager
    def counting(self) -> Iterator[None]:
        with self._stack, self:
            yield

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not (op_name(func) in MULTIPLY and sum(isinstance(a, Tensor) for a in args) > 1):
            return func(*args, **kwargs)
        top = self._stack.top
        self._counts[top] += 1
        sites = self._at.get((top, self._counts[top]), ())
        wanted: list[tuple[_Site, Product]] = []
        for site in sites:
            self.seen.add(site.block)
            if site.block in self._new:
                args = with_gate(func, args, site.reading, self._new[site.block], site.columns)
            if self._look is not None:
                wanted += self._looked_at(site, func, args)
        # Taken before the product, which may be written into the map.
        added = op_name(func) == "addcmul" and bool(wanted)
        alone = args[1] * args[2] * kwargs.get("value", 1) if added else None
        result = func(*args, **kwargs)
        for site, product in wanted:
            product(by_channel(result if alone is None else alone, site.reading))
        return result

    def _looked_at(self, site: _Site, func: Any, args: Any) -> Iterator[tuple[_Site, Product]]:
        assert self._look is not None
        factors = args[1:3] if op_name(func) == "addcmul" else args[:2]
        gate, scaled = factors[site.reading.factor], factors[1 - site.reading.factor]
        gates = site.reading.read(gate, self._model).expand(len(scaled), -1)
        factor = by_channel(gate.expand_as(scaled), site.reading)
        before = by_channel(scaled, site.reading)
        seen = Scaling(site.block, site.columns, gates, factor, before)
        if (product := self._look(seen)) is not None:
            yield site, product


def by_channel(tensor: Tensor, reading: ModeReading) -> Tensor:
    """Return a map, or what became of it, with its channels first: [N, C, *space].

    Args:
        tensor: In the order in which the network has it.
        reading: How the gate is found; it knows where the channels are.
    """
    own = tuple(range(1, 1 + len(reading.dims)))
    return tensor.movedim(reading.dims, own).flatten(1, len(reading.dims))


def with_gate(
    func: Any, args: Any, reading: ModeReading, gate: Tensor, columns: slice = slice(None)
) -> Any:
    """Return the arguments of a multiplication with another gate.

    Args:
        func: The operator.
        args: Its arguments.
        reading: How its gate is found among them.
        gate: The new gate, [C] for all images, or [N, C].
        columns: Which of its channels this multiplication has.
    """
    place = reading.factor + (op_name(func) == "addcmul")
    old, gate = args[place], gate[..., columns]
    shape = [1] * reading.rank
    shape[0] = gate.shape[0] if gate.dim() == 2 else 1
    for dim, size in zip(reading.dims, reading.sizes, strict=True):
        shape[dim] = size
    new = gate.to(device=old.device, dtype=old.dtype).reshape(shape)
    return (*args[:place], new, *args[place + 1 :])
