"""How far two shares are apart."""

from __future__ import annotations

from dataclasses import dataclass

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """How a share changes from one to another.

    Attributes:
        before: The first share.
        after: The second.
        low: Lower end of the 95 % interval of ``delta``.
        high: Its upper end.
        p_value: How probable a change as large is by chance; the subclass says by which test.
    """

    before: float
    after: float
    low: float
    high: float
    p_value: float

    @property
    def delta(self) -> float:
        """Return ``after - before``."""
        return self.after - self.before

    @property
    def significant(self) -> bool:
        """Return whether chance is an unlikely explanation (p < 0.05)."""
        return self.p_value < SIGNIFICANT
