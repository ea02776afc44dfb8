"""One channel, or all: a record joined with the network and the images that it is of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Unpack

from seviz.analysis.channel import ChannelView, view_channel
from seviz.analysis.channels import ChannelRanking, rank_channels
from seviz.collect.image import require_record_of
from seviz.collect.meet import Data, Network
from seviz.collect.options import PassOptions
from seviz.collect.prepared import Progress
from seviz.data.loaders import Loading
from seviz.data.recorded import images_of
from seviz.errors import UsageError
from seviz.gates import trace
from seviz.networks import LoadedModel
from seviz.networks.given import as_loaded
from seviz.pruning.around import around
from seviz.pruning.channels import hold_channels
from seviz.results.blocks import select_blocks
from seviz.results.channels import WAYS, Around, find_channel
from seviz.results.record import Record
from seviz.results.stats import Array


def channel(
    record: Record | str | Path,
    name: str,
    network: Network | None = None,
    data: Data | None = None,
    options: PassOptions | None = None,
    *,
    progress: Progress | None = None,
    **loading: Unpack[Loading],
) -> ChannelView:
    """Return what is known of one channel: classes, images, companions; its weights and its effect.

    Args:
        record: A record, or its file or folder.
        name: Block and index: ``SE_4_3:243``.
        network: The network of the record: how much of the next layer's weight hangs on the channel.
        data: Images. With the network all of them are seen: those that open and close the channel most,
            and what answers do with its gate held at its mean, and at 0. Without it they give the names of
            the images in the record's sample.
        options: How the pass is made.
        progress: As for `seviz.ablate`.
        loading: Of batches: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Raises:
        UsageError: If there is no such channel.
        DataError: If the record is of another network, or of other images.

    >>> import seviz
    >>> record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits")
    >>> view = seviz.channel(record, "SE_4_2:29")
    >>> view.classes[0].name, view.classes[-1].name
    ('6', '7')
    """
    opened = record if isinstance(record, Record) else Record.load(record)
    block, index = find_channel(opened.blocks, name)
    if network is None:
        return view_channel(opened, name, name_of=_names(opened, data, options))
    loaded = _network_of(opened, network)
    effects = None
    if data is not None:
        effects = hold_channels(
            loaded,
            data,
            [(block.name, index)],
            _means(opened, [block.name]),
            options,
            ways=WAYS,
            progress=progress,
            **loading,
        )
    near = _around(opened, loaded, options).get(block.name)
    return view_channel(opened, name, around=near, effects=effects)


def channels(
    record: Record | str | Path,
    network: Network | None = None,
    data: Data | None = None,
    options: PassOptions | None = None,
    *,
    blocks: Sequence[str] = ("all",),
    ablate: Literal["", "mean", "zero"] = "",
    progress: Progress | None = None,
    **loading: Unpack[Loading],
) -> ChannelRanking:
    """Rank the channels of each block by mean gate times the norm of the weights that read them.

    Args:
        record: A record, or its file or folder.
        network: The network of the record; without it the mean gate alone ranks.
        data: Images, where single channels are to be held.
        options: How the pass is made.
        blocks: Names, stages, or ``["all"]``.
        ablate: Hold the gate of one channel after the other at its ``mean``, or at ``zero``, and count
            answers; a pass for each channel over what comes after it.
        progress: As for `seviz.ablate`.
        loading: Of batches: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Raises:
        UsageError: If there is no such block, or channels are to be held without network and images.
        DataError: If the record is of another network.

    >>> import seviz
    >>> network = seviz.load(seviz.sample("se_resnet_digits"))
    >>> ranking = seviz.channels(seviz.collect(network, "digits"), network)
    >>> [c.channel for c in ranking.blocks["SE_4_2"][:3]]
    [12, 43, 6]
    """
    opened = record if isinstance(record, Record) else Record.load(record)
    chosen = select_blocks(opened.blocks, blocks)
    if ablate not in ("", *WAYS):
        raise UsageError(f"expected ablate as mean or zero, found {ablate!r}; give one of them")
    if ablate and (network is None or data is None):
        missing = "no network" if network is None else "no images"
        raise UsageError(
            f"expected a network and images to hold channels in, found {missing}; give both"
        )
    if network is None:
        return rank_channels(opened, blocks=chosen)
    loaded = _network_of(opened, network)
    near = _around(opened, loaded, options)
    effects = None
    if ablate:
        effects = hold_channels(
            loaded,
            data,
            [(b.name, c) for b in chosen for c in range(b.channels)],
            _means(opened, [b.name for b in chosen]),
            options,
            ways=(ablate,),
            images=0,
            progress=progress,
            **loading,
        )
    return rank_channels(opened, near, effects, held=ablate, blocks=chosen)


def _network_of(record: Record, network: Network) -> LoadedModel:
    loaded = as_loaded(network)
    require_record_of(record, loaded)
    return loaded


def _around(record: Record, loaded: LoadedModel, options: PassOptions | None) -> dict[str, Around]:
    """Return what is around the blocks of a record, of whatever kinds they are."""
    kinds = record.mechanisms
    mechanism = (options or PassOptions()).mechanism
    if len(kinds) == 1:
        mechanism = kinds[0]
    elif len(kinds) > 1:
        mechanism = "all"
    size = record.header.preprocessing.input_size
    return around(loaded.model, trace(loaded.model, size, mechanism))


def _means(record: Record, names: Sequence[str]) -> dict[str, Array]:
    images = record.count.sum()
    return {name: record.stats(name).sum.sum(axis=0) / images for name in names}


def _names(
    record: Record, data: Data | None, options: PassOptions | None
) -> Callable[[int], str] | None:
    """Return what gives the names of a record's images.

    Raises:
        DataError: If the images are not those of the record.
    """
    if data is None:
        return None
    return images_of(record, data, (options or PassOptions()).split).image_name
