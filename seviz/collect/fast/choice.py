"""Which copy of a network a pass goes through: the same in every part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Change(NamedTuple):
    """What is done to a copy.

    Attributes:
        folded: Batch norms are folded.
        last: Maps lie with the channels innermost.
        fused: It is run as a program of fused operators, with batch norms folded where there are any.
    """

    folded: bool
    last: bool
    fused: bool = False


# The best first. Past the end of this list is the network as it is.
CHANGES = (Change(True, True, True), Change(True, True), Change(True, False), Change(False, True))
UNTOUCHED = len(CHANGES)
# What a file keeps of them: one bit for each change.
_CODES = [sum(on << bit for bit, on in enumerate(change)) for change in CHANGES] + [0]
_OPEN = -1


class Choice:
    """A choice that outlives its process: a pass that is resumed goes on as it began.

    Args:
        shared: Whether several processes share the pass. Each chooses by itself, so time, which may
            differ, has no vote.

    Attributes:
        made: Place in `CHANGES`, or `UNTOUCHED`; ``None`` while nothing is chosen.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self._shared = shared
        self._given = False
        self.made: int | None = None

    @property
    def by_time(self) -> bool:
        """Return whether a copy that is slower may be passed over."""
        return not self._shared and not self._given

    def allows(self, place: int) -> bool:
        """Return whether this copy may be taken."""
        return not self._given or place == self.made

    def state(self) -> dict[str, Tensor]:
        """Return what was changed: another version may try other copies, or in another order."""
        return {"change": torch.tensor(_OPEN if self.made is None else _CODES[self.made])}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Hold to an earlier choice.

        Raises:
            ValueError: If there is no such copy.
        """
        code = int(state["change"])
        if code != _OPEN and code not in _CODES:
            raise ValueError(f"no copy {code}")
        self._given = code != _OPEN
        self.made = _CODES.index(code) if self._given else None

    def merge(self, exchange: Any) -> None:
        """Leave it: what each process chose is in its notes."""
