"""What is done with one block: where its gate goes, and what stands in its place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seviz.cost.attribution import Part, Split
from seviz.cost.graph_sites import GraphSite, graph_site
from seviz.errors import CheckpointError
from seviz.gates.additions import parted
from seviz.networks.folds import Place
from seviz.networks.formats.graph_network import GraphNetwork
from seviz.pruning.folding.absorbing import Absorber, Change
from seviz.pruning.folding.neighbours import (
    Modules,
    Own,
    channel,
    fixed,
    own_parameters,
    scale_shape,
    whole,
)

_HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class FoldPlan:
    """What is done with one block.

    Attributes:
        how: The same, for people.
        places: What stands where.
        changes: Parameters that take the gate up; they have been changed.
        numbers: Numbers for the first of the places, where those hold the gate.
        params: Parameters that go.
        site: In a network made of steps, the one that is taken out, or is given ``numbers`` for a gate.
    """

    how: str
    places: tuple[Place, ...]
    changes: tuple[Change, ...]
    numbers: Tensor | None
    params: int
    site: GraphSite | None = None


class Planner:
    """Plans one block after the other, and changes the weights of the network as it goes.

    Args:
        model: The network, to be changed.
        parts: The pass through it, divided into SE and the rest.
        names: The blocks that will be folded.
    """

    def __init__(self, model: nn.Module, parts: Split, names: Collection[str]) -> None:
        self._model, self._parts = model, parts
        self._modules = Modules(parts)
        self._kept = [p for p in parts.parts if p.traced.block.name not in names]
        self._tensors: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
        self._parameters = frozenset(self._tensors)
        self._tensors |= dict(model.named_buffers(remove_duplicate=False))
        self._gone: set[int] = set()
        self._unchanged = (
            model.standing_weights() if isinstance(model, GraphNetwork) else frozenset()
        )
        weights = [p for p in model.parameters() if p.is_floating_point()]
        # A product of numbers of 8 or 11 bits would be rounded once more than the network rounds it.
        self._exact = not any(p.dtype in _HALVES for p in weights)

    def plan(self, part: Part, path: str | None, held: Tensor) -> FoldPlan:
        """Decide on one block.

        Args:
            part: The block.
            path: The module that holds all of it and nothing else, if there is one.
            held: Its gate, float64 [C]; with its shift [2C], which comes after it.

        Raises:
            CheckpointError: If its parameters cannot be taken away without changing the network's code.
        """
        gate, shift = parted(held, part.block.channels)
        own = own_parameters(part, self._parts, self._kept)
        params = self._params(own)
        site = graph_site(self._model, part)
        if site is not None:
            return self._in_graph(part, site, gate, params)
        end = whole(part, path, self._modules)
        if end is not None and path is not None:
            how, changes = self._absorbed(part, gate, shift)
            if changes:
                return FoldPlan(how, (Place(path, "passed"),), tuple(changes), None, params)
            shape = scale_shape(*end)
            if shift is not None:
                place = Place(path, "scale_shift", shape)
                return FoldPlan(
                    "fixed scale and shift", (place,), (), held.reshape(2, *shape), params
                )
            place = Place(path, "scale", shape)
            return FoldPlan("fixed scale", (place,), (), gate.reshape(shape), params)
        if isinstance(self._model, GraphNetwork) and shift is not None:
            raise CheckpointError(
                f"expected blocks that only scale in a network of single operators, found {part.block.name}, "
                "which also shifts; leave it out, or fold the network that it was written from"
            )
        found = fixed(part, own, gate, self._modules, self._tensors, self._parameters, shift)
        name = part.traced.block.name
        if found is None:
            if others := self._others_on(part):
                raise CheckpointError(
                    f"expected modules that run for {name} alone, found its own run for "
                    f"{', '.join(others)}, too, where another gate would be held; leave it out, or give each "
                    "place a module"
                )
            where = part.scale[-1].call.path or "the network"
            raise CheckpointError(
                f"expected {name} to be a module, or made of modules, found its gate or weights written into "
                f"{where}; leave it out, or move them into a module"
            )
        places, numbers = found
        how = "fixed gate" if shift is None else "fixed gate and shift"
        return FoldPlan(how, tuple(places), (), numbers, params)

    def _others_on(self, part: Part) -> list[str]:
        """Return the blocks that are made of the same parameters: one module that runs several times."""
        own = set(part.block.parameters)
        others = (p.block for p in self._parts.parts if p is not part)
        return [block.name for block in others if own & set(block.parameters)]

    def _in_graph(self, part: Part, site: GraphSite, gate: Tensor, params: int) -> FoldPlan:
        how, changes = self._absorbed(part, gate)
        if changes:
            return FoldPlan(how, (), tuple(changes), None, params, site)
        shape = scale_shape(part.traced.site.op.outputs[0], channel(part))
        return FoldPlan("fixed scale", (), (), gate.reshape(shape), params, site)

    def _absorbed(
        self, part: Part, gate: Tensor, shift: Tensor | None = None
    ) -> tuple[str, list[Change]]:
        """Put a gate, and a shift, into the parameters around, if they can; return how, and which."""
        if not self._exact:
            return "", []
        absorber = Absorber(
            self._parts.graph, set(part.ops), self._tensors.__getitem__, self._unchanged
        )
        site = part.traced.site
        changes = absorber.before(site.scaled, channel(part), gate, shift)
        where = "before"
        if changes is None and shift is None:
            changes = absorber.after(site.op.outputs[0], channel(part), gate, site.scaled)
            where = "after"
        for change in changes or ():
            _apply(self._tensors[change.parameter], change)
        kinds = dict.fromkeys(change.kind for change in changes or ())
        return f"{' and '.join(kinds)} {where}", changes or []

    def _params(self, own: list[Own]) -> int:
        """Return the parameters that go with a block; those of a shared module go with the first."""
        count = 0
        for name, _ in own:
            tensor = self._tensors[name]
            if name in self._parameters and id(tensor) not in self._gone:
                self._gone.add(id(tensor))
                count += tensor.numel()
        return count


def _apply(parameter: Tensor, change: Change) -> None:
    """Change a parameter; rounded once, from float64."""
    changed = parameter.double() * change.factor
    if change.addend is not None:
        changed += change.addend
    parameter.copy_(changed)
