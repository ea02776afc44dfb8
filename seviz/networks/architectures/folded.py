"""What stands in a network where an SE block was: modules without parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seviz.gates.attributes import copied


class PassThrough(nn.Module):
    """Stands where an SE block was: gives the map back as it came."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return ``x``."""
        return x


class ChannelScale(nn.Module):
    """Stands where an SE block was: scales each channel by a fixed number.

    Args:
        shape: Shape of the scale, which broadcasts over a map: (C, 1, 1) for [N, C, H, W].
    """

    scale: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(tuple(shape)))

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the map [N, ...], scaled."""
        return x * self.scale


class ChannelScaleShift(nn.Module):
    """Stands where a scale-plus-shift block was: scales and shifts each channel by fixed numbers.

    Args:
        shape: Shape of scale and shift, which broadcast over a map: (C, 1, 1) for [N, C, H, W].
    """

    scale_shift: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        shape = tuple(shape)
        self.register_buffer("scale_shift", torch.stack([torch.ones(shape), torch.zeros(shape)]))

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the map [N, ...], scaled and shifted."""
        return x * self.scale_shift[0] + self.scale_shift[1]


class FixedGate(nn.Module):
    """Stands where an excitation was: gives the same numbers for every image.

    Args:
        shape: Shape of what it gives for one image.
    """

    value: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(tuple(shape)))

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return [N, *shape] for N images; memory of its own, as activations may work in place."""
        return self.value.repeat(x.shape[0], *[1] * self.value.dim())


class Zeros(nn.Module):
    """Stands where a layer was on whose output nothing depends any more.

    Args:
        shape: Shape of what the layer gave for one image.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return zeros [N, *shape] for N images."""
        return x.new_zeros((x.shape[0], *self.shape))


def standing_in(made: nn.Module, replaced: nn.Module) -> nn.Module:
    """Return a module made ready to stand where another was.

    Networks keep words of their own at their modules (where its input comes from, which number it has), and
    read them as they run: the new module gets those of the old one that it has not itself.

    >>> old = nn.Identity()
    >>> old.f = -1
    >>> standing_in(PassThrough(), old).f
    -1
    """
    usual = vars(nn.Module())
    for name, value in vars(replaced).items():
        if name not in usual and not hasattr(made, name) and not isinstance(value, Tensor):
            setattr(made, name, value)
    return made.train(replaced.training)


def shared_copy(model: nn.Module) -> nn.Module:
    """Return a copy of the modules that uses the same parameters and buffers."""
    memo: dict[int, Any] = {id(p): p for p in model.parameters()}
    memo.update({id(b): b for b in model.buffers()})
    return copied(model, memo)
