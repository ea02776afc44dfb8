"""From the JSON document of an audit, of today or of an older seviz, back to what it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seviz.errors import DataError
from seviz.results.blocks import GateBlock
from seviz.results.cost.parts import (
    BlockCost,
    BlockParams,
    BlockWork,
    Convention,
    Latency,
    NotCounted,
    SweepRow,
    Totals,
)
from seviz.results.keys import own_keys
from seviz.results.mechanisms import ALL, BY_KEY, DEFAULT_KIND


def audit_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an audit by name.

    Args:
        values: Its document. What an older seviz wrote holds the fields under the key ``result``.

    Raises:
        DataError: If it is of a kind of gates that is not known.
    """
    mechanism = values.get("mechanism", DEFAULT_KIND)
    if mechanism not in (*BY_KEY, ALL):
        raise DataError(
            f"expected a kind of gates ({', '.join(BY_KEY)}, {ALL}), found {mechanism!r:.40}; update "
            "seviz"
        )
    if mechanism != DEFAULT_KIND:
        values = own_keys(values)
    if "result" in values:
        values = _without_result(values["result"])
    params, macs, memory, totals = (values[k] for k in ("params", "macs", "memory", "totals"))
    latency = values["latency"]
    return {
        "name": values["name"],
        "input_size": tuple(values["input_size"]),
        "params": params["total"],
        "se_params": params["se"],
        "blocks": tuple(map(_block, values["blocks"])),
        "totals": Totals(
            macs=macs["total"],
            bytes_moved=memory["bytes"],
            bytes_without_se=memory["bytes_without_se"],
            **totals,
        )
        if totals is not None
        else None,
        "conventions": tuple(Convention(**c) for c in values["conventions"]),
        "sweep": tuple(_sweep_row(r) for r in values["sweep"]),
        "latency": tuple(Latency(**t) for t in latency["runs"]) if latency else (),
        "not_counted": tuple(NotCounted(**n) for n in values["not_counted"]),
        "inserted": tuple(values["inserted"]),
        "notes": tuple(values["notes"]),
        **{k: values[k] for k in ("running_stats", "reduction", "hidden_rule", "twin_macs")},
        "checkpoint_sha256": values.get("checkpoint_sha256", ""),
        "mechanism": mechanism,
    }


def _block(values: Mapping[str, Any]) -> BlockCost:
    cost = values["cost"]
    return BlockCost(
        GateBlock.from_dict({k: v for k, v in values.items() if k != "cost"}),
        BlockParams(**cost["params"]),
        BlockWork(**cost["work"]) if cost["work"] is not None else None,
    )


def _sweep_row(values: Mapping[str, Any]) -> SweepRow:
    return SweepRow(**{k: v for k, v in values.items() if k not in {"fits", "fits_with_biases"}})


def _without_result(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an audit, as an older seviz wrote them, in the places where they are now."""
    totals = dict(fields["totals"] or {})
    counted = ("macs", "bytes_moved", "bytes_without_se")
    macs, moved, base = (totals.pop(name, None) for name in counted)
    return {
        **fields,
        "params": {"total": fields["params"], "se": fields["se_params"]},
        "macs": {"total": macs},
        "memory": {"bytes": moved, "bytes_without_se": base},
        "totals": totals or None,
        "blocks": [
            {**b["block"], "cost": {"params": b["params"], "work": b["work"]}}
            for b in fields["blocks"]
        ],
        "latency": {"runs": fields["latency"]},
    }
