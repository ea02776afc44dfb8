"""Whether two ways of computing give the same gates and answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from seviz.collect.fast.backends import Answer

# Largest difference of a gate, and of an output, by the largest of its kind where that is above 1.
GATES, OUTPUTS = 1e-5, 1e-4


@dataclass(frozen=True)
class Agreement:
    """How far one answer is from another.

    Attributes:
        gates: Largest difference of a gate, divided by the block's largest gate where that is above 1.
        block: Name of its block.
        outputs: Largest difference of an output, divided by the largest output where that is above 1.
        top1: Images whose largest output is another one.
    """

    gates: float
    block: str
    outputs: float
    top1: int

    def reason(self, plain: Agreement | None = None) -> str | None:
        """Return in what the answers disagree, or ``None``.

        Args:
            plain: How far the untouched network in mixed precision is from itself in float32, if that is
                what is computed. Rounding in another order may then be as far off as rounding itself,
                twice at most, and change the answer for an image.
        """
        gates = max(GATES, 2 * plain.gates) if plain is not None else GATES
        outputs = max(OUTPUTS, 2 * plain.outputs) if plain is not None else OUTPUTS
        if not self.gates <= gates:
            return f"a gate of {self.block} differs by {self.gates:.1e}"
        if not self.outputs <= outputs:
            return f"an output differs by {self.outputs:.1e}"
        if self.top1 and plain is None:
            return f"the answer for {self.top1} images is another"
        return None


def compare(answer: Answer, other: Answer) -> Agreement:
    """Compare an answer with a trusted one, in float64; NaN agrees with nothing.

    Args:
        answer: From the untouched network.
        other: From a changed copy.
    """
    gates = {name: _difference(gate, other.gates[name]) for name, gate in answer.gates.items()}
    block = max(gates, key=lambda name: _rank(gates[name]), default="")
    pairs = list(zip(_tensors(answer.logits), _tensors(other.logits), strict=True))
    outputs = max((_difference(one, two) for one, two in pairs), key=_rank, default=0.0)
    top1 = sum(
        int((one.argmax(1) != two.argmax(1)).sum())
        for one, two in pairs
        if one.dim() == 2 and one.shape[1]
    )
    return Agreement(gates.get(block, 0.0), block, outputs, top1)


def _rank(difference: float) -> float:
    return math.inf if math.isnan(difference) else difference


def _tensors(output: object) -> list[Tensor]:
    return [t for t in tree_leaves(output) if isinstance(t, Tensor) and t.is_floating_point()]


def _difference(one: Tensor, two: Tensor) -> float:
    if one.shape != two.shape:
        return float("inf")
    if not one.numel():
        return 0.0
    exact, near = (t.detach().cpu().double() for t in (one, two))
    return float((exact - near).abs().max() / torch.clamp(exact.abs().max(), min=1.0))
