"""What ``seviz confusion`` says: one JSON document, or text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker
from seviz.cli.findings_text import say_warnings

if TYPE_CHECKING:
    from seviz.analysis import BlockContrast, GateConfusion, Scores, Share
    from seviz.report.folder import Written
    from seviz.results.evaluation import Evaluation
    from seviz.results.record import Record
    from seviz.tables import Table


@dataclass(frozen=True)
class Evaluated:
    """An evaluation with all that belongs to it.

    Attributes:
        evaluation: The counts.
        record: Where they come from; ``None`` for a table of predictions.
        record_path: Its file.
        gates: Gates against confusion, block by block.
        warnings: What is wrong with the gates.
        pair: The two classes to explain.
        contrasts: How their gates differ, block by block.
        predictions: File with a row per image.
        interrupted: Whether the pass was interrupted.
    """

    evaluation: Evaluation
    record: Record | None = None
    record_path: Path | None = None
    gates: tuple[GateConfusion, ...] = ()
    warnings: tuple[str, ...] = ()
    pair: tuple[str, str] | None = None
    contrasts: tuple[BlockContrast, ...] = ()
    predictions: Path | None = None
    interrupted: bool = False

    @cached_property
    def scores(self) -> Scores:
        """Return the metrics."""
        from seviz.analysis import scores

        return scores(self.evaluation)


def document(evaluated: Evaluated, drawn: Written, top: int) -> Mapping[str, Any]:
    """Return the JSON document."""
    from seviz.analysis import describe_gate_confusion, ranked_confusions

    evaluation, scores = evaluated.evaluation, evaluated.scores
    header = evaluated.record.header if evaluated.record is not None else None
    gates = list(evaluated.gates)
    return {
        "record": str(evaluated.record_path) if evaluated.record_path is not None else None,
        "architecture": header.architecture if header is not None else None,
        "subject": evaluation.subject,
        "images": scores.images,
        "partial": evaluation.partial,
        "classes": list(evaluation.labels),
        "missing": list(evaluation.missing),
        "extra": list(evaluation.extra),
        "top1": scores.top1.value,
        "top1_interval": _interval(scores.top1),
        "top5": scores.top5.value if scores.top5 is not None else None,
        "top5_interval": _interval(scores.top5),
        "balanced_accuracy": scores.balanced_accuracy,
        "macro": asdict(scores.macro),
        "weighted": asdict(scores.weighted),
        "ece": scores.calibration.ece if scores.calibration is not None else None,
        "calibration": asdict(scores.calibration) if scores.calibration is not None else None,
        "matrix": str(drawn.tables[0]),
        "per_class": [asdict(c) for c in scores.per_class],
        "confusions": [asdict(c) for c in ranked_confusions(evaluation, top)],
        "hardest": [c.name for c in scores.hardest[:top]],
        "gates": [{**asdict(g), "holds": g.holds} for g in gates],
        "gates_finding": describe_gate_confusion(gates) if gates else None,
        "input_fit": header.fit.to_dict()
        if header is not None and header.fit is not None
        else None,
        "warnings": list(evaluated.warnings),
        "explain": {
            "classes": list(evaluated.pair),
            "blocks": [asdict(c) for c in evaluated.contrasts],
        }
        if evaluated.pair is not None
        else None,
        "figures": [str(f) for f in drawn.figures],
        "csv": [str(t) for t in drawn.tables],
        "predictions": str(evaluated.predictions) if evaluated.predictions is not None else None,
        "skipped": [{"image": n, "reason": why} for n, why in header.skipped] if header else [],
        "notes": list(header.notes) if header is not None else [],
    }


def _interval(share: Share | None) -> list[float] | None:
    return [share.low, share.high] if share is not None else None


def say(evaluated: Evaluated, drawn: Written, top: int, speaker: Speaker) -> None:
    """Print the text."""
    from seviz.tables.confusion import classes_table, contrast_table, pairs_table

    _say_scores(evaluated, speaker)
    pairs = pairs_table(evaluated.evaluation)
    if pairs.rows:
        _say_first(pairs, top, "confusion_pairs.csv", speaker)
    else:
        speaker.line("no confusions")
        speaker.line()
    classes = classes_table(evaluated.scores, hardest=True)
    _say_first(classes, top, "confusion_classes.csv", speaker)
    _say_gates(evaluated, speaker)
    if evaluated.pair is not None:
        speaker.table(contrast_table(evaluated.pair, evaluated.contrasts))
    more = [evaluated.predictions] if evaluated.predictions else []
    speaker.wrote([*drawn.files, *more])
    if evaluated.record_path is not None:
        speaker.line(f"record: {evaluated.record_path}")


def _say_scores(evaluated: Evaluated, speaker: Speaker) -> None:
    from seviz.tables.confusion import scores_table

    evaluation, scores = evaluated.evaluation, evaluated.scores
    partial = " (partial)" if evaluation.partial else ""
    speaker.say(f"top-1 {scores.top1} (95 % interval, Wilson)", "strong")
    speaker.say(
        f"{evaluation.subject}: {scores.images:,} images{partial} of {len(evaluation.labels)} classes"
    )
    if scores.calibration is None:
        why = (
            "not in the record: an older seviz kept no confidences"
            if evaluated.record is not None
            else "not known: the table has no column of confidences"
        )
        speaker.say(f"calibration error  {why}")
    if evaluation.missing or evaluation.extra:
        speaker.say(
            f"left out: {len(evaluation.missing)} classes of the network without images, "
            f"{len(evaluation.extra)} folders that are none of its classes"
        )
    speaker.line()
    speaker.table(scores_table(scores))


def _say_first(table: Table, top: int, file: str, speaker: Speaker) -> None:
    left = len(table) - top
    more = (f"and {left:,} more, in {file}",) if left > 0 else ()
    speaker.table(replace(table.first(top), notes=(*table.notes, *more)))


def _say_gates(evaluated: Evaluated, speaker: Speaker) -> None:
    from seviz.analysis import describe_gate_confusion
    from seviz.tables.confusion import gate_confusion_table

    if not evaluated.gates:
        return
    say_warnings(evaluated.warnings, speaker)
    table = gate_confusion_table(evaluated.gates)
    speaker.table(replace(table, notes=(describe_gate_confusion(evaluated.gates),)))
