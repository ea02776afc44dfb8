"""Counting the images that change sides when gates are replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seviz.errors import CheckpointError
from seviz.results.alarms import Answers


@dataclass(frozen=True)
class Changes:
    """How many images change sides with each of several sets of gates.

    Attributes:
        images: Images that were seen.
        right: Those that the undisturbed network has right.
        lost: For each set, those that only the undisturbed network has right.
        won: For each set, those that only the network with these gates has right.
        answers: What the undisturbed network answered; ``None`` where it was not run.
    """

    images: int
    right: int
    lost: tuple[int, ...]
    won: tuple[int, ...]
    answers: Answers | None = None


class Tally:
    """Counts that stay on the device until the end of a pass.

    Args:
        names: What each set of gates is called.
        targets: Output that stands for each row's class, int64 [K].
    """

    def __init__(self, names: Sequence[str], targets: Tensor) -> None:
        self._names, self._targets = names, targets

        def counts() -> Tensor:
            return torch.zeros(len(names) + 1, dtype=torch.int64, device=targets.device)

        # The undisturbed network is the last.
        self._lost, self._won, self._broken = counts(), counts(), counts()
        self._images, self._right = 0, counts()
        self._true = torch.zeros_like(targets)
        self._given: Tensor | None = None

    def undisturbed(self, output: Tensor, rows: Tensor) -> Tensor:
        """Return which images the undisturbed network has right, bool [n].

        Args:
            output: Its output [N, outputs]; what is more than there are rows is filling.
            rows: Row of each image's class, int64 [n].
        """
        right = self._score(-1, output, rows)
        self._right[-1] += right.sum()
        if self._given is None:
            self._given = self._targets.new_zeros(output.shape[1])
        for counts, places in ((self._true, rows), (self._given, output[: len(rows)].argmax(1))):
            counts.index_add_(0, places, torch.ones_like(places))
        return right

    def add(self, place: int, output: Tensor, rows: Tensor, before: Tensor) -> None:
        """Count the images that change sides.

        Args:
            place: Which set of gates.
            output: Output [N, outputs] with them.
            rows: Row of each image's class, int64 [n].
            before: Which images the undisturbed network has right, bool [n].
        """
        after = self._score(place, output, rows)
        self._lost[place] += (before & ~after).sum()
        self._won[place] += (after & ~before).sum()
        self._images += len(rows) if place == 0 else 0

    def _score(self, place: int, output: Tensor, rows: Tensor) -> Tensor:
        output = output[: len(rows)]
        # A single -inf is a class that is impossible; a largest output that is no number is broken.
        self._broken[place] += (~output.amax(1).isfinite()).sum()
        return output.argmax(1) == self._targets[rows]

    def changes(self) -> Changes:
        """Return the counts.

        Raises:
            CheckpointError: If an output was not a number.
        """
        for place in (-1, *range(len(self._names))):
            broken = int(self._broken[place])
            if broken:
                where = f" with the gates of {self._names[place]} replaced" if place >= 0 else ""
                raise CheckpointError(
                    f"expected finite outputs{where}, found NaN or Inf for {broken} images; check the "
                    "weights, the preprocessing and --amp"
                )
        right = int(self._right[-1])
        answers = None
        if self._given is not None:
            true, given = (counts.cpu().numpy() for counts in (self._true, self._given))
            answers = Answers(true, given, self._targets.tolist(), right)
        return Changes(
            self._images,
            right,
            tuple(self._lost[:-1].tolist()),
            tuple(self._won[:-1].tolist()),
            answers,
        )
