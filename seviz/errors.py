"""Every error that seviz raises on purpose, and the one warning.

    SevizError              exit code
    ├── UsageError          2    the request cannot be understood
    ├── CheckpointError     3    the checkpoint is refused, or does not fit
    │   ├── NoSEBlockError  3    the network has no SE block; says what was found instead
    │   └── UnknownArchitectureError
    │                       3    no known network has such tensors; lists the nearest
    ├── DataError           4    the images, or their classes
    │   └── EndedEarlyError 4    a pass that could not go on; `record` is of the images before
    └── DeviceError         5    device or memory

A message is one line: what was expected, what was found, what to do. Only the command line turns an
error into text and an exit code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

_LONGEST = 1500
# Format characters that are spelling: joiners (Persian, Indic scripts, emoji of several parts), signs that
# stand around numbers and letters (Arabic, Syriac, Kaithi), and the letters of a flag of a region.
_SPELLING = re.compile(
    "[\u200c\u200d\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]"
    "|(?<=\U0001f3f4)[\U000e0020-\U000e007e]+\U000e007f"
)


def printable(text: str) -> str:
    r"""Escape line breaks, control characters and marks that change the direction of writing.

    What spelling needs stays as it is: joiners, the spaces of all scripts.

    >>> print(printable("a\nb\x1b[2J"))
    a\nb\x1b[2J
    >>> printable("\u0645\u06cc\u200c\u0634\u0648\u062f") == "\u0645\u06cc\u200c\u0634\u0648\u062f"
    True
    """
    if text.isprintable():
        return text
    kept = {i for found in _SPELLING.finditer(text) for i in range(*found.span())}
    return "".join(
        c if c.isprintable() or i in kept or unicodedata.category(c) == "Zs" else repr(c)[1:-1]
        for i, c in enumerate(text)
    )


def one_line(text: str) -> str:
    """Return printable text that has its middle left out where it is too long to be read.

    >>> len(one_line("expected " + "x" * 10_000 + "; shorten it"))
    1500
    """
    shown = printable(text)
    if len(shown) <= _LONGEST:
        return shown
    gap = " ... "
    end = _LONGEST // 3
    return shown[: _LONGEST - end - len(gap)] + gap + shown[-end:]


class SevizError(Exception):
    """Root of the tree; never raised itself.

    Args:
        message: The line; what would break it, in names from a file, is escaped.
        details: Lists too long for it, by what they list.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, details: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(one_line(message))
        self.details: Mapping[str, Sequence[str]] = details or {}


class UsageError(SevizError):
    """The request cannot be understood: unknown class, block, option value."""

    exit_code = 2


class CheckpointError(SevizError):
    """The checkpoint is refused, or does not fit the architecture or the data."""

    exit_code = 3


class NoSEBlockError(CheckpointError):
    """The network has no SE block."""


class UnknownArchitectureError(CheckpointError):
    """No known network has tensors of these names and shapes."""


class DataError(SevizError):
    """Images cannot be found or read, or their classes do not match the model's."""

    exit_code = 4


class EndedEarlyError(DataError):
    """A pass that could not go on: what came before is in `record`, marked as partial.

    Args:
        message: The line.
        record: A `seviz.Record`.
    """

    def __init__(self, message: str, record: Any) -> None:
        super().__init__(message)
        self.record = record


class DeviceError(SevizError):
    """The device does not exist, or its memory is not enough."""

    exit_code = 5


class RecordWarning(UserWarning):
    """The numbers of a record are not what they seem."""
