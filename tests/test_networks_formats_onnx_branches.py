"""Conditions and loops in ONNX graphs: decided where they are known, against onnxruntime; else refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_models import FLOAT, apart, graph_model, reference, saved

from seviz.errors import CheckpointError
from seviz.gates import find
from seviz.networks import load

BOOL, INT = TensorProto.BOOL, TensorProto.INT64
IMAGES = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)


def body(
    nodes: list[onnx.NodeProto],
    outputs: list[tuple[str, int]],
    inputs: list[tuple[str, int]] | None = None,
    numbers: dict[str, npt.NDArray[np.generic]] | None = None,
) -> onnx.GraphProto:
    return helper.make_graph(
        nodes,
        "body",
        [helper.make_tensor_value_info(n, t, None if t == FLOAT else ()) for n, t in inputs or []],
        [helper.make_tensor_value_info(n, t, None) for n, t in outputs],
        [numpy_helper.from_array(v, n) for n, v in (numbers or {}).items()],
    )


def branches() -> dict[str, onnx.GraphProto]:
    """Return twice the map or, in the other branch, under the same names of values, its negative."""
    two = {"factor": np.array([2.0], np.float32)}
    return {
        "then_branch": body(
            [helper.make_node("Mul", ["a", "factor"], ["out"])], [("out", FLOAT)], None, two
        ),
        "else_branch": body([helper.make_node("Neg", ["a"], ["out"])], [("out", FLOAT)]),
    }


def condition(kind: str) -> tuple[list[onnx.NodeProto], dict[str, npt.NDArray[np.generic]]]:
    """Return operators that make ``c``."""
    if kind in ("true", "false"):
        return [], {"c": np.array(kind == "true")}
    if kind == "computed":
        numbers = {"k": np.array(3, np.int64), "l": np.array(4, np.int64)}
        return [helper.make_node("Less", ["k", "l"], ["c"])], numbers
    if kind in ("height", "other height"):
        numbers = {
            "i": np.array(2, np.int64),
            "wanted": np.array(8 if kind == "height" else 9, np.int64),
        }
        nodes = [
            helper.make_node("Shape", ["a"], ["shape"]),
            helper.make_node("Gather", ["shape", "i"], ["size"], axis=0),
            helper.make_node("Equal", ["size", "wanted"], ["c"]),
        ]
        return nodes, numbers
    numbers = {"zero": np.array(0.0, np.float32)}
    nodes = [
        helper.make_node("ReduceMax", ["a"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "zero"], ["c"]),
    ]
    return nodes, numbers


def with_condition(kind: str) -> onnx.ModelProto:
    before, numbers = condition(kind)
    rng = np.random.default_rng(1)
    sizes = {"w": (3, 3, 1, 1), "down": (2, 3, 1, 1), "up": (3, 2, 1, 1)}
    weights = {name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    return graph_model(
        [
            helper.make_node("Conv", ["x", "w"], ["a"]),
            *before,
            helper.make_node("If", ["c"], ["b"], name="/layer1/If", **branches()),
            helper.make_node("GlobalAveragePool", ["b"], ["s"]),
            helper.make_node("Conv", ["s", "down"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Conv", ["r", "up"], ["f"]),
            helper.make_node("Sigmoid", ["f"], ["g"]),
            helper.make_node("Mul", ["b", "g"], ["y"]),
        ],
        {**weights, **numbers},
    )


def agrees(model: onnx.ModelProto, file: Path) -> torch.nn.Module:
    network = load(saved(model, file)).model
    with torch.no_grad():
        found = network(torch.from_numpy(IMAGES)).numpy()
    assert apart(found, reference(model, IMAGES)[0]) < 1e-6
    return network


@pytest.mark.parametrize("kind", ["true", "false", "computed", "height", "other height"])
def test_the_branch_that_is_known(kind: str, tmp_path: Path) -> None:
    network = agrees(with_condition(kind), tmp_path / "x.onnx")
    (block,) = find(network, (3, 8, 8)).blocks
    assert block.channels == 3


def test_a_condition_on_the_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"depends on the image in node /layer1/If \(If\)"):
        load(saved(with_condition("image"), tmp_path / "x.onnx"))


def loop(
    rounds: int | None, *, ends: bool = False, inner: bool = False, opset: int = 17
) -> onnx.ModelProto:
    """Return a map that goes round: halved and added to the input, each time kept on the side."""
    nodes = [
        helper.make_node("Mul", ["v", "half"], ["m"]),
        helper.make_node("Add", ["m", "a"], ["n"]),
    ]
    if inner:
        choice = {
            "then_branch": body([helper.make_node("Relu", ["n"], ["r"])], [("r", FLOAT)]),
            "else_branch": body([helper.make_node("Neg", ["n"], ["r"])], [("r", FLOAT)]),
        }
        nodes += [
            helper.make_node("Less", ["i", "two"], ["early"]),
            helper.make_node("If", ["early"], ["v2"], name="inner", **choice),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["n"], ["v2"]))
    if ends:
        nodes += [
            helper.make_node("ReduceMax", ["v2"], ["most"], keepdims=0),
            helper.make_node("Less", ["most", "half0"], ["c2"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["c1"], ["c2"]))
    nodes.append(helper.make_node("Identity", ["v2"], ["side"]))
    numbers = {
        "half": np.array([0.5], np.float32),
        "half0": np.array(0.5, np.float32),
        "two": np.array(2, np.int64),
    }
    repeated = body(
        nodes,
        [("c2", BOOL), ("v2", FLOAT), ("side", FLOAT)],
        [("i", INT), ("c1", BOOL), ("v", FLOAT)],
        numbers,
    )
    given = {"go": np.array(True)}
    if rounds is not None:
        given["rounds"] = np.array(rounds, np.int64)
    axes = {"axes": np.array([0], np.int64)}
    last = (
        helper.make_node("ReduceSum", ["sides", "axes"], ["summed"], keepdims=0)
        if opset >= 13
        else helper.make_node("ReduceSum", ["sides"], ["summed"], axes=[0], keepdims=0)
    )
    return graph_model(
        [
            helper.make_node("Relu", ["x"], ["a"]),
            helper.make_node(
                "Loop",
                ["rounds" if rounds is not None else "", "go", "a"],
                ["end", "sides"],
                name="/loop",
                body=repeated,
            ),
            last,
            helper.make_node("Add", ["summed", "end"], ["y"]),
        ],
        {**given, **(axes if opset >= 13 else {})},
        opset=opset,
    )


@pytest.mark.parametrize(
    ("rounds", "inner", "opset"), [(3, False, 17), (1, False, 17), (4, True, 17), (3, False, 11)]
)
def test_a_loop_of_known_rounds(rounds: int, inner: bool, opset: int, tmp_path: Path) -> None:
    agrees(loop(rounds, inner=inner, opset=opset), tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (loop(None), "ends by what it computes"),
        (loop(5, ends=True), "ends by what it computes"),
        (loop(10**9), "1,000,000,000 rounds"),
        (loop(0), "a loop of no rounds"),
    ],
    ids=["no number", "a condition", "many rounds", "none"],
)
def test_other_loops_are_refused(model: onnx.ModelProto, found: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"{found} in node /loop \(Loop\)") as error:
        load(saved(model, tmp_path / "x.onnx"))
    assert "\n" not in str(error.value)


def test_scan_is_named(tmp_path: Path) -> None:
    inner = body([helper.make_node("Relu", ["v"], ["w"])], [("w", FLOAT)], [("v", FLOAT)])
    node = helper.make_node("Scan", ["x"], ["y"], name="/scan", body=inner, num_scan_inputs=1)
    with pytest.raises(CheckpointError, match=r"Scan \(node /scan\)"):
        load(saved(graph_model([node], {}), tmp_path / "x.onnx"))


class Squeezes(torch.nn.Module):
    """What the exporter of scripts writes a condition for: whether a dimension is one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.conv(x)
        if a.shape[1] == 4:
            a = a * torch.sigmoid(a.mean((2, 3), keepdim=True))
        else:
            a = torch.relu(a)
        return a


@pytest.mark.filterwarnings("ignore")
def test_a_script_with_a_condition(tmp_path: Path) -> None:
    file = tmp_path / "script.onnx"
    torch.onnx.export(
        torch.jit.script(Squeezes().eval()),
        (torch.zeros(2, 3, 8, 8),),
        str(file),
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {0: "N"}},
    )
    assert any(n.op_type == "If" for n in onnx.load(file).graph.node)
    with torch.no_grad():
        found = load(file).model(torch.from_numpy(IMAGES)).numpy()
    assert apart(found, reference(file, IMAGES)[0]) < 1e-6
