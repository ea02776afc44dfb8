"""A pass that reads the features of the images that a record keeps singly."""

from __future__ import annotations

import numpy as np
import torch

from seviz.collect.fast import few_threads, full_float32, keeping_memory
from seviz.collect.placing import in_its_place
from seviz.collect.prepared import Prepared
from seviz.data import Batches
from seviz.errors import CheckpointError
from seviz.gates.features import Features
from seviz.gates.inputs import like_traced
from seviz.results.features import SampledFeatures
from seviz.results.sample import MOST_IMAGES, image_keys


def sampled_features(ready: Prepared) -> SampledFeatures | None:
    """Return the features of a fixed sample of the images; ``None`` of batches that are prepared already.

    The images are those whose keys are smallest, as a record's own sample: a smaller one of these is part
    of it.

    Raises:
        SevizError: As a pass does.
    """
    batches = ready.batches()
    if not isinstance(batches, Batches):
        return None
    chosen = batches.smallest(image_keys, MOST_IMAGES)
    model, device = ready.loaded.model, ready.device
    found, places = [], []
    with in_its_place(ready.loaded), few_threads(), keeping_memory(), full_float32(device):
        model.to(device)
        reader: Features | None = None
        for batch in chosen:
            images = batch.images.to(device)
            own = len(images)
            if own == 1:  # networks may take another way through one
                images = images.repeat_interleave(2, 0)
            if reader is None:
                try:
                    reader = Features(model, like_traced(ready.example, 2, model, device))
                except CheckpointError:
                    return None
            found.append(reader(images)[:own].float().cpu())
            places.append(batch.indices)
    index = torch.cat(places).numpy().astype(np.int64)
    return SampledFeatures(index, torch.cat(found).numpy())
