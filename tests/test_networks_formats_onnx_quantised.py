"""Quantised ONNX models: computed with what their whole numbers stand for, close to what they compute."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from onnx_models import (
    Block,
    Floats,
    Small,
    apart,
    exported,
    graph_model,
    reference,
    saved,
    trained,
)
from torch import nn

from seviz.collect.observers import Probabilities
from seviz.gates import Tap, find, trace
from seviz.networks import LoadedModel, load
from seviz.networks.formats.graph_network import GraphNetwork
from seviz.networks.formats.output_step import output_step

SIZE = (3, 16, 16)
IMAGES = np.random.default_rng(0).normal(size=(8, *SIZE)).astype(np.float32)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "small.onnx"
    return exported(trained(Small()), path, SIZE, new=False, opset=13)


class Images:
    """What onnxruntime's quantiser looks at."""

    def __init__(self) -> None:
        self._left: Iterator[Floats] = iter([IMAGES])

    def get_next(self) -> dict[str, Floats] | None:
        batch = next(self._left, None)
        return None if batch is None else {"images": batch}


@pytest.fixture(scope="module", params=["QDQ", "QOperator", "dynamic"])
def quantised(
    request: pytest.FixtureRequest, plain: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    from onnxruntime import quantization

    path = tmp_path_factory.mktemp("quantised") / "small.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if request.param == "dynamic":
            quantization.quantize_dynamic(plain, path)
        else:
            quantization.quantize_static(
                plain,
                path,
                Images(),
                quant_format=getattr(quantization.QuantFormat, request.param),
                per_channel=request.param == "QDQ",
            )
    return path


def test_it_follows_the_network_that_is_quantised(quantised: Path, plain: Path) -> None:
    loaded = load(quantised)
    assert any("quantised" in note for note in loaded.notes)
    blocks = find(loaded.model, SIZE).blocks
    assert [b.name for b in blocks] == ["SE_2_1", "SE_3_1", "SE_3_2"]
    with torch.no_grad():
        ours = np.asarray(loaded.model(torch.from_numpy(IMAGES)))
    assert np.corrcoef(ours.ravel(), reference(quantised, IMAGES)[0].ravel())[0, 1] > 0.98
    whole = load(plain)
    for name, values in gates(loaded).items():
        theirs = reference(plain, IMAGES, [gates(whole)[name]])[1]
        found = value_of(loaded, values)
        assert np.corrcoef(found.ravel(), theirs.ravel())[0, 1] > 0.98


def test_onnxruntime_gives_the_gates_that_its_whole_numbers_stand_for(
    quantised: Path, plain: Path
) -> None:
    """Compared with the gates of the float network, which are within a few steps of 8 bits."""
    loaded, whole = load(quantised, engine="onnxruntime"), load(plain)
    said = [note for note in loaded.notes if "quantised" in note]
    assert len(said) == 1
    assert said[0].startswith(
        "the network is quantised: onnxruntime computes it with its whole numbers"
    )
    assert isinstance(loaded.model, GraphNetwork)
    engine, answers = loaded.model.engine, []
    assert engine is not None

    def counted(network: GraphNetwork, images: Any) -> Any:
        answers.append(engine(network, images))
        return answers[-1]

    with Tap(loaded.model, find(loaded.model, SIZE)) as tap, torch.no_grad():
        loaded.model.engine = counted
        loaded.model(torch.from_numpy(IMAGES))
        found = {name: np.asarray(gate) for name, gate in tap.take().items()}
    assert len(answers) == 1
    assert apart(np.asarray(answers[0]), reference(quantised, IMAGES)[0]) < 1e-6
    for name, value in gates(whole).items():
        exact = reference(plain, IMAGES, [value])[1].reshape(len(IMAGES), -1)
        assert np.abs(found[name] - exact).max() < 0.05


def gates(loaded: LoadedModel) -> dict[str, str]:
    assert isinstance(loaded.model, GraphNetwork)
    found = {}
    for traced in trace(loaded.model, SIZE).blocks:
        step = loaded.model.step_at(traced.site.op.call.path)
        assert step is not None
        found[traced.block.name] = step.inputs[list(traced.site.op.args).index(traced.site.gate)]
    return found


class Swish(nn.Module):
    """A block after a function that has no form on whole numbers, between floating-point operators."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 1, 1)
        self.se1 = Block(8, 2, nn.Sigmoid())
        self.conv = nn.Conv2d(8, 8, 3, 2, 1)
        self.se2 = Block(8, 3, nn.Hardsigmoid())
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.se1(nn.functional.hardswish(self.stem(x)))
        y = self.se2(nn.functional.hardswish(self.conv(x)))
        return torch.as_tensor(self.head(y.mean((2, 3))))


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_a_map_and_its_rounding_are_one_map(form: str, tmp_path: Path) -> None:
    """The mean of the map, and the map in 8 bits that its gate is multiplied onto."""
    from onnxruntime import quantization

    plain = exported(trained(Swish()), tmp_path / "plain.onnx", SIZE, new=False, opset=14)
    path = tmp_path / "small.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantization.quantize_static(
            plain, path, Images(), quant_format=getattr(quantization.QuantFormat, form)
        )
    whole, loaded = load(plain), load(path)
    found, expected = find(loaded.model, SIZE), find(whole.model, SIZE)
    assert not found.others
    for ours, theirs in zip(found.blocks, expected.blocks, strict=True):
        assert ours.name in ("SE_2_1", "SE_3_1")
        for fact in ("name", "channels", "hidden", "placement", "squeeze", "spatial"):
            assert getattr(ours, fact) == getattr(theirs, fact), fact
    for name, value in gates(whole).items():
        exact = reference(plain, IMAGES, [value])[1]
        rounded = value_of(loaded, gates(loaded)[name])
        assert np.abs(rounded - exact).max() < 0.03  # a few steps of 8 bits


def test_a_range_that_is_a_function_is_not_a_rounding() -> None:
    """What is squeezed before a ReLU6 is another map than the one after it."""

    class Cross(Block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            squeezed = x.mean((2, 3), keepdim=True)
            gate = self.gate(self.fc2(torch.relu(self.fc1(squeezed))))
            return torch.as_tensor(x.clamp(0, 6) * gate)

    found = find(nn.Sequential(nn.Conv2d(3, 8, 1), Cross(8, 2, nn.Sigmoid())), SIZE)
    assert not found.blocks
    assert "cross gate" in found.others[0].kind


def value_of(loaded: LoadedModel, name: str) -> Floats:
    """Return what the step gives that makes a value."""
    assert isinstance(loaded.model, GraphNetwork)
    kept: list[torch.Tensor] = []
    (step,) = (s for s in loaded.model.steps if name in s.outputs)
    handle = loaded.model.get_submodule(step.name).register_forward_hook(
        lambda module, args, output: kept.append(output)
    )
    with torch.no_grad():
        loaded.model(torch.from_numpy(IMAGES))
    handle.remove()
    return np.asarray(kept[0])


def scales(**numbers: Any) -> dict[str, Any]:
    return {k: np.asarray(v) for k, v in numbers.items()}


def test_what_a_whole_number_cannot_hold_is_cut_off(tmp_path: Path) -> None:
    """By hand: 8 bits with zero point 0 and scale 0.01 hold 0 to 2.55."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    model = graph_model(nodes, scales(s=np.float32(0.01), z=np.uint8(0)), ("N", 3, 2, 2))
    file = saved(model, tmp_path / "x.onnx")
    images = np.array([-1, 0.5, 2.5, 3], np.float32).reshape(1, 1, 2, 2).repeat(3, 1)
    found = load(file).model(torch.from_numpy(images)).numpy()
    assert np.allclose(found[0, 0].ravel(), [0, 0.5, 2.5, 2.55])
    assert apart(found, reference(file, images)[0]) < 1e-5


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_by_channel(tmp_path: Path, axis: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 127, (4, 4, 1, 1)).astype(np.int8)
    numbers = scales(
        w=weight,
        s=rng.uniform(0.01, 0.1, 4).astype(np.float32),
        z=rng.integers(-3, 3, 4).astype(np.int8),
    )
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=axis),
        helper.make_node("Conv", ["x", "d"], ["y"]),
    ]
    model = graph_model(nodes, numbers, ("N", 4, 8, 8))
    images = rng.normal(size=(2, 4, 8, 8)).astype(np.float32)
    network = load(saved(model, tmp_path / "x.onnx"))
    with torch.no_grad():
        found = network.model(torch.from_numpy(images)).numpy()
    assert apart(found, reference(model, images)[0]) < 1e-5
    assert network.params == 16  # dequantised once, not at each pass


