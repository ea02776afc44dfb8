"""How finely a file rounds what its network gives: a quantised network's outputs are whole numbers."""

from __future__ import annotations

import numpy as np
from torch import nn

from seviz.networks.formats.graph_network import GraphNetwork, Step

# Operators that only move the numbers of a map: of one in whole numbers, the scale stays.
MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
# Of TFLite as well; and those that turn whole numbers into what they stand for.
_THROUGH = MOVES | {"Cast", "DequantizeLinear", "RESHAPE", "TRANSPOSE", "identity"}


def output_step(model: nn.Module) -> float:
    """Return the distance of the numbers that a network's first output can be; 0 where it is no file's.

    A softmax that is rounded to 256 steps adds up to 1 only within some of them.

    Args:
        model: Any network; only those that a file describes as operators know it.
    """
    if not isinstance(model, GraphNetwork):
        return 0.0
    makers = {output: step for step in model.steps for output in step.outputs}
    step = makers.get(model.outputs[0])
    while step is not None and not (rounds := _rounding(step)) and step.operator in _THROUGH:
        step = makers.get(step.inputs[0])
    return rounds if step is not None else 0.0


def _rounding(step: Step) -> float:
    """Return the step to which one operator rounds; 0 where it does not, or not to one for all numbers."""
    given = step.attributes.get("scale", 0.0)
    if step.operator == "QuantizeLinear":
        given = dict(step.attributes.get("constants", ())).get(1, 0.0)
    elif step.operator not in ("rounding", "rounding up"):
        return 0.0
    return float(np.asarray(given).reshape(-1)[0]) if np.size(given) == 1 else 0.0
