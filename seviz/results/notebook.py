"""What a notebook shows of a result: a few lines, computed in no time."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


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
