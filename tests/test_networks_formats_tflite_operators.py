"""Each operator of TFLite, alone, against the TFLite interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tflite
import torch
from tflite_models import Graph, Reference

from seviz.networks.formats.tflite.check import check_shapes
from seviz.networks.formats.tflite.network import TFLiteNetwork
from seviz.networks.formats.tflite.rules import RULES
from seviz.networks.formats.tflite.schema import read_graph

Array = npt.NDArray[Any]
H, W, C = 7, 6, 4
RNG = np.random.default_rng(0)
SAME, VALID = tflite.Padding.SAME, tflite.Padding.VALID
STRIDES = {"StrideH": 2, "StrideW": 1}


class Case:
    """A graph of one operator on an image [1, 7, 6, 4]; its operators are put together by the methods."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.x = self.graph.image(1, H, W, C)

    def weights(self, *shape: int) -> int:
        return self.graph.constant(f"w{len(self.graph.tensors)}", RNG.normal(size=shape))

    def whole(self, *values: Any) -> int:
        return self.graph.constant(f"n{len(self.graph.tensors)}", list(values), "int32")

    def op(self, kind: str, inputs: Any, shape: Any, options: str = "", **values: Any) -> int:
        name = f"y{len(self.graph.tensors)}"
        return self.graph.op(kind, inputs, name, shape, options, **values)

    def done(self, *outputs: int) -> bytes:
        self.graph.outputs += outputs
        return self.graph.write()


def unary(kind: str, options: str = "", *, positive: bool = False, **values: Any) -> Any:
    def build(case: Case) -> bytes:
        x, shape = case.x, (1, H, W, C)
        if positive:
            x = case.op("EXP", (x,), shape)
        return case.done(case.op(kind, (x,), shape, options, **values))

    return build


def binary(kind: str, other: tuple[int, ...], options: str = "", *, first: bool = False) -> Any:
    def build(case: Case) -> bytes:
        values = np.abs(RNG.normal(size=other)) + 0.5
        constant = case.graph.constant("other", values)
        inputs = (constant, case.x) if first else (case.x, constant)
        return case.done(case.op(kind, inputs, (1, H, W, C), options))

    return build


