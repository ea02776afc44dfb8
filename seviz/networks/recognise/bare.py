"""What can be said of weights whose network is unknown: their size, and their excitations.

An excitation is a pair of matrices C -> h -> C (or 2C, with a shift) with h < C, next to each other under one
prefix; with h = C only where others of the file, called alike, have h < C. A bottleneck whose output is
added instead of multiplied has the same tensors, so this is an estimate; names, stages and the kind of gate
need the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

from seviz.errors import UnknownArchitectureError
from seviz.networks.formats.file import CheckpointFile
from seviz.networks.formats.payload import Payload
from seviz.networks.recognise.fit import Fit
from seviz.networks.recognise.views import Shape, View, is_counter, views
from seviz.results.blocks import SEBlock

UNKNOWN = "unknown"
# A layer inside an excitation lies at most that deep under its prefix: se.fc1.conv.weight.
_DEPTH = 3
# Tensors of a part, at least; and so many parts, at most.
_LEAST, _MOST = 3, 12
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Part:
    """What lies under one of the first names of a file.

    Attributes:
        path: Its prefix in the file.
        tensors: Number of tensors that count.
        params: Number of parameters.
        excitations: Number of excitations.
        se_params: Number of their parameters.
        like: Prefix of an earlier part with the same names and shapes; empty if there is none.
    """

    path: str
    tensors: int
    params: int
    excitations: int
    se_params: int
    like: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it JSON-able."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class BareWeights:
    """Weights without a network.

    Attributes:
        name: Name of the file.
        sha256: Hash of the file.
        format: How the file was written.
        view: All of its tensors; of weights that it holds twice, raw and averaged, the raw ones.
        blocks: The excitations, in the file's order; ``stage`` is 0, and gate and squeeze are unknown.
        near: The known networks that come nearest.
        notes: What a reader should know about how it was read.
        parts: What it falls into under its first names, if they are several: networks trained together,
            or the stages of one.
    """

    name: str
    sha256: str
    format: str
    view: View
    blocks: tuple[SEBlock, ...]
    near: tuple[Fit, ...]
    notes: tuple[str, ...] = field(default=())
    parts: tuple[Part, ...] = ()

    @property
    def params(self) -> int:
        """Number of parameters: every number that is no running statistic."""
        return _params(self.view.shapes)

    @property
    def se_params(self) -> int:
        """Number of parameters of the excitations."""
        return sum(b.params for b in self.blocks)

    @property
    def running_stats(self) -> int:
        """Number of elements of the running means and variances of batch norm."""
        return sum(
            prod(s) for n, s in self.view.shapes.items() if _is_buffer(n) and not is_counter(n)
        )

    @property
    def outputs(self) -> int | None:
        """Outputs of the last linear layer, if the last tensors are one."""
        last = [s for n, s in self.view.shapes.items() if n.endswith("weight") and len(s) > 1][-1:]
        return last[0][0] if last and len(last[0]) == 2 else None

    def nearest(self) -> list[dict[str, Any]]:
        """Return the nearest networks, JSON-able: name, share of the tensors that fit, what differs."""
        return [
            {
                "architecture": f.name,
                "share": round(f.share, 4),
                "tensors": f.total,
                "difference": first_difference(f),
            }
            for f in self.near
        ]

    def refuse(self) -> UnknownArchitectureError:
        """Return the error for a command that needs the network."""
        lines = [
            f"{n['architecture']}, {n['share']:.0%} of {n['tensors']} tensors{n['difference']}"
            for n in self.nearest()
        ]
        nearest = f"; nearest: {'; '.join(lines)}" if lines else "; no known network comes near"
        return UnknownArchitectureError(
            f"expected a known architecture in {self.name}, found {self.view.size} tensors that fit "
            f"none{nearest}; give --arch NAME, timm:NAME, torchvision:NAME or file.py:factory"
        )


def first_difference(found: Fit) -> str:
    """Return the first tensors in which a network and a file differ, in brackets."""
    parts = [
        *(f"lacks {n}" for n in found.missing[:1]),
        *(f"has {n} besides" for n in found.unexpected[:1]),
        *(f"{n} is {_size(seen)}, not {_size(own)}" for n, seen, own in found.other_shape[:1]),
    ]
    return f" ({', '.join(parts)})" if parts else ""


def described(
    file: CheckpointFile, payload: Payload, near: Sequence[Fit], notes: tuple[str, ...] = ()
) -> BareWeights:
    """Return what can be said of a file in which no network was recognised.

    All of it is described: of a file that holds several networks, none stands for the others.

    Args:
        file: Where the tensors are from.
        payload: Its tensors.
        near: The known networks that come nearest.
        notes: How the tensors were read.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in payload.tensors.items()}
    view = views(shapes)[0]
    parts = parts_of(view)
    twice = [p for p in parts if p.like and payload.is_averaged(p.path)]
    if twice:
        prefixes = tuple(f"{p.path}." for p in twice)
        view = views({n: s for n, s in shapes.items() if not n.startswith(prefixes)})[0]
        averaged = " and ".join(p.path for p in twice)
        notes += (f"running averages of the same tensors, under {averaged}, are not counted again",)
        parts = parts_of(view)
    found = excitations(view)
    return BareWeights(
        file.name,
        file.sha256,
        file.format,
        view,
        found,
        tuple(near),
        (*notes, *file.notes),
        parts,
    )


