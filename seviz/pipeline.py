"""From a loaded network and the name of a data set to a record."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch

from seviz.blocks import WITHOUT_SQUEEZE, SEBlock
from seviz.classes import ClassTable
from seviz.data import Source, make_batches, match_classes, open_source
from seviz.errors import CheckpointError, DataError, UsageError
from seviz.gates import Found, find
from seviz.loading import LoadedModel
from seviz.loading.imagenet import imagenet_classes
from seviz.observe import (
    EachPrediction,
    GateSums,
    Observer,
    Predictions,
    Probabilities,
    resolve_device,
    run,
)
from seviz.predictions import PredictionTable
from seviz.results import Array, Header, Record

Progress = Callable[[int], AbstractContextManager[Callable[[int], Any]]]

_AMP_TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class PassOptions:
    """How a pass is made.

    Attributes:
        split: Part of the source; its test or validation part by default.
        batch_size: Images per batch; chosen by image size where it is ``None``.
        workers: Processes that decode images; chosen by the source where it is ``None``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        amp_dtype: ``float16`` or ``bfloat16`` for automatic mixed precision, ``None`` for none.
        num_samples: At most that many images of each class.
        strict: Whether an image that cannot be read is an error.
        labels: ``model`` matches folders to the network's classes; ``data`` makes each folder a class;
            ``sorted`` takes the folders in sorted order for the network's outputs, as ImageFolder
            numbers them.
        download: Whether the data set may be fetched.
        without_squeeze: Read the spatial means of per-pixel gates instead of SE gates.
        require_se: Whether a network without SE is an error; else its predictions alone are recorded.
    """

    split: str | None = None
    batch_size: int | None = None
    workers: int | None = None
    device: str = "auto"
    amp_dtype: str | None = None
    num_samples: int | None = None
    strict: bool = False
    labels: Literal["model", "data", "sorted"] = "model"
    download: bool = False
    without_squeeze: bool = False
    require_se: bool = True


@dataclass(frozen=True)
class Plan:
    """What a pass will give, known before the first image.

    Attributes:
        blocks: The blocks that will be read.
        classes: The classes that have images.
        network_classes: All classes of the network, where they are known.
        scored: Whether the classes are the network's, so that predictions are scored.
        missing: Classes of the network that have no images.
        extra: Folders of the data that are no class of the network.
    """

    blocks: tuple[SEBlock, ...]
    classes: ClassTable
    network_classes: ClassTable | None
    scored: bool = False
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


def collect(
    loaded: LoadedModel,
    data: str | Source,
    options: PassOptions | None = None,
    *,
    command: str = "",
    check: Callable[[Plan], Any] | None = None,
    progress: Progress | None = None,
    each: Callable[[PredictionTable], Any] | None = None,
) -> Record:
    """Collect the gates and predictions of a network over a data set, in one pass.

    Args:
        loaded: The network, from `seviz.load`.
        data: A directory with one folder per class, ``cifar10[:DIR]``, ``digits``, or a source.
        options: How the pass is made.
        command: The command line, for the record.
        check: Called before the first image is read; may raise, so that nobody waits for a pass whose
            result does not serve.
        progress: Given the number of images, a context manager whose value is called with the size of
            each batch.
        each: Given the prediction for every image when the pass is over.

    Raises:
        NoSEBlockError: If the network has no SE block, and that is required.
        CheckpointError: If the network does not run on such images, or a gate is not a number.
        DataError: If there are no images, or their classes are not the network's.
        DeviceError: If the device does not exist, or its memory is not enough.

    >>> import seviz
    >>> record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits")
    >>> record.header.images, len(record.blocks)
    (364, 6)
    """
    options = options or PassOptions()
    device = resolve_device(options.device)
    autocast = _autocast(options.amp_dtype)
    found = find(loaded.model, loaded.preprocessing.input_size)
    blocks = found.without_squeeze if options.without_squeeze else found.blocks
    if not blocks and not options.without_squeeze and options.require_se:
        found.require_se()
    if not blocks and options.without_squeeze:
        raise UsageError(
            f"expected a {WITHOUT_SQUEEZE} in this network, found none; leave out --without-squeeze"
        )
    source = (
        open_source(data, split=options.split, download=options.download)
        if isinstance(data, str)
        else data
    )
    classes, notes = _class_table(loaded, found)
    if options.labels == "sorted":
        classes, notes = _sorted_folders(source, found.outputs)
    match = match_classes(
        source.folders,
        source.counts,
        classes,
        labels="data" if options.labels == "data" else "model",
    )
    scored = match.is_model and found.outputs is not None
    if check is not None:
        check(Plan(tuple(blocks), match.table, classes, scored, match.missing, match.extra))
    if not scored and (each is not None or not blocks):
        raise DataError(
            f"expected class names to score predictions with, found none that are the network's "
            f"({', '.join(match.table.labels[:5])} are the folders); give --labels sorted if the network's "
            "outputs are the folders in sorted order, or a checkpoint that names its classes"
        )
    batches = make_batches(
        source,
        match,
        loaded.preprocessing,
        batch_size=(
            _batch_size(loaded.preprocessing.input_size)
            if options.batch_size is None
            else options.batch_size
        ),
        workers=options.workers,
        num_samples=options.num_samples,
        strict=options.strict,
        pin_memory=device.type == "cuda",
    )
    probabilities, single = Probabilities(), None
    observers: list[Observer] = [GateSums(blocks, len(match.table), device)] if blocks else []
    if scored and found.outputs is not None:
        targets = [c.index for c in match.table.classes]
        observers.append(Predictions(targets, found.outputs, device, probabilities))
    if each is not None:
        single = EachPrediction(probabilities)
    bar = progress(batches.total) if progress is not None else nullcontext(None)
    with bar as on_batch:
        passed = run(
            loaded.model,
            found.only(blocks),
            batches,
            [*observers, single] if single is not None else observers,
            device=device,
            autocast=autocast,
            on_batch=on_batch,
        )
    header = Header(
        checkpoint=loaded.name,
        architecture=loaded.architecture,
        checkpoint_sha256=loaded.sha256,
        source=source.name,
        split=source.split,
        preprocessing=loaded.preprocessing,
        num_classes=found.outputs or 0,
        images=passed.images,
        skipped=tuple(batches.skipped),
        missing=match.missing,
        extra=match.extra,
        partial=passed.interrupted,
        device=_device_name(device),
        dtype=f"{options.amp_dtype} autocast" if options.amp_dtype else _dtype(loaded),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command,
        versions=_versions(),
        notes=(*loaded.notes, *source.notes, *notes, *match.notes, *probabilities.notes),
    )
    arrays = {name: array for o in observers for name, array in o.compute().items()}
    if not blocks:
        arrays["count"] = arrays["confusion"].sum(axis=1)
    record = Record(header, match.table, tuple(blocks), arrays)
    if single is not None and each is not None:
        each(_predictions(record, classes, source, single.compute()))
    return record


def _predictions(
    record: Record, classes: ClassTable | None, source: Source, found: dict[str, Array]
) -> PredictionTable:
    """Return the table of single predictions, its classes in the order of the network's outputs."""
    # Rows of the record and outputs of the network name a class alike, also where it has a namesake.
    labels = list(classes.labels) if classes is not None else []
    for own, info in zip(record.classes.labels, record.classes.classes, strict=True):
        labels[info.index] = own
    targets = np.array([c.index for c in record.classes.classes], np.int64)
    top, probability = found["top"].astype(np.int64), found["probability"].astype(np.float64)
    header = record.header
    return PredictionTable(
        labels=tuple(labels),
        true=targets[found["row"]],
        predicted=found["predicted"].astype(np.int64),
        confidence=probability[:, 0],
        paths=tuple(source.image_name(int(i)) for i in found["index"]),
        top=top,
        probability=probability,
        subject=f"{header.architecture} on {header.source} {header.split}".rstrip(),
    )


