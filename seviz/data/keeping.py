"""The images of a pass that is made more than once: decoded once, where memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from seviz.data.batches import Batch

MOST_BYTES = 2**30


class Several(Protocol):
    """Batches that can be had several times."""

    skipped: list[tuple[str, str]]
    remarks: set[str]

    @property
    def total(self) -> int:
        """Return the number of images in one pass, as far as it is known."""

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches."""


class KeptBatches:
    """Batches that are the same in every pass, and that stay in memory after the first one if they fit.

    Args:
        batches: Where they come from; read anew for each pass where they do not fit.
        most: Bytes of tensors that may be kept.
    """

    def __init__(self, batches: Several, most: int = MOST_BYTES) -> None:
        self.source, self._most = batches, most
        self._kept: list[Batch] | None = None

    @property
    def total(self) -> int:
        """Return the number of images that are tried in one pass."""
        return self.source.total

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches.

        Raises:
            DataError: As `Batches` does.
            DeviceError: As `Batches` does.
        """
        if self._kept is not None:
            yield from self._kept
            return
        keeping: list[Batch] | None = []
        held = 0
        for batch in self.source:
            if keeping is not None:
                each = batch.images.nbytes // len(batch)
                held += batch.images.nbytes
                # A loader may not know how many images it has.
                if max(each * self.total, held) <= self._most:
                    keeping.append(batch)
                else:
                    keeping = None
            yield batch
        self._kept = keeping  # a pass that was broken off does not come here
