"""Batches that stay in memory after the first pass."""

from __future__ import annotations

import itertools

import torch

from seviz.data import Batch, KeptBatches


class Fresh:
    """Makes new batches in each pass, and counts the passes."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes, self.passes, self.total = sizes, 0, sum(sizes)

    def __iter__(self):  # type: ignore[no-untyped-def]
        self.passes += 1
        for size in self.sizes:
            numbers = torch.arange(size)
            yield Batch(torch.zeros(size, 1, 4, 4), numbers, numbers)


def test_kept_where_they_fit() -> None:
    fresh = Fresh([3, 3, 1])
    kept = KeptBatches(fresh, most=7 * 16 * 4)  # type: ignore[arg-type]
    first, second = list(kept), list(kept)
    assert fresh.passes == 1
    assert all(a is b for a, b in zip(first, second, strict=True))
    assert kept.total == 7


def test_read_again_where_they_do_not() -> None:
    fresh = Fresh([3, 3, 1])
    kept = KeptBatches(fresh, most=7 * 16 * 4 - 1)  # type: ignore[arg-type]
    assert [len(b) for b in kept] == [len(b) for b in kept] == [3, 3, 1]
    assert fresh.passes == 2


def test_a_pass_that_was_broken_off_keeps_nothing() -> None:
    fresh = Fresh([3, 3])
    kept = KeptBatches(fresh)  # type: ignore[arg-type]
    assert len(list(itertools.islice(kept, 1))) == 1
    assert len(list(kept)) == 2
    assert fresh.passes == 2
