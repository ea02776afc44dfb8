"""What the readers share: from the names and shapes of a state dict to a builder and its arguments.

A reader looks at landmarks, a few tensors that tell the size of everything else. It does not check every
name: whoever asks builds the network on the meta device and compares.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from torch import nn

Builder = Callable[..., nn.Module]
Shapes = Mapping[str, tuple[int, ...]]
Reading = tuple[str, dict[str, Any]]
Reader = Callable[[Shapes], Reading | None]

# The ratio that every network here is built with unless told otherwise.
_REDUCTION = 16


class OtherFamilyError(Exception):
    """The tensors are not those of the reader's family."""


class Landmarks:
    """The shapes of a state dict, with look-ups that end the reading where a tensor does not fit."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def weight(self, path: str, rank: int, kernel: int | None = None) -> tuple[int, ...]:
        """Return the shape of ``<path>.weight``: outputs, inputs, then the kernel of a convolution.

        Args:
            path: Module path.
            rank: Expected number of dimensions.
            kernel: Expected height and width of the kernel; ``None`` takes any.

        Raises:
            OtherFamilyError: If there is no such tensor.
        """
        shape = self._shapes.get(f"{path}.weight", ())
        if len(shape) != rank or min(shape) < 1:
            raise OtherFamilyError(path)
        if kernel is not None and shape[2:] != (kernel, kernel):
            raise OtherFamilyError(path)
        return shape

    def numbered(self, pattern: str, start: int = 0) -> list[str]:
        """Return the module paths ``pattern`` with ``{}`` counted up from ``start`` that have a weight.

        Raises:
            OtherFamilyError: If there is not even the first.
        """
        paths: list[str] = []
        while f"{(path := pattern.format(start + len(paths)))}.weight" in self._shapes:
            paths.append(path)
        if not paths:
            raise OtherFamilyError(pattern)
        return paths

    def below(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """Return the weights of layers (not of norms) below ``prefix``, by the rest of their path."""
        return {
            name.removeprefix(prefix).removesuffix(".weight"): shape
            for name, shape in self._shapes.items()
            if name.startswith(prefix) and name.endswith(".weight") and len(shape) > 1
        }

    def reduction(self, paths: Iterable[str], rank: int = 2) -> int:
        """Return a ratio r that gives the hidden width of every excitation: ``max(1, C // r)``.

        Args:
            paths: Module paths of the first layers, of shape [hidden, C] or [hidden, C, 1, 1].
            rank: Number of dimensions of their weights.

        Returns:
            16 if that fits, else the largest ratio that does (the one meant, wherever it divides a C).

        Raises:
            OtherFamilyError: If no ratio fits all of them.
        """
        floors, ceilings = [1], []
        for path in paths:
            hidden, channels = self.weight(path, rank)[:2]
            # C // r = h holds from C // (h + 1) + 1 to C // h; one unit also stands for every larger r.
            floors.append(channels // (hidden + 1) + 1)
            if hidden > 1:
                ceilings.append(channels // hidden)
        low = max(floors)
        high = min(ceilings, default=max(low, _REDUCTION))
        if low > high:
            raise OtherFamilyError("reduction")
        return _REDUCTION if low <= _REDUCTION <= high else high


def reader(read: Callable[[Landmarks], Reading]) -> Reader:
    """Turn a reading of landmarks into a `Reader`, which answers ``None`` for another family."""

    @wraps(read)
    def wrapped(shapes: Shapes) -> Reading | None:
        try:
            return read(Landmarks(shapes))
        except OtherFamilyError:
            return None

    return wrapped


def changed(builder: Builder, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that differ from the builder's defaults."""
    defaults = inspect.signature(builder).parameters
    return {k: v for k, v in arguments.items() if v != defaults[k].default}


def by_depth(
    builders: Mapping[str, Builder], general: str, *, depth: int, **arguments: Any
) -> Reading:
    """Return the builder that is named by its depth, or the general one with the depth as argument.

    Args:
        builders: ``resnet<depth>``, that with the kind of gates before it, and the general one.
        general: Name of the builder that takes any depth.
        depth: Number of layers.
        arguments: What the builder takes besides; without ``reduction`` there are no gates, and
            those without ``attention`` are SE.
    """
    gates = "" if arguments["reduction"] is None else f"{arguments.get('attention', 'se')}_"
    name = f"{gates}resnet{depth}"
    if name not in builders:
        name, arguments = general, {"depth": depth, **arguments}
    return name, changed(builders[name], arguments)
