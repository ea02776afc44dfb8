"""What a network answers to a few images with some of their gates held at numbers that are not their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seviz.gates import Trace, TracedBlock
from seviz.gates.rerun import Rerun
from seviz.gates.sites import Gates, Scaling, Sites

# What later passes begin with may take so many bytes; beyond, every pass is a whole one.
MOST_BYTES = 2**30
# Of what is in use at a gate there are about so many tensors of the size of its map: branch, shortcut, and
# what either is made of.
_KEPT = 3
# Networks may take another way through a batch of one. So both numbers that a gate is held at go at once.
TWICE = 2


class Holding:
    """Runs one batch again and again, each time with other gates held.

    What comes before a held gate is as in the undisturbed pass, and is not computed again where what it
    leaves fits into a gigabyte. Maps that are weighed apart are set in whole passes.

    Args:
        model: The network.
        traced: What was found in it.
        blocks: The blocks that may be held.
        sites: The same blocks, for whole passes.
        images: A batch on the network's device, as large as any that is to come.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        traced: Trace,
        blocks: Sequence[TracedBlock],
        sites: Sites,
        images: Tensor,
    ) -> None:
        self._sites, self._images = sites, images
        quick = [t for t in blocks if len(t.sites) == 1]
        self._rerun, self._quick = None, frozenset[str]()
        self._names = frozenset(t.block.name for t in blocks)
        if quick and len(images) * sum(map(_bytes, quick)) <= MOST_BYTES:
            self._quick = frozenset(t.block.name for t in quick)
            self._rerun = Rerun(model, replace(traced, blocks=tuple(quick)), images)

    def begin(self, images: Tensor) -> None:
        """Take another batch."""
        self._images = images
        if self._rerun is not None:
            self._rerun.baseline(images)

    def read(self, images: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """Take another batch, and return the network's output and the gates [N, C] of each block."""
        if self._rerun is not None and self._quick == self._names:
            self._images = images
            return self._rerun.baseline(images)
        self.begin(images)
        parts: dict[str, dict[int, Tensor]] = {name: {} for name in self._names}

        def look(scaling: Scaling) -> None:
            parts[scaling.block][scaling.columns.start or 0] = scaling.gates.clone()

        output = self._sites.run(images, look)
        gates = {n: torch.cat([own[i] for i in sorted(own)], 1) for n, own in parts.items()}
        return output, gates

    def answer(self, gates: Gates) -> Tensor:
        """Return the network's output [N, outputs] with gates [N, C] (or [C] for all) held, by block name."""
        if self._rerun is not None and self._quick.issuperset(gates):
            return self._rerun.replaced(gates)
        output: Tensor = self._sites.run(self._images, gates=gates)
        return output


def images_at_once(blocks: Sequence[TracedBlock], most: int) -> int:
    """Return how many images a batch may have, so that no pass need be a whole one: two at least."""
    each = sum(_bytes(t) for t in blocks if len(t.sites) == 1)
    return max(TWICE, min(most, MOST_BYTES // max(each, 1)))


def _bytes(traced: TracedBlock) -> int:
    """Return how much one image leaves at a block for later passes to begin with."""
    block = traced.block
    return 4 * _KEPT * block.channels * math.prod(block.spatial or (1,))


def both(each: Mapping[str, Mapping[str, Tensor]]) -> tuple[list[str], dict[str, Tensor]]:
    """Return the ways in which gates are held, and the gates of a batch that holds an image for each.

    Args:
        each: By block, the gates [C] by what they are held at; one way or two.

    >>> both({"SE_2_1": {"mean": torch.zeros(3), "neutral": torch.ones(3)}})[1]["SE_2_1"].shape
    torch.Size([2, 3])
    """
    ways = list(next(iter(each.values())))
    wanted = (ways * TWICE)[:TWICE]
    return ways, {n: torch.stack([gates[way] for way in wanted]) for n, gates in each.items()}
