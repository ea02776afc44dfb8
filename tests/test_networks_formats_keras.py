"""Keras checkpoints load as Keras itself computes them; anything else in such a file is refused."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, crossed, sampled
from keras_models import (
    BY_OPERATORS,
    LAYERS,
    Built,
    L,
    functional,
    keras,
    preparing,
    saved,
    sequential,
)
from keras_tensorflow import notes_se_resnet

from seviz.errors import CheckpointError
from seviz.gates import Tap, find
from seviz.networks import load
from seviz.networks.formats.keras.files import KerasFile, is_keras, read_keras

FORMATS = ["keras", "h5"]

# Keras' own, when it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def same_as_keras(built: Built, file: KerasFile) -> None:
    """Compare outputs and gates on batches of several sizes, with one Tap around all of them."""
    found = find(file.model, file.input_size)
    assert len(found.blocks) == len(built.gates)
    assert found.outputs == file.num_classes
    with Tap(file.model, found) as tap, torch.no_grad():
        for n in (3, 1, 5):
            images = torch.randn(n, *file.input_size) * torch.linspace(0.2, 3, n).view(n, 1, 1, 1)
            outputs = file.model(images)
            gates = list(tap.take().values())
            expected, wanted = built.expected(images.numpy())
            np.testing.assert_allclose(outputs.numpy(), expected, atol=1e-4, rtol=0)
            assert expected.std(0).max() > 1e-2 or n == 1, "outputs must depend on the image"
            for gate, own in zip(gates, wanted, strict=True):
                np.testing.assert_allclose(gate.numpy(), own, atol=1e-5, rtol=0)


# -------------------------------------------------------------------------------------------------
# What loads


@pytest.mark.parametrize(("dialect", "extension"), crossed(LAYERS, FORMATS))
def test_functional(tmp_path: Path, dialect: str, extension: str) -> None:
    built = functional(dialect)
    path = saved(built.model, tmp_path / f"small.{extension}")
    assert is_keras(path)
    file = read_keras(path)
    assert file.input_size == (3, 32, 32)
    assert file.num_classes == 5
    assert file.description == "Keras functional, 'small'"
    assert file.notes == ()
    same_as_keras(built, file)
    blocks = find(file.model, (3, 32, 32)).blocks
    assert [b.channels for b in blocks] == [8, 8, 16]
    reduction = 4 if dialect in {"keepdims_convolutions", "nested"} else 2
    assert [b.hidden for b in blocks] == [b.channels // reduction for b in blocks]


@pytest.mark.parametrize("dialect", BY_OPERATORS)
def test_operators_on_tensors(tmp_path: Path, dialect: str) -> None:
    built = functional(dialect)
    file = read_keras(saved(built.model, tmp_path / "x.keras"))
    same_as_keras(built, file)
    gate = "sigmoid" if dialect == "operators" else "hardsigmoid"
    assert {b.gate for b in find(file.model, file.input_size).blocks} == {gate}


def adapted() -> Any:
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal([1, 2, 3], [4, 5, 6], (8, 16, 16, 3)))
    return layer


@pytest.mark.parametrize(
    ("how", "extension"),
    crossed(
        [
            lambda: [L.Rescaling(2.0, offset=-1.0)],
            lambda: [L.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.04, 0.09, 0.16])],
            lambda: [adapted()],
            lambda: [L.Rescaling([0.5, 1, 2]), adapted()],
        ],
        FORMATS,
    ),
)
def test_networks_that_prepare_their_images(
    tmp_path: Path, how: Callable[[], list[Any]], extension: str
) -> None:
    built = preparing(*how())
    file = read_keras(saved(built.model, tmp_path / f"x.{extension}"))
    assert "prepares images itself" in " ".join(file.notes)
    same_as_keras(built, file)


@pytest.mark.parametrize(
    ("prepared", "extension"),
    crossed(
        [
            (lambda: [L.Rescaling(1 / 255)], 255),
            (lambda: [L.Rescaling([1 / 127.5] * 3, offset=-1)], 255),
            (lambda: [L.Rescaling(2.0, offset=-1.0)], 1),
            (lambda: [L.Normalization(mean=[120, 110, 100], variance=[3000, 3000, 3000])], 255),
            (lambda: [L.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.04, 0.09, 0.16])], 1),
            (lambda: [adapted()], 255),
            (
                lambda: [L.Rescaling(1 / 255), L.Normalization(mean=[0.4] * 3, variance=[0.1] * 3)],
                255,
            ),
        ],
        FORMATS,
        of=2,
    ),
)
def test_a_network_that_prepares_its_images_gets_pixels(
    tmp_path: Path, prepared: tuple[Callable[[], list[Any]], int], extension: str
) -> None:
    how, white = prepared
    path = saved(preparing(*how()).model, tmp_path / f"x.{extension}")
    preprocessing = load(path).preprocessing
    assert preprocessing.mean == (0.0,) * 3
    assert preprocessing.std == pytest.approx((1 / white,) * 3)
    # Stretched to the input, as Keras' own loaders do.
    assert (preprocessing.crop_mode, preprocessing.crop_pct, preprocessing.interpolation) == (
        "squash",
        1.0,
        "bilinear",
    )
    assert preprocessing.assumed == ("crop_mode",)
    assert load(path, crop_mode="squash").preprocessing.remark is None


def test_constants_of_a_network_that_prepares_nothing_are_assumed(tmp_path: Path) -> None:
    prepared = load(saved(functional("dense_reshape").model, tmp_path / "x.keras")).preprocessing
    assert prepared.assumed == ("mean", "std", "crop_mode")
    assert prepared.input_size == (3, 32, 32)


@pytest.mark.parametrize("extension", FORMATS)
def test_sequential(tmp_path: Path, extension: str) -> None:
    built = sequential()
    file = read_keras(saved(built.model, tmp_path / f"x.{extension}"))
    assert file.description == "Keras sequential, 'chain'"
    same_as_keras(built, file)


@pytest.mark.parametrize(
    ("dialect", "extension"), crossed(["dense_reshape", "keepdims_convolutions"], FORMATS)
)
def test_channels_first(tmp_path: Path, dialect: str, extension: str) -> None:
    built = functional(dialect, first=True)
    file = read_keras(saved(built.model, tmp_path / f"x.{extension}"))
    assert file.input_size == (3, 32, 32)
    same_as_keras(built, file)


def test_images_of_any_size(tmp_path: Path) -> None:
    built = functional("keepdims_convolutions", size=None)
    file = read_keras(saved(built.model, tmp_path / "x.keras"))
    assert file.input_size == (3, 224, 224)
    (note,) = file.notes
    assert "--input-size" in note
    images = torch.randn(2, 3, 40, 24)
    expected, _ = built.expected(images.numpy())
    np.testing.assert_allclose(file.model(images).detach().numpy(), expected, atol=1e-4)


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    built = functional("dense_reshape")
    for extension in FORMATS:
        path = saved(built.model, tmp_path / f"x.{extension}").rename(tmp_path / "weights.pt")
        assert is_keras(path)
        same_as_keras(built, read_keras(path))


@pytest.mark.parametrize("extension", FORMATS)
def test_half_precision_is_widened(tmp_path: Path, extension: str) -> None:
    keras.config.set_dtype_policy("float16")
    try:
        model = functional("dense_reshape").model
    finally:
        keras.config.set_dtype_policy("float32")
    file = read_keras(saved(model, tmp_path / f"x.{extension}"))
    assert "computed in float32, not float16 as in the file" in file.notes
    kernel = file.model.get_parameter("stem.kernel")
    own = keras.ops.convert_to_numpy(model.get_layer("stem").kernel)
    np.testing.assert_array_equal(kernel.detach().numpy(), own.astype(np.float32))
    assert file.model(torch.zeros(1, 3, 32, 32)).dtype == torch.float32


def test_frozen_layers_have_parameters_too(tmp_path: Path) -> None:
    built = functional("nested")
    for layer in built.model.layers[1:4]:
        layer.trainable = False
    for extension in FORMATS:
        file = read_keras(saved(built.model, tmp_path / f"x.{extension}"))
        same_as_keras(built, file)
        assert "stem.kernel" in dict(file.model.named_parameters())


# -------------------------------------------------------------------------------------------------
# TensorFlow 2


SQUEEZES = ["TensorFlowOpLayer", "TensorFlowOpLayer as text", "SlicingOpLambda", "TFOpLambda"]


@pytest.mark.parametrize("squeeze", sampled(SQUEEZES, 2))
def test_tensorflow_2(tmp_path: Path, squeeze: str) -> None:
    tf = notes_se_resnet([1, 1], size=32, reduction=4, squeeze=squeeze)
    file = read_keras(tf.save(tmp_path / "x.h5"))
    assert file.description == "Keras functional, 'SE-ResNet50'"
    same_as_keras(tf.built, file)


@pytest.mark.nightly
def test_the_se_resnet50_of_the_notes(tmp_path: Path) -> None:
    tf = notes_se_resnet([3, 4, 6, 3])
    file = read_keras(tf.save(tmp_path / "SE-ResNet50.h5"))
    same_as_keras(tf.built, file)
    blocks = find(file.model, file.input_size).blocks
    assert [b.name for b in blocks if b.index == 1] == ["SE_2_1", "SE_3_1", "SE_4_1", "SE_5_1"]
    assert [b.channels for b in blocks] == [32] * 3 + [64] * 4 + [128] * 6 + [256] * 3
    assert {b.reduction for b in blocks} == {16}
    # Named as TensorFlow numbered the convolutions; the fourth to sixth of the first block are its
    # third convolution and its excitation.
    assert blocks[0].path == "conv2d_4"
    assert blocks[0].parameters == (
        "conv2d_4.kernel",
        "conv2d_4.bias",
        "conv2d_5.kernel",
        "conv2d_5.bias",
    )
    assert len({b.path for b in blocks}) == 16


def test_an_operator_that_is_unknown_is_named(tmp_path: Path, refuses: Refuses) -> None:
    tf = notes_se_resnet([1], size=32, reduction=4)
    entry = next(e for e in tf.entries if e["class_name"] == "TensorFlowOpLayer")
    entry["config"]["node_def"]["op"] = "ReadFile"
    with refuses(CheckpointError, "TensorFlowOpLayer tf_op_layer_strided_slice (ReadFile)"):
        read_keras(tf.save(tmp_path / "x.h5"))


@pytest.mark.parametrize(
    ("masks", "begin", "end", "strides", "expected"),
    [
        ({"begin": 9, "end": 9, "new_axis": 6}, [0] * 4, [0] * 4, [1] * 4, np.s_[:, None, None, :]),
        ({"ellipsis": 1, "new_axis": 2}, [0, 0], [0, 0], [1, 1], np.s_[..., None]),
        ({"begin": 1, "end": 1}, [0, 1], [0, 7], [1, 2], np.s_[:, 1:7:2]),
        ({"begin": 1, "end": 1, "shrink_axis": 2}, [0, 3], [0, 4], [1, 1], np.s_[:, 3]),
    ],
    ids=["new-axes", "ellipsis", "steps", "one-position"],
)
def test_strided_slices(
    masks: dict[str, int], begin: list[int], end: list[int], strides: list[int], expected: Any
) -> None:
    from seviz.networks.formats.keras.operators import layer_class
    from seviz.networks.formats.keras.tensorflow import rewritten

    attr = {f"{k}{'_axis' if k == 'shrink' else ''}_mask": {"i": str(v)} for k, v in masks.items()}
    entry = {
        "class_name": "TensorFlowOpLayer",
        "name": "tf_op_layer_s",
        "config": {
            "name": "s",
            "node_def": {"op": "StridedSlice", "input": ["x", "a", "b", "c"], "attr": attr},
            "constants": {"1": begin, "2": end, "3": strides},
        },
        "inbound_nodes": [[["x", 0, 0, {}]]],
    }
    x = np.arange(24.0, dtype=np.float32).reshape(3, 8)
    made = layer_class().from_config(rewritten(entry)["config"])
    result = keras.ops.convert_to_numpy(made(keras.ops.convert_to_tensor(x)))
    np.testing.assert_array_equal(result, x[expected])


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        ("math.multiply", {"y": 2.5}, lambda x: x * 2.5),
        ("__operators__.add", {"y": [1.0, 2.0, 3.0]}, lambda x: x + np.array([1, 2, 3])),
        ("math.subtract", {"y": 1}, lambda x: x - 1),
        ("math.truediv", {"y": 6.0, "name": None}, lambda x: x / 6),
        ("nn.relu6", {}, lambda x: np.clip(x, 0, 6)),
        ("math.reduce_mean", {"axis": [1], "keepdims": True}, lambda x: x.mean(1, keepdims=True)),
        ("reshape", {"shape": [-1, 1, 3]}, lambda x: x.reshape(-1, 1, 3)),
        ("clip_by_value", {"clip_value_min": 0, "clip_value_max": 1}, lambda x: np.clip(x, 0, 1)),
        ("math.sigmoid", {}, lambda x: 1 / (1 + np.exp(-x))),
        ("math.maximum", {"y": 0.5}, lambda x: np.maximum(x, 0.5)),
    ],
)
def test_functions(
    function: str, given: dict[str, Any], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    from seviz.networks.formats.keras.operators import layer_class
    from seviz.networks.formats.keras.tensorflow import rewritten

    entry = {
        "class_name": "TFOpLambda",
        "name": "tf.f",
        "config": {"name": "tf.f", "function": function},
        "inbound_nodes": [["x", 0, 0, given]],
    }
    x = np.random.default_rng(0).normal(2, 4, (4, 3)).astype(np.float32)
    made = layer_class().from_config(rewritten(entry)["config"])
    result = keras.ops.convert_to_numpy(made(keras.ops.convert_to_tensor(x)))
    np.testing.assert_allclose(result, expected(x), atol=1e-5)


# -------------------------------------------------------------------------------------------------
# A network like any other


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> KerasFile:
    model = functional("dense_reshape").model
    return read_keras(saved(model, tmp_path_factory.mktemp("keras") / "x.keras"))


def test_parameters_are_the_weights_that_are_trained(file: KerasFile) -> None:
    model = functional("dense_reshape").model
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_weights)
    assert sum(p.numel() for p in file.model.parameters()) == trained
    assert set(dict(file.model.named_buffers())) == {
        f"batch_normalization{n}.moving_{what}"
        for n in ("", "_1", "_2", "_3")
        for what in ("mean", "variance")
    } or all("moving_" in n for n, _ in file.model.named_buffers())
    assert len(file.model.state_dict()) == len(model.weights)


def test_a_copy_has_weights_of_its_own(file: KerasFile) -> None:
    images = torch.randn(2, 3, 32, 32)
    before = file.model(images)
    other = copy.deepcopy(file.model)
    assert torch.equal(other(images), before)
    with torch.no_grad():
        other.get_parameter("stem.kernel").zero_()
    assert not torch.allclose(other(images), before)
    assert torch.equal(file.model(images), before)
    other.load_state_dict(file.model.state_dict())
    assert torch.equal(other(images), before)


def test_inference_whatever_the_flags_say(file: KerasFile) -> None:
    images = torch.randn(4, 3, 32, 32)
    before = file.model(images)
    state = {k: v.clone() for k, v in file.model.state_dict().items()}
    try:
        file.model.train()
        assert torch.equal(file.model(images), before)
    finally:
        file.model.eval()
    assert all(torch.equal(v, state[k]) for k, v in file.model.state_dict().items())
    with torch.inference_mode():
        assert torch.allclose(file.model(images), before)


def test_gradients_flow(file: KerasFile) -> None:
    model = copy.deepcopy(file.model)
    model(torch.randn(2, 3, 32, 32))[:, 0].sum().backward()
    grad = model.get_parameter("stem.kernel").grad
    assert grad is not None
    assert grad.abs().sum() > 0


def test_a_layer_may_have_any_name(tmp_path: Path) -> None:
    inputs = keras.Input((16, 16, 3), name="training")
    x = L.Conv2D(4, 3, name="forward")(inputs)
    x = L.BatchNormalization(name="__init__")(x)
    x = L.ReLU(name="v1.0")(x)
    x = L.GlobalAveragePooling2D(name="modules")(x)
    model = keras.Model(inputs, L.Dense(2, name="half")(x))
    images = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype(np.float32)
    expected, _ = Built(model).expected(images)
    read = read_keras(saved(model, tmp_path / "x.keras")).model
    np.testing.assert_allclose(read(torch.from_numpy(images)).detach().numpy(), expected, atol=1e-5)
    assert {"forward_.kernel", "__init___.gamma", "half_.bias"} <= set(read.state_dict())


def test_nothing_global_changes(tmp_path: Path) -> None:
    path = saved(functional("dense_reshape", first=True).model, tmp_path / "x.keras")

    def settings_now() -> tuple[Any, ...]:
        return (
            keras.config.image_data_format(),
            keras.config.dtype_policy().name,
            keras.config.floatx(),
            torch.get_default_dtype(),
            torch.empty(0).device,
            os.environ.get("KERAS_BACKEND"),
            torch.random.get_rng_state().tolist(),
        )

    before = settings_now()
    read_keras(path).model(torch.zeros(1, 3, 32, 32))
    assert settings_now() == before
