"""Whole files of formats that are not read are called by their names."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Refuses
from safetensors.torch import save

from seviz.errors import CheckpointError
from seviz.networks.formats.hub import weights_in
from seviz.networks.formats.read import READERS, read_checkpoint

WHOLE = {
    "a.engine": (b"ftrt" + bytes(60), "TensorRT"),
    "inference.pdiparams": (bytes(64), "Paddle"),
    "a.mlmodel": (bytes([0x08, 0x05, 0x52, 4]) + b"abcd", "Core ML"),
    "a.param": (b"7767517\n3 3\n", "ncnn"),
    "a.gguf": (b"GGUF" + bytes(60), "GGUF"),
    "a.npy": (b"\x93NUMPY\x01\0" + bytes(60), "NumPy"),
    "saved_model.pb": (bytes([0x08, 0x01, 0x12, 2]) + b"ab", "TensorFlow"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_its_name(tmp_path: Path, refuses: Refuses, name: str) -> None:
    content, title = WHOLE[name]
    (tmp_path / name).write_bytes(content)
    with refuses(CheckpointError, f"another format, {title}", name):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("name", ["a.onnx", "a.engine", "a.pb", "a.tflite"])
def test_weights_under_a_misleading_name(tmp_path: Path, name: str) -> None:
    """The content tells, not the name."""
    state = {"fc.weight": torch.arange(6.0).reshape(2, 3)}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    legacy = io.BytesIO()
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    for content in (buffer.getvalue(), legacy.getvalue(), save(state)):
        (tmp_path / name).write_bytes(content)
        payload = read_checkpoint(tmp_path / name).payload
        assert payload is not None
        np.testing.assert_array_equal(payload.tensors["fc.weight"], np.arange(6.0).reshape(2, 3))


def test_a_damaged_file_is_not_called_foreign(tmp_path: Path, refuses: Refuses) -> None:
    (file := tmp_path / "a.pt").write_bytes(pickle.dumps({"a": 1})[:-3])
    with refuses(CheckpointError, "is it complete?", READERS[0].title):
        read_checkpoint(file)


@pytest.mark.parametrize(
    ("files", "title"),
    [
        (("Manifest.json", "Data"), "Core ML"),
        (("saved_model.pb", "fingerprint.pb"), "TensorFlow SavedModel"),
        (("inference.pdmodel", "inference.pdiparams"), "Paddle"),
    ],
)
def test_a_folder_that_is_a_network(
    files: tuple[str, ...], title: str, tmp_path: Path, refuses: Refuses
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"x" * 64)
    with refuses(CheckpointError, f"a folder of another format, {title}"):
        weights_in(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert weights_in(tmp_path).name == "model.safetensors"
