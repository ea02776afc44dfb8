"""The rows of the findings: the numbers of each block, the paper's statements, the channels of a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from seviz.analysis.findings import BlockFindings, Findings, SelectiveChannel
from seviz.analysis.findings.literature import LITERATURE
from seviz.analysis.findings.verdicts import FAILS, UNKNOWN
from seviz.analysis.findings.wording import THIS, remark
from seviz.tables.csv_files import write_csv
from seviz.tables.table import Cell, Column, Table


def _on_classes(key: str) -> Callable[[BlockFindings], Any]:
    """Take a number that means little where the gates of the block hardly move."""
    take = attrgetter(key)

    def value(block: BlockFindings) -> Any:
        found = take(block)
        return found if block.moves or found is None else Cell(found, "faint")

    return value


def _interval(key: str) -> tuple[str, str]:
    return f"{key}_low", f"{key}_high"


def _estimate(key: str, title: str, form: str, *, rank: int, brief: bool = True) -> Column:
    return Column(key, title, form, ends=_interval(key), rank=rank, brief=brief)


def _about_classes(key: str, title: str, form: str, *, rank: int, brief: bool = True) -> Column:
    return Column(key, title, form, _on_classes(key), ends=_interval(key), rank=rank, brief=brief)


_BLOCKS = (
    Column("block", "block"),
    Column("channels", "channels", "d", rank=2),
    Column("images"),
    Column("moves"),
    Column("dead"),
    _about_classes("class_share", "class share", ".3f", rank=0, brief=False),
    Column("shuffled", "shuffled labels", ".3f", _on_classes("shuffled"), rank=4),
    _about_classes("corrected", "", ".3f", rank=9),
    Column("p_value"),
    Column("p_corrected"),
    _estimate("spread", "spread", ".4f", rank=0),
    _estimate("within", "within class", ".4f", rank=5),
    _about_classes("correlation", "class correlation", ".3f", rank=7),
    _estimate("high", "above 0.95", ".1%", rank=1),
    _estimate("low", "below 0.05", ".1%", rank=1),
    _estimate("dead_channels", "dead channels", ".0f", rank=3),
    _about_classes("scale_only", "scale only", ".1%", rank=6),
    Column("least_factor", get=lambda b: b.factors[0] if b.factors else None),
    Column("largest_factor", get=lambda b: b.factors[1] if b.factors else None),
    Column("constant"),
    Column("", "remark", get=remark),
)


def blocks_table(findings: Findings) -> Table:
    """Return every number of each block, in forward order, with its interval."""
    note = "class share: share of gate variance explained by class, eta squared [95 % interval]"
    if any(b.still for b in findings.blocks):
        note += "; in brackets where the gates hardly move, and it means nothing"
    return Table.of("blocks", "Findings of every block", _BLOCKS, findings.blocks, (note,))


_VERDICTS = {UNKNOWN: "faint", FAILS: "strong"}
_STATEMENTS = (
    Column("claim", "what the SENet paper says of its networks"),
    Column("verdict", "for this one", get=lambda s: s.verdict),
    Column("reason", "why"),
)


def statements_caption(findings: Findings) -> str:
    """Return whose statements they are, and, where that is not SE, what they are judged for."""
    caption = "The SENet paper's statements"
    return caption if findings.of == THIS else f"{caption}, judged for {findings.of}"


def statements_table(findings: Findings) -> Table:
    """Return the paper's statements, judged for this network."""
    return Table.of("statements", statements_caption(findings), _STATEMENTS, findings.statements)


LITERATURE_CAPTION = "What the literature says of channel attention"
# Who says it, by statement.
SOURCES = {claim.text: claim.source for claim in LITERATURE}
_LITERATURE = (
    Column("claim", "what others say of channel attention", get=lambda s: s.claim),
    Column("source", "source", get=lambda s: SOURCES[s.claim]),
    Column("verdict", "for this one", get=lambda s: s.verdict),
    Column("reason", "why", get=lambda s: s.reason),
)


def literature_table(findings: Findings) -> Table:
    """Return what others than the SENet paper say, judged for this network, with its source."""
    return Table.of("literature", LITERATURE_CAPTION, _LITERATURE, findings.literature)


_SELECTIVE = (
    Column("class", "class", get=lambda r: r.class_name),
    Column("block", "block"),
    Column("channel", "channel", "d"),
    Column("gate", "gate", ".3f", lambda r: r.own, rank=1),
    Column("all", "all classes", ".3f", lambda r: r.everything, rank=2),
    Column("effect", "effect", "+.2f", ends=_interval("effect")),
)


def selective_table(rows: Sequence[SelectiveChannel]) -> Table:
    """Return one row per class, block and channel, as `selective_channels` returns them."""
    notes = ("effect: Hedges' g [95 %, for all channels together]",)
    caption = "Channels that differ most from all other classes"
    return Table.of("selective_channels", caption, _SELECTIVE, rows, notes)


def write_findings_csv(findings: Findings, path: str | Path) -> Path:
    """Write `blocks_table` as CSV; what is undefined, or has no interval, is an empty cell."""
    return write_csv(blocks_table(findings), path)


def write_selective_csv(rows: Sequence[SelectiveChannel], path: str | Path) -> Path:
    """Write `selective_table` as CSV."""
    return write_csv(selective_table(rows), path)
