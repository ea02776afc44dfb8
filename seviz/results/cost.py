"""What SE costs a network: the result of an audit. Needs no torch.

Every number is for one image. 1 MAC is one multiplication with its addition in a convolution, a linear
layer or a matrix product; adding a bias is none. Bytes are those of float32 maps that are read and
written once by each operator, as a network runs that is not compiled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seviz.results.blocks import SEBlock

GIGA = 10**9


@dataclass(frozen=True)
class BlockParams:
    """Parameters of one SE block.

    Attributes:
        weights: Of the two fully connected layers.
        biases: Of these.
        norms: Of normalisation between them.
        others: Anything else, such as a learned slope.
        per_hidden: Parameters that each unit of the bottleneck brings along.
        biases_per_hidden: How many of those are biases.
        formula: The paper's 2 C^2 / r, with the reduction ratio r of the whole network where it has one.
    """

    weights: int
    biases: int
    norms: int
    others: int
    per_hidden: int
    biases_per_hidden: int
    formula: float

    @property
    def total(self) -> int:
        """Return the number of parameters."""
        return self.weights + self.biases + self.norms + self.others

    @property
    def rounding(self) -> float:
        """Return what the weights have more than the formula: the bottleneck is a whole number of units."""
        return self.weights - self.formula


@dataclass(frozen=True)
class BlockWork:
    """Operations of one SE block for one image.

    Attributes:
        squeeze_adds: Elements that the squeeze reduces.
        fc_macs: MACs of the fully connected layers.
        scale_multiplications: Elements that the gate scales.
        elementwise: Operations of the activations, norms and additions, one per element that they give.
        squeeze_bytes: Memory that the squeeze reads: the map, once.
        scale_bytes: Memory that the scaling reads and writes: the map, once each.
    """

    squeeze_adds: int
    fc_macs: int
    scale_multiplications: int
    elementwise: int
    squeeze_bytes: int
    scale_bytes: int

    @property
    def operations(self) -> int:
        """Return adds, MACs and multiplications together, each counted as one."""
        return self.squeeze_adds + self.fc_macs + self.scale_multiplications

    @property
    def map_bytes(self) -> int:
        """Return the memory that the squeeze and the scaling move."""
        return self.squeeze_bytes + self.scale_bytes

    def __add__(self, other: BlockWork) -> BlockWork:
        mine, theirs = asdict(self), asdict(other)
        return BlockWork(**{k: mine[k] + theirs[k] for k in mine})


NO_WORK = BlockWork(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class BlockCost:
    """One SE block and what it costs.

    Attributes:
        block: The block.
        params: Its parameters.
        work: Its operations; ``None`` where the network itself is not known.
    """

    block: SEBlock
    params: BlockParams
    work: BlockWork | None


@dataclass(frozen=True)
class StageCost:
    """The SE blocks of one stage together.

    Attributes:
        stage: The stage, as in ``SE_<stage>_<index>``.
        blocks: Its blocks.
        share: Share of the weights of SE, biases left out, 0 to 1.
    """

    stage: int
    blocks: tuple[BlockCost, ...]
    share: float

    @property
    def params(self) -> int:
        """Return the parameters of the stage's blocks."""
        return sum(b.params.total for b in self.blocks)

    @property
    def work(self) -> BlockWork | None:
        """Return their operations."""
        return total_work(self.blocks)


def total_work(blocks: Sequence[BlockCost]) -> BlockWork | None:
    """Return the operations of several blocks together; ``None`` if they are not known."""
    known = [b.work for b in blocks if b.work is not None]
    return sum(known, NO_WORK) if len(known) == len(blocks) else None


@dataclass(frozen=True)
class Convention:
    """The cost of the network as one way of counting gives it.

    Attributes:
        name: ``macs``, ``torch``, ``fvcore`` or ``paper``.
        with_se: Operations of the network.
        without_se: Operations of its twin without SE; ``None`` where that cannot be run.
        rule: What is counted.
    """

    name: str
    with_se: int
    without_se: int | None
    rule: str

    @property
    def printed(self) -> tuple[str, str]:
        """Return (without, with) as text, in G, below one G in M.

        The paper's GFLOPs have two decimals, truncated and not rounded; its MFLOPs are rounded.

        >>> Convention("paper", 3_879_999_999, 3_869_363_200, "").printed
        ('3.86 G', '3.87 G')
        """
        small = self.with_se < GIGA
        texts = []
        for count in (self.without_se, self.with_se):
            value = self.giga(count)
            if value is None:
                texts.append("-")
            elif small:
                texts.append(f"{1000 * value:.{0 if self.name == 'paper' else 1}f} M")
            else:
                texts.append(f"{value:.{2 if self.name == 'paper' else 3}f} G")
        return texts[0], texts[1]

    def giga(self, count: int | None) -> float | None:
        """Return a count in units of 10^9, with as many decimals as are printed."""
        if count is None:
            return None
        if self.name != "paper":
            return round(count / GIGA, 4 if self.with_se < GIGA else 3)
        if self.with_se < GIGA:
            return round(count / GIGA, 3)
        return count // (GIGA // 100) / 100


