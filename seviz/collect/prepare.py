"""What a pass over a data set needs, got ready and checked before the first image is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch

from seviz.collect.cache_key import digest, dtype_name, network_request, runs_versioned_code
from seviz.collect.fast import Choice, Reduced, Speed, reduced
from seviz.collect.observers import resolve_device
from seviz.data import Batches, Match, Source, make_batches, match_classes, open_source
from seviz.data.numbering import numbered_folders
from seviz.errors import CheckpointError, DataError, UsageError
from seviz.gates import Found, trace
from seviz.gates.graph import Graph
from seviz.networks import LoadedModel
from seviz.networks.imagenet import imagenet_classes
from seviz.results.blocks import WITHOUT_SQUEEZE, GateBlock, select_blocks
from seviz.results.classes import ClassTable

Progress = Callable[[int], AbstractContextManager[Callable[[int], Any]]]
# Trying faster ways costs a batch or two and a fraction of a second. A pass of so many batches and numbers
# (27 images of 224 x 224, 1,400 of 32 x 32) pays it back.
_LEAST_BATCHES, _LEAST_NUMBERS = 8, 2**22
_GPU_PIXELS = 256 * 224 * 224


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
    labels: Literal["model", "data", "sorted", "natural"] = "model"
    download: bool = False
    mechanism: str = "se"
    without_squeeze: bool = False
    require_se: bool = True
    blocks: tuple[str, ...] = ()
    predictions: bool = True
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
    source: Source
    classes: ClassTable | None
    match: Match
    notes: tuple[str, ...]
    graph: Graph

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
        }

    @property
    def request_digest(self) -> str:
        """Return the hash of the request; empty if the network runs code whose version nobody knows."""
        return digest(self.request) if runs_versioned_code(self.loaded) else ""

    def batches(self, *, seed: int | None = None, processes: int = 1) -> Batches:
        """Return the images in batches.

        Args:
            seed: Take them in the random order that it gives; by default as the source has them.
            processes: Passes that share this machine's processors.

        Raises:
            DataError: If there are no images.
        """
        options = self.options
        size = self.loaded.preprocessing.input_size
        return make_batches(
            self.source,
            self.match,
            self.loaded.preprocessing,
            batch_size=(
                _batch_size(size, self.device, len(self.source))
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

    def speed(self, batches: Batches, choice: Choice) -> Speed:
        """Return what may be done for speed in a pass over these batches.

        Args:
            batches: All images of the pass, whoever computes them.
            choice: What an earlier part of the pass chose; takes what is chosen now.
        """
        options = self.options
        numbers = batches.total * math.prod(self.loaded.preprocessing.input_size)
        long = batches.steps >= _LEAST_BATCHES and numbers >= _LEAST_NUMBERS
        return Speed(
            fast=options.fast and (long or options.torchcompile),
            compiled=options.torchcompile,
            outputs=options.predictions,
            graph=self.graph,
            choice=choice,
        )


def prepare(loaded: LoadedModel, data: str | Source, options: PassOptions) -> Prepared:
    """Find the blocks, open the images, and match their classes.

    Args:
        loaded: The network, from `seviz.load`.
        data: What `seviz.data.sources.open_source` takes, or a source.
        options: How the pass is made.

    Raises:
        NoSEBlockError: If the network has no such gate, and that is required.
        UsageError: If there is no such kind of gates, or two kinds are asked for.
        CheckpointError: If the network does not run on such images.
        DataError: If there are no images, or their classes are not the network's.
        DeviceError: If the device does not exist, or has no mixed precision of the wanted type.
    """
    device = resolve_device(options.device)
    shorter = reduced(options.amp_dtype, device)
    if options.without_squeeze and options.mechanism != "se":
        raise UsageError(
            f"expected one kind of gates, found --without-squeeze and {options.mechanism!r}; leave one out"
        )
    traced = trace(loaded.model, loaded.preprocessing.input_size, options.mechanism)
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
    source = (
        open_source(data, split=options.split, download=options.download)
        if isinstance(data, str)
        else data
    )
    classes, notes = _class_table(loaded, found)
    folders: Sequence[str] = source.folders
    if options.labels in ("sorted", "natural"):
        folders, classes, notes = numbered_folders(source, found.outputs, options.labels)
    match = match_classes(
        folders,
        source.counts,
        classes,
        labels="data" if options.labels == "data" else "model",
        labelled=source.labelled,
    )
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


def _class_table(loaded: LoadedModel, found: Found) -> tuple[ClassTable | None, tuple[str, ...]]:
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
    return None, (
        "the checkpoint names no classes: the folders' names are used, and predictions are not scored",
    )


def _batch_size(input_size: tuple[int, ...], device: torch.device, images: int) -> int:
    """Return a batch that keeps the device busy and fits its memory: of a small machine, or of a GPU.

    A GPU gets 256 images of 224 x 224 (as fast as any larger number, on an H100; of 64 it computes up to
    a quarter less in the same time), more of smaller ones, and at least 32 batches: so that several can
    share a pass, and images are decoded while it computes.
    """
    pixels = math.prod(input_size[1:])
    if device.type != "cuda":
        return 256 if pixels <= 64 * 64 else 32
    held = 2 ** round(math.log2(_GPU_PIXELS / pixels))
    shared = 2 ** max(0, images // 32).bit_length() // 2
    return int(min(max(held, 8), 2048, max(shared, 32)))
