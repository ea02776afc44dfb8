"""What a pass over a data set needs, got ready and checked before the first image is read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from seviz.collect.cache_key import digest, dtype_name, network_request, runs_versioned_code
from seviz.collect.distributed import launched
from seviz.collect.fast import Choice, Reduced, Speed, reduced, slower_here
from seviz.collect.observers import resolve_device
from seviz.collect.stream_classes import match_stream
from seviz.collect.streaming import (
    Stream,
    StreamBatches,
    meeting,
    open_stream,
    require_no_split,
)
from seviz.data import Batches, Match, Source, make_batches, match_classes, open_source
from seviz.data.loaders import Loader, Loading, usual_batch
from seviz.data.numbering import numbered_folders
from seviz.errors import CheckpointError, DataError, UsageError
from seviz.gates import Example, Found, trace
from seviz.gates.graph import Graph
from seviz.networks import LoadedModel
from seviz.networks.given import IN_MEMORY, as_loaded
from seviz.networks.imagenet import imagenet_classes
from seviz.results.blocks import WITHOUT_SQUEEZE, GateBlock, select_blocks
from seviz.results.classes import ClassTable

Progress = Callable[[int], AbstractContextManager[Callable[[int], Any]]]
# A network in any form, images in any form, and what a pass makes of them.
Network = nn.Module | LoadedModel | str | Path
Data = Any
AnyBatches = Batches | StreamBatches
Labels = Literal["model", "data", "sorted", "natural"]
# Trying faster ways costs a batch or two and a fraction of a second. A pass of so many batches and numbers
# (27 images of 224 x 224, 1,400 of 32 x 32) pays it back.
_LEAST_BATCHES, _LEAST_NUMBERS = 8, 2**22


@dataclass(frozen=True)
class PassOptions:
    """How a pass is made.

    Attributes:
        split: Part of the source; its test or validation part by default.
        batch_size: Images per batch; chosen by image size where it is ``None``.
        workers: Processes that decode images; chosen by the source where it is ``None``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        amp_dtype: ``float16`` or ``bfloat16`` for automatic mixed precision, ``tf32`` for TensorFloat-32 on a
            GPU, ``None`` for neither.
        num_samples: At most that many images of each class.
        strict: Whether an image that cannot be read is an error.
        labels: ``model`` matches folders to the network's classes; ``data`` makes each folder a class;
            ``sorted`` takes the folders in sorted order for the network's outputs, as ImageFolder
            numbers them; ``natural`` in the order in which timm does (``c2`` before ``c10``).
        download: Whether the data set may be fetched.
        mechanism: Kind of gates to read: ``se``, ``eca``, ``cbam``, ..., ``all``, as for `seviz.find`.
        without_squeeze: Read the spatial means of per-pixel gates instead of SE gates.
        require_se: Whether a network without such gates is an error; else its predictions alone are
            recorded.
        blocks: Names (``SE_4_6``) or stages (``SE_4``) of the blocks to read; none for all.
        predictions: Whether to record predictions; without them each pass ends at the last gate.
        shard: Which part of the images, from 1, and of how many: for jobs that know nothing of each other,
            whose records `seviz.merge` adds up.
        fast: Whether a long pass may run on a faster copy of the network, if that gives the same gates and
            answers for the first batch.
        torchcompile: Compile the network first.
    """

    split: str | None = None
    batch_size: int | None = None
    workers: int | None = None
    device: str = "auto"
    amp_dtype: str | None = None
    num_samples: int | None = None
    strict: bool = False
    labels: Labels = "model"
    download: bool = False
    mechanism: str = "se"
    without_squeeze: bool = False
    require_se: bool = True
    blocks: tuple[str, ...] = ()
    predictions: bool = True
    shard: tuple[int, int] | None = None
    fast: bool = True
    torchcompile: bool = False


@dataclass(frozen=True)
class PassPlan:
    """What a pass will give, known before the first image.

    Attributes:
        blocks: The blocks that will be read.
        classes: The classes that have images.
        network_classes: All classes of the network, where they are known.
        scored: Whether the classes are the network's, so that predictions are scored.
        missing: Classes of the network that have no images.
        extra: Folders of the data that are no class of the network.
    """

    blocks: tuple[GateBlock, ...]
    classes: ClassTable
    network_classes: ClassTable | None
    scored: bool = False
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A network and images that are ready to meet.

    Attributes:
        loaded: The network.
        options: How the pass is made.
        device: Where to compute.
        reduced: The shorter type to compute in, or ``None`` for the network's own.
        found: What was found in the network.
        blocks: The blocks that will be read.
        source: Where the images come from.
        classes: All classes of the network, where they are known.
        match: How its folders and those classes go together.
        notes: Remarks on the classes.
        graph: The recorded pass, by images of the size that will come.
    """

    loaded: LoadedModel
    options: PassOptions
    device: torch.device
    reduced: Reduced | None
    found: Found
    blocks: tuple[GateBlock, ...]
    source: Source | Stream
    classes: ClassTable | None
    match: Match
    notes: tuple[str, ...]
    graph: Graph

    @property
    def example(self) -> Example:
        """Return what the network is traced with."""
        if isinstance(self.source, Stream):
            return self.source.example
        return self.loaded.preprocessing.input_size

    @property
    def scored(self) -> bool:
        """Return whether predictions are wanted, and the classes are the network's."""
        known = self.match.is_model and self.found.outputs is not None
        return self.options.predictions and known

    @property
    def targets(self) -> list[int]:
        """Return the output of the network that stands for each row, where predictions are scored."""
        return [c.index for c in self.match.table.classes]

    @property
    def dtype(self) -> str:
        """Return the floating-point type of the pass, as in a record's header."""
        return dtype_name(self.loaded, self.options.amp_dtype)

    @property
    def plan(self) -> PassPlan:
        """Return what the pass will give."""
        match = self.match
        return PassPlan(
            self.blocks, match.table, self.classes, self.scored, match.missing, match.extra
        )

    def require_scored(self) -> None:
        """Raise unless predictions can be scored.

        Raises:
            UsageError: If they are not wanted.
            DataError: If the network's classes are not known, or not those of the folders.
        """
        if not self.options.predictions:
            raise UsageError(
                "expected predictions to be wanted, found that they are left out; leave out --no-predictions"
            )
        if not self.source.labelled:
            raise DataError(
                f"expected labels to score predictions with, found none in {self.source.name}; give images "
                "in a folder for each class, or batches of images and labels"
            )
        if self.found.heads:
            raise DataError(
                f"expected one output of scores, found {', '.join(self.found.heads)}; take one of them with "
                "--head"
            )
        if not self.scored:
            raise DataError(
                "expected class names to score predictions with, found none that are the network's "
                f"({', '.join(self.match.table.labels[:5])} are the folders); give --labels sorted if the "
                "network's outputs are the folders in sorted order, or a checkpoint that names its classes"
            )

    @cached_property
    def request(self) -> dict[str, Any]:
        """Return everything that the numbers depend on, as names and JSON values."""
        return {
            **network_request(self.loaded),
            "data": self.source.name,
            "data: split": self.source.split,
            "images (sha256 of names, sizes, times)": self.batches().fingerprint(times=True),
            "classes": self.match.table.labels,
            "--labels": self.options.labels,
            "--num-samples": self.options.num_samples,
            "blocks": [b.name for b in self.blocks],
            "dtype": self.dtype,
            "predictions": self.scored,
            "--no-fast": not self.options.fast,
            "--torchcompile": self.options.torchcompile,
            **({"--shard": self.options.shard} if self.options.shard else {}),
        }

    @property
    def whole_digest(self) -> str:
        """Return the hash of what all parts of a pass share; copies of the files have other times."""
        told = {n: v for n, v in self.request.items() if n != "--shard" and "times" not in n}
        return digest({**told, "images": self.batches().fingerprint(times=False)})

    @property
    def request_digest(self) -> str:
        """Return the hash of the request; empty if the network runs code whose version nobody knows."""
        source = self.source
        told = (
            source.is_told_apart if isinstance(source, Stream) else runs_versioned_code(self.loaded)
        )
        return digest(self.request) if told else ""

    def batches(self, *, seed: int | None = None, processes: int = 1) -> AnyBatches:
        """Return the images in batches.

        Args:
            seed: Take them in the random order that it gives; by default as the source has them.
            processes: Passes that share this machine's processors.

        Raises:
            DataError: If there are no images.
        """
        options = self.options
        if isinstance(self.source, Stream):
            return StreamBatches(
                self.source, self.match, self.loaded, num_samples=options.num_samples, seed=seed
            )
        size = self.loaded.preprocessing.input_size
        return make_batches(
            self.source,
            self.match,
            self.loaded.preprocessing,
            batch_size=(
                usual_batch(size, gpu=self.device.type == "cuda", images=len(self.source))
                if options.batch_size is None
                else options.batch_size
            ),
            workers=options.workers,
            num_samples=options.num_samples,
            strict=options.strict,
            pin_memory=self.device.type == "cuda",
            seed=seed,
            processes=processes,
        )

    def share(self, batches: AnyBatches) -> range:
        """Return the positions of the images of this part; all of them where there is one part alone.

        Raises:
            UsageError: If there is no such part, or there are fewer batches than parts.
        """
        if self.options.shard is None:
            return batches.share(0, 1)
        number, of = self.options.shard
        if not 1 <= number <= of:
            raise UsageError(
                f"expected --shard i/n with i from 1 to n, found {number}/{of}; give for example 1/2"
            )
        found = batches.share(number - 1, of)
        if not len(found):
            raise UsageError(
                f"expected at most {batches.steps} shards, one batch each at least, found {of}; use "
                "fewer, or a smaller --batch-size"
            )
        return found

    def speed(self, batches: AnyBatches, choice: Choice) -> Speed:
        """Return what may be done for speed in a pass over these batches.

        Args:
            batches: All images of the pass, whoever computes them.
            choice: What an earlier part of the pass chose; takes what is chosen now.
        """
        options = self.options
        numbers = batches.total * math.prod(self.loaded.preprocessing.input_size)
        # A loader that does not know its length is a long one: nobody streams a few images.
        steps = batches.steps
        long = steps is None or (steps >= _LEAST_BATCHES and numbers >= _LEAST_NUMBERS)
        return Speed(
            fast=options.fast and (long or options.torchcompile),
            compiled=options.torchcompile,
            outputs=options.predictions,
            graph=self.graph,
            choice=choice,
        )


