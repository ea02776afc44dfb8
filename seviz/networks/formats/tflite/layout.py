"""Where the channels are: last in a TFLite file, behind the batch in PyTorch.

Every tensor of four dimensions is held as [N, C, H, W] while the network runs; its place in the file is
[N, H, W, C]. Tensors of other ranks are held as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

MAP = 4
_Each = TypeVar("_Each")
_HELD = (0, 3, 1, 2)
_PLAIN = (0, 2, 3, 1)


def held(tensor: Tensor) -> Tensor:
    """Return a tensor of the file's order as it is held: [N, H, W, C] as [N, C, H, W].

    >>> import torch
    >>> held(torch.zeros(1, 8, 9, 3)).shape, held(torch.zeros(1, 3)).shape
    (torch.Size([1, 3, 8, 9]), torch.Size([1, 3]))
    """
    return tensor.permute(_HELD) if tensor.dim() == MAP else tensor


def plain(tensor: Tensor) -> Tensor:
    """Return a tensor as it is held in the file's order: [N, C, H, W] as [N, H, W, C]."""
    return tensor.permute(_PLAIN) if tensor.dim() == MAP else tensor


def held_axis(axis: int, rank: int) -> int:
    """Return where a dimension of the file is in the tensor as it is held.

    >>> held_axis(-1, 4), held_axis(1, 4), held_axis(-1, 2)
    (1, 2, 1)
    """
    axis = axis % rank
    return _PLAIN[axis] if rank == MAP else axis


def held_order(values: Sequence[_Each]) -> tuple[_Each, ...]:
    """Return one value per dimension of the file, in the order of the dimensions as they are held."""
    return tuple(values[n] for n in _HELD) if len(values) == MAP else tuple(values)


def widened(tensor: Tensor) -> Tensor:
    """Return a tensor of fewer dimensions as one that broadcasts over a map, as it is held.

    The file's dimensions are aligned at the last; those of a map are not where they are held.

    >>> import torch
    >>> widened(torch.zeros(16)).shape, widened(torch.zeros(7, 16)).shape
    (torch.Size([1, 16, 1, 1]), torch.Size([1, 16, 1, 7]))
    """
    return held(tensor.reshape((1,) * (MAP - tensor.dim()) + tuple(tensor.shape)))
