"""seviz's own checkpoint: a state dict with everything needed to use it, readable by plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seviz.files import written_whole
from seviz.preprocessing import Preprocessing

FORMAT_VERSION = 1
FORMAT_KEY = "seviz_format"


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    *,
    arch: str,
    arch_args: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Write weights and metadata to ``path``; the file appears whole or not at all.

    Args:
        path: File to write, usually ``*.pt``.
        model: The network; its state dict is saved on the CPU.
        arch: Registered architecture name, or ``package.module:factory``.
        arch_args: Keyword arguments of that architecture.
        classes: Class names in the order of the logits.
        preprocessing: What the network expects of its input.

    Returns:
        The path written.
    """
    target = Path(path)
    payload = {
        FORMAT_KEY: FORMAT_VERSION,
        "arch": arch,
        "arch_args": dict(arch_args or {}),
        "classes": list(classes) if classes is not None else None,
        "preprocessing": preprocessing.to_dict() if preprocessing is not None else None,
        "state_dict": {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()},
    }
    with written_whole(target) as temporary:
        torch.save(payload, temporary)
    return target
