"""The first things that a reader should know: three findings, each with a link to what it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from seviz.analysis import ranked_confusions
from seviz.analysis.ablation import HELD, single_effects
from seviz.analysis.cost import describe_cost
from seviz.analysis.findings.wording import percent
from seviz.report.calibrated import describe_calibration
from seviz.report.inputs import Inputs
from seviz.report.names import sentence, shown
from seviz.results.shares import shown_share

MOST = 3
# From this share on it is worth a line of the first screen that gates are open or closed.
SATURATED = 0.05


@dataclass(frozen=True)
class Lead:
    """One finding.

    Attributes:
        text: What was found, with its numbers.
        href: Where the page shows it: an anchor, and what is chosen there.
        link: What the link is called.
    """

    text: str
    href: str
    link: str


def leading(inputs: Inputs) -> list[Lead]:
    """Return the first of these that can be said of the network, the more telling first."""
    found = [lead for make in _LEADS if (lead := make(inputs)) is not None]
    return [Lead(sentence(shown(one.text)), one.href, one.link) for one in found[:MOST]]


def confusion_href(true: str, predicted: str) -> str:
    """Return the link to one cell of the confusion matrix.

    >>> confusion_href("cat & co", "dog")
    '#confusion?true=cat+%26+co&predicted=dog'
    """
    return f"#confusion?{urlencode({'true': shown(true), 'predicted': shown(predicted)})}"


def _specific(inputs: Inputs) -> Lead | None:
    known = [b for b in inputs.findings.blocks if b.beyond_chance]
    best = max(known, key=lambda b: b.class_share.value if b.class_share else 0.0, default=None)
    if best is None:
        return None
    chance = (
        f"; with shuffled labels it would be {shown_share(best.shuffled)}" if best.shuffled else ""
    )
    return Lead(
        f"{best.block} tells classes apart best: class explains {percent(best.class_share)} of the variance "
        f"of its gates{chance}.",
        f"#block-{best.block}",
        f"Gates of {best.block}",
    )


def _effect(inputs: Inputs) -> Lead | None:
    ablation = inputs.ablation
    if ablation is None or not (effects := single_effects(ablation)) or not effects[0].judged:
        return None
    unit = "stage" if ablation.by == "stage" else "block"
    sure = [e for e in effects if e.significant]
    if not sure:
        text = (
            f"With the {HELD[ablation.gates]} in one {unit} at a time, top-1 changes by no more than chance "
            f"explains for any of {len(effects)}."
        )
        return Lead(text, "#ablation", "Ablation")
    most = max(sure, key=lambda e: abs(e.difference.delta))
    delta = most.delta
    interval = (
        f" [{100 * delta.low:+.2f}, {100 * delta.high:+.2f}]"
        if delta.low is not None and delta.high is not None
        else ""
    )
    text = (
        f"{most.replaced.name} matters most: with the {HELD[ablation.gates]} there, top-1 changes by "
        f"{100 * delta.value:+.2f} points{interval}. That is more than chance for {len(sure)} of "
        f"{len(effects)} {unit}s."
    )
    return Lead(text, "#ablation", "Ablation")


def _confused(inputs: Inputs) -> Lead | None:
    if inputs.evaluation is None or not (ranked := ranked_confusions(inputs.evaluation, 1)):
        return None
    (most,) = ranked
    if most.count < 2:
        return None
    both = ranked_confusions(inputs.evaluation)
    back = [c.count for c in both if (c.true, c.predicted) == (most.predicted, most.true)]
    reverse = f"{back[0]:,} of {most.predicted} for {most.true}" if back else "none the other way"
    text = (
        f"Most often {most.true} is taken for {most.predicted}: {most.count:,} images "
        f"({shown_share(most.share)} of {most.true}), and {reverse}."
    )
    return Lead(text, confusion_href(most.true, most.predicted), "In the matrix")


def _saturated(inputs: Inputs) -> Lead | None:
    blocks = inputs.findings.blocks
    if not blocks:
        return None
    high = max(blocks, key=lambda b: b.high.value)
    low = max(blocks, key=lambda b: b.low.value)
    block, share, what = (
        (high, high.high, "open (above 0.95)")
        if high.high.value >= low.low.value
        else (low, low.low, "closed (below 0.05)")
    )
    if share.value < SATURATED:
        return None
    text = f"In {block.block} {percent(share)} of the gates are nearly {what}."
    return Lead(text, f"#block-{block.block}", f"Gates of {block.block}")


def _sure(inputs: Inputs) -> Lead | None:
    found = inputs.scores
    if found is None or found.calibration is None:
        return None
    return Lead(describe_calibration(found.calibration, found.top1), "#confusion", "Confidence")


def _cost(inputs: Inputs) -> Lead | None:
    if inputs.audit is None:
        return None
    return Lead(describe_cost(inputs.audit), "#cost", "Cost")


_LEADS: tuple[Callable[[Inputs], Lead | None], ...] = (
    _specific,
    _effect,
    _confused,
    _saturated,
    _sure,
    _cost,
)
