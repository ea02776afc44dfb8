"""From a recorded pass to counts: what each operator costs one image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from seviz.cost.operators import (
    TABLE,
    WINDOWED_POOL,
    elements_of_maps,
    elements_of_parameters,
    is_constant,
    moves_memory,
)
from seviz.gates.graph import Graph, Op
from seviz.results.cost import BYTES, NotCounted


class Counts:
    """Counts over operators of one pass, for one image.

    Operators on parameters alone (weight standardisation, a table of positions) run once for the
    batch, and count whole; all others are shared by the images of the batch.

    Args:
        graph: The recorded pass.
        ops: Operators of it.
    """

    def __init__(self, graph: Graph, ops: Iterable[Op]) -> None:
        self._batch = graph.batch
        self.ops = list(ops)

    def total(self, *kinds: str) -> int:
        """Return the operations of these kinds."""
        return self._sum(
            (op, rule.count(op))
            for op in self.ops
            if (rule := TABLE.get(op.name)) is not None and rule.kind in kinds
        )

    @property
    def macs(self) -> int:
        """Return the MACs."""
        return self.total("mac")

    @property
    def pool_elements(self) -> int:
        """Return the elements that pooling over windows reads; a squeeze to one pixel is none."""
        return self._sum(
            (op, op.inputs[0].numel)
            for op in self.ops
            if op.name in WINDOWED_POOL and any(n > 1 for n in op.outputs[0].shape[2:])
        )

    @property
    def bytes_moved(self) -> int:
        """Return the memory that is read and written at float32."""
        counted = [op for op in self.ops if moves_memory(op)]
        maps = self._sum((op, elements_of_maps(op)) for op in counted)
        # Parameters are read once, however many images are in the batch.
        return BYTES * (maps + sum(elements_of_parameters(op) for op in counted))

    def _sum(self, counted: Iterable[tuple[Op, int]]) -> int:
        once = images = 0
        for op, count in counted:
            if is_constant(op):
                once += count
            else:
                images += count
        return once + images // self._batch


def not_counted(ops: Iterable[Op]) -> tuple[NotCounted, ...]:
    """Return the operators that the table does not know, each once."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for op in ops:
        if op.name not in TABLE:
            counts[op.name] += 1
            first.setdefault(op.name, op.call.path)
    return tuple(NotCounted(name, n, first[name]) for name, n in counts.items())
