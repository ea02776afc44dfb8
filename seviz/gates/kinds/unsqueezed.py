"""The kinds of what multiplies maps with no squeeze before it: one table, the first row that fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from seviz.gates.elementwise import is_elementwise, starts
from seviz.gates.flow import Flow, kept_dims, multiplied, root
from seviz.gates.graph import Op, Value
from seviz.gates.ops import ATTENTION, LINEAR, NORM, SOFTMAX, STRUCTURE


@dataclass(frozen=True, eq=False)
class Product:
    """An operator that may multiply two tensors, and all that kinds ask about it.

    Attributes:
        op: The operator.
        flow: What was followed from squeezes; their own multiplications are not looked at here.
    """

    op: Op
    flow: Flow

    @cached_property
    def factors(self) -> tuple[Value, Value] | None:
        """Return the two tensors that are multiplied."""
        return multiplied(self.op)

    @cached_property
    def constant(self) -> tuple[Value, Value] | None:
        """Return (constant, map) where one factor comes from parameters alone and the other does not."""
        a, b = self.factors or (None, None)
        for constant, scaled in ((a, b), (b, a)):
            if constant is None or scaled is None:
                continue
            if constant.parameter is not None and scaled.parameter is None:
                return constant, scaled
        return None

    @cached_property
    def gated(self) -> tuple[Value, Value] | None:
        """Return (gate, map) where one factor is a function of what a layer or a norm gives."""
        if self.factors is None or self.constant is not None:
            return None
        if any(id(v) in self.flow.followed or len(v.shape) < 3 for v in self.factors):
            return None
        for gate, scaled in (self.factors, self.factors[::-1]):
            begins = [v for v in starts(gate, lambda v: False) if v.op is not None]
            if gate.op is None or not is_elementwise(gate.op):
                continue
            if _same_tensor(begins, scaled):
                return None
            makers = [v.op.name for v in begins if v.op is not None]
            if len(makers) == 1 and makers[0] in LINEAR | NORM:
                return gate, scaled
        return None


def _same_tensor(begins: list[Value], scaled: Value) -> bool:
    """Whether gate and map are functions of the same tensor: swish and its relatives."""
    own = {id(root(v)) for v in begins}
    return bool(own & {id(root(v)) for v in starts(scaled, lambda v: False)}) or any(
        root(v) is root(scaled) for v in begins
    )


def _is_attention(product: Product) -> bool:
    op = product.op
    return op.name in ATTENTION or (op.name == "bmm" and _is_after_softmax(op))


def _is_after_softmax(op: Op) -> bool:
    value = op.inputs[0] if op.inputs else None
    while value is not None and value.op is not None and value.op.name in STRUCTURE:
        value = value.op.inputs[0]
    return value is not None and value.op is not None and value.op.name in SOFTMAX


def _is_layer_scale(product: Product) -> bool:
    if product.constant is None:
        return False
    constant, scaled = product.constant
    if sum(n > 1 for n in constant.shape) != 1 or len(scaled.shape) < 3:
        return False
    if id(scaled) in product.flow.followed:
        return False  # No map, but what is left of one.
    # The affine part of a norm that is written out: a statistic was multiplied before, or a learned
    # offset is added after.
    uses = [use for out in product.op.outputs for use in out.uses]
    affine = any(use.name == "add" and use.parameters for use in uses)
    maker = root(scaled).op
    return not affine and all(maker is not site.op for site in product.flow.sites)


def _is_spatial(product: Product) -> bool:
    if product.gated is None:
        return False
    gate, scaled = product.gated
    return 1 not in kept_dims(gate, gate, scaled) and len(scaled.shape) >= 4


UNSQUEEZED: tuple[tuple[Callable[[Product], bool], str], ...] = (
    (_is_attention, "self-attention"),
    (lambda product: product.op.name == "glu", "gated unit (GLU)"),
    (_is_layer_scale, "layer scale (a learned constant per channel)"),
    (_is_spatial, "spatial attention"),
    (lambda product: product.gated is not None, "gated unit (gated MLP, GLU)"),
)
