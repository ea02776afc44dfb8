"""Sums of a pass that come out alike in whatever parts it was made: with each goes what rounding lost of it.

Parts of a pass are whole batches, and a batch gives the same sums in every part. So it is the sums of batches
that must add up alike in every order; `seviz.results.exact` says how, and how far that holds.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Places(NamedTuple):
    """Where the images of one batch go.

    Attributes:
        rows: Rows of a table that get something, int64 [U], none twice but the spare one.
        inverse: Which of ``rows`` each image belongs to, int64 [N].
    """

    rows: Tensor
    inverse: Tensor


def places_of(rows: Tensor, spare: int) -> Places:
    """Return where the images of a batch go.

    Args:
        rows: Row of each image, int64 [N].
        spare: A row of the table that nobody reads.
    """
    if rows.device.type == "cpu":
        return Places(*torch.unique(rows, return_inverse=True))
    return places_without_waiting(rows, spare)


def places_without_waiting(rows: Tensor, spare: int) -> Places:
    """Return the same as `places_of` where how many different rows there are is not known on the host.

    The first image of each class stands for it; the others have nothing and go to the spare row.
    """
    first = (rows[:, None] == rows[None, :]).to(torch.uint8).argmax(1)
    own = torch.arange(len(rows), device=rows.device)
    return Places(rows.where(first == own, spare), first)


class ExactSum:
    """Sums over batches, by row: each a rounded sum and what rounding lost of it.

    Args:
        rows: Rows K of the table.
        shape: Of what is added to a row.
        device: Where the table is.
    """

    def __init__(self, rows: int, shape: tuple[int, ...], device: torch.device) -> None:
        self._tables = torch.zeros((2, rows + 1, *shape), dtype=torch.float64, device=device)

    @property
    def spare(self) -> int:
        """Return the row that nobody reads."""
        return self._tables.shape[1] - 1

    @property
    def high(self) -> Tensor:
        """Return the rounded sums, float64 [K, ...]: the table itself."""
        return self._tables[0, :-1]

    @property
    def low(self) -> Tensor:
        """Return what rounding lost of them, likewise."""
        return self._tables[1, :-1]

    def add(self, places: Places, values: Tensor) -> None:
        """Add values float64 [N, ...] of one batch to their rows."""
        high, low = self._tables
        part = values.new_zeros((len(places.rows), *values.shape[1:]))
        part.index_add_(0, places.inverse, values)
        before = high.index_select(0, places.rows)
        total = before + part
        # Knuth's TwoSum; ``part`` ends as what is lost.
        taken = total - before
        part.sub_(taken)
        part.add_(before.sub_(taken.neg_().add_(total)))
        high.index_copy_(0, places.rows, total)
        low.index_add_(0, places.rows, part)
