"""The fastest way through a network that gives its numbers, chosen on the first batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from seviz.collect.fast.agreement import Agreement
from seviz.collect.fast.backends import Answer, Backend, Eager
from seviz.collect.fast.choice import CHANGES, UNTOUCHED, Choice
from seviz.collect.fast.compiled import Compiled, NotCompilableError
from seviz.collect.fast.copies import changed_copy, has_foreign_hooks, has_maps, is_float32
from seviz.collect.fast.norms import NormFold, folds
from seviz.collect.fast.program import NotAProgramError, Program, can_fuse
from seviz.collect.fast.reduced import Reduced
from seviz.collect.fast.replayed import Replayed, can_record
from seviz.collect.fast.sized import Sized
from seviz.collect.fast.trial import RefusedError, Trial
from seviz.gates import unwrap
from seviz.gates.graph import Graph
from seviz.gates.reading import HookReading, Reading
from seviz.networks.quiet import quiet

_Build = Callable[[], Eager]
_Candidate = Callable[[], Eager | Program]


@dataclass(frozen=True)
class Speed:
    """What may be done for speed.

    Attributes:
        fast: Try changed copies of the network on the first batch: batch norms folded, channels last,
            operators fused.
        compiled: Compile the one that is chosen with ``torch.compile``.
        outputs: Whether the network's output is needed; else a pass ends at the last gate.
        graph: The recorded pass of the network, without which no batch norm is folded.
        choice: What an earlier part of the pass chose; takes what is chosen now.
    """

    fast: bool = False
    compiled: bool = False
    outputs: bool = True
    graph: Graph | None = None
    choice: Choice = field(default_factory=Choice)


class Chosen:
    """A way that begins as the untouched network, and goes on as the fastest that agrees with it.

    The copies are tried in a fixed order, and the first is taken whose gates and outputs for the first
    batch agree with the untouched network's; a clearly slower one is passed over. That batch counts as
    the chosen way computes it, like all others: however a pass is divided, its numbers are the same.

    Args:
        model: The network, on its device; it is left as it is.
        readings: How to read each gate.
        device: Its device.
        reduced: The shorter type to compute in, or ``None`` for the network's own.
        speed: What may be done.
    """

    def __init__(
        self,
        model: nn.Module,
        readings: Mapping[str, Reading],
        device: torch.device,
        reduced: Reduced | None = None,
        speed: Speed | None = None,
    ) -> None:
        self._model, self._readings, self._device = model, readings, device
        self._reduced, self._speed = reduced, speed or Speed()
        self._reference = self._eager(model)
        self._way: Backend | None = None
        self._held = ExitStack()
        self.notes: tuple[str, ...] = ()

    def __enter__(self) -> Chosen:
        self._held = ExitStack()
        return self

    def __exit__(self, *exc: object) -> None:
        self._held.close()
        if isinstance(self._way, Sized) and self._way.others:
            many = f"{self._way.others:,} images of other sizes than the first"
            self.notes += (f"{many} went through the untouched network",)
        self._way = None

    def __call__(self, images: Tensor) -> Answer:
        """Return the answer for images [N, C, H, W] on the network's device.

        Raises:
            CheckpointError: If a block gives no gate.
        """
        if self._way is not None:
            return self._way(images)
        if not (self._speed.fast or self._speed.compiled or self._reduced is not None):
            self._go_on_with(self._reference)
            return self._reference(images)
        exact = None
        if self._reduced is not None:
            exact = Eager(self._model, self._readings, self._device, outputs=self._speed.outputs)
        trial = Trial(self._reference, exact, images)
        self._go_on_with(self._choose(trial))
        return trial.answer

    def _go_on_with(self, way: Backend) -> None:
        self._held.enter_context(way)
        self._way = way

    def _eager(self, model: nn.Module, *, channels_last: bool = False) -> Eager:
        return Eager(
            model,
            self._readings,
            self._device,
            reduced=self._reduced,
            outputs=self._speed.outputs,
            channels_last=channels_last,
        )

    def _choose(self, trial: Trial) -> Backend:
        notes: list[str] = []
        eager: Eager | Program = self._reference
        build: _Build = lambda: self._eager(changed_copy(self._model))  # noqa: E731
        agreement, done = trial.rounding, "the untouched network"
        choice = self._speed.choice
        chosen = UNTOUCHED
        for place, name, candidate in self._candidates(trial, notes):
            if not choice.allows(place):
                continue
            try:
                copy = candidate()
            except NotAProgramError:
                continue  # there are other ways
            except Exception as exc:  # a network that cannot be copied
                notes.append(f"not computed on a copy of the network: {type(exc).__name__}")
                continue
            try:
                agreement, _ = trial.check(copy, may_be_slower=not choice.by_time)
            except RefusedError as refused:
                notes.append(f"not computed with {name}: {refused}")
            else:
                eager, done, chosen = copy, name, place
                if not CHANGES[place].fused:
                    build = cast(_Build, candidate)
                break
        choice.made = chosen
        way: Backend = eager
        if self._speed.compiled:
            try:
                way, agreement, note = self._compile(trial, way, build)
                notes.append(note)
                done = f"torch.compile and {done}"
            except (NotCompilableError, RefusedError) as refused:
                notes.append(f"--torchcompile is not used: {refused}")
        elif isinstance(eager, Program):
            way = Sized(eager, trial.shape[1:], self._reference)
        elif (replayed := self._replayed(trial, eager)) is not None:
            way, done = replayed, f"{done}, replayed as a CUDA graph"
        if chosen != UNTOUCHED and self._reduced is None and agreement is not None:
            notes.append(
                f"computed with {done}; on the first batch no gate is further than "
                f"{agreement.gates:.0e} from the untouched network's, and no answer is another"
            )
        if self._reduced is not None and agreement is not None:
            notes.append(_rounding(agreement, self._reduced.name, done, trial))
        self.notes = tuple(dict.fromkeys(notes))
        return way

    def _candidates(self, trial: Trial, notes: list[str]) -> Iterator[tuple[int, str, _Candidate]]:
        """Yield changed copies of the network with what was changed, the best first."""
        if not (self._speed.fast and self._is_plain and is_float32(self._model)):
            return
        if has_foreign_hooks(self._model):
            notes.append("hooks of others are on the network: it is run as it is")
            return
        graph, found = self._speed.graph, []
        if graph is not None:
            parts = [part for r in self._readings.values() for part in r.parts]
            read = {part.call.path for part in parts if isinstance(part, HookReading)}
            found = folds(self._model, graph, read)
        # A GPU has kernels for channels last in the shorter types: float32 takes up to 2.5 times as long with
        # them (on an H100), and some are compiled for seconds first.
        maps = has_maps(self._model) and (
            self._device.type == "cpu"
            or (self._device.type == "cuda" and self._reduced is not None)
        )
        # A compiler fuses by itself. In a shorter type autocast decides operator by operator.
        fusible = self._device.type == "cpu" and not self._speed.compiled and self._reduced is None
        fusible = fusible and trial.are_maps and can_fuse()
        for place, change in enumerate(CHANGES):
            if change.fused:
                if maps and fusible:
                    words = [f"{len(found)} batch norms folded"] * bool(found) + ["channels last"]
                    name = f"{' and '.join(words)}, operators fused"
                    yield place, name, lambda: self._program(found, trial)
                continue
            if (change.folded and not found) or (change.last and not maps):
                continue

            def build(folded: bool = change.folded, last: bool = change.last) -> Eager:
                copy = changed_copy(self._model, folds=found if folded else (), channels_last=last)
                return self._eager(copy, channels_last=last)

            words = [f"{len(found)} batch norms folded"] * change.folded
            yield place, " and ".join(words + ["channels last"] * change.last), build

    def _program(self, found: list[NormFold], trial: Trial) -> Program:
        copy = changed_copy(self._model, folds=found, channels_last=True)
        return Program(copy, self._readings, trial.shape, outputs=self._speed.outputs)

    @property
    def _is_plain(self) -> bool:
        return unwrap(self._model) is self._model

    def _replayed(self, trial: Trial, way: Eager) -> Replayed | None:
        """Return the way as a CUDA graph where that can be and saves time; its numbers are the same."""
        hooked = has_foreign_hooks(self._model)  # they would not be called
        if not (self._speed.fast and self._is_plain and can_record(self._device)) or hooked:
            return None
        replayed = Replayed(way)
        try:
            trial.check(replayed, may_be_slower=True)
        except RefusedError:
            return None
        return replayed if trial.gains(replayed, over=way) else None

    def _compile(self, trial: Trial, way: Backend, build: _Build) -> tuple[Backend, Agreement, str]:
        """Return the compiled network, how well it agrees, and for how many images it pays."""
        try:
            compiled = Compiled(build())
        except NotCompilableError:
            raise
        except Exception as exc:
            raise RefusedError(f"the network cannot be copied ({type(exc).__name__})") from exc
        # What matters of what the compiler says about code and machine is checked.
        with quiet("torch.utils.cpp_extension", logging.ERROR):
            agreement, first = trial.check(compiled, may_be_slower=True)
        pairs = [(trial.seconds(way), trial.seconds(compiled)) for _ in range(2)]
        saved = (min(p[0] for p in pairs) - min(p[1] for p in pairs)) / trial.images
        if saved <= 0:
            return compiled, agreement, f"torch.compile took {first:.0f} s and saves no time here"
        return (
            compiled,
            agreement,
            f"torch.compile took {first:.0f} s and saves {1000 * saved:.1f} ms per image: it pays from "
            f"{first / saved:,.0f} images on",
        )


def _rounding(agreement: Agreement, name: str, done: str, trial: Trial) -> str:
    return (
        f"{name} with {done}: the gates of the first batch differ from float32 by at most "
        f"{agreement.gates:.1e} ({agreement.block or 'no block'}), and the answers for "
        f"{agreement.top1} of {trial.images} images"
    )
