"""The step of a network made of steps that scales a block's map, so that the block can be taken out there."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from seviz.cost.attribution import Part
from seviz.networks.formats.graph_network import GraphNetwork


@dataclass(frozen=True)
class GraphSite:
    """Where a block scales its map.

    Attributes:
        path: The multiplication's module.
        scaled: Which of its inputs is the map.
        gate: Which of them is the gate.
    """

    path: str
    scaled: int
    gate: int


def graph_site(model: nn.Module, part: Part) -> GraphSite | None:
    """Return the step that scales a block's map; nothing where no step does that and nothing else.

    Args:
        model: The network.
        part: The block.
    """
    site = part.traced.site
    if not isinstance(model, GraphNetwork) or len(part.traced.sites) != 1 or site.op.name != "mul":
        return None
    path, factors = site.op.call.path, list(site.op.args[:2])
    step = model.step_at(path)
    if step is None or len(step.inputs) != 2 or len(step.outputs) != 1:
        return None
    if site.scaled not in factors or site.gate not in factors:
        return None
    returned = any(exit_.call.path == path for exit_ in site.op.outputs[0].exits)
    if not returned or part.traced.block.shift:
        return None
    return GraphSite(path, factors.index(site.scaled), factors.index(site.gate))
