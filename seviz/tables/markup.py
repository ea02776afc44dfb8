"""Tables as HTML, LaTeX and Markdown; what names hold is text there, never markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from seviz.analysis.findings.estimates import Estimate
from seviz.errors import printable
from seviz.tables.table import NOTHING, Cell, Column, Table, plain

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "²": "$^2$",
    "–": "--",  # noqa: RUF001
    **{mark: f"\\{mark}" for mark in "%_&#${}"},
}
# An underscore within a word is none of Markdown's marks, and a "#" only begins a heading.
_MARKDOWN = re.compile(r"[\\`*|<>~]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")


# A word that is wider than the column of a phone, and where it may go on in the next line.
_LONG_WORD = re.compile(r"\S{15,}")
_BREAK = re.compile(r"(?<=[_./\-])(?=\w)")


def breakable(name: str) -> str:
    """Return a name as HTML; a long word of it may be broken after its marks, and not within its parts.

    >>> breakable("se_resnet20_cifar10.pt"), breakable("SE_2_1 <b>")
    ('se_<wbr>resnet20_<wbr>cifar10.<wbr>pt', 'SE_2_1 &lt;b&gt;')
    """
    return _LONG_WORD.sub(lambda word: _BREAK.sub("<wbr>", word[0]), escape(name))


def to_html(table: Table, *, sortable: bool = False, most: int | None = None) -> str:
    """Return a table as the ``<table>`` of a page.

    Args:
        table: The table.
        sortable: Whether the titles are buttons, for a script to sort by.
        most: Rows beyond that many bear the class ``beyond``; all are shown by default.
    """
    columns = _seen(table)
    head = "".join(_html_title(c, place, sortable) for place, (_, c) in enumerate(columns))
    body = []
    for number, row in enumerate(table.rows, start=1):
        cells = (_html_cell(c, row[i], place == 0) for place, (i, c) in enumerate(columns))
        beyond = ' class="beyond"' if most and number > most else ""
        body.append(f"<tr{beyond}>{''.join(cells)}</tr>")
    caption = f"<caption>{escape(printable(table.caption))}</caption>" if table.caption else ""
    shown = f' data-shown="{most}"' if most else ""
    parts = (
        f"<table{shown}>",
        caption,
        f"<thead>\n<tr>{head}</tr>\n</thead>",
        "<tbody>",
        *body,
        "</tbody>",
    )
    return "\n".join((*filter(None, parts), "</table>"))


def _html_title(column: Column, place: int, sortable: bool) -> str:
    name = ' class="name"' if column.is_text else ""
    text = escape(column.heading)
    if not (sortable and text):
        return f'<th scope="col"{name}>{text}</th>'
    button = f'<button type="button" class="sort" data-column="{place}">{text}</button>'
    return f'<th scope="col"{name} aria-sort="none">{button}</th>'


def _html_cell(column: Column, value: Any, first: bool) -> str:
    text = (breakable if column.is_text else escape)(column.shown(value))
    if isinstance(value, Cell) and value.link:
        text = f'<a href="{escape(value.link)}">{text}</a>'
    how = f" {value.how}" if isinstance(value, Cell) else ""
    if first and column.is_text:
        return f'<th scope="row"><bdi>{text}</bdi></th>'
    if column.is_text:
        return f'<td class="name{how}"><bdi>{text}</bdi></td>'
    number = plain(value)
    number = number.value if isinstance(number, Estimate) else number
    kind = f' class="{how.strip()}"' if how else ""
    if number is None:
        return f"<td{kind}>{text if text != NOTHING else '–'}</td>"  # noqa: RUF001
    # All of its digits, for a script to sort by.
    return f'<td{kind} data-sort="{float(number)!r}">{text}</td>'


def to_latex(table: Table) -> str:
    """Return a table as a ``tabular`` of booktabs, its caption and notes as comments."""
    said = [f"% {printable(line)}" for line in (table.caption, *table.notes) if line]
    rows = _texts(table, _latex)
    body = rows[1:]
    cut = len(body) - table.foot
    kinds = "".join("l" if c.is_text else "r" for _, c in _seen(table))
    lines = [" & ".join(row) + r" \\" for row in body]
    return "\n".join(
        [
            *said,
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            " & ".join(rows[0]) + r" \\",
            r"\midrule",
            *lines[:cut],
            *([r"\midrule", *lines[cut:]] if table.foot else []),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _latex(text: str) -> str:
    shown = "".join(_LATEX.get(c, c) for c in text)
    return shown.replace(" x ", r" $\times$ ")


def to_markdown(table: Table) -> str:
    """Return a table as Markdown (GitHub's), its caption above and its notes below it."""
    titles, *rows = _texts(table, _plain)
    rule = ["---" if c.is_text else "---:" for _, c in _seen(table)]
    lines = [f"| {' | '.join(row)} |" for row in (titles, rule, *rows)]
    caption, *notes = (_plain(printable(text)) for text in (table.caption, *table.notes))
    return "\n\n".join(filter(None, (caption, "\n".join(lines), *notes)))


def _plain(text: str) -> str:
    """Return a text in which nothing is a mark of Markdown."""
    return _MARKDOWN.sub(r"\\\g<0>", text)


def _seen(table: Table) -> list[tuple[int, Column]]:
    return [(i, c) for i, c in enumerate(table.columns) if c.title]


def _texts(table: Table, safe: Callable[[str], str]) -> list[Sequence[str]]:
    """Return the titles and the rows as people read them, made safe for one language."""
    columns = _seen(table)
    rows = ([c.shown(row[i]) or NOTHING for i, c in columns] for row in table.rows)
    return [[safe(text) for text in row] for row in ([c.heading for _, c in columns], *rows)]
