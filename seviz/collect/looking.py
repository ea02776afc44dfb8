"""One image in a network: its gates, the maps of a few channels, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seviz.collect.holding import Holding, both
from seviz.collect.observers import Probabilities
from seviz.collect.pictures import Seen
from seviz.errors import CheckpointError
from seviz.gates.sites import Product, Scaling, Sites
from seviz.results.blocks import GateBlock
from seviz.results.classes import ClassTable
from seviz.results.image import (
    MEAN,
    NEUTRAL,
    TOP,
    Answer,
    ChannelMaps,
    ExplainedBlock,
    ExplainedImage,
    Floats,
    Held,
    neutral,
)
from seviz.results.record import Record


@dataclass(frozen=True, eq=False)
class Reference:
    """What the gates of one block are measured against.

    Attributes:
        value: Their means over all images, or what leaves a map as it is, [C].
        spread: Their standard deviations over all images, [C]; ``None`` without a record.
    """

    value: Floats
    spread: Floats | None


class References:
    """What gates are measured against, by block.

    Args:
        record: Means over all its images; ``None`` for what leaves a map as it is.
        blocks: The blocks.
    """

    def __init__(self, record: Record | None, blocks: Sequence[GateBlock]) -> None:
        self._record = record
        self._row = {}
        if record is not None:
            counts = record.count
            self._row = {
                c.index: row for row, c in enumerate(record.classes.classes) if counts[row]
            }
        self.of = {b.name: self._reference(b) for b in blocks}
        self.blocks = {b.name: b for b in blocks}

    @property
    def is_mean(self) -> bool:
        """Return whether means are known."""
        return self._record is not None

    def _reference(self, block: GateBlock) -> Reference:
        if self._record is None:
            return Reference(np.full(block.channels, neutral(block), np.float32), None)
        stats = self._record.stats(block.name)
        mean = stats.sum.sum(axis=0) / stats.count.sum()
        return Reference(mean.astype(np.float32), stats.all_std.astype(np.float32))

    def own_class(self, block: str, index: int | None) -> Floats | None:
        """Return the mean gate of the class of one output, [C], if there were images of it."""
        if self._record is None or index not in self._row:
            return None
        own: Floats = self._record.stats(block).mean[self._row[index]].astype(np.float32)
        return own

    def held(self, block: str, device: torch.device) -> dict[str, Tensor]:
        """Return what a block's gates are held at, [C] each."""
        own = self.blocks[block]
        fixed = torch.full((own.channels,), neutral(own), device=device)
        if not self.is_mean:
            return {NEUTRAL: fixed}
        return {MEAN: torch.from_numpy(self.of[block].value).to(device), NEUTRAL: fixed}


