"""The table of kinds: what a multiplication is, recognised by data flow, and what it is called.

To add a kind that is read, give it a row in `seviz.results.mechanisms.MECHANISMS` (its name, its source) and
one in `seviz.gates.kinds.squeezed.SQUEEZED` (how it is recognised); a kind that is only named needs the
second alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from seviz.gates.flow import Flow
from seviz.gates.graph import Graph, Op
from seviz.gates.kinds.base import Candidate, Kind
from seviz.gates.kinds.per_pixel import PER_PIXEL, pixel_gates
from seviz.gates.kinds.squeezed import DYNAMIC, SQUEEZED
from seviz.gates.kinds.unsqueezed import UNSQUEEZED, Product
from seviz.results.blocks import GateBlock

__all__ = [
    "DYNAMIC",
    "PER_PIXEL",
    "SQUEEZED",
    "UNSQUEEZED",
    "Candidate",
    "Kind",
    "kind_of",
    "other_products",
    "pixel_gates",
    "row_of",
]


def kind_of(seen: Candidate) -> Kind:
    """Return the kind of a map's multiplication by something squeezed."""
    return next(kind for recognise, kind in SQUEEZED if recognise(seen))


def other_products(graph: Graph, flow: Flow) -> Iterator[tuple[str, Op]]:
    """Yield (name, operator) of everything that is a mechanism without a squeeze before it."""
    taken = {id(site.op) for site in flow.sites}
    for op in graph.ops:
        if id(op) not in taken:
            product = Product(op, flow)
            name = next((name for recognise, name in UNSQUEEZED if recognise(product)), None)
            if name is not None:
                yield name, op


def row_of(block: GateBlock) -> Kind:
    """Return the row by which a block was found, and with it the closed form of its cost."""
    rows = [kind for _, kind in (*SQUEEZED, *PER_PIXEL) if kind.mechanism is block.mechanism]
    return next((kind for kind in rows if kind.squeeze == block.squeeze), rows[0])
