"""Images of more than 8 bits a pixel: what their numbers mean is said by no file.

Pillow's ``convert("RGB")``, and with it torchvision's ImageFolder and timm, takes every value above 255
for 255. That is right for the 8-bit values that some tools write into 16-bit files, and makes images of
12 or 16 bits white. Here the depth is that of the data set, not of the image, so that a dark image stays
dark: 8 bits where a sample of the images has no value above 255, 12 bits where none is above 4095, else 16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seviz.data.deep import sixteen_bits
from seviz.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

    from seviz.data.base import Source

# How many images, evenly spaced over the data set, tell its depth.
SAMPLE = 32
MOST_16_BIT = 0xFFFF
# Dimensions of one channel.
_PLANE = 2
# By the bits of the data set.
_REMARKS = {
    8: "16-bit images whose values reach no further than 255: taken as 8-bit values, as ImageFolder and "
    "timm take them",
    12: "16-bit images whose values reach no further than 4095: taken as 12-bit values and divided by 16; "
    "ImageFolder and timm take all above 255 for white",
    16: "16-bit images: values divided by 256; ImageFolder and timm take all above 255 for white",
}
# Of colours Pillow, and so ImageFolder and timm, takes the upper 8 bits.
_OF_COLOURS = {
    8: "16-bit colour images whose values reach no further than 255: taken as 8-bit values; ImageFolder and "
    "timm take them for black",
    12: "16-bit colour images whose values reach no further than 4095: taken as 12-bit values and divided by "
    "16; ImageFolder and timm divide by 256",
}
_DEEPER = "16-bit images with values above those of a sample of {} images: taken for white"
# Everything that may be said of how images were read.
REMARKS = (*_REMARKS.values(), *_OF_COLOURS.values(), _DEEPER.format(SAMPLE))


class Depth:
    """The depth of one data set, found when the first image of more than 8 bits is read."""

    def __init__(self) -> None:
        self._bits = 0

    def reduce(self, source: Source, image: Image) -> tuple[Image, str | None]:
        """Return the image with 8 bits a pixel, and a remark if it had more.

        Args:
            source: The data set that it is of.
            image: Any image; one of 8 bits is returned as it is.

        Raises:
            DataError: If there are values below 0, or of more than 16 bits.
        """
        from PIL.Image import fromarray

        values = _deep_values(image)
        if values is None:
            return image, None
        low, high = int(values.min()), int(_colours(values).max())
        if low < 0 or high > MOST_16_BIT:
            raise DataError(f"pixels from {low} to {high}, outside 16 bits")
        if not self._bits:
            self._bits = _bits(_highest(source))
        if values.ndim > _PLANE and self._bits > max(_OF_COLOURS):
            return image, None  # as Pillow has it, and whoever trained with it
        known = _REMARKS if values.ndim == _PLANE else _OF_COLOURS
        remark = known[self._bits] if high < 2**self._bits else REMARKS[-1]
        reduced = np.minimum(values >> (self._bits - 8), 255)
        return fromarray(reduced.astype(np.uint8)), remark


def _deep_values(image: Image) -> npt.NDArray[np.integer[Any]] | None:
    """Return the numbers of an image of more than 8 bits, [H, W] or [H, W, C]; of any other ``None``."""
    return np.asarray(image) if image.mode.startswith("I") else sixteen_bits(image)


def _colours(values: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.integer[Any]]:
    """Return values without those of opacity, which use all bits."""
    return values[..., :-1] if values.ndim > _PLANE and values.shape[-1] in (2, 4) else values


def _bits(highest: int) -> int:
    return next((bits for bits in (8, 12) if highest < 2**bits), 16)


def _highest(source: Source) -> int:
    """Return the largest value in a sample of the images that have more than 8 bits."""
    highest = 0
    for index in np.unique(np.linspace(0, len(source) - 1, SAMPLE).astype(int)):
        try:
            image = source.image(int(index))
        except Exception:  # decoders raise nearly anything; the pass tells of it
            continue
        values = _deep_values(image)
        if values is not None:
            highest = max(highest, int(_colours(values).max()))
    return highest