def test_images_of_whole_numbers(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["y"]),
    ]
    model = graph_model(
        nodes, scales(s=np.float32(1 / 64), z=np.uint8(128)), type_=TensorProto.UINT8
    )
    loaded = load(saved(model, tmp_path / "x.onnx"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8)).astype(np.uint8)
    found = loaded.model(torch.from_numpy(pixels.astype(np.float32))).numpy()
    theirs = reference(model, pixels)[0]  # type: ignore[arg-type]
    assert apart(found, theirs) < 1e-5


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
@pytest.mark.parametrize("form", ["rounded", "whole", "plain"])
def test_a_softmax_in_whole_numbers_gets_no_second_one(
    form: str, engine: Literal["torch", "onnxruntime"], tmp_path: Path
) -> None:
    """A sure answer is 255/256 there, so a row adds up to less than 1."""
    rng = np.random.default_rng(0)
    numbers: dict[str, Any] = {
        "w": rng.normal(size=(3, 4)).astype(np.float32) * 200,
        "s": np.array(1 / 256, np.float32),
        "z": np.array(0, np.uint8),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["m"]),
        helper.make_node("Flatten", ["m"], ["f"], axis=1),
        helper.make_node("MatMul", ["f", "w"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y" if form == "plain" else "p"], axis=1),
    ]
    if form != "plain":
        nodes.append(helper.make_node("QuantizeLinear", ["p", "s", "z"], ["q"]))
        last = ["q", "s", "z"]
        if form == "whole":  # the shape changes in whole numbers
            nodes.append(helper.make_node("Flatten", ["q"], ["r"], axis=1))
            last[0] = "r"
        nodes.append(helper.make_node("DequantizeLinear", last, ["y"]))
    loaded = load(saved(graph_model(nodes, numbers), tmp_path / "x.onnx"), engine=engine)
    step = output_step(loaded.model)
    assert step == (0 if form == "plain" else 1 / 256)
    images = torch.from_numpy(rng.normal(size=(16, 3, 8, 8)).astype(np.float32))
    with torch.no_grad():
        values = loaded.model(images)
    assert float(values.max()) == (1 if form == "plain" else 255 / 256)
    shared = Probabilities(step)
    shared(values)
    assert shared.kind == "probabilities"
