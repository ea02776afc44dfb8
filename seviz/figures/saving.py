"""Figures to files, whole or not at all, and the same bytes for the same figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.errors import UsageError
from seviz.figures.fonts import boxes_are_told, give_all_letters
from seviz.figures.style import figure_style
from seviz.results.files import written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200
# The date of the drawing would make two drawings of one record differ. And a PNG that is packed less
# tightly is a tenth larger, and saved in three quarters of the time.
_HOW: Mapping[str, dict[str, Any]] = {
    "png": {"metadata": {}, "pil_kwargs": {"compress_level": 1}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
FORMATS = tuple(_HOW)
DEFAULT_FORMATS = ("png", "svg")


def save_figure(
    figure: Figure, stem: str | Path, formats: Sequence[str] = DEFAULT_FORMATS
) -> list[Path]:
    """Write a figure in several formats and return the paths.

    Args:
        figure: What `gate_curves` returned, or any other figure.
        stem: Path without suffix; what follows a dot in it is kept.
        formats: Any of ``png`` (200 dots per inch), ``svg`` and ``pdf``.

    Raises:
        UsageError: If a format is not one of these; nothing is written then.
    """
    wanted = list(dict.fromkeys([formats] if isinstance(formats, str) else formats))
    unknown = [f for f in wanted if f not in FORMATS]
    if unknown:
        raise UsageError(
            f"expected figure formats among {', '.join(FORMATS)}, found "
            f"{', '.join(map(repr, unknown))}"
        )
    paths = []
    give_all_letters(figure)
    for kind in wanted:
        target = Path(stem).with_name(f"{Path(stem).name}.{kind}")
        with (
            figure_style(),
            boxes_are_told(),
            written_whole(target) as temporary,
            temporary.open("wb") as file,
        ):
            figure.savefig(file, format=kind, dpi=DPI, **_HOW[kind])
        paths.append(target)
    return paths
