"""Thresholds on top-1 that end a command with exit code 1, for scripts and continuous integration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from seviz.errors import UsageError

FAILED = 1
THRESHOLDS = Group("Thresholds", sort_key=3)
# Sums of shares are off by their last digits: a drop of exactly what is allowed is allowed.
_ROUNDING = 1e-9


@Parameter(name="*", group=THRESHOLDS)
@dataclass(frozen=True)
class LeastTop1:
    """What top-1 must not be below."""

    min_top1: Annotated[
        float | None,
        Parameter(help="Exit with 1 if top-1 is below, in per cent."),
    ] = None

    def check(self) -> None:
        """Refuse what no top-1 is.

        Raises:
            UsageError: If a threshold is no share.
        """
        _check("--min-top1", self.min_top1, "per cent")
        least = self.min_top1
        if least is not None and 0 < least <= 1:  # of which every network is above
            raise UsageError(
                f"expected --min-top1 in per cent, found {least:g}; {100 * least:g} is {100 * least:g} %"
            )

    def missed(self, top1: float) -> list[str]:
        """Return a line for each threshold that is missed.

        Args:
            top1: Share of the images that are right, 0..1.
        """
        least = self.min_top1
        if least is None or 100 * top1 >= least - _ROUNDING:
            return []
        return [f"top-1 is {100 * top1:.4g} %, below the {least:g} % asked for"]

    @property
    def given(self) -> str:
        """Return the option that was given, if one was."""
        return "--min-top1" if self.min_top1 is not None else ""


@Parameter(name="*", group=THRESHOLDS)
@dataclass(frozen=True)
class LeastTop1AndDrop(LeastTop1):
    """What top-1 must not be below, and how far it may fall."""

    max_top1_drop: Annotated[
        float | None,
        Parameter(help="Exit with 1 if top-1 falls by more, in percentage points."),
    ] = None

    def check(self) -> None:
        """Refuse what no top-1 and no drop is.

        Raises:
            UsageError: If a threshold is no share.
        """
        super().check()
        _check("--max-top1-drop", self.max_top1_drop, "percentage points")

    def exceeded(self, before: float, after: float) -> list[str]:
        """Return a line for each threshold that is missed or exceeded.

        Args:
            before: Share of the images that are right, 0..1.
            after: The same afterwards, or of the other network.
        """
        most, drop = self.max_top1_drop, 100 * (before - after)
        fallen = most is not None and drop > most + _ROUNDING
        line = f"top-1 falls by {drop:.4g} points, more than the {most:g} allowed" if fallen else ""
        return [*self.missed(after), *([line] if line else [])]

    @property
    def given(self) -> str:
        """Return the option that was given, if one was."""
        return super().given or ("--max-top1-drop" if self.max_top1_drop is not None else "")


def _check(option: str, value: float | None, unit: str) -> None:
    if value is not None and not 0 <= value <= 100:
        raise UsageError(
            f"expected {option} in {unit} from 0 to 100, found {value:g}; for example 0.5 for half of one"
        )
