"""Thin images: the part that the centre crop keeps, resized without the rest.

Resized to 256 pixels on its shorter side, an image of 1 x 16,000 becomes one of 256 x 4,096,000: 3 GB, of
which the crop keeps 224 rows. Here those rows alone are computed, by the arithmetic of Pillow's resize
(fixed point of 22 bits, two passes), so that they are the same to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

# A resized image of more pixels than that is not made as a whole: 16 million are 48 MB.
MOST_PIXELS = 2**24
_PRECISION = 22
# Steps that are added one by one, as Pillow does, to find a nearest pixel; beyond, in one multiplication.
_MOST_STEPS = 2**24

# Constants of single precision in Pillow.
_HAMMING = (float(np.float32(0.54)), float(np.float32(0.46)))

Taps = tuple[int, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Narrow:
    """Replaces a thin image by the middle of its resized self; leaves any other as it is.

    The shorter side of what it returns is as long as scaled, so that a resize to that size and a centre
    crop which follow give what they would give of the whole.

    Attributes:
        scaled: Height and width to which the image is resized: the shorter side of the two fits.
        crop: Height and width of the centre crop that follows.
        interpolation: Filter of the resize, by torchvision's name.
    """

    scaled: tuple[int, int]
    crop: tuple[int, int]
    interpolation: str

    def __call__(self, image: Image) -> Image:
        """Return the middle of the resized image, or the image."""
        whole = resized_size((image.height, image.width), self.scaled)
        if whole[0] * whole[1] <= MOST_PIXELS:
            return image
        rows, columns = (
            _kept(length, scaled, crop)
            for length, scaled, crop in zip(whole, self.scaled, self.crop, strict=True)
        )
        return resize_part(image, whole, rows, columns, self.interpolation)


def resized_size(size: tuple[int, int], scaled: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of an image of ``size`` that is resized to cover ``scaled``.

    Rounded as by torchvision's ``Resize`` where ``scaled`` is square; else to the nearest.

    >>> resized_size((16_000, 1), (256, 256)), resized_size((10, 5), (4, 8))
    ((4096000, 256), (16, 8))
    """
    height, width = size
    if scaled[0] == scaled[1]:
        side = scaled[0]
        if height <= width:
            return side, int(side * width / height)
        return int(side * height / width), side
    ratio = min(height / scaled[0], width / scaled[1])
    return round(height / ratio), round(width / ratio)


def _kept(length: int, scaled: int, crop: int) -> range:
    """Return the pixels whose centre crop is that of the whole ``length``, at least ``scaled``."""
    kept = min(max(scaled, crop), length)
    first = round((length - crop) / 2.0) - round((kept - crop) / 2.0)
    return range(first, first + kept)


def resize_part(
    image: Image, whole: tuple[int, int], rows: range, columns: range, interpolation: str
) -> Image:
    """Return some rows and columns of a resized image, as if it had been resized as a whole.

    Args:
        image: Of mode L, RGB or RGBA.
        whole: Height and width of the whole.
        rows: The rows to compute.
        columns: The columns to compute.
        interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``lanczos``, ``box`` or ``hamming``.
    """
    from PIL import Image

    if (image.height, image.width) == whole:
        return image.crop((columns.start, rows.start, columns.stop, rows.stop))
    if (
        image.mode == "RGBA" and interpolation != "nearest"
    ):  # colours weigh as much as they are opaque
        part = resize_part(image.convert("RGBa"), whole, rows, columns, interpolation)
        return part.convert("RGBA")
    across = (image.width, whole[1], columns)
    down = (image.height, whole[0], rows)
    if interpolation == "nearest":
        x, y = _nearest(*across), _nearest(*down)
        values = np.asarray(image.crop(_box(x, y)))[y - y[0]][:, x - x[0]]
        return Image.frombytes(image.mode, (len(columns), len(rows)), values.tobytes())
    horizontal, vertical = _taps(interpolation, *across), _taps(interpolation, *down)
    top, bottom = _reach(vertical)
    left, right = _reach(horizontal)
    values = np.asarray(image.crop((left, top, right, bottom))).astype(np.int64)
    passes = [(horizontal, left, 1), (vertical, top, 0)]
    if _is_down_first((image.height, image.width), whole) and _chooses_order():
        passes.reverse()
    for taps, offset, axis in passes:
        values = _pass(values, taps, offset, axis)
    size = len(columns), len(rows)
    return Image.frombytes(image.mode, size, values.astype(np.uint8).tobytes())


