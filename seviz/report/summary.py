"""The first screen: what was looked at, what was found, in plain sentences."""

from __future__ import annotations

from dataclasses import dataclass

from seviz.analysis import (
    Share,
    describe_gate_confusion,
    gate_confusion,
    ranked_confusions,
)
from seviz.analysis.cost import describe_cost
from seviz.analysis.findings import failures, remarks
from seviz.analysis.findings.verdicts import Statement
from seviz.analysis.gate_confusion import MOST_COMPARED
from seviz.report.calibrated import describe_calibration
from seviz.report.inputs import Inputs
from seviz.report.names import prose_without_folders, sentence, shown
from seviz.results.alarms import alarms as alarms_of
from seviz.results.shares import shown_share
from seviz.tables.findings import LITERATURE_CAPTION


@dataclass(frozen=True)
class KeyNumber:
    """One number of the header, and what stands under it."""

    name: str
    value: str
    note: str = ""


def title(inputs: Inputs) -> str:
    """Return what the report is about."""
    return shown(prose_without_folders(inputs.record.header.checkpoint))


def key_numbers(inputs: Inputs) -> list[KeyNumber]:
    """Return the numbers that a reader looks for first."""
    record, audit, found = inputs.record, inputs.audit, inputs.scores
    header = record.header
    seen = int((record.count > 0).sum())
    of = f"of {header.num_classes:,} outputs" if header.num_classes > seen else ""
    numbers = []
    if found is not None:
        top1 = found.top1
        numbers.append(KeyNumber("top-1", shown_share(top1.value, ".2%"), _interval(top1)))
        if found.top5 is not None and header.num_classes > 5:
            top5 = found.top5
            numbers.append(KeyNumber("top-5", shown_share(top5.value, ".2%"), _interval(top5)))
    numbers += [
        KeyNumber("images", f"{header.images:,}", shown(prose_without_folders(header.source))),
        KeyNumber("classes", f"{seen:,}", of),
    ]
    if record.blocks:
        gates = sum(b.channels for b in record.blocks)
        numbers.append(
            KeyNumber(f"{record.word} blocks", f"{len(record.blocks):,}", f"{gates:,} gates")
        )
    if audit is not None:
        own = audit.params if not audit.inserted else audit.params_without_se
        numbers.append(KeyNumber("parameters", f"{own:,}"))
        if not audit.inserted:
            share = f"{shown_share(audit.se_params / audit.params)} of all, {audit.params_increase:+.1%}"
            numbers.append(KeyNumber(f"{audit.word} parameters", f"{audit.se_params:,}", share))
    return numbers


def _interval(share: Share) -> str:
    return f"95 %: {100 * share.low:.2f} to {100 * share.high:.2f}"


def alarms(inputs: Inputs) -> list[str]:
    """Return what a reader must know before anything else."""
    header = inputs.record.header
    found = []
    if header.partial:
        found.append(
            f"Partial record: the pass was interrupted after {header.images:,} images. Every number is of "
            "those alone."
        )
    found += alarms_of(inputs.record)
    found += failures(inputs.findings.blocks)
    if inputs.ablation is not None and inputs.ablation.partial:
        found.append(
            f"Partial ablation: it was interrupted after {inputs.ablation.images:,} images."
        )
    if header.skipped:
        found.append(
            f"{len(header.skipped):,} images could not be read; they are listed under Provenance."
        )
    return [sentence(shown(text)) for text in found]


def fit(inputs: Inputs) -> str:
    """Return whether the input fits the network, where that is no alarm; empty where nobody looked."""
    found = inputs.record.header.fit
    if found is None or found.is_alarm:
        return ""
    return sentence(shown(found.sentence))


@dataclass(frozen=True)
class Said:
    """A finding in a sentence.

    Attributes:
        text: The sentence, with its numbers.
        section: The section that shows it.
        title: Its title.
    """

    text: str
    section: str
    title: str


def judged(inputs: Inputs) -> list[tuple[str, tuple[Statement, ...]]]:
    """Return what others say of such networks, judged for this one, below a title for each group."""
    found = inputs.findings
    groups = [
        (f"What the SENet paper says, for {found.of}", found.statements),
        (LITERATURE_CAPTION, found.literature),
    ]
    return [(title, statements) for title, statements in groups if statements]


def sentences(inputs: Inputs) -> list[Said]:
    """Return the findings as sentences, each with its numbers and the section it is from."""
    said = []
    if inputs.record.blocks:
        said += [Said(text, "depth", "Depth") for text in _gate_sentences(inputs)]
    else:
        said.append(
            Said(
                "This network has no Squeeze-and-Excitation block, so this report has no gates: it shows how "
                "good the network is.",
                "",
                "",
            )
        )
    if inputs.evaluation is not None:
        said += [Said(text, "confusion", "Confusion") for text in _confusion_sentences(inputs)]
    if inputs.audit is not None:
        said.append(Said(describe_cost(inputs.audit), "cost", "Cost"))
    return [Said(sentence(shown(one.text)), one.section, one.title) for one in said]


def _gate_sentences(inputs: Inputs) -> list[str]:
    blocks = inputs.findings.blocks
    said = remarks(inputs.findings)
    high = max(blocks, key=lambda b: b.high.value)
    low = max(blocks, key=lambda b: b.low.value)
    said.append(
        f"Nearly open gates (above 0.95) are most frequent in {high.block}, "
        f"{shown_share(high.high.value)}; nearly closed ones (below 0.05) in {low.block}, "
        f"{shown_share(low.low.value)}."
        if max(high.high.value, low.low.value) >= 0.0005
        else "Hardly any gate of any block is nearly open (above 0.95) or nearly closed (below 0.05)."
    )
    if inputs.evaluation is not None and len(inputs.evaluation.labels) <= MOST_COMPARED:
        said.append(describe_gate_confusion(gate_confusion(inputs.record)))
    return said


def times(count: int) -> str:
    """Say how often.

    >>> times(1), times(1200)
    ('once', '1,200 times')
    """
    return "once" if count == 1 else f"{count:,} times"


def _confusion_sentences(inputs: Inputs) -> list[str]:
    assert inputs.evaluation is not None
    ranked = ranked_confusions(inputs.evaluation, 1)
    if not ranked:
        return ["No image was taken for another class."]
    most, wrong = ranked[0], inputs.evaluation.images - int(inputs.evaluation.correct.sum())
    text = f"{wrong:,} of {inputs.evaluation.images:,} images are taken for another class"
    if most.count > 1:
        text += (
            f"; most often {most.true} for {most.predicted}, {times(most.count)} "
            f"({shown_share(most.share)} of {most.true})."
        )
    else:
        text += ", none for the same other class twice." if wrong > 1 else "."
    if inputs.scores is None or inputs.scores.calibration is None:
        return [text]
    return [text, describe_calibration(inputs.scores.calibration, inputs.scores.top1)]
