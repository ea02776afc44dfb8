"""What SE, or another kind of gates, costs, in a sentence; the command line and the report say the same."""

from __future__ import annotations

from seviz.results.cost import Audit
from seviz.results.mechanisms import has_of


def describe_cost(audit: Audit) -> str:
    """Return the parameters and the MACs of the gates, and what they add to the network without them."""
    word = audit.word
    without = "it" if len(audit.kinds) == 1 else "them"
    increase = f"{percent(audit.params_increase)} over the network without {without}"
    if audit.macs_increase is not None:
        increase += f", and {percent(audit.macs_increase)} multiplications (MACs)"
    if not audit.inserted:
        shares = f"{audit.se_params:,} of the network's {audit.params:,} parameters"
        return f"{has_of(audit.kinds)} {shares}: {increase}."
    count = len(audit.inserted)
    blocks = f"{count} {word} block{'s' * (count != 1)}"
    ratio = f" (r = {audit.reduction:g})" if audit.reduction else ""
    return (
        f"This network has no {word}. With {blocks} put into it{ratio}, {word} has {audit.se_params:,} of "
        f"{audit.params:,} parameters: {increase}."
    )


def layers_of(audit: Audit) -> str:
    """Return what the layers between squeeze and scale are: fully connected in SE, and not in all kinds."""
    return "fully connected" if audit.is_se else "layers"


def percent(share: float) -> str:
    """Return an increase in per cent, with as many digits as a small one needs.

    >>> percent(0.0990), percent(0.000058)
    ('+9.90%', '+0.0058%')
    """
    return f"{share:+.{2 if abs(share) >= 0.0005 or not share else 4}%}"


def describe_formula(audit: Audit) -> str:
    """Return how the paper's formula (2/r) sum N C^2 and the parameters that were counted go together.

    Of another kind it is its own closed form; an empty text where it has none.
    """
    if audit.formula is None:
        return ""
    parts = [b.params for b in audit.blocks]
    ratio = f"r = {audit.reduction:g}" if audit.reduction else "r = C / hidden of each block"
    rule = f"paper's (2/r) sum N C², {ratio}" if audit.is_se else f"closed form of {audit.word}"
    whole = "whole units of the bottleneck, several gates" if audit.is_se else "more weights"
    terms = [
        ("biases", sum(p.biases for p in parts)),
        ("norms", sum(p.norms for p in parts)),
        ("other", sum(p.others for p in parts)),
        (whole, sum(p.rounding or 0 for p in parts)),
        ("blocks that share a module", audit.se_params - sum(p.total for p in parts)),
    ]
    shown = ", ".join(f"{n:+,.0f} {name}" for name, n in terms if round(n))
    return f"{rule}: {audit.formula:,.0f} weights; counted {audit.se_params:,}" + (
        f": {shown}" if shown else ", the same"
    )
