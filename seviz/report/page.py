"""The templates, with every name from elsewhere escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from seviz.errors import printable
from seviz.report.names import sentence
from seviz.tables.markup import breakable, to_html
from seviz.tables.table import Table

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def environment(blocks: Iterable[str] = ()) -> Environment:
    """Return the templates; what a template asks for and nobody gave is an error.

    Args:
        blocks: Names that become links to the panels of these blocks, in texts that go through ``linked``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("seviz.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["as_table"] = _as_table
    made.filters["sentence"] = sentence
    made.filters["named"] = _named
    made.filters["linked"] = _linker(blocks)
    return made


def _visible(value: Any) -> Any:
    """Return a value of a template; of a text, no character that is not seen or turns what follows it."""
    from markupsafe import Markup

    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(printable, value.split("\n")))


def _linker(blocks: Iterable[str]) -> Callable[[str], Markup]:
    """Return what makes the names of blocks in a text links; all else in it is text."""
    from markupsafe import Markup, escape

    names = sorted(blocks, key=len, reverse=True)
    found = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)") if names else None

    def linked(text: str) -> Markup:
        shown = _visible(text)
        if found is None:
            return escape(shown)
        parts = found.split(shown)
        return Markup("").join(
            Markup('<a href="#block-{0}">{0}</a>').format(part) if i % 2 else escape(part)
            for i, part in enumerate(parts)
        )

    return linked


def _named(name: object) -> Markup:
    from markupsafe import Markup

    return Markup(breakable(printable(str(name))))


def _as_table(table: Table, *, sortable: bool = False, most: int | None = None) -> Markup:
    from markupsafe import Markup

    return Markup(to_html(table, sortable=sortable, most=most))
