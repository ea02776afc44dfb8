"""What a network answers to one image with some of its gates held at fixed numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seviz.gates import Trace, TracedBlock
from seviz.gates.rerun import Rerun
from seviz.gates.sites import Gates, Sites

# What later passes begin with may take so many bytes; beyond, every pass is a whole one.
MOST_BYTES = 2**30
# Of what is in use at a gate there are about so many tensors of the size of its map: branch, shortcut, and
# what either is made of.
_KEPT = 3
# Networks may take another way through a batch of one. So both numbers that a gate is held at go at once.
TWICE = 2


class Holding:
    """Runs one image again and again, each time with other gates held.

    What comes before a held gate is as in the undisturbed pass, and is not computed again where what it
    leaves fits into a gigabyte. Maps that are weighed apart are set in whole passes.

    Args:
        model: The network.
        traced: What was found in it.
        blocks: The blocks that may be held.
        sites: The same blocks, for whole passes.
        images: The image, twice, on the network's device.
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
        self._rerun = None
        if quick and sum(map(_bytes, quick)) <= MOST_BYTES:
            self._quick = {t.block.name for t in quick}
            self._rerun = Rerun(model, replace(traced, blocks=tuple(quick)), images)

    def begin(self, images: Tensor) -> None:
        """Take another image, twice in a batch."""
        self._images = images
        if self._rerun is not None:
            self._rerun.baseline(images)

    def answer(self, gates: Gates) -> Tensor:
        """Return the network's output [2, outputs] with gates [2, C] held, by block name."""
        if self._rerun is not None and self._quick.issuperset(gates):
            return self._rerun.replaced(gates)
        output: Tensor = self._sites.run(self._images, gates=gates)
        return output


def _bytes(traced: TracedBlock) -> int:
    block = traced.block
    return 4 * TWICE * _KEPT * block.channels * math.prod(block.spatial or (1,))


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
