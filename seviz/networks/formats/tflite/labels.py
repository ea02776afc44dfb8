"""Class names that a TFLite file carries: files of text in a zip archive behind the flatbuffer.

TensorFlow Lite's metadata are kept so ("associated files"); any program for zip archives can unpack them.
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

from seviz.networks.class_files import names_in_text
from seviz.networks.class_names import MOST_BYTES, table_of
from seviz.results.classes import ClassTable

_TEXT = frozenset({".txt", ".csv", ".json", ""})
# Files that are looked at: one of labels, for a few languages.
_MOST_FILES = 100


def classes_packed(path: Path, outputs: int | None) -> tuple[ClassTable, str] | None:
    """Return the classes that a packed file names, with the name of that file.

    Args:
        path: The TFLite file.
        outputs: How many outputs the network has; a file of other counts is none of labels for them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            left = MOST_BYTES  # of all files together
            for member in archive.infolist()[:_MOST_FILES]:
                suffix = PurePosixPath(member.filename).suffix.lower()
                if suffix not in _TEXT or not 0 < member.file_size <= left:
                    continue
                with archive.open(member) as file:
                    raw = file.read(left)
                left -= len(raw)
                names = _names(raw, suffix)
                if names is not None and len(names) == outputs:
                    return table_of(names), member.filename
    except Exception:  # what a damaged archive makes its reader do; the network is there without it
        return None
    return None


def _names(raw: bytes, suffix: str) -> list[str] | None:
    try:
        return names_in_text(raw, suffix)
    except (ValueError, RecursionError):
        return None
