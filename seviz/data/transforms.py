"""From an image to the tensor that a network was trained to see, as timm and torchvision do it.

By Pillow and PyTorch alone: torchvision imports PyTorch's compiler, in each process that decodes images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from seviz.data.strips import Narrow, resized_size
from seviz.errors import DataError, UsageError
from seviz.results.preprocessing import CHANNEL_ORDERS, CROP_MODES, Preprocessing, turned

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Above 1 the image is smaller than the crop, and lies in a black border: timm publishes 1.15.
# Of a hundredth the image is made a hundred times as large as the network sees it.
LEAST_CROP, MOST_CROP = 0.01, 1.25
# Numbers of one colour of an input: three of them are 800 MB.
MOST_INPUT = 2**26
MOST_16_BIT = 0xFFFF
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


def build_transform(preprocessing: Preprocessing) -> Callable[[Image], Tensor]:
    """Return the function from an image to a tensor float32 [C, H, W]; it can be pickled.

    Images are resized for ``floor(size / crop_pct)`` as the crop mode says, then the centre is cut out:
    the values are those of timm's evaluation transform, bit for bit. EXIF orientation is not applied,
    because torchvision's ImageFolder and timm do not apply it either: networks learnt without.

    Args:
        preprocessing: Size, crop, filter and normalisation. One channel makes images grey; four are red,
            green, blue and opacity.

    Raises:
        UsageError: If a value makes no sense: another number of channels than 1, 3 or 4, an unknown
            filter, crop mode or order of channels, ``crop_pct`` outside (0, 1.25], a ``std`` that is not
            positive, or neither one mean nor one per channel.
    """
    _check(preprocessing)
    channels = preprocessing.input_size[0]
    mean, std = preprocessing.mean, preprocessing.std
    backwards = preprocessing.channel_order == "bgr" and channels >= 3
    return _Steps(
        (
            partial(to_mode, mode=MODES[channels]),
            *_framing(preprocessing, turned(mean) if backwards else mean),
            _to_tensor,
            *([_turn_round] if backwards else []),
            partial(_normalize, mean=mean, std=std),
        )
    )


@dataclass(frozen=True)
class _Steps:
    """What is done to an image, one after the other."""

    steps: tuple[Callable[[Any], Any], ...]

    def __call__(self, image: Image) -> Tensor:
        value: Any = image
        for step in self.steps:
            value = step(value)
        return cast("Tensor", value)


def _framing(
    preprocessing: Preprocessing, mean: tuple[float, ...]
) -> list[Callable[[Image], Image]]:
    """Return the steps from an image of any size to one of the input's; its mean in the image's order."""
    channels, *target = preprocessing.input_size
    height, width = (math.floor(side / preprocessing.crop_pct) for side in target)
    resize = _Resize(height, width, preprocessing.interpolation, preprocessing.crop_mode)
    if preprocessing.crop_mode == "squash":
        return [resize, _Centre(*target)]
    if preprocessing.crop_mode == "border":
        fill = tuple(round(255 * m) for m in (mean * channels if len(mean) == 1 else mean))
        return [resize, _Window(target[0], target[1], fill)]
    narrow = Narrow((height, width), (target[0], target[1]), preprocessing.interpolation)
    return [narrow, resize, _Centre(*target)]


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
class _Resize:
    """Resizes an image for a box.

    Attributes:
        height: Height of the box.
        width: Its width.
        interpolation: Filter, by torchvision's name.
        mode: Crop mode: to the very box (``squash``), or with the aspect ratio kept to the largest that
            fits into it (``border``) or the smallest that covers it.
    """

    height: int
    width: int
    interpolation: str
    mode: str

    def __call__(self, image: Image) -> Image:
        from PIL.Image import Resampling

        height, width = self._size(image.height, image.width)
        if (height, width) == (image.height, image.width):
            return image
        return image.resize((width, height), Resampling[self.interpolation.upper()])

    def _size(self, height: int, width: int) -> tuple[int, int]:
        if self.mode == "squash":
            return self.height, self.width
        if self.mode == "border":
            ratio = max(height / self.height, width / self.width)
            # A thin strip would vanish.
            return max(1, round(height / ratio)), max(1, round(width / ratio))
        return resized_size((height, width), (self.height, self.width))


@dataclass(frozen=True)
class _Centre:
    """Cuts the centre out; what lies outside of the image is black."""

    height: int
    width: int

    def __call__(self, image: Image) -> Image:
        left, top = -_place(self.width, image.width), -_place(self.height, image.height)
        return image.crop((left, top, left + self.width, top + self.height))


@dataclass(frozen=True)
class _Window:
    """Cuts the centre out, and fills what lies outside of the image.

    Attributes:
        height: Height of the window.
        width: Its width.
        fill: Value 0..255 of each channel outside.
    """

    height: int
    width: int
    fill: tuple[int, ...]

    def __call__(self, image: Image) -> Image:
        from PIL.Image import new

        fill = self.fill[0] if len(self.fill) == 1 else self.fill
        window = new(image.mode, (self.width, self.height), fill)
        left, top = (
            _place(outer, inner)
            for outer, inner in ((self.width, image.width), (self.height, image.height))
        )
        window.paste(image, (left, top))
        return window


def _place(window: int, image: int) -> int:
    """Return where a centred image begins in a window; halves are rounded as timm rounds them."""
    return (window - image) // 2 if image < window else -round((image - window) / 2)


def _to_tensor(image: Image) -> Tensor:
    """Return the pixels on the scale 0..1, [C, H, W]."""
    import torch

    pixels = torch.from_numpy(np.array(image)).view(image.height, image.width, -1)
    return pixels.permute(2, 0, 1).contiguous().to(torch.get_default_dtype()).div_(255)


def _normalize(tensor: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (x - mean) / std, in the memory of x [C, H, W]."""
    centre, scale = (tensor.new_tensor(values)[:, None, None] for values in (mean, std))
    return tensor.sub_(centre).div_(scale)


