"""What ``seviz compare`` says: one JSON document, or text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker
from seviz.cli.findings_text import say_warnings

if TYPE_CHECKING:
    from seviz.analysis import Comparison
    from seviz.analysis.proportions import Difference
    from seviz.results.subject import NetworkCost, Subject


def document(compared: Comparison, written: Sequence[Path]) -> Mapping[str, Any]:
    """Return the JSON document."""
    return {
        "a": _network(compared.a),
        "b": _network(compared.b),
        "paired": compared.paired,
        "finding": compared.describe(),
        "top1": _difference(compared.top1),
        "top5": _difference(compared.top5),
        "per_class": [
            {
                "name": c.name,
                "images": c.images,
                "recall": _difference(c.recall),
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


def _network(subject: Subject) -> dict[str, Any]:
    cost, record = subject.cost, subject.record
    return {
        "name": subject.name,
        "architecture": record.header.architecture if record is not None else None,
        "images": record.header.images if record is not None else None,
        "params": cost.params if cost is not None else None,
        "macs": cost.macs if cost is not None else None,
        "paper_gflops": cost.paper.giga(cost.paper.with_se) if cost is not None else None,
        "se_blocks": cost.se_blocks if cost is not None else _se_blocks(subject),
    }


def _se_blocks(subject: Subject) -> int | None:
    return len(subject.record.blocks) if subject.record is not None else None


def _difference(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {**asdict(found), "delta": found.delta, "significant": found.significant}


def say(compared: Comparison, top: int, written: Sequence[Path], speaker: Speaker) -> None:
    """Print the text."""
    _say_networks(compared, speaker)
    speaker.line(compared.describe())
    speaker.line()
    say_warnings([f"{side.name}: {text}" for side, text in _warnings(compared)], speaker)
    _say_classes(compared, top, speaker)
    _say_blocks(compared, top, speaker)
    _say_findings(compared, top, speaker)
    for note in compared.notes:
        speaker.remark(f"note: {note}")
    for path in written:
        speaker.line(f"wrote {path}")


def _say_networks(compared: Comparison, speaker: Speaker) -> None:
    rows = []
    for side, subject in enumerate((compared.a, compared.b)):
        cost = subject.cost
        rows.append(
            [
                subject.name,
                *(_share(found, side) for found in (compared.top1, compared.top5)),
                f"{cost.params:,}" if cost is not None else "-",
                _macs(cost.macs) if cost is not None else "-",
                cost.paper.printed[1] if cost is not None else "-",
                str(blocks) if (blocks := _network(subject)["se_blocks"]) is not None else "-",
            ]
        )
    a, b = compared.a.cost, compared.b.cost
    rows.append(
        [
            "difference",
            *(_points(found) for found in (compared.top1, compared.top5)),
            *(_costs(a, b) if a is not None and b is not None else ("-", "-")),
            "",
            "",
        ]
    )
    speaker.table(["", "top-1", "top-5", "parameters", "MACs", "paper's FLOPs", "SE blocks"], rows)
    speaker.line()


def _costs(a: NetworkCost, b: NetworkCost) -> tuple[str, str]:
    def change(before: int, after: int, shown: str) -> str:
        return f"{shown} ({(after - before) / before:+.2%})" if before else shown

    return (
        change(a.params, b.params, f"{b.params - a.params:+,}"),
        change(a.macs, b.macs, f"{'+' * (b.macs >= a.macs)}{_macs(b.macs - a.macs)}"),
    )


def _macs(count: int) -> str:
    """Return MACs in the unit that fits them."""
    size = abs(count)
    if size >= 10**9:
        return f"{count / 10**9:.3f} G"
    return f"{count / 10**6:.2f} M" if size >= 10**5 else f"{count:,}"


def _share(found: Difference | None, side: int) -> str:
    return "-" if found is None else f"{(found.before, found.after)[side]:.2%}"


def _points(found: Difference | None) -> str:
    from seviz.analysis.comparison import shown_interval

    return "-" if found is None else f"{100 * found.delta:+.2f} {shown_interval(found)}"


def _say_classes(compared: Comparison, top: int, speaker: Speaker) -> None:
    from seviz.analysis.comparison import shown_interval, shown_p

    if not compared.classes:
        return
    half = max(1, top // 2)
    shown = compared.classes
    if len(shown) > top:
        shown = (*shown[:half], *shown[-half:])
    speaker.line("recall of each class, largest gain first; p adjusted for all classes (Holm)")
    speaker.table(
        ["class", "images", "A", "B", "points", "95 % interval", "p adjusted", ""],
        [
            [
                c.name,
                f"{c.images:,}",
                f"{c.recall.before:.2%}",
                f"{c.recall.after:.2%}",
                f"{100 * c.recall.delta:+.2f}",
                shown_interval(c.recall),
                shown_p(c.p_adjusted),
                "significant" if c.significant else "",
            ]
            for c in shown
        ],
    )
    if len(compared.classes) > len(shown):
        left = len(compared.classes) - len(shown)
        speaker.line(f"and {left:,} classes in between, in compare_classes.csv")
    speaker.line()


def _say_blocks(compared: Comparison, top: int, speaker: Speaker) -> None:
    if not compared.blocks:
        return

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:+.3f}"

    speaker.line(
        "class means of the gates: drift (root mean square difference), correlation channel by channel, "
        "geometry (correlation of the distances between classes)"
    )
    speaker.table(
        ["block", "channels", "drift", "correlation", "geometry", "spread A", "spread B", ""],
        [
            [
                b.block,
                str(b.channels),
                f"{b.drift:.4f}",
                shown(b.correlation),
                shown(b.geometry),
                *(f"{s:.4f}" for s in b.spreads),
                "" if b.moves else "hardly moves: its geometry means little",
            ]
            for b in compared.blocks[:top]
        ],
    )
    if len(compared.blocks) > top:
        speaker.line(f"and {len(compared.blocks) - top} more blocks, in compare_blocks.csv")
    speaker.line(
        "Drift and correlation mean something where channel i is the same channel in both: one network "
        "trained further, pruned or folded. Two networks trained apart order their channels differently; "
        "geometry does not depend on that order."
    )
    speaker.line()


def _say_findings(compared: Comparison, top: int, speaker: Speaker) -> None:
    """Print class shares and the paper's statements of both networks, side by side."""
    from seviz.analysis.findings.wording import shown

    first, second = compared.findings
    if first is None or second is None:
        return
    shares = [
        {b.block: shown(b.class_share) if b.moves else "hardly moves" for b in found.blocks}
        for found in (first, second)
    ]
    names = list(dict.fromkeys([*shares[0], *shares[1]]))
    speaker.line("share of gate variance explained by class, eta squared [95 % interval]")
    speaker.table(
        ["block", "A", "B"], [[n, *(own.get(n, "-") for own in shares)] for n in names[:top]]
    )
    if len(names) > top:
        speaker.line(f"and {len(names) - top} more blocks; --top lists more")
    speaker.line()
    verdicts = [{s.claim: s.verdict for s in found.statements} for found in (first, second)]
    speaker.table(
        ["what the SENet paper says of its networks", "A", "B"],
        [[claim, *(own.get(claim, "-") for own in verdicts)] for claim in verdicts[0]],
    )
    speaker.line()
