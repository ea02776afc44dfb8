"""Quantised ONNX models: computed with what their whole numbers stand for, close to what they compute."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from onnx_models import Floats, Small, apart, exported, graph_model, reference, saved, trained

from seviz.gates import find, trace
from seviz.networks import LoadedModel, load
from seviz.networks.formats.graph_network import GraphNetwork

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


def gates(loaded: LoadedModel) -> dict[str, str]:
    assert isinstance(loaded.model, GraphNetwork)
    found = {}
    for traced in trace(loaded.model, SIZE).blocks:
        step = loaded.model.step_at(traced.site.op.call.path)
        assert step is not None
        found[traced.block.name] = step.inputs[list(traced.site.op.args).index(traced.site.gate)]
    return found


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
