"""SE blocks that were folded away: what a checkpoint says of them, and making a network so.

A description names places in the architecture and what stands there now, out of a closed list; it holds no
code, and its numbers are bounded before anything is built.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from seviz.errors import CheckpointError, printable
from seviz.networks.architectures.folded import (
    ChannelScale,
    ChannelScaleShift,
    FixedGate,
    PassThrough,
    Zeros,
    shared_copy,
    standing_in,
)

KINDS: Mapping[str, Callable[[Sequence[int]], nn.Module]] = {
    "passed": lambda shape: PassThrough(),
    "scale": ChannelScale,
    "scale_shift": ChannelScaleShift,
    "gate": FixedGate,
    "zeros": Zeros,
}
# Far above what networks have: blocks, places of one block, letters, dimensions, channels.
_BLOCKS, _PLACES, _LETTERS, _RANK, _NUMBERS = 10_000, 100, 1000, 8, 1 << 20


@dataclass(frozen=True)
class Place:
    """A module of the architecture, and what stands there now.

    Attributes:
        path: Dotted path of the module.
        kind: One of `KINDS`.
        shape: Shape that it is made with; empty for ``passed``.
    """

    path: str
    kind: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fold:
    """One SE block that was folded away.

    Attributes:
        name: Its name in the network that it was folded in.
        into: Modules that took the gate up; empty where it is kept.
        how: What was done, for people.
        params: Parameters that went.
        places: What stands in its place.
    """

    name: str
    into: tuple[str, ...]
    how: str
    params: int
    places: tuple[Place, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `read_folds` reads."""
        return asdict(self)


def read_folds(values: object, name: str) -> tuple[Fold, ...]:
    """Return the folded blocks that a checkpoint lists, checked.

    Args:
        values: What the file holds.
        name: Name of the file, for messages.

    Raises:
        CheckpointError: If it is not what `Fold.to_dict` gives.
    """
    if values is None:
        return ()
    if not _is_list(values, Mapping, _BLOCKS):
        raise _malformed(values, name)
    assert isinstance(values, list | tuple)
    folds = tuple(_fold(value, name) for value in values)
    paths = sorted(f"{place.path}." for fold in folds for place in fold.places)
    for outer, inner in itertools.pairwise(paths):
        if inner.startswith(outer):
            raise CheckpointError(
                f"expected folded blocks apart from each other in {name}, found {printable(inner[:-1])} in "
                f"{printable(outer[:-1])}; write the file with 'seviz fold'"
            )
    return folds


def _fold(value: Mapping[str, Any], name: str) -> Fold:
    block, into, how, params, places = (
        value.get(key) for key in ("name", "into", "how", "params", "places")
    )
    if not (
        _is_text(block)
        and _is_text(how)
        and _is_list(into, str, _PLACES)
        and all(map(_is_text, into))  # type: ignore[arg-type]
        and type(params) is int
        and params >= 0
        and _is_list(places, Mapping, _PLACES)
    ):
        raise _malformed(value, name)
    made = tuple(_place(place, name) for place in places)  # type: ignore[union-attr]
    return Fold(str(block), tuple(into), str(how), params, made)  # type: ignore[arg-type]


def _place(value: Mapping[str, Any], name: str) -> Place:
    path, kind, shape = (value.get(key) for key in ("path", "kind", "shape"))
    if not (
        _is_text(path)
        and all(str(path).split("."))
        and isinstance(kind, str)
        and kind in KINDS
        and _is_list(shape, int, _RANK)
        and all(type(n) is int and 0 < n <= _NUMBERS for n in shape)  # type: ignore[union-attr]
        and math.prod(shape) <= _NUMBERS  # type: ignore[arg-type]
    ):
        raise _malformed(value, name)
    return Place(str(path), kind, tuple(shape))  # type: ignore[arg-type]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LETTERS


def _is_list(value: object, kind: Any, most: int) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) <= most
        and all(isinstance(part, kind) for part in value)
    )


def _malformed(found: object, name: str) -> CheckpointError:
    shown = " ".join(repr(found)[:500].split())[:100]
    return CheckpointError(
        f"expected the description of folded SE blocks under 'folded', found {shown} in {name}; write the "
        "file with 'seviz fold'"
    )


def apply_folds(model: nn.Module, folds: Sequence[Fold], name: str) -> nn.Module:
    """Put into an architecture what stands in the place of its folded blocks; return it.

    Args:
        model: The network as its architecture builds it; changed.
        folds: The folded blocks.
        name: Name of the file, for messages.

    Raises:
        CheckpointError: If the architecture has no such module.
    """
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    for place in (place for fold in folds for place in fold.places):
        parent = _own_parent(model, place.path)
        leaf = place.path.rpartition(".")[2]
        replaced = None if parent is None else parent._modules.get(leaf)
        if parent is None or replaced is None:
            raise CheckpointError(
                f"expected a module {printable(place.path)} to fold in the architecture of {name}, found "
                "none; check --arch and --arch-args"
            )
        made = KINDS[place.kind](place.shape)
        if like is not None:
            made.to(like.device, like.dtype)
        parent._modules[leaf] = standing_in(made, replaced).eval()
    return model


def _own_parent(model: nn.Module, path: str) -> nn.Module | None:
    """Return the module around ``path``; where it is used in other places too, a copy for this one."""
    parent = model
    for part in path.split(".")[:-1]:
        child = parent._modules.get(part)
        if child is None:
            return None
        if _uses(model, child) > 1:
            child = shared_copy(child)
            parent._modules[part] = child
        parent = child
    return parent


def _uses(model: nn.Module, module: nn.Module) -> int:
    return sum(child is module for m in model.modules() for child in m._modules.values())


def separate(model: nn.Module) -> None:
    """Give every place of a module that is used in several a copy; parameters stay shared."""
    seen: set[int] = set()
    for module in list(model.modules()):
        if isinstance(module, torch.jit.ScriptModule):
            continue  # What is compiled stays as it is.
        for name, child in module._modules.items():
            if child is None:
                continue
            if id(child) in seen:
                module._modules[name] = shared_copy(child)
            seen.add(id(child))
