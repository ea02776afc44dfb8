"""What a report is made from: results, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seviz.analysis import Scores, scores
from seviz.analysis.curves import default_classes
from seviz.errors import DataError
from seviz.report.findings import Findings, find
from seviz.results.ablation import Ablation
from seviz.results.classes import ClassChoice
from seviz.results.cost import AUDIT_NAME, Audit
from seviz.results.evaluation import Evaluation
from seviz.results.files import record_path
from seviz.results.record import Record

if TYPE_CHECKING:
    from seviz.report.thumbnails import Thumbnails


@dataclass(frozen=True, eq=False)
class Inputs:
    """The results of one report.

    Attributes:
        record: Gates and predictions.
        chosen: Classes that are drawn first.
        full: Whether every channel of every class is embedded.
        findings: What the gates do.
        evaluation: The predictions, where they were scored.
        scores: Their metrics.
        audit: What SE costs.
        ablation: What happens with the gates of each block replaced.
        notes: What a reader must know of these files.
        thumbnails: Pictures of single images, where they were asked for.
    """

    record: Record
    chosen: tuple[ClassChoice, ...]
    full: bool
    findings: Findings
    evaluation: Evaluation | None
    scores: Scores | None
    audit: Audit | None
    ablation: Ablation | None
    notes: tuple[str, ...] = ()
    thumbnails: Thumbnails | None = None


def gather(
    source: Record | str | Path,
    *,
    classes: Sequence[str] = (),
    audit: Audit | None = None,
    ablation: Ablation | None = None,
    full: bool = False,
) -> Inputs:
    """Open what a report is made from.

    Args:
        source: A record, its file or its folder; an audit and an ablation beside it are taken if they are
            of the same network.
        classes: Classes to draw first, as in `ClassTable.find`.
        audit: Takes the place of the file.
        ablation: Takes the place of the file.
        full: Embed every channel of every class.

    Raises:
        DataError: If there is no record, or it holds no image.
        UsageError: If a class is unknown.
    """
    notes: list[str] = []
    if isinstance(source, Record):
        record = source
    else:
        record = Record.load(source)
        folder = record_path(source).parent
        audit = audit or _audit_beside(folder, record, notes)
        if ablation is None:
            own_sha256 = record.header.checkpoint_sha256
            ablation, why_not = Ablation.beside(record_path(source), own_sha256)
            notes += [why_not] if why_not else []
    if not record.count.any():
        raise DataError(
            f"expected a record with images, found none from {record.header.source!r}; collect it again"
        )
    chosen = _choose(record, classes, notes)
    evaluation = None
    if "confusion" in record.arrays and record.arrays["confusion"].any():
        evaluation = Evaluation.of_record(record).with_images()
    return Inputs(
        record=record,
        chosen=tuple(chosen),
        full=full,
        findings=find(record, ablation),
        evaluation=evaluation,
        scores=scores(evaluation) if evaluation is not None else None,
        audit=audit,
        ablation=ablation,
        notes=tuple(notes),
    )


def _choose(record: Record, classes: Sequence[str], notes: list[str]) -> list[ClassChoice]:
    """Return the classes to draw first; those that an interrupted pass did not reach are left out."""
    chosen = record.classes.choose(classes or default_classes(record))
    empty = [c.name for c in chosen if not record.count[c.row]]
    if empty and not record.header.partial:
        raise DataError(
            f"expected images of every chosen class, found none of {', '.join(map(repr, empty))}; choose "
            "other classes"
        )
    if empty:
        notes.append(f"the pass ended before there were images of {', '.join(empty)}")
    seen = [c for c in chosen if record.count[c.row]]
    return seen or record.classes.choose(default_classes(record))


def _audit_beside(folder: Path, record: Record, notes: list[str]) -> Audit | None:
    path = folder / AUDIT_NAME
    if not path.is_file():
        return None
    try:
        audit = Audit.load(path)
    except DataError:
        notes.append(
            f"{AUDIT_NAME} beside the record was left out: it is damaged, or another seviz wrote it"
        )
        return None
    header = record.header
    same = (
        audit.checkpoint_sha256 == header.checkpoint_sha256
        if audit.checkpoint_sha256
        else audit.name == header.checkpoint
    )
    if not same:
        notes.append(f"{AUDIT_NAME} beside the record was left out: it is of another network")
    return audit if same else None
