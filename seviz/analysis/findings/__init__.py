"""What a network's gates show, as numbers with intervals; docs/findings.md defines each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from seviz.analysis.findings.blocks import BlockFindings, Measured, measure
from seviz.analysis.findings.estimates import Drawn, Estimate
from seviz.analysis.findings.literature import LITERATURE
from seviz.analysis.findings.selective import SelectiveChannel, selective_channels
from seviz.analysis.findings.shuffling import shuffle_labels
from seviz.analysis.findings.statements import Evidence, judge, no_intervals
from seviz.analysis.findings.verdicts import Statement
from seviz.analysis.findings.wording import Findings, failures, remarks, sentences
from seviz.errors import DataError
from seviz.results.ablation import Ablation
from seviz.results.alarms import alarms
from seviz.results.distances import read_distances
from seviz.results.record import Record
from seviz.results.stats import Floats

__all__ = [
    "BlockFindings",
    "Estimate",
    "Findings",
    "SelectiveChannel",
    "Statement",
    "failures",
    "findings",
    "gate_warnings",
    "remarks",
    "selective_channels",
    "sentences",
]


def findings(
    record: Record,
    ablation: Ablation | None = None,
    *,
    distances: str | Path | Floats | None = None,
) -> Findings:
    """Return what the gates of a record show, block by block, and what that says of the paper's statements.

    Args:
        record: A network with SE on a source. Records of an older seviz keep no single images, and have
            numbers without intervals.
        ablation: Of the same network; without one nothing is said on which blocks matter.
        distances: How far the record's classes are apart: a CSV file as `read_distances` takes it, or [K, K].

    Raises:
        DataError: If the record holds no image.
        UsageError: If the ablation is of another network.

    >>> import seviz
    >>> found = seviz.findings(seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits"))
    >>> [s.verdict for s in found.statements]
    ['does not hold', 'holds', 'does not hold', 'cannot be said']
    """
    if not record.count.any():
        raise DataError(
            f"expected a record with images, found none from {record.header.source!r}; "
            "collect it again"
        )
    if not record.blocks:
        none = "There is no SE block, hence no gate."
        return Findings((), (), alarms(record), none, record.header.images, 0)
    sample = record.sample(record.blocks[0].name)
    drawn = Drawn.of(sample.rows, record.count) if sample is not None else None
    measured = _with_p_values(record, [measure(record, b, drawn) for b in record.blocks])
    blocks = tuple(m.findings for m in measured)
    partial = f"the record is partial: interrupted after {record.header.images:,} images"
    if isinstance(distances, str | Path):
        distances = read_distances(distances, record.classes)
    evidence = Evidence(record, measured, drawn, ablation, distances)
    return Findings(
        blocks=blocks,
        statements=tuple(judge(evidence)),
        literature=tuple(judge(evidence, LITERATURE)),
        warnings=(
            *alarms(record),
            *failures(blocks),
            *([partial] if record.header.partial else []),
        ),
        method=_method(record, drawn),
        images=int(record.count.sum()),
        sampled=len(sample.rows) if sample is not None else 0,
    )


def gate_warnings(record: Record) -> list[str]:
    """Return the warnings on input, answers and gates: blocks stuck at a constant, dead blocks."""
    if not record.count.any():
        return []
    return [*alarms(record), *failures([measure(record, b, None).findings for b in record.blocks])]


def _with_p_values(record: Record, measured: Sequence[Measured]) -> list[Measured]:
    """Return the findings with what shuffled labels say of them."""
    samples = [record.sample(m.findings.block) for m in measured]
    if samples[0] is None:
        return list(measured)
    shuffled = shuffle_labels((s.gates for s in samples if s is not None), samples[0].rows)
    if shuffled is None:
        return list(measured)
    return [
        m
        if np.isnan(own)
        else replace(
            m, findings=replace(m.findings, p_value=float(p), p_corrected=float(corrected))
        )
        for m, own, p, corrected in zip(
            measured, shuffled.own, shuffled.p_values, shuffled.p_corrected, strict=True
        )
    ]


def _method(record: Record, drawn: Drawn | None) -> str:
    if drawn is None:
        return no_intervals(record)
    kept = len(drawn.kept)
    which = "all images" if kept == drawn.images else f"{kept:,} images drawn at random"
    return f"Intervals are at 95 %, by the infinitesimal jackknife over {which}."
