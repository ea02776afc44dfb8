"""The rows of an audit: the whole network, ways to count it, stages, blocks, other ratios, times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seviz.analysis.cost import percent
from seviz.analysis.findings.estimates import Estimate
from seviz.results.cost import (
    FALLBACK_RULE,
    UNKNOWN_RULE,
    Audit,
    BlockCost,
    Convention,
    Latency,
    SweepRow,
    total_bytes,
    total_params,
    total_work,
)
from seviz.results.keys import file_key
from seviz.tables.blocks import path_of
from seviz.tables.csv_files import write_csv
from seviz.tables.table import BLANK, Cell, Column, Table

# arXiv 1709.01507v4, section 4: SE-ResNet-50 against ResNet-50, 224 x 224, one image on a CPU.
_PAPER_MS = (164, 167)
_MEGA = 1e-6

_TOTALS = (
    Column("what", "for one image"),
    Column("with_se", "with {}", ","),
    Column("without_se", "without {}", ","),
    Column("se", "{}", ","),
    Column("increase", "increase", "+.2%"),
)
_BYTES = (
    "bytes moved: float32, each operator reads and writes its tensors once; a block of {} reads its map "
    "twice, writes it once, and reads its parameters once"
)


def _of(audit: Audit, *args: Any, **options: Any) -> Table:
    """Return `Table.of` with columns that speak of what was audited, in titles and in files."""
    table = Table.of(*args, **options)
    return replace(table, columns=_called(audit, table.columns))


def _called(audit: Audit, columns: Iterable[Column]) -> tuple[Column, ...]:
    titled = (replace(c, title=c.title.format(audit.word)) for c in columns)
    if audit.is_se:
        return tuple(titled)
    return tuple(replace(c, key=file_key(c.key)) for c in titled)


def totals_table(audit: Audit) -> Table:
    """Return parameters, operations and memory of the whole network, with SE and without.

    Operations are there in each way of counting that was asked for; how each counts is in the notes.
    """
    rows = [_total("parameters", audit.params, audit.params_without_se)]
    notes: list[str] = []
    work, totals, base = audit.work, audit.totals, audit.macs_without_se
    if work is not None and totals is not None and base is not None:
        rows += [
            _total("MACs", totals.macs, base),
            _total("FLOPs, 2 x MACs", 2 * totals.macs, 2 * base),
            *(_convention(c) for c in audit.conventions if c.name not in ("macs", "torch")),
            ("squeeze, additions", BLANK, BLANK, work.squeeze_adds, BLANK),
            ("excitation, MACs", BLANK, BLANK, work.fc_macs, BLANK),
            ("scale, multiplications", BLANK, BLANK, work.scale_multiplications, BLANK),
            _total("bytes moved", totals.bytes_moved, totals.bytes_without_se),
        ]
        rules = {"MACs": "convolution, linear and matrix products; adding a bias is none"}
        rules |= {
            f"FLOPs, {c.name}": c.rule for c in audit.conventions if c.name in ("paper", "fvcore")
        }
        notes = [f"{name}: {rule}" for name, rule in rules.items()]
        if audit.convention("paper") is not None:
            notes.append("the paper's GFLOPs are truncated to two decimals, its MFLOPs rounded")
        notes.append(_BYTES.format(audit.word))
    columns = _called(audit, _TOTALS)
    return Table("costs", "The whole network", columns, tuple(rows), tuple(notes))


def _total(name: str, with_se: int, without: int | None) -> tuple[Any, ...]:
    if without is None:
        return name, with_se, None, None, None
    more = with_se / without - 1 if without else None
    shown = more if more is None else Cell(more, text=percent(more))
    return name, with_se, without, with_se - without, shown


def _convention(counted: Convention) -> tuple[Any, ...]:
    name, with_se, without, *more = _total(
        f"FLOPs, {counted.name}", counted.with_se, counted.without_se
    )
    printed = counted.printed
    base = without if without is None else Cell(without, text=printed[0])
    return name, Cell(with_se, text=printed[1]), base, *more


@dataclass(frozen=True)
class _Share:
    """A block or a stage, as a share of all of SE."""

    of: Any
    params: float
    operations: float | None


# Layers are fully connected in SE alone.
_FC, _LAYERS = "FC (MACs)", "layers (MACs)"
# The paper's formula is SE's; another kind has its own.
_PAPER, _CLOSED = "2C²/r", "closed form"


def _work(key: str, title: str, **options: Any) -> Column:
    def get(share: _Share) -> Any:
        return getattr(share.of.work, key) if share.of.work is not None else None

    return Column(key, title, ",", get, **options)


_OPERATIONS = (
    _work("squeeze_adds", "squeeze (adds)", rank=2),
    _work("fc_macs", _FC, rank=2),
    _work("scale_multiplications", "scale (mult.)", rank=2),
)
_MOVED = Column("bytes_moved", "MB moved", ".2f", lambda s: s.of.bytes_moved, scale=_MEGA)
_OPERATIONS_SHARE = Column(
    "operations_share", "of operations", ".1%", lambda s: s.operations, rank=3
)
_COUNTED = {*_OPERATIONS, _OPERATIONS_SHARE, _MOVED}


@dataclass(frozen=True)
class _Stage:
    """Blocks that stand in one row."""

    name: str
    blocks: tuple[BlockCost, ...]

    @property
    def work(self) -> Any:
        return total_work(self.blocks)

    @property
    def bytes_moved(self) -> int | None:
        return total_bytes(self.blocks)

    @property
    def widths(self) -> str:
        sizes = sorted({b.block.channels for b in self.blocks})
        return "-".join(map(str, sizes[:: max(1, len(sizes) - 1)][:2]))

    @property
    def map(self) -> str | None:
        maps = {"x".join(map(str, b.block.spatial)) for b in self.blocks}
        return maps.pop() if len(maps) == 1 else None


_STAGES = (
    Column("stage", "stage", get=lambda s: s.of.name),
    Column("blocks", "blocks", "d", lambda s: len(s.of.blocks)),
    Column("channels", "channels", get=lambda s: s.of.widths, rank=1),
    Column("map", "map", get=lambda s: s.of.map, rank=3),
    Column("params", "parameters", ",", lambda s: total_params(s.of.blocks)),
    Column("share", "of {}'s weights", ".1%", lambda s: s.params),
    *_OPERATIONS,
    _MOVED,
)


def stages_table(audit: Audit) -> Table:
    """Return the gates by stage, all of them last; shares are of the weights, as in the paper's formula."""
    several = len(audit.kinds) > 1
    items = [
        _Share(_Stage(s.name if several else str(s.stage), s.blocks), s.share, None)
        for s in audit.stages
    ]
    everything = _Share(_Stage("all", audit.blocks), 1.0, None)
    columns = _own_titles(audit, _STAGES)
    return _of(audit, "stages", f"{audit.word} by stage", columns, [*items, everything], foot=1)