def _turn_round(tensor: Tensor) -> Tensor:
    """Return colours [C, H, W] in the other order; opacity stays the last."""
    return tensor[[2, 1, 0, *range(3, len(tensor))]]


def _check(preprocessing: Preprocessing) -> None:
    if preprocessing.is_elsewhere or len(preprocessing.input_size) != 3:
        size = "x".join(map(str, preprocessing.input_size))
        raise UsageError(
            f"expected a network that sees images (channels, height, width), found one that takes {size}; "
            "give its batches with --data file.py:function, or in Python"
        )
    channels, height, width = preprocessing.input_size
    if channels not in MODES:
        raise UsageError(
            f"expected a network that sees 1, 3 or 4 channels, found {channels}; seviz reads grey, RGB "
            "and RGBA images, so give --input-size with 1, 3 or 4 channels"
        )
    if height < 1 or width < 1:
        raise UsageError(
            f"expected an input size of at least 1 x 1, found {height} x {width}; "
            "give --input-size C H W"
        )
    if height * width > MOST_INPUT:
        raise UsageError(
            f"expected an input of at most {MOST_INPUT:,} pixels, found {height} x {width}; give a smaller "
            "--input-size"
        )
    if preprocessing.interpolation not in INTERPOLATIONS:
        raise UsageError(
            f"expected an interpolation of {', '.join(INTERPOLATIONS)}, found "
            f"{preprocessing.interpolation!r}; give one of them"
        )
    for option, value, known in (
        ("--crop-mode", preprocessing.crop_mode, CROP_MODES),
        ("--channel-order", preprocessing.channel_order, CHANNEL_ORDERS),
    ):
        if value not in known:
            raise UsageError(
                f"expected {option} as one of {', '.join(known)}, found {value!r}; give one of them"
            )
    if not LEAST_CROP <= preprocessing.crop_pct <= MOST_CROP:
        raise UsageError(
            f"expected a crop_pct of at least {LEAST_CROP} and at most {MOST_CROP}, found "
            f"{preprocessing.crop_pct:g}; give --crop-pct"
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
