"""What SE, or gates of another kind, cost a network: the result of an audit, and its file. Needs no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seviz.errors import DataError
from seviz.results.blocks import check_names
from seviz.results.cost.parts import (
    BlockCost,
    BlockWork,
    Convention,
    Latency,
    NotCounted,
    StageCost,
    SweepRow,
    Totals,
    total_bytes,
    total_work,
)
from seviz.results.cost.reading import audit_fields
from seviz.results.fields import parse, read
from seviz.results.files import SCHEMA_VERSION, plain_file, written_whole
from seviz.results.keys import file_keys
from seviz.results.mechanisms import DEFAULT_KIND, Mechanism, chosen, word_of
from seviz.results.notebook import Shown

AUDIT_NAME = "audit.json"


@dataclass(frozen=True)
class Audit(Shown):
    """What SE costs a network, or gates of another kind.

    Where a name says ``se``, it is the gates of `mechanism`, and of no other kind.

    Attributes:
        name: What was audited.
        input_size: Channels, height and width of the image; empty where the network is not known.
        params: Parameters of the network.
        se_params: Those that only its gates of the kind use.
        running_stats: Elements of the running statistics of batch norm.
        reduction: The reduction ratio of the network, if all blocks have a bottleneck and share one.
        hidden_rule: How the bottleneck follows from it; empty where a block has none.
        blocks: The blocks, in forward order.
        totals: Counts of the whole network; ``None`` where the network is not known.
        conventions: The whole cost in several ways of counting.
        twin_macs: MACs of the network with its SE modules replaced and run; ``None`` where it cannot be.
        not_counted: Operators whose cost is unknown.
        sweep: Other reduction ratios.
        latency: Wall times, one per batch size.
        inserted: Where SE was inserted, if the network had none.
        notes: What a reader of the numbers should know.
        checkpoint_sha256: Hash of the checkpoint, as in a record; empty where only a name was audited.
        mechanism: The kind of gates that is counted, as for `seviz.find`.
    """

    name: str
    input_size: tuple[int, ...]
    params: int
    se_params: int
    running_stats: int
    reduction: float | None
    hidden_rule: str
    blocks: tuple[BlockCost, ...]
    totals: Totals | None = None
    conventions: tuple[Convention, ...] = ()
    twin_macs: int | None = None
    not_counted: tuple[NotCounted, ...] = ()
    sweep: tuple[SweepRow, ...] = ()
    latency: tuple[Latency, ...] = ()
    inserted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    checkpoint_sha256: str = ""
    mechanism: str = DEFAULT_KIND

    @property
    def kinds(self) -> tuple[Mechanism, ...]:
        """Return the kinds of the blocks; what was asked for where there is no block."""
        own = tuple(dict.fromkeys(b.block.mechanism for b in self.blocks))
        return own or chosen(self.mechanism)

    @property
    def word(self) -> str:
        """Return what is counted, for a sentence: ``SE``, ``ECA``, ``SE + ECA``."""
        return word_of(self.kinds)

    @property
    def is_se(self) -> bool:
        """Return whether it is SE alone, of which the paper speaks."""
        return self.mechanism == DEFAULT_KIND

    @property
    def params_without_se(self) -> int:
        """Return the parameters of the twin without the gates."""
        return self.params - self.se_params

    @property
    def params_increase(self) -> float:
        """Return the gates' parameters as a share of the twin's."""
        return self.se_params / self.params_without_se if self.params_without_se else math.inf

    @property
    def work(self) -> BlockWork | None:
        """Return the operations of all blocks."""
        return total_work(self.blocks) if self.totals is not None else None

    @property
    def se_bytes(self) -> int | None:
        """Return the memory that all blocks move."""
        return total_bytes(self.blocks) if self.totals is not None else None

    @property
    def macs_without_se(self) -> int | None:
        """Return the MACs of the twin without the gates."""
        if self.totals is None or self.work is None:
            return None
        return self.totals.macs - self.work.fc_macs

    @property
    def macs_increase(self) -> float | None:
        """Return the gates' MACs as a share of the twin's."""
        if self.work is None or not self.macs_without_se:
            return None
        return self.work.fc_macs / self.macs_without_se

    @property
    def formula(self) -> float | None:
        """Return the paper's (2/r) sum over stages of N_s C_s^2.

        Of another kind it is the sum of the blocks' closed forms; ``None`` where a block has none.
        """
        return _sum(b.params.formula for b in self.blocks)

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """Return the blocks by stage; shares are of the weights alone, as in the paper's formula."""
        weights = sum(b.params.weights for b in self.blocks)
        stages = []
        for place in dict.fromkeys((b.block.kind, b.block.stage) for b in self.blocks):
            own = tuple(b for b in self.blocks if (b.block.kind, b.block.stage) == place)
            share = sum(b.params.weights for b in own) / weights if weights else 0.0
            stages.append(StageCost(place[1], own, share))
        return tuple(stages)

    def convention(self, name: str) -> Convention | None:
        """Return the cost in one way of counting, if it was asked for."""
        return next((c for c in self.conventions if c.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of ``seviz audit``; its first keys are what scripts depend on.

        Each number that was counted is there once; sums, shares and other units of it stand beside it.
        `from_dict` reads it. Of another kind than SE no key says ``se``: `seviz.results.keys`.
        """
        document = self._document()
        if self.is_se:
            return document
        return {"mechanism": self.mechanism, **file_keys(document)}

    def _document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "input_size": list(self.input_size),
            "params": {
                "total": self.params,
                "se": self.se_params,
                "without_se": self.params_without_se,
                "increase": self.params_increase,
            },
            **self._whole(),
            "conventions": [asdict(c) for c in self.conventions],
            "formula": {
                "weights": self.formula,
                "rounding": _sum(b.params.rounding for b in self.blocks),
                "biases": sum(b.params.biases for b in self.blocks),
                "norms": sum(b.params.norms for b in self.blocks),
                "others": sum(b.params.others for b in self.blocks),
            },
            "stages": [
                {
                    "stage": s.stage,
                    "blocks": len(s.blocks),
                    "params": s.params,
                    "share": s.share,
                    "work": asdict(s.work) if s.work is not None else None,
                    "bytes_moved": s.bytes_moved,
                }
                for s in self.stages
            ],
            "blocks": [
                {
                    **b.block.to_dict(),
                    "cost": {
                        "params": asdict(b.params),
                        "work": asdict(b.work) if b.work is not None else None,
                        "bytes_moved": b.bytes_moved,
                    },
                }
                for b in self.blocks
            ],
            "sweep": [
                {
                    **asdict(r),
                    "fits": r.fits(r.size),
                    "fits_with_biases": r.fits(r.size_with_biases),
                }
                for r in self.sweep
            ],
            "latency": {**asdict(self.latency[-1]), "runs": [asdict(t) for t in self.latency]}
            if self.latency
            else None,
            "not_counted": [asdict(n) for n in self.not_counted],
            "twin_macs": self.twin_macs,
            "inserted": list(self.inserted),
            "notes": list(self.notes),
            "running_stats": self.running_stats,
            "reduction": self.reduction,
            "hidden_rule": self.hidden_rule,
            "checkpoint_sha256": self.checkpoint_sha256,
        }

    def _whole(self) -> dict[str, Any]:
        """Return what is known of the whole network; ``None`` for each key where it is not."""
        totals, work, paper = self.totals, self.work, self.convention("paper")
        if totals is None or work is None:
            return dict.fromkeys(("macs", "flops", "paper_gflops", "memory", "totals"))
        return {
            "macs": {
                "total": totals.macs,
                "without_se": self.macs_without_se,
                "se_fc": work.fc_macs,
                "se_squeeze": work.squeeze_adds,
                "se_scale": work.scale_multiplications,
                "increase": self.macs_increase,
            },
            "flops": {
                "total": 2 * totals.macs,
                "without_se": 2 * totals.macs - 2 * work.fc_macs,
                "convention": "2 x MACs",
            },
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
                "se_weight_bytes": sum(b.weight_bytes for b in self.blocks),
                "se_scale_bytes": work.scale_bytes,
            },
            "totals": {
                "norm_elements": totals.norm_elements,
                "pool_elements": totals.pool_elements,
                "chain": totals.chain,
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Audit:
        """Build from `to_dict`'s output, also after a trip through JSON.

        What an older seviz wrote is read too.

        Raises:
            DataError: If it is of a kind of gates that is not known.
        """
        return cls(**audit_fields(values))

    def save(self, path: str | Path, more: Mapping[str, Any] | None = None) -> Path:
        """Write it as JSON, whole or not at all.

        Args:
            path: The ``.json`` file; a folder gets ``audit.json``.
            more: Further keys of the document.
        """
        target = _file(path)
        document = {"schema_version": SCHEMA_VERSION, **self.to_dict(), **(more or {})}
        with written_whole(target) as temporary:
            text = json.dumps(document, indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        return target

    @classmethod
    def load(cls, path: str | Path) -> Audit:
        """Read what `save` wrote.

        Args:
            path: The ``.json`` file, or the folder that holds ``audit.json``.

        Raises:
            DataError: If there is no such file, it is damaged, or it was written by another seviz.
        """
        source = _file(path)
        try:
            document = parse(plain_file(source).read_text(encoding="utf-8"))
            version = document.get("schema_version")
            if version == SCHEMA_VERSION:
                made = read(cls, cls.from_dict(document), "audit")
                check_names(b.block.name for b in made.blocks)
                made.to_dict()  # what follows from its numbers can be computed
                return made
        except (
            OSError,
            ValueError,
            ArithmeticError,
            LookupError,
            AttributeError,
            TypeError,
            RecursionError,
        ) as exc:
            raise DataError(
                f"expected an audit at {source}, found something else ({exc}); make one with 'seviz audit'"
            ) from exc
        raise DataError(
            f"expected an audit of schema version {SCHEMA_VERSION}, found {version!r} in {source}; run "
            "'seviz audit' again, or update seviz"
        )


def _file(path: str | Path) -> Path:
    target = Path(path)
    return target if target.suffix == ".json" else target / AUDIT_NAME


def _sum(values: Iterable[float | None]) -> float | None:
    """Return a sum; ``None`` where a part of it is not known."""
    known = list(values)
    return None if None in known else sum(v for v in known if v is not None)
