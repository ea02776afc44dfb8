"""The passes of an ablation: the same images, each time with other gates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seviz.collect.fast import few_threads, full_float32, keeping_memory
from seviz.collect.forward import interrupts
from seviz.collect.observers import GateSums, Observation
from seviz.collect.options import PassOptions
from seviz.collect.placing import in_its_place
from seviz.collect.prepared import Prepared, Progress
from seviz.data import KeptBatches
from seviz.errors import CheckpointError, DataError, DeviceError
from seviz.gates import Trace
from seviz.gates.inputs import like_traced
from seviz.gates.rerun import Rerun
from seviz.pruning.ablation.tally import Changes, Tally
from seviz.results.blocks import GateBlock
from seviz.results.stats import Array

Gates = Mapping[str, Tensor]
Means = dict[str, Array]


def kind_of_gates(options: PassOptions) -> str:
    """Return the kind of gates that is held, as `seviz.find` takes it."""
    return "gate" if options.without_squeeze else options.mechanism


@dataclass(frozen=True, eq=False)
class _Step:
    """A batch on the device.

    Attributes:
        images: [N, ...].
        rows: Row of each image's class, int64 [n].
        indices: Position of each image in its source, int64 [n], on the host.
        counted: Whether it is more than the giver of the first gates.
    """

    images: Tensor
    rows: Tensor
    indices: Tensor
    counted: bool = True

    def part(self, chosen: slice, *, counted: bool = True) -> _Step:
        """Return some of the images."""
        return _Step(self.images[chosen], self.rows[chosen], self.indices[chosen], counted)

    def filled(self) -> _Step:
        """Return a batch of one with its image twice: networks may take another way through one."""
        return replace(self, images=self.images.repeat_interleave(2, 0)) if len(self) == 1 else self

    def __len__(self) -> int:
        return len(self.rows)


@contextmanager
def studying(
    ready: Prepared,
    traced: Trace,
    images: KeptBatches,
    progress: Progress | None = None,
    *,
    passes: int = 1,
) -> Iterator[Study]:
    """Give a study whose network is on its device while it lasts, and afterwards where it was.

    Args:
        ready: The network and the images.
        traced: As of `Study`.
        images: As of `Study`.
        progress: Makes a progress bar, given the number of images of all passes.
        passes: How often every image goes through.
    """
    bar = progress(passes * images.total) if progress is not None else nullcontext()
    with (
        in_its_place(ready.loaded),
        bar as on_batch,
        few_threads(),
        keeping_memory(),
        full_float32(ready.device),
    ):
        ready.loaded.model.to(ready.device)
        yield Study(ready, traced, images, on_batch)


class Study:
    """Runs a network over the same images as often as an ablation needs.

    Args:
        ready: The network, on its device, and the images.
        traced: What `seviz.gates.trace` found in the network.
        images: The batches; in random order, if gates are to be exchanged between images.
        on_batch: Called with the number of images after each batch.

    Attributes:
        partial: Whether Ctrl-C ended a pass early.
    """

    def __init__(
        self,
        ready: Prepared,
        traced: Trace,
        images: KeptBatches,
        on_batch: Callable[[int], Any] | None = None,
    ) -> None:
        self._ready, self._images, self._on_batch = ready, images, on_batch
        self._device = ready.device
        self._targets = torch.tensor(ready.targets, dtype=torch.int64, device=self._device)
        self._seen: list[tuple[Tensor, Tensor]] = []
        self.partial = False
        with self._precision():
            example = like_traced(traced.example, 2, ready.loaded.model, self._device)
            self._rerun = Rerun(ready.loaded.model, traced, example)

    def means(self) -> Means:
        """Return the mean of each block's gates over all images, float64 [C] by block name.

        Of blocks that shift as well it is [2C]: the mean gate, then the mean shift.

        Raises:
            KeyboardInterrupt: After Ctrl-C: nothing is known yet.
        """
        sums, shifted = self._sums(), [b for b in self._ready.blocks if b.shift]
        shifts = GateSums(shifted, len(self._targets), self._device) if shifted else None
        with self._passing() as steps:
            for step in steps:
                output, gates = self._rerun.baseline(step.images)
                _observe(sums, step, output, gates)
                if shifts is not None:
                    _observe(shifts, step, output, self._shifts(shifted))
        if self.partial:
            raise KeyboardInterrupt
        means = means_of(sums.compute())
        for name, shift in means_of(shifts.compute()).items() if shifts is not None else ():
            means[name] = np.concatenate([means[name], shift])
        return means

    def _shifts(self, shifted: Sequence[GateBlock]) -> Gates:
        """Return the shifts [N, C] of the last undisturbed batch.

        Raises:
            CheckpointError: If one cannot be held.
        """
        found = self._rerun.shifts
        missing = next((b.name for b in shifted if b.name not in found), None)
        if missing is not None:
            raise CheckpointError(
                f"expected a shift that is added to the scaled map as it is, found {missing} with another; "
                "its gate can be read, and the block not be held; leave it out"
            )
        return found

    def one_at_a_time(
        self, sets: Mapping[str, tuple[str, ...]], gates: Gates | None, *, means: bool = False
    ) -> tuple[Changes, Means]:
        """Replace the gates of one set of blocks after the other, each time on the undisturbed network.

        Args:
            sets: Names of the blocks, by what the set is called.
            gates: What replaces each block's gates, [C], or its gates and shifts, [2C]; ``None``: the gates
                of another image.
            means: Return the mean gates of these images as well.

        Raises:
            KeyboardInterrupt: After Ctrl-C, where no image was counted yet.
            CheckpointError: If an output is not a number.
            DataError: If gates are to be exchanged, and there is one image alone.
        """
        tally, sums = Tally(list(sets), self._targets), self._sums() if means else None
        others = _Others(gates)
        with self._passing(exchange=gates is None) as steps:
            for step in steps:
                output, own = self._rerun.baseline(step.images)
                new = others(own, len(step))
                if new is None:
                    continue
                if sums is not None:
                    _observe(sums, step, output, own)
                before = tally.undisturbed(output, step.rows)
                self._seen.append((step.indices, before))
                for place, blocks in enumerate(sets.values()):
                    changed = self._rerun.replaced({name: new[name] for name in blocks})
                    tally.add(place, changed, step.rows, before)
        changes = tally.changes()
        if not changes.images and self.partial:
            raise KeyboardInterrupt
        if not changes.images:
            raise DataError(
                "expected two images or more to exchange gates between, found 1; give more images"
            )
        return changes, means_of(sums.compute()) if sums is not None else {}

    def channels(
        self,
        held: Sequence[tuple[str, int, float]],
        look: Callable[[Tensor, Gates, Tensor], Any] | None = None,
    ) -> Changes:
        """Hold the gate of one channel after the other, each time on the undisturbed network.

        Args:
            held: Name of the block, channel, and the number that its gate is held at.
            look: Called with the positions of the images of each batch [n], the undisturbed gates and the
                rows.

        Raises:
            KeyboardInterrupt: After Ctrl-C, where no image was counted yet.
            CheckpointError: If an output is not a number.
        """
        tally = Tally([f"{block}:{channel}" for block, channel, _ in held], self._targets)
        with self._passing() as steps:
            for step in steps:
                output, own = self._rerun.baseline(step.images)
                if look is not None:
                    look(step.indices, own, step.rows)
                before = tally.undisturbed(output, step.rows)
                for place, (block, channel, number) in enumerate(held):
                    gates = own[block].clone()
                    gates[:, channel] = number
                    tally.add(place, self._rerun.replaced({block: gates}), step.rows, before)
        changes = tally.changes()
        if not changes.images and self.partial:
            raise KeyboardInterrupt
        return changes

    def together(self, sets: Mapping[str, tuple[str, ...]], gates: Gates | None) -> Changes:
        """Replace the gates of the first set, of the first two, and so on; after `one_at_a_time`.

        Args:
            sets: Names of the blocks, by what is called the set that comes with them.
            gates: As in `one_at_a_time`.

        Raises:
            CheckpointError: If an output is not a number.
            DataError: If the images are not those of the pass before.
        """
        tally, others, seen = Tally(list(sets), self._targets), _Others(gates), iter(self._seen)
        first, *rest = sets.values()
        with self._passing(exchange=gates is None) as steps:
            for step in steps:
                if gates is None:
                    new = others(self._rerun.baseline(step.images)[1], len(step))
                    if new is None:
                        continue
                    output = self._rerun.further({name: new[name] for name in first})
                else:
                    new = gates
                    output = self._rerun.begin(step.images, {name: new[name] for name in first})
                before = _same_images(step, seen)
                tally.add(0, output, step.rows, before)
                for place, blocks in enumerate(rest, 1):
                    output = self._rerun.further({name: new[name] for name in blocks})
                    tally.add(place, output, step.rows, before)
        if not self.partial and next(seen, None) is not None:
            raise _others()
        return tally.changes()

    def _sums(self) -> GateSums:
        return GateSums(self._ready.blocks, len(self._targets), self._device)

    def _precision(self) -> Any:
        """Return the context of mixed precision; without its cache, as `Rerun` needs it."""
        reduced = self._ready.reduced
        return nullcontext() if reduced is None else reduced.computing(self._device, cached=False)

    @contextmanager
    def _passing(self, *, exchange: bool = False) -> Iterator[Iterator[_Step]]:
        """Give one pass over the images, which ends early after Ctrl-C.

        Raises:
            DeviceError: If the memory of the device is not enough.
        """
        try:
            with interrupts() as requested, self._precision():
                yield self._steps(exchange, requested.is_set)
        except torch.OutOfMemoryError as exc:
            raise DeviceError(
                f"expected enough memory on {self._device}, found it exhausted; use a smaller --batch-size"
            ) from exc

    def _steps(self, exchange: bool, interrupted: Callable[[], bool]) -> Iterator[_Step]:
        batches = (
            _Step(
                batch.images.to(self._device, non_blocking=True),
                batch.rows.to(self._device, non_blocking=True),
                batch.indices,
            )
            for batch in self._images
        )
        for step in _first_again(batches) if exchange else batches:
            yield step.filled()
            if self._on_batch is not None and step.counted:
                self._on_batch(len(step))
            if interrupted():
                self.partial = True
                return


class _Others:
    """What replaces the gates of a batch: the same for all images, or each the gates of the one before.

    Args:
        gates: The same for all, or ``None``.
    """

    def __init__(self, gates: Gates | None) -> None:
        self._gates = gates
        self._last: Gates | None = None

    def __call__(self, own: Gates, count: int) -> Gates | None:
        """Return the new gates; ``None`` for the very first image, which has none before it.

        Args:
            own: The gates of the batch, [N, C] by block name.
            count: Images in it; what follows is filling.
        """
        if self._gates is not None:
            return self._gates
        before, self._last = self._last, {name: g[count - 1 : count] for name, g in own.items()}
        if before is None:
            return None
        return {name: torch.cat([before[name], g[:-1]]) for name, g in own.items()}


def _first_again(steps: Iterable[_Step]) -> Iterator[_Step]:
    """Yield the first image alone, all others, and the first again: it comes after the last."""
    first: _Step | None = None
    alone = True
    for step in steps:
        others = step
        if first is None:
            first, others = step.part(slice(1)), step.part(slice(1, None))
            yield replace(first, counted=False)
        if len(others):
            alone = False
            yield others
    if first is not None and not alone:
        yield first


def _same_images(step: _Step, seen: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
    """Return which images of a batch the undisturbed network has right.

    Raises:
        DataError: If the batch is not the one that was seen before.
    """
    indices, right = next(seen, (None, None))
    if indices is None or right is None or not torch.equal(indices, step.indices):
        raise _others()
    return right


def _others() -> DataError:
    return DataError(
        "expected the same images in every pass, found others; leave the files alone while they are read, or "
        "give a loader that does not change"
    )


def _observe(sums: GateSums, step: _Step, output: Tensor, gates: Gates) -> None:
    n = len(step)
    sums.update(Observation(step.rows, {name: g[:n] for name, g in gates.items()}, output[:n]))


def means_of(arrays: Mapping[str, Array]) -> Means:
    """Return the mean gates over all images, float64 [C] by block name, from the sums of each class."""
    images = arrays["count"].sum()
    return {
        name.split("/")[1]: arrays[name].sum(axis=0) / images
        for name in arrays
        if name.startswith("gates/") and name.endswith("/sum")
    }
