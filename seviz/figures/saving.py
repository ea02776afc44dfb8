"""Figures to files, whole or not at all, and the same bytes for the same figure."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from seviz.errors import UsageError
from seviz.figures.captions import caption, caption_of_file
from seviz.figures.fonts import boxes_are_told, give_all_letters
from seviz.figures.style import figure_style
from seviz.results.files import written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200
FEWEST_DPI, MOST_DPI = 50, 1200
# The date of the drawing would make two drawings of one record differ. And a PNG that is packed less
# tightly is a tenth larger, and saved in three quarters of the time. The key is that of the caption.
_HOW: Mapping[str, tuple[str, dict[str, Any]]] = {
    "png": ("Description", {"metadata": {}, "pil_kwargs": {"compress_level": 1}}),
    "svg": ("Description", {"metadata": {"Date": None}}),
    "pdf": ("Subject", {"metadata": {"CreationDate": None}}),
    "eps": ("", {}),
    "tiff": ("", {"pil_kwargs": {"compression": "tiff_lzw"}}),
}
FORMATS = tuple(_HOW)
# What XML cannot hold, in UTF-8.
_NO_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
DEFAULT_FORMATS = ("png", "svg")


def save_figure(
    figure: Figure,
    stem: str | Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    *,
    dpi: float | None = None,
) -> list[Path]:
    """Write a figure in several formats and return the paths.

    Its caption goes along: as "Description" of a PNG or SVG, as the subject of a PDF.

    Args:
        figure: What `gate_curves` returned, or any other figure.
        stem: Path without suffix; what follows a dot in it is kept.
        formats: Any of ``png``, ``svg``, ``pdf``, ``eps`` and ``tiff``.
        dpi: Dots per inch of what is made of dots; 200 by default, or ``savefig.dpi`` of matplotlib's
            settings where that was changed.

    Raises:
        UsageError: If a format is not one of these, or ``dpi`` is below 50 or above 1,200; nothing is
            written then.
    """
    wanted = list(dict.fromkeys([formats] if isinstance(formats, str) else formats))
    unknown = [f for f in wanted if f not in FORMATS]
    if unknown:
        raise UsageError(
            f"expected figure formats among {', '.join(FORMATS)}, found "
            f"{', '.join(map(repr, unknown))}"
        )
    dots = checked_dpi(dpi)
    paths = []
    give_all_letters(figure)
    for kind in wanted:
        target = _file(stem, kind)
        with (
            figure_style(),
            boxes_are_told(),
            written_whole(target) as temporary,
            temporary.open("wb") as file,
        ):
            _write(figure, file, kind, dots)
        paths.append(target)
    return paths


def checked_dpi(dpi: float | None) -> float:
    """Return how many dots go to an inch.

    Raises:
        UsageError: If they are too few to read a figure, or too many for any printer.
    """
    if dpi is None:
        import matplotlib

        theirs = matplotlib.rcParams["savefig.dpi"]
        return DPI if theirs == "figure" else float(theirs)
    if not FEWEST_DPI <= dpi <= MOST_DPI:
        raise UsageError(
            f"expected {FEWEST_DPI} to {MOST_DPI:,} dots per inch, found {dpi:g}; print takes 300 to 600"
        )
    return float(dpi)


def replaced(figure: Figure, stem: str | Path, formats: Sequence[str]) -> str:
    """Say what is lost by saving a figure here: nothing, or what another choice drew.

    Only files that say what they show are looked at.
    """
    own = caption(figure)
    for kind in formats:
        target = _file(stem, kind)
        there = caption_of_file(target)
        if there and own and there != own:
            first = re.split(r"(?<=\.) (?=[A-Z|])", there)[0]
            return f"{target} is drawn anew; it showed: {first}"
    return ""


def _file(stem: str | Path, kind: str) -> Path:
    return Path(stem).with_name(f"{Path(stem).name}.{kind}")


def svg_of(figure: Figure, **options: Any) -> bytes:
    """Return a figure as SVG that every reader of XML takes.

    Matplotlib writes control characters of a name as they are, and XML has none, not even escaped.

    Args:
        figure: The figure.
        **options: Of its method ``savefig``.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", **options)
    return _NO_XML.sub(b"\xef\xbf\xbd", stream.getvalue())


def _write(figure: Figure, file: IO[bytes], kind: str, dpi: float) -> None:
    key, options = _HOW[kind]
    said = caption(figure)
    if key and said:
        options = {**options, "metadata": {**options["metadata"], key: said}}
    if kind == "svg":
        file.write(svg_of(figure, dpi=dpi, **options))
        return
    if kind != "eps":
        figure.savefig(file, format=kind, dpi=dpi, **options)
        return
    stream = io.BytesIO()
    with _opaque(figure):
        figure.savefig(stream, format=kind, dpi=dpi)
    # The date, for which matplotlib has no option here.
    file.write(re.sub(rb"(?m)^%%CreationDate: .*\n", b"", stream.getvalue(), count=1))


@contextmanager
def _opaque(figure: Figure) -> Iterator[None]:
    """Paint what is transparent in the colour that it has on white: PostScript knows no other way."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb

    changes: list[tuple[Any, float, str, Any, Any]] = []
    for artist in figure.findobj(lambda a: a.get_alpha() not in (None, 1)):
        alpha = float(cast(float, artist.get_alpha()))
        for part in (
            ("facecolor", "edgecolor") if isinstance(artist, PolyCollection) else ("color",)
        ):
            theirs: Any = getattr(artist, f"get_{part}", tuple)()
            if len(theirs):
                first: Any = theirs[0] if isinstance(artist, PolyCollection) else theirs
                paler = tuple(1 - alpha * (1 - c) for c in to_rgb(first))
                changes.append((artist, alpha, part, first, paler))
    for artist, _, part, _, paler in changes:
        artist.set_alpha(None)
        getattr(artist, f"set_{part}")(paler)
    try:
        yield
    finally:
        for artist, alpha, part, theirs, _ in changes:
            getattr(artist, f"set_{part}")(theirs)
            artist.set_alpha(alpha)
