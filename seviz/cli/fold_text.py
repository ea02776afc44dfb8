"""What ``seviz fold`` says: one JSON document, or text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker
from seviz.results.shares import shown_share

if TYPE_CHECKING:
    from seviz.analysis.proportions import PairedDifference
    from seviz.pruning.folding import Folded
    from seviz.results.cost import Latency


@dataclass(frozen=True)
class Judged:
    """What folding changed, as far as it was measured."""

    macs_before: int
    macs_after: int
    top1: PairedDifference | None
    latency: Latency | None


def document(
    folded: Folded, judged: Judged, target: Path, exported: Path | None, notes: tuple[str, ...]
) -> dict[str, Any]:
    """Return the JSON document."""
    top1, latency = judged.top1, judged.latency
    return {
        "output": str(target),
        "exported": str(exported) if exported is not None else None,
        "params_before": folded.params_before,
        "params_after": folded.params_after,
        "macs_before": judged.macs_before,
        "macs_after": judged.macs_after,
        "top1": {
            "before": top1.before,
            "after": top1.after,
            "delta": top1.delta,
            "ci_low": top1.low,
            "ci_high": top1.high,
            "p_value": top1.p_value,
            "lost": top1.lost,
            "won": top1.won,
            "images": top1.images,
        }
        if top1 is not None
        else None,
        "latency": asdict(latency) if latency is not None else None,
        "difference": folded.difference,
        "blocks": [
            {
                "name": b.name,
                "path": b.block.path,
                "into": list(b.into),
                "how": b.how,
                "params": b.params,
            }
            for b in folded.blocks
        ],
        "notes": list(notes),
    }


def say(
    folded: Folded, judged: Judged, target: Path, exported: Path | None, speaker: Speaker
) -> None:
    """Print the blocks, and what became of size, top-1 and time."""
    from seviz.tables.blocks import folded_table

    speaker.table(folded_table(folded.blocks))
    gone = folded.params_before - folded.params_after
    speaker.line(
        f"parameters  {folded.params_before:,} -> {folded.params_after:,} (-{gone:,}, "
        f"-{gone / folded.params_before:.2%})"
    )
    speaker.line(f"MACs        {judged.macs_before:,} -> {judged.macs_after:,}")
    if (top1 := judged.top1) is not None:
        before, after = (shown_share(share, ".2%") for share in (top1.before, top1.after))
        speaker.line(
            f"top-1       {before} -> {after} ({100 * top1.delta:+.2f} points, 95 % "
            f"interval {100 * top1.low:+.2f} to {100 * top1.high:+.2f}; {top1.lost} images lost, {top1.won} "
            f"won, p = {top1.p_value:.2g})"
        )
    if (time := judged.latency) is not None:
        spread = f"[{time.ratio_low:.3f}, {time.ratio_high:.3f}]"
        if time.ratio_low <= 1 <= time.ratio_high:
            spread += ", which may be chance"
        said = (
            f"before takes {time.ratio:.3f} times as long {spread}"
            if time.tells
            else f"of {time.pairs} pair{'s' * (time.pairs > 1)} no ratio can be said; give --pairs"
        )
        speaker.line(
            f"one image   {time.with_se_ms:.2f} -> {time.without_se_ms:.2f} ms on {time.device}: {said}"
        )
    speaker.line(
        f"check       outputs within {folded.difference:.1g} of those with the gates held, relative to the "
        "largest"
    )
    for file in dict.fromkeys((target, exported)):
        if file is not None:
            speaker.line(f"wrote {file}")
