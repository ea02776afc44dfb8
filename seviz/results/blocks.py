"""What is known of one block that gates channels, and how blocks are named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self, TypeVar

from seviz.errors import DataError, UsageError
from seviz.results.fields import FieldError
from seviz.results.mechanisms import BY_KEY, BY_NAME, Mechanism

SE = BY_KEY["se"].name
WITHOUT_SQUEEZE = BY_KEY["gate"].name
# What blocks are called, and their stages.
_NAME = re.compile(r"[A-Za-z]{1,20}_\d{1,6}(_\d{1,6})?", re.ASCII)


def check_names(names: Iterable[str]) -> None:
    """Refuse what no block and no stage is called: names are titles of panels and parts of file names.

    Raises:
        FieldError: If there is one.

    >>> check_names(["SE_4_6", "ECA_3"])
    """
    wrong = next((name for name in names if not _NAME.fullmatch(name)), None)
    if wrong is not None:
        raise FieldError(f"{wrong!r:.60} as the name of a block")


@dataclass(frozen=True)
class _Place:
    name: str
    path: str
    stage: int
    index: int
    channels: int


@dataclass(frozen=True)
class GateBlock(_Place):
    """One block that multiplies a map by a number per channel, as found in a forward pass.

    Attributes:
        name: ``<kind>_<stage>_<index>``; ``SE_4_6`` as in the paper.
        path: Dotted path of the module that holds the block (of the residual block, where its code is
            written inline).
        stage: Group of equal spatial size; the first group is stage 2, the stem being stage 1.
        index: Position inside the stage, from 1.
        channels: Number of channels C of the map that is scaled.
        gate: Gate function: ``sigmoid``, ``hardsigmoid``, ``hardsigmoid (slope 0.2)``, ...
        squeeze: What the map is reduced by: ``mean``, ``max``, ...
        placement: ``standard``, ``pre``, ``post``, ``identity`` or ``inside``, as in figure 5 of
            arXiv 1709.01507v4.
        parameters: State-dict names of the gate's parameters.
        params: Number of those parameters.
        spatial: Size of the scaled map, on images of the size that was asked for.
        shift: Whether the excitation also gives an additive term.
        kind: ``SE``, or the name of another of `seviz.results.mechanisms.MECHANISMS`.
    """

    gate: str
    squeeze: str
    placement: str
    parameters: tuple[str, ...]
    params: int
    spatial: tuple[int, ...]
    shift: bool = False
    kind: str = SE

    own: ClassVar[tuple[str, ...]] = ()

    @property
    def mechanism(self) -> Mechanism:
        """Return what the block's kind is, and where it was described."""
        return BY_NAME[self.kind]

    @property
    def facts(self) -> dict[str, float]:
        """Return what only blocks of such a kind have, by name: ``hidden`` and ``reduction`` of SE."""
        return {name: getattr(self, name) for name in self.own}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict, with everything in `facts`."""
        return {**asdict(self), **self.facts}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from `to_dict`'s output a block of the class of its kind.

        Raises:
            DataError: If it is of another kind than asked for, or of none that this version knows.
        """
        made = block_class(values)
        if not issubclass(made, cls):
            known = ", ".join(n for n, m in BY_NAME.items() if issubclass(FORMS[m.form], cls))
            raise DataError(
                f"expected a block of kind {known}, found {values.get('kind')!r}; give one of those"
            )
        names = {f.name for f in fields(made)}
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in names
        }
        return made(**given)


# Fields of a kind of its own come after the place, so that they keep their order in records.
@dataclass(frozen=True)
class _Bottleneck(_Place):
    hidden: int


@dataclass(frozen=True)
class _Branches(_Bottleneck):
    branches: int


@dataclass(frozen=True)
class _Kernel(_Place):
    kernel: int


@dataclass(frozen=True)
class BottleneckBlock(GateBlock, _Bottleneck):
    """A block whose gate comes out of a bottleneck.

    Attributes:
        hidden: Units of the bottleneck.
    """

    own: ClassVar[tuple[str, ...]] = ("hidden", "reduction")

    @property
    def reduction(self) -> float:
        """Ratio C / hidden."""
        return _ratio(self.channels, self.hidden)


