"""What is compared: a network with what is known of it. Needs NumPy, never torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from seviz.results.ablation import Ablation
from seviz.results.cost import Convention
from seviz.results.predictions import PredictionTable
from seviz.results.record import Record


@dataclass(frozen=True)
class NetworkCost:
    """What a whole network costs, with or without SE in it.

    Attributes:
        params: Its parameters.
        macs: MACs of convolution, linear and matrix products for one image.
        paper: The same as the SENet paper counts its GFLOPs.
        se_blocks: How many SE blocks it has, as far as SE was looked for.
        gates: How many blocks of each kind that was looked for, by its word (`seviz.results.mechanisms`).
        gate_params: The parameters of all of them.
        readable: The kinds whose gates can be read in it, looked for or not.
    """

    params: int
    macs: int
    paper: Convention
    se_blocks: int
    gates: Mapping[str, int] = field(default_factory=dict)
    gate_params: int = 0
    readable: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Subject:
    """One of the networks that are compared.

    Attributes:
        name: What it is called.
        record: Its gates and predictions, where a pass was made.
        predictions: Its answer for each image, where that was kept.
        cost: What it costs, where the network itself is at hand.
        ablation: Which of its blocks matter, where that was measured.
    """

    name: str
    record: Record | None = None
    predictions: PredictionTable | None = None
    cost: NetworkCost | None = None
    ablation: Ablation | None = None


def letter(place: int) -> str:
    """Return what a network of a list is called for short: a to z, then its number."""
    return chr(ord("a") + place) if place < 26 else str(place + 1)


def told_apart(subjects: Sequence[Subject]) -> list[Subject]:
    """Give a letter to networks that have the name of another one.

    >>> [s.name for s in told_apart([Subject("net"), Subject("twin"), Subject("net")])]
    ['net (A)', 'twin', 'net (C)']
    """
    count = Counter(subject.name for subject in subjects)
    return [
        replace(s, name=f"{s.name} ({letter(place).upper()})") if count[s.name] > 1 else s
        for place, s in enumerate(subjects)
    ]
