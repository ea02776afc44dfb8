"""What a notebook shows of a result: the beginning of its tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from seviz.tables import tables_of
from seviz.tables.markup import to_html

# Rows of a table, and tables of a result: enough for a look.
_ROWS, _TABLES = 12, 2


def shown(result: Any) -> str:
    """Return small HTML tables of a result; the rest is in `seviz.tables.tables_of`."""
    tables = [t for t in tables_of(result).values() if t.rows]
    parts = []
    for table in tables[:_TABLES]:
        rows = list(table.rows)
        more = len(rows) - _ROWS
        parts.append(to_html(replace(table, rows=rows[:_ROWS])))
        if more > 0:
            parts.append(f"<p>and {more:,} more rows</p>")
    names = ", ".join(t.name for t in tables)
    parts.append(f"<p><code>seviz.tables.tables_of(...)</code>: {names}</p>")
    return "\n".join(parts)
