"""Operators that move numbers, on tensors as they are held (`seviz.networks.formats.tflite.layout`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seviz.networks.formats.tflite.layout import MAP, held, plain, widened


def reshape(x: Tensor, *, shape: tuple[int | None, ...]) -> Tensor:
    """Return a tensor of another shape, in the file's order; ``None`` is the number of images."""
    return held(plain(x).reshape([x.shape[0] if n is None else n for n in shape]))


def transpose(x: Tensor, *, order: tuple[int, ...]) -> Tensor:
    """Return the dimensions in another order, that of the file."""
    return held(plain(x).permute(order))


def concatenate(*tensors: Tensor, axis: int) -> Tensor:
    """Return tensors behind each other; ``axis`` as they are held. Constants stand with every image."""
    return torch.cat(_for_all(tensors) if axis else tensors, axis)


def _for_all(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors of as many images each: what the file has once goes with all of them."""
    images = max(t.shape[0] for t in tensors)
    return [t.expand(images, *t.shape[1:]) if t.shape[0] == 1 else t for t in tensors]


def stack(*tensors: Tensor, axis: int) -> Tensor:
    """Return tensors beside each other in a new dimension, that of the file."""
    return held(torch.stack([plain(t) for t in _for_all(tensors)], axis))


def unstack(x: Tensor, *, axis: int) -> tuple[Tensor, ...]:
    """Return the parts of a dimension of the file, without it."""
    return tuple(held(part) for part in plain(x).unbind(axis))


def split(x: Tensor, *, sizes: tuple[int, ...], axis: int) -> tuple[Tensor, ...]:
    """Return parts of these sizes; ``axis`` as it is held."""
    return torch.split(x, list(sizes), axis)


def cut(
    x: Tensor, *, slices: Sequence[tuple[int, int, int] | None], drop: tuple[int, ...]
) -> Tensor:
    """Return a part of a tensor.

    Args:
        x: A tensor.
        slices: For each dimension of the file begin, end and step; ``None`` for all of it.
        drop: Dimensions of the file, one number long, that go.
    """
    part = plain(x)
    for dim, given in enumerate(slices):
        if given is None:
            continue
        begin, end, step = given
        if step < 0:
            places = torch.arange(begin, end, step, device=x.device)
            part = part.index_select(dim, places)
        else:
            part = part[(slice(None),) * dim + (slice(begin, end, step),)]
    for dim in sorted(drop, reverse=True):
        part = part.squeeze(dim)
    return held(part)


def gather(x: Tensor, places: Tensor, *, axis: int) -> Tensor:
    """Return the numbers at these places of a dimension of the file."""
    flat = plain(x)
    taken = flat.index_select(axis, plain(places).reshape(-1).long())
    shape = (*flat.shape[:axis], *plain(places).shape, *flat.shape[axis + 1 :])
    return held(taken.reshape(shape))


def pad(
    x: Tensor, *, amounts: tuple[int, ...], value: float = 0.0, mode: str = "constant"
) -> Tensor:
    """Return a tensor with more around it; amounts as `torch.nn.functional.pad` takes them."""
    return F.pad(x, amounts, mode) if mode != "constant" else F.pad(x, amounts, value=value)


def tile(x: Tensor, *, times: tuple[int, ...]) -> Tensor:
    """Return a tensor several times beside itself; ``times`` as it is held."""
    return x.repeat(times)


def broadcast(x: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor repeated to a shape, as it is held; -1 keeps a dimension."""
    return (widened(x) if x.dim() < len(shape) == MAP else x).expand(shape)


def depth_to_space(x: Tensor, *, block: int) -> Tensor:
    """Return channels moved into the map, in TensorFlow's order: rows, columns, channels."""
    n, c, h, w = x.shape
    parts = x.reshape(n, block, block, c // block**2, h, w)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(n, c // block**2, h * block, w * block)


def space_to_depth(x: Tensor, *, block: int) -> Tensor:
    """Return parts of the map moved into the channels, the other way round."""
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(n, c * block**2, h // block, w // block)


def space_to_batch(x: Tensor, *, block: tuple[int, int], amounts: tuple[int, ...]) -> Tensor:
    """Return every n-th pixel as an image of its own: how dilated convolutions are written."""
    x = F.pad(x, amounts)
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block[0], block[0], w // block[1], block[1])
    return parts.permute(3, 5, 0, 1, 2, 4).reshape(-1, c, h // block[0], w // block[1])


def batch_to_space(x: Tensor, *, block: tuple[int, int], crops: tuple[int, ...]) -> Tensor:
    """Return the pixels to their places; ``crops`` are top, bottom, left and right."""
    n, c, h, w = x.shape
    parts = x.reshape(*block, n // (block[0] * block[1]), c, h, w)
    whole = parts.permute(2, 3, 4, 0, 5, 1).reshape(-1, c, h * block[0], w * block[1])
    top, bottom, left, right = crops
    return whole[:, :, top : whole.shape[2] - bottom, left : whole.shape[3] - right]
