"""Bokeh in one file: its code, its charts as data, and the same bytes each time."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bokeh.plotting import figure

# Charts and their WebGL back end; widgets and tables are the page's own elements.
COMPONENTS = ("bokeh", "bokeh-gl")
GLUE = (
    "core.js",
    "address.js",
    "roving.js",
    "matrix.js",
    "blocks.js",
    "thin.js",
    "panels.js",
    "gates.js",
    "thumbs.js",
    "singles.js",
    "channel.js",
    "maps.js",
    "confusion.js",
    "tables.js",
    "page.js",
)


def chart_item(made: figure) -> dict[str, Any]:
    """Return a chart as what ``Bokeh.embed.embed_item`` takes, with ids counted from 1.

    Bokeh counts its ids over the whole process, so that a second report would differ from the first.
    """
    from bokeh.core.json_encoder import serialize_json
    from bokeh.document import Document
    from bokeh.models import GlyphRenderer

    # How glyphs look that are not selected, or muted: nothing on the page is either.
    for renderer in made.renderers:
        if isinstance(renderer, GlyphRenderer):
            renderer.nonselection_glyph = renderer.muted_glyph = None
    document = Document()
    document.add_root(made)
    content = json.loads(serialize_json(document.to_json(deferred=False)))
    document.clear()
    renamed: dict[str, Any] = _renamed({"doc": content, "root_id": made.id}, {})
    return renamed


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            k: names.setdefault(v, f"b{len(names) + 1}")
            if k in ("id", "root_id") and isinstance(v, str)
            else _renamed(v, names)
            for k, v in value.items()
        }
    return [_renamed(v, names) for v in value] if isinstance(value, list) else value


@lru_cache
def scripts() -> tuple[str, ...]:
    """Return the code of the page: Bokeh's from its wheel, then the glue.

    Nothing in it can end the script element it stands in.
    """
    from bokeh.resources import Resources

    resources = Resources(mode="inline", minified=True, components=list(COMPONENTS))
    own = files("seviz.report") / "static"
    glue = "\n".join((own / name).read_text(encoding="utf-8") for name in GLUE)
    return tuple(
        re.sub(r"</(script)", r"<\\/\1", code, flags=re.IGNORECASE)
        for code in (*resources.js_raw[: len(COMPONENTS)], glue)  # the rest sets a log level
    )


def stylesheet() -> str:
    """Return how the page looks."""
    return (files("seviz.report") / "static" / "report.css").read_text(encoding="utf-8")


def content_policy(codes: Sequence[str]) -> str:
    """Return what a browser may do with the page: run these scripts, and fetch nothing.

    Shaders of WebGL are put together as text, which needs ``unsafe-eval``; what a name smuggles into
    the page does not run, since only scripts of these hashes do.
    """
    hashes = [base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in codes]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src 'unsafe-eval' {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