def _is_down_first(size: tuple[int, int], whole: tuple[int, int]) -> bool:
    """Return whether newer versions of Pillow resize down first, then across: where that saves most rows."""
    fewer_rows, fewer_columns = size[0] - whole[0], size[1] - whole[1]
    return fewer_rows > 0 and fewer_rows > 2 * fewer_columns


@cache
def _chooses_order() -> bool:
    """Return whether this Pillow chooses the order of its passes; older ones resize across first."""
    from PIL.Image import Resampling, fromarray

    values = (np.arange(30 * 11) ** 3 % 256).reshape(30, 11)
    taps = [_taps("lanczos", n, m, range(m)) for n, m in ((30, 27), (11, 10))]
    down_first = _pass(_pass(values, taps[0], 0, 0), taps[1], 0, 1)
    resized = fromarray(values.astype(np.uint8)).resize((10, 27), Resampling.LANCZOS)
    return np.array_equal(np.asarray(resized), down_first)


def _box(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> tuple[int, int, int, int]:
    return int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1


def _nearest(source: int, target: int, wanted: range) -> npt.NDArray[np.int64]:
    scale = source / target
    if wanted.stop <= _MOST_STEPS:
        steps = np.full(wanted.stop, scale)
        steps[0] = scale * 0.5
        places = np.cumsum(steps)[wanted.start :]
    else:
        places = (np.arange(wanted.start, wanted.stop) + 0.5) * scale
    return np.minimum(places.astype(np.int64), source - 1)


def _taps(interpolation: str, source: int, target: int, wanted: range) -> list[Taps]:
    """Return for each wanted pixel the first source pixel that it takes from, and the weights of 22 bits."""
    if source == target:  # Pillow leaves this pass out
        return [(place, np.array([1 << _PRECISION])) for place in wanted]
    weight, support = _FILTERS[interpolation]
    scale = source / target
    spread = max(scale, 1.0)
    reach = support * spread
    inverse = 1.0 / spread
    taps = []
    for place in wanted:
        centre = (place + 0.5) * scale
        first = max(int(centre - reach + 0.5), 0)
        last = min(int(centre + reach + 0.5), source)
        weights = [weight((k + first - centre + 0.5) * inverse) for k in range(last - first)]
        total = 0.0
        for value in weights:
            total += value
        if total != 0.0:
            weights = [value / total for value in weights]
        fixed = [int(math.copysign(0.5, w) + w * (1 << _PRECISION)) for w in weights]
        taps.append((first, np.array(fixed, np.int64)))
    return taps


def _reach(taps: Sequence[Taps]) -> tuple[int, int]:
    return min(first for first, _ in taps), max(first + len(weights) for first, weights in taps)


def _pass(
    values: npt.NDArray[np.int64], taps: Sequence[Taps], offset: int, axis: int
) -> npt.NDArray[np.int64]:
    moved = np.moveaxis(values, axis, 0)
    out = [
        np.tensordot(weights, moved[first - offset : first - offset + len(weights)], axes=1)
        for first, weights in taps
    ]
    rounded = (np.stack(out) + (1 << (_PRECISION - 1))) >> _PRECISION
    return np.moveaxis(np.clip(rounded, 0, 255), 0, axis)


def _triangle(x: float) -> float:
    return max(1.0 - abs(x), 0.0)


def _cubic(x: float) -> float:
    x, a = abs(x), -0.5
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2.0 else 0.0


def _sinc(x: float) -> float:
    if x == 0.0:
        return 1.0
    x *= math.pi
    return math.sin(x) / x


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3) if -3.0 <= x < 3.0 else 0.0


def _flat(x: float) -> float:
    return 1.0 if -0.5 < x <= 0.5 else 0.0


def _hamming(x: float) -> float:
    x = abs(x)
    if x == 0.0:
        return 1.0
    if x >= 1.0:
        return 0.0
    x *= math.pi
    return math.sin(x) / x * (_HAMMING[0] + _HAMMING[1] * math.cos(x))


# Pillow's filters, and how far they reach.
_FILTERS: dict[str, tuple[Callable[[float], float], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
    "box": (_flat, 0.5),
    "hamming": (_hamming, 1.0),
}
