"""The short way from a record to its figure, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seviz.blocks import select_blocks
from seviz.errors import UsageError
from seviz.figures import gate_curves
from seviz.results import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Classes that are drawn when nobody names any: as many as the paper's figure has.
DEFAULT_CLASSES = 4


def default_classes(record: Record) -> list[str]:
    """Return the names of a few classes, evenly spread over those that have images."""
    names = [str(i) for i, n in enumerate(record.count) if n]
    step = max(1, len(names) // DEFAULT_CLASSES)
    chosen = names[::step][:DEFAULT_CLASSES]
    return [record.classes.labels[int(i)] for i in chosen]


def activations(
    record: Record,
    classes: Sequence[str] | None = None,
    *,
    blocks: Sequence[str] | None = None,
    channels: int | Literal["all"] = 50,
    spread: bool = False,
) -> Figure:
    """Draw the gate activations of some classes, as in figures 6 and 7 of the SENet paper.

    Args:
        record: From `seviz.collect` or `Record.load`.
        classes: Labels, synonyms, WordNet ids or indices; four classes of the record by default.
        blocks: Block names, stages, or ``["all"]``; by default the last block of each stage and every
            block of the last stage.
        channels: How many channels to draw of each block, evenly spaced, or ``all``.
        spread: Draw one standard deviation within each class as a band.

    Returns:
        A matplotlib figure.

    Raises:
        UsageError: If a class or a block is not in the record.
    """
    chosen = record.classes.choose(classes or default_classes(record))
    return gate_curves(
        record,
        chosen,
        select_blocks(record.blocks, blocks),
        channels=channels,
        spread=spread,
    )


def sample(name: str) -> Path:
    """Return the path of a sample checkpoint that comes with seviz.

    ``se_resnet_digits`` is in every installation; the CIFAR-10 samples are in the source tree.

    Raises:
        UsageError: If it is not here.

    >>> sample("se_resnet_digits").name
    'se_resnet_digits.pt'
    """
    package = Path(__file__).resolve().parent
    places = [package / "samples", package.parent / "sample_checkpoints"]
    for place in places:
        if (place / f"{name}.pt").is_file():
            return place / f"{name}.pt"
    known = sorted({p.stem for place in places for p in place.glob("*.pt")})
    raise UsageError(
        f"expected a sample checkpoint ({', '.join(known) or 'none here'}), found {name!r}"
    )
