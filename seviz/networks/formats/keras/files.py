"""Keras checkpoints, HDF5 (``.h5``) and zip (``.keras``), read without running code from them.

The network is built on the meta device from a configuration that was checked, so what a file claims costs
no memory; the numbers then come from the file, never from an initialiser.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seviz.errors import CheckpointError
from seviz.networks.formats.keras.config import Plan
from seviz.networks.formats.keras.weights import clean_hdf5, damaged, weights_by_layer

_HDF5 = b"\x89HDF\r\n\x1a\n"
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
# Weights hardly shrink: what claims to unpack to more than this many times its size is no checkpoint.
_EXPANSION, _SMALL = 20, 64 << 20
_UNKNOWN_SIZE = 224


@dataclass(frozen=True, eq=False)
class KerasFile:
    """What a Keras checkpoint holds.

    Attributes:
        model: The network; takes images [N, C, H, W] and returns [N, outputs].
        input_size: Channels, height and width of an image.
        num_classes: Number of outputs.
        description: What it is, for people: ``Keras functional, 'SE-ResNet50'``.
        notes: What a reader of its numbers should know about how it was loaded.
        largest_pixel: What white is for a network that scales images itself, where that is known.
    """

    model: nn.Module
    input_size: tuple[int, int, int]
    num_classes: int
    description: str
    notes: tuple[str, ...]
    largest_pixel: int | None = None


def is_keras(path: Path) -> bool:
    """Return whether this is a file for `read_keras`: HDF5, or a zip archive with Keras' two members."""
    try:
        if _is_hdf5(path):
            return True
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return {_CONFIG, _WEIGHTS} <= set(archive.namelist())
    except Exception:  # a damaged archive, or no file at all
        return False


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        for offset in (0, 512, 1024, 2048):  # the format allows for a block of the user's in front
            file.seek(offset)
            if file.read(len(_HDF5)) == _HDF5:
                return True
    return False


def read_keras(path: Path) -> KerasFile:
    """Read a Keras checkpoint and build its network, with real Keras on PyTorch.

    Raises:
        CheckpointError: If Keras or h5py is missing, the file is damaged, holds weights alone, would
            run code, is no image classifier, or its weights do not fit its configuration.
    """
    _import_keras()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read_hdf5(path) if _is_hdf5(path) else _read_zip(path)
    except CheckpointError:
        raise
    except Exception as exc:  # what a damaged file makes HDF5 and Keras do is anybody's guess
        reason = f"{type(exc).__name__}: {' '.join(str(exc).split())[:160]}"
        raise damaged(path, path.name, reason) from exc


