"""Replaying the elementwise end of an excitation on other numbers.

Between the last layer with parameters and the multiplication there are only elementwise operators and
changes of shape. Run on a ramp they tell which function the gate is; run on a layer's output they
give the gate where no module returns it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from seviz.gates.graph import Op, Value
from seviz.gates.ops import JOIN, LINEAR, NORM, POOL, REDUCE, SOFTMAX, STRUCTURE

_RAMP = torch.linspace(-60, 60, 2401, dtype=torch.float64)
# Constants of 8 bits, as the 1/6 of a hard sigmoid, are right to three digits.
_NEARLY = 2e-3
# A step of 8 bits between 0 and 1: the largest number may be one step below 1.
_STEP = 1 / 255
_NOT_ELEMENTWISE = LINEAR | NORM | REDUCE | POOL | SOFTMAX | JOIN | STRUCTURE


class CannotReplayError(Exception):
    """The value is not an elementwise function of the one it should start from."""


def is_elementwise(op: Op) -> bool:
    """Return whether every output number depends on the input numbers at its own place alone."""
    if op.name in _NOT_ELEMENTWISE or not op.activations:
        return False
    size = max(v.numel for v in op.activations)
    return all(v.numel in (1, size) for v in op.inputs) and all(v.numel == size for v in op.outputs)


def starts(value: Value, stop: Callable[[Value], bool]) -> list[Value]:
    """Return the values that ``value`` is an elementwise function of.

    Going back ends where ``stop`` says so, and at anything that is neither elementwise nor a change of
    shape.
    """
    found: dict[int, Value] = {}
    seen: set[int] = set()
    todo = [value]
    while todo:
        current = todo.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        op = current.op
        if op is None or stop(current) or not (op.name in STRUCTURE or is_elementwise(op)):
            found[id(current)] = current
        else:
            todo.extend(op.activations)
    return list(found.values())


def replay(
    value: Value,
    start: Value,
    numbers: Tensor,
    parameters: Callable[[str], Tensor],
    *,
    rounding: bool = True,
) -> Tensor:
    """Compute ``value`` from ``start``, whose numbers are given; changes of shape are passed over.

    Args:
        value: What to compute.
        start: Where the numbers come from.
        numbers: The numbers of ``start``, in any shape; the result has the same.
        parameters: Look-up of the one-element parameters that may take part, by state-dict name.
        rounding: Whether numbers are rounded where the network rounds them.

    Raises:
        CannotReplayError: If something else than ``start`` and plain numbers takes part.
    """
    done: dict[int, Tensor] = {id(start): numbers}

    def compute(current: Value) -> Tensor:
        if id(current) in done:
            return done[id(current)]
        if current.parameter is not None and current.numel == 1:
            return parameters(current.parameter).to(numbers)
        op = current.op
        if op is None:
            raise CannotReplayError(f"a constant of shape {current.shape} takes part")
        if op.name in STRUCTURE or (op.name == "round" and not rounding):
            result = compute(op.inputs[0])
        elif is_elementwise(op):
            result = _apply(op, compute)
        else:
            raise CannotReplayError(f"{op.name} is not elementwise")
        done[id(current)] = result
        return result

    return compute(value)


def _apply(op: Op, compute: Callable[[Value], Tensor]) -> Tensor:
    in_place = op.func._schema.name.endswith("_")

    def fill(leaf: Any) -> Any:
        if not isinstance(leaf, Value):
            return leaf
        return compute(leaf).clone() if in_place else compute(leaf)

    args, kwargs = tree_map(fill, (op.args, op.kwargs))
    result: Tensor = op.func(*args, **kwargs)
    return result


def function_name(gate: Value, start: Value) -> tuple[str, bool]:
    """Return which function of ``start`` the gate is, and whether it is a bounded, non-negative one.

    The function is recognised by its values on a ramp, not by the operators it is written with: a hard
    sigmoid may be ``relu6(x + 3) / 6``, ``clamp(0.2 * x + 0.5, 0, 1)`` or a single operator. In a quantised
    network numbers are rounded on the way, which the ramp is not, and kept in a range, which is told.
    """

    def no_parameters(name: str) -> Tensor:
        raise CannotReplayError(f"parameter {name} takes part")

    if gate is start:
        return "identity", False
    try:
        y = replay(gate, start, _RAMP, no_parameters, rounding=False).double()
    except (CannotReplayError, RuntimeError, TypeError):
        return "unrecognised", False
    low, high = y.min().item(), y.max().item()
    sigmoid = torch.sigmoid(_RAMP)
    middle = len(_RAMP) // 2
    slope = ((y[middle + 1] - y[middle - 1]) / (_RAMP[middle + 1] - _RAMP[middle - 1])).item()

    def same(expected: Tensor) -> bool:
        return torch.allclose(y, expected, rtol=0, atol=1e-5)

    if same(sigmoid):
        return "sigmoid", True
    if same(high * sigmoid):
        return f"{high:g}*sigmoid", True
    if same(1 + torch.tanh(_RAMP)):
        return "1+tanh", True
    if same((_RAMP * slope + y[middle]).clamp(0, 1)):
        if abs(slope - 1 / 6) < 1e-4 and abs(y[middle] - 0.5) < 1e-4:
            return "hardsigmoid", True
        start_at = "" if abs(y[middle] - 0.5) < 1e-4 else f", {y[middle].item():g} at 0"
        return f"hardsigmoid (slope {slope:.4g}{start_at})", True
    for name, expected in (
        ("identity", _RAMP),
        ("relu", _RAMP.relu()),
        ("tanh", _RAMP.tanh()),
        ("relu6", _RAMP.clamp(0, 6)),
    ):
        if same(expected):
            return name, False
    for name, expected in (("sigmoid", sigmoid), ("hardsigmoid", (_RAMP / 6 + 0.5).clamp(0, 1))):
        if low < high and torch.allclose(y, expected.clamp(low, high), rtol=0, atol=_NEARLY):
            whole = low < _STEP and high > 1 - _STEP
            ends = "" if whole else f" ({low if low > _STEP else 0:.3g} to {high:.3g})"
            return f"{name}{ends}", True
    bounded = low >= -1e-6 and 0 < high <= 2 + 1e-6
    return f"function with range {low:.3g} to {high:.3g}", bounded