@dataclass(frozen=True)
class NotCounted:
    """An operator that the table of operators does not know: its cost is in no number.

    Attributes:
        operator: Its name.
        count: How often it runs in one pass.
        path: The module in which it runs first.
    """

    operator: str
    count: int
    path: str


@dataclass(frozen=True)
class SweepRow:
    """What the network would cost at another reduction ratio.

    Attributes:
        reduction: The ratio r.
        params: Parameters of the network.
        se_params: Those of SE.
        macs: MACs of convolution, linear and matrix products; ``None`` where they are not known.
        size: Parameters and running statistics of batch norm, without the biases of SE.
        size_with_biases: The same with them.
        paper: Millions that the paper prints, for SE-ResNet-50.
    """

    reduction: int
    params: int
    se_params: int
    macs: int | None
    size: int
    size_with_biases: int
    paper: float | None = None

    def fits(self, size: int) -> bool | None:
        """Return whether a size, in millions with one decimal, is what the paper prints."""
        return None if self.paper is None else f"{size / 1e6:.1f}" == f"{self.paper:.1f}"


@dataclass(frozen=True)
class Latency:
    """Wall time with and without SE, measured in interleaved pairs.

    Attributes:
        device: Where it ran.
        batch: Images per batch.
        pairs: Pairs of runs, after the warm-up.
        with_se_ms: Median with SE, milliseconds per batch.
        without_se_ms: Median without.
        ratio: Median of the pairs' ratios.
        ratio_low: Lower end of its 95 % confidence interval (bootstrap over pairs).
        ratio_high: Upper end.
        threads: Threads of the CPU.
    """

    device: str
    batch: int
    pairs: int
    with_se_ms: float
    without_se_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    threads: int


@dataclass(frozen=True)
class Totals:
    """Counts of the whole network for one image.

    Attributes:
        macs: MACs of convolution, linear and matrix products.
        norm_elements: Elements that normalisation gives, SE's own left out.
        pool_elements: Elements that pooling over windows reads.
        bytes_moved: Memory that all operators read and write, parameters included.
        bytes_without_se: The same of the twin without SE.
        chain: Whether it is a plain chain: no shortcut and no branch.
    """

    macs: int
    norm_elements: int
    pool_elements: int
    bytes_moved: int
    bytes_without_se: int
    chain: bool


@dataclass(frozen=True)
class Audit:
    """What SE costs a network.

    Attributes:
        name: What was audited.
        input_size: Channels, height and width of the image; empty where the network is not known.
        params: Parameters of the network.
        se_params: Those that only SE uses.
        running_stats: Elements of the running statistics of batch norm.
        reduction: The reduction ratio of the network, if all blocks share one.
        hidden_rule: How the bottleneck follows from it.
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

    @property
    def params_without_se(self) -> int:
        """Return the parameters of the twin without SE."""
        return self.params - self.se_params

    @property
    def params_increase(self) -> float:
        """Return SE's parameters as a share of the twin's."""
        return self.se_params / self.params_without_se if self.params_without_se else math.inf

    @property
    def work(self) -> BlockWork | None:
        """Return the operations of all blocks."""
        return total_work(self.blocks) if self.totals is not None else None

    @property
    def macs_without_se(self) -> int | None:
        """Return the MACs of the twin without SE."""
        if self.totals is None or self.work is None:
            return None
        return self.totals.macs - self.work.fc_macs

    @property
    def macs_increase(self) -> float | None:
        """Return SE's MACs as a share of the twin's."""
        if self.work is None or not self.macs_without_se:
            return None
        return self.work.fc_macs / self.macs_without_se

    @property
    def formula(self) -> float:
        """Return the paper's (2/r) sum over stages of N_s C_s^2."""
        return sum(b.params.formula for b in self.blocks)

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """Return the blocks by stage; shares are of the weights alone, as in the paper's formula."""
        weights = sum(b.params.weights for b in self.blocks)
        stages = []
        for stage in dict.fromkeys(b.block.stage for b in self.blocks):
            own = tuple(b for b in self.blocks if b.block.stage == stage)
            share = sum(b.params.weights for b in own) / weights if weights else 0.0
            stages.append(StageCost(stage, own, share))
        return tuple(stages)

    def convention(self, name: str) -> Convention | None:
        """Return the cost in one way of counting, if it was asked for."""
        return next((c for c in self.conventions if c.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict with every field; `from_dict` reads it."""
        values = asdict(self)
        values["blocks"] = [{**asdict(b), "block": b.block.to_dict()} for b in self.blocks]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Audit:
        """Build from `to_dict`'s output, also after a trip through JSON."""
        made: dict[str, Any] = dict(values)
        made["input_size"] = tuple(values["input_size"])
        made["blocks"] = tuple(
            BlockCost(
                SEBlock.from_dict(b["block"]),
                BlockParams(**b["params"]),
                BlockWork(**b["work"]) if b["work"] is not None else None,
            )
            for b in values["blocks"]
        )
        made["totals"] = Totals(**values["totals"]) if values["totals"] is not None else None
        parts = {
            "conventions": Convention,
            "not_counted": NotCounted,
            "sweep": SweepRow,
            "latency": Latency,
        }
        for key, kind in parts.items():
            made[key] = tuple(kind(**part) for part in values[key])
        for key in ("inserted", "notes"):
            made[key] = tuple(values[key])
        return cls(**made)
