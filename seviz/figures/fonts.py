"""Letters that the font of the figures has not: from other fonts of the machine, or as numbers, and told."""

from __future__ import annotations

import logging
import re
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
# First word of the Unicode name of letters whose font is not called after their script.
_CJK = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
    "BOPOMOFO",
    "IDEOGRAPHIC",
    "FULLWIDTH",
    "HALFWIDTH",
)
# Letters that run from right to left.
_RIGHT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe"
# Scripts whose letters join, change places or run so: written as they are by matplotlib from 3.11 on.
_SHAPED = re.compile(f"[{_RIGHT}\u0900-\u0dff\u0e80-\u109f\u1780-\u17ff]")
_SHAPING = (3, 11)
# A name from right to left, of one word or several; and the mark that ends it.
_NAME = re.compile(rf"[{_RIGHT}](?:[{_RIGHT}\u200c\u200d '_-]*[{_RIGHT}])?")
_MARK = "\u200e"
# Letters in a row that are all written as numbers.
_MOST = 3
_LOG = logging.getLogger("seviz")
# What was told of: once is enough, of a thousand Chinese names.
_TOLD: set[str] = set()


def families(text: str, own: Sequence[str] = (OWN,)) -> tuple[str, ...]:
    """Return the fonts for a text, beside those it has; none where these have all of its letters.

    Args:
        text: What is written.
        own: Families in which it is written.
    """
    if _SHAPED.search(text):
        _tell_of_joining()
    return _families(_foreign(text), tuple(own))


def drawable(text: str, own: Sequence[str] = (OWN,)) -> str:
    """Return a text with numbers in place of letters that no font of the machine has.

    Boxes would look alike for all names. The first such letter of a script is told, with a font for it.

    Args:
        text: What is to be written.
        own: Families in which it is written.

    >>> drawable("čáp"), drawable("\U0001e922 cat")
    ('čáp', 'U+1E922 cat')
    """
    missing = _chosen(_foreign(text), tuple(own))[1]
    if not missing:
        return text
    _tell(chr(min(missing)))
    none = "".join(map(re.escape, map(chr, sorted(missing))))
    unseen = "".join(map(re.escape, sorted({c for c in text if _is_unseen(c) and not c.isspace()})))
    return re.sub(f"[{none}][{none}{unseen}]*", _numbers, text)


def _numbers(found: re.Match[str]) -> str:
    """Return the numbers of letters; of many, of those that tell names apart: the first two and the last."""
    numbers = [f"U+{ord(c):04X}" for c in found[0] if not _is_unseen(c)]
    return " ".join(numbers if len(numbers) <= _MOST else [*numbers[:2], "…", numbers[-1]])


def left_to_right(text: str) -> str:
    """Return a text in which names that run from right to left leave its own words and numbers in place.

    Without marks a sentence that begins with such a name runs as the name does, and a number after one
    changes sides. A name by itself stays as it is.
    """
    if text.isascii():
        return text
    directions = [unicodedata.bidirectional(c) for c in text]
    if "L" not in directions or not {"R", "AL"} & set(directions):
        return text
    marked = _NAME.sub(rf"\g<0>{_MARK}", text.replace(_MARK, ""))
    return "\n".join(_MARK + line for line in marked.split("\n"))


def _foreign(text: str) -> str:
    return "".join(sorted({c for c in text if ord(c) > 127 and not _is_unseen(c)}))


def _is_unseen(letter: str) -> bool:
    """Return whether nothing is drawn for a letter itself: spaces, joiners, marks of direction."""
    return letter.isspace() or unicodedata.category(letter) == "Cf" or letter in _SELECTORS


def give_letters(text: Text) -> None:
    """Let a text be drawn with all of its letters."""
    own = text.get_fontfamily()
    own = [own] if isinstance(own, str) else list(own)
    if (shown := left_to_right(drawable(text.get_text(), own))) != text.get_text():
        text.set_text(shown)
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
        warnings.filterwarnings("ignore", r"(?s)Glyph \d+ .* missing", UserWarning)
        yield


def has_letters(text: str) -> bool:
    """Return whether figures can show a text; nothing is told."""
    return not _chosen(_foreign(text), (OWN,))[1]


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
    font, package = font_of(letter)
    if font in _TOLD:
        return
    _TOLD.add(font)
    _LOG.warning(
        "no font of this machine has %s, for one: numbers stand for such letters in figures; install %s "
        "(package %s of Debian and Ubuntu)",
        letter,
        font,
        package,
    )


def font_of(letter: str) -> tuple[str, str]:
    """Return a font that has a letter, and the package of it.

    >>> font_of("犬"), font_of("ก"), font_of("\U0001f469")[0]
    (('Noto Sans CJK', 'fonts-noto-cjk'), ('Noto Sans Thai', 'fonts-noto-core'), 'Symbola')
    """
    script = unicodedata.name(letter, "").partition(" ")[0]
    if script.startswith(_CJK):
        return "Noto Sans CJK", "fonts-noto-cjk"
    if not letter.isalpha() and not unicodedata.category(letter).startswith("M"):
        return "Symbola", "fonts-symbola"  # the emoji of other fonts are pictures, and not drawn
    return f"Noto Sans {script.title()}".strip(), "fonts-noto-core"


def _tell_of_joining() -> None:
    import matplotlib

    if "joining" in _TOLD or tuple(map(int, matplotlib.__version__.split(".")[:2])) >= _SHAPING:
        return
    _TOLD.add("joining")
    _LOG.warning(
        "matplotlib %s draws letters that join, or run from right to left, one by one from left to right; "
        "pip install 'matplotlib>=3.11' draws them as they are written",
        matplotlib.__version__,
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
        font = get_font(path)
        # Pictures of letters (colour emoji) cannot be drawn at any size.
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
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