def _own_titles(audit: Audit, columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return columns whose titles hold for what was audited."""
    others = {} if audit.is_se else {_FC: _LAYERS, _PAPER: _CLOSED}
    return tuple(replace(c, title=others.get(c.title, c.title)) for c in columns)


def _params(key: str, title: str = "", form: str = ",", **options: Any) -> Column:
    return Column(key, title, form, lambda s: getattr(s.of.params, key), **options)


def _fact(name: str) -> Column:
    return Column(name, get=lambda s: s.of.block.facts.get(name))


_FACTS = {"hidden", "reduction", "branches", "kernel"}
_BLOCKS = (
    Column("block", "block", get=lambda s: s.of.block.name),
    Column("path", get=lambda s: s.of.block.path),
    Column("stage", get=lambda s: s.of.block.stage),
    Column("channels", "channels", "d", lambda s: s.of.block.channels, rank=4),
    _fact("hidden"),
    _fact("reduction"),
    _fact("branches"),
    _fact("kernel"),
    Column("map", "map", get=lambda s: "x".join(map(str, s.of.block.spatial)), rank=6),
    Column("params", "parameters", ",", lambda s: s.of.params.total),
    Column("params_share", "of {}", ".1%", lambda s: s.params),
    _params("weights", "weights", rank=5),
    _params("biases", "biases", rank=7),
    _params("norms", "norms", rank=8),
    _params("others"),
    _params("formula", _PAPER, ",.0f", rank=5),
    _params("rounding"),
    *_OPERATIONS,
    _OPERATIONS_SHARE,
    Column("squeeze_bytes", get=lambda s: s.of.work.squeeze_bytes if s.of.work else None),
    Column("weight_bytes", get=lambda s: s.of.weight_bytes if s.of.work else None),
    Column("scale_bytes", get=lambda s: s.of.work.scale_bytes if s.of.work else None),
    _MOVED,
    Column("", "path", get=lambda s: path_of(s.of.block), rank=1),
)


def blocks_table(audit: Audit) -> Table:
    """Return what each block costs; nothing where a number is not known."""
    params = sum(b.params.total for b in audit.blocks)
    work = audit.work
    items = [
        _Share(
            b,
            b.params.total / params if params else 0.0,
            b.work.operations / work.operations
            if b.work is not None and work is not None
            else None,
        )
        for b in audit.blocks
    ]
    known = work is not None  # else files have the columns, empty, and people see none of them
    facts = {name for b in audit.blocks for name in b.block.facts}
    columns = [
        replace(c, title=c.title if known or c not in _COUNTED else "")
        for c in _BLOCKS
        if c.key not in _FACTS - facts
    ]
    caption = "What each block costs"
    return _of(audit, "block_costs", caption, _own_titles(audit, columns), items)


_SWEEP = (
    Column("reduction", "r", "d"),
    Column("params", "parameters", ","),
    Column("se_params", "of {}", ","),
    Column("increase", "increase", "+.2%", lambda r: r.params / (r.params - r.se_params) - 1),
    Column("macs", "MACs", ",", rank=1),
    Column("size", "size", ".1f", unit="M", scale=_MEGA, rank=2),
    Column("size_with_biases", "with biases", ".1f", unit="M", scale=_MEGA, rank=2),
)


def _fits(row: SweepRow) -> str | None:
    """Say which of the two sizes is what the paper prints."""
    if row.paper is None:
        return None
    without, with_biases = row.fits(row.size), row.fits(row.size_with_biases)
    if without and with_biases:
        return "both"
    return "without biases" if without else "with biases" if with_biases else "neither"


_PAPERS = (
    Column("paper", "paper", ".1f", unit="M"),
    Column("", "fits", get=_fits),
)


def sweep_table(audit: Audit) -> Table:
    """Return the same network at other reduction ratios."""
    paper = any(r.paper is not None for r in audit.sweep)
    rule = audit.hidden_rule
    if rule == UNKNOWN_RULE:
        rule = f"{FALLBACK_RULE} (the network's own rule is not a function of C and r)"
    notes = [
        f"size: parameters and running statistics of batch norm, {audit.word}'s biases left out or counted",
        f"bottleneck: {rule}",
    ]
    for name, key in (
        (("without biases", "size"), ("with biases", "size_with_biases")) if paper else ()
    ):
        wrong = [f"r = {r.reduction}" for r in audit.sweep if r.fits(getattr(r, key)) is False]
        said = (
            f"does not give the paper's for {', '.join(wrong)}"
            if wrong
            else "gives all of the paper's"
        )
        notes.append(f"SE-ResNet-50: the size {name} {said}")
    columns = (*_SWEEP, *(_PAPERS if paper else ()))
    caption = "The same network at other reduction ratios"
    return _of(audit, "sweep", caption, columns, audit.sweep, notes)


def _device(time: Latency) -> str:
    return time.device if time.device != "cpu" else f"cpu, {time.threads} threads"


_LATENCY = (
    Column("batch", "batch", "d"),
    Column("with_se_ms", "with {}", ".2f", unit="ms"),
    Column("without_se_ms", "without {}", ".2f", unit="ms"),
    Column.measured(
        "ratio", "ratio", ".3f", lambda t: Estimate(t.ratio, t.ratio_low, t.ratio_high)
    ),
    Column("device", "device", get=_device),
)


def latency_table(audit: Audit) -> Table:
    """Return wall times with and without the gates."""
    without, with_se = _PAPER_MS
    pairs = audit.latency[0].pairs if audit.latency else 0
    note = f"medians of {pairs} interleaved pairs [95 % interval]"
    if audit.is_se:
        ratio = with_se / without
        note += f"; the paper's SE-ResNet-50 on a CPU: {without} -> {with_se} ms, ratio {ratio:.3f}"
    return _of(audit, "latency", "Wall time", _LATENCY, audit.latency, [note] if pairs else [])


_NOT_COUNTED = (
    Column("operator", "operator"),
    Column("count", "times", "d"),
    Column("path", "first in", get=path_of),
)


def not_counted_table(audit: Audit) -> Table:
    """Return the operators that are in no number."""
    caption = "Operators that are not counted, in no number above"
    return Table.of("not_counted", caption, _NOT_COUNTED, audit.not_counted)


def write_cost_csv(audit: Audit, path: str | Path) -> Path:
    """Write `blocks_table` as CSV; its folder is made if need be."""
    return write_csv(blocks_table(audit), path)
