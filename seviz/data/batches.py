"""The images of a pass, decoded by worker processes, in an order that depends on nothing else."""

from __future__ import annotations

import itertools
import math
import multiprocessing.process
import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seviz.data.base import Source
from seviz.data.decoding import Collated, Decoder, collate, joined
from seviz.data.matching import Match
from seviz.data.processors import divide
from seviz.data.transforms import build_transform
from seviz.data.workers import Watched
from seviz.errors import DataError, DeviceError, UsageError
from seviz.results.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

# Of workers, behind the network: as with nice(1).
_PRIORITY = 10
# Numbers of a piece: 33 images of 224 x 224, 20 MB.
_PIECE = 5_000_000
# How many batches ahead of the network a pass may take from here, and still ask for their position.
MOST_MARKS = 64


@dataclass(frozen=True, eq=False)
class Batch:
    """Some images, ready for the network.

    Attributes:
        images: float32 [N, C, H, W].
        rows: Row of each image's class in the record, int64 [N].
        indices: Position of each image in its source, int64 [N].
    """

    images: Tensor
    rows: Tensor
    indices: Tensor

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(eq=False)
class Batches:
    """The batches of one source; every iteration is a new pass over the same images.

    Attributes:
        total: Number of images that will be tried.
        batch_size: Images per batch; fewer in the last, and where some could not be read.
        workers: Processes that decode; 0 decodes in this one.
        strict: Whether an image that cannot be read is an error.
        pin_memory: Whether batches are made in pinned memory, for a faster copy to a GPU.
        piece: Images that a worker decodes at a time; a large batch is put together from several pieces.
        part: Whether these are a part of the images: that none of them can be read is no error then.
        skipped: Name and reason of each image that could not be read, filled during the pass.
        remarks: How images were read that can be read in several ways, likewise.
    """

    total: int
    batch_size: int
    workers: int
    strict: bool
    pin_memory: bool
    piece: int
    _images: Decoder = field(repr=False)
    part: bool = False
    skipped: list[tuple[str, str]] = field(default_factory=list)
    remarks: set[str] = field(default_factory=set)
    _marks: dict[int, tuple[int, int]] = field(default_factory=dict, repr=False)

    @property
    def steps(self) -> int:
        """Return the number of batches."""
        return -(-self.total // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches in the order of the source.

        Raises:
            DataError: If an image cannot be read and the pass is strict, or if none can be read.
            DeviceError: If a worker process died, or memory ran out.
        """
        self.skipped.clear()
        self._marks.clear()
        tried = given = 0
        try:
            for images, rows, indices, failed, remarks in self._joined():
                self.remarks |= remarks
                for index, reason in failed:
                    name = self._images.source.image_name(index)
                    self.refuse_if_strict(name, reason)
                    self.skipped.append((name, reason))
                tried, given = tried + len(rows) + len(failed), given + len(rows)
                self._mark(given, tried)
                if images is not None:
                    yield Batch(images, rows, indices)
        except MemoryError as exc:
            raise DeviceError(
                "expected memory for the images, found it exhausted; use a smaller --batch-size, "
                "or fewer --workers"
            ) from exc
        if not self.part and not given:
            raise none_readable(self.skipped)

    def fingerprint(self, *, times: bool) -> str:
        """Return the source's `fingerprint` of these images."""
        return self._images.source.fingerprint(self._images.indices, times=times)

    def share(self, number: int, of: int) -> range:
        """Return which images are the share of one process among several.

        Shares are whole batches in a row, so that every image is computed in the same batch, to the
        same bits, however many processes there are.

        Args:
            number: The process, from 0.
            of: Number of processes.
        """
        steps = -(-self.total // self.batch_size)
        begin, end = (steps * n // of * self.batch_size for n in (number, number + 1))
        return range(min(begin, self.total), min(end, self.total))

    def only(self, images: range) -> Batches:
        """Return a part of the images: those in this range of positions."""
        chosen = slice(images.start, images.stop)
        steps = -(-len(images) // self.batch_size)
        return Batches(
            total=len(images),
            batch_size=self.batch_size,
            workers=min(self.workers, steps * self._pieces_each),
            strict=self.strict,
            pin_memory=self.pin_memory,
            piece=self.piece,
            _images=replace(
                self._images,
                indices=self._images.indices[chosen],
                rows=self._images.rows[chosen],
            ),
            part=True,
            remarks=self.remarks,
        )

    def smallest(
        self, key: Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]], most: int
    ) -> Batches:
        """Return some of the images, in the order of the source: those whose key is smallest.

        Args:
            key: Gives the key of each position in the source, [N].
            most: How many.
        """
        indices = self._images.indices
        chosen = np.sort(np.argsort(key(indices), kind="stable")[:most])
        images = replace(self._images, indices=indices[chosen], rows=self._images.rows[chosen])
        return replace(
            self, total=len(chosen), _images=images, skipped=[], remarks=set(), _marks={}
        )

    def position(self, given: int) -> tuple[int, int] | None:
        """Return how many images had been tried, and how many of them skipped, after so many were given.

        Returns:
            ``None`` in the middle of a batch, and for batches long past.
        """
        return self._marks.get(given)

    def _mark(self, given: int, tried: int) -> None:
        self._marks[given] = tried, len(self.skipped)
        if len(self._marks) > MOST_MARKS:
            del self._marks[next(iter(self._marks))]

    @property
    def _pieces_each(self) -> int:
        """Return how many pieces make a whole batch."""
        return -(-self.batch_size // self.piece)

    def _pieces(self) -> list[range]:
        """Return the positions of the images of each piece; none reaches over the end of a batch.

        Ranges: as lists they would be 40 bytes for each image of the data.
        """
        return [
            range(begin, min(begin + self.piece, first + self.batch_size, self.total))
            for first in range(0, self.total, self.batch_size)
            for begin in range(first, min(first + self.batch_size, self.total), self.piece)
        ]

    def _joined(self) -> Iterator[Collated]:
        """Yield whole batches."""
        with closing(self._load()) as pieces:
            for _ in range(self.steps):
                yield joined(list(itertools.islice(pieces, self._pieces_each)), pinned=self._pinned)

    @property
    def _pinned(self) -> bool:
        import torch

        return self.pin_memory and torch.cuda.is_available()

    def _load(self) -> Generator[Collated, None, None]:
        import torch
        from torch.utils.data import DataLoader

        if self.workers and getattr(
            multiprocessing.process.current_process(), "_inheriting", False
        ):
            # A process that is being spawned runs the script again, up to here.
            raise UsageError(
                "expected the work of a script under if __name__ == '__main__', found it outside, where "
                "each worker process does it again; indent it below that line, or give workers=0"
            )

        with warnings.catch_warnings():
            # From 3.12 on Python warns of every fork of a process with threads; the workers use one
            # thread and touch no lock of the parent's. And more workers than processors are the
            # user's wish.
            warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            loader: DataLoader[Any] = DataLoader(
                self._images,  # type: ignore[arg-type]  # any object with a length and items will do
                batch_sampler=self._pieces(),  # type: ignore[arg-type]  # any sequences will do
                num_workers=self.workers,
                collate_fn=collate,
                worker_init_fn=_begin_worker,
                generator=torch.Generator(),  # a seed is drawn from it, not from the user's stream
            )
            batches = iter(loader)
        yield from Watched(batches, self.workers)

    def refuse_if_strict(self, name: str, reason: str) -> None:
        """Raise where an image that cannot be read is an error.

        Raises:
            DataError: If the pass is strict.
        """
        if self.strict:
            raise DataError(
                f"expected images that can be read, found {name}: {reason}; repair or remove it, "
                "or leave out --strict to skip such images"
            )


def make_batches(
    source: Source,
    match: Match,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    workers: int | None = None,
    num_samples: int | None = None,
    strict: bool = False,
    pin_memory: bool = False,
    seed: int | None = None,
    processes: int = 1,
) -> Batches:
    """Prepare a pass over the images whose folder has a row; nothing is read yet.

    The tensors and rows of an image are the same for any batch size and number of workers.

    Args:
        source: The images.
        match: The row of each folder.
        preprocessing: How an image becomes a tensor.
        batch_size: Images per batch.
        workers: Processes that decode; by default none for images in memory, else one for each
            processor, up to 4, or 16 where batches are for a GPU.
        num_samples: At most that many images of each class, the first ones.
        strict: Make an image that cannot be read an error, instead of skipping it.
        pin_memory: Make batches in pinned memory where there is a CUDA device.
        seed: Take the images in the random order that this seed gives; by default as the source has
            them.
        processes: Passes that share this machine's processors.

    Raises:
        UsageError: If a number is too small, or the preprocessing makes no sense.
    """
    for name, value, least in (
        ("batch size", batch_size, 1),
        ("number of workers", workers, 0),
        ("number of samples", num_samples, 1),
    ):
        if value is not None and value < least:
            raise UsageError(
                f"expected a {name} of at least {least}, found {value}; give a larger one"
            )
    rows = match.row_of_folder[source.labels]
    wanted = rows >= 0
    if num_samples is not None:
        wanted &= _rank_in_class(rows) < num_samples
    indices = np.flatnonzero(wanted)
    if seed is not None:
        indices = np.random.default_rng(seed).permutation(indices)
    steps = -(-len(indices) // batch_size)
    piece = _piece(batch_size, math.prod(preprocessing.input_size))
    if workers is None:
        alone = source.in_memory or steps <= 1
        workers = 0 if alone else divide(processes, gpu=pin_memory).workers
    return Batches(
        total=len(indices),
        batch_size=batch_size,
        workers=min(workers, steps * -(-batch_size // piece)),
        strict=strict,
        pin_memory=pin_memory,
        piece=piece,
        _images=Decoder(source, build_transform(preprocessing), indices, rows[indices]),
    )


def _piece(batch_size: int, numbers: int) -> int:
    """Return how many images of so many numbers a worker decodes at a time.

    Each worker has two pieces ready: of 256 images of 224 x 224, 16 workers would hold 5 GB, and all of
    them would be decoding their first when the GPU could have begun.
    """
    most = max(1, _PIECE // numbers)
    return -(-batch_size // -(-batch_size // most))


def none_readable(skipped: Sequence[tuple[str, str]]) -> DataError:
    """Return the error of a pass all of whose images were skipped."""
    if not skipped:
        return DataError(
            "expected images of the classes, found none in the batches; check the labels"
        )
    name, reason = skipped[0]
    return DataError(
        f"expected images that can be read, found none among {len(skipped)} (first: {name}: {reason}); "
        "check the files"
    )


def _rank_in_class(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each image how many of its class come before it, [N]."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    ranks = np.empty_like(rows)
    ranks[order] = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
    return ranks


def _begin_worker(_: int) -> None:
    # Ctrl-C reaches every process of the terminal; the parent stops its workers in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The network goes first: where all of its threads wait for one whose processor decodes, all wait.
    if hasattr(os, "nice"):
        os.nice(_PRIORITY)
