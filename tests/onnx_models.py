"""ONNX models for tests: small networks exported by PyTorch, graphs by hand, and what onnxruntime gives."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

Floats = npt.NDArray[np.float32]
FLOAT = TensorProto.FLOAT


class Block(nn.Module):
    """SE as timm writes it, with a name for each part."""

    def __init__(self, channels: int, hidden: int, gate: nn.Module) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean((2, 3), keepdim=True)
        return torch.as_tensor(x * self.gate(self.fc2(torch.relu(self.fc1(squeezed)))))


class Unit(nn.Module):
    """Convolution, norm, SE and a shortcut."""

    def __init__(self, channels: int, hidden: int, stride: int, gate: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.se = Block(channels, hidden, gate)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.se(self.bn(self.conv(x)))
        return torch.relu(y + x if self.stride == 1 else y)


class Small(nn.Module):
    """Two stages, three blocks, four classes, numbers that training could have left everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 1, 1)
        self.layer1 = nn.Sequential(
            Unit(8, 2, 1, nn.Sigmoid()),
            Unit(8, 3, 2, nn.Hardsigmoid()),
            Unit(8, 4, 1, nn.Sigmoid()),
        )
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        features = self.layer1(torch.relu(self.stem(x)))
        return torch.as_tensor(self.head(features.mean((2, 3))))


def trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and buffer numbers of its own, as training does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.dim() < 2:
                around = 1.0 if name.endswith(("bn.weight", "norm.weight")) else 0.0
                tensor.normal_(around, 0.1, generator=generator)
            else:
                share = 1.4 / max(tensor[0].numel(), 1) ** 0.5
                tensor.normal_(0.0, share, generator=generator)
    return model.eval()


def exported(
    model: nn.Module,
    path: Path,
    size: Sequence[int],
    *,
    new: bool,
    free: bool = True,
    opset: int = 17,
) -> Path:
    """Export a network with PyTorch's older exporter, or its newer one."""
    images = torch.zeros(2, *size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if new:
            shapes = ({0: torch.export.Dim("batch")},) if free else None
            torch.onnx.export(
                model,
                (images if free else images[:1],),
                str(path),
                dynamo=True,
                external_data=False,
                dynamic_shapes=shapes,
                verbose=False,
            )
        else:
            torch.onnx.export(
                model,
                (images if free else images[:1],),
                str(path),
                dynamo=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_axes={"images": {0: "N"}} if free else None,
                opset_version=opset,
            )
    return path


def reference(
    model: Path | onnx.ModelProto, images: Floats, names: Sequence[str] = ()
) -> list[npt.NDArray[Any]]:
    """Return what onnxruntime computes: the first output, and values by name."""
    import onnxruntime

    proto = (
        onnx.load(model)
        if isinstance(model, Path)
        else onnx.ModelProto.FromString(model.SerializeToString())
    )
    first = proto.graph.output[0].name
    for name in names:
        if name not in {o.name for o in proto.graph.output}:
            proto.graph.output.append(helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    wanted = list(dict.fromkeys((first, *names)))
    found = dict(
        zip(wanted, session.run(wanted, {session.get_inputs()[0].name: images}), strict=True)
    )
    return [found[name] for name in (first, *names)]


def apart(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> float:
    """Return the largest difference as a share of the largest number."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours.astype(np.float64) - theirs).max() / (np.abs(theirs).max() or 1.0))


def graph_model(
    nodes: Sequence[onnx.NodeProto],
    numbers: Mapping[str, npt.NDArray[Any]],
    shape: Sequence[int | str] = ("N", 3, 8, 8),
    *,
    opset: int = 17,
    output: str = "y",
    type_: int = FLOAT,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """Return a model of a graph written by hand, from ``x`` to ``y``."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", type_, list(shape))],
        [helper.make_tensor_value_info(output, FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in numbers.items()],
    )
    domains = sorted({n.domain for n in nodes} - {""})
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    return model


def saved(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model as it is."""
    path.write_bytes(model.SerializeToString())
    return path
