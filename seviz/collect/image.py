"""What SE does to single images: gates, maps, and the answer with gates held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seviz.collect.cache_key import library_versions
from seviz.collect.fast import full_float32
from seviz.collect.forward import resolve_device
from seviz.collect.holding import TWICE, Holding
from seviz.collect.looking import Looking, References
from seviz.collect.meet import Network
from seviz.collect.options import PassOptions
from seviz.collect.pictures import Seen, opened
from seviz.collect.placing import in_its_place
from seviz.collect.prepare import class_table
from seviz.data.base import Source
from seviz.errors import DataError, DeviceError, UsageError
from seviz.gates import trace
from seviz.gates.sites import Sites
from seviz.networks import LoadedModel
from seviz.networks.formats.output_step import output_step
from seviz.networks.given import as_loaded
from seviz.results.blocks import GateBlock, select_blocks
from seviz.results.image import (
    MEAN,
    NEUTRAL,
    ImageExplanation,
    neutral,
)
from seviz.results.record import Record

# Channels turned up, and as many turned down, whose maps are kept.
CHANNELS = 3


def explain_image(
    network: Network,
    images: Any,
    *,
    record: Record | str | Path | None = None,
    data: str | Path | Source | None = None,
    channels: int = CHANNELS,
    blocks: Sequence[str] = ("all",),
    options: PassOptions | None = None,
) -> ImageExplanation:
    """Return what SE does to one image, or to several, block by block.

    For each block its gates against their means over all images, the channels that are turned up and down
    most with their maps before and after the scale, and what the network would answer with this block's
    gates held at fixed numbers; and with all blocks held. What is kept are a few maps of each block, so
    that large images and many channels need no more memory than the network itself.

    Args:
        network: Any module, or what `seviz.load` gave or takes.
        images: One image or a list: files, pictures of Pillow's, arrays uint8 [H, W] or [H, W, 3], which
            are prepared as in a pass; or tensors [C, H, W] (or a batch of them) as the network gets them.
            With ``data``, names or positions of images in it.
        record: A record of this network: gates are measured against their means over its images, and held
            at them. Without it against 1, which leaves a map as it is (against an equal part, where maps
            share 1 between them).
        data: A source of images, as ``--data`` names it.
        channels: How many channels turned up, and how many turned down, to keep maps of.
        blocks: Names, stages, or ``["all"]``.
        options: ``device`` and ``mechanism`` are taken from here.

    Raises:
        NoSEBlockError: If the network has no such block.
        DataError: If an image cannot be read, or the record is of another network.
        CheckpointError: If the network does not run on such images.
        UsageError: If an argument is not understood.

    >>> import seviz
    >>> network = seviz.load(seviz.sample("se_resnet_digits"))
    >>> found = seviz.explain_image(network, "digits/test/17", data="digits")
    >>> found.images[0].top[0].label, len(found.images[0].blocks)
    ('3', 6)
    """
    options = options or PassOptions()
    if channels < 1:
        raise UsageError(f"expected channels as at least 1, found {channels}; 3 is usual")
    loaded = as_loaded(network)
    seen = list(opened(images, loaded, data))
    size = _one_size(seen)
    device = resolve_device(options.device)
    traced = trace(loaded.model, size, options.mechanism)
    traced.found.require_se()
    classes, notes = class_table(loaded, traced.found)
    if isinstance(record, str | Path):
        record = Record.load(record)
    chosen = select_blocks(traced.found.blocks, blocks)
    notes = (*loaded.notes, *notes)
    if record is not None:
        chosen, more = _recorded(record, loaded, chosen)
        notes += more
    names = {b.name for b in chosen}
    with in_its_place(loaded), full_float32(device):
        loaded.model.to(device)
        own = [t for t in traced.blocks if t.block.name in names]
        sites = Sites(loaded.model, own)
        try:
            looking = Looking(
                sites, References(record, chosen), classes, channels, output_step(loaded.model)
            )
            holding: Holding | None = None
            explained = []
            for one in seen:
                images = torch.stack([one.tensor] * TWICE).to(device)
                found = looking.explain(one, images)
                if found.top:
                    holding = holding or Holding(loaded.model, traced, own, sites, images)
                    found = looking.with_held(found, holding, images)
                explained.append(found)
        except torch.OutOfMemoryError as exc:
            raise DeviceError(
                f"expected enough memory on {device} for an image of {'x'.join(map(str, size))}, found it "
                "exhausted; give a smaller --input-size, or --device cpu"
            ) from exc
    return ImageExplanation(
        checkpoint=loaded.name,
        checkpoint_sha256=loaded.sha256,
        architecture=loaded.architecture,
        input_size=size,
        images=tuple(explained),
        reference=NEUTRAL if record is None else MEAN,
        against=_against(record, chosen),
        recorded=0 if record is None else int(record.count.sum()),
        notes=tuple(dict.fromkeys(notes)),
        versions=library_versions(),
    )


def _one_size(seen: Sequence[Seen]) -> tuple[int, ...]:
    sizes = list(dict.fromkeys(tuple(s.tensor.shape) for s in seen))
    if len(sizes) > 1:
        listed = ", ".join("x".join(map(str, size)) for size in sizes[:3])
        raise UsageError(f"expected images of one size, found {listed}; explain them one by one")
    return sizes[0]


def require_record_of(record: Record, loaded: LoadedModel) -> None:
    """Refuse a record of another network.

    Raises:
        DataError: If it is of other weights.
    """
    if record.header.checkpoint_sha256 != loaded.sha256:
        raise DataError(
            f"expected a record of {loaded.name}, found one of {record.header.checkpoint} with other "
            "weights; collect one of this network, or leave it out"
        )


def _recorded(
    record: Record, loaded: LoadedModel, chosen: Sequence[GateBlock]
) -> tuple[list[GateBlock], tuple[str, ...]]:
    """Return the blocks that a record knows, and what a reader should know of it.

    Raises:
        DataError: If it is of another network, or knows none of the blocks.
    """
    require_record_of(record, loaded)
    widths = {b.name: b.channels for b in record.blocks}
    known = [b for b in chosen if widths.get(b.name) == b.channels]
    if not known or not record.count.any():
        raise DataError(
            f"expected a record with the gates of {chosen[0].name} ... {chosen[-1].name}, found "
            f"{', '.join(widths) or 'none'}; collect it again, or leave it out"
        )
    notes = []
    if len(known) < len(chosen):
        notes.append(f"left out, not in the record: {len(chosen) - len(known)} blocks")
    if record.header.preprocessing != loaded.preprocessing:
        notes.append("the images of the record were prepared in another way than these")
    return known, tuple(notes)


def _against(record: Record | None, blocks: Sequence[GateBlock]) -> str:
    if record is not None:
        header = record.header
        where = f"{header.source} {header.split}".rstrip()
        return f"the mean gate over {int(record.count.sum()):,} images of {where}"
    parts = sorted({neutral(b) for b in blocks}, reverse=True)
    if parts == [1.0]:
        return "1, which leaves a map as it is"
    return "an equal share of all maps" if 1.0 not in parts else "1, or an equal share of all maps"
