"""The passes in which images have the gates of other images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seviz.collect.holding import Holding, images_at_once
from seviz.collect.observers import Probabilities
from seviz.errors import CheckpointError
from seviz.gates import Trace, TracedBlock
from seviz.gates.sites import Sites
from seviz.results.swap import MEAN, OTHER, SHUFFLED, Integers, Pairs

_LEAST = 1e-300  # of a probability that has a logarithm
# Pairs that pass together, at most.
_TOGETHER = 64


@dataclass(frozen=True, eq=False)
class Exchanging:
    """Images that exchange gates.

    Attributes:
        images: What the network gets of each, [n, ...], on the host.
        gates: Their gates, [n, C] by block name, on the host.
        classes: Class of each, [n].
        logs: Logarithms of what the network says of each class, [n, outputs].
    """

    images: Tensor
    gates: Mapping[str, Tensor]
    classes: Integers
    logs: Tensor

    def means(self) -> dict[str, Tensor] | None:
        """Return the mean gates of the class of each image, [n, C]; ``None`` where each class has one."""
        if len(np.unique(self.classes)) == len(self.classes):
            return None
        _, rows = np.unique(self.classes, return_inverse=True)
        one = torch.nn.functional.one_hot(torch.from_numpy(rows)).double()
        part = one / one.sum(0)
        return {n: (one @ (part.T @ g.double())).to(g.dtype) for n, g in self.gates.items()}


class Swapping:
    """Runs pairs of images: one passes, with the gates of the other.

    Args:
        model: The network, on its device.
        traced: What was found in it.
        blocks: The blocks whose gates are replaced.
        device: Where to compute.
        on_batch: Called with the number of pairs after each batch.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        traced: Trace,
        blocks: Sequence[TracedBlock],
        device: torch.device,
        on_batch: Callable[[int], Any] | None = None,
    ) -> None:
        self._model, self._traced, self._blocks = model, traced, list(blocks)
        self._sites = Sites(model, self._blocks)
        self._device, self.on_batch = device, on_batch
        self.together = images_at_once(self._blocks, _TOGETHER)
        self._holding: Holding | None = None
        self._probabilities = Probabilities()

    def read(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return `logs` of the output and the gates [n, C] of images [n, ...], all on the host."""
        outputs, gates = [], []
        for begin in range(0, len(images), self.together):
            own = images[begin : begin + self.together]
            output, found = self._held(own).read(self._filled(own))
            _require_scores(output)
            outputs.append(self.logs(output[: len(own)]))
            gates.append({n: g[: len(own)].float().cpu() for n, g in found.items()})
        return torch.cat(outputs), {
            b.block.name: torch.cat([g[b.block.name] for g in gates]) for b in self._blocks
        }

    def answers(
        self,
        exchanging: Exchanging,
        donors: Integers,
        receivers: Integers,
        *,
        controls: bool,
        seed: int = 0,
    ) -> Pairs:
        """Return what is answered to each pair, with each block's gates replaced, and with all.

        Args:
            exchanging: The images.
            donors: Whose gates they are, [P].
            receivers: Which image passes, [P].
            controls: Replace gates by the means of the class, and by shuffled ones, as well.
            seed: Of the shuffled channels.
        """
        names = [b.block.name for b in self._blocks]
        gates_of = exchanging.gates
        ways: dict[str, Callable[[Integers], dict[str, Tensor]]] = {
            OTHER: lambda own: {n: gates_of[n][donors[own]] for n in names}
        }
        if controls:
            if (means := exchanging.means()) is not None:
                ways[MEAN] = lambda own: {n: means[n][donors[own]] for n in names}
            ways[SHUFFLED] = lambda own: _shuffled(
                {n: gates_of[n][donors[own]] for n in names}, own, seed
            )
        shape = (len(names) + 1, len(donors))
        found = {way: np.zeros(shape, np.int64) for way in ways}
        lifts = {way: np.zeros(shape, np.float32) for way in ways}
        # Only classes that take part are like the gates' class but for the gates: the network answers
        # others less often.
        kept, rows = (
            torch.from_numpy(v) for v in np.unique(exchanging.classes, return_inverse=True)
        )
        # Pairs of one receiver stand together, so that memory is read in order.
        order = np.argsort(receivers, kind="stable")
        for begin in range(0, len(order), self.together):
            own = order[begin : begin + self.together]
            images = exchanging.images[torch.from_numpy(receivers[own])]
            holding = self._held(images)
            holding.begin(self._filled(images))
            for way, replaced in ways.items():
                gates = {n: self._filled(g) for n, g in replaced(own).items()}
                for place, held in enumerate([*({n: gates[n]} for n in names), gates]):
                    output = holding.answer(held)
                    _require_scores(output)
                    logs = self.logs(output[: len(own)])
                    found[way][place, own] = logs.argmax(1).numpy()
                    one, other = rows[donors[own]], rows[receivers[own]]
                    before = _odds(exchanging.logs[receivers[own]][:, kept], one, other)
                    lifts[way][place, own] = (_odds(logs[:, kept], one, other) - before).numpy()
            if self.on_batch is not None:
                self.on_batch(len(own))
        return Pairs(donors, receivers, found, lifts if len(kept) > 2 else {})

    def logs(self, output: Tensor) -> Tensor:
        """Return the logarithms of what an output [n, outputs] says of each class, on the host."""
        return self._probabilities(output).cpu().clamp_min(_LEAST).log()

    def _held(self, images: Tensor) -> Holding:
        if self._holding is None:
            shape = (self.together, *images.shape[1:])
            example = images[:1].expand(shape).to(self._device)
            self._holding = Holding(self._model, self._traced, self._blocks, self._sites, example)
        return self._holding

    def _filled(self, values: Tensor) -> Tensor:
        """Return a batch on the device, one alone twice: networks may take another way through one."""
        moved = values.to(self._device)
        return moved.repeat_interleave(2, 0) if len(moved) == 1 else moved


def _shuffled(gates: Mapping[str, Tensor], pairs: Integers, seed: int) -> dict[str, Tensor]:
    """Return gates [n, C] with their channels in an order that each pair and block has for itself."""
    orders: dict[str, list[Integers]] = {name: [] for name in gates}
    for pair in pairs.tolist():
        rng = np.random.default_rng([seed, pair])
        for name, own in gates.items():
            orders[name].append(rng.permutation(own.shape[1]))
    return {n: g.gather(1, torch.from_numpy(np.stack(orders[n]))) for n, g in gates.items()}


def _odds(logs: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return how much more is said of one class than of those that are neither, in logarithms, [n]."""
    first = logs.gather(1, one[:, None])[:, 0]
    second = logs.gather(1, other[:, None])[:, 0]
    rest = max(logs.shape[1] - 2, 1)
    # Pairs of one class take it away once.
    both = torch.where(one == other, first, first + second)
    count = torch.where(one == other, rest + 1, rest)
    return first - (logs.sum(1) - both) / count


def _require_scores(output: Any) -> None:
    """Refuse what has no largest score.

    Raises:
        CheckpointError: If an output is not one finite score per class.
    """
    if not isinstance(output, Tensor) or output.dim() != 2 or output.shape[1] < 2:
        raise CheckpointError(
            "expected one score for each class, found another output; take one of several with --head"
        )
    broken = int((~output.amax(1).isfinite()).sum())
    if broken:
        raise CheckpointError(
            f"expected finite outputs, found NaN or Inf for {broken} images; check the weights, the "
            "preprocessing and --amp"
        )
