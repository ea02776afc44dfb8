"""From an image to the tensor that a network was trained to see, as timm and torchvision do it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from seviz.data.strips import Narrow
from seviz.errors import DataError, UsageError
from seviz.results.preprocessing import Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor
    from torchvision.transforms import InterpolationMode

MODES = {1: "L", 3: "RGB"}
MOST_16_BIT = 0xFFFF
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


def build_transform(preprocessing: Preprocessing) -> Callable[[Image], Tensor]:
    """Return the function from an image to a tensor float32 [C, H, W]; it can be pickled.

    The shorter side is resized to ``floor(size / crop_pct)``, then the centre is cut out: the
    values are those of timm's evaluation transform, bit for bit. EXIF orientation is not applied,
    because torchvision's ImageFolder and timm do not apply it either: networks learnt without.

    Args:
        preprocessing: Size, crop, filter and normalisation. One channel makes images grey.

    Raises:
        UsageError: If a value makes no sense: neither 1 nor 3 channels, an unknown filter,
            ``crop_pct`` outside (0, 1], a ``std`` that is not positive, or neither one mean nor one
            per channel.
    """
    from torchvision import transforms

    _check(preprocessing)
    channels, height, width = preprocessing.input_size
    scaled = tuple(math.floor(side / preprocessing.crop_pct) for side in (height, width))
    mode = transforms.InterpolationMode(preprocessing.interpolation)
    resize: Callable[[Image], Image] = (
        transforms.Resize(scaled[0], mode)
        if scaled[0] == scaled[1]
        else _Cover(scaled[0], scaled[1], mode)
    )
    transform: Callable[[Image], Tensor] = transforms.Compose(
        [
            partial(to_mode, mode=MODES[channels]),
            Narrow((scaled[0], scaled[1]), (height, width), preprocessing.interpolation),
            resize,
            transforms.CenterCrop((height, width)),
            transforms.ToTensor(),
            transforms.Normalize(preprocessing.mean, preprocessing.std),
        ]
    )
    return transform


def to_mode(image: Image, mode: str) -> Image:
    """Return the image in mode ``L`` or ``RGB``, with 8 bits per channel.

    16-bit images keep their range (65535 becomes 255; Pillow alone would clip at 255). Transparency
    is dropped, as in training with ImageFolder or timm; CMYK is converted by Pillow's formula.

    Raises:
        DataError: If it is not known what the numbers mean: floating point, more than 16 bits.
    """
    from PIL.Image import fromarray

    if image.mode == mode:
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > MOST_16_BIT:
            raise DataError(f"pixels from {values.min()} to {values.max()}, outside 16 bits")
        image = fromarray((values >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise DataError("floating-point pixels, whose range is not known")
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns that transparency is lost
    try:
        return image.convert(mode)
    except ValueError as exc:
        raise DataError(f"mode {image.mode}, which Pillow cannot convert to {mode}") from exc


@dataclass(frozen=True)
class _Cover:
    """Resizes, the aspect ratio kept, to the smallest image that covers ``height`` x ``width``."""

    height: int
    width: int
    interpolation: InterpolationMode

    def __call__(self, image: Image) -> Image:
        from torchvision.transforms import functional

        ratio = min(image.height / self.height, image.width / self.width)
        size = [round(image.height / ratio), round(image.width / ratio)]
        resized: Image = functional.resize(image, size, self.interpolation)
        return resized


def _check(preprocessing: Preprocessing) -> None:
    channels, height, width = preprocessing.input_size
    if channels not in MODES:
        raise UsageError(
            f"expected a network that sees 1 or 3 channels, found {channels}; seviz reads grey and "
            "RGB images, so give --input-size with 1 or 3 channels"
        )
    if height < 1 or width < 1:
        raise UsageError(
            f"expected an input size of at least 1 x 1, found {height} x {width}; "
            "give --input-size C H W"
        )
    if preprocessing.interpolation not in INTERPOLATIONS:
        raise UsageError(
            f"expected an interpolation of {', '.join(INTERPOLATIONS)}, found "
            f"{preprocessing.interpolation!r}; give one of them"
        )
    if not 0 < preprocessing.crop_pct <= 1:
        raise UsageError(
            f"expected a crop_pct above 0 and at most 1, found {preprocessing.crop_pct:g}; "
            "give --crop-pct"
        )
    for name, values in (("mean", preprocessing.mean), ("std", preprocessing.std)):
        if len(values) not in (1, channels):
            raise UsageError(
                f"expected {channels} values of {name}, one per channel, found {len(values)}; "
                f"give --{name}"
            )
    if min(preprocessing.std) <= 0:
        raise UsageError(
            f"expected a std above 0, found {min(preprocessing.std):g}; "
            "give --std on the scale 0..1"
        )
