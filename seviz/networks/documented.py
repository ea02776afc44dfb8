"""What a file or a zoo says of a network's input and its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from seviz.networks.architectures.registry import SMALL_IMAGES
from seviz.networks.formats.file import CheckpointFile
from seviz.networks.recognise.fit import Fit
from seviz.networks.zoo import is_zoo_name, zoo_config
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import ASSUMED, Preprocessing

_NAMES = ("classes", "class_names", "labels", "label_names", "categories", "meta.CLASSES")
_INDEXED = ("class_to_idx", "label2id", "class_to_index")


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
        table = classes_in(file.payload.facts, _outputs(model, found)) or table
    if file.metadata.get("preprocessing") is not None:
        preprocessing = Preprocessing.from_dict(file.metadata["preprocessing"])
    if file.metadata.get("classes") is not None:
        table = ClassTable.from_labels([str(c) for c in file.metadata["classes"]])
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


def _outputs(model: nn.Module, found: Fit | None) -> int | None:
    """Return the number of classes, where the architecture tells."""
    if found is not None and isinstance(found.args.get("num_classes"), int):
        return int(found.args["num_classes"])
    own = getattr(model, "num_classes", None)
    if isinstance(own, int):
        return own
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    return linear[-1].out_features if linear else None


def classes_in(facts: Mapping[str, Any], outputs: int | None) -> ClassTable | None:
    """Return the class names that a training script left in its file, if they are as many as the outputs.

    >>> classes_in({"class_to_idx.dog": 1, "class_to_idx.cat": 0}, 2).labels
    ['cat', 'dog']
    """
    for names in (*_listed(facts), *_indexed(facts)):
        if len(names) == outputs and len(set(names)) == len(names):
            return ClassTable.from_labels(names)
    return None


def _listed(facts: Mapping[str, Any]) -> list[list[str]]:
    return [
        list(value)
        for key, value in facts.items()
        if (key in _NAMES or key.rpartition(".")[2] in _NAMES)
        and isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(v, str) for v in value)
    ]


def _indexed(facts: Mapping[str, Any]) -> list[list[str]]:
    tables: dict[str, dict[int, str]] = {}
    for key, value in facts.items():
        for word in _INDEXED:
            before, found, label = key.partition(f"{word}.")
            if found and (not before or before.endswith(".")) and isinstance(value, int):
                tables.setdefault(before + word, {})[value] = label
    return [[t[i] for i in sorted(t)] for t in tables.values() if sorted(t) == [*range(len(t))]]