def parts_of(view: View) -> tuple[Part, ...]:
    """Return what a file falls into under its first names; nothing where that says nothing.

    That is where they are numbers (the layers of a sequence), over a dozen, or where all but one are single
    layers.
    """
    inside: dict[str, dict[str, Shape]] = {}
    for name, shape in view.shapes.items():
        first, _, rest = name.partition(".")
        inside.setdefault(first, {})[rest] = shape
    held = {first: own for first, own in inside.items() if sum(map(_counts, own)) >= _LEAST}
    if not 1 < len(held) <= _MOST or all(first.isdecimal() for first in held):
        return ()
    found: list[Part] = []
    for first, own in held.items():
        path = f"{view.prefix}.{first}" if view.prefix else first
        under = [b for b in excitations(view) if b.path.partition(".")[0] == first]
        earlier = (p for p, f in zip(found, held, strict=False) if held[f] == own)
        found.append(
            Part(
                path,
                sum(map(_counts, own)),
                _params(own),
                len(under),
                sum(b.params for b in under),
                next((p.path for p in earlier), ""),
            )
        )
    return tuple(found)


def excitations(view: View) -> tuple[SEBlock, ...]:
    """Return the pairs of matrices that excite channels, in the order of the file."""
    weights = [n for n, s in view.shapes.items() if len(s) > 1]
    held = {}
    for first, second in pairwise(weights):
        if _excites(view.shapes[first], view.shapes[second]):
            place = _container(view, weights, (first, second))
            if place is not None:
                held[first, second] = place
    alike = {
        _pattern(names) for names in held if view.shapes[names[0]][0] < view.shapes[names[0]][1]
    }
    found: list[SEBlock] = []
    for names, (prefix, parameters) in held.items():
        (hidden, channels, *_), excited = (view.shapes[n] for n in names)
        if _pattern(names) not in alike:
            continue
        found.append(
            SEBlock(
                name=f"SE_?_{len(found) + 1}",
                path=prefix,
                stage=0,
                index=len(found) + 1,
                channels=channels,
                hidden=hidden,
                gate=UNKNOWN,
                squeeze=UNKNOWN,
                placement=UNKNOWN,
                parameters=tuple(view.full[n] for n in parameters),
                params=sum(prod(view.shapes[n]) for n in parameters),
                spatial=(),
                shift=excited[0] == 2 * channels,
            )
        )
    return tuple(found)


def _excites(squeezed: Shape, excited: Shape) -> bool:
    """Return whether two matrices are C -> h -> C or C -> h -> 2C, with h of C at most."""
    hidden, channels = squeezed[:2]
    fits = excited[1] == hidden and excited[0] in {channels, 2 * channels}
    return _is_pointwise(squeezed) and _is_pointwise(excited) and 0 < hidden <= channels and fits


def _pattern(names: tuple[str, str]) -> tuple[str, ...]:
    """Return how two matrices are called, whatever the numbers of their layers."""
    return tuple(_NUMBER.sub("#", name) for name in names)


def _container(
    view: View, weights: list[str], pair: tuple[str, str]
) -> tuple[str, list[str]] | None:
    """Return the prefix of an excitation and its parameters; None if the pair is not one.

    The two are all the matrices under their prefix, and everything there belongs to them (norms); or they
    are direct children of a larger block, where the excitation is written inline.
    """
    prefix = _shared_prefix(*pair)
    depth = prefix.count(".") + 1
    if not prefix or any(n.count(".") - depth >= _DEPTH for n in pair):
        return None
    if _under(prefix, weights) == [*pair]:
        while "." in prefix and _under(prefix.rpartition(".")[0], weights) == [*pair]:
            prefix = prefix.rpartition(".")[0]
        inside = _under(prefix, view.shapes)
        return prefix, [n for n in inside if not _is_buffer(n)]
    hidden = view.shapes[pair[0]][0]
    # What a third layer reads (SqueezeNet's fire module) is no bottleneck of an excitation.
    shared = any(view.shapes[n][1] == hidden for n in _under(prefix, weights) if n not in pair)
    if shared or any(n.count(".") - depth > 1 for n in pair):
        return None
    layers = {n.rpartition(".")[0] for n in pair}
    return prefix, [n for n in view.shapes if n.rpartition(".")[0] in layers]


def _under(prefix: str, names: Iterable[str]) -> list[str]:
    return [n for n in names if n.startswith(f"{prefix}.")]


def _shared_prefix(first: str, second: str) -> str:
    shared = []
    for a, b in zip(first.split(".")[:-1], second.split(".")[:-1], strict=False):
        if a != b:
            break
        shared.append(a)
    return ".".join(shared)


def _counts(name: str) -> bool:
    return not is_counter(name)


def _params(shapes: Mapping[str, Shape]) -> int:
    return sum(prod(s) for n, s in shapes.items() if not _is_buffer(n))


def _is_pointwise(shape: Shape) -> bool:
    return len(shape) == 2 or all(n == 1 for n in shape[2:])


def _is_buffer(name: str) -> bool:
    return name.rpartition(".")[2] in {"running_mean", "running_var"} or is_counter(name)


def _size(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "one number"
