"""What the command line says of a record: one JSON document, or text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker
from seviz.cli.findings_text import say_findings
from seviz.results.shares import shown_share

if TYPE_CHECKING:
    from seviz.analysis import Findings
    from seviz.results.ablation import Ablation
    from seviz.results.record import Record


def ablation_beside(record: Record, path: Path, speaker: Speaker) -> Ablation | None:
    """Return the ablation beside a record, if it is of the same network."""
    from seviz.results.ablation import Ablation

    ablation, why_not = Ablation.beside(path, record.header.checkpoint_sha256)
    if why_not:
        speaker.remark(f"note: {why_not}")
    return ablation


def found_in(record: Record, path: Path, speaker: Speaker) -> Findings:
    """Return the findings, with those of the ablation beside the record, if it is of this network."""
    from seviz.analysis import findings

    return findings(record, ablation_beside(record, path, speaker))


def document(record: Record, path: Path, found: Findings) -> dict[str, Any]:
    """Return the JSON document of a record and what was found in it."""
    from seviz.analysis import class_share

    header = record.header
    shares = {s.block: s for s in class_share(record)}
    return {
        "record": str(path),
        "architecture": header.architecture,
        "images": header.images,
        "partial": header.partial,
        "top1": record.top1,
        "classes": record.classes.labels,
        "missing": list(header.missing),
        "extra": list(header.extra),
        "blocks": [
            {
                **b.to_dict(),
                "class_share": shares[b.name].share,
                "class_share_by_chance": shares[b.name].chance,
                "spread": shares[b.name].spread,
                "within": shares[b.name].within,
            }
            for b in record.blocks
        ],
        "preprocessing": header.preprocessing.to_dict(),
        "input_fit": header.fit.to_dict() if header.fit is not None else None,
        "findings": found.to_dict(),
        "warnings": list(found.warnings),
        "figures": [],
        "skipped": [{"image": name, "reason": why} for name, why in header.skipped],
        "notes": list(header.notes),
    }


def say_summary(
    record: Record, found: Findings, speaker: Speaker, asked: Sequence[str] = ()
) -> None:
    """Print what the record is of, and what was found in it."""
    header = record.header
    top1 = f", top-1 {shown_share(record.top1, '.2%')}" if record.top1 is not None else ""
    partial = " (partial)" if header.partial else ""
    speaker.say(
        f"{header.architecture} on {header.source} {header.split}".rstrip()
        + f": {header.images:,} images{partial} of {len(record.classes)} classes{top1}",
        "strong",
    )
    speaker.line()
    say_findings(found, speaker, asked)
