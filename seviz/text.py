"""Text from elsewhere, fit to be shown: on one line, and without what would write to the terminal."""

from __future__ import annotations

_LONGEST = 1500


def printable(text: str) -> str:
    r"""Escape line breaks, control characters and marks that change the direction of writing.

    >>> print(printable("a\nb\x1b[2J"))
    a\nb\x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


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