def met(
    network: Network, data: Data | None, options: PassOptions, loading: Loading | None = None
) -> tuple[LoadedModel, Source | Stream | None, PassOptions]:
    """Return a network, the images that it is to meet, and how, whatever they were given as.

    Args:
        network: A module, what `seviz.load` gave, or what it takes.
        data: What `seviz.data.sources.open_source` takes, a source, or a loader of the user's.
        options: How the pass is made.
        loading: Fields of `seviz.Loader` that the user gave beside a loader.

    Raises:
        SevizError: As `seviz.load` and `prepare` do.
    """
    loaded = as_loaded(network)
    if loaded.format == IN_MEMORY and options.device == "auto":
        # The user has it where they want it.
        options = replace(options, device=str(_where(loaded)))
    wanted: dict[str, Any] = {n: v for n, v in (loading or {}).items() if v is not None}
    asked = data
    if isinstance(data, str | Path):
        data = open_source(str(data), split=options.split, download=options.download)
    if data is None or isinstance(data, Source | Stream):
        if wanted and not isinstance(data, Stream):
            found = "no data" if data is None else data.name
            raise UsageError(
                f"expected {', '.join(wanted)} with a loader, found {found}; leave them out"
            )
        return loaded, data, options
    if not isinstance(asked, str | Path):  # a function that the user names may take it
        require_no_split(options.split)
    loader = data if isinstance(data, Loader) else Loader(data)
    _require_distinct(wanted.get("classes") or loader.classes or ())
    stream = open_stream(
        loaded,
        replace(loader, **wanted),
        batch_size=options.batch_size,
        workers=options.workers or 0,
    )
    return meeting(loaded, stream), stream, options


