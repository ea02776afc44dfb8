"""Architectures by name; the names are what checkpoints and ``--arch`` use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from seviz.networks.architectures import (
    bn_inception,
    cifar_preresnet,
    cifar_resnet,
    se_densenet,
    senet_notes,
    shared_bn_resnet,
)
from seviz.networks.architectures.landmarks import Builder, Reader

_NETWORKS = (
    cifar_resnet,
    cifar_preresnet,
    senet_notes,
    shared_bn_resnet,
    se_densenet,
    bn_inception,
)

BUILDERS: dict[str, Builder] = {
    name: builder for network in _NETWORKS for name, builder in network.BUILDERS.items()
}

# Networks for images of CIFAR's size, 32 x 32.
SMALL_IMAGES: frozenset[str] = frozenset(
    name for network in (cifar_resnet, cifar_preresnet, senet_notes) for name in network.BUILDERS
)

# Each tells, from the names and shapes of a state dict, the builder and its arguments, or that the
# network is none of its family.
READERS: tuple[Reader, ...] = tuple(network.read for network in _NETWORKS)


@dataclass(frozen=True)
class Ambiguous:
    """An architecture whose weights fit two different networks.

    Attributes:
        argument: The argument that chooses.
        other: Its value for the network that is not taken where nobody chose.
        note: What to say then.
    """

    argument: str
    other: bool
    note: str

    @property
    def option(self) -> str:
        """Return what takes the other network on the command line."""
        return f"--arch-args {self.argument}={str(self.other).lower()}"


AMBIGUOUS = {
    "senet_notes": Ambiguous(
        "squeeze",
        False,
        "ambiguous: the published code of this network computes the squeeze and overwrites it, and its "
        "weights have the same names as those of the intended network; loaded with the squeeze, "
        "--arch-args squeeze=false loads the published form",
    ),
    **{
        f"shared_bn_se_resnet{depth}": Ambiguous(
            "stride_in_1x1",
            True,
            "ambiguous: whether the first block of a stage takes its step in the 1x1 or in the 3x3 "
            "convolution does not show in the weights; loaded with the step in the 3x3, --arch-args "
            "stride_in_1x1=true loads the other",
        )
        for depth in (50, 101, 152)
    },
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
