"""ONNX models: what is read is what onnxruntime computes, under the names that the network had."""

from __future__ import annotations

import builtins
import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
import pytest
import torch
from conftest import Refuses
from onnx import TensorProto, helper, numpy_helper
from onnx_models import Floats, Small, apart, exported, graph_model, reference, saved, trained

import seviz
from seviz.cost.audit import network_cost
from seviz.errors import CheckpointError
from seviz.gates import find
from seviz.networks import LoadedModel, load
from seviz.networks.formats import graph_network
from seviz.networks.formats.graph_network import GraphNetwork
from seviz.networks.formats.onnx.convert import converted
from seviz.networks.formats.onnx.graph import read_graph
from seviz.networks.formats.onnx.names import scopes_of

SIZE = (3, 16, 16)
IMAGES = np.random.default_rng(0).normal(size=(4, *SIZE)).astype(np.float32)
GATES = {"SE_2_1": "sigmoid", "SE_3_1": "hardsigmoid", "SE_3_2": "sigmoid"}


def numbers(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return trained(Small())


@pytest.fixture(scope="module", params=["older exporter", "newer exporter"])
def file(
    request: pytest.FixtureRequest,
    network: torch.nn.Module,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    return exported(network, path, SIZE, new=request.param == "newer exporter")


@pytest.fixture(scope="module")
def old(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(network, tmp_path_factory.mktemp("old") / "small.onnx", SIZE, new=False)


def outputs(loaded: LoadedModel, images: Floats = IMAGES) -> Floats:
    with torch.no_grad():
        return np.asarray(loaded.model(torch.from_numpy(images)))


def test_it_is_the_network_that_was_exported(file: Path, network: torch.nn.Module) -> None:
    loaded = load(file)
    assert loaded.format == "ONNX"
    assert loaded.preprocessing.input_size == SIZE
    assert apart(outputs(loaded), reference(file, IMAGES)[0]) < 1e-5
    with torch.no_grad():
        assert apart(outputs(loaded), network(torch.from_numpy(IMAGES)).numpy()) < 1e-5
    blocks = find(loaded.model, SIZE).blocks
    own = find(network, SIZE).blocks
    assert [(b.name, b.path, b.channels, b.hidden, b.gate) for b in blocks] == [
        (b.name, b.path, b.channels, b.hidden, b.gate) for b in own
    ]
    assert {b.name: b.gate for b in blocks} == GATES
    assert network_cost(loaded.model, SIZE).macs == network_cost(network, SIZE).macs
    # Exporters fold norms into convolutions: the rest has the names that it had.
    named = dict(loaded.model.named_parameters())
    for name, parameter in network.named_parameters():
        if name.startswith("layer1.1.se.") or name.startswith("head"):
            assert torch.equal(named[name], parameter)


def test_gates_are_those_of_onnxruntime(file: Path) -> None:
    loaded = load(file)
    values = gate_values(loaded)
    record = seviz.collect(loaded, [(torch.from_numpy(IMAGES), torch.tensor([0, 1, 2, 3]))])
    for name, theirs in zip(
        values, reference(file, IMAGES, list(values.values()))[1:], strict=True
    ):
        gates = record.stats(name).sum  # one image of each class
        assert apart(gates, theirs.reshape(4, -1).astype(np.float64)) < 1e-5


def gate_values(loaded: LoadedModel) -> dict[str, str]:
    """Return the names of the values in the graph that are gates, by block: told by hand, from its names."""
    assert isinstance(loaded.model, GraphNetwork)
    found = {}
    for block in find(loaded.model, loaded.preprocessing.input_size).blocks:
        (scale,) = (
            s
            for s in loaded.model.steps
            if s.operator == "Mul" and s.name.startswith(f"{block.path}.")
        )
        maker = {out: s.operator for s in loaded.model.steps for out in s.outputs}
        (gate,) = (n for n in scale.inputs if "Sigmoid" in maker[n])
        found[block.name] = gate
    return found


@pytest.mark.parametrize("opset", [9, 11, 13, 18, 21, 23])
def test_opsets(opset: int, network: torch.nn.Module, old: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.onnx"
    if opset <= 18:
        exported(network, file, SIZE, new=False, opset=opset)
    else:
        onnx.save(onnx.version_converter.convert_version(onnx.load(old), opset), file)
    (version,) = (o.version for o in onnx.load(file).opset_import if not o.domain)
    assert version == opset
    loaded = load(file)
    assert apart(outputs(loaded), reference(file, IMAGES)[0]) < 1e-5
    assert {b.name: b.gate for b in find(loaded.model, SIZE).blocks} == GATES


def test_a_folder_as_a_hub_gives_it(old: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(old.read_bytes())
    (tmp_path / "README.md").write_text("a network", encoding="utf-8")
    assert np.array_equal(outputs(load(tmp_path)), outputs(load(old)))


def test_a_model_for_one_image_takes_any_number(network: torch.nn.Module, tmp_path: Path) -> None:
    class Viewed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            features = self.body.layer1(torch.relu(self.body.stem(x)))  # type: ignore[operator, union-attr]
            return torch.as_tensor(self.body.head(features.mean((2, 3)).view(1, 8)))  # type: ignore[operator]

    file = exported(Viewed(), tmp_path / "one.onnx", SIZE, new=False, free=False)
    assert apart(outputs(load(file)), outputs_one_by_one(file)) < 1e-5


def outputs_one_by_one(file: Path) -> Floats:
    return np.concatenate([reference(file, IMAGES[i : i + 1])[0] for i in range(len(IMAGES))])


def test_channels_last(tmp_path: Path) -> None:
    """As Keras' exporters write networks: images [N, H, W, C], whole numbers, turned first."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["f"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "conv/kernel"], ["m"], name="model/conv/Conv2D"),
        helper.make_node("ReduceMean", ["m"], ["y"], axes=[2, 3], keepdims=0),
    ]
    weights = {"conv/kernel": numbers(5, 3, 3, 3)}
    model = graph_model(nodes, weights, ("N", 8, 6, 3), type_=TensorProto.UINT8)
    loaded = load(saved(model, tmp_path / "x.onnx"))
    assert loaded.preprocessing.input_size == (3, 8, 6)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3)).astype(np.uint8)
    prepared = loaded.preprocessing
    assert (prepared.mean, prepared.std) == ((0.0,) * 3, (1 / 255,) * 3)
    assert "mean" not in prepared.assumed
    assert any("pixels from 0 to 255" in note for note in loaded.notes)
    ours = outputs(loaded, pixels.transpose(0, 3, 1, 2).astype(np.float32))
    assert apart(ours, reference(model, pixels)[0]) < 1e-5  # type: ignore[arg-type]
    assert [n for n, _ in loaded.model.named_parameters()] == ["conv.weight"]


def test_narrow_numbers_are_widened(old: Path, tmp_path: Path) -> None:
    model = onnx.load(old)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    del model.graph.value_info[:]
    for node in model.graph.node:
        if node.op_type == "Cast":
            node.attribute[0].i = TensorProto.FLOAT16
    loaded = load(saved(model, tmp_path / "half.onnx"))
    assert all(p.dtype == torch.float32 for p in loaded.model.parameters())
    assert any("float32, not float16" in note for note in loaded.notes)
    theirs = reference(model, IMAGES.astype(np.float16))[0]  # type: ignore[arg-type]
    assert apart(outputs(loaded), theirs.astype(np.float32)) < 2e-2


def test_weights_as_inputs(old: Path, tmp_path: Path) -> None:
    """Before IR version 4 every initialiser was an input as well."""
    model = onnx.load(old)
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    assert np.array_equal(outputs(load(saved(model, tmp_path / "x.onnx"))), outputs(load(old)))


def test_what_the_file_says_beside_its_graph(old: Path, tmp_path: Path) -> None:
    model = onnx.load(old)
    said = {
        "names": "{0: 'ant', 1: 'bee', 2: 'cat', 3: 'dog'}",
        "mean": "[0.5, 0.5, 0.5]",
        "std": "[0.25, 0.25, 0.25]",
        "imgsz": "[16, 16]",
    }
    for key, value in said.items():
        model.metadata_props.add(key=key, value=value)
    loaded = load(saved(model, tmp_path / "x.onnx"))
    assert loaded.classes is not None
    assert loaded.classes.labels == ["ant", "bee", "cat", "dog"]
    assert (loaded.preprocessing.mean, loaded.preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)
    assert load(old).classes is None


def test_free_sizes_are_assumed_and_said(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["m"]),
        helper.make_node("GlobalAveragePool", ["m"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    model = graph_model(nodes, {"w": numbers(5, 1, 3, 3)}, ("N", "C", "H", "W"))
    loaded = load(saved(model, tmp_path / "x.onnx"))
    assert loaded.preprocessing.input_size == (1, 224, 224)
    assert any("224x224 is assumed" in note for note in loaded.notes)


def test_of_several_outputs_the_classes_count(old: Path, tmp_path: Path) -> None:
    model = onnx.load(old)
    relu = next(n for n in model.graph.node if n.op_type == "Relu")
    model.graph.output.insert(
        0, helper.make_tensor_value_info(relu.output[0], TensorProto.FLOAT, ["N", 8, 16, 16])
    )
    loaded = load(saved(model, tmp_path / "x.onnx"))
    assert np.array_equal(outputs(loaded), outputs(load(old)))
    assert any("of 2 outputs logits counts" in note for note in loaded.notes)


def test_weights_beside_the_file(old: Path, tmp_path: Path) -> None:
    onnx.save(onnx.load(old), tmp_path / "x.onnx", save_as_external_data=True, size_threshold=0)
    assert sorted(os.listdir(tmp_path))[1:] == ["x.onnx"]
    loaded = load(tmp_path / "x.onnx")
    assert np.array_equal(outputs(loaded), outputs(load(old)))
    (data,) = (p for p in tmp_path.iterdir() if p.suffix != ".onnx")
    data.write_bytes(bytes(data.stat().st_size))
    assert load(tmp_path / "x.onnx").sha256 != loaded.sha256


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/etc/hostname", "leads out of it"),
        ("../secret.bin", "leads out of it"),
        ("inner/../../secret.bin", "leads out of it"),
        ("link.bin", "leads out of it"),
        ("missing.bin", "no such file"),
        ("", "leads out of it"),
        ("short.bin", "bytes at 0"),
    ],
)
def test_weights_elsewhere_are_refused(
    tmp_path: Path, refuses: Refuses, location: str, reason: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(3 * 4 * 4))
    (folder := tmp_path / "model").mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "short.bin").write_bytes(bytes(10))
    model = graph_model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": numbers(4, 3, 1, 1)})
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    with refuses(CheckpointError, reason, "w"):
        load(saved(model, folder / "x.onnx"))


def test_weights_in_a_hubs_cache(tmp_path: Path) -> None:
    """There a file is a link to one named by its hash, and so are its weights."""
    model = graph_model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": numbers(4, 3, 1, 1)})
    plain = load(saved(model, tmp_path / "plain.onnx"))
    onnx.save(
        model, tmp_path / "x.onnx", save_as_external_data=True, size_threshold=0, location="x.data"
    )
    (blobs := tmp_path / "blobs").mkdir()
    (snapshot := tmp_path / "snapshots" / "1").mkdir(parents=True)
    for number, name in enumerate(["x.onnx", "x.data"]):
        (tmp_path / name).rename(blobs / f"{number}f")
        (snapshot / name).symlink_to(blobs / f"{number}f")
    images = numbers(2, 3, 8, 8)
    assert np.array_equal(outputs(load(snapshot / "x.onnx"), images), outputs(plain, images))


def test_its_own_functions_are_put_in_place(tmp_path: Path) -> None:
    swish = helper.make_function(
        "mine",
        "Swish",
        ["a"],
        ["b"],
        [helper.make_node("Sigmoid", ["a"], ["s"]), helper.make_node("Mul", ["a", "s"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    model = graph_model([helper.make_node("Swish", ["x"], ["y"], domain="mine")], {})
    model.functions.append(swish)
    images = numbers(2, 3, 8, 8)
    loaded = load(saved(model, tmp_path / "x.onnx"))
    assert apart(outputs(loaded, images), reference(model, images)[0]) < 1e-6


def test_the_extra_is_named_where_it_is_missing(
    old: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "onnx":
            raise ImportError("no onnx", name="onnx")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with refuses(CheckpointError, "pip install 'seviz[onnx]'", "no onnx"):
        load(old)


def test_its_content_tells(old: Path, tmp_path: Path) -> None:
    copied = tmp_path / "weights.bin"
    copied.write_bytes(old.read_bytes())
    assert load(copied).format == "ONNX"


def nested(depth: int) -> onnx.ModelProto:
    """Return a model of a few functions that would be millions of operators."""
    model = graph_model([helper.make_node("f0", ["x"], ["y"], domain="mine")], {})
    for i in range(depth):
        inner = f"f{i + 1}" if i + 1 < depth else "Relu"
        domain = "mine" if i + 1 < depth else ""
        nodes = [
            helper.make_node(inner, ["a" if k == 0 else f"t{k}"], [f"t{k + 1}"], domain=domain)
            for k in range(10)
        ]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
        model.functions.append(helper.make_function("mine", f"f{i}", ["a"], ["t10"], nodes, opsets))
    return model


def bad_models() -> Iterator[tuple[str, onnx.ModelProto, str]]:
    relu = helper.make_node("Relu", ["x"], ["y"], name="act")
    yield (
        "an unknown operator",
        graph_model([helper.make_node("NonZero", ["x"], ["y"], name="/head/places")], {}),
        "NonZero (node /head/places)",
    )
    yield (
        "one of another domain",
        graph_model([helper.make_node("Magic", ["x"], ["y"], name="m", domain="acme.ops")], {}),
        "acme.ops.Magic (node m)",
    )
    yield "an old opset", graph_model([relu], {}, opset=6), "opset 7 or newer, found 6"
    yield "functions in functions", nested(9), "at most 100,000 operators"
    circle = nested(1)
    circle.functions[0].node[0].op_type = "f0"
    circle.functions[0].node[0].domain = "mine"
    yield "a function that calls itself", circle, "calls itself"
    huge = graph_model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": numbers(4, 3, 1, 1)})
    huge.graph.initializer[0].dims[0] = 25 * 10**9
    yield (
        "a tensor of 1.2 TB",
        huge,
        "48 bytes for the 300,000,000,000 of w".replace("48 bytes", "48 bytes"),
    )
    typed = copy.deepcopy(huge)
    typed.graph.initializer[0].ClearField("raw_data")
    typed.graph.initializer[0].float_data.extend([1.0] * 12)
    yield "the same in numbers", typed, "12 numbers for the 75,000,000,000 of w"
    shape = np.array([1 << 20, 1 << 20], np.int64)
    full = [
        helper.make_node("ConstantOfShape", ["s"], ["c"], name="fill"),
        helper.make_node("Mul", ["x", "c"], ["y"]),
    ]
    yield "a constant of 4 TB", graph_model(full, {"s": shape}), "node fill (ConstantOfShape)"
    spread = np.array([1, 3, 1 << 15, 1 << 15], np.int64)
    expand = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3]),
        helper.make_node("Expand", ["m", "s"], ["y"], name="spread"),
    ]
    yield "a map of 12 GB", graph_model(expand, {"s": spread}), "node spread (Expand) that makes"
    yield "no image", graph_model([relu], {}, ("N", 10)), "one input of images"
    constant = graph_model([helper.make_node("Identity", ["w"], ["y"])], {"w": numbers(1, 4)})
    yield "a constant output", constant, "found y, which is constant"
    missing = graph_model([helper.make_node("Relu", ["z"], ["y"], name="act")], {})
    yield "a value that nothing makes", missing, "the value z before node act"
    wrong = graph_model(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="stem")], {"w": numbers(4, 5, 1, 1)}
    )
    yield "weights that do not fit", wrong, "node stem (Conv) that does not run"
    text = graph_model([relu], {})
    text.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [1], [b"a"]))
    yield "text", text, "which is no number"
    empty = graph_model([relu], {})
    del empty.graph.output[:]
    yield "no output", empty, "no graph with an output"


BAD = {title: (model, reason) for title, model, reason in bad_models()}


@pytest.mark.parametrize("title", BAD)
def test_refused_in_one_line(title: str, tmp_path: Path, refuses: Refuses) -> None:
    model, reason = BAD[title]
    with refuses(CheckpointError, reason, "x.onnx"):
        load(saved(model, tmp_path / "x.onnx"))


def test_many_operators_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may call them all the same: each is named in a step or two, not by counting from the first."""
    count, asked = 400, 0

    def counted(module: object, name: str) -> bool:
        nonlocal asked
        asked += 1
        return hasattr(module, name)

    monkeypatch.setattr(graph_network, "hasattr", counted, raising=False)
    nodes = [
        helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"], name="act")
        for i in range(count)
    ]
    graph = read_graph(saved(graph_model(nodes, {}, output=f"v{count}"), tmp_path / "x.onnx"))
    network = converted(graph, outputs=(f"v{count}",)).network
    assert [s.name for s in network.steps[:3]] == ["act", "act_2", "act_3"]
    assert network.steps[-1].name == f"act_{count}"
    assert asked < 4 * count


def test_scopes() -> None:
    assert scopes_of("/blocks/blocks.0/blocks.0.0/se/Mul") == ["blocks", "0", "0", "se", "Mul"]
    assert scopes_of("p2o.Conv.3") == ["p2o_Conv_3"]
    assert scopes_of("") == []
