"""Names beside points, where there is room for them. Pure arithmetic, in inches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_GAP = 0.05


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Return whether two rectangles have a part in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def holds(self, other: Box) -> bool:
        """Return whether another rectangle lies within this one."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.bottom <= other.bottom
            and other.top <= self.top
        )


def around(x: float, y: float, half: float) -> Box:
    """Return the square about a point."""
    return Box(x - half, y - half, x + half, y + half)


def along(x0: float, y0: float, x1: float, y1: float, half: float) -> Iterator[Box]:
    """Yield squares that cover a line."""
    steps = max(1, round(max(abs(x1 - x0), abs(y1 - y0)) / half))
    for step in range(steps + 1):
        share = step / steps
        yield around(x0 + share * (x1 - x0), y0 + share * (y1 - y0), half)


def place_labels(
    points: Sequence[tuple[float, float]],
    widths: Sequence[float],
    height: float,
    within: Box,
    obstacles: Iterable[Box],
    level: Sequence[bool],
) -> list[tuple[float, float] | None]:
    """Return where the lower left corner of each label goes; ``None`` where there is no room.

    The first labels choose first. No label lies on another, on an obstacle, or across the edge.

    Args:
        points: What is named.
        widths: Width of each label.
        height: Height of a label.
        within: Where labels may be.
        obstacles: What they may not lie on.
        level: Whether each label must be at the height of its point, as where points lie one above the
            other.

    >>> page, names = Box(0, 0, 2, 2), [0.5, 0.5]
    >>> place_labels([(1, 1), (1, 1)], names, 0.1, page, [around(1, 1, 0.04)], [False, True])
    [(1.05, 1.05), (1.05, 0.95)]
    """
    taken = list(obstacles)
    found: list[tuple[float, float] | None] = []
    for (x, y), width, same in zip(points, widths, level, strict=True):
        corner = None
        for left, bottom in _places(x, y, width, height, same):
            box = Box(left, bottom, left + width, bottom + height)
            if within.holds(box) and not any(box.meets(other) for other in taken):
                corner = (left, bottom)
                taken.append(box)
                break
        found.append(corner)
    return found


def _places(
    x: float, y: float, width: float, height: float, level: bool
) -> Iterator[tuple[float, float]]:
    """Yield lower left corners, the best first; none so far off that it seems to name another point."""
    right, left, middle = x + _GAP, x - _GAP - width, x - width / 2
    above, below, same = y + _GAP, y - _GAP - height, y - height / 2
    beside = ((right, same), (left, same))
    around_it = ((right, above), (right, below), (left, below), (left, above))
    over = ((middle, above), (middle, below))
    for corner in beside if level else (*around_it, *beside, *over):
        yield round(corner[0], 4), round(corner[1], 4)
