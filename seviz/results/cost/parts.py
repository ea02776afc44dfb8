"""What an audit counts, part by part: of a block, of a stage, of the whole network.

Where a name says ``se``, it is the gates of the kind that was audited, SE by default.

Every number is for one image. 1 MAC is one multiplication with its addition in a convolution, a linear
layer or a matrix product; adding a bias is none. Bytes are those of float32 maps that are read and
written once by each operator, as a network runs that is not compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from seviz.results.blocks import GateBlock

GIGA = 10**9
_TINY = 10**7
BYTES = 4  # of a float32
# How the bottleneck follows from C and r, where the network's widths tell no rule; and what is done then.
UNKNOWN_RULE = "not recognised"
FALLBACK_RULE = "C / r, rounded, at least 1"


@dataclass(frozen=True)
class BlockParams:
    """Parameters of one block.

    Attributes:
        weights: Of its layers, the two fully connected ones of SE; of a kind without a layer, all that it
            has learned for each channel.
        biases: Of these.
        norms: Of normalisation between them.
        others: Anything else, such as a learned slope.
        per_hidden: Parameters that each unit of the bottleneck brings along; 0 without one.
        biases_per_hidden: How many of those are biases.
        formula: The paper's 2 C^2 / r, with the reduction ratio r of the whole network where it has one; of
            another kind its own closed form of the weights, ``None`` where there is none.
    """

    weights: int
    biases: int
    norms: int
    others: int
    per_hidden: int
    biases_per_hidden: int
    formula: float | None

    @property
    def total(self) -> int:
        """Return the number of parameters."""
        return self.weights + self.biases + self.norms + self.others

    @property
    def rounding(self) -> float | None:
        """Return what the weights have more than the formula: the bottleneck is a whole number of units."""
        return None if self.formula is None else self.weights - self.formula


@dataclass(frozen=True)
class BlockWork:
    """Operations of one block for one image.

    Attributes:
        squeeze_adds: Elements that the squeeze reduces.
        fc_macs: MACs of its layers: of the fully connected ones, of a convolution over the channels, ...
        scale_multiplications: Elements that the gate scales.
        elementwise: Operations of the activations, norms and additions, one per element that they give.
        squeeze_bytes: Memory that the squeeze reads: the map, once, however it is written.
        scale_bytes: Memory that the scaling reads and writes: the map, once each, however it is written.
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
    """One block and what it costs.

    Attributes:
        block: The block.
        params: Its parameters.
        work: Its operations; ``None`` where the network itself is not known.
    """

    block: GateBlock
    params: BlockParams
    work: BlockWork | None

    @property
    def weight_bytes(self) -> int:
        """Return the memory of its parameters at float32; each is read once."""
        return BYTES * self.params.total

    @property
    def bytes_moved(self) -> int | None:
        """Return the memory that it moves: the map, read twice and written once, and its parameters.

        What the excitation passes on, vectors of C numbers at most, is left out.
        """
        return None if self.work is None else self.work.map_bytes + self.weight_bytes


@dataclass(frozen=True)
class StageCost:
    """The blocks of one stage together.

    Attributes:
        stage: The stage, as in ``SE_<stage>_<index>``.
        blocks: Its blocks.
        share: Share of the weights of all blocks, biases left out, 0 to 1.
    """

    stage: int
    blocks: tuple[BlockCost, ...]
    share: float

    @property
    def name(self) -> str:
        """Return the stage as blocks are named by it, ``ECA_3``."""
        return f"{self.blocks[0].block.mechanism.prefix}_{self.stage}"

    @property
    def params(self) -> int:
        """Return the parameters of the stage's blocks."""
        return total_params(self.blocks)

    @property
    def work(self) -> BlockWork | None:
        """Return their operations."""
        return total_work(self.blocks)

    @property
    def bytes_moved(self) -> int | None:
        """Return the memory that they move."""
        return total_bytes(self.blocks)


def total_params(blocks: Sequence[BlockCost]) -> int:
    """Return the parameters of several blocks together; those of a module that several use count once."""
    return sum({b.block.parameters: b.params.total for b in blocks}.values())


def total_work(blocks: Sequence[BlockCost]) -> BlockWork | None:
    """Return the operations of several blocks together; ``None`` if they are not known."""
    known = [b.work for b in blocks if b.work is not None]
    return sum(known, NO_WORK) if len(known) == len(blocks) else None


def total_bytes(blocks: Sequence[BlockCost]) -> int | None:
    """Return the memory that several blocks move together; ``None`` if it is not known."""
    known = [b.bytes_moved for b in blocks if b.bytes_moved is not None]
    return sum(known) if len(known) == len(blocks) else None


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

        The paper's GFLOPs have two decimals, truncated and not rounded; its MFLOPs are rounded. Of networks
        below 10 M, of which the paper has none, thousandths are there in every way of counting.

        >>> Convention("paper", 3_879_999_999, 3_869_363_200, "").printed
        ('3.86 G', '3.87 G')
        """
        small = self.with_se < GIGA
        texts = []
        for count in (self.without_se, self.with_se):
            value = self.giga(count)
            if value is None:
                texts.append("-")
            elif self.with_se < _TINY:
                texts.append(f"{1000 * value:.3f} M")
            elif small:
                texts.append(f"{1000 * value:.{0 if self.name == 'paper' else 1}f} M")
            else:
                texts.append(f"{value:.{2 if self.name == 'paper' else 3}f} G")
        return texts[0], texts[1]

    def giga(self, count: int | None) -> float | None:
        """Return a count in units of 10^9, with as many decimals as are printed."""
        if count is None:
            return None
        if self.with_se < _TINY:
            return round(count / GIGA, 6)
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

    @property
    def tells(self) -> bool:
        """Return whether there are pairs enough for an interval: of five, all fall on one side in 1 of 16."""
        return self.pairs > 5


@dataclass(frozen=True)
class Totals:
    """Counts of the whole network for one image.

    Attributes:
        macs: MACs of convolution, linear and matrix products.
        norm_elements: Elements that normalisation gives, SE's own left out.
        pool_elements: Elements that pooling over windows reads.
        bytes_moved: Memory that is read and written, parameters included: that of the twin, and that of the
            SE blocks.
        bytes_without_se: That of the twin without SE, whose operators each read and write their tensors
            once.
        chain: Whether it is a plain chain: no shortcut and no branch.
    """

    macs: int
    norm_elements: int
    pool_elements: int
    bytes_moved: int
    bytes_without_se: int
    chain: bool
