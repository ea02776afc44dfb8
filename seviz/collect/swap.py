"""The gates of one image in the forward pass of another: images, pairs, passes."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seviz.collect.cache_key import library_versions
from seviz.collect.fast import few_threads, full_float32, keeping_memory
from seviz.collect.input_fit import check_input
from seviz.collect.meet import Data, Network
from seviz.collect.options import PassOptions, require_whole
from seviz.collect.pairs import MOST_IMAGES, PAIRS, images_each, pairs_across, pairs_within
from seviz.collect.placing import in_its_place
from seviz.collect.prepare import prepare
from seviz.collect.prepared import Prepared, Progress
from seviz.collect.streaming import Stream
from seviz.collect.swapping import Exchanging, Swapping
from seviz.data.batches import Batch
from seviz.errors import DataError, DeviceError, UsageError
from seviz.gates import trace
from seviz.results.blocks import select_blocks
from seviz.results.mechanisms import chosen
from seviz.results.seeds import checked_seed
from seviz.results.swap import Integers, Pairs, SwapImage, SwappedGates

# Classes that a matrix of pairs is drawn of, where nobody names some; of more, pairs of any two.
FEW = 10


def swapped_gates(
    network: Network,
    data: Data,
    options: PassOptions | None = None,
    *,
    classes: Sequence[str] = (),
    blocks: Sequence[str] = ("all",),
    pairs: int = PAIRS,
    seed: int = 0,
    command: str = "",
    progress: Progress | None = None,
    check: Callable[[Sequence[str]], None] | None = None,
) -> SwappedGates:
    """Let images pass with the gates of other images, and keep every answer; `seviz.swap_gates` counts them.

    The class of an image is what the network answers to it. Where labels are known, only images that it
    has right take part, so that both are the same.

    Args:
        network: Any module, or what `seviz.load` gave or takes.
        data: What ``--data`` takes, or batches, as for `prepare`.
        options: How passes are made.
        classes: Classes between which gates are exchanged, two at least.
        blocks: Names, stages, or ``["all"]``.
        pairs: Pairs of two classes, at most; a quarter as many within classes, at most.
        seed: Of the sample of images and pairs.
        command: The command line, for the result.
        progress: As for `seviz.ablate`.
        check: Is called with the labels of all classes, before any image passes.

    Raises:
        NoSEBlockError: If the network has no such block.
        CheckpointError: If the network gives no score for each class.
        DataError: If there are no images of two classes.
        UsageError: If an argument is not understood.
    """
    options = options or PassOptions()
    _check(options, classes, pairs)
    require_whole(options)
    ready = prepare(network, data, replace(options, require_se=True))
    loaded, device = ready.loaded, ready.device
    ready, wanted = _restricted(ready, classes, checked_seed(seed))
    if check is not None:
        check(_labels(ready))
    traced = trace(loaded.model, ready.example, options.mechanism)
    names = {b.name for b in select_blocks(ready.blocks, blocks)}
    own = [t for t in traced.blocks if t.block.name in names]
    fit = check_input(ready)
    rng = np.random.default_rng(seed)
    reduced = ready.reduced
    precise = nullcontext() if reduced is None else reduced.computing(device, cached=False)
    try:
        with in_its_place(loaded), few_threads(), keeping_memory(), full_float32(device), precise:
            loaded.model.to(device)
            swapping = Swapping(loaded.model, traced, own, device)
            found = _Finding(ready, swapping, wanted, pairs, seed)
            exchanging = found.exchanging()
            across = pairs_across(exchanging.classes, pairs, rng)
            within = pairs_within(exchanging.classes, _fewer(pairs, across[0]), rng)
            total = len(across[0]) + len(within[0])
            bar = progress(total) if progress is not None else nullcontext(None)
            with bar as on_batch:
                swapping.on_batch = on_batch
                between = swapping.answers(exchanging, *across, controls=True, seed=seed)
                inside = swapping.answers(exchanging, *within, controls=False)
    except torch.OutOfMemoryError as exc:
        raise DeviceError(
            f"expected enough memory on {device}, found it exhausted; give a smaller --input-size, or "
            "--device cpu"
        ) from exc
    return SwappedGates(
        checkpoint=loaded.name,
        checkpoint_sha256=loaded.sha256,
        architecture=loaded.architecture,
        source=ready.source.name,
        split=ready.source.split,
        blocks=tuple(t.block for t in own),
        outputs=found.outputs,
        labels={c: _label(ready, c) for c in _answered(exchanging.classes, between, inside)},
        images=tuple(found.images()),
        across=between,
        within=inside,
        tried=found.tried,
        labelled=found.labelled,
        seed=seed,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command,
        versions=library_versions(),
        notes=(
            *loaded.notes,
            *ready.source.notes,
            *ready.notes,
            *ready.match.notes,
            *([fit.sentence] if fit.is_alarm else []),
            *_shifts(own),
        ),
    )


def _check(options: PassOptions, classes: Sequence[str], pairs: int) -> None:
    """Refuse what cannot be done.

    Raises:
        UsageError: If an option is not understood, or two do not fit.
    """
    if pairs < 1:
        raise UsageError(f"expected pairs as at least 1, found {pairs}; {PAIRS} is usual")
    if len(set(classes)) == 1:
        raise UsageError(
            f"expected two classes or more, found {classes[0]!r} alone; gates are exchanged between classes"
        )
    per_pixel = any(kind.per_pixel for kind in chosen(options.mechanism))
    if per_pixel or options.without_squeeze:
        raise UsageError(
            f"expected gates that are one for each channel, found {options.mechanism!r}, some of which "
            "differ from pixel to pixel; only the others can be swapped"
        )


def _restricted(
    ready: Prepared, classes: Sequence[str], seed: int
) -> tuple[Prepared, frozenset[int] | None]:
    """Return what is prepared, without images of other classes; and the classes, by output.

    Of many classes some are drawn, so that each has two images or more. ``None``: all that come.

    Raises:
        DataError: If there are no images of a class that was named.
        UsageError: If there is no such class.
    """
    table = ready.classes
    if classes and table is None:
        raise UsageError(
            "expected a network whose classes have names, with --classes, found none; leave it out, or give "
            "--class-names"
        )
    named = [table.classes[c.row].index for c in table.choose(classes)] if table and classes else []
    if not ready.scored or not ready.source.labelled:
        return ready, frozenset(named) or None
    match = ready.match
    own = [c.index for c in match.table.classes]
    missing = [c for c in named if c not in own]
    if missing and table is not None:
        raise DataError(
            f"expected images of {_label(ready, missing[0])!r}, found none in the data; it has "
            f"{', '.join(match.table.labels[:5])}{', ...' * (len(own) > 5)}"
        )
    if isinstance(ready.source, Stream):
        return ready, frozenset(named) or None
    if not named:
        counts = np.zeros(len(own), np.int64)
        rows = match.row_of_folder[ready.source.labels]
        counts += np.bincount(rows[rows >= 0], minlength=len(own))
        full = np.flatnonzero(counts)
        most = MOST_IMAGES // min(2, int(np.median(counts[full])) or 1)
        drawn = np.random.default_rng(seed).permutation(full)[:most] if len(full) > most else full
        named = [own[row] for row in drawn]
    kept = np.array([c in named for c in own])
    row_of_folder = np.where(
        (match.row_of_folder >= 0) & kept[match.row_of_folder], match.row_of_folder, -1
    )
    return replace(ready, match=replace(match, row_of_folder=row_of_folder)), frozenset(named)


def _labels(ready: Prepared) -> list[str]:
    """Return what classes are called, those of the network and those of the data."""
    network = ready.classes.labels if ready.classes is not None else ()
    return [*network, *ready.match.table.labels]


@dataclass(frozen=True)
class _Found:
    """An image that may take part."""

    tensor: Tensor
    index: int
    answer: int
    gates: dict[str, Tensor]
    logs: Tensor


class _Finding:
    """Runs images in random order until there are enough of each class."""

    def __init__(
        self,
        ready: Prepared,
        swapping: Swapping,
        wanted: frozenset[int] | None,
        pairs: int,
        seed: int,
    ) -> None:
        self._ready, self._swapping = ready, swapping
        self._wanted = wanted
        self.labelled = ready.scored and ready.source.labelled
        self.tried, self.outputs = 0, ready.found.outputs or 0
        # Of a loader it is not known which classes come.
        known = len(wanted) if wanted else min(self.outputs, FEW)
        self._each = images_each(known, pairs)
        # A loader in random order would be read to its end first.
        order = None if isinstance(ready.source, Stream) else seed
        self._found = sorted(self._collected(order), key=lambda f: f.index)

    def exchanging(self) -> Exchanging:
        """Return the images.

        Raises:
            DataError: If they are not of two classes.
        """
        found = self._found
        classes = np.array([f.answer for f in found], np.int64)
        if len(np.unique(classes)) < 2:
            right = "that the network has right " * self.labelled
            raise DataError(
                f"expected images of two classes or more {right}to exchange gates, found "
                f"{len(np.unique(classes))} among {self.tried:,}; give more images, or other --classes"
            )
        names = found[0].gates
        return Exchanging(
            torch.stack([f.tensor for f in found]),
            {n: torch.stack([f.gates[n] for f in found]) for n in names},
            classes,
            torch.stack([f.logs for f in found]),
        )

    def images(self) -> Iterator[SwapImage]:
        """Yield what the images are called, in the same order."""
        source = self._ready.source
        for found in self._found:
            yield SwapImage(source.image_name(found.index), found.index, found.answer)

    def _collected(self, seed: int | None) -> Iterator[_Found]:
        have: Counter[int] = Counter()
        for batch in self._ready.batches(seed=seed):
            self.tried += len(batch)
            logs, gates = self._swapping.read(batch.images)
            self.outputs = logs.shape[1]
            answers = logs.argmax(1)
            for i in self._serving(batch, answers):
                answer = int(answers[i])
                if have[answer] >= self._each or have.total() >= MOST_IMAGES:
                    continue
                have[answer] += 1
                own = {n: g[i].clone() for n, g in gates.items()}
                image, index = batch.images[i].clone(), int(batch.indices[i])
                yield _Found(image, index, answer, own, logs[i].clone())
            if self._enough(have):
                return

    def _serving(self, batch: Batch, answers: Tensor) -> Iterator[int]:
        """Yield which images may take part: of a wanted class, and right where that is known."""
        targets = self._ready.targets
        for i, answer in enumerate(answers.tolist()):
            if self._wanted is not None and answer not in self._wanted:
                continue
            if not self.labelled or targets[int(batch.rows[i])] == answer:
                yield i

    def _enough(self, have: Counter[int]) -> bool:
        if have.total() >= MOST_IMAGES:
            return True
        wanted = self._wanted or (range(self.outputs) if self.outputs <= FEW else ())
        return bool(wanted) and all(have[c] >= self._each for c in wanted)


def _fewer(pairs: int, across: Any) -> int:
    """Return how many pairs within classes are drawn."""
    return max(1, min(pairs, len(across)) // 4)


def _answered(classes: Integers, *pairs: Pairs) -> list[int]:
    """Return every output that was the largest anywhere."""
    every = [classes, *(a.ravel() for p in pairs for a in p.answers.values())]
    found: list[int] = np.unique(np.concatenate(every)).tolist()
    return found


def _label(ready: Prepared, index: int) -> str:
    return f"output {index}" if ready.classes is None else ready.classes.labels[index]


def _shifts(traced: Sequence[Any]) -> Iterator[str]:
    shifted = [t.block.name for t in traced if getattr(t.block, "shift", False)]
    if shifted:
        yield (
            f"{len(shifted)} blocks add a shift as well ({shifted[0]} ... {shifted[-1]}), which stays that "
            "of the image"
        )
