"""The answer with the gate of a single channel held, and the images that open or close it most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Unpack

import torch
from torch import Tensor

from seviz.collect.fast import few_threads, full_float32, keeping_memory
from seviz.collect.input_fit import check_input
from seviz.collect.meet import Data, Network
from seviz.collect.options import PassOptions, require_whole
from seviz.collect.placing import in_its_place
from seviz.collect.prepare import prepare
from seviz.collect.prepared import Prepared, Progress
from seviz.data import KeptBatches, Source
from seviz.data.loaders import Loading
from seviz.errors import UsageError
from seviz.gates import trace
from seviz.pruning.ablation.study import Gates, Study
from seviz.results.channels import MEAN, WAYS, ChannelEffects, ChannelImage, HeldChannel
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
    bar = progress(batches.total) if progress is not None else nullcontext()
    extremes = _Extremes(channels[0], images) if channels and images else None
    with (
        in_its_place(ready.loaded),
        bar as on_batch,
        few_threads(),
        keeping_memory(),
        full_float32(ready.device),
    ):
        ready.loaded.model.to(ready.device)
        study = Study(ready, traced, batches, on_batch)
        changes = study.channels(numbers, extremes.look if extremes is not None else None)
    counted = zip(held, changes.lost, changes.won, strict=True)
    return ChannelEffects(
        images=changes.images if held else 0,
        right=changes.right,
        held=tuple(HeldChannel(*which, lost, won) for which, lost, won in counted),
        largest=extremes.named(ready, largest=True) if extremes is not None else (),
        smallest=extremes.named(ready, largest=False) if extremes is not None else (),
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
        self._most = most
        self._seen: dict[bool, list[tuple[float, int, int]]] = {True: [], False: []}

    def look(self, indices: Tensor, gates: Gates, rows: Tensor) -> None:
        """Take the gates of one batch."""
        own = gates[self._block][: len(rows), self._channel].float()
        count = min(self._most, len(own))
        for largest, kept in self._seen.items():
            values, places = torch.topk(own, count, largest=largest)
            places = places.cpu()
            numbers = (values, indices[places], rows.cpu()[places])
            kept.extend(zip(*(n.tolist() for n in numbers), strict=True))
            # Of equal gates the image that comes first.
            kept.sort(key=lambda one: (-one[0] if largest else one[0], one[1]))
            del kept[self._most :]

    def named(self, ready: Prepared, *, largest: bool) -> tuple[ChannelImage, ...]:
        """Return them with the names of the images."""
        source, labels = ready.source, ready.match.table.labels
        return tuple(
            ChannelImage(
                source.image_name(index) if isinstance(source, Source) else f"image {index}",
                labels[row],
                gate,
            )
            for gate, index, row in self._seen[largest]
        )