def _require_distinct(classes: Sequence[str]) -> None:
    """Refuse classes of one name.

    Raises:
        UsageError: If there are two.
    """
    twice = [name for name, times in Counter(map(str, classes)).items() if times > 1]
    if twice:
        raise UsageError(
            f"expected a name of its own for each class, found {twice[0]!r} for several; tell them apart"
        )


def prepare(
    network: Network,
    data: Data,
    options: PassOptions,
    loading: Loading | None = None,
) -> Prepared:
    """Find the blocks, open the images, and match their classes.

    Args:
        network: The network: from `seviz.load`, or any module.
        data: What `seviz.data.sources.open_source` takes, a source, or a loader of the user's.
        options: How the pass is made.
        loading: Fields of `seviz.Loader` that the user gave beside a loader.

    Raises:
        NoSEBlockError: If the network has no such gate, and that is required.
        UsageError: If there is no such kind of gates, or two kinds are asked for.
        CheckpointError: If the network does not run on such images.
        DataError: If there are no images, or their classes are not the network's.
        DeviceError: If the device does not exist, or has no mixed precision of the wanted type.
    """
    loaded, source, options = met(network, data, options, loading)
    assert source is not None, "data was given"
    device = resolve_device(options.device)
    shorter = reduced(options.amp_dtype, device)
    if options.without_squeeze and options.mechanism != "se":
        raise UsageError(
            f"expected one kind of gates, found --without-squeeze and {options.mechanism!r}; leave one out"
        )
    example = source.example if isinstance(source, Stream) else loaded.preprocessing.input_size
    traced = trace(loaded.model, example, options.mechanism)
    found = traced.found
    blocks = found.without_squeeze if options.without_squeeze else found.blocks
    if not blocks and not options.without_squeeze and options.require_se:
        found.require_se()
    if not blocks and options.without_squeeze:
        raise UsageError(
            f"expected a {WITHOUT_SQUEEZE} in this network, found none; leave out --without-squeeze"
        )
    if options.blocks and not blocks:
        found.require_se()
    if options.blocks:
        blocks = tuple(select_blocks(blocks, options.blocks))
    classes, notes = class_table(loaded, found)
    if isinstance(source, Stream):
        match = match_stream(source, classes, found.outputs, options.labels)
        if classes is None and match.is_model:
            classes, notes = match.table, ()
    else:
        match, classes, notes = _matched(source, classes, notes, found, options.labels)
    if shorter is not None:
        alone = not launched().several
        remark = slower_here(loaded.model, example, shorter, device, measured=alone)
        if remark is not None:
            shorter, options, notes = None, replace(options, amp_dtype=None), (*notes, remark)
    return Prepared(
        loaded,
        options,
        device,
        shorter,
        found,
        tuple(blocks),
        source,
        classes,
        match,
        notes,
        traced.own_size,
    )


