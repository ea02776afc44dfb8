"""A figure that a notebook shows as the last line of a cell, with or without ``%matplotlib``."""

from __future__ import annotations

import io
from typing import Any

import matplotlib.figure

from seviz.figures.fonts import boxes_are_told
from seviz.figures.legend import catch_up
from seviz.figures.style import figure_style

# Twice the dots of a usual screen, shown at the size of the figure: sharp on a fine one, too.
_DPI, _SCREEN = 144, 96


class Figure(matplotlib.figure.Figure):
    """A figure of matplotlib's that shows itself; it is drawn again only when it was changed."""

    _shown: bytes | None = None

    def draw(self, renderer: Any) -> None:
        """Draw it; letters that no font has were told of, and legends look as their lines do now."""
        catch_up(self)
        with boxes_are_told():
            super().draw(renderer)

    def savefig(self, *args: Any, **options: Any) -> None:
        """Save it, likewise."""
        with boxes_are_told():
            super().savefig(*args, **options)

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        """Return the picture, and how wide it is to be shown."""
        if self._shown is None or self.stale:
            file = io.BytesIO()
            with figure_style():
                self.savefig(file, format="png", dpi=_DPI)
            self._shown = file.getvalue()
            self.stale = False  # saving sets the resolution back, which counts as a change
        return self._shown, {"width": round(self.get_figwidth() * _SCREEN)}
