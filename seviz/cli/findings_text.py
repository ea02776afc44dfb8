"""What the command line says of findings: the paper's statements, a table, the channels of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker

if TYPE_CHECKING:
    from seviz.analysis.findings import Findings, SelectiveChannel

# Channels that are shown of each class, and classes; the CSV has all.
SHOWN_CHANNELS = 3
SHOWN_CLASSES = 6


def say_findings(found: Findings, speaker: Speaker, blocks: Sequence[str] = ()) -> None:
    """Print warnings, the paper's statements, the table of the blocks, and what else was found.

    Args:
        found: The findings.
        speaker: Prints.
        blocks: The blocks that were asked for: the table has these, and of the whole network only the
            warnings are said. All by default.
    """
    from seviz.analysis.findings import remarks
    from seviz.analysis.findings.wording import THIS
    from seviz.tables.findings import blocks_table

    say_warnings(found.warnings, speaker)
    if not found.blocks:
        return
    if not blocks:
        judged = "this one" if found.of == THIS else found.of
        speaker.say(f"What the SENet paper says of its networks, for {judged}", "head")
        for statement in found.statements:
            verdict = f'"{statement.claim}": {statement.verdict}.'
            speaker.say(f"{verdict} {statement.reason}")
        if found.literature:
            speaker.say("What others say of channel attention", "head")
        for statement in found.literature:
            speaker.say(f'"{statement.claim}": {statement.verdict}. {statement.reason}')
        for sentence in remarks(found):
            speaker.say(sentence)
        speaker.line()
    table = blocks_table(found)
    if blocks:
        table = table.only(lambda row: row["block"] in blocks)
    else:
        table = replace(table, notes=(*table.notes, found.method))
    speaker.table(table)


def say_warnings(warnings: Sequence[str], speaker: Speaker) -> None:
    """Print warnings among the results: who reads those must see them."""
    for warning in warnings:
        speaker.say(f"warning: {warning}", "alarm")
    if warnings:
        speaker.line()


def say_selective(
    rows: Sequence[SelectiveChannel], speaker: Speaker, blocks: Sequence[str] = ()
) -> None:
    """Print the channels that answer most to each class, over all blocks, or over those named.

    Those that surely do: whose interval leaves zero out.
    """
    from seviz.tables.findings import selective_table

    asked = [r for r in rows if not blocks or r.block in blocks]
    if not asked:
        return
    sure = [r for r in asked if r.effect.above(0) or r.effect.below(0)]
    if not sure:
        speaker.say(
            "Whether a channel differs between a class and all others cannot be said: no interval leaves "
            "zero out, with so few images; selective_channels.csv has them."
        )
        return
    asked = sure
    classes = list(dict.fromkeys(r.class_name for r in asked))
    shown: list[SelectiveChannel] = []
    for name in classes[:SHOWN_CLASSES]:
        own = (r for r in asked if r.class_name == name)
        shown += sorted(own, key=lambda r: -abs(r.effect.value))[:SHOWN_CHANNELS]
    table = selective_table(shown)
    more = len(classes) - SHOWN_CLASSES
    left = f"and {more:,} more classes, in selective_channels.csv"
    speaker.table(replace(table, notes=(*table.notes, *([left] if more > 0 else []))))


def selective_document(rows: Sequence[SelectiveChannel]) -> list[dict[str, Any]]:
    """Return the JSON form of selective channels."""
    return [asdict(r) for r in rows]
