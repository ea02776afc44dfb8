"""What is found about each block: where the report meets the analysis of gates."""

from __future__ import annotations

from seviz.analysis import BlockFindings, Estimate, Findings, findings
from seviz.analysis.class_share import variance_parts
from seviz.results.ablation import Ablation
from seviz.results.record import Record
from seviz.results.stats import BlockStats, Floats

__all__ = ["BlockFindings", "Estimate", "Findings", "find", "selectivity"]


def find(record: Record, ablation: Ablation | None) -> Findings:
    """Return the findings of a record; none where the network has no SE block."""
    return findings(record, ablation if record.blocks else None)


def selectivity(stats: BlockStats) -> Floats:
    """Return eta squared of each channel, [C]; 0 where a channel does not move."""
    return variance_parts(stats).eta
