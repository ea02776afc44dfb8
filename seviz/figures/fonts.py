"""Letters that the font of the figures has not: from other fonts of the machine, or told."""

from __future__ import annotations

import logging
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

OWN = "DejaVu Sans"
# Fonts with a box for every letter there is, and with letters of their own in the place of others.
_NO_LETTERS = ("Last Resort", "STIXNonUnicode", "STIXSize", "cm")
# Tried first, the best known of those with many letters; others follow by name.
_LIKED = (
    "Noto Sans CJK",
    "Source Han Sans",
    "Noto Sans",
    "Microsoft YaHei",
    "PingFang",
    "Hiragino",
)
# They choose how the letter before them is drawn.
_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
_LOG = logging.getLogger("seviz")
# The letter that was told of; one is enough, of a thousand Chinese names.
_TOLD: list[str] = []


def families(text: str, own: Sequence[str] = (OWN,)) -> tuple[str, ...]:
    """Return the fonts for a text, beside those it has; none where these have all of its letters.

    A letter that no font of the machine has is drawn as a box; the first one is told.

    Args:
        text: What is written.
        own: Families in which it is written.
    """
    letters = "".join(sorted({c for c in text if ord(c) > 127 and not _is_unseen(c)}))
    return _families(letters, tuple(own))


def _is_unseen(letter: str) -> bool:
    """Return whether nothing is drawn for a letter itself: spaces, joiners, marks of direction."""
    return letter.isspace() or unicodedata.category(letter) == "Cf" or letter in _SELECTORS


def give_letters(text: Text) -> None:
    """Let a text be drawn with all of its letters."""
    own = text.get_fontfamily()
    own = [own] if isinstance(own, str) else list(own)
    if more := families(text.get_text(), own):
        text.set_fontfamily([*own, *(name for name in more if name not in own)])


def give_all_letters(figure: Figure) -> None:
    """Let each text of a figure be drawn with all of its letters."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        give_letters(text)


@contextmanager
def boxes_are_told() -> Iterator[None]:
    """Keep matplotlib's warnings of missing letters to itself: `families` has told."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing", UserWarning)
        yield


def has_letters(text: str) -> bool:
    """Return whether figures can show a text; nothing is told."""
    return not _chosen("".join(sorted(c for c in set(text) if ord(c) > 127)), (OWN,))[1]


def _families(letters: str, own: tuple[str, ...]) -> tuple[str, ...]:
    chosen, missing = _chosen(letters, own)
    if missing:
        _tell(chr(min(missing)))
    return chosen


@cache
def _chosen(letters: str, own: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[int]]:
    """Return the fonts for letters, and those that none has."""
    if not letters:
        return (), frozenset()
    missing = {ord(c) for c in letters} - _own_letters(own)
    chosen: list[str] = []
    if missing and (by_default := missing & _own_letters((OWN,))):
        # A font of the user's that lacks them: first, the one that comes with matplotlib.
        chosen.append(OWN)
        missing -= by_default
    for name, path in _others() if missing else ():
        if found := missing & _letters(path):
            chosen.append(name)
            missing -= found
        if not missing:
            break
    return tuple(chosen), frozenset(missing)


def _tell(letter: str) -> None:
    if _TOLD:
        return
    _TOLD.append(letter)
    _LOG.warning(
        "no font of this machine has %s, for one: boxes stand for such letters in figures; install a font "
        "that has them, such as Noto Sans CJK",
        letter,
    )


@cache
def _own_letters(own: tuple[str, ...]) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont

    return frozenset().union(
        *(_letters(str(findfont(FontProperties(family=[name])))) for name in own)
    )


@cache
def _letters(path: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):  # a font that the machine lists and FreeType cannot read
        return frozenset()


@cache
def _others() -> Sequence[tuple[str, str]]:
    """Return name and file of one upright font of each family, the best known first."""
    from matplotlib.font_manager import fontManager

    files: dict[str, str] = {}
    for font in sorted(fontManager.ttflist, key=lambda f: (f.style != "normal", str(f.weight))):
        if not font.name.startswith((*_NO_LETTERS, OWN)):
            files.setdefault(font.name, font.fname)

    def place(name: str) -> tuple[int, str]:
        liked = (n for n, known in enumerate(_LIKED) if name.startswith(known))
        return next(liked, len(_LIKED)), name

    return [(name, files[name]) for name in sorted(files, key=place)]
