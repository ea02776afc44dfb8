"""A record in a notebook: its numbers and its figures, without scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seviz.report.inputs import gather
from seviz.report.page import environment

if TYPE_CHECKING:
    from seviz.results import Record


def record_html(record: Record) -> str:
    """Return a summary of a record with its figures, for ``Record._repr_html_``."""
    from seviz.report import summary
    from seviz.report.pictures import pictures

    inputs = gather(record)
    made = pictures(inputs)
    template = environment().get_template("notebook.html.j2")
    return template.render(
        title=summary.title(inputs),
        alarms=summary.alarms(inputs),
        numbers=summary.key_numbers(inputs),
        sentences=summary.sentences(inputs),
        pictures=list(made.values()),
    )
