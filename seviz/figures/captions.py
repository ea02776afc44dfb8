"""The caption of a figure: what it shows and how to read it, kept in its files and told beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary
from xml.sax.saxutils import unescape

from seviz.errors import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CAPTIONS: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()
# Bytes at the beginning of a file among which its caption is.
_HEAD = 65536


def set_caption(figure: Figure, *sentences: str) -> None:
    """Give a figure its caption: sentences, of which empty ones are left out, control characters escaped."""
    _CAPTIONS[figure] = printable(" ".join(s for s in sentences if s))


def caption(figure: Figure) -> str:
    """Return the caption of a figure of seviz's; of any other none, an empty string."""
    return _CAPTIONS.get(figure, "")


def caption_of_file(path: Path) -> str:
    """Return the caption that a file of seviz's holds, PNG or SVG; empty where there is none to read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    if path.suffix == ".svg":
        found = re.search(rb"<dc:description>(.*?)</dc:description>", head, re.DOTALL)
        return unescape(found[1].decode("utf-8", "replace")) if found else ""
    if path.suffix == ".png":
        return _text_of_png(head)
    return ""


def _text_of_png(head: bytes) -> str:
    """Return the text "Description" of a PNG, of a chunk tEXt (Latin-1) or iTXt (UTF-8)."""
    place = 8
    while place + 8 <= len(head):
        size, kind = int.from_bytes(head[place : place + 4]), head[place + 4 : place + 8]
        key, _, rest = head[place + 8 : place + 8 + size].partition(b"\0")
        if kind == b"tEXt" and key == b"Description":
            return rest.decode("latin-1")
        if kind == b"iTXt" and key == b"Description":
            # Two bytes on compression, a language and a translated key, each ended by a zero.
            return rest[2:].split(b"\0", 2)[-1].decode("utf-8", "replace")
        if kind == b"IDAT":
            break
        place += 12 + size
    return ""
