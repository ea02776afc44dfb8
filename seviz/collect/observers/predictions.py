"""What a network answered: confusion counts, calibration, and each image's answer where it is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from seviz.collect.fast import sums_device
from seviz.collect.observers.exact import ExactSum, places_of
from seviz.collect.observers.gates import Observation
from seviz.collect.observers.state import Exchange, Reduction, Tables
from seviz.errors import CheckpointError, DataError
from seviz.results.exact import low_name, rounded
from seviz.results.record import CALIBRATION_BINS, TOP
from seviz.results.stats import Array

# How far from 1 the probabilities of an image may add up, and still be probabilities, of float32.
SUMS_TO_ONE = 1e-4
KINDS = (None, "logits", "probabilities", "log-probabilities")


class Probabilities:
    """Turns outputs into probabilities; a network that ends in a softmax gets no second one.

    What the outputs are is read off the first batch, and holds for all: probabilities if no value is
    negative and each row adds up to 1, log-probabilities if their exponentials do, else logits. How near
    to 1 is near follows from how finely the outputs are rounded.

    Args:
        step: Distance of the numbers that an output can be, where a file rounds them: 1/256.

    Attributes:
        kind: ``logits``, ``probabilities`` or ``log-probabilities``; ``None`` before the first batch.
    """

    def __init__(self, step: float = 0.0) -> None:
        self.kind: str | None = None
        self._step = step

    def __call__(self, outputs: Tensor) -> Tensor:
        """Return probabilities float64 [N, outputs], on the host where the device has no float64."""
        values = outputs.to(sums_device(outputs.device)).double()
        if self.kind is None:
            exact = torch.finfo(outputs.dtype).eps if outputs.is_floating_point() else 0.0
            self.kind = _kind(values, self._step, max(SUMS_TO_ONE, exact))
        if self.kind == "probabilities":
            return values
        return values.exp() if self.kind == "log-probabilities" else values.softmax(1)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the record must know."""
        if self.kind in (None, "logits"):
            return ()
        return (
            f"the network's outputs are {self.kind}: confidences are read off them as they are",
        )

    def state(self) -> dict[str, Tensor]:
        """Return ``kind`` int64 [1], the position in `KINDS`."""
        return {"kind": torch.tensor([KINDS.index(self.kind)])}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take the outputs for what they were taken for before.

        Raises:
            ValueError: If there is no such kind.
        """
        place = int(state["kind"])
        if not 0 <= place < len(KINDS):
            raise ValueError(f"no kind of outputs {place}")
        self.kind = KINDS[place]

    def merge(self, exchange: Exchange) -> None:
        """Check that every process took the outputs for the same.

        Raises:
            CheckpointError: If not: their confidences cannot be added up.
        """
        kinds = {kind for kind in exchange.gather(self.kind) if kind is not None}
        if len(kinds) > 1:
            raise CheckpointError(
                f"expected outputs of one kind in every part of the data, found "
                f"{' and '.join(sorted(kinds))}; run it in one process"
            )
        self.kind = kinds.pop() if kinds else None


def _kind(values: Tensor, step: float, near: float) -> str:
    """Return what outputs are.

    Args:
        values: They, [N, outputs].
        step: To which they are rounded; 0 where they are not.
        near: How far from 1 the sum of a row may be for other reasons.
    """
    count = values.shape[1]
    if count < 2:
        return "logits"
    # Each is half a step off at most, and the largest a whole one: 1 is 255/256. Those that are 0 were not
    # rounded up. Of a logarithm half a step is a factor.
    above = (values > 0).sum(1) * step / 2
    if _adds_up(values, above, (count + 1) * step / 2, near) and bool(
        values.max() <= 1 + step + near
    ):
        return "probabilities"
    shares, factor = values.exp(), math.expm1(step / 2)
    return "log-probabilities" if _adds_up(shares, factor, factor, near) else "logits"


def _adds_up(shares: Tensor, above: Tensor | float, below: float, near: float) -> bool:
    """Return whether rows of no negative values add up to 1, give or take."""
    apart = shares.sum(1) - 1
    return bool(
        (shares.min() >= 0) & (apart <= above + near).all() & (apart >= -below - near).all()
    )


class Predictions(Tables):
    """Confusion counts, top-5 hits, and confidence against accuracy.

    Args:
        targets: Output index of each row's class, int64 [K].
        outputs: Width of the network's output.
        device: Device of the network.
        probabilities: Shared with other observers of the same pass.
        whole: As of `GateSums`.

    Raises:
        DataError: If a target is no output of the network.
    """

    reductions: ClassVar[Mapping[str, Reduction]] = {
        **dict.fromkeys(("confusion", "top5", "binned", "correct", "broken"), "sum"),
        "confidence": "exact",
    }

    def __init__(
        self,
        targets: Sequence[int],
        outputs: int,
        device: torch.device,
        probabilities: Probabilities | None = None,
        *,
        whole: bool = True,
    ) -> None:
        self._whole = whole
        outside = [t for t in targets if not 0 <= t < outputs]
        if outside:
            raise DataError(
                f"expected class indices from 0 to {outputs - 1}, found {outside[0]}; check the "
                "class names of the checkpoint"
            )
        self._rows, self._outputs = len(targets), outputs
        self._probabilities = probabilities or Probabilities()
        self._targets = torch.tensor(list(targets), dtype=torch.int64, device=device)

        def counts(size: int) -> Tensor:
            return torch.zeros(size, dtype=torch.int64, device=device)

        # One cell more than there are, for labels out of range: no batch waits for a check on the host.
        self._confusion = counts(self._rows * outputs + 1)
        self._top5 = counts(self._rows + 1)
        bins = self._rows * CALIBRATION_BINS + 1
        self._binned, self._correct, self._broken = counts(bins), counts(bins), counts(1)
        self._confidence = ExactSum(bins, (), sums_device(device))

    def update(self, batch: Observation) -> None:
        """Count the predictions of one batch."""
        known = (batch.rows >= 0) & (batch.rows < self._rows)
        rows = batch.rows.where(known, 0)
        predicted = batch.logits.argmax(1)
        right = predicted == self._targets[rows]
        _count(self._confusion, (rows * self._outputs + predicted).where(known, -1))
        best = batch.logits.topk(min(TOP, self._outputs), dim=1).indices
        hits = (best == self._targets[rows, None]).any(1)
        _count(self._top5, rows.where(known & hits, -1))

        shares = self._probabilities(batch.logits)
        confidence = shares.gather(1, predicted.to(shares.device)[:, None])[:, 0]
        finite = confidence.isfinite()
        self._broken += (~finite).sum().to(self._broken.device)
        confidence = confidence.where(finite, 0.0)
        cell = (confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
        cells = (rows * CALIBRATION_BINS + cell.to(rows.device)).where(known, -1)
        _count(self._binned, cells)
        _count(self._correct, cells.where(right, -1))
        cells = cells.to(shares.device) % len(self._confidence.high)
        self._confidence.add(places_of(cells, self._confidence.spare), confidence.double())

    def compute(self) -> dict[str, Array]:
        """Return ``confusion`` [K, outputs], ``top5`` [K] and ``calibration_...``, as in `Record`.

        Raises:
            DataError: If a label was out of range.
            CheckpointError: If an output was not a number.
        """
        confusion = self._confusion.cpu().numpy()
        if confusion[-1]:
            raise DataError(
                f"expected labels from 0 to {self._rows - 1}, found {confusion[-1]} images with others; "
                "number the classes of the batches as the record's rows"
            )
        broken = int(self._broken)
        if broken:
            raise CheckpointError(
                f"expected finite outputs, found NaN or Inf for {broken} images; check the weights, the "
                "preprocessing and --amp"
            )
        bins = {"count": self._binned, "correct": self._correct}
        bins |= {"confidence": self._confidence.high}
        bins |= {low_name("confidence"): self._confidence.low}
        found = {
            "confusion": confusion[:-1].reshape(-1, self._outputs),
            "top5": self._top5.cpu().numpy()[:-1],
            **{
                f"calibration_{name}": table.cpu().numpy()[:-1].reshape(-1, CALIBRATION_BINS)
                for name, table in bins.items()
            },
        }
        return rounded(found) if self._whole else found


def _count(table: Tensor, cells: Tensor) -> None:
    """Count cells [N] in place: bincount without a table of its own; -1 is the last cell."""
    table.index_add_(0, cells % len(table), torch.ones_like(cells))


NAMES = ("index", "row", "predicted", "top", "probability")


class EachPrediction:
    """The answer for every image: a few numbers each, and no logits.

    Args:
        probabilities: Shared with other observers of the same pass.
    """

    def __init__(self, probabilities: Probabilities | None = None) -> None:
        self._probabilities = probabilities or Probabilities()
        self._kept: list[tuple[Tensor, ...]] = []

    def update(self, batch: Observation) -> None:
        """Keep row, position, and the largest outputs of each image of one batch.

        Raises:
            DataError: If the batch does not tell where its images are in their source.
        """
        indices = batch.positions("the predictions of single images")
        shares = self._probabilities(batch.logits)
        best = batch.logits.topk(min(TOP, batch.logits.shape[1]), dim=1).indices
        # Of equal outputs topk may put another first than argmax, which the confusion counts.
        first = batch.logits.argmax(1)
        self._kept.append(
            (
                indices,
                batch.rows.int(),
                first.int(),
                best.int(),
                shares.gather(1, best.to(shares.device)).float(),
            )
        )

    def state(self) -> dict[str, Tensor]:
        """Return what `compute` does, as tensors on the host."""
        if not self._kept:
            return {
                n: torch.zeros((0, 1) if n in NAMES[3:] else 0, dtype=torch.int32) for n in NAMES
            }
        # What was restored is on the host, what a GPU saw since is not.
        columns = zip(*self._kept, strict=True)
        self._kept = [tuple(torch.cat([t.cpu() for t in column]) for column in columns)]
        return dict(zip(NAMES, self._kept[0], strict=True))

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on after these images."""
        self._kept = [tuple(state[n] for n in NAMES)] if len(state["index"]) else []

    def merge(self, exchange: Exchange) -> None:
        """Line up the images of all processes; each has a later part of the source than the one before."""
        parts = exchange.gather(self.state())
        self._kept = [tuple(part[n] for n in NAMES) for part in parts if len(part["index"])]

    def compute(self) -> dict[str, Array]:
        """Return one entry per image, in the order of the pass.

        Returns:
            ``index`` int64 [N], ``row`` and ``predicted`` int32 [N], ``top`` int32 [N, k] and
            ``probability`` float32 [N, k], the k = 5 or fewer largest outputs.
        """
        return {name: tensor.numpy() for name, tensor in self.state().items()}
