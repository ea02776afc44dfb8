"""A share in per cent, written one way everywhere. Needs nothing."""

from __future__ import annotations


def shown_share(value: float, form: str = ".1%") -> str:
    """Return a share as people read it: what is not nothing is not 0 %, and what is not all is not 100 %.

    Args:
        value: From 0 to 1.
        form: Python's format, with the digits: ``.2%``.

    >>> shown_share(0.7123), shown_share(0.00004), shown_share(0.99999), shown_share(1.0)
    ('71.2%', '<0.1%', '>99.9%', '100.0%')
    >>> shown_share(0.99996, ".2%")
    '>99.99%'
    """
    text = format(value, form)
    none, every = format(0.0, form), format(1.0, form)
    digits = len(none.partition(".")[2].rstrip("%"))
    least = 10.0**-digits
    if text == none and value > 0:
        return f"<{least:.{digits}f}%"
    return f">{100 - least:.{digits}f}%" if text == every and value < 1 else text
