"""ONNX models folded and written back: what onnxruntime gives is what it gave with the gates held."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from conftest import Refuses, crossed
from onnx import helper, numpy_helper
from onnx_models import Floats, Small, apart, exported, graph_model, reference, saved, trained

import seviz
from seviz.cost.attribution import split
from seviz.cost.twin import without_se
from seviz.errors import CheckpointError, UsageError
from seviz.gates import find, trace
from seviz.networks import LoadedModel, load
from seviz.networks.formats.graph_network import GraphNetwork
from seviz.pruning.folding import fold

SIZE = (3, 16, 16)
IMAGES = np.random.default_rng(0).normal(size=(4, *SIZE)).astype(np.float32)
Gates = dict[str, npt.NDArray[np.float64]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fold") / "small.onnx"
    return exported(trained(Small()), path, SIZE, new=False)


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from onnxruntime import quantization

    folder = tmp_path_factory.mktemp("dynamic")
    plain = exported(trained(Small()), folder / "plain.onnx", SIZE, new=False, opset=13)
    path = folder / "small.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantization.quantize_dynamic(plain, path)
    return path


def gates_of(loaded: LoadedModel) -> Gates:
    blocks = find(loaded.model, loaded.preprocessing.input_size).blocks
    return {b.name: np.linspace(0.2, 0.9, b.channels) for b in blocks}


def held(file: Path, loaded: LoadedModel, gates: Gates) -> onnx.ModelProto:
    """Return the model with constants in place of gates, made with the package onnx alone."""
    assert isinstance(loaded.model, GraphNetwork)
    model = onnx.load(file)
    blocks = {b.name: b.path for b in find(loaded.model, SIZE).blocks}
    for name, gate in gates.items():
        (scale,) = (
            n
            for n in model.graph.node
            if n.op_type == "Mul"
            and n.name.endswith(f"{blocks[name].rpartition('.')[0][-1]}/se/Mul")
        )
        value = gate.astype(np.float32).reshape(1, -1, 1, 1)
        model.graph.initializer.append(numpy_helper.from_array(value, f"{name}_held"))
        scale.input[1] = f"{name}_held"
    return model


@pytest.mark.parametrize("names", [["SE_2_1"], ["SE_3_1", "SE_3_2"], ["all"]])
def test_it_goes_back_to_where_it_came_from(file: Path, tmp_path: Path, names: list[str]) -> None:
    loaded = load(file)
    gates = gates_of(loaded)
    folded = fold(loaded, names, gates)
    slim = folded.save(tmp_path / "slim.onnx")
    chosen = {b.name: gates[b.name] for b in folded.blocks}
    expected = reference(held(file, loaded, chosen), IMAGES)[0]
    assert apart(reference(slim, IMAGES)[0], expected) < 1e-5
    model, before = onnx.load(slim), onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    again = load(slim)
    assert again.params == folded.params_after < folded.params_before
    assert len(find(again.model, SIZE).blocks) == len(gates) - len(chosen)
    # Mean, two convolutions, two functions, multiplication; a cast that does nothing stays with the map.
    left = [n for n in model.graph.node if "/se/" in n.name and n.op_type != "Cast"]
    assert len(left) == 6 * (3 - len(chosen))
    # Absorbed by the convolutions, with nothing left over: no multiplication, no number that is not used.
    assert all("before" in b.how or "after" in b.how for b in folded.blocks)
    used = {name for n in model.graph.node for name in n.input}
    assert {t.name for t in model.graph.initializer} <= used
    assert slim.stat().st_size < file.stat().st_size
    assert np.array_equal(before.graph.input[0].name, model.graph.input[0].name)


def test_the_program(file: Path, tmp_path: Path) -> None:
    loaded = load(file)
    folded = fold(loaded, ["SE_3_1"], gates_of(loaded))
    program = torch.export.load(folded.export(tmp_path / "slim.pt2")).module()
    with torch.no_grad():
        ours = program(torch.from_numpy(IMAGES)).numpy()
    slim = folded.save(tmp_path / "slim.onnx")
    assert apart(ours, reference(slim, IMAGES)[0]) < 1e-5


def fixed_scale(tmp_path: Path) -> Path:
    """Write a block between two functions that no gate can be moved past."""
    weights: dict[str, Floats] = {
        "w": np.random.default_rng(0).normal(size=(6, 3, 3, 3)).astype(np.float32),
        "w1": np.random.default_rng(1).normal(size=(2, 6, 1, 1)).astype(np.float32),
        "w2": np.random.default_rng(2).normal(size=(6, 2, 1, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("HardSwish", ["a"], ["m"]),
        helper.make_node("GlobalAveragePool", ["m"], ["s"]),
        helper.make_node("Conv", ["s", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Conv", ["r", "w2"], ["e"]),
        helper.make_node("Sigmoid", ["e"], ["g"]),
        helper.make_node("Mul", ["m", "g"], ["scaled"], "scale"),
        helper.make_node("Tanh", ["scaled"], ["t"]),
        helper.make_node("GlobalAveragePool", ["t"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    return saved(graph_model(nodes, weights, ("N", *SIZE)), tmp_path / "x.onnx")


def test_a_gate_that_nothing_takes_up_is_one_constant(tmp_path: Path) -> None:
    file = fixed_scale(tmp_path)
    loaded = load(file)
    gate = np.linspace(0.2, 0.9, 6)
    folded = fold(loaded, ["all"], {"SE_2_1": gate})
    assert [b.how for b in folded.blocks] == ["fixed scale"]
    slim = folded.save(tmp_path / "slim.onnx")
    model = onnx.load(slim)
    assert [n.op_type for n in model.graph.node] == [
        "Conv",
        "HardSwish",
        "Mul",
        "Tanh",
        "GlobalAveragePool",
        "Flatten",
    ]
    by_hand = onnx.load(file)
    by_hand.graph.initializer.append(
        numpy_helper.from_array(gate.astype(np.float32).reshape(1, 6, 1, 1), "held")
    )
    by_hand.graph.node[7].input[1] = "held"
    assert apart(reference(slim, IMAGES)[0], reference(by_hand, IMAGES)[0]) < 1e-5


@pytest.mark.parametrize("names", [["SE_2_1"], ["SE_3_1"], ["all"]])
def test_weights_of_whole_numbers_take_no_gate_up(
    dynamic: Path, tmp_path: Path, names: list[str]
) -> None:
    loaded = load(dynamic)
    gates = gates_of(loaded)
    folded = fold(loaded, names, gates)
    assert {b.how for b in folded.blocks} == {"fixed scale"}
    slim = folded.save(tmp_path / "slim.onnx")
    onnx.checker.check_model(onnx.load(slim), full_check=True)
    expected = held(dynamic, loaded, {b.name: gates[b.name] for b in folded.blocks})
    assert apart(reference(slim, IMAGES)[0], reference(expected, IMAGES)[0]) < 1e-5


class Calibration:
    """What onnxruntime's quantiser looks at."""

    def __init__(self) -> None:
        self._left = iter([{"images": IMAGES}])

    def get_next(self) -> Any:
        return next(self._left, None)


