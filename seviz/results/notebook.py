"""What a notebook shows of a result: a few lines, computed in no time."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from html import escape
from typing import Any


class Shown:
    """Base of results that a notebook shows as small tables.

    Tables are built above the results, so they are asked of the package when a notebook asks.
    """

    def _repr_html_(self) -> str:
        """Return the beginning of the tables."""
        return tables_html(self)


def tables_html(result: object) -> str:
    """Return the beginning of a result's tables."""
    package: Any = sys.modules["seviz"]  # the views are above what this part may import
    shown: str = package.shown_in_notebook(result)
    return shown


def summary_html(title: str, values: Mapping[str, str], hint: str = "") -> str:
    """Return a small table of names and values; empty values are left out.

    Args:
        title: What it is of.
        values: What is known of it.
        hint: What to call for more.

    >>> print(summary_html("a <net>", {"images": "364", "note": ""}))
    <table><caption>a &lt;net&gt;</caption><tr><th>images</th><td>364</td></tr></table>
    """
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in values.items()
        if value
    )
    foot = f"<p><code>{escape(hint)}</code></p>" if hint else ""
    return f"<table><caption>{escape(title)}</caption>{rows}</table>{foot}"
