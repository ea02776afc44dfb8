"""How well a network fits a view of a file: all of its names and shapes, or which not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from seviz.networks.arch import build_architecture
from seviz.networks.building import on_meta
from seviz.networks.folds import Fold, apply_folds
from seviz.networks.recognise.views import Shape, View, whole
from seviz.networks.zoo import is_zoo_name


@dataclass(frozen=True, eq=False)
class Fit:
    """One architecture compared with one view.

    Attributes:
        name: Architecture, as ``--arch`` takes it.
        args: Its arguments, as far as they were read off the shapes.
        view: The part of the file.
        names: Name in the file by name in the network, of the tensors that fit.
        missing: Names in the network that the file does not have.
        unexpected: Names in the view that the network does not have.
        other_shape: Name in the network, shape in the file, shape in the network.
        model: The network on the meta device.
    """

    name: str
    args: Mapping[str, Any]
    view: View
    names: Mapping[str, str]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    other_shape: tuple[tuple[str, Shape, Shape], ...]
    model: nn.Module = field(repr=False)

    @property
    def total(self) -> int:
        """Number of different tensors in the two."""
        return len(self.names) + len(self.missing) + len(self.unexpected) + len(self.other_shape)

    @property
    def share(self) -> float:
        """Share of them that both have, with one shape; from 0 to 1."""
        return len(self.names) / max(1, self.total)

    @property
    def complete(self) -> bool:
        """Whether every tensor fits."""
        return bool(self.names) and len(self.names) == self.total


def compare(model: nn.Module, view: View, name: str, args: Mapping[str, Any]) -> Fit:
    """Compare the names and shapes of a network with those of a view."""
    own = whole({k: tuple(v.shape) for k, v in model.state_dict().items()})
    both = own.shapes.keys() & view.shapes.keys()
    return Fit(
        name,
        args,
        view,
        {
            own.full[n]: view.full[n]
            for n in own.shapes
            if n in both and own.shapes[n] == view.shapes[n]
        },
        tuple(own.full[n] for n in own.shapes if n not in both),
        tuple(view.full[n] for n in view.shapes if n not in both),
        tuple(
            (own.full[n], view.shapes[n], own.shapes[n])
            for n in own.shapes
            if n in both and own.shapes[n] != view.shapes[n]
        ),
        model,
    )


def built_empty(
    name: str, args: Mapping[str, Any], folds: Sequence[Fold] = (), file_name: str = ""
) -> nn.Module:
    """Build an architecture on the meta device, without the blocks that the file says were folded away."""
    return apply_folds(on_meta(lambda: build_architecture(name, args)), folds, file_name)


def fit(
    name: str,
    args: Mapping[str, Any],
    view: View,
    folds: Sequence[Fold] = (),
    file_name: str = "",
    model: nn.Module | None = None,
) -> Fit:
    """Build an architecture on the meta device and compare it; the number of classes is read off.

    Args:
        name: Architecture.
        args: Its arguments, as far as they are known.
        view: What it is compared with.
        folds: SE blocks that the file says were folded away.
        file_name: Name of the file, for messages.
        model: What ``built_empty`` made of the same arguments, where many views are compared with it.

    Raises:
        SevizError: If it cannot be built.
    """
    if model is None:
        model = built_empty(name, args, folds, file_name)
    found = compare(model, view, name, args)
    if found.complete or not is_zoo_name(name):
        return found
    adapted = _read_off(found)
    if not adapted:
        return found
    changed = {**args, **adapted}
    again = compare(built_empty(name, changed, folds, file_name), view, name, changed)
    return again if again.share > found.share else found


def _read_off(found: Fit) -> dict[str, Any]:
    """Return the arguments that tensors of another shape, or a missing classifier, tell."""
    classes = _outputs(found.model)
    is_timm = found.name.startswith("timm:")
    args: dict[str, Any] = {}
    for _, seen, own in found.other_shape:
        if len(seen) != len(own):
            continue
        if own[0] == classes != seen[0] and seen[1:] == own[1:]:
            args["num_classes"] = seen[0]
        elif is_timm and len(own) == 4 and own[1] == 3 != seen[1] and seen[::2] == own[::2]:
            args["in_chans"] = seen[1]
    places = found.model.state_dict()
    lost = {n: places[n].shape for n in found.missing}
    if is_timm and lost and all(shape[0] == classes for shape in lost.values()):
        args["num_classes"] = 0
    return args


def _outputs(model: nn.Module) -> int:
    """Return the number of classes that a zoo's network was built with."""
    own = getattr(model, "num_classes", None)
    return own if isinstance(own, int) else 1000


def with_foreign_head(found: Fit, shapes: Mapping[str, Shape]) -> Fit:
    """Give a network without a classifier the one that the file keeps elsewhere.

    OpenMMLab has ``backbone.*`` beside ``head.fc.*``. Taken only where there is exactly one linear layer
    of the right width.

    Args:
        found: A complete fit with ``num_classes=0``.
        shapes: Every tensor of the file.
    """
    inside = set(found.view.full.values())
    linear = {
        name: (name.removesuffix("weight") + "bias", shape)
        for name, shape in shapes.items()
        if name not in inside and name.endswith(".weight") and len(shape) == 2
    }
    fitting = []
    for weight, (bias, shape) in linear.items():
        args = {**found.args, "num_classes": shape[0]}
        try:
            own = compare(
                on_meta(lambda args=args: build_architecture(found.name, args)),  # type: ignore[misc]
                found.view,
                found.name,
                args,
            )
        except Exception:
            continue
        places = own.model.state_dict()
        wanted = {n: tuple(places[n].shape) for n in own.missing}
        given: dict[Shape, str] = {tuple(shape): weight}
        if shapes.get(bias) == shape[:1]:
            given[tuple(shape[:1])] = bias
        if not own.unexpected and sorted(wanted.values()) == sorted(given):
            names = {**own.names, **{n: given[s] for n, s in wanted.items()}}
            fitting.append(replace(own, names=names, missing=()))
    return fitting[0] if len(fitting) == 1 else found
