"""The means that blocks are held at where no record has them: of gates, and of shifts beside them."""

from __future__ import annotations

from contextlib import nullcontext

from seviz.collect.fast import few_threads, full_float32, keeping_memory
from seviz.collect.placing import in_its_place
from seviz.collect.prepared import Prepared, Progress
from seviz.data import KeptBatches
from seviz.gates import trace
from seviz.pruning.ablation.study import Study, kind_of_gates
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
    model, images = ready.loaded.model, KeptBatches(ready.batches())
    traced = trace(model, ready.example, kind_of_gates(ready.options))
    bar = progress(images.total) if progress is not None else nullcontext()
    with (
        in_its_place(ready.loaded),
        bar as on_batch,
        few_threads(),
        keeping_memory(),
        full_float32(ready.device),
    ):
        model.to(ready.device)
        means = Study(ready, traced, images, on_batch).means()
    return {
        b.name: means[b.name].reshape(2, -1) if b.shift else means[b.name] for b in ready.blocks
    }
