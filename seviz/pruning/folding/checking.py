"""Whether a folded network computes what the network with its gates held does."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from seviz.errors import CheckpointError
from seviz.gates import Inputs, Trace, evaluating, trace
from seviz.gates.attributes import attributes_restored, copied
from seviz.gates.inputs import call, like_traced
from seviz.gates.rerun import Rerun
from seviz.results.mechanisms import word_of

# Largest difference of an output from that of the network with its gates held, as a share of the largest
# output.
TOLERANCE = 1e-4
_IMAGES = 4


@torch.no_grad()
def check(
    model: nn.Module,
    work: nn.Module,
    found: Trace,
    means: Mapping[str, Tensor],
    images: Any,
) -> float:
    """Compare with the network whose gates are held; return the largest difference of an output.

    Args:
        model: The network.
        work: The same without the blocks.
        found: The network, traced.
        means: The gates [C] that are held, by block name; with shifts [2C].
        images: A batch [N, ...] besides random images; ``None`` for these alone.

    Raises:
        CheckpointError: If it is larger than `TOLERANCE`, or the blocks are still there.
    """
    size = found.found.input_size
    left = trace(work, found.example, found.found.mechanism).found.blocks
    if len(left) != len(found.blocks) - len(means):
        word = word_of(block.block.mechanism for block in found.blocks)
        raise CheckpointError(
            f"expected {len(found.blocks) - len(means)} {word} blocks after folding, found {len(left)}; this "
            "network cannot be folded"
        )
    like = next(p for p in model.parameters() if p.is_floating_point())
    reference = model if like.device.type == "cpu" else on_cpu(copied(model))
    generator = torch.Generator().manual_seed(0)
    batches: list[Any] = []
    if isinstance(found.example, Inputs):
        batches.append(like_traced(found.example, _IMAGES, reference, torch.device("cpu")))
    else:
        batches.append(torch.randn((_IMAGES, *size), generator=generator).to(like.dtype))
    if isinstance(images, Tensor) and len(images) > 1:
        batches.append(images.cpu().to(like.dtype))
    differences = []
    for batch in batches:
        rerun = Rerun(reference, found, batch)
        rerun.baseline(batch)
        held = rerun.replaced(means)
        with evaluating(work), attributes_restored(work):
            differences.append(_difference(call(work, batch), held))
    worst = max(differences)
    if not all(d <= TOLERANCE for d in differences):  # a number that is none is not small either
        raise CheckpointError(
            f"expected the folded network to compute what the network with held gates does (within "
            f"{TOLERANCE:g} of the largest output), found a difference of {worst:.2g}; leave out blocks"
        )
    return worst


def _difference(ours: object, theirs: object) -> float:
    """Return the largest difference of two outputs, as a share of the largest number in the second."""
    pairs = [
        (a.double(), b.double())
        for a, b in zip(tree_leaves(ours), tree_leaves(theirs), strict=True)
        if isinstance(a, Tensor) and isinstance(b, Tensor)
    ]
    if any(a.shape != b.shape for a, b in pairs):
        return inf
    largest = max((float(b.abs().max()) for _, b in pairs), default=0.0)
    apart = torch.stack([(a - b).abs().max() for a, b in pairs]).max()
    return float(apart) / (largest or 1.0)


def on_cpu(model: nn.Module) -> nn.Module:
    """Return a network, moved to the host where it is elsewhere."""
    elsewhere = any(t.device.type != "cpu" for t in (*model.parameters(), *model.buffers()))
    # Moving looks at gradients, which copies of compiled modules do not have.
    return model.cpu() if elsewhere else model