class Looking:
    """Explains one image after the other.

    Args:
        sites: The network's blocks.
        references: What their gates are measured against, and held at.
        classes: The network's classes, where they are known.
        channels: How many channels turned up, and how many turned down, to keep maps of.
        step: To which the network's file rounds its outputs; 0 where it does not.
    """

    def __init__(
        self,
        sites: Sites,
        references: References,
        classes: ClassTable | None,
        channels: int,
        step: float = 0.0,
    ) -> None:
        self._sites, self._references = sites, references
        self._classes, self._channels = classes, channels
        self._probabilities = Probabilities(step)

    def explain(self, seen: Seen, images: Tensor) -> ExplainedImage:
        """Return the gates of one image, some maps, and the answer.

        Args:
            seen: The image.
            images: What the network gets of it, several times in a batch, on its device.
        """
        blocks = self._references.blocks
        kept = {n: _Kept(b, self._references.of[n], self._channels) for n, b in blocks.items()}
        output = self._sites.run(images, lambda scaling: kept[scaling.block].look(scaling))
        scored = isinstance(output, Tensor) and output.dim() == 2 and output.shape[1] > 1
        answers = self._answers(output[0]) if scored else ()
        index = answers[0].index if answers else None
        return ExplainedImage(
            name=seen.name,
            picture=seen.picture,
            top=answers,
            blocks=tuple(
                replace(own.explained(), own_class=self._references.own_class(name, index))
                for name, own in kept.items()
            ),
        )

    def with_held(self, found: ExplainedImage, holding: Holding, images: Tensor) -> ExplainedImage:
        """Return an explained image with the answers that come of holding each block, and all of them."""
        holding.begin(images)
        index, device = found.top[0].index, images.device

        def held(names: Sequence[str]) -> dict[str, Held]:
            ways, gates = both({n: self._references.held(n, device) for n in names})
            output = holding.answer(gates)
            return {way: self._answer(output[place], index) for place, way in enumerate(ways)}

        blocks = tuple(replace(b, held=held([b.block.name])) for b in found.blocks)
        return replace(found, blocks=blocks, all_held=held([b.block.name for b in found.blocks]))

    def _answer(self, output: Tensor, index: int) -> Held:
        return Held(self._answers(output), float(self._shares(output)[index]))

    def _answers(self, output: Tensor) -> tuple[Answer, ...]:
        shares = self._shares(output)
        order = np.argsort(-shares, kind="stable")[:TOP]
        return tuple(Answer(self._label(int(i)), int(i), float(shares[i])) for i in order)

    def _shares(self, output: Tensor) -> Any:
        """Return the probabilities that an output says, float64 [outputs], as a pass reads them.

        Raises:
            CheckpointError: If an output is no number.
        """
        shares = self._probabilities(output[None])[0].cpu().numpy()
        if not np.isfinite(shares).all():
            raise CheckpointError(
                "expected finite outputs for this image, found NaN or Inf; check the weights and the "
                "preprocessing"
            )
        return shares

    def _label(self, index: int) -> str:
        return f"output {index}" if self._classes is None else self._classes.labels[index]


class _Kept:
    """What is kept of one block on one image: all gates, and the maps of a few channels."""

    def __init__(self, block: GateBlock, reference: Reference, channels: int) -> None:
        self._block, self._reference = block, reference
        # Of few channels none is both turned up and turned down.
        self._most = max(1, min(channels, block.channels // 2))
        self._gates: dict[int, Tensor] = {}
        self._before: dict[int, Floats] = {}
        self._after: dict[int, Floats] = {}

    def look(self, scaling: Scaling) -> Product:
        """Take the gates, and of the channels of this site those that may be among the chosen ones."""
        columns = scaling.columns
        gates = scaling.gates[0].detach().float().cpu()
        self._gates[columns.start] = gates
        reference = torch.from_numpy(self._reference.value)[columns]
        up, down = _ends((gates - reference).numpy(), self._most)
        own = list(dict.fromkeys((*up, *down)))  # of a part with few channels, one may be both
        places = torch.tensor(own, device=scaling.before.device)
        numbers = [columns.start + i for i in own]
        for number, one in zip(numbers, _taken(scaling.before, places), strict=True):
            self._before[number] = one

        def product(after: Tensor) -> None:
            for number, one in zip(numbers, _taken(after, places), strict=True):
                self._after[number] = one

        return product

    def explained(self) -> ExplainedBlock:
        gates = np.concatenate([self._gates[start].numpy() for start in sorted(self._gates)])
        up, down = (
            tuple(ChannelMaps(c, self._before[c], self._after[c]) for c in end)
            for end in _ends(gates - self._reference.value, self._most)
        )
        return ExplainedBlock(
            block=self._block,
            gates=gates,
            reference=self._reference.value,
            spread=self._reference.spread,
            own_class=None,
            up=up,
            down=down if len(gates) > 1 else (),
        )


def _ends(moved: Floats, most: int) -> tuple[list[int], list[int]]:
    """Return the channels turned up most, and those turned down most; the most extreme first.

    >>> _ends(np.array([0.1, -0.3, 0.2, 0.0]), 1)
    ([2], [1])
    """
    order = np.argsort(-moved, kind="stable").tolist()
    return order[:most], order[::-1][:most]


def _taken(maps: Tensor, places: Tensor) -> list[Floats]:
    """Return some channels of the first image, copied."""
    one = maps[0].index_select(0, places).detach().float().cpu().numpy().copy()
    return list(one)