@dataclass(frozen=True)
class SEBlock(BottleneckBlock):
    """One SE block, or a gate that is SE but for its squeeze."""


@dataclass(frozen=True)
class BranchesBlock(BottleneckBlock, _Branches):
    """A block that weighs several maps against each other, a softmax over them for each channel.

    Its ``channels`` are those of all maps together: those of the first, then those of the second, ...

    Attributes:
        branches: Number of maps.
    """

    own = ("hidden", "branches", "reduction")

    @property
    def reduction(self) -> float:
        """Ratio of the channels of one map to hidden."""
        return _ratio(self.channels // self.branches, self.hidden)


@dataclass(frozen=True)
class KernelBlock(GateBlock, _Kernel):
    """A block whose gate is a convolution over the channels.

    Attributes:
        kernel: Neighbours, the channel itself included, that a gate depends on.
    """

    own = ("kernel",)


def _ratio(channels: int, hidden: int) -> float:
    ratio = channels / hidden
    return int(ratio) if ratio.is_integer() else round(ratio, 2)


# By `Mechanism.form`.
FORMS: Mapping[str, type[GateBlock]] = {
    "se": SEBlock,
    "bottleneck": BottleneckBlock,
    "branches": BranchesBlock,
    "kernel": KernelBlock,
    "plain": GateBlock,
}
B = TypeVar("B", bound=GateBlock)


def params_of(blocks: Iterable[GateBlock]) -> int:
    """Return the parameters of some blocks together; those of a module that several use count once."""
    return sum({b.parameters: b.params for b in blocks}.values())


def paper_panels(blocks: Sequence[B]) -> list[B]:
    """Return the last block of each stage, and every block of the last stage, of each kind.

    For SE-ResNet-50 these are the six panels of the paper's figure 6 (arXiv 1709.01507v4).
    """
    ends = {(b.kind, b.stage): b.name for b in blocks}
    last = {kind: max(s for k, s in ends if k == kind) for kind, _ in ends}
    return [b for b in blocks if b.stage == last[b.kind] or ends[b.kind, b.stage] == b.name]


def select_blocks(blocks: Sequence[B], wanted: Iterable[str] | None) -> list[B]:
    """Return the blocks that the user named, in forward order; the paper's panels without a name.

    Args:
        blocks: All blocks of a network.
        wanted: ``all``, names (``SE_4_6``), stages (``SE_4`` of one kind, ``4`` of all) or module paths.

    Raises:
        UsageError: If a name fits no block.
    """
    names = list(wanted or ())
    if not names:
        return paper_panels(blocks)
    if names == ["all"]:
        return list(blocks)
    chosen = set()
    for name in names:
        fits = [b.name for b in blocks if _is_in(b, name)]
        if not fits:
            known = f"{blocks[0].name} ... {blocks[-1].name}" if len(blocks) > 1 else blocks[0].name
            stage = f"{blocks[0].mechanism.prefix}_{blocks[0].stage}"
            raise UsageError(
                f"expected block names of this network ({known}), a stage ({stage}) or 'all', found "
                f"{name!r}; 'seviz inspect' lists the blocks"
            )
        chosen.update(fits)
    return [b for b in blocks if b.name in chosen]


def _is_in(block: GateBlock, name: str) -> bool:
    """Whether a name is the block's, or its stage's."""
    if name.lower() == block.name.lower() or name == block.path:
        return True
    stage = re.fullmatch(r"(?:([a-z]+)_)?(\d+)", name.lower())
    if stage is None or len(stage[2]) > 9 or int(stage[2]) != block.stage:
        return False
    prefixes = {block.mechanism.prefix.lower(), None}
    # A gate that is SE but for its squeeze may be called by SE's stages.
    return stage[1] in (prefixes | {"se"} if isinstance(block, SEBlock) else prefixes)


def block_class(values: object) -> type[GateBlock]:
    """Return the class of the block that `GateBlock.to_dict` made these values of.

    Raises:
        DataError: If they are of no kind that this version knows.
    """
    kind = values.get("kind", SE) if isinstance(values, Mapping) else SE
    if not isinstance(kind, str) or kind not in BY_NAME:
        raise DataError(
            f"expected a block of kind {', '.join(BY_NAME)}, found {kind!r:.40}; update seviz"
        )
    return FORMS[BY_NAME[kind].form]
