"""Whether a network makes tensors of the shapes that its file says."""

from __future__ import annotations

import torch

from seviz.errors import CheckpointError, printable
from seviz.gates.graph import Graph, meta_copy, record
from seviz.networks.formats.tflite.layout import held_order
from seviz.networks.formats.tflite.network import TFLiteNetwork, image_size
from seviz.networks.formats.tflite.schema import GraphEntry
from seviz.networks.formats.tflite.use import value_name


def check_shapes(network: TFLiteNetwork, graph: GraphEntry, name: str) -> None:
    """Run a network without numbers, so without memory, and compare every shape with the file's.

    What a damaged file asks for (a padding of millions, a map that broadcasts into a wall) shows here.

    Raises:
        CheckpointError: If the operators do not fit each other, or not the shapes.
    """
    images = graph.tensors[graph.inputs[0]].shape[0]
    try:
        shadow = meta_copy(network).eval()
        traced = record(shadow, torch.empty(images, *image_size(graph), device="meta"))
    except Exception as exc:
        reason = " ".join(str(exc).split())[:160] or type(exc).__name__
        raise CheckpointError(
            f"expected operators that fit each other in the TFLite file {name}, found {printable(reason)}; "
            "is the file complete?"
        ) from exc
    _compare(network, traced, graph, name)


def _compare(network: TFLiteNetwork, traced: Graph, graph: GraphEntry, name: str) -> None:
    said = {value_name(n): tensor for n, tensor in enumerate(graph.tensors)}
    made = {step.name: step.outputs for step in network.steps}
    values = {value for op in traced.ops for value in op.outputs}
    for value in values:
        for found in value.exits:
            outputs = made.get(found.call.path, ())
            tensor = said.get(outputs[found.position]) if found.position < len(outputs) else None
            if tensor is not None and held_order(tensor.shape) != value.shape:
                raise CheckpointError(
                    f"expected {printable(tensor.name)} of shape {list(tensor.shape)} in the TFLite file "
                    f"{name}, found that its operator makes {list(value.shape)}; is the file complete?"
                )
