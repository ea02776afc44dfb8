"""The means that blocks are held at where no record has them: of gates, and of shifts beside them."""

from __future__ import annotations

from seviz.collect.prepared import Prepared, Progress
from seviz.data import KeptBatches
from seviz.gates import trace
from seviz.pruning.ablation.study import kind_of_gates, studying
from seviz.results.stats import Floats


def held_means(ready: Prepared, *, progress: Progress | None = None) -> dict[str, Floats]:
    """Make a pass over images, and return the mean of each block's gates, each image weighing the same.

    Args:
        ready: The network and the images, from `seviz.collect.prepare.prepare`.
        progress: As for `seviz.collect`.

    Returns:
        Mean gates [C] by block name; of blocks that shift as well mean gates and mean shifts, [2, C].

    Raises:
        KeyboardInterrupt: If the pass was interrupted.
        CheckpointError: If a number is none, or a shift cannot be read.
        DeviceError: If the memory of the device is not enough.
    """
    images = KeptBatches(ready.batches())
    traced = trace(ready.loaded.model, ready.example, kind_of_gates(ready.options))
    with studying(ready, traced, images, progress) as study:
        means = study.means()
    return {
        b.name: means[b.name].reshape(2, -1) if b.shift else means[b.name] for b in ready.blocks
    }
