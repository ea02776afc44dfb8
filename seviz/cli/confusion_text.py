"""What ``seviz confusion`` says: one JSON document, or text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
    _say_scores(evaluated, speaker)
    _say_confusions(evaluated, top, speaker)
    _say_classes(evaluated.scores, top, speaker)
    _say_gates(evaluated, speaker)
    _say_pair(evaluated, speaker)
    for path in [*drawn.files, *([evaluated.predictions] if evaluated.predictions else [])]:
        speaker.line(f"wrote {path}")
    if evaluated.record_path is not None:
        speaker.line(f"record: {evaluated.record_path}")


def _say_scores(evaluated: Evaluated, speaker: Speaker) -> None:
    evaluation, scores = evaluated.evaluation, evaluated.scores
    partial = " (partial)" if evaluation.partial else ""
    speaker.line(
        f"{evaluation.subject}: {scores.images:,} images{partial} of {len(evaluation.labels)} classes"
    )
    speaker.line()
    speaker.line(f"top-1              {scores.top1} (95 % interval, Wilson)")
    if scores.top5 is not None:
        speaker.line(f"top-5              {scores.top5}")
    speaker.line(f"balanced accuracy  {scores.balanced_accuracy:.2%}")
    for name, average in (("macro average", scores.macro), ("weighted average", scores.weighted)):
        speaker.line(
            f"{name:18} precision {average.precision:.2%}, recall {average.recall:.2%}, F1 {average.f1:.2%}"
        )
    curve = scores.calibration
    if curve is not None:
        speaker.line(
            f"calibration error  {curve.ece:.2%} (mean confidence {curve.confidence:.2%}, "
            f"{len(curve.bins)} bins)"
        )
    elif evaluated.record is not None:
        speaker.line("calibration error  not in the record: an older seviz kept no confidences")
    else:
        speaker.line("calibration error  not known: the table has no column of confidences")
    if evaluation.missing or evaluation.extra:
        speaker.line(
            f"left out           {len(evaluation.missing)} classes of the network without images, "
            f"{len(evaluation.extra)} folders that are none of its classes"
        )
    speaker.line()


def _say_confusions(evaluated: Evaluated, top: int, speaker: Speaker) -> None:
    from seviz.analysis import ranked_confusions

    every = ranked_confusions(evaluated.evaluation)
    if not every:
        speaker.line("no confusions")
    for confused in every[:top]:
        speaker.line(str(confused))
    if len(every) > top:
        speaker.line(f"and {len(every) - top:,} less frequent confusions, in confusion_pairs.csv")
    speaker.line()


def _say_classes(scores: Scores, top: int, speaker: Speaker) -> None:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.2%}"

    empty = [c for c in scores.per_class if not c.support]
    rows = [
        [c.name, f"{c.support:,}", shown(c.precision), shown(c.recall), shown(c.f1)]
        for c in scores.hardest[:top]
    ]
    rows += [[c.name, "0", shown(c.precision), "no samples", shown(c.f1)] for c in empty[:top]]
    speaker.table(["class, hardest first", "images", "precision", "recall", "F1"], rows)
    left = len(scores.per_class) - len(rows)
    if left:
        speaker.line(f"and {left:,} more classes, in confusion_classes.csv")
    speaker.line()


def _say_gates(evaluated: Evaluated, speaker: Speaker) -> None:
    from seviz.analysis import describe_gate_confusion

    if not evaluated.gates:
        return
    say_warnings(evaluated.warnings, speaker)
    speaker.line("distance of two classes' mean gates against how often they are confused")
    speaker.table(
        ["block", "rank correlation", "p", "p corrected", ""],
        [
            [
                g.block,
                "-" if g.correlation is None else f"{g.correlation:+.3f}",
                "-" if g.p is None else f"{g.p:.3f}",
                "-" if g.p_corrected is None else f"{g.p_corrected:.3f}",
                "" if g.moves else "hardly moves: its distances mean little",
            ]
            for g in evaluated.gates
        ],
    )
    speaker.line(describe_gate_confusion(evaluated.gates))
    speaker.line()


def _say_pair(evaluated: Evaluated, speaker: Speaker) -> None:
    if evaluated.pair is None:
        return
    first, second = evaluated.pair
    speaker.line(
        f"gates of {first} against {second}: distance of the means, its place among all pairs (1: the most "
        "alike), channels that differ most with their effect size (Cohen's d)"
    )
    speaker.table(
        ["block", "distance", "place", "channels", ""],
        [
            [
                c.block,
                f"{c.distance:.4f}",
                f"{c.rank} of {c.pairs}",
                ", ".join(f"#{x.channel} ({x.effect:+.2f})" for x in c.channels),
                "" if c.moves else "hardly moves",
            ]
            for c in evaluated.contrasts
        ],
    )
    speaker.line()
