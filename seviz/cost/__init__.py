"""What SE costs: counting by operators, the twin without SE, insertion, wall time."""

from seviz.cost.attribution import split
from seviz.cost.audit import audit_network, audit_parameters
from seviz.cost.inserted import WithSE
from seviz.cost.insertion import InsertionPoint, insert
from seviz.cost.latency import measure
from seviz.cost.removal import Removal
from seviz.cost.twin import without_se

__all__ = [
    "InsertionPoint",
    "Removal",
    "WithSE",
    "audit_network",
    "audit_parameters",
    "insert",
    "measure",
    "split",
    "without_se",
]