def _import_keras() -> None:
    """Import Keras on PyTorch, and leave the environment as it was."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "torch"
    try:
        import h5py  # noqa: F401
        import keras

        version = str(keras.__version__)
        backend = keras.config.backend() if int(version.partition(".")[0]) >= 3 else "tensorflow"
    except ImportError as exc:
        raise CheckpointError(
            f"expected Keras 3 and h5py to read a Keras model, found no {exc.name}; "
            "pip install 'seviz[keras]'"
        ) from exc
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
    if backend != "torch":
        raise CheckpointError(
            f"expected Keras 3 on PyTorch, found Keras {version} on {backend} in this process; set "
            "KERAS_BACKEND=torch before keras is imported (pip install 'seviz[keras]')"
        )


def _read_hdf5(path: Path) -> KerasFile:
    import h5py

    limit = _limit(path.stat().st_size)
    with _quiet(), clean_hdf5(path, limit, path.name) as clean, h5py.File(clean, "r") as file:
        text = file.attrs.get("model_config")
        if text is None:
            alone = "layer_names" in file.attrs or {"layers", "_layer_checkpoint_dependencies"} & {
                *file
            }
            what = "weights alone (save_weights)" if alone else "an HDF5 file of something else"
            raise CheckpointError(
                f"expected a Keras model with its configuration in {path.name}, found {what}; save "
                "it with model.save('model.keras')"
            )
        plan = Plan.read(text, path.name)
        model = plan.build("meta")
        values = weights_by_layer(file, model, path.name)
    return _described(plan, model, values)


def _read_zip(path: Path) -> KerasFile:
    import keras

    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        for name in (_CONFIG, _WEIGHTS):
            member = archive.getinfo(name)
            _check_claim(member.file_size, _limit(member.compress_size), path)
        plan = Plan.read(archive.read(_CONFIG), path.name)
        model = plan.build("meta")
        weights = Path(folder) / _WEIGHTS
        with archive.open(_WEIGHTS) as source, weights.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)  # compares the checksum, too
        limit = _limit(weights.stat().st_size)
        with (
            _quiet(),
            clean_hdf5(weights, limit, path.name) as clean,
            keras.device("cpu"),
            keras.StatelessScope() as scope,
        ):
            model.load_weights(str(clean))  # Keras alone knows how it names the weights in there
        values = {id(v): scope.get_current_value(v) for v in model.weights}
    missing = [repr(v.path) for v in model.weights if values[id(v)] is None]
    if missing:
        raise CheckpointError(
            f"expected all {len(values)} weights in {path.name}, found none for "
            f"{', '.join(missing[:3])}; save it again with model.save()"
        )
    return _described(plan, model, values)


def _limit(size: int) -> int:
    return max(_SMALL, _EXPANSION * size)


def _check_claim(claimed: int, limit: int, path: Path) -> None:
    if claimed > limit:
        raise CheckpointError(
            f"expected a Keras model in {path.name}, found {claimed:,} bytes packed into "
            f"{path.stat().st_size:,}: a zip bomb; save it again with model.save()"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Keras from printing its remarks."""
    from absl import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _described(plan: Plan, model: Any, values: dict[int, torch.Tensor]) -> KerasFile:
    from seviz.networks.formats.keras.network import (
        KerasNetwork,
        channels_first,
        has_stray_tensors,
        largest_pixel,
        prepares_images,
    )

    if has_stray_tensors(model):
        built = plan.build("cpu")
        pairs = zip(model.weights, built.weights, strict=True)
        values = {id(new): values[id(old)] for old, new in pairs}
        model = built
    notes = list(plan.notes)
    try:
        shapes = [tuple(t.shape) for t in model.inputs]
        outputs = [tuple(t.shape) for t in model.outputs]
    except AttributeError:  # a sequential model that has never seen its input
        shapes, outputs = [], []
    first = channels_first(model)
    size = _image_size(shapes[0], first) if len(shapes) == 1 else None
    if size is None:
        raise CheckpointError(
            f"expected one input of images (None, height, width, channels) in {plan.name}, found "
            f"{', '.join(map(str, shapes)) or 'no input shape'}; give an image classifier that was "
            "built with keras.Input(shape)"
        )
    if len(outputs) != 1 or len(outputs[0]) != 2 or outputs[0][1] is None:
        raise CheckpointError(
            f"expected one output (None, classes) in {plan.name}, found "
            f"{', '.join(map(str, outputs))}; save the whole classifier, with its head and one output"
        )
    channels, height, width = size
    if height is None or width is None:
        notes.append(
            f"the Keras model takes images of any size; {_UNKNOWN_SIZE} is assumed: give "
            "--input-size if it was trained otherwise"
        )
    white = largest_pixel(model, values)
    if prepares_images(model):
        gets = f"it is given pixels from 0 to {white}"
        if white is None:
            gets = "give --mean and --std so that it gets the values it was trained on, mostly 0 to 255"
        notes.append(
            f"the network prepares images itself (rescaling or normalisation layers): {gets}"
        )
    network = KerasNetwork(model, values, channels_first=first).eval()
    kind = "sequential" if type(model).__name__ == "Sequential" else "functional"
    return KerasFile(
        network,
        (channels, height or _UNKNOWN_SIZE, width or _UNKNOWN_SIZE),
        int(outputs[0][1]),
        f"Keras {kind}, {model.name!r}",
        tuple(notes),
        white,
    )


def _image_size(
    shape: tuple[int | None, ...], first: bool
) -> tuple[int, int | None, int | None] | None:
    """Return channels, height and width, if this is the shape of a batch of images."""
    if len(shape) != 4:
        return None
    channels, height, width = shape[1:] if first else (shape[3], shape[1], shape[2])
    return None if channels is None else (channels, height, width)