def require_whole(options: PassOptions) -> None:
    """Refuse a part of the images where a result cannot be added up.

    Raises:
        UsageError: If one is asked for.
    """
    if options.shard is not None:
        raise UsageError(
            "expected --shard where a record is collected, found it where all images are needed; leave "
            "it out"
        )


def _matched(
    source: Source,
    classes: ClassTable | None,
    notes: tuple[str, ...],
    found: Found,
    labels: Labels,
) -> tuple[Match, ClassTable | None, tuple[str, ...]]:
    """Return how folders and classes go together, the network's classes, and remarks on them."""
    folders: Sequence[str] = source.folders
    if labels in ("sorted", "natural"):
        folders, classes, notes = numbered_folders(source, found.outputs, labels, found.heads)
    match = match_classes(
        folders,
        source.counts,
        classes,
        labels="data" if labels == "data" else "model",
        labelled=source.labelled,
    )
    return match, classes, notes


def _where(loaded: LoadedModel) -> torch.device:
    tensors = (*loaded.model.parameters(), *loaded.model.buffers())
    return next((t.device for t in tensors), torch.device("cpu"))


def class_table(loaded: LoadedModel, found: Found) -> tuple[ClassTable | None, tuple[str, ...]]:
    """Return the network's classes, checked against its output, and remarks on them."""
    table = loaded.classes
    if table is not None:
        if found.outputs is not None and len(table) != found.outputs:
            raise CheckpointError(
                f"expected as many class names as outputs, found {len(table)} names and "
                f"{found.outputs} outputs in {loaded.name}"
            )
        return table, ()
    if found.outputs == 1000:
        return imagenet_classes(), (
            "1,000 outputs without class names: taken for ImageNet-1k's classes in their usual order",
        )
    if found.heads:
        return None, (
            f"the network gives several outputs ({', '.join(found.heads)}), so predictions are not scored; "
            "--head takes one of them",
        )
    if found.outputs is None:
        return None, (
            "the network returns something else than one score per class (several tensors, or maps), so "
            "predictions are not scored",
        )
    return None, (
        "the checkpoint names no classes: the folders' names are used, and predictions are not scored",
    )
