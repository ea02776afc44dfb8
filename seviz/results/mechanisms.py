"""The kinds of channel gates that are read: what each is called, and where it was described.

How a kind is recognised in a network is written in `seviz.gates.kinds`; what is said here is all that a
record, a table or a figure needs to know of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seviz.errors import UsageError


@dataclass(frozen=True)
class Mechanism:
    """One kind of gate.

    Attributes:
        key: Word by which it is chosen: ``eca``.
        name: What a block of it says it is: ``ECA``.
        prefix: Beginning of the blocks' names: ``ECA`` in ``ECA_3_2``.
        title: What the letters stand for.
        form: What its blocks have beside what all gates have, as in `seviz.results.blocks.FORMS`.
        limits: Between which numbers a gate lies as it was described. Networks may have another gate
            function (SE with 2 * sigmoid, as in NFNets); the block's ``gate`` says which.
        source: Where it was described.
        per_pixel: Whether the gate varies over the map, so that its spatial mean is what is read.
        short: What all of it in a network is called where its name does not fit a sentence.
        besides: What the paper's module has beside this gate, which is not counted with it.
    """

    key: str
    name: str
    prefix: str
    title: str
    form: str
    limits: tuple[float, float]
    source: str
    per_pixel: bool = False
    short: str = ""
    besides: str = ""

    @property
    def word(self) -> str:
        """Return what all of it in a network is called: ``ECA`` has so many parameters."""
        return self.short or self.name

    @property
    def has_bottleneck(self) -> bool:
        """Return whether a gate comes out of two layers whose width follows from a reduction ratio."""
        return self.form in _BOTTLENECKS and not (self.per_pixel and self.form != "se")


# Forms whose cost grows with the units of one bottleneck.
_BOTTLENECKS = frozenset({"se", "bottleneck"})

MECHANISMS = (
    Mechanism(
        key="se",
        name="SE",
        prefix="SE",
        title="squeeze and excitation",
        form="se",
        limits=(0, 1),
        source="Hu et al. 2018, arXiv 1709.01507",
    ),
    Mechanism(
        key="gate",
        name="gate without squeeze",
        prefix="GATE",
        title="squeeze and excitation with the squeeze left out",
        form="se",
        limits=(0, 1),
        source="Hu et al. 2018, arXiv 1709.01507, Table 16 (NoSqueeze)",
        per_pixel=True,
        short="NoSqueeze",
    ),
    Mechanism(
        key="ese",
        name="eSE",
        prefix="eSE",
        title="effective squeeze and excitation: one layer, no bottleneck",
        form="plain",
        limits=(0, 1),
        source="Lee and Park 2020, arXiv 1911.06667",
    ),
    Mechanism(
        key="eca",
        name="ECA",
        prefix="ECA",
        title="efficient channel attention: a convolution over the channels",
        form="kernel",
        limits=(0, 1),
        source="Wang et al. 2020, arXiv 1910.03151",
    ),
    Mechanism(
        key="cbam",
        name="CBAM",
        prefix="CBAM",
        title="channel half of the convolutional block attention module: two squeezes, one bottleneck",
        form="bottleneck",
        limits=(0, 1),
        source="Woo et al. 2018, arXiv 1807.06521",
        besides="spatial half",
    ),
    Mechanism(
        key="bam",
        name="BAM",
        prefix="BAM",
        title="bottleneck attention module: a channel half and a spatial half make one gate",
        form="bottleneck",
        limits=(1, 2),
        source="Park et al. 2018, arXiv 1807.06514",
        per_pixel=True,
    ),
    Mechanism(
        key="ge",
        name="GE",
        prefix="GE",
        title="gather-excite over the whole map",
        form="plain",
        limits=(0, 1),
        source="Hu et al. 2018, arXiv 1810.12348",
    ),
    Mechanism(
        key="gc",
        name="GC",
        prefix="GC",
        title="global context, multiplied: attention pooling, then a bottleneck",
        form="bottleneck",
        limits=(0, 1),
        source="Cao et al. 2019, arXiv 1904.11492",
    ),
    Mechanism(
        key="sk",
        name="SK",
        prefix="SK",
        title="selective kernel: convolutions weighed against each other",
        form="branches",
        limits=(0, 1),
        source="Li et al. 2019, arXiv 1903.06586",
    ),
    Mechanism(
        key="split",
        name="split attention",
        prefix="SPLIT",
        title="split attention: parts of one convolution weighed against each other",
        form="branches",
        limits=(0, 1),
        source="Zhang et al. 2020, arXiv 2004.08955",
    ),
    Mechanism(
        key="srm",
        name="SRM",
        prefix="SRM",
        title="style-based recalibration: mean and spread of each channel on its own",
        form="plain",
        limits=(0, 1),
        source="Lee et al. 2019, arXiv 1903.10829",
    ),
    Mechanism(
        key="fca",
        name="FCA",
        prefix="FCA",
        title="frequency channel attention: a weighted sum in place of the mean",
        form="bottleneck",
        limits=(0, 1),
        source="Qin et al. 2021, arXiv 2012.11779",
    ),
    Mechanism(
        key="gct",
        name="GCT",
        prefix="GCT",
        title="gated channel transformation: norms of the channels, normalised over them",
        form="plain",
        limits=(0, 2),
        source="Yang et al. 2020, arXiv 1909.11519",
    ),
)
BY_KEY = {m.key: m for m in MECHANISMS}
BY_NAME = {m.name: m for m in MECHANISMS}
BY_PREFIX = {m.prefix: m for m in MECHANISMS}
ALL = "all"
DEFAULT_KIND = "se"


def chosen(word: str) -> tuple[Mechanism, ...]:
    """Return the kinds that a word chooses: one by its key, or ``all`` that have a number per channel.

    Raises:
        UsageError: If it is neither.

    >>> [m.prefix for m in chosen("eca")]
    ['ECA']
    """
    if word == ALL:
        return tuple(m for m in MECHANISMS if not m.per_pixel)
    if word not in BY_KEY:
        raise UsageError(
            f"expected a kind of gate ({', '.join(BY_KEY)}, {ALL}), found {word!r}; give one of them"
        )
    return (BY_KEY[word],)


def word_of(kinds: Iterable[Mechanism]) -> str:
    """Return what the gates of some kinds are called together, the one word that all texts take.

    >>> word_of([]), word_of(chosen("eca")), word_of([BY_KEY["se"], BY_KEY["eca"], BY_KEY["se"]])
    ('SE', 'ECA', 'SE + ECA')
    """
    words = dict.fromkeys(kind.word for kind in kinds)
    return " + ".join(words) or BY_KEY[DEFAULT_KIND].word


def has_of(kinds: Iterable[Mechanism]) -> str:
    """Return the word with its verb.

    >>> has_of(chosen("eca")), has_of([BY_KEY["se"], BY_KEY["eca"]])
    ('ECA has', 'SE + ECA have')
    """
    listed = tuple(kinds)
    return f"{word_of(listed)} {'have' if len(set(listed)) > 1 else 'has'}"


def kinds_of_names(names: Iterable[str]) -> tuple[Mechanism, ...]:
    """Return the kinds of blocks or stages by their names (``ECA_3_2``, ``ECA_3``), each once.

    >>> [m.key for m in kinds_of_names(["SE_2_1", "ECA_2_1", "SE_3_1"])]
    ['se', 'eca']
    """
    prefixes = dict.fromkeys(name.partition("_")[0] for name in names)
    return tuple(BY_PREFIX[p] for p in prefixes if p in BY_PREFIX)
