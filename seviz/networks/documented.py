"""What a file or a zoo says of a network's input and its classes."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from seviz.networks.architectures.registry import SMALL_IMAGES
from seviz.networks.class_names import classes_in, table_of
from seviz.networks.formats.file import CheckpointFile
from seviz.networks.recognise.fit import Fit
from seviz.networks.zoo import is_zoo_name, zoo_config
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import ASSUMED, Preprocessing


def documented(
    file: CheckpointFile, found: Fit | None, model: nn.Module
) -> tuple[Preprocessing, ClassTable | None, tuple[str, ...]]:
    """Return preprocessing, classes and remarks: the file's own, else the zoo's, else assumed and none."""
    preprocessing = file.preprocessing or Preprocessing(origin=ASSUMED)
    preprocessing = _for_channels(preprocessing, preprocessing.input_size[0])
    table: ClassTable | None = None
    notes: tuple[str, ...] = ()
    size = ""
    if found is not None and found.name in SMALL_IMAGES:
        preprocessing = Preprocessing(input_size=(3, 32, 32), crop_pct=1.0, origin=ASSUMED)
        preprocessing = _for_channels(preprocessing, found.args.get("in_chans"))
        size = ", and CIFAR's 32 x 32 pixels,"
    if found is not None and is_zoo_name(found.name):
        preprocessing, table = zoo_config(found.name, model)
        preprocessing = _for_channels(preprocessing, found.args.get("in_chans"))
        if file.metadata.get("preprocessing") is None:
            notes = (
                f"the checkpoint does not say how images were prepared; what {found.name} documents is "
                "assumed: give --input-size, --mean, --std, --crop-pct if it was trained otherwise",
            )
    if file.payload is not None:
        table = classes_in(file.payload.facts, outputs_of(model, found)) or table
    if file.metadata.get("preprocessing") is not None:
        preprocessing = Preprocessing.from_dict(file.metadata["preprocessing"])
    if file.metadata.get("classes") is not None:
        table = table_of([str(c) for c in file.metadata["classes"]])
    if preprocessing.origin == ASSUMED:
        known = "mean and std" if file.preprocessing is not None or size else "mean, std and size"
        notes = (
            f"the checkpoint does not say how images were prepared; ImageNet's {known}{size} are "
            "assumed: give --input-size, --mean, --std, --crop-pct if it was trained otherwise",
        )
    return preprocessing, table, notes


def _for_channels(preprocessing: Preprocessing, channels: int | None) -> Preprocessing:
    """Return the preprocessing of colour images for another number of channels: the channels' averages."""
    if channels is None or channels == len(preprocessing.mean):
        return preprocessing
    mean, std = (sum(v) / len(v) for v in (preprocessing.mean, preprocessing.std))
    return replace(
        preprocessing,
        input_size=(channels, *preprocessing.input_size[1:]),
        mean=(mean,) * channels,
        std=(std,) * channels,
        origin=f"{preprocessing.origin}, averaged over its channels",
    )


def outputs_of(model: nn.Module, found: Fit | None = None) -> int | None:
    """Return the number of classes, where the architecture tells."""
    if found is not None and isinstance(found.args.get("num_classes"), int):
        return int(found.args["num_classes"])
    own = getattr(model, "num_classes", None)
    if isinstance(own, int):
        return own
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    return linear[-1].out_features if linear else None