def convolution(padding: int, dilation: int = 1, activation: str = "NONE", h: int = 3) -> Any:
    def build(case: Case) -> bytes:
        stride = {"StrideH": 1, "StrideW": 1} if dilation > 1 else STRIDES
        size = [
            -(-n // s) if padding == SAME else (n - (k - 1) * dilation - 1) // s + 1
            for n, k, s in ((H, h, stride["StrideH"]), (W, 2, stride["StrideW"]))
        ]
        fused = getattr(tflite.ActivationFunctionType, activation)
        values = {**stride, "Padding": padding, "FusedActivationFunction": fused}
        values |= {"DilationHFactor": dilation, "DilationWFactor": dilation}
        inputs = (case.x, case.weights(5, h, 2, C), case.weights(5))
        return case.done(case.op("CONV_2D", inputs, (1, *size, 5), "Conv2DOptions", **values))

    return build


def depthwise(case: Case) -> bytes:
    """Two outputs of each channel."""
    values = {"StrideH": 2, "StrideW": 2, "Padding": SAME, "DepthMultiplier": 2}
    inputs = (case.x, case.weights(1, 4, 3, 2 * C), case.weights(2 * C))
    shape = (1, 4, 3, 2 * C)
    options = "DepthwiseConv2DOptions"
    return case.done(case.op("DEPTHWISE_CONV_2D", inputs, shape, options, **values))


def transposed(padding: int) -> Any:
    def build(case: Case) -> bytes:
        size = (14, 12) if padding == SAME else (15, 13)
        target = case.whole(1, *size, 3)
        values = {"StrideH": 2, "StrideW": 2, "Padding": padding}
        inputs = (target, case.weights(3, 3, 3, C), case.x)
        made = case.op("TRANSPOSE_CONV", inputs, (1, *size, 3), "TransposeConvOptions", **values)
        return case.done(made)

    return build


def pool(kind: str, padding: int, h: int = 3, w: int = 2) -> Any:
    def build(case: Case) -> bytes:
        size = [-(-n // 2) if padding == SAME else (n - k) // 2 + 1 for n, k in ((H, h), (W, w))]
        values = {"StrideH": 2, "StrideW": 2, "Padding": padding}
        values |= {"FilterHeight": h, "FilterWidth": w}
        return case.done(case.op(kind, (case.x,), (1, *size, C), "Pool2DOptions", **values))

    return build


def reduction(kind: str, axes: tuple[int, ...], *, keep: bool) -> Any:
    def build(case: Case) -> bytes:
        full = (1, H, W, C)
        gone = {a % 4 for a in axes}
        shape = [1 if d in gone else n for d, n in enumerate(full) if keep or d not in gone]
        inputs = (case.x, case.whole(*axes))
        return case.done(case.op(kind, inputs, shape, "ReducerOptions", KeepDims=keep))

    return build


def reshaped(*shape: int) -> Any:
    def build(case: Case) -> bytes:
        made = case.op("RESHAPE", (case.x, case.whole(*shape)), shape, "ReshapeOptions")
        return case.done(made)

    return build


def after_reshape(kind: str, options: str, before: Any, after: Any, **values: Any) -> Any:
    """Return a case of an operator that changes the rank, on a tensor of another rank."""

    def build(case: Case) -> bytes:
        target = case.whole(*before)
        x = case.op("RESHAPE", (case.x, target), before, "ReshapeOptions")
        inputs = (x, case.whole(2)) if kind == "EXPAND_DIMS" else (x,)
        return case.done(case.op(kind, inputs, after, options, **values))

    return build


def moved(kind: str, shape: Any, options: str, *numbers: Any, **values: Any) -> Any:
    def build(case: Case) -> bytes:
        inputs = (case.x, *(case.whole(*n) for n in numbers))
        return case.done(case.op(kind, inputs, shape, options, **values))

    return build


def paddings(kind: str, options: str, **values: Any) -> Any:
    def build(case: Case) -> bytes:
        amounts = case.graph.constant("pads", [[0, 0], [1, 2], [0, 1], [0, 0]], "int32")
        inputs = [case.x, amounts]
        if kind == "PADV2":
            inputs.append(case.graph.constant("value", np.float32(-1.5)))
        made = case.op(kind, inputs, (1, H + 3, W + 1, C), options, **values)
        return case.done(made)

    return build


def joined(axis: int) -> Any:
    def build(case: Case) -> bytes:
        shape = [1, H, W, C]
        other = case.weights(*shape)
        shape[axis] *= 2
        made = case.op("CONCATENATION", (case.x, other), shape, "ConcatenationOptions", Axis=axis)
        return case.done(made)

    return build


def connected(*, keep: bool) -> Any:
    def build(case: Case) -> bytes:
        inputs = (case.x, case.weights(5, C), case.weights(5))
        shape = (1, H, W, 5) if keep else (H * W, 5)
        values = {"KeepNumDims": keep}
        return case.done(
            case.op("FULLY_CONNECTED", inputs, shape, "FullyConnectedOptions", **values)
        )

    return build


def resized(kind: str, size: tuple[int, int], **values: bool) -> Any:
    options = {"RESIZE_BILINEAR": "ResizeBilinearOptions"}.get(kind, "ResizeNearestNeighborOptions")
    return moved(kind, (1, *size, C), options, size, **values)


def product(case: Case) -> bytes:
    other = case.weights(1, H, C, 3)
    options = "BatchMatMulOptions"
    return case.done(case.op("BATCH_MATMUL", (case.x, other), (1, H, W, 3), options))


def split(case: Case) -> bytes:
    place = case.graph.add(case.graph.tensors[case.x].__class__("second", (1, H, W, 2)))
    first = case.op("SPLIT", (case.whole(3), case.x), (1, H, W, 2), "SplitOptions", NumSplits=2)
    case.graph.ops[-1].outputs = (first, place)
    return case.done(case.op("SUB", (place, first), (1, H, W, 2), "SubOptions"))


def stacked(case: Case) -> bytes:
    """Taken apart and put together the other way round."""
    parts = [
        case.graph.add(case.graph.tensors[case.x].__class__(f"p{n}", (1, H, W)))
        for n in (0, 1, 2, 3)
    ]
    case.op("UNPACK", (case.x,), (1, H, W), "UnpackOptions", Num=4, Axis=3)
    case.graph.ops[-1].outputs = tuple(parts)
    made = case.op("PACK", parts[::-1], (1, 4, H, W), "PackOptions", ValuesCount=4, Axis=1)
    return case.done(made)


def leaky(case: Case) -> bytes:
    slopes = case.weights(1, 1, C)
    return case.done(case.op("PRELU", (case.x, slopes), (1, H, W, C)))


CASES: dict[str, Callable[[Case], bytes]] = {
    **{
        kind: unary(kind)
        for kind in (
            *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOGISTIC", "NEG", "RELU", "RELU6"),
            *("ROUND", "SIN", "SQUARE", "TANH", "RELU_N1_TO_1", "RELU_0_TO_1"),
        )
    },
    **{kind: unary(kind, positive=True) for kind in ("LOG", "RSQRT", "SQRT")},
    "LEAKY_RELU": unary("LEAKY_RELU", "LeakyReluOptions", Alpha=0.2),
    "GELU": unary("GELU", "GeluOptions", Approximate=False),
    "GELU by tanh": unary("GELU", "GeluOptions", Approximate=True),
    "PRELU": leaky,
    "SOFTMAX": unary("SOFTMAX", "SoftmaxOptions", Beta=1.0),
    "SOFTMAX of others": unary("SOFTMAX", "SoftmaxOptions", Beta=0.5),
    "LOG_SOFTMAX": unary("LOG_SOFTMAX", "LogSoftmaxOptions"),
    "L2_NORMALIZATION": unary("L2_NORMALIZATION", "L2NormOptions"),
    "ADD": binary("ADD", (1, H, W, C), "AddOptions"),
    "ADD of channels": binary("ADD", (C,), "AddOptions"),
    "ADD of a number": binary("ADD", (), "AddOptions"),
    "MUL of rows": binary("MUL", (W, 1), "MulOptions"),
    "MUL of channels": binary("MUL", (1, 1, 1, C), "MulOptions", first=True),
    "SUB": binary("SUB", (), "SubOptions", first=True),
    "DIV": binary("DIV", (C,), "DivOptions"),
    "MAXIMUM": binary("MAXIMUM", (), "MaximumMinimumOptions"),
    "MINIMUM": binary("MINIMUM", (C,), "MaximumMinimumOptions"),
    "SQUARED_DIFFERENCE": binary("SQUARED_DIFFERENCE", (C,), "SquaredDifferenceOptions"),
    "POW": binary("POW", (), "PowOptions", first=True),
    "ADD_N": lambda c: c.done(c.op("ADD_N", (c.x, c.x, c.x), (1, H, W, C), "AddNOptions")),
    "CONV_2D": convolution(SAME),
    "CONV_2D of an even side": convolution(SAME, h=4),
    "CONV_2D without padding": convolution(VALID, activation="RELU6"),
    "CONV_2D with holes": convolution(SAME, dilation=2),
    "DEPTHWISE_CONV_2D": depthwise,
    "TRANSPOSE_CONV": transposed(SAME),
    "TRANSPOSE_CONV without padding": transposed(VALID),
    "FULLY_CONNECTED": connected(keep=False),
    "FULLY_CONNECTED of pixels": connected(keep=True),
    "BATCH_MATMUL": product,
    "AVERAGE_POOL_2D": pool("AVERAGE_POOL_2D", SAME),
    "AVERAGE_POOL_2D without padding": pool("AVERAGE_POOL_2D", VALID),
    "AVERAGE_POOL_2D of all": pool("AVERAGE_POOL_2D", VALID, H, W),
    "MAX_POOL_2D": pool("MAX_POOL_2D", SAME),
    "MEAN": reduction("MEAN", (1, 2), keep=True),
    "MEAN of channels": reduction("MEAN", (-1,), keep=True),
    "MEAN of rows": reduction("MEAN", (1,), keep=False),
    "SUM": reduction("SUM", (1, 2), keep=False),
    "REDUCE_MAX": reduction("REDUCE_MAX", (3,), keep=False),
    "REDUCE_MIN": reduction("REDUCE_MIN", (1, 2), keep=True),
    "RESHAPE": reshaped(1, H * W, C),
    "RESHAPE of pixels": reshaped(1, W, H, C),
    "RESHAPE to a row": reshaped(1, H * W * C),
    "EXPAND_DIMS": after_reshape("EXPAND_DIMS", "ExpandDimsOptions", (1, H, W * C), (1, H, 1, W * C)),
    "SQUEEZE": after_reshape("SQUEEZE", "SqueezeOptions", (1, H, 1, W * C), (1, H, W * C), SqueezeDims=(2,)),
    "TRANSPOSE": moved("TRANSPOSE", (1, C, H, W), "TransposeOptions", (0, 3, 1, 2)),
    "CONCATENATION": joined(3),
    "CONCATENATION of rows": joined(1),
    "SPLIT": split,
    "PACK and UNPACK": stacked,
    "SLICE": moved("SLICE", (1, 3, W, 2), "SliceOptions", (0, 2, 0, 1), (1, 3, -1, 2)),
    "STRIDED_SLICE": moved(
        "STRIDED_SLICE", (1, 3, W, 2), "StridedSliceOptions", (0, 1, 0, 0), (1, 7, 0, 3), (1, 2, 1, 2),
        EndMask=4,
    ),
    "STRIDED_SLICE of a row": moved(
        "STRIDED_SLICE", (1, W, C), "StridedSliceOptions", (0, 2, 0, 0), (1, 3, W, C), (1, 1, 1, 1),
        ShrinkAxisMask=2,
    ),
    "STRIDED_SLICE backwards": moved(
        "STRIDED_SLICE", (1, H, W, C), "StridedSliceOptions", (0, 0, 0, -1), (1, H, W, -5), (1, 1, 1, -1)
    ),
    "GATHER": moved("GATHER", (1, H, W, 3), "GatherOptions", (3, 0, 3), Axis=3),
    "PAD": paddings("PAD", "PadOptions"),
    "PADV2": paddings("PADV2", "PadV2Options"),
    "MIRROR_PAD": paddings("MIRROR_PAD", "MirrorPadOptions", Mode=tflite.MirrorPadMode.REFLECT),
    "TILE": moved("TILE", (1, H, 2 * W, 3 * C), "TileOptions", (1, 1, 2, 3)),
    "DEPTH_TO_SPACE": moved("DEPTH_TO_SPACE", (1, 2 * H, 2 * W, 1), "DepthToSpaceOptions", BlockSize=2),
    "RESIZE_BILINEAR": resized("RESIZE_BILINEAR", (11, 4)),
    "RESIZE_BILINEAR of corners": resized("RESIZE_BILINEAR", (11, 4), AlignCorners=True),
    "RESIZE_BILINEAR of centres": resized("RESIZE_BILINEAR", (11, 4), HalfPixelCenters=True),
    "RESIZE_NEAREST_NEIGHBOR": resized("RESIZE_NEAREST_NEIGHBOR", (14, 9)),
    "RESIZE_NEAREST_NEIGHBOR of centres": resized(
        "RESIZE_NEAREST_NEIGHBOR", (14, 9), HalfPixelCenters=True
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_the_interpreter_does(name: str) -> None:
    content = CASES[name](Case())
    graph = read_graph(content, name)
    network = TFLiteNetwork(graph, name)
    check_shapes(network, graph, name)
    reference = Reference(content)
    image = np.random.default_rng(1).normal(size=(H, W, C), scale=2).astype(np.float32)
    reference.run(image)
    with torch.no_grad():
        batch = torch.from_numpy(image).permute(2, 0, 1)[None]
        made = network(batch)
        twice = network(torch.cat([batch, -batch]))
    wanted = reference.answer()
    # Maps are [N, C, H, W] here.
    ours = made.permute(0, 2, 3, 1) if made.dim() == 4 else made
    np.testing.assert_allclose(ours.numpy().reshape(wanted.shape), wanted, rtol=1e-5, atol=2e-6)
    # A second image beside it changes nothing.
    np.testing.assert_allclose(twice[: len(made)].numpy(), made.numpy(), rtol=1e-5, atol=1e-6)


def test_every_operator_is_tried() -> None:
    tried = {op for name in CASES for op in name.replace(" and ", " ").split()}
    # What stands for another (parts of unequal size, the halves of a dilated convolution, types).
    others = {"CAST", "DEQUANTIZE", "QUANTIZE", "BROADCAST_TO", "SPLIT_V", "SPACE_TO_DEPTH"}
    assert set(RULES) - tried == {*others, "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}
