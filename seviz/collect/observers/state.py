"""What of an observer outlives its process: its sums, saved and restored, and merged with those of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol, TypeVar

from torch import Tensor

from seviz.collect.observers.exact import ExactSum
from seviz.results.exact import low_name

Reduction = Literal["sum", "min", "max", "exact"]
T = TypeVar("T")


class Exchange(Protocol):
    """How the processes of one pass hear of each other; each calls the same methods in the same order."""

    def reduce(self, tensor: Tensor, how: Reduction) -> None:
        """Replace the tensor, in every process, by the sum or the extreme of all."""

    def add_up(self, high: Tensor, low: Tensor) -> None:
        """Replace sums, and what rounding lost of them, in every process, by those of all."""

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in their order."""


class KeptState(Protocol):
    """Something whose state is all that it has seen."""

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that hold what was seen."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned, in this process or another."""

    def merge(self, exchange: Exchange) -> None:
        """Take in what all processes have seen."""


class Tables:
    """Base of observers whose state is a few tensors of fixed size, each with its reduction.

    Attributes:
        reductions: How a tensor of one process joins that of another, by name; the tensor is the
            attribute of that name after an underscore. What is ``exact`` is an `ExactSum`.
    """

    reductions: ClassVar[Mapping[str, Reduction]]

    def state(self) -> dict[str, Tensor]:
        """Return the tensors themselves, not copies."""
        tensors: dict[str, Tensor] = {}
        for name in self.reductions:
            own = getattr(self, f"_{name}")
            if isinstance(own, ExactSum):
                tensors |= {name: own.high, low_name(name): own.low}
            else:
                tensors[name] = own
        return tensors

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Overwrite the tensors."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    def merge(self, exchange: Exchange) -> None:
        """Reduce each tensor over all processes."""
        tensors = self.state()
        for name, how in self.reductions.items():
            if how == "exact":
                exchange.add_up(tensors[name], tensors[low_name(name)])
            else:
                exchange.reduce(tensors[name], how)
