"""The file that an audit leaves behind: what scripts read, and the whole result to be opened again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seviz.errors import DataError
from seviz.results.cost import Audit
from seviz.results.files import SCHEMA_VERSION, written_whole

AUDIT_NAME = "audit.json"


def save_audit(result: Audit, path: str | Path, more: Mapping[str, Any] | None = None) -> Path:
    """Write an audit as JSON, whole or not at all.

    Args:
        result: The audit.
        path: The ``.json`` file; a folder gets ``audit.json``.
        more: Further keys of the document.
    """
    target = _file(path)
    document = {"schema_version": SCHEMA_VERSION, **audit_document(result), **(more or {})}
    with written_whole(target) as temporary:
        text = json.dumps(document, indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return target


def load_audit(path: str | Path) -> Audit:
    """Read what `save_audit` wrote.

    Args:
        path: The ``.json`` file, or the folder that holds ``audit.json``.

    Raises:
        DataError: If there is no such file, it is damaged, or it was written by another seviz.
    """
    source = _file(path)
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
        version = document.get("schema_version")
        if version == SCHEMA_VERSION:
            return Audit.from_dict(document["result"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as exc:
        raise DataError(
            f"expected an audit at {source}, found something else ({exc}); make one with 'seviz audit'"
        ) from exc
    raise DataError(
        f"expected an audit of schema version {SCHEMA_VERSION}, found {version!r} in {source}; run 'seviz "
        "audit' again, or update seviz"
    )


def _file(path: str | Path) -> Path:
    target = Path(path)
    return target if target.suffix == ".json" else target / AUDIT_NAME


def audit_document(result: Audit) -> dict[str, Any]:
    """Return the JSON document of ``seviz audit``; its first keys are what scripts depend on."""
    totals, work, paper = result.totals, result.work, result.convention("paper")
    params = {
        "total": result.params,
        "se": result.se_params,
        "without_se": result.params_without_se,
        "increase": result.params_increase,
    }
    macs = None
    flops = None
    if totals is not None and work is not None:
        macs = {
            "total": totals.macs,
            "without_se": result.macs_without_se,
            "se_fc": work.fc_macs,
            "se_squeeze": work.squeeze_adds,
            "se_scale": work.scale_multiplications,
            "increase": result.macs_increase,
        }
        flops = {
            "total": 2 * totals.macs,
            "without_se": 2 * totals.macs - 2 * work.fc_macs,
            "convention": "2 x MACs",
        }
    return {
        "name": result.name,
        "input_size": list(result.input_size),
        "params": params,
        "macs": macs,
        "flops": flops,
        "paper_gflops": {
            "without_se": paper.giga(paper.without_se),
            "with_se": paper.giga(paper.with_se),
            "convention": paper.rule,
        }
        if paper is not None
        else None,
        "memory": {
            "bytes": totals.bytes_moved,
            "bytes_without_se": totals.bytes_without_se,
            "se_squeeze_bytes": work.squeeze_bytes,
            "se_scale_bytes": work.scale_bytes,
        }
        if totals is not None and work is not None
        else None,
        "conventions": [asdict(c) for c in result.conventions],
        "formula": {
            "weights": result.formula,
            "rounding": sum(b.params.rounding for b in result.blocks),
            "biases": sum(b.params.biases for b in result.blocks),
            "norms": sum(b.params.norms for b in result.blocks),
            "others": sum(b.params.others for b in result.blocks),
        },
        "stages": [
            {
                "stage": s.stage,
                "blocks": len(s.blocks),
                "params": s.params,
                "share": s.share,
                "work": asdict(s.work) if s.work is not None else None,
            }
            for s in result.stages
        ],
        "blocks": [
            {
                **b.block.to_dict(),
                "cost": {
                    "params": asdict(b.params),
                    "work": asdict(b.work) if b.work is not None else None,
                },
            }
            for b in result.blocks
        ],
        "sweep": [
            {**asdict(r), "fits": r.fits(r.size), "fits_with_biases": r.fits(r.size_with_biases)}
            for r in result.sweep
        ],
        "latency": {**asdict(result.latency[-1]), "runs": [asdict(t) for t in result.latency]}
        if result.latency
        else None,
        "not_counted": [asdict(n) for n in result.not_counted],
        "twin_macs": result.twin_macs,
        "inserted": list(result.inserted),
        "notes": list(result.notes),
        "result": result.to_dict(),
    }
