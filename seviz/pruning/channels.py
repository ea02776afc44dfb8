"""The answer with the gate of a single channel held, and the images that open or close it most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from seviz.collect.input_fit import check_input
from seviz.collect.meet import Data, Network
from seviz.collect.options import PassOptions, require_whole
from seviz.collect.prepare import prepare
from seviz.collect.prepared import Prepared, Progress
from seviz.data import KeptBatches, Source
from seviz.data.loaders import Loading
from seviz.errors import UsageError
from seviz.gates import trace
from seviz.pruning.ablation.study import Gates, studying
from seviz.results.channels import (
    APART,
    MEAN,
    WAYS,
    ChannelEffects,
    ChannelImage,
    HeldChannel,
    SharedGate,
)
from seviz.results.stats import Array

# Images with the largest, and with the smallest gate, that are named.
IMAGES = 8


def hold_channels(
    network: Network,
    data: Data,
    channels: Sequence[tuple[str, int]],
    means: Mapping[str, Array],
    options: PassOptions | None = None,
    *,
    ways: Sequence[str] = WAYS,
    images: int = IMAGES,
    progress: Progress | None = None,
    **loading: Unpack[Loading],
) -> ChannelEffects:
    """Hold the gate of one channel after the other, and count the images that change sides.

    One pass over the images; of each channel only what comes after its block is computed again.

    Args:
        network: Any module, or what `seviz.load` gave or takes.
        data: What ``--data`` takes, or batches of your own, as for `seviz.collect`.
        channels: Block and index of each.
        means: Mean gates of the blocks over all images, [C] by block name.
        options: How the pass is made.
        ways: Hold each at its ``mean``, at ``zero``, or at one after the other.
        images: How many images with the largest and the smallest gate of the first channel to name.
        progress: Given the number of images, as for `seviz.ablate`.
        loading: Of batches: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Ctrl-C ends it after the current batch: the result is of the images seen so far, marked as partial.

    Raises:
        UsageError: If a block is not in the network.
        NoSEBlockError: If the network has no such block at all.
        CheckpointError: If the network does not run on such images.
        DataError: If there are no images, or their classes are not the network's.
    """
    options = options or PassOptions()
    require_whole(options)
    ready = prepare(network, data, replace(options, require_se=True), loading)
    ready.require_scored()
    widths = {b.name: b.channels for b in ready.blocks}
    for block, channel in channels:
        if not 0 <= channel < widths.get(block, 0):
            raise UsageError(
                f"expected channels of this network's blocks, found {block}:{channel}; give a record of the "
                "same network"
            )
    held = [(block, channel, way) for block, channel in channels for way in ways]
    numbers = [
        (block, channel, float(means[block][channel]) if way == MEAN else 0.0)
        for block, channel, way in held
    ]
    check_input(ready)
    traced = trace(ready.loaded.model, ready.example, options.mechanism)
    batches = KeptBatches(ready.batches())
    extremes = _Extremes(channels[0], images) if channels and images else None
    with studying(ready, traced, batches, progress) as study:
        changes = study.channels(numbers, extremes.look if extremes is not None else None)
    counted = zip(held, changes.lost, changes.won, strict=True)
    return ChannelEffects(
        images=changes.images if held else 0,
        right=changes.right,
        held=tuple(HeldChannel(*which, lost, won) for which, lost, won in counted),
        largest=extremes.named(ready, largest=True) if extremes is not None else (),
        smallest=extremes.named(ready, largest=False) if extremes is not None else (),
        largest_shared=extremes.shared(largest=True) if extremes is not None else None,
        smallest_shared=extremes.shared(largest=False) if extremes is not None else None,
        source=f"{ready.source.name} {ready.source.split}".rstrip(),
        skipped=tuple(batches.source.skipped),
        partial=study.partial,
    )


class _Extremes:
    """The images with the largest and the smallest gate of one channel so far.

    Args:
        channel: Block and index.
        most: How many of each.
    """

    def __init__(self, channel: tuple[str, int], most: int) -> None:
        self._block, self._channel = channel
        self._ends = {True: _End(most, sign=-1), False: _End(most, sign=1)}

    def look(self, indices: Tensor, gates: Gates, rows: Tensor) -> None:
        """Take the gates of one batch."""
        own = gates[self._block][: len(rows), self._channel].float().cpu().double()
        for end in self._ends.values():
            end.look(indices, own, rows.cpu())

    def shared(self, *, largest: bool) -> SharedGate | None:
        """Return the images that share a gate and would not all be named."""
        return self._ends[largest].shared

    def named(self, ready: Prepared, *, largest: bool) -> tuple[ChannelImage, ...]:
        """Return the others with their names."""
        source, labels = ready.source, ready.match.table.labels
        return tuple(
            ChannelImage(
                source.image_name(index) if isinstance(source, Source) else f"image {index}",
                labels[row],
                gate,
            )
            for index, gate, row in self._ends[largest].alone
        )


class _Kept(NamedTuple):
    """An image: where its gate is in the order, and what it is."""

    rank: int
    position: int
    gate: float
    row: int


class _End:
    """The images at one end, and how many share the gate of the last of them.

    Args:
        most: How many.
        sign: 1 for the smallest gates, -1 for the largest.
    """

    def __init__(self, most: int, sign: int) -> None:
        self._most, self._sign = most, sign
        self._kept: list[_Kept] = []
        # Images whose gate is that of the last one kept, among all that were seen.
        self._alike = 0

    def look(self, indices: Tensor, gates: Tensor, rows: Tensor) -> None:
        """Take one batch."""
        ranks = (gates / APART).round().long() * self._sign
        places = torch.topk(ranks, min(self._most, len(ranks)), largest=False).indices
        new = zip(*(t[places].tolist() for t in (ranks, indices, gates, rows)), strict=True)
        before = self._kept
        self._kept = sorted([*before, *(_Kept(*one) for one in new)])[: self._most]
        last = self._kept[-1].rank
        # Whatever is nearer to the end than the last one was, is kept.
        same = bool(before) and before[-1].rank == last
        seen = self._alike if same else sum(one.rank == last for one in before)
        self._alike = seen + int((ranks == last).sum())

    @property
    def shared(self) -> SharedGate | None:
        """Return the images that share a gate, and that are more than have a place here."""
        last = self._kept[-1] if self._kept else None
        if last is None or self._alike == sum(one.rank == last.rank for one in self._kept):
            return None
        return SharedGate(self._alike, last.gate)

    @property
    def alone(self) -> list[tuple[int, float, int]]:
        """Return index, gate and row of the images without these, the furthest first."""
        cut = None if self.shared is None else self._kept[-1].rank
        return [(one.position, one.gate, one.row) for one in self._kept if one.rank != cut]
