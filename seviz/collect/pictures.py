"""Single images for a network: prepared as in a pass, and shown as the network sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seviz.data import open_source
from seviz.data.base import ArraySource, Source
from seviz.data.decoding import Decoder
from seviz.data.folders import open_image
from seviz.data.transforms import build_transform
from seviz.errors import DataError, UsageError
from seviz.networks import LoadedModel
from seviz.results.preprocessing import Preprocessing

# Dots of a picture that is shown, to either side: more do not come out on a page.
MOST_DOTS = 512
_GREY, _COLOUR, _OPACITY = 1, 3, 4
_MOST_NAMES = 3


@dataclass(frozen=True, eq=False)
class Seen:
    """One image, ready for the network.

    Attributes:
        name: What it is called.
        tensor: What the network gets, float32 [C, H, W] (or of other sizes, where it came as a tensor).
        prepared: How it was made from a picture; ``None`` where it came as a tensor.
    """

    name: str
    tensor: Tensor
    prepared: Preprocessing | None

    @cached_property
    def picture(self) -> npt.NDArray[np.uint8] | None:
        """Return it as a picture, uint8 [H, W, 3]; ``None`` where it is none."""
        return shown(self.tensor, self.prepared)


def opened(
    images: Any, loaded: LoadedModel, data: str | Path | Source | None = None
) -> Iterator[Seen]:
    """Yield the images that a user named, one by one.

    Args:
        images: One image or several: files, pictures of Pillow's, arrays uint8 [H, W] or [H, W, 3], tensors
            [C, H, W] as the network gets them; with ``data`` names in it (``digits/test/17``), or positions.
        loaded: The network that they are for.
        data: A source of images.

    Raises:
        DataError: If there is no such image, or it cannot be read.
        UsageError: If it is nothing of the kind.
    """
    source = data if isinstance(data, Source) or data is None else _source(str(data))
    several = isinstance(images, Sequence) and not isinstance(images, str)
    listed = list(images) if several else [images]
    if not listed:
        raise UsageError("expected an image or more, found none; name a file")
    for number, image in enumerate(listed):
        yield from _open(image, f"image {number}", loaded, source)


def _open(image: Any, name: str, loaded: LoadedModel, source: Source | None) -> Iterator[Seen]:
    if isinstance(image, Tensor):
        batch = image if image.dim() == 1 + len(loaded.preprocessing.input_size) else image[None]
        known = None if loaded.preprocessing.is_elsewhere else loaded.preprocessing
        for place, one in enumerate(batch):
            own = name if len(batch) == 1 else f"{name}, {place}"
            yield Seen(own, one.detach(), known)
        return
    if isinstance(image, int) and source is not None:
        yield _decoded(source, _position(source, image), loaded)
    elif isinstance(image, str | Path):
        yield _named(image, loaded, source)
    else:
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
            raise UsageError(
                f"expected an image as a file, a picture, uint8 [H, W, 3] or a tensor, found "
                f"{type(image).__name__} ({pixels.dtype}, {pixels.ndim} dimensions); give one of those"
            )
        kept = ArraySource(
            name=name,
            split="",
            folders=("all",),
            labels=np.zeros(1, np.int64),
            labelled=False,
            pixels=pixels[None],
        )
        yield Seen(name, _decoded(kept, 0, loaded).tensor, loaded.preprocessing)


def _named(image: str | Path, loaded: LoadedModel, source: Source | None) -> Seen:
    if Path(image).expanduser().is_file():
        return _decoded(open_image(Path(image)), 0, loaded)
    if source is None:
        raise DataError(
            f"expected an image file, found {'a folder' if Path(image).is_dir() else 'nothing'} at {image}; "
            "name a file, or with --data an image in it"
        )
    word = str(image)
    if word.isdecimal() and len(word) < 19:  # else it is a name, if anything
        return _decoded(source, _position(source, int(word)), loaded)
    places = (i for i in range(len(source)) if source.image_name(i) == word)
    found = next(places, None)
    if found is None:
        few = ", ".join(source.image_name(i) for i in range(min(_MOST_NAMES, len(source))))
        raise DataError(
            f"expected an image file, or the name of an image of {source.name} ({few}, ...), found {word!r}; "
            "give one of those, or its position"
        )
    return _decoded(source, found, loaded)


def _position(source: Source, index: int) -> int:
    if not 0 <= index < len(source):
        raise DataError(
            f"expected a position in {source.name} from 0 to {len(source) - 1}, found {index}; give one of "
            "those"
        )
    return index


def _source(spec: str) -> Source:
    source = open_source(spec)
    if not isinstance(source, Source):
        raise UsageError(
            f"expected images that have names, found {spec}, which gives batches; name files, or give "
            "tensors in Python"
        )
    return source


def _decoded(source: Source, index: int, loaded: LoadedModel) -> Seen:
    transform = build_transform(loaded.preprocessing)
    one = np.array([index], np.int64)
    tensor, *_ = Decoder(source, transform, one, np.zeros(1, np.int64))[0]
    name = source.image_name(index)
    if isinstance(tensor, str):
        raise DataError(
            f"expected an image, found {name}: {tensor}; give a file of a usual format (JPEG, PNG, TIFF, "
            "WebP ...)"
        )
    return Seen(name, tensor, loaded.preprocessing)


def shown(tensor: Tensor, prepared: Preprocessing | None) -> npt.NDArray[np.uint8] | None:
    """Return what a network gets as a picture, uint8 [H, W, 3], at most 512 wide and high.

    The preparation is undone: x * std + mean. Of a tensor of which it is not known the smallest number is
    black and the largest white.

    Args:
        tensor: What the network gets, [C, H, W].
        prepared: How it was made; ``None`` where nobody knows.
    """
    if tensor.dim() != 3 or len(tensor) not in (_GREY, _COLOUR, _OPACITY):
        return None
    values = tensor.detach().cpu().double().numpy().transpose(1, 2, 0)
    if prepared is None:
        low, high = float(values.min()), float(values.max())
        values = (values - low) / (high - low) if high > low else np.zeros_like(values)
    else:
        values = values * np.array(prepared.std) + np.array(prepared.mean)
        if prepared.channel_order == "bgr" and values.shape[2] >= _COLOUR:
            values = values[..., [2, 1, 0]]
    values = values[..., :_COLOUR]
    pixels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == _GREY else pixels
    if max(pixels.shape[:2]) > MOST_DOTS:
        from PIL import Image

        picture = Image.fromarray(pixels)
        picture.thumbnail((MOST_DOTS, MOST_DOTS))
        pixels = np.asarray(picture)
    return pixels
