"""How a TFLite network wants its images: by the size and the numbers of its input."""

from __future__ import annotations

from dataclasses import replace

from seviz.networks.formats.tflite.network import image_size
from seviz.networks.formats.tflite.rounding import rounding_of
from seviz.networks.formats.tflite.schema import GraphEntry
from seviz.results.preprocessing import Preprocessing

_WHITE = 255


def preprocessing_of(graph: GraphEntry) -> Preprocessing:
    """Return what the file says of its images, and what is assumed.

    A quantised network takes pixels as they are stored, or 128 less where its numbers have a sign; what they
    stand for is written at its input.
    """
    tensor = graph.tensors[graph.inputs[0]]
    size = image_size(graph)
    rounding = rounding_of(tensor)
    assumed = Preprocessing(interpolation="bilinear").for_channels(size[0])
    if rounding is None:
        return replace(
            assumed,
            input_size=size,
            origin="ImageNet's",
            assumed=("mean", "std", "crop_pct"),
        )
    # Pixel p stands for scale * (low + p), and has to be (p / 255 - mean) / std.
    return replace(
        assumed,
        input_size=size,
        mean=(-rounding.low / _WHITE,) * size[0],
        std=(1 / (rounding.scale * _WHITE),) * size[0],
        origin="mean and std are the file's; ImageNet's",
        assumed=("crop_pct",),
    )
