"""The network without SE, or without its gates of another kind, as a network that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from seviz.cost.attribution import Part, Split
from seviz.cost.graph_sites import graph_site
from seviz.cost.operators import TABLE, moves_memory
from seviz.errors import CheckpointError
from seviz.gates.graph import Value
from seviz.gates.ops import VIEW
from seviz.networks.architectures.folded import PassThrough, shared_copy, standing_in
from seviz.networks.formats.graph_network import GraphNetwork


def without_se(model: nn.Module, split: Split) -> nn.Module:
    """Return a copy of a network in which every block of the division passes its map on; weights are shared.

    Args:
        model: The network that was split; it is left as it is.
        split: Its division into blocks and the rest.

    Raises:
        CheckpointError: If a block is not a module of its own.
    """
    twin = shared_copy(model)
    if isinstance(twin, GraphNetwork):
        return _without_steps(twin, split)
    paths = block_modules(split)
    _replace(twin, paths)
    return twin


@contextmanager
def bypassed(model: nn.Module, split: Split) -> Iterator[nn.Module]:
    """Hold every block of a network's division replaced by a module that passes the map on.

    Raises:
        CheckpointError: If a block is not a module of its own.
    """
    if isinstance(model, GraphNetwork):
        yield without_se(model, split)
        return
    undo = _replace(model, block_modules(split))
    try:
        yield model
    finally:
        for module, name, child in undo:
            module._modules[name] = child


def _without_steps(twin: GraphNetwork, split: Split) -> GraphNetwork:
    """Take every block out of a network made of steps; return it."""
    sites = [graph_site(twin, part) for part in split.parts]
    for part, site in zip(split.parts, sites, strict=True):
        if site is None:
            raise _no_module(part)
        twin.without(site.path, site.scaled)
    return twin


def block_modules(split: Split) -> list[str]:
    """Return the path of the module that is each block.

    Raises:
        CheckpointError: If a block is not a module of its own.
    """
    paths = []
    for part, path in zip(split.parts, modules_of(split), strict=True):
        if path is None:
            raise _no_module(part)
        paths.append(path)
    return paths


def _no_module(part: Part) -> CheckpointError:
    where, block = part.scale[-1].call.path or "the network", part.block
    return CheckpointError(
        f"expected each {block.mechanism.word} block to be a module of its own, found {block.name} "
        f"written into {where}; its cost is counted, but the network cannot be run without it"
    )


def modules_of(split: Split) -> list[str | None]:
    """Return the path of the module that is each block; ``None`` for one that is no module."""
    inside = _by_call(split)
    return [_module(part, inside) for part in split.parts]


def _replace(model: nn.Module, paths: list[str]) -> list[tuple[nn.Module, str, nn.Module]]:
    """Replace modules wherever they are used; return (parent, name, module) of each place."""
    modules = dict(model.named_modules())
    gone = {id(modules[path]) for path in paths}
    places = [
        (module, name, child)
        for module in model.modules()
        for name, child in module._modules.items()
        if child is not None and id(child) in gone
    ]
    for module, name, child in places:
        module._modules[name] = standing_in(PassThrough(), child)
    return places


def _by_call(split: Split) -> set[str]:
    """Return the modules that run operators of the rest, views left out."""
    return {op.call.path for op in split.rest if op.name not in TABLE or moves_memory(op)}


def _module(part: Part, inside: set[str]) -> str | None:
    """Return the path of the innermost module that holds the block, all of it, and nothing else."""
    for value in _ends(part):
        for call, _ in value.exits:
            if call.path == "":
                continue
            within = (call.path, f"{call.path}.")
            whole = all(_is_within(op.call.path, *within) for op in part.ops)
            others = any(_is_within(path, *within) for path in inside)
            if whole and not others:
                return call.path
    return None


def _is_within(path: str, module: str, prefix: str) -> bool:
    return path == module or path.startswith(prefix)


def _ends(part: Part) -> list[Value]:
    """Return what the block gives: the scaled map, and that in other shapes."""
    ends = [part.scale[-1].outputs[0]]
    for value in ends:
        ends.extend(out for use in value.uses if use.name in VIEW for out in use.outputs)
    return ends
