"""Checkpoints in each format that is read, and what their own libraries find in them."""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fuzz.reader import Content, Reader, equal

ARGS: dict[str, Any] = {"widths": (4, 4, 4), "reduction": 2}
CLASSES = ["ant", "bee", "cat"]
# Counts the steps of training, which no output depends on; files may be without.
_STEPS = "num_batches_tracked"


@cache
def network() -> nn.Module:
    from seviz.networks.architectures.registry import build

    torch.manual_seed(0)
    return build("se_resnet14", num_classes=3, **ARGS).eval()


def _zip(path: Path) -> None:
    torch.save(network().state_dict(), path)


def _unchecked(path: Path) -> None:
    """Nothing but the reader notices what was changed."""
    torch.serialization.set_crc32_options(False)
    try:
        _zip(path)
    finally:
        torch.serialization.set_crc32_options(True)


def _legacy(path: Path) -> None:
    torch.save(network().state_dict(), path, _use_new_zipfile_serialization=False)


def _training(path: Path) -> None:
    """What a training script keeps: weights beside an optimiser and counters."""
    state = {f"module.{name}": tensor for name, tensor in network().state_dict().items()}
    content = {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}, "classes": CLASSES}
    torch.save(content, path)


def _safetensors(path: Path) -> None:
    from safetensors.torch import save_file

    save_file(network().state_dict(), path)


def _export(path: Path) -> None:
    torch.export.save(torch.export.export(network(), (torch.zeros(1, 3, 16, 16),)), path)


def _scripted(path: Path) -> None:
    torch.jit.trace(network(), torch.zeros(1, 3, 16, 16)).save(str(path))


def _own(path: Path) -> None:
    from seviz.networks import save_checkpoint

    save_checkpoint(path, network(), arch="se_resnet14", arch_args=ARGS, classes=CLASSES)


def _hub(path: Path) -> None:
    """The configuration of a hub is damaged, the weights beside it are whole."""
    _safetensors(path.with_name("model.safetensors"))
    config = {
        "architecture": "se_resnet14",
        "num_classes": 3,
        "label_names": CLASSES,
        "pretrained_cfg": {
            "input_size": [3, 16, 16],
            "mean": [0.5] * 3,
            "std": [0.25] * 3,
            "crop_pct": 0.9,
        },
    }
    path.write_text(json.dumps(config, indent=1))


def _keras(path: Path) -> None:
    os.environ["KERAS_BACKEND"] = "torch"
    from keras_models import randomise, saved, sequential

    built = sequential()
    randomise(built.model)
    saved(built.model, path)


def _onnx(path: Path) -> None:
    from onnx_models import Small, exported, trained

    exported(trained(Small()), path, (3, 16, 16), new=False)


def _tflite(path: Path) -> None:
    from tflite_models import made

    path.write_bytes(made("float").content)


def _made(name: str, write: Callable[[Path], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # legacy saving, TorchScript: deprecated, and in the wild
            write(folder / name)
        return folder / name

    return make


def _read(path: Path) -> Content:
    from seviz.networks import LoadedModel, LoadOptions, open_checkpoint

    if path.suffix == ".json":
        path = path.with_name("model.safetensors")
    opened = open_checkpoint(path, LoadOptions())
    if not isinstance(opened, LoadedModel):
        return {}  # weights of a network that is not known: their shapes are shown, no numbers
    return {name: tensor.numpy() for name, tensor in opened.model.state_dict().items()}


def _fits(name: str, value: Any, judged: Content) -> bool:
    """Return whether a tensor of ours is one of the file's: its namesake, whatever stands before names."""
    if name.endswith(_STEPS):
        return True
    own = [tensor for key, tensor in judged.items() if key == name or key.endswith(f".{name}")]
    return any(equal(value, tensor) for tensor in own)


def _fits_keras(name: str, value: Any, judged: Content) -> bool:
    """Return whether the same numbers are in the file; Keras has other names, and other orders of axes."""
    if name.endswith(_STEPS) or not name.rpartition(".")[2].startswith(
        ("weight", "bias", "running")
    ):
        return True
    wanted = np.sort(value, axis=None)
    made = wanted.size and (np.all(wanted == 0) or np.all(wanted == 1))  # what a layer does without
    return bool(made) or any(equal(wanted, np.sort(v, axis=None)) for v in judged.values())


def _by_torch(path: Path) -> Content:
    content = torch.load(path, weights_only=True)
    content = content.get("state_dict", content)
    return {
        name: tensor.numpy() for name, tensor in content.items() if isinstance(tensor, torch.Tensor)
    }


def _by_jit(path: Path) -> Content:
    return {
        name: tensor.detach().numpy() for name, tensor in torch.jit.load(path).state_dict().items()
    }


def _by_export(path: Path) -> Content:
    return {
        name: tensor.detach().numpy() for name, tensor in torch.export.load(path).state_dict.items()
    }


def _by_hand(path: Path) -> Content:
    """Read safetensors as its page describes it: the length of a header, the header, numbers."""
    if path.suffix == ".json":
        path = path.with_name("model.safetensors")
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    kinds = {"F32": np.float32, "I64": np.int64}
    found = {}
    for name, entry in json.loads(content[8:begin]).items():
        if name != "__metadata__":
            first, last = (begin + offset for offset in entry["data_offsets"])
            found[name] = np.frombuffer(content[first:last], kinds[entry["dtype"]]).reshape(
                entry["shape"]
            )
    return found


def _by_onnx(path: Path) -> Content:
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                found[f"constant {node.output[0]}"] = numpy_helper.to_array(attribute.t)
    return found


def _by_interpreter(path: Path) -> Content:
    from tflite_models import Reference

    reference = Reference(path.read_bytes())
    found = {}
    for place in reference._details:
        try:
            found[str(place)] = reference.tensor(place)
        except ValueError:  # computed, and not kept
            continue
    return found


def _by_h5py(path: Path) -> Content:
    import h5py

    stream = io.BytesIO(path.read_bytes())
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive:
            stream = io.BytesIO(archive.read("model.weights.h5"))
    found = {}
    with h5py.File(stream) as file:
        file.visititems(
            lambda n, o: found.update({n: o[()]}) if isinstance(o, h5py.Dataset) else None
        )
    return found


def _row(
    name: str, file: str, write: Callable[[Path], None], judge: Callable[[Path], Content]
) -> Reader:
    fits = _fits if judge not in (_by_h5py, _by_onnx, _by_interpreter) else _fits_keras
    return Reader(name, "checkpoint", _made(file, write), _read, judge, fits=fits)


READERS = (
    _row("torch.save", "x.pt", _zip, _by_torch),
    _row("torch.save, no checksums", "x.pt", _unchecked, _by_torch),
    _row("torch.save, before 1.6", "x.pt", _legacy, _by_torch),
    _row("training script", "x.pth.tar", _training, _by_torch),
    _row("seviz", "x.pt", _own, _by_torch),
    _row("safetensors", "x.safetensors", _safetensors, _by_hand),
    _row("hub configuration", "config.json", _hub, _by_hand),
    _row("TorchScript", "x.pt", _scripted, _by_jit),
    _row("torch.export", "x.pt2", _export, _by_export),
    _row("Keras 3", "x.keras", _keras, _by_h5py),
    _row("Keras HDF5", "x.h5", _keras, _by_h5py),
    _row("ONNX", "x.onnx", _onnx, _by_onnx),
    _row("TFLite", "x.tflite", _tflite, _by_interpreter),
)
