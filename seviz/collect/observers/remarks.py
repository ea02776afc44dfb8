"""How images were read that can be read in several ways: a remark outlives its process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from seviz.collect.observers.state import Exchange
from seviz.data.depth import REMARKS


class Remarked(Protocol):
    """Batches that tell how their images were read."""

    remarks: set[str]


class ImageRemarks:
    """The remarks of some batches, kept and merged with those of other processes.

    Args:
        batches: What is read; a part of it shares its remarks.
    """

    def __init__(self, batches: Remarked) -> None:
        self._said = batches.remarks

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the record must know."""
        return tuple(remark for remark in REMARKS if remark in self._said)

    def state(self) -> dict[str, Tensor]:
        """Return which of `REMARKS` hold, int64 [remarks]."""
        return {"said": torch.tensor([int(remark in self._said) for remark in REMARKS])}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Add what was said before."""
        said = state["said"].tolist()
        self._said |= {remark for remark, holds in zip(REMARKS, said, strict=True) if holds}

    def merge(self, exchange: Exchange) -> None:
        """Add what other processes say."""
        for notes in exchange.gather(self.notes):
            self._said |= set(notes)
