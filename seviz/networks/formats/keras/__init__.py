"""Networks that Keras saved, rebuilt from their description."""

from __future__ import annotations

from dataclasses import replace

from seviz.networks.formats.file import CheckpointFile, Reader, Seen
from seviz.networks.formats.keras.files import is_keras, read_keras
from seviz.results.files import file_sha256
from seviz.results.preprocessing import Preprocessing


def _read(seen: Seen, unsafe: bool) -> CheckpointFile:
    path = seen.path
    read = read_keras(path)
    return CheckpointFile(
        path.name,
        "Keras",
        file_sha256(path),
        network=read.model,
        notes=read.notes,
        description=read.description,
        preprocessing=_images(read.input_size, read.largest_pixel),
        num_classes=read.num_classes,
    )


def _images(size: tuple[int, int, int], largest_pixel: int | None) -> Preprocessing:
    """Return how Keras' own loaders prepare images: stretched to the input's size.

    A network that scales its images itself gets them as they are.
    """
    stretched = Preprocessing(
        input_size=size, crop_pct=1.0, interpolation="bilinear", crop_mode="squash"
    )
    if largest_pixel is None:
        constants = Preprocessing().for_channels(size[0])
        assumed = ("mean", "std", "crop_mode")
        return replace(
            stretched, mean=constants.mean, std=constants.std, origin="ImageNet's", assumed=assumed
        )
    return replace(
        stretched,
        mean=(0.0,) * size[0],
        std=(1 / largest_pixel,) * size[0],
        origin="the network's own layers and Keras'",
        assumed=("crop_mode",),
    )


KERAS = Reader("Keras", lambda seen: is_keras(seen.path), _read)
