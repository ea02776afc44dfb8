"""What the command line says of findings: a table, the paper's statements, the channels of a class."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker

if TYPE_CHECKING:
    from seviz.analysis.findings import BlockFindings, Findings, SelectiveChannel

# Columns of text that a terminal has.
WIDTH = 110
# Channels that are shown of each class, and classes; the CSV has all.
SHOWN_CHANNELS = 3
SHOWN_CLASSES = 6


def say_findings(found: Findings, speaker: Speaker) -> None:
    """Print the table of the blocks, warnings, the paper's statements, and what else was found."""
    from seviz.analysis.findings import remarks

    say_warnings(found.warnings, speaker)
    if not found.blocks:
        return
    speaker.line(
        "class share: share of gate variance explained by class, eta squared [95 % interval]"
    )
    speaker.table(
        ["block", "C", "class share", "shuffled", "spread", "within", ">0.95", "<0.05", "dead", ""],
        [_row(block) for block in found.blocks],
    )
    speaker.line()
    speaker.line("what the SENet paper says of its networks, for this one")
    for statement in found.statements:
        _say_wrapped(f'"{statement.claim}": {statement.verdict}. {statement.reason}', speaker)
    speaker.line()
    for sentence in (*remarks(found), found.method):
        _say_wrapped(sentence, speaker)
    speaker.line()


def say_warnings(warnings: Sequence[str], speaker: Speaker) -> None:
    """Print warnings among the results: who reads those must see them."""
    for warning in warnings:
        _say_wrapped(f"warning: {warning}", speaker)
    if warnings:
        speaker.line()


def say_selective(rows: Sequence[SelectiveChannel], speaker: Speaker) -> None:
    """Print the channels that answer most to each class, over all blocks."""
    if not rows:
        return
    from seviz.analysis.findings.wording import shown

    classes = list(dict.fromkeys(r.class_name for r in rows))
    table = []
    for name in classes[:SHOWN_CLASSES]:
        own = sorted((r for r in rows if r.class_name == name), key=lambda r: -abs(r.effect.value))
        table += [
            [
                r.class_name,
                r.block,
                str(r.channel),
                f"{r.own:.3f}",
                f"{r.everything:.3f}",
                shown(r.effect, 2),
            ]
            for r in own[:SHOWN_CHANNELS]
        ]
    speaker.line(
        "channels that differ most from all other classes: effect size (Hedges' g) [95 %, for all channels "
        "together]"
    )
    speaker.table(["class", "block", "channel", "gate", "all", "effect"], table)
    more = len(classes) - SHOWN_CLASSES
    if more > 0:
        speaker.line(f"and {more:,} more classes, in selective_channels.csv")
    speaker.line()


def selective_document(rows: Sequence[SelectiveChannel]) -> list[dict[str, Any]]:
    """Return the JSON form of selective channels."""
    return [asdict(r) for r in rows]


def _row(block: BlockFindings) -> list[str]:
    from seviz.analysis.findings.wording import remark, shown

    share = "-" if block.class_share is None else shown(block.class_share)
    if not block.moves and block.class_share is not None:
        # No interval: it would lend weight to a number that means nothing.
        share = f"({block.class_share.value:.3f})"
    return [
        block.block,
        str(block.channels),
        share,
        "-" if block.shuffled is None else f"{block.shuffled:.3f}",
        f"{block.spread.value:.4f}",
        "-" if block.within is None else f"{block.within.value:.4f}",
        _share(block.high.value),
        _share(block.low.value),
        f"{block.dead_channels.value:.0f}" if block.dead_channels.value else "-",
        remark(block),
    ]


def _share(value: float) -> str:
    if not value:
        return "-"
    return f"{100 * value:.1f}%" if value >= 0.0005 else "<0.1%"


def _say_wrapped(text: str, speaker: Speaker) -> None:
    for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False):
        speaker.line(line)
