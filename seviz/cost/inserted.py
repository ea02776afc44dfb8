"""What stands in a network where gates were put into it: a module of the network, and the gate beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from seviz.errors import UsageError
from seviz.networks.architectures.attention import (
    EfficientChannelAttention,
    GatherExcite,
    PooledChannelAttention,
)
from seviz.networks.architectures.se import SqueezeExcite
from seviz.results.mechanisms import BY_KEY, DEFAULT_KIND

DEFAULT_REDUCTION = 16
# By the kind's word, from channels, reduction ratio, and whether layers have biases.
_GATES: Mapping[str, Callable[[int, int, bool], nn.Module]] = {
    "se": lambda channels, reduction, bias: SqueezeExcite(channels, reduction, bias=bias),
    "eca": lambda channels, reduction, bias: EfficientChannelAttention(channels),
    "cbam": lambda channels, reduction, bias: PooledChannelAttention(
        channels, reduction, bias=bias
    ),
    "ge": lambda channels, reduction, bias: GatherExcite(),
}
KINDS = tuple(_GATES)


def gate_maker(kind: str, reduction: int | None, bias: bool) -> Callable[[int], nn.Module]:
    """Return what makes a block of a kind for a number of channels.

    Raises:
        UsageError: If no such kind can be put in, or the ratio is not positive or not the kind's.
    """
    if kind not in _GATES:
        raise UsageError(
            f"expected a kind of gates that can be inserted ({', '.join(KINDS)}), found {kind!r}; give one "
            "of them"
        )
    if reduction is not None and reduction < 1:
        raise UsageError(
            f"expected --reduction of at least 1, found {reduction}; the paper uses 16"
        )
    if reduction is not None and not BY_KEY[kind].has_bottleneck:
        raise UsageError(
            f"expected --reduction with gates that have a bottleneck, found {BY_KEY[kind].word}; leave it out"
        )
    return lambda channels: _GATES[kind](channels, reduction or DEFAULT_REDUCTION, bias)


class _Beside(nn.Module):
    """A module of the network, and the gate that was put beside it.

    Args:
        body: The module that was there.
        gate: The gate.
        kind: Its kind, by which it is called in the state dict.
    """

    def __init__(self, body: nn.Module, gate: nn.Module, kind: str = DEFAULT_KIND) -> None:
        super().__init__()
        self.body = body
        setattr(self, kind, gate)  # also where the body has a module of that name
        self._kind = kind

    @property
    def gate(self) -> nn.Module:
        """Return the gate."""
        return self.get_submodule(self._kind)

    def __getattr__(self, name: str) -> Any:
        # Networks look at their modules: at ``norm.weight``, at ``block.stride``.
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("body"), name)


class WithSE(_Beside):
    """A module of the network, and the gate that scales what it returns."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the scaled output of the body."""
        out: Tensor = self.gate(self.body(*args, **kwargs))
        return out


class Before(_Beside):
    """A module of the network, and the gate that scales what it is given."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the body for the scaled map."""
        return self.body(self.gate(x), *args, **kwargs)


class Given(nn.Module):
    """The first module of a branch that takes the map from before the gate on its shortcut.

    Args:
        body: The module that was there.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.given: Tensor | None = None

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the body for the map that was given, if one was."""
        return self.body(x if self.given is None else self.given, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("body"), name)


class OnShortcut(_Beside):
    """A residual unit, and the gate that scales the map on its shortcut; the branch takes the map as it is.

    Args:
        body: The unit.
        gate: The gate.
        kind: Its kind.
        first: Path inside the unit of the branch's first module.
    """

    def __init__(self, body: nn.Module, gate: nn.Module, kind: str, first: str) -> None:
        super().__init__(body, gate, kind)
        parent, _, name = first.rpartition(".")
        setattr(body.get_submodule(parent), name, Given(body.get_submodule(first)))
        self._first = first

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the unit."""
        first: Any = self.body.get_submodule(self._first)
        first.given = x
        try:
            return self.body(self.gate(x), *args, **kwargs)
        finally:
            first.given = None
