"""The templates, with every name from elsewhere escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seviz.tables.markup import to_html
from seviz.tables.table import Table

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def environment() -> Environment:
    """Return the templates; what a template asks for and nobody gave is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("seviz.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["as_table"] = _as_table
    return made


def _as_table(table: Table, *, sortable: bool = False, most: int | None = None) -> Markup:
    from markupsafe import Markup

    return Markup(to_html(table, sortable=sortable, most=most))
