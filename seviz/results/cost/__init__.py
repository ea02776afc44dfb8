"""What SE costs a network. Needs no torch."""

from seviz.results.cost.audit import AUDIT_NAME, Audit
from seviz.results.cost.parts import (
    BYTES,
    FALLBACK_RULE,
    GIGA,
    NO_WORK,
    UNKNOWN_RULE,
    BlockCost,
    BlockParams,
    BlockWork,
    Convention,
    Latency,
    NotCounted,
    StageCost,
    SweepRow,
    Totals,
    total_bytes,
    total_params,
    total_work,
)

__all__ = [
    "AUDIT_NAME",
    "BYTES",
    "FALLBACK_RULE",
    "GIGA",
    "NO_WORK",
    "UNKNOWN_RULE",
    "Audit",
    "BlockCost",
    "BlockParams",
    "BlockWork",
    "Convention",
    "Latency",
    "NotCounted",
    "StageCost",
    "SweepRow",
    "Totals",
    "total_bytes",
    "total_params",
    "total_work",
]