@pytest.mark.parametrize(("names", "signed"), crossed([["SE_2_1"], ["all"]], [False, True]))
def test_multiplications_of_whole_numbers_get_whole_numbers(
    names: list[str], signed: bool, tmp_path: Path
) -> None:
    """Against constants quantised by hand, with a scale of their own, in the same multiplications."""
    from onnxruntime import quantization

    plain = exported(trained(Small()), tmp_path / "plain.onnx", SIZE, new=False, opset=13)
    file = tmp_path / "small.onnx"
    kind = quantization.QuantType.QInt8 if signed else quantization.QuantType.QUInt8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantization.quantize_static(
            *(plain, file, Calibration()),
            quant_format=quantization.QuantFormat.QOperator,
            activation_type=kind,
            weight_type=quantization.QuantType.QInt8,
        )
    loaded = load(file)
    gates = gates_of(loaded)
    folded = fold(loaded, names, gates)
    slim = folded.save(tmp_path / "slim.onnx")
    model = onnx.load(slim)
    left = 3 - len(folded.blocks)
    assert sum("Sigmoid" in n.op_type for n in model.graph.node) == left
    # By hand: the gates in 127 or 255 steps of the largest.
    by_hand = onnx.load(file)
    most, dtype = (127, np.int8) if signed else (255, np.uint8)
    products = [n for n in by_hand.graph.node if n.op_type == "QLinearMul" and "/se/" in n.name]
    assert len(products) == 3
    blocks = {b.name: b.path for b in find(loaded.model, SIZE).blocks}
    for block in folded.blocks:
        place = blocks[block.name].rpartition(".")[0][-1]
        (product,) = (n for n in products if f"{place}/se/" in n.name)
        gate = gates[block.name].astype(np.float32).reshape(1, -1, 1, 1)
        scale = gate.max() / most
        for position, value in enumerate(
            (np.round(gate / scale).astype(dtype), np.float32(scale), dtype(0))
        ):
            name = f"{block.name}_{position}"
            by_hand.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
            product.input[3 + position] = name
    assert np.array_equal(reference(slim, IMAGES)[0], reference(by_hand, IMAGES)[0])
    # Read again it is the network that was folded, to the rounding of its gates.
    with torch.no_grad():
        again = load(slim).model(torch.from_numpy(IMAGES)).numpy()
        ours = folded.loaded.model(torch.from_numpy(IMAGES)).numpy()
    assert apart(again, ours) < 1 / most


