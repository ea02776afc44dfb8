"""A map laid over a picture. NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.results.stats import Floats

Pixels = npt.NDArray[np.uint8]

# What more is drawn in, and what less than zero: blue and vermilion are told apart by any eyes.
MORE, LESS = np.array([0xD5, 0x5E, 0x00]), np.array([0x00, 0x72, 0xB2])
# How much of the picture is left where a map is at its limit, and how much paler it is everywhere.
_MOST, _PALER = 0.92, 0.45
# Small numbers are seen, too: opacity is their root.
_ROOT = 0.7
_MIDDLE = 140.0  # grey of the strip


def plane(values: npt.NDArray[Any], wide_by_tall: float = 1.0) -> Floats:
    """Return a map of one channel as rows and columns: a sequence as a grid, a volume by its mean.

    Args:
        values: [*space].
        wide_by_tall: Width by height of the picture, for a sequence of patches.

    >>> plane(np.arange(4.0)).shape, plane(np.zeros((2, 3, 5))).shape, plane(np.zeros(5)).shape
    ((2, 2), (3, 5), (1, 5))
    """
    found = np.asarray(values, np.float64)
    while found.ndim > 2:
        found = found.mean(axis=0)
    if found.ndim == 2:
        return found
    flat = np.atleast_1d(found)
    tall = round((flat.size / wide_by_tall) ** 0.5)
    return flat.reshape(tall, -1) if tall > 1 and flat.size % tall == 0 else flat[None]


def upsampled(values: Floats, tall: int, wide: int) -> Floats:
    """Return a map [h, w] at the size of a picture, bilinearly between the centres of its pixels.

    As ``torch.nn.functional.interpolate(..., mode="bilinear", align_corners=False)``.

    Args:
        values: The map.
        tall: Height of the picture.
        wide: Its width.

    >>> upsampled(np.array([[0.0, 1.0]]), 1, 4)
    array([[0.  , 0.25, 0.75, 1.  ]])
    """
    rows, columns = _between(values.shape[0], tall), _between(values.shape[1], wide)
    return np.asarray(rows @ values @ columns.T)


def _between(size: int, target: int) -> Floats:
    """Return the weights of each of ``size`` numbers in each of ``target`` between them, [target, size]."""
    place = np.clip((np.arange(target) + 0.5) * size / target - 0.5, 0, size - 1)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, size - 1)
    weights = np.zeros((target, size))
    np.add.at(weights, (np.arange(target), below), 1 - (place - below))
    np.add.at(weights, (np.arange(target), above), place - below)
    return weights


def limit(*maps: npt.NDArray[Any]) -> float:
    """Return the largest distance from zero in several maps, which share a colour scale then."""
    return max((float(np.abs(m).max()) for m in maps if m.size), default=0.0)


def laid_over(picture: Pixels, values: Floats, most: float) -> Pixels:
    """Return a picture, made grey and pale, with a map over it, uint8 [H, W, 3].

    Above zero it is vermilion, below zero blue; the further from zero, the less of the picture is left.

    Args:
        picture: uint8 [H, W, 3].
        values: The map, [h, w]; it is brought to the size of the picture.
        most: Distance from zero at which the colour is full.
    """
    tall, wide = picture.shape[:2]
    grey = picture.astype(np.float64) @ (0.299, 0.587, 0.114)
    base = (_PALER * 255 + (1 - _PALER) * grey)[..., None]
    return _coloured(base, upsampled(values, tall, wide), most)


def scale_strip(tall: int, wide: int) -> Pixels:
    """Return the colours from the lowest number, at the foot, to the highest, uint8 [tall, wide, 3]."""
    values = np.repeat(np.linspace(1, -1, tall)[:, None], wide, axis=1)
    return _coloured(np.full((tall, wide, 1), _PALER * 255 + (1 - _PALER) * _MIDDLE), values, 1.0)


def _coloured(base: Floats, values: Floats, most: float) -> Pixels:
    share = np.clip(np.abs(values) / most, 0, 1)[..., None] if most > 0 else 0 * values[..., None]
    opacity = _MOST * share**_ROOT
    colour = np.where(values[..., None] >= 0, MORE, LESS)
    return np.round((1 - opacity) * base + opacity * colour).astype(np.uint8)


def resized(picture: Pixels, side: int) -> Pixels:
    """Return a picture whose longer side is about so many dots: smooth as it shrinks, sharp as it grows."""
    tall, wide = picture.shape[:2]
    factor = side / max(tall, wide)
    if factor >= 2:
        times = int(factor)
        return np.repeat(np.repeat(picture, times, axis=0), times, axis=1)
    if factor >= 1:
        return picture
    from PIL import Image

    size = (max(1, round(wide * factor)), max(1, round(tall * factor)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
