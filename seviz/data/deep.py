"""Colours of 16 bits a channel: Pillow gives the upper 8 of each number alone.

That is right for images that use all 16, and makes those black that hold 8-bit values. Here the lower 8 are
had by reading the same bytes in the other order.
"""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

_TURNED = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
# Grey and opacity have no other order in Pillow; their four bytes are read as four channels.
_GREY_AND_OPACITY = "LA;16B"
_ATTRIBUTE = "sixteen_bits"
_COLOURS = ("RGB", "RGBA", "LA")
_DEEP_PPM = ("ppm", ("RGB", 0xFFFF))
# The image in the other order, its numbers, and what is made of them, bytes a pixel.
_BESIDE = 4 + 4 + 8 + 16


def sixteen_bits(image: Image) -> npt.NDArray[np.uint16] | None:
    """Return the numbers of a colour image of 16 bits, uint16 [H, W, C]; of any other ``None``."""
    found: npt.NDArray[np.uint16] | None = getattr(image, _ATTRIBUTE, None)
    return found


def bytes_beside(image: Image) -> int:
    """Return how many bytes a pixel its numbers of 16 bits take beside an image that is not decoded yet."""
    tiles = getattr(image, "tile", [])
    if not tiles or image.mode not in _COLOURS:
        return 0
    is_deep = ";16" in _rawmode(tiles[0][3]) or (tiles[0][0], tiles[0][3]) == _DEEP_PPM
    return _BESIDE if is_deep else 0


def load_whole(image: Image, stream: IO[bytes], formats: tuple[str, ...]) -> None:
    """Decode an image that was just opened, and keep its numbers where they have 16 bits a channel.

    Args:
        image: The image.
        stream: What it was opened from; where its position ends is not said.
        formats: What it may be, in Pillow's words.

    Raises:
        Exception: Whatever the decoder raises for a damaged file.
    """
    from PIL import Image as Images

    tiles = [tuple(tile) for tile in getattr(image, "tile", [])]
    codec, rawmode = (tiles[0][0], _rawmode(tiles[0][3])) if tiles else ("", "")
    size, place = image.size, int(tiles[0][2]) if tiles else 0
    image.load()
    if tiles and (codec, tiles[0][3]) == _DEEP_PPM:
        stream.seek(place)
        raw = stream.read(6 * size[0] * size[1])
        if raw and len(raw) == 6 * size[0] * size[1]:
            values = np.frombuffer(raw, ">u2").reshape(size[1], size[0], 3)
            setattr(image, _ATTRIBUTE, values.astype(np.uint16))
        return
    if ";16" not in rawmode or image.mode not in _COLOURS:
        return
    stream.seek(0)
    other: Any = Images.open(stream, formats=formats)
    if rawmode == _GREY_AND_OPACITY:
        other._mode = "RGBA"
        wanted = "RGBA"
    else:
        wanted = rawmode[:-1] + _TURNED[rawmode[-1]]
    other.tile = [tile._replace(args=_with_rawmode(tile.args, wanted)) for tile in other.tile]
    other.load()
    if rawmode == _GREY_AND_OPACITY:
        bytes_ = np.asarray(other).astype(np.uint16)
        grey, opacity = (bytes_[..., i] << 8 | bytes_[..., i + 1] for i in (0, 2))
        channels = [grey] * 3 if image.mode == "RGBA" else [grey]
        setattr(image, _ATTRIBUTE, np.stack([*channels, opacity], axis=-1))
        return
    values = np.asarray(image).astype(np.uint16)
    values <<= 8
    values |= np.asarray(other)
    setattr(image, _ATTRIBUTE, values)


def _rawmode(args: Any) -> str:
    """Return how a decoder is told to read the bytes of a tile."""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _with_rawmode(args: Any, rawmode: str) -> Any:
    return (rawmode, *args[1:]) if isinstance(args, tuple) else rawmode
