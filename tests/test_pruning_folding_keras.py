"""Networks that Keras saved, folded to programs: what they give is what Keras gives with its gates held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, Run, at_night
from keras_models import Built, L, functional, keras, randomise, saved
from PIL import Image

from seviz.errors import UsageError
from seviz.gates import find
from seviz.networks import load
from seviz.pruning.folding import fold

SIZE = (3, 32, 32)
# Keras' own, when it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def hold(built: Built, gates: list[np.ndarray], logit: Any) -> None:
    """Make each gate of a Keras model constant with its own weights: no slope, and what gives the number."""
    for tensor, gate in zip(built.gates, gates, strict=True):
        layer = tensor._keras_history.operation.input._keras_history.operation
        layer.kernel.assign(np.zeros(layer.kernel.shape, np.float32))
        layer.bias.assign(logit(gate).astype(np.float32))


@pytest.mark.parametrize(
    ("dialect", "extension", "logit"),
    [
        ("keepdims_convolutions", "keras", lambda g: np.log(g / (1 - g))),
        at_night(("dense_then_reshape", "h5", lambda g: 6 * (g - 0.5))),
    ],
)
def test_a_program(
    dialect: str, extension: str, logit: Any, tmp_path: Path, refuses: Refuses
) -> None:
    built = functional(dialect)
    loaded = load(saved(built.model, tmp_path / f"network.{extension}"))
    blocks = find(loaded.model, SIZE).blocks
    gates = {b.name: np.linspace(0.2, 0.9, b.channels) for b in blocks}
    folded = fold(loaded, ["all"], gates)
    excitations = sum(b.params for b in blocks)
    assert folded.params_before - folded.params_after == excitations > 0
    assert find(folded.loaded.model, SIZE).blocks == ()
    before = built.model.count_params()
    program = torch.export.load(folded.export(tmp_path / "slim.pt2")).module()
    hold(built, list(gates.values()), logit)
    assert built.model.count_params() == before
    for number in (1, 3):
        images = torch.randn(number, *SIZE)
        expected = built.expected(images.numpy())[0]
        np.testing.assert_allclose(program(images).detach().numpy(), expected, atol=1e-5)
    with refuses(UsageError, f"network.{extension}", "-o NAME.pt2"):
        folded.save(tmp_path / "slim.pt")


def test_scale_and_shift(tmp_path: Path) -> None:
    """Keras adds each bias by an operator of its own; two numbers for each channel are held."""
    inputs = keras.Input((32, 32, 3))
    x = L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(inputs))
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    last = L.Conv2D(16, 1)
    s = last(L.Conv2D(4, 1, activation="relu")(s))
    y = L.Activation("relu")(x * keras.ops.sigmoid(s[..., :8]) + s[..., 8:])
    model = keras.Model(inputs, L.Dense(5)(L.GlobalAveragePooling2D()(y)))
    randomise(model)
    loaded = load(saved(model, tmp_path / "shift.keras"))
    (block,) = find(loaded.model, SIZE).blocks
    assert block.shift
    gate, shift = np.linspace(0.2, 0.9, 8), np.linspace(-1, 1, 8)
    folded = fold(loaded, ["all"], {block.name: np.stack([gate, shift])})
    assert [b.how for b in folded.blocks] == ["fixed gate and shift"]
    assert folded.params_before - folded.params_after == block.params
    program = torch.export.load(folded.export(tmp_path / "slim.pt2")).module()
    last.kernel.assign(np.zeros(last.kernel.shape, np.float32))
    last.bias.assign(np.concatenate([np.log(gate / (1 - gate)), shift]).astype(np.float32))
    images = torch.randn(3, *SIZE)
    expected = Built(model).expected(images.numpy())[0]
    np.testing.assert_allclose(program(images).detach().numpy(), expected, atol=1e-5)


@pytest.mark.nightly
def test_from_the_command_line(run: Run, elsewhere: Path) -> None:
    built = functional("keepdims_convolutions")
    saved(built.model, elsewhere / "network.keras")
    rng = np.random.default_rng(0)
    for label in range(5):
        (elsewhere / "images" / f"c{label}").mkdir(parents=True)
        for number in range(2):
            pixels = rng.integers(0, 60 + 40 * label, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(elsewhere / "images" / f"c{label}" / f"{number}.png")
    words = ("fold", "network.keras", "--data", "images", "--labels", "sorted", "-j", 0)
    words = (*words, "--mean", 0, 0, 0, "--std", 1, 1, 1, "--pairs", 0)
    refused = run(*words, "--blocks", "SE_2_1", "-o", "slim.pt")
    assert refused.code == 2
    assert "-o NAME.pt2" in refused.err
    said = run(*words, "--blocks", "SE_2_1", "-o", "slim.pt2")
    assert said.code == 0, said.err
    assert "wrote slim.pt2" in said.out + said.err
    program = torch.export.load("slim.pt2").module()
    with torch.no_grad():
        assert program(torch.rand(3, *SIZE)).shape == (3, 5)
    assert not Path("slim.pt").exists()
