"""Batches of the user's own, on their way into a pass: what is known of them, and what comes of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seviz.collect.stream_labels import kind_of, numbers_of
from seviz.data import Batch, Match
from seviz.data.batches import MOST_MARKS
from seviz.data.loaders import Loader, Opened, failed, open_loader
from seviz.data.parts import Parts, take_apart
from seviz.errors import DataError, SevizError, UsageError
from seviz.gates import Example, Inputs
from seviz.networks import LoadedModel
from seviz.networks.given import example_of, fed, parameters_of, prepared_elsewhere

# Numbers of the first image of a batch by which it is told from another.
_TOLD_BY = 16
# The end of the images of the last of several processes, whatever a loader says of its length.
_NO_END = 2**62


@dataclass(frozen=True, eq=False)
class Stream:
    """A loader of the user's, its first batch seen.

    Attributes:
        loader: What the user gave.
        opened: Its batches.
        example: What the network is traced with.
        first: Images in the first batch.
        parameters: Names of the network's parameters.
        kind: What the labels are: ``numbers``, ``names``, ``one-hot``, or empty where there are none.
        notes: Remarks on what was taken for what.
        split: Empty: a loader is one part.
        wanted: Classes that are asked for: the names of all, where nothing else names them and there are as
            many as outputs.
    """

    loader: Loader
    opened: Opened
    example: Example
    first: int
    parameters: Sequence[str]
    kind: str
    notes: tuple[str, ...] = ()
    split: str = ""
    wanted: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name for records and figures."""
        return self.loader.name

    @property
    def labelled(self) -> bool:
        """Return whether the images have classes."""
        return bool(self.kind)

    @property
    def is_told_apart(self) -> bool:
        """Return whether it is known when the data is another."""
        return bool(self.loader.fingerprint)

    @property
    def total(self) -> int | None:
        """Return the number of images: exact, or at most that, or ``None`` where nothing is known."""
        opened = self.opened
        if opened.total is None and opened.steps is not None:
            return opened.steps * self.first
        return opened.total

    @property
    def parts(self) -> Parts:
        """Return inputs and labels of the first batch."""
        return take_apart(self.opened.first(), self.loader.inputs, self.parameters)

    def image_name(self, index: int) -> str:
        """Return the position of an image."""
        return f"{self.name}/{index}"


def open_stream(
    loaded: LoadedModel, loader: Loader, *, batch_size: int | None, workers: int
) -> Stream:
    """Look at the first batch of a loader.

    Args:
        loaded: The network that will get it.
        loader: The batches.
        batch_size: Images per batch, where it has no batches of its own.
        workers: Processes that read the samples of a data set.

    Raises:
        DataError: If there is no batch, or no images in it.
        UsageError: If it gives no batches.
    """
    opened = open_loader(loader.batches, batch_size=batch_size, workers=workers)
    names = parameters_of(loaded.model)
    parts = take_apart(opened.first(), loader.inputs, names)
    images, changed = fed(parts, loaded.model, loader.output)
    if not len(images):
        raise DataError(
            "expected images in the first batch of the loader, found an empty one; leave it out"
        )
    kind, note = kind_of(parts.labels, len(images))
    notes = [f"images come from a {type(loader.batches).__name__}, prepared as it gives them"]
    if changed:
        notes.append(
            "the loader's numbers are of another type than the network's, and were converted"
        )
    if opened.left:
        every = (opened.total or 0) + opened.left
        notes.append(f"the loader leaves out {opened.left:,} of {every:,} images (drop_last)")
    return Stream(
        loader,
        opened,
        example_of(images),
        len(images),
        names,
        kind,
        (*notes, *filter(None, [note])),
    )


def meeting(loaded: LoadedModel, stream: Stream) -> LoadedModel:
    """Return the network, which expects what the loader gives."""
    return loaded.prepared_by(prepared_elsewhere(stream.example))


