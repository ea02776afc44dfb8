"""A network as a program that runs with PyTorch alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from seviz.errors import CheckpointError
from seviz.gates import evaluating
from seviz.gates.attributes import attributes_restored
from seviz.networks.quiet import quiet
from seviz.results.files import written_whole

_BATCH = 2


def export(model: nn.Module, input_size: Sequence[int], path: Path, name: str) -> Path:
    """Write a program of ``torch.export``, for batches of any size.

    Args:
        model: The network, on the CPU.
        input_size: Channels, height and width of an image.
        path: File to write, usually ``*.pt2``; appears whole or not at all.
        name: Name of the network, for messages.

    Raises:
        CheckpointError: If PyTorch cannot export the network.
    """
    like = next(p for p in model.parameters() if p.is_floating_point())
    example = torch.zeros((_BATCH, *input_size), dtype=like.dtype)
    batch = torch.export.Dim("batch")
    try:
        with evaluating(model), attributes_restored(model), torch.no_grad(), quiet("torch"):
            program = torch.export.export(model, (example,), dynamic_shapes=({0: batch},))
            with written_whole(path, durable=True) as temporary, temporary.open("wb") as file:
                torch.export.save(program, file)
    except OSError:
        raise
    except Exception as exc:
        reason = next(iter(str(exc).strip().splitlines()), "no message")[:200]
        raise CheckpointError(
            f"expected {name} to be exported for batches of any size, found {type(exc).__name__}: {reason}; "
            "--no-export leaves the program out"
        ) from exc
    return path
