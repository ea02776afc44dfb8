"""What is known of one SE block, and how blocks are named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seviz.errors import UsageError

SE = "SE"
WITHOUT_SQUEEZE = "gate without squeeze"


@dataclass(frozen=True)
class SEBlock:
    """One SE block, as found in a forward pass.

    Attributes:
        name: ``SE_<stage>_<index>``, as in the paper.
        path: Dotted path of the module that holds the block (of the residual block, where the SE code
            is written inline).
        stage: Group of equal spatial size; the first group is stage 2, the stem being stage 1.
        index: Position inside the stage, from 1.
        channels: Number of channels C of the map that is scaled.
        hidden: Units of the bottleneck.
        gate: Gate function: ``sigmoid``, ``hardsigmoid``, ``hardsigmoid (slope 0.2)``, ...
        squeeze: ``mean`` or ``max``.
        placement: ``standard``, ``pre``, ``post``, ``identity`` or ``inside``, as in the paper's figure 5.
        parameters: State-dict names of the excitation's parameters.
        params: Number of those parameters.
        spatial: Size of the scaled map in the traced pass.
        shift: Whether the excitation also gives an additive term.
        kind: ``SE``, or ``gate without squeeze`` where the gate is per pixel and what is read is its
            spatial mean.
    """

    name: str
    path: str
    stage: int
    index: int
    channels: int
    hidden: int
    gate: str
    squeeze: str
    placement: str
    parameters: tuple[str, ...]
    params: int
    spatial: tuple[int, ...]
    shift: bool = False
    kind: str = SE

    @property
    def reduction(self) -> float:
        """Ratio C / hidden."""
        ratio = self.channels / self.hidden
        return int(ratio) if ratio.is_integer() else round(ratio, 2)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict, ``reduction`` included."""
        return {**asdict(self), "reduction": self.reduction}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SEBlock:
        """Build from `to_dict`'s output."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        fields.pop("reduction", None)
        return cls(**fields)


def paper_panels(blocks: Sequence[SEBlock]) -> list[SEBlock]:
    """Return the last block of each stage, and every block of the last stage.

    For SE-ResNet-50 these are the six panels of the paper's figure 6 (arXiv 1709.01507v4).
    """
    last_stage = max(b.stage for b in blocks)
    ends = {b.stage: b.name for b in blocks}
    return [b for b in blocks if b.stage == last_stage or ends[b.stage] == b.name]


def select_blocks(blocks: Sequence[SEBlock], wanted: Iterable[str] | None) -> list[SEBlock]:
    """Return the blocks that the user named, in forward order; the paper's panels without a name.

    Args:
        blocks: All blocks of a network.
        wanted: ``all``, names (``SE_4_6``), stages (``SE_4``) or module paths.

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
        stage = re.fullmatch(r"(?:SE_)?(\d+)", name, re.IGNORECASE)
        fits = [
            b.name
            for b in blocks
            if name.lower() == b.name.lower()
            or name == b.path
            or (stage and b.stage == int(stage[1]))
        ]
        if not fits:
            known = f"{blocks[0].name} ... {blocks[-1].name}" if len(blocks) > 1 else blocks[0].name
            raise UsageError(
                f"expected block names of this network ({known}), a stage (SE_{blocks[0].stage}) or "
                f"'all', found {name!r}; 'seviz inspect' lists the blocks"
            )
        chosen.update(fits)
    return [b for b in blocks if b.name in chosen]