def test_scales_that_are_known_as_it_runs_take_no_gate_up(tmp_path: Path) -> None:
    """A scale for each column, times that of the map: the constant that stands for both is not the file's."""
    rng = np.random.default_rng(0)
    numbers: dict[str, npt.NDArray[Any]] = {
        "w": rng.integers(-100, 100, (5, 6)).astype(np.int8),
        "ws": rng.uniform(0.01, 0.02, 6).astype(np.float32),
        "wz": np.zeros((), np.int8),
        "w1": rng.normal(size=(6, 2)).astype(np.float32),
        "w2": rng.normal(size=(2, 6)).astype(np.float32),
    }
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z", "wz"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["real"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "ws"], ["scales"]),
        helper.make_node("Mul", ["real", "scales"], ["m"]),
        helper.make_node("ReduceMean", ["m"], ["mean"], axes=[1, 2], keepdims=1),
        helper.make_node("MatMul", ["mean", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["e"]),
        helper.make_node("Sigmoid", ["e"], ["g"]),
        helper.make_node("Mul", ["m", "g"], ["scaled"], "scale"),
        helper.make_node("ReduceMean", ["scaled"], ["y"], axes=[1, 2], keepdims=0),
    ]
    file = saved(graph_model(nodes, numbers, ("N", 3, 4, 5), opset=13), tmp_path / "x.onnx")
    loaded = load(file)
    gate = np.linspace(0.2, 0.9, 6)
    folded = fold(loaded, ["all"], {"SE_2_1": gate})
    assert [b.how for b in folded.blocks] == ["fixed scale"]
    images = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    by_hand = onnx.load(file)
    by_hand.graph.initializer.append(numpy_helper.from_array(gate.astype(np.float32), "held"))
    by_hand.graph.node[10].input[1] = "held"
    slim = folded.save(tmp_path / "slim.onnx")
    assert apart(reference(slim, images)[0], reference(by_hand, images)[0]) < 1e-5


def test_the_network_without_se_runs(file: Path) -> None:
    loaded = load(file)
    twin = without_se(loaded.model, split(trace(loaded.model, SIZE)))
    ones = {name: np.ones_like(gate) for name, gate in gates_of(loaded).items()}
    with torch.no_grad():
        ours = twin(torch.from_numpy(IMAGES)).numpy()
    assert apart(ours, reference(held(file, loaded, ones), IMAGES)[0]) < 1e-5
    assert loaded.params - sum(p.numel() for p in twin.parameters()) == 3 * 8 + 2 * 9 * 8 + 9


def test_other_names_and_gone_files_are_refused(
    file: Path, tmp_path: Path, refuses: Refuses
) -> None:
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(file.read_bytes())
    loaded = load(moved)
    folded = fold(loaded, ["SE_3_1"], gates_of(loaded))
    digits = load(seviz.sample("se_resnet_digits"))
    with refuses(UsageError, "NAME.onnx"):
        folded.save(tmp_path / "slim.pt")
    with refuses(UsageError, "NAME.onnx"):
        fold(digits, ["SE_2_1"], gates_of(digits)).save(tmp_path / "slim.onnx")
    moved.write_bytes(fixed_scale(tmp_path).read_bytes())
    with refuses(CheckpointError, "found another file"):
        folded.save(tmp_path / "slim.onnx")
    moved.unlink()
    with refuses(CheckpointError, "found none at"):
        folded.save(tmp_path / "slim.onnx")
    assert not (tmp_path / "slim.onnx").exists()
