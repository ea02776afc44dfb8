"""Keras checkpoints that are refused: in one line, and without running anything from them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from conftest import Refuses, at_night
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_models import L, functional, keras, saved
from torch import nn

from seviz.errors import CheckpointError
from seviz.networks.formats.keras.files import is_keras, read_keras

FORMATS = ["keras", "h5"]

# Keras' own, when it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def repacked(path: Path, change: Callable[[Any], Any], *, weights: bytes | None = None) -> Path:
    """Rewrite a ``.keras`` file with another configuration."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5") if weights is None else weights
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(change(config)))
        archive.writestr("model.weights.h5", weights)
    return path


def layer_of(config: Any, kind: str) -> Any:
    return next(e for e in config["config"]["layers"] if e["class_name"] == kind)


@cache
def content(extension: str) -> bytes:
    """Return a small file with an SE block."""
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(4, 3)(inputs)
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    s = L.Dense(4, activation="sigmoid")(L.Dense(2, activation="relu")(s))
    x = L.GlobalAveragePooling2D()(L.Multiply()([x, s]))
    model = keras.Model(inputs, L.Dense(2)(x))
    with tempfile.TemporaryDirectory() as folder:
        return saved(model, Path(folder) / f"x.{extension}").read_bytes()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "x.keras").write_bytes(content("keras"))
    return tmp_path / "x.keras"


@keras.saving.register_keras_serializable("theirs")
class Own(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x


class Subclassed(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.head = L.Dense(2)

    def call(self, x: Any) -> Any:
        return self.head(keras.ops.mean(x, (1, 2)))

    def get_config(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("extension", FORMATS)
def test_a_layer_of_code_is_not_run(tmp_path: Path, refuses: Refuses, extension: str) -> None:
    target = str(tmp_path / "proof")
    inputs = keras.Input((8, 8, 3))
    x = L.Lambda(lambda t: (open(target, "w").close(), t)[1])(inputs)
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    path = saved(model, tmp_path / f"x.{extension}")
    Path(target).unlink(missing_ok=True)
    with refuses(CheckpointError, "Lambda", "Keras' own layers"):
        read_keras(path)
    assert not os.path.exists(target)
    keras.saving.load_model(path, compile=False, safe_mode=False)
    assert os.path.exists(target), "the file must be dangerous for the test to mean anything"


@pytest.mark.parametrize("extension", FORMATS)
def test_a_layer_of_theirs(tmp_path: Path, refuses: Refuses, extension: str) -> None:
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(Own()(inputs))))
    with refuses(CheckpointError, "Own", "Keras' own layers"):
        read_keras(saved(model, tmp_path / f"x.{extension}"))


def test_a_subclassed_model(tmp_path: Path, refuses: Refuses) -> None:
    model = Subclassed()
    model(np.zeros((1, 8, 8, 3), np.float32))
    with refuses(CheckpointError, "functional or sequential", "Subclassed", "not in the file"):
        read_keras(saved(model, tmp_path / "x.keras"))


def evil(**entry: Any) -> Callable[[Any], Any]:
    """Return a change that puts an object into the activation of a Dense layer."""

    def change(config: Any) -> Any:
        layer_of(config, "Dense")["config"]["activation"] = entry
        return config

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (evil(class_name="system", module="os", config={"command": "true"}), "os.system"),
        (evil(class_name="function", module="builtins", config="eval"), "function eval"),
        (evil(class_name="function", module="keras.utils", config="get_file"), "get_file"),
        (evil(class_name="__lambda__", config={"code": "4wAA", "defaults": None}), "__lambda__"),
        (evil(class_name="__typespec__", module="x", spec_name="y", config=[]), "__typespec__"),
        (evil(class_name="TorchModuleWrapper", module="keras.layers", config={}), "TorchModule"),
        (evil(class_name="TFSMLayer", module="keras.layers", config={}), "TFSMLayer"),
        (evil(class_name="StringLookup", module="keras.layers", config={}), "StringLookup"),
        (evil(class_name="load_model", module="keras.saving", config={}), "load_model"),
        (evil(class_name="popen", module="keras.src.ops.numpy", config={}), "popen"),
        (evil(class_name="np", module="keras.src.ops.numpy", config={}), "np"),
        (evil(class_name="ReLU", module="keras.layers", registered_name="a>b", config={}), "ReLU"),
        (evil(class_name="two\nlines", config={}), "two\\nlines"),
        (evil(class_name=["Dense"], config={}), "['Dense']"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_a_configuration_may_not_name(
    small: Path, refuses: Refuses, change: Callable[[Any], Any], named: str
) -> None:
    with refuses(CheckpointError, "Keras' own layers", named):
        read_keras(repacked(small, change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: [c], "something else"),
        (lambda c: {}, "something else"),
        (lambda c: {**c, "config": None}, "found none"),
        (lambda c: {**c, "config": {"name": "x", "layers": []}}, "can build"),
        (lambda c: {**c, "registered_name": "a>b"}, "functional or sequential"),
        (lambda c: (layer_of(c, "Dense")["config"].update(units="x"), c)[1], "can build"),
        (lambda c: (layer_of(c, "Dense")["config"].update(units=10**13), c)[1], "found"),
        (lambda c: (layer_of(c, "Dense")["config"].update(units=3), c)[1], "found"),
        (lambda c: (layer_of(c, "Dense")["config"].update(activation="no"), c)[1], "can build"),
        (lambda c: (layer_of(c, "Dense")["config"].update(dtype="int7"), c)[1], "can build"),
    ],
)
def test_configurations_that_do_not_fit(
    small: Path, refuses: Refuses, change: Callable[[Any], Any], said: str
) -> None:
    with refuses(CheckpointError, "x.keras", said):
        read_keras(repacked(small, change))


def flat(inputs: Any) -> Any:
    return L.Dense(2)(L.Flatten()(inputs))


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: keras.Sequential([keras.Input((10,)), L.Dense(2)]), "(None, 10)"),
        (lambda: keras.Sequential([keras.Input((9, 8)), L.Conv1D(2, 3)]), "(None, 9, 8)"),
        (lambda: keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(2, 3)]), "(None, 6, 6, 2)"),
        (
            lambda: keras.Model(
                [a := keras.Input((8, 8, 3)), b := keras.Input((4,))],
                L.Concatenate()([flat(a), flat(b)]),
            ),
            "(None, 8, 8, 3), (None, 4)",
        ),
        (
            lambda: keras.Model(a := keras.Input((8, 8, 3)), [flat(a), flat(a)]),
            "(None, 2), (None, 2)",
        ),
    ],
    ids=["vector", "sound", "no-head", "two-inputs", "two-outputs"],
)
def test_not_an_image_classifier(
    tmp_path: Path, refuses: Refuses, build: Callable[[], Any], said: str, extension: str
) -> None:
    with refuses(CheckpointError, said, f"x.{extension}"):
        read_keras(saved(build(), tmp_path / f"x.{extension}"))


