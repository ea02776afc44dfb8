"""The gates of single images: a uniform random sample of fixed size, for intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seviz.collect.observers.gates import Observation
from seviz.collect.observers.state import Exchange
from seviz.results.blocks import GateBlock
from seviz.results.sample import (
    INDEX,
    ROW,
    capacity,
    image_keys,
    key_order,
    packed,
    sample_name,
    smallest,
)
from seviz.results.stats import Array


class GateSample:
    """Keeps the gates of the images whose keys are the smallest, at most `capacity` of them.

    Which images these are is known on the host from their positions in the source, so that no batch
    waits for the device.

    Args:
        blocks: The blocks whose gates come, in forward order.
        device: Device of the network.
        whole: Whether this is all of the pass; the gates of a part keep their type, which is chosen for
            the whole.
    """

    def __init__(
        self, blocks: Sequence[GateBlock], device: torch.device, *, whole: bool = True
    ) -> None:
        self._whole = whole
        self._blocks, self._most = list(blocks), capacity(blocks)
        self._index = np.zeros(0, np.int64)
        width = sum(b.channels for b in blocks)
        self._gates = torch.empty((self._most, width), dtype=torch.float32, device=device)
        self._rows = torch.empty(self._most, dtype=torch.int64, device=device)

    def update(self, batch: Observation) -> None:
        """Keep those images of one batch that are in the sample so far.

        Raises:
            DataError: If the batch does not tell where its images are in their source.
        """
        indices = batch.positions("the sample of single images")
        kept = len(self._index)
        both = np.concatenate([self._index, indices.cpu().numpy()])
        chosen = smallest(image_keys(both), self._most)
        stay, new = chosen[chosen < kept], chosen[chosen >= kept]
        if not len(new):
            return
        free = np.setdiff1d(np.arange(len(chosen)), stay)
        index = np.zeros(len(chosen), np.int64)
        index[stay], index[free] = both[stay], both[new]
        self._index = index
        place, source = self._on_device(free), self._on_device(new - kept)
        self._rows.index_copy_(0, place, batch.rows.to(self._rows.device)[source])
        gates = [batch.gates[b.name][source].float() for b in self._blocks]
        self._gates.index_copy_(0, place, torch.cat(gates, dim=1).to(self._gates.device))

    def state(self) -> dict[str, Tensor]:
        """Return position, row and gates of the images that are kept."""
        held = len(self._index)
        return {
            "index": torch.from_numpy(self._index),
            "rows": self._rows[:held],
            "gates": self._gates[:held],
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on with these images kept."""
        index, rows = (state[name].cpu().numpy() for name in ("index", "rows"))
        kept = torch.from_numpy(key_order(index, rows)[: self._most].copy())
        self._index = index[kept.numpy()]
        self._rows[: len(kept)] = state["rows"].to(self._rows.device)[kept]
        self._gates[: len(kept)] = state["gates"].to(self._gates.device)[kept]

    def merge(self, exchange: Exchange) -> None:
        """Keep the images with the smallest keys of those that all processes kept."""
        # Copies: what others are given must not change when this sample takes in theirs.
        mine = {name: tensor.cpu().clone() for name, tensor in self.state().items()}
        parts = exchange.gather(mine)
        self.restore({name: torch.cat([part[name] for part in parts]) for name in mine})

    def _on_device(self, positions: npt.NDArray[np.intp]) -> Tensor:
        return torch.from_numpy(positions).to(self._gates.device, non_blocking=True)

    def compute(self) -> dict[str, Array]:
        """Return ``sample/...`` as a `seviz.results.record.Record` has it."""
        rows = self._rows[: len(self._index)].cpu().numpy()
        order = key_order(self._index, rows)
        gates = self._gates[: len(self._index)].cpu().numpy()
        arrays: dict[str, Array] = {INDEX: self._index[order], ROW: rows[order]}
        begin = 0
        for block in self._blocks:
            columns = slice(begin, begin + block.channels)
            begin += block.channels
            own = gates[order, columns]
            arrays[sample_name(block.name)] = packed(own) if self._whole else own
        return arrays
