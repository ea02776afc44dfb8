"""Every operator of the table against onnxruntime, in the forms that networks have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import helper
from onnx_models import Floats, apart, graph_model, reference, saved

from seviz.networks.formats.onnx.convert import converted
from seviz.networks.formats.onnx.graph import read_graph
from seviz.networks.formats.onnx.operators import OPERATORS
from seviz.networks.formats.onnx.quantised import rewritten

RNG = np.random.default_rng(0)


def numbers(*shape: int, low: float = -2.0, high: float = 2.0) -> Floats:
    return RNG.uniform(low, high, shape).astype(np.float32)


def whole(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


@dataclass(frozen=True)
class Case:
    """One operator: constants behind its first input, attributes, and the first opset that has it so."""

    operator: str
    constants: Sequence[Any] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 17
    shape: tuple[int, ...] = (2, 4, 7, 6)
    low: float = -2.0
    outputs: int = 1
    domain: str = ""

    def __str__(self) -> str:
        return f"{self.operator}-{self.opset}-{sorted(self.attributes)}"


FOUR = (numbers(4), numbers(4), numbers(4), numbers(4, low=0.5))
CASES = [
    Case("Conv", (numbers(6, 4, 3, 3), numbers(6)), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    Case("Conv", (numbers(6, 4, 3, 3),), {"pads": [0, 1, 2, 0]}),
    Case("Conv", (numbers(8, 1, 3, 2),), {"group": 4, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    Case("Conv", (numbers(8, 4, 3, 2),), {"auto_pad": "SAME_LOWER", "strides": [1, 2]}),
    Case("Conv", (numbers(8, 4, 3, 2),), {"auto_pad": "VALID"}),
    Case("Conv", (numbers(5, 4, 3),), {"pads": [1, 1]}, shape=(2, 4, 9)),
    Case(
        "ConvTranspose",
        (numbers(4, 3, 3, 3), numbers(3)),
        {"strides": [2, 2], "pads": [1, 1, 1, 1]},
    ),
    Case("ConvTranspose", (numbers(4, 3, 2, 2),), {"strides": [2, 2], "output_padding": [1, 0]}),
    Case("ConvTranspose", (numbers(4, 3, 3, 3),), {"strides": [2, 2], "pads": [0, 1, 1, 0]}),
    Case("Gemm", (numbers(4, 5), numbers(5)), shape=(3, 4)),
    Case(
        "Gemm", (numbers(5, 4), numbers(5)), {"transB": 1, "alpha": 0.5, "beta": 2.0}, shape=(3, 4)
    ),
    Case("MatMul", (numbers(6, 5),)),
    Case("BatchNormalization", FOUR, {"epsilon": 1e-3}),
    Case("BatchNormalization", FOUR, {"momentum": 0.9}, opset=9),
    Case("InstanceNormalization", (numbers(4), numbers(4)), {"epsilon": 1e-3}),
    Case("LayerNormalization", (numbers(6), numbers(6)), {"axis": -1}),
    Case("LayerNormalization", (numbers(7, 6), numbers(7, 6)), {"axis": 2}),
    Case("GroupNormalization", (numbers(4), numbers(4)), {"num_groups": 2}, opset=21),
    Case("LRN", (), {"size": 3, "alpha": 0.1}),
    Case("LpNormalization", (), {"axis": 1, "p": 2}),
    Case("PRelu", (numbers(4, 1, 1),)),
    Case("PRelu", (numbers(1),)),
    Case("MaxPool", (), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Case("MaxPool", (), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    Case("MaxPool", (), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, opset=11),
    Case("MaxPool", (), {"kernel_shape": [2, 2], "dilations": [2, 1]}, opset=11),
    Case("AveragePool", (), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Case("AveragePool", (), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    Case("AveragePool", (), {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}),
    Case("GlobalAveragePool"),
    Case("GlobalMaxPool"),
    Case("Einsum", (numbers(6, 5),), {"equation": "nchw, wk -> nchk"}, opset=12),
    Case("Softmax", (), {"axis": 1}),
    Case("Softmax", (), {}, opset=11),
    Case("Softmax", (), {"axis": 2}, opset=9),
    Case("LogSoftmax", (), {"axis": 1}, opset=11),
    *(
        Case(name)
        for name in ("Relu", "Sigmoid", "Tanh", "HardSwish", "Softplus", "Softsign", "Erf")
    ),
    *(Case(name) for name in ("Exp", "Abs", "Neg", "Ceil", "Floor", "Round", "Sign", "Cos", "Sin")),
    *(Case(name, low=0.1) for name in ("Sqrt", "Log", "Reciprocal")),
    Case("IsNaN"),
    Case("Mish", opset=18),
    Case("Gelu", opset=20),
    Case("Gelu", (), {"approximate": "tanh"}, opset=20),
    Case("Elu", (), {"alpha": 0.5}),
    Case("Celu", (), {"alpha": 0.5}, opset=12),
    Case("Selu"),
    Case("LeakyRelu", (), {"alpha": 0.2}),
    Case("ThresholdedRelu", (), {"alpha": 0.5}),
    Case("HardSigmoid"),
    Case("HardSigmoid", (), {"alpha": 1 / 6, "beta": 0.5}),
    Case("Clip", (np.float32(0), np.float32(1.5)), opset=12),
    Case("Clip", (np.float32(0), np.float32(6)), opset=12),
    Case("Clip", (), {"min": -0.5, "max": 0.75}, opset=9),
    Case("Add", (numbers(4, 1, 1),)),
    Case("Sub", (np.float32(0.5),)),
    Case("Mul", (numbers(1),)),
    Case("Div", (np.float32(6),)),
    Case("Pow", (np.float32(2),), low=0.1),
    Case("Pow", (np.float32(0.5),), low=0.1),
    Case("Mod", (numbers(4, 1, 1, low=0.5),), {"fmod": 1}),
    Case("Max", (numbers(4, 1, 1), np.float32(0.25))),
    Case("Min", (numbers(4, 1, 1),)),
    Case("Mean", (numbers(4, 1, 1),)),
    Case("Sum", (numbers(4, 1, 1), numbers(6))),
    Case("Reshape", (whole(0, -1, 3),)),
    Case("Flatten", (), {"axis": 2}),
    Case("Flatten", (), {"axis": 0}),
    Case("Flatten"),
    Case("Transpose", (), {"perm": [0, 2, 3, 1]}),
    Case("Transpose"),
    Case("Squeeze", (whole(2, 3),), shape=(2, 4, 1, 1), opset=13),
    Case("Squeeze", (), {"axes": [2]}, opset=11, shape=(2, 4, 1, 1)),
    Case("Unsqueeze", (whole(1, -1),), opset=13),
    Case("Unsqueeze", (), {"axes": [0]}, opset=11),
    Case("Concat", (numbers(2, 3, 7, 6),), {"axis": 1}),
    Case("Slice", (whole(1, 0), whole(1 << 40, -1), whole(2, 3), whole(2, 1))),
    Case("Slice", (whole(-1), whole(-(1 << 40)), whole(3), whole(-1))),
    Case("Slice", (), {"starts": [1], "ends": [3], "axes": [1]}, opset=9),
    Case("Gather", (whole(2, 0, -1),), {"axis": 1}),
    Case("Gather", (np.array(1),), {"axis": 2}),
    Case("Expand", (whole(3, 2, 4, 7, 6),)),
    Case("Expand", (whole(4, 1, 6),), shape=(2, 4, 7, 1)),
    Case("Tile", (whole(1, 2, 1, 3),)),
    Case("Pad", (whole(0, 0, 1, 0, 0, 0, 2, 1), np.float32(0.5))),
    Case("Pad", (whole(0, 0, 1, 2, 0, 0, 0, 1),), {"mode": "reflect"}),
    Case("Pad", (whole(0, 0, 1, 2, 0, 0, 0, 1),), {"mode": "edge"}),
    Case("Pad", (), {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "value": 0.5}, opset=9),
    Case("Split", (whole(1, 3),), {"axis": 1}, outputs=2),
    Case("Split", (), {"axis": 1, "split": [1, 3]}, outputs=2, opset=11),
    Case("Split", (), {"axis": 2, "num_outputs": 3}, outputs=3, opset=18),
    Case("DepthToSpace", (), {"blocksize": 2}),
    Case("DepthToSpace", (), {"blocksize": 2, "mode": "CRD"}),
    Case("SpaceToDepth", (), {"blocksize": 2}, shape=(2, 3, 6, 4)),
    Case("Identity"),
    Case("Dropout"),
    *(
        Case(f"Reduce{name}", (), {"axes": [2, 3], "keepdims": 0})
        for name in ("Mean", "Max", "Min")
    ),
    *(
        Case(f"Reduce{name}", (), {"axes": [1]})
        for name in ("L1", "L2", "Prod", "LogSumExp", "SumSquare")
    ),
    Case("ReduceMean", (whole(2, 3),), {"keepdims": 1}, opset=18),
    Case("ReduceSum", (whole(-1),), {"keepdims": 0}, opset=13),
    Case("ReduceLogSum", (), {"axes": [1]}, low=0.1),
    Case("ReduceMean"),
    Case("ArgMax", (), {"axis": 1, "keepdims": 0}),
    Case("ArgMin", (), {"axis": 1}),
    Case("TopK", (whole(2),), {"axis": 1}, outputs=2),
    Case("Resize", ("", np.array([1, 1, 2, 2], np.float32)), {"mode": "nearest"}),
    Case(
        "Resize",
        ("", np.array([1, 1, 2, 1.5], np.float32)),
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
    ),
    Case("Resize", ("", np.array([1, 1, 1.7, 0.6], np.float32)), {"mode": "nearest"}),
    Case("Resize", ("", "", whole(2, 4, 11, 3)), {"mode": "linear"}),
    Case(
        "Resize",
        ("", "", whole(2, 4, 11, 9)),
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    Case(
        "Resize",
        ("", np.array([1, 1, 2, 3], np.float32)),
        {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
    ),
    Case("Resize", ("", np.array([1, 1, 2, 2], np.float32)), {"mode": "cubic"}),
    Case("Resize", (np.array([1, 1, 2, 2], np.float32),), {"mode": "nearest"}, opset=10),
    Case("Upsample", (np.array([1, 1, 2, 3], np.float32),), {"mode": "nearest"}, opset=9),
    Case("Cast", (), {"to": onnx.TensorProto.INT32}),
    *(
        Case(name, (numbers(4, 1, 1),))
        for name in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual")
    ),
]


def model_of(case: Case) -> onnx.ModelProto:
    names = ["x", *("" if isinstance(c, str) else f"c{i}" for i, c in enumerate(case.constants))]
    given = {f"c{i}": np.asarray(c) for i, c in enumerate(case.constants) if not isinstance(c, str)}
    outputs = [f"y{i}" for i in range(case.outputs)]
    node = helper.make_node(
        case.operator, names, outputs, "node", domain=case.domain, **case.attributes
    )
    model = graph_model([node], given, case.shape, opset=case.opset, output="y0")
    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
    return model


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_computes_what_onnxruntime_does(case: Case, tmp_path: Path) -> None:
    model = model_of(case)
    graph, _ = rewritten(read_graph(saved(model, tmp_path / "x.onnx")))
    names = tuple(o.name for o in model.graph.output)
    network = converted(graph, outputs=names).network
    images = numbers(*case.shape, low=case.low)
    found = network(torch.from_numpy(images))
    with_names = reference(model, images, names[1:])
    for ours, theirs in zip(found if len(names) > 1 else (found,), with_names, strict=True):
        assert apart(ours.detach().numpy(), theirs) < 1e-5


SIZES = {
    "Shape",
    "Size",
    "ConstantOfShape",
    "Range",
    "Equal",
    "And",
    "Or",
    "Not",
    "Where",
    "CastLike",
}
QUANTISED = {"QuantizeLinear", "DequantizeLinear", "DequantizeInput"}


def test_the_table_is_covered() -> None:
    tested = {case.operator for case in CASES} | SIZES | QUANTISED
    newest = {"Swish"}  # of opset 24, which onnxruntime may not have yet
    assert {name for name in OPERATORS if "." not in name} - tested == newest


def test_sizes_are_computed_with(tmp_path: Path) -> None:
    """What exporters write for ``x.view(x.shape[0], -1, 2)`` and ``torch.where`` on sizes."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["first"]),
        helper.make_node("ConstantOfShape", ["one"], ["ones"], value=np_tensor(np.array([1]))),
        helper.make_node("Mul", ["ones", "minus"], ["rest"]),
        helper.make_node("Equal", ["rest", "minus"], ["same"]),
        helper.make_node("Not", ["same"], ["other"]),
        helper.make_node("Or", ["same", "other"], ["any"]),
        helper.make_node("And", ["any", "same"], ["all"]),
        helper.make_node("Where", ["all", "rest", "ones"], ["chosen"]),
        helper.make_node("Range", ["zero", "three", "unit"], ["counted"]),
        helper.make_node("ReduceProd", ["counted"], ["nothing"], keepdims=1),
        helper.make_node("Add", ["nothing", "two"], ["last"]),
        helper.make_node("Size", ["counted"], ["three_again"]),
        helper.make_node("Cast", ["three_again"], ["cast"], to=onnx.TensorProto.INT64),
        helper.make_node("CastLike", ["cast", "three"], ["like"]),
        helper.make_node("Sub", ["like", "three"], ["no"]),
        helper.make_node("Add", ["last", "no"], ["end"]),
        helper.make_node("Concat", ["first", "chosen", "end"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {
        "zero": np.array(0),
        "axes": whole(0),
        "one": whole(1),
        "minus": whole(-1),
        "two": whole(2),
        "three": np.array(3),
        "unit": np.array(1),
    }
    model = graph_model(nodes, constants)
    graph = read_graph(saved(model, tmp_path / "x.onnx"))
    network = converted(graph, outputs=("y",)).network
    for batch in (1, 3):
        images = numbers(batch, 3, 8, 8)
        assert network(torch.from_numpy(images)).shape == (batch, 96, 2)
        assert np.array_equal(network(torch.from_numpy(images)), reference(model, images)[0])
    # Only what depends on the image is left.
    assert [s.operator for s in network.steps] == [
        "Shape",
        "Gather",
        "Unsqueeze",
        "Concat",
        "Reshape",
    ]
    program = torch.export.export(
        network, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    assert program.module()(torch.zeros(5, 3, 8, 8)).shape == (5, 96, 2)


def np_tensor(value: npt.NDArray[Any]) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(value)