def weights_alone(path: Path) -> None:
    functional("dense_reshape").model.save_weights(path.with_suffix(".weights.h5"))
    path.with_suffix(".weights.h5").rename(path)


def old_weights_alone(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv2d"]
        file.create_group("conv2d").attrs["weight_names"] = []


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = np.zeros(3)


def with_link(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        file["model_weights/x"] = h5py.ExternalLink("/etc/passwd", "/")


def with_soft_link(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        file["model_weights/x"] = h5py.SoftLink("/model_weights")


def with_cycle(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        file["model_weights/x"] = file["model_weights"]


def with_outside_numbers(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        file.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def with_a_bomb(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        file.create_dataset("x", (10**7, 10**5), "f4", chunks=(1000, 100))


def with_objects(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        file["x"] = ["text"]


def without_weights(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        del file["model_weights"]


def without_a_layer(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        name = next(n for n in file["model_weights"] if n.startswith("conv2d"))
        del file["model_weights"][name]


def of_other_shape(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        group = next(g for n, g in file["model_weights"].items() if n.startswith("conv2d"))
        kernel = next(iter(group.attrs["weight_names"]))
        del group[kernel]
        group[kernel] = np.zeros((3, 3, 3, 5), np.float32)


def no_json(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = '{"class_name": "Functional", '


def deep_json(path: Path) -> None:
    path.write_bytes(content("h5"))
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
        file.attrs["model_config"] = "[" * 60_000


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (weights_alone, "weights alone"),
        (old_weights_alone, "weights alone"),
        (other_hdf5, "something else"),
        (with_link, "a link out of its place"),
        (with_soft_link, "a link out of its place"),
        (with_cycle, "groups without end"),
        (with_outside_numbers, "another file"),
        (with_a_bomb, "a bomb"),
        (with_objects, "something else than numbers"),
        (without_weights, "is it complete"),
        (without_a_layer, "missing instead of"),
        (of_other_shape, "(3, 3, 3, 5)"),
        (no_json, "is it complete"),
        (deep_json, "is it complete"),
        (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n"), "is it complete"),
        (lambda p: p.write_bytes(content("h5")[:5000]), "is it complete"),
        (lambda p: p.write_bytes(content("keras")[:5000]), "is it complete"),
        (lambda p: p.write_bytes(b"no zip"), "is it complete"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_other_content(
    tmp_path: Path, refuses: Refuses, write: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / "x.h5"
    write(path)
    with refuses(CheckpointError, "x.h5", said):
        read_keras(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [("import os; os.abort()", "makes HDF5 crash"), ("while True: pass", "cannot finish reading")],
)
def test_hdf5_crashes_or_hangs(
    small: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    (small.parent / "script.py").write_text(script)
    monkeypatch.setattr(
        "seviz.networks.formats.keras.hdf5_copy.__file__", str(small.parent / "script.py")
    )
    monkeypatch.setattr("seviz.networks.formats.keras.weights._SECONDS", 1)
    with refuses(CheckpointError, "x.keras", said):
        read_keras(small)


def test_zip_bombs(tmp_path: Path, small: Path, refuses: Refuses) -> None:
    for member in ("config.json", "model.weights.h5"):
        with zipfile.ZipFile(small) as archive:
            members = {n: archive.read(n) for n in archive.namelist()}
        members[member] = bytes(100 << 20)
        path = tmp_path / "bomb.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        assert path.stat().st_size < 1 << 20
        with refuses(CheckpointError, "bomb.keras", "a zip bomb"):
            read_keras(path)


def test_a_bomb_inside_the_archive(small: Path, refuses: Refuses) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("x", (10**7, 10**5), "f4", chunks=(1000, 100))
    with refuses(CheckpointError, "a bomb"):
        read_keras(repacked(small, lambda c: c, weights=stream.getvalue()))


def test_weights_that_are_missing_in_the_archive(small: Path, refuses: Refuses) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_group("layers")
    with refuses(CheckpointError, "x.keras"):
        read_keras(repacked(small, lambda c: c, weights=stream.getvalue()))


@pytest.mark.parametrize("name", ["keras", "h5py"])
def test_not_installed(
    small: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with refuses(CheckpointError, f"found no {name}", "pip install 'seviz[keras]'"):
        read_keras(small)


def test_another_backend(small: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    with refuses(CheckpointError, "on jax", "KERAS_BACKEND=torch"):
        read_keras(small)


READING = (
    "import torch; file = read_keras(path)\n"
    "assert file.model(torch.zeros(3, 3, 8, 8)).shape == (3, 2)\n"
    "assert os.environ['KERAS_BACKEND'] == 'jax'\n"
)


# By day the file is recognised, at night it is read too.
@pytest.mark.nightly
@pytest.mark.parametrize("reading", ["", at_night(READING)], ids=["recognised", "read"])
def test_a_fresh_process(small: Path, reading: str) -> None:
    """Keras is not imported to recognise a file, and comes up on PyTorch whatever is set."""
    script = (
        "import os, sys; from pathlib import Path\n"
        "from seviz.networks.formats.keras.files import is_keras, read_keras\n"
        "path = Path(sys.argv[1]); assert is_keras(path)\n"
        "assert not {'keras', 'h5py'} & set(sys.modules)\n"
    ) + reading
    # The device that Keras would choose on its own plays no part either.
    environment = {**os.environ, "KERAS_BACKEND": "jax", "KERAS_TORCH_DEVICE": "cuda:7"}
    done = subprocess.run(
        [sys.executable, "-c", script, small],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04", b"\x89HD"])
def test_what_is_not_keras(tmp_path: Path, data: bytes) -> None:
    assert not is_keras(tmp_path)
    assert not is_keras(tmp_path / "nothing")
    (tmp_path / "x").write_bytes(data)
    assert not is_keras(tmp_path / "x")


def test_a_pytorch_file_is_not_keras(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "x.keras")
    assert not is_keras(tmp_path / "x.keras")


def loads_or_is_refused(data: bytes, extension: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x.{extension}"
        path.write_bytes(data)
        is_keras(path)
        try:
            file = read_keras(path)
        except CheckpointError as exc:
            said = str(exc)
        else:
            said = ""
            assert file.model(torch.zeros(1, *file.input_size)).shape == (1, file.num_classes)
    assert "\n" not in said


SHARES = st.floats(0, 1, exclude_max=True)
FLIPS = st.lists(st.tuples(SHARES, st.integers(1, 255)), min_size=1)


def check_truncation(extension: str, share: float) -> None:
    data = content(extension)
    loads_or_is_refused(data[: int(share * len(data))], extension)


def check_flipped_bytes(extension: str, flips: list[tuple[float, int]]) -> None:
    data = bytearray(content(extension))
    for place, bits in flips:
        data[int(place * len(data))] ^= bits
    loads_or_is_refused(bytes(data), extension)


@pytest.mark.parametrize("extension", FORMATS)
@settings(max_examples=8)
@given(share=SHARES)
def test_any_truncation(extension: str, share: float) -> None:
    check_truncation(extension, share)


@pytest.mark.nightly
@pytest.mark.parametrize("extension", FORMATS)
@settings(max_examples=100)
@given(share=SHARES)
def test_many_truncations(extension: str, share: float) -> None:
    check_truncation(extension, share)


@pytest.mark.parametrize("extension", FORMATS)
@settings(max_examples=8)
@given(flips=FLIPS)
def test_any_flipped_bytes(extension: str, flips: list[tuple[float, int]]) -> None:
    check_flipped_bytes(extension, flips)


@pytest.mark.nightly
@pytest.mark.parametrize("extension", FORMATS)
@settings(max_examples=100)
@given(flips=FLIPS)
def test_many_flipped_bytes(extension: str, flips: list[tuple[float, int]]) -> None:
    check_flipped_bytes(extension, flips)
