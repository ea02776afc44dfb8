"""What watches a pass: sums of fixed size that live on the device of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from seviz.collect.fast import sums_device
from seviz.collect.observers.exact import ExactSum, places_of
from seviz.collect.observers.state import KeptState, Reduction, Tables
from seviz.errors import CheckpointError, DataError
from seviz.results.blocks import GateBlock
from seviz.results.exact import low_name, rounded
from seviz.results.stats import SATURATED_HIGH, SATURATED_LOW, Array


@dataclass(frozen=True, eq=False)
class Observation:
    """What one batch shows.

    Attributes:
        rows: Row of each image's class, int64 [N].
        gates: Gates [N, C] by block name.
        logits: Output of the network [N, outputs]; [N, 0] where the pass ends before it.
        indices: Position of each image in its source, int64 [N], where that is known.
    """

    rows: Tensor
    gates: Mapping[str, Tensor]
    logits: Tensor
    indices: Tensor | None = None

    def positions(self, what: str) -> Tensor:
        """Return the position of each image in its source, which ``what`` needs.

        Raises:
            DataError: If it is not known.
        """
        if self.indices is None:
            raise DataError(
                "expected batches that know the position of each image, found none; give them "
                f"'indices', or leave {what} out"
            )
        return self.indices


class Observer(Protocol):
    """Something that watches a pass."""

    def update(self, batch: Observation) -> None:
        """Take in one batch; nothing is copied to the host."""

    def compute(self) -> dict[str, Array]:
        """Return the sums as NumPy arrays, under the names that a `Record` gives them."""


class MergedObserver(Observer, KeptState, Protocol):
    """An observer whose process may end, or share the pass with others."""


class GateSums(Tables):
    """Per class and channel: sum, sum of squares, extremes, and how often a gate is saturated.

    Args:
        blocks: The blocks whose gates come, in forward order.
        classes: Number of rows K.
        device: Device of the network.
        whole: Whether this is all of the pass; the sums of a part keep what rounding lost of them.
    """

    reductions: ClassVar[Mapping[str, Reduction]] = {
        **dict.fromkeys(("count", "low", "high"), "sum"),
        **dict.fromkeys(("sum", "sumsq"), "exact"),
        "minimum": "min",
        "maximum": "max",
    }

    def __init__(
        self,
        blocks: Sequence[GateBlock],
        classes: int,
        device: torch.device,
        *,
        whole: bool = True,
    ) -> None:
        self._blocks, self._whole = list(blocks), whole
        self._device = sums_device(device)
        width = sum(b.channels for b in blocks)

        def table(dtype: torch.dtype, fill: float = 0) -> Tensor:
            return torch.full((classes, width), fill, dtype=dtype, device=self._device)

        # All blocks side by side: one addition per batch instead of one per block.
        self._count = torch.zeros(classes, dtype=torch.int64, device=self._device)
        self._sum, self._sumsq = (ExactSum(classes, (width,), self._device) for _ in range(2))
        self._minimum = table(torch.float32, float("inf"))
        self._maximum = table(torch.float32, float("-inf"))
        self._low, self._high = table(torch.int32), table(torch.int32)

    def update(self, batch: Observation) -> None:
        """Add the gates of one batch.

        Raises:
            CheckpointError: If a gate is no number, where that can be seen without waiting for a device.
        """
        rows = batch.rows.to(self._device)
        gates = torch.cat([batch.gates[b.name].float() for b in self._blocks], dim=1)
        gates = gates.to(self._device)
        # Before anything is added, so that what came before is kept; a GPU is not waited for.
        if self._device.type == "cpu" and not bool(gates.sum().isfinite()):
            self._check({b.name: batch.gates[b.name] for b in self._blocks})
        exact = gates.double()
        self._count.index_add_(0, rows, torch.ones_like(rows))
        places = places_of(rows, self._sum.spare)
        self._sum.add(places, exact)
        self._sumsq.add(places, exact.square_())
        self._low.index_add_(0, rows, (gates < SATURATED_LOW).int())
        self._high.index_add_(0, rows, (gates > SATURATED_HIGH).int())
        where = rows[:, None].expand_as(gates)
        self._minimum.scatter_reduce_(0, where, gates, "amin")
        self._maximum.scatter_reduce_(0, where, gates, "amax")

    def compute(self) -> dict[str, Array]:
        """Return ``count`` and, per block, the fields of `seviz.results.record.BlockStats`.

        Of a part, also what rounding lost of its sums (`seviz.results.exact`).

        Raises:
            CheckpointError: If a gate was not a number.
        """
        arrays: dict[str, Array] = {"count": self._count.cpu().numpy()}
        tables = {
            "sum": self._sum.high,
            "sumsq": self._sumsq.high,
            low_name("sum"): self._sum.low,
            low_name("sumsq"): self._sumsq.low,
            "minimum": self._minimum,
            "maximum": self._maximum,
            "low": self._low,
            "high": self._high,
        }
        host = {name: table.cpu().numpy() for name, table in tables.items()}
        if self._whole:
            host = rounded(host)
        begin = 0
        for block in self._blocks:
            columns = slice(begin, begin + block.channels)
            begin += block.channels
            for name, table in host.items():
                arrays[f"gates/{block.name}/{name}"] = np.ascontiguousarray(table[:, columns])
        self._check({b.name: torch.from_numpy(arrays[f"gates/{b.name}/sum"]) for b in self._blocks})
        return arrays

    def _check(self, numbers: Mapping[str, Tensor]) -> None:
        """Refuse numbers by block that are none."""
        for block in self._blocks:
            if not bool(numbers[block.name].isfinite().all()):
                raise CheckpointError(
                    f"expected finite gates, found NaN or Inf in {block.name} ({block.path}); check "
                    "the images, the weights, the preprocessing and --amp"
                )
