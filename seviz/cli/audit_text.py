"""The text of ``seviz audit``: the answer, then the tables behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from seviz.cli.console import Speaker

if TYPE_CHECKING:
    from seviz.results.cost import Audit


def say(result: Audit, speaker: Speaker) -> None:
    """Print an audit; every number with its convention."""
    from seviz.analysis.cost import describe_cost, describe_formula
    from seviz.tables import tables_of

    speaker.say(describe_cost(result), "strong")
    size = "x".join(map(str, result.input_size))
    speaker.line(f"network  {result.name}{f', for one image of {size}' if size else ''}")
    if result.inserted:
        places = result.inserted
        at = f"{places[0]} ... {places[-1]}" if len(places) > 1 else places[0]
        speaker.say(
            f"inserted {len(places)} {result.word} block{'s' * (len(places) != 1)}, at {at}"
        )
    speaker.line()
    for table in tables_of(result).values():
        speaker.table(table)
    if result.blocks and (formula := describe_formula(result)):
        speaker.say(formula)
    if result.totals is not None and not result.not_counted:
        speaker.line("not counted: nothing; every operator is in the table")


def for_paper(result: Audit, kind: str) -> str:
    """Return the tables of an audit for a paper: the network with and without the gates, and these by stage.

    Args:
        result: The audit.
        kind: A format of `seviz.tables`; CSV has one table, the stages.
    """
    from seviz.tables import render
    from seviz.tables.cost import stages_table, totals_table

    stages = stages_table(result)
    size = "x".join(map(str, result.input_size)) or "not known"
    named = f"Cost of {result.word} in {result.name}, input {size}"
    made = [stages] if kind == "csv" else [replace(totals_table(result), caption=named), stages]
    return "\n\n".join(render(table, kind).rstrip("\n") for table in made)
