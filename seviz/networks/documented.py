"""What a file or a zoo says of a network's input and its classes."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from seviz.networks.architectures.registry import SMALL_IMAGES
from seviz.networks.class_names import classes_in, table_of
from seviz.networks.formats.file import CheckpointFile
from seviz.networks.normalising import own_constants
from seviz.networks.recognise.fit import Fit
from seviz.networks.written import constants_among, written
from seviz.networks.zoo import is_zoo_name, zoo_config
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import ASSUMED, Preprocessing

# Channels that images have: grey, colours, colours and opacity.
_IMAGES = (1, 3, 4)


def documented(
    file: CheckpointFile, found: Fit | None, model: nn.Module
) -> tuple[Preprocessing, ClassTable | None, tuple[str, ...]]:
    """Return preprocessing, classes and remarks: the file's own, else the zoo's, else assumed and none."""
    preprocessing = file.preprocessing or Preprocessing(origin="ImageNet's", assumed=ASSUMED)
    table = file.classes
    if found is not None and found.name in SMALL_IMAGES:
        preprocessing = replace(
            preprocessing,
            input_size=(3, 32, 32),
            crop_pct=1.0,
            origin="CIFAR's size and ImageNet's",
        )
    if found is not None and is_zoo_name(found.name):
        preprocessing, table = zoo_config(found.name, model)
        preprocessing = replace(preprocessing, origin=f"{found.name}'s", assumed=ASSUMED)
    preprocessing = preprocessing.for_channels(_channels(found, model))
    if file.payload is not None:
        table = classes_in(file.payload.facts, outputs_of(model, found)) or table
        used = set(found.names.values()) if found is not None else set()
        told = {**constants_among(file.payload.tensors, used), **file.payload.facts}
        preprocessing = written(told, preprocessing) or preprocessing
    if file.metadata.get("preprocessing") is not None:
        preprocessing = Preprocessing.from_dict(file.metadata["preprocessing"])
    if file.metadata.get("classes") is not None:
        table = table_of([str(c) for c in file.metadata["classes"]])
    preprocessing, notes = _normalised_once(preprocessing, model)
    return preprocessing, table, (*notes, *filter(None, [preprocessing.remark]))


def _normalised_once(
    known: Preprocessing, model: nn.Module
) -> tuple[Preprocessing, tuple[str, ...]]:
    """Return the preprocessing without the constants that were assumed, if the network has its own."""
    if "mean" not in known.assumed or "std" not in known.assumed:
        return known, ()
    channels = known.input_size[0]
    own = own_constants(model, channels)
    if own is None:
        return known, ()
    name, mean, std = own
    scale = 255 if max(*mean, *std) > 1 else 1  # of pixels as they are stored
    return (
        replace(
            known,
            mean=(0.0,) * channels,
            std=(1 / scale,) * channels,
            assumed=tuple(part for part in known.assumed if part not in ("mean", "std")),
        ),
        (
            f"the network normalises its images itself ({name}): where nothing else is given, it gets pixels "
            f"from 0 to {scale}",
        ),
    )


def _channels(found: Fit | None, model: nn.Module) -> int | None:
    """Return the channels of the network's images, where its arguments or its first convolution tell."""
    if found is not None and isinstance(found.args.get("in_chans"), int):
        return int(found.args["in_chans"])
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    return first.in_channels if first is not None and first.in_channels in _IMAGES else None


def outputs_of(model: nn.Module, found: Fit | None = None) -> int | None:
    """Return the number of classes, where the architecture tells."""
    if found is not None and isinstance(found.args.get("num_classes"), int):
        return int(found.args["num_classes"])
    own = getattr(model, "num_classes", None)
    if isinstance(own, int):
        return own
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    return linear[-1].out_features if linear else None