def _class_table(loaded: LoadedModel, found: Found) -> tuple[ClassTable | None, tuple[str, ...]]:
    """Return the network's classes, checked against its output, and remarks on them."""
    table = loaded.classes
    if table is not None:
        if found.outputs is not None and len(table) != found.outputs:
            raise CheckpointError(
                f"expected as many class names as outputs, found {len(table)} names and "
                f"{found.outputs} outputs in {loaded.name}"
            )
        return table, ()
    if found.outputs == 1000:
        return imagenet_classes(), (
            "1,000 outputs without class names: taken for ImageNet-1k's classes in their usual order",
        )
    return None, (
        "the checkpoint names no classes: the folders' names are used, and predictions are not scored",
    )


def _sorted_folders(source: Source, outputs: int | None) -> tuple[ClassTable, tuple[str, ...]]:
    """Return a class for each folder, in the order in which ImageFolder numbers them."""
    names = sorted(source.folders)
    if len(names) != outputs:
        raise DataError(
            f"expected as many folders as the network has outputs ({outputs}) for --labels sorted, found "
            f"{len(names)}; a missing folder would shift the labels of all that follow"
        )
    return ClassTable.from_labels(names), (
        "the network's outputs are taken for the folders in sorted order, as --labels sorted says",
    )


def _autocast(name: str | None) -> torch.dtype | None:
    if name is None:
        return None
    if name not in _AMP_TYPES:
        raise UsageError(f"expected --amp-dtype float16 or bfloat16, found {name!r}")
    return _AMP_TYPES[name]


def _batch_size(input_size: tuple[int, ...]) -> int:
    """Return a batch that keeps a small machine busy and fits its memory."""
    return 256 if input_size[-1] * input_size[-2] <= 64 * 64 else 32


def _dtype(loaded: LoadedModel) -> str:
    first = next(loaded.model.parameters(), torch.empty(0))
    return str(first.dtype).removeprefix("torch.")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _versions() -> dict[str, str]:
    names = ("seviz", "torch", "torchvision", "timm", "numpy")
    return {"python": platform.python_version(), **{n: version(n) for n in names}}