@dataclass(eq=False)
class StreamBatches:
    """The batches of a stream with the row of each image, as `seviz.data.Batches` gives those of files.

    Where the loader fails, or gives what it should not, that is an error; or, if they are ``forgiving``, the
    end of the batches: what came before has been counted, and ``trouble`` says what happened.

    Attributes:
        stream: The loader.
        match: What its labels stand for.
        network: The network that gets the images.
        num_samples: At most that many images of each class.
        seed: Give the images in the random order of this seed, all read before.
        part: The positions of the images that are wanted.
        forgiving: Whether batches that cannot be had end the pass and do not break it.
        trouble: What ended the batches early.
        skipped: Nothing: a loader skips what it cannot read by itself, or fails.
        remarks: Nothing, likewise.
    """

    stream: Stream
    match: Match
    network: LoadedModel
    num_samples: int | None = None
    seed: int | None = None
    part: range | None = None
    forgiving: bool = False
    trouble: SevizError | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    remarks: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    given: int = 0
    number: int = 0
    _last: int = 0
    _marks: dict[int, tuple[int, int]] = field(default_factory=dict, repr=False)
    _seen: list[int] = field(default_factory=list, repr=False)

    @property
    def total(self) -> int:
        """Return the number of images, as far as it is known; 0 where nothing is."""
        total = self.stream.total
        if self.part is None or total is None:
            return total or 0
        return max(min(self.part.stop, total) - self.part.start, 0)

    @property
    def steps(self) -> int | None:
        """Return the number of batches; ``None`` where it is not known."""
        return self.stream.opened.steps

    @property
    def before(self) -> int:
        """Return the images that came before the last batch: all that is counted, if that one failed."""
        return self.given - self._last

    def fingerprint(self, *, times: bool) -> str:
        """Return what the user says that tells the data apart."""
        return self.stream.loader.fingerprint

    def share(self, number: int, of: int) -> range:
        """Return the positions that are the share of one process among several.

        Raises:
            DataError: If the loader does not say how many batches it has.
        """
        total, opened = self.stream.total, self.stream.opened
        if of == 1 or opened.dealt is not None:
            return range(_NO_END if total is None else self.total)
        if total is None or opened.steps is None:
            raise DataError(
                "expected a loader that knows how many batches it has for several processes, found one that "
                "does not; give it a length, or a DistributedSampler"
            )
        begin, end = (opened.steps * n // of * self.stream.first for n in (number, number + 1))
        return range(begin, _NO_END if number + 1 == of else end)

    def only(self, images: range) -> StreamBatches:
        """Return the batches that begin in this range of positions."""
        before = self.part or range(_NO_END)
        end = before.stop if images.stop == self.total else before.start + images.stop
        return replace(
            self,
            part=range(before.start + images.start, max(end, before.start + images.start)),
            skipped=self.skipped,
            remarks=self.remarks,
            notes=self.notes,
            _marks={},
            _seen=[],
        )

    def position(self, given: int) -> tuple[int, int] | None:
        """Return how many images had come, and 0 skipped, after so many were given."""
        return self._marks.get(given)

    def refuse_if_strict(self, name: str, reason: str) -> None:
        """Do nothing: a loader gives what it can read."""

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches.

        Raises:
            DataError: If one cannot be had, or is no batch; of forgiving batches, only the first.
        """
        self.given = self._last = self.number = 0
        self._marks.clear()
        batches = self._all()
        if self.seed is not None:
            batches = _shuffled(batches, self.seed)
        try:
            for batch in batches:
                self.given, self._last = self.given + len(batch), len(batch)
                yield batch
                self._last = 0
        except SevizError as exc:
            if not (self.given and self.forgiving):
                raise
            self.trouble = exc

    def _all(self) -> Iterator[Batch]:
        opened = self.stream.opened
        start, taken = 0, 0
        samples = np.zeros(len(self.match.table), np.int64)
        begin = self.part.start if self.part is not None else 0
        end = self.part.stop if self.part is not None else _NO_END
        batches = iter(opened)
        while True:
            try:
                images, rows = self._read(next(batches))
            except StopIteration:
                break
            except (SevizError, KeyboardInterrupt):
                raise
            except BaseException as exc:  # of the loader, or of a tensor that cannot be looked at
                raise failed(exc, self.number) from exc
            place, start = start, start + len(rows)
            self.number += 1
            if place >= end:
                return
            # A loader's last batch may be empty, or one of which all was left out.
            if place < begin or place == start:
                continue
            indices = torch.arange(place, start)
            kept = rows >= 0
            if opened.dealt is not None:
                indices = indices * opened.dealt[1] + opened.dealt[0]
                # A sampler that deals out evenly gives some images twice, at its end.
                kept &= indices < (opened.whole or _NO_END)
            if self.num_samples is not None:
                kept &= _ranks(rows, samples) < self.num_samples
            taken += int(kept.sum())
            self._marks[taken] = start - begin, 0
            if len(self._marks) > MOST_MARKS:
                del self._marks[next(iter(self._marks))]
            if bool(kept.all()):
                yield Batch(images, rows, indices)  # type: ignore[arg-type]
            elif bool(kept.any()):
                chosen: Any = images[kept.to(images.device)]
                yield Batch(chosen, rows[kept], indices[kept])
        if opened.steps is not None and self.number != opened.steps:
            fewer = "fewer" if self.number < opened.steps else "more"
            self.notes.append(
                f"the loader said it had {opened.steps} batches and gave {self.number}, {fewer} than that"
            )

    def _read(self, raw: Any) -> tuple[Tensor | Inputs, Tensor]:
        """Return the images of one batch, and their rows."""
        stream, where = self.stream, f"batch {self.number} of the loader"
        parts = take_apart(raw, stream.loader.inputs, stream.parameters)
        images, _ = fed(parts, self.network.model, stream.loader.output)
        _check_like(images, stream.example, where)
        count = len(images)
        if not count:
            return images, torch.zeros(0, dtype=torch.int64)
        if stream.labelled:
            labels = numbers_of(parts.labels, count, stream.kind, self.match, where)
        else:
            labels = torch.zeros(count, dtype=torch.int64)
        rows = torch.from_numpy(self.match.row_of_folder)[labels]
        self._check_same(images, rows)
        return images, rows

    def _check_same(self, images: Tensor | Inputs, rows: Tensor) -> None:
        """Refuse a second pass over other images: a loader that shuffles gives them in another order."""
        main = images.main if isinstance(images, Inputs) else images
        # Of the pixels the first few: enough to tell images apart, and no wait for a device.
        few = (
            main[0].flatten()[:_TOLD_BY].tolist() if main.device.type == "cpu" and len(main) else []
        )
        told = hash((*rows.tolist(), *few))
        if self.number < len(self._seen) and self._seen[self.number] != told:
            raise DataError(
                "expected the same images in every pass, found others: the loader shuffles; give one that "
                "does not"
            )
        if self.number == len(self._seen):
            self._seen.append(told)


def _check_like(images: Tensor | Inputs, example: Example, where: str) -> None:
    """Refuse images of another kind than the first; another height or width is the network's to judge."""
    expected = example.shape[1:] if isinstance(example, Inputs) else tuple(example)
    found = tuple(images.shape[1:])
    if len(found) != len(expected) or found[:1] != expected[:1]:
        shown = ["x".join(map(str, s)) or "one number" for s in (expected, found)]
        raise DataError(
            f"expected images of {shown[0]} in {where}, as in its first batch, found {shown[1]}; make them "
            "alike"
        )


def _ranks(rows: Tensor, samples: np.ndarray[Any, np.dtype[np.int64]]) -> Tensor:
    """Return how many images of its class came before each image; ``samples`` counts them all."""
    ranks = torch.zeros_like(rows)
    for place, row in enumerate(rows.tolist()):
        if row >= 0:
            ranks[place] = int(samples[row])
            samples[row] += 1
    return ranks


def _shuffled(batches: Iterator[Batch], seed: int) -> Iterator[Batch]:
    """Yield the images in a random order, in batches as large as the first.

    Raises:
        DataError: If they do not fit into memory: a loader cannot be asked for single images.
    """
    from seviz.data.keeping import MOST_BYTES

    kept: list[Batch] = []
    for batch in batches:
        kept.append(batch)
        if sum(b.images.nbytes for b in kept) > MOST_BYTES:
            raise DataError(
                "expected images that fit into 1 GB for a random order, found more; give a loader of fewer "
                "images, or files with --data"
            )
    if not kept:
        return
    size = len(kept[0])
    images, rows, indices = _joined(kept)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(rows)))
    for begin in range(0, len(order), size):
        here = order[begin : begin + size]
        yield Batch(images[here.to(images.device)], rows[here], indices[here])


def _joined(batches: Sequence[Batch]) -> tuple[Any, Tensor, Tensor]:
    many: list[Any] = [b.images for b in batches]
    images = Inputs.joined(many) if isinstance(many[0], Inputs) else torch.cat(many)
    return images, torch.cat([b.rows for b in batches]), torch.cat([b.indices for b in batches])


def require_no_split(split: str | None) -> None:
    """Refuse a part of a data set where there are batches.

    Raises:
        UsageError: If one is named.
    """
    if split is not None:
        raise UsageError(
            f"expected batches of one part, found split={split!r}; give the loader of that part"
        )
