"""Architectures by name; the names are what checkpoints and ``--arch`` use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from seviz.models.cifar_resnet import CifarResNet
from seviz.models.senet_notes import SENetNotes

_CIFAR_DEPTHS = (14, 20, 32, 44, 56, 110)

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    **{f"se_resnet{d}": partial(CifarResNet, d) for d in _CIFAR_DEPTHS},
    **{f"resnet{d}": partial(CifarResNet, d, reduction=None) for d in _CIFAR_DEPTHS},
    "senet_notes": SENetNotes,
}

# Architectures whose weights fit two different networks: the argument that chooses, and what to say
# when nobody chose.
AMBIGUOUS = {
    "senet_notes": (
        "squeeze",
        "ambiguous: the published code of this network computes the squeeze and overwrites it, and its "
        "weights have the same names as those of the intended network; loaded with the squeeze, "
        "--arch-args squeeze=false loads the published form",
    )
}


def build(name: str, **arch_args: Any) -> nn.Module:
    """Build a registered network with random weights.

    Raises:
        KeyError: If no architecture has this name.
        TypeError: If the architecture does not take one of the arguments.

    >>> sum(p.numel() for p in build("se_resnet20").parameters())
    274490
    """
    return BUILDERS[name](**arch_args)
