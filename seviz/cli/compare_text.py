"""What ``seviz compare`` says: one JSON document, or text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker
from seviz.cli.findings_text import say_warnings

if TYPE_CHECKING:
    from seviz.analysis import Comparison
    from seviz.analysis.proportions import Difference
    from seviz.results.subject import Subject
    from seviz.tables import Table


def document(compared: Comparison, written: Sequence[Path]) -> Mapping[str, Any]:
    """Return the JSON document."""
    return {
        "a": network_document(compared.a),
        "b": network_document(compared.b),
        "paired": compared.paired,
        "finding": compared.describe(),
        "top1": difference_document(compared.top1),
        "top5": difference_document(compared.top5),
        "per_class": [
            {
                "name": c.name,
                "images": c.images,
                "recall": difference_document(c.recall),
                "p_adjusted": c.p_adjusted,
            }
            for c in compared.classes
        ],
        "blocks": [{**asdict(b), "moves": b.moves} for b in compared.blocks],
        "files": [str(path) for path in written],
        "findings": [asdict(f) if f is not None else None for f in compared.findings],
        "warnings": [f"{subject.name}: {warning}" for subject, warning in _warnings(compared)],
        "notes": list(compared.notes),
    }


def _warnings(compared: Comparison) -> list[tuple[Subject, str]]:
    sides = zip((compared.a, compared.b), compared.findings, strict=True)
    return [(side, text) for side, found in sides if found is not None for text in found.warnings]


def network_document(subject: Subject) -> dict[str, Any]:
    """Return what is known of one network."""
    from seviz.tables.comparison import se_blocks

    cost, record = subject.cost, subject.record
    return {
        "name": subject.name,
        "architecture": record.header.architecture if record is not None else None,
        "images": record.header.images if record is not None else None,
        "params": cost.params if cost is not None else None,
        "macs": cost.macs if cost is not None else None,
        "paper_gflops": cost.paper.giga(cost.paper.with_se) if cost is not None else None,
        "se_blocks": se_blocks(subject),
        "gates": _gates(subject),
    }


def _gates(subject: Subject) -> dict[str, int] | None:
    """Return how many blocks there are of each kind that was looked for, by its word."""
    if subject.record is not None:
        return dict(Counter(block.mechanism.key for block in subject.record.blocks))
    return dict(subject.cost.gates) if subject.cost is not None else None


def difference_document(found: Difference | None) -> dict[str, Any] | None:
    """Return how a share changes."""
    if found is None:
        return None
    return {**asdict(found), "delta": found.delta, "significant": found.significant}


def say(compared: Comparison, top: int, written: Sequence[Path], speaker: Speaker) -> None:
    """Print the text: which is better, what is known of both, then classes, blocks and findings."""
    from seviz.tables import tables_of

    for sentence in compared.sentences():
        speaker.say(sentence, "strong")
    speaker.line()
    say_warnings([f"{side.name}: {text}" for side, text in _warnings(compared)], speaker)
    for name, table in tables_of(compared).items():
        shown, left = _ends(table, top) if name == "compare_classes" else (table, 0)
        if name in ("compare_blocks", "compare_shares"):
            shown, left = table.first(top), max(0, len(table) - top)
        more = (f"and {left:,} more; --top lists more, {_FILES.get(name, '--json')} has all",)
        speaker.table(replace(shown, notes=(*table.notes, *(more if left else ()))))
    for note in compared.notes:
        speaker.remark(f"note: {note}")
    speaker.wrote(written)


# Where all rows of a table are.
_FILES = {name: f"{name}.csv" for name in ("compare_classes", "compare_blocks")}


def _ends(table: Table, top: int) -> tuple[Table, int]:
    """Return the first and the last rows, the largest gains and losses, and how many are between."""
    rows, half = tuple(table.rows), max(1, top // 2)
    if len(rows) <= top:
        return table, 0
    return replace(table, rows=(*rows[:half], *rows[-half:])), len(rows) - 2 * half
