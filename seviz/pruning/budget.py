"""Folding with images at hand: mean gates from a pass, blocks within a budget, what it costs in accuracy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from seviz.collect.execute import execute
from seviz.collect.meet import Data
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.prepared import Progress
from seviz.errors import DataError
from seviz.networks import LoadedModel
from seviz.results.ablation import Ablation
from seviz.results.predictions import PredictionTable
from seviz.results.record import Record

Right = npt.NDArray[np.bool_]


def answers(
    loaded: LoadedModel,
    data: Data,
    options: PassOptions,
    *,
    progress: Progress | None = None,
) -> tuple[Record, Right | None]:
    """Run a network over images once, with or without SE.

    Args:
        loaded: The network.
        data: As for `seviz.collect`.
        options: How the pass is made.
        progress: As for `seviz.collect`.

    Returns:
        The record, and whether the largest output is the class of each image, [N]; ``None`` where the
        folders are not the network's classes.

    Raises:
        SevizError: As `seviz.collect` does.
        KeyboardInterrupt: If the pass was interrupted: half of the images judge nothing.
    """
    options = replace(options, require_se=False)
    tables: list[PredictionTable] = []
    ready = prepare(loaded, data, options)
    record = execute(ready, progress=progress, each=tables.append if ready.scored else None)
    if record.header.partial:
        raise KeyboardInterrupt
    return record, tables[0].true == tables[0].predicted if tables else None


def choose_blocks(ablation: Ablation, budget: float) -> tuple[str, ...]:
    """Return as many blocks as can be folded together for a budget.

    Blocks go from the one that matters least on, as in the ablation; of these sets the largest is taken
    that keeps the budget.

    Args:
        ablation: Gates replaced by their means, block by block.
        budget: How much top-1 may fall, in percentage points.

    Returns:
        Their names; none if even the first costs more.
    """
    fitting = [
        step.blocks
        for step in ablation.cumulative
        if 100 * (step.lost - step.won) <= budget * ablation.images * (1 + 1e-12)
    ]
    return max(fitting, key=len, default=())


def affordable(
    loaded: LoadedModel,
    data: Data,
    options: PassOptions,
    budget: float,
    *,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Return the blocks that `choose_blocks` takes, after an ablation on images.

    Args:
        loaded: The network.
        data: As for `seviz.collect`.
        options: How the passes are made.
        budget: How much top-1 may fall, in percentage points.
        progress: As for `seviz.collect`.

    Raises:
        DataError: If the images cannot be scored.
    """
    from seviz.pruning.ablation import ablate

    measured = ablate(loaded, data, options, by="block", gates="mean", progress=progress)
    if measured.partial:
        raise KeyboardInterrupt
    return choose_blocks(measured, budget)


def check_same_images(before: Right, after: Right) -> None:
    """Check that two passes saw as many images.

    Raises:
        DataError: If an image could be read in one of them only.
    """
    if len(before) != len(after):
        raise DataError(
            f"expected the same images before and after, found {len(before)} and {len(after)}; some could "
            "not be read every time"
        )
