"""Letters of panels, as journals ask for them: (a), (b), ..."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seviz.figures.text import text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 0.05  # inches between a letter and the title


def lettered(count: int) -> list[str]:
    """Return the letters of panels: (a), (b), ... (z), (aa), (ab), ...

    >>> lettered(28)[-3:]
    ['(z)', '(aa)', '(ab)']
    """
    letters = string.ascii_lowercase
    pairs = (a + b for a in ["", *letters] for b in letters)
    return [f"({pair})" for pair, _ in zip(pairs, range(count), strict=False)]


def letter_width(count: int, size: float) -> float:
    """Return the width that the letters of so many panels take from their titles, in inches."""
    # Bold letters are wider than those that are measured.
    return 1.2 * max(map(text_width(size), lettered(count)), default=0.0) + _GAP


def letter_titles(panels: Sequence[Axes], pad: float | None = None) -> None:
    """Begin the title of each panel, which stands at its left, with its letter.

    Args:
        panels: In order.
        pad: Points between title and panel; the usual ones by default.
    """
    for letter, panel in zip(lettered(len(panels)), panels, strict=True):
        panel.set_title(f"{letter} {panel.get_title(loc='left')}", loc="left", pad=pad)


def letter_panels(panels: Sequence[Axes], width: float) -> None:
    """Write a letter before the title of each panel.

    Args:
        panels: In order; their titles are moved.
        width: Of a panel, in inches.
    """
    for panel, letter in zip(panels, lettered(len(panels)), strict=True):
        size = float(panel.title.get_fontsize())
        panel.annotate(
            letter,
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=size,
            fontweight="bold",
            va="baseline",
            annotation_clip=False,
        )
        panel.title.set_x(letter_width(len(panels), size) / width)
