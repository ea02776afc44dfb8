"""Names from elsewhere: on one line, whatever is in them, and cut where they are too long for a label."""

from __future__ import annotations

from seviz.errors import printable

LONGEST = 60


def shown(name: str) -> str:
    r"""Return a name in which nothing changes the line or the direction of writing.

    >>> print(shown("a\u202eb"))
    a\u202eb
    """
    return printable(name)


def short(name: str, longest: int = LONGEST) -> str:
    """Return a name without its middle where it is too long for the label of a chart.

    >>> short("x" * 300, 9)
    'xxxx…xxxx'
    """
    name = shown(name)
    if len(name) <= longest:
        return name
    return f"{name[: longest // 2]}…{name[-(longest - longest // 2 - 1) :]}"
