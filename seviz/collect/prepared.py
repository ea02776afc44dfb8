"""A network and images that are ready to meet, and what a pass of them will give."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from seviz.collect.cache_key import digest, dtype_name, network_request, runs_versioned_code
from seviz.collect.fast import Choice, Reduced, Speed
from seviz.collect.options import PassOptions
from seviz.collect.streaming import (
    Stream,
    StreamBatches,
)
from seviz.data import Batches, Match, Source, make_batches
from seviz.data.loaders import usual_batch
from seviz.errors import DataError, UsageError
from seviz.gates import Example, Found
from seviz.gates.graph import Graph
from seviz.networks import LoadedModel
from seviz.results.blocks import GateBlock
from seviz.results.classes import ClassTable

Progress = Callable[[int], AbstractContextManager[Callable[[int], Any]]]
AnyBatches = Batches | StreamBatches
# Trying faster ways costs a batch or two and a fraction of a second. A pass of so many batches and numbers
# (27 images of 224 x 224, 1,400 of 32 x 32) pays it back.
_LEAST_BATCHES, _LEAST_NUMBERS = 8, 2**22


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
