"""Changed networks written back as ONNX: the graph of the file, with the same steps taken out.

Everything that was not changed stays as the exporter wrote it: names, types, metadata, operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seviz.errors import CheckpointError, printable
from seviz.networks.formats.graph_network import Edit, GraphNetwork
from seviz.networks.formats.onnx.graph import whole_model
from seviz.networks.formats.onnx.proto import TensorReader
from seviz.networks.formats.onnx.quantised import BEFORE_ROUNDING
from seviz.results.files import written_whole
from seviz.results.stats import Array

# What a protocol buffer holds; weights beyond it would have to lie beside the file.
_MOST_BYTES = (1 << 31) - (1 << 20)
# Inputs of an operator on whole numbers for each map: numbers, scale, zero point.
_EACH = 3


def write(source: Path, before: GraphNetwork, after: GraphNetwork, target: Path) -> Path:
    """Write a changed network.

    Args:
        source: The file that it was read from.
        before: The network as that file holds it.
        after: The network now.
        target: File to write; appears whole or not at all.

    Raises:
        CheckpointError: If a change has no place in the file, or the result is none that ONNX accepts.
    """
    writing = _Writing(source)
    for output, position, value in _changed(before, after):
        writing.give(output, position, value)
    for edit in after.edits:
        writing.edit(edit)
    writing.tidy()
    model = writing.model
    if model.ByteSize() > _MOST_BYTES:
        raise CheckpointError(
            f"expected an ONNX model of less than 2 GiB, found {model.ByteSize():,} bytes; write a .pt2"
        )
    reason = _refused(model)
    if reason is not None and _refused(whole_model(source)) is None:
        raise CheckpointError(
            f"expected {source.name} to be a valid ONNX model without these blocks, found {reason}; write a "
            ".pt2"
        )
    with written_whole(target, durable=True) as temporary, temporary.open("wb") as file:
        file.write(model.SerializeToString())
    return target


def embedded(source: Path) -> Any:
    """Return the ModelProto of a file, with the weights that lie beside it in it."""
    return _Writing(source).model


def _refused(model: Any) -> str | None:
    """Return what ONNX's own checker says against a model."""
    import onnx

    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as exc:
        return " ".join(str(exc).split())[:160]
    return None


def _changed(before: GraphNetwork, after: GraphNetwork) -> Iterator[tuple[str, int, Array]]:
    """Yield the weights that differ: output of the step that takes them, which input, and numbers."""
    old, new = before.state_dict(), after.state_dict()
    places = before.held_values()
    for key, name in after.held_values().items():
        if key in places and not torch.equal(old[places[key]], new[name].cpu()):
            output, _, position = key.rpartition(":")
            yield output, int(position), new[name].cpu().numpy()


class _Writing:
    """Changes a model in memory."""

    def __init__(self, source: Path) -> None:
        import onnx

        self._onnx, self._name = onnx, source.name
        self.model = whole_model(source)
        self._graph = self.model.graph
        tensors = TensorReader(source)
        for tensor in self._graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                array = tensors.array(tensor)
                tensor.CopyFrom(self._tensor(array, tensor.data_type, tensor.name))
        self._types = {t.name: t.data_type for t in self._graph.initializer}

    def give(self, output: str, position: int, value: Array) -> None:
        """Give a node other numbers for one of its inputs."""
        node = self._maker(output.removesuffix(BEFORE_ROUNDING))
        if node.op_type == "QLinearMul":
            self._give_whole(node, position, value)
            return
        taken = node.input[position]
        name = self._free(f"{taken}_folded")
        kind = self._types.get(taken, self._onnx.TensorProto.FLOAT)
        if kind not in (
            self._onnx.TensorProto.FLOAT16,
            self._onnx.TensorProto.BFLOAT16,
            self._onnx.TensorProto.DOUBLE,
        ):
            kind = self._onnx.TensorProto.FLOAT
        self._graph.initializer.append(self._tensor(value, kind, name))
        node.input[position] = name

    def _give_whole(self, node: Any, position: int, value: Array) -> None:
        """Give a multiplication of whole numbers others, with a scale by which the largest is kept.

        Its inputs are twice numbers, scale and zero point, so that the constant has a scale of its own: it
        is rounded to a step of 255, or 127 where the whole numbers have signs.
        """
        first = _EACH * position
        zero = self._types.get(node.input[first + 2], self._onnx.TensorProto.UINT8)
        most = np.iinfo(self._onnx.helper.tensor_dtype_to_np_dtype(zero)).max
        lowest = value.min(initial=0.0)
        scale = np.float32(max(float(np.abs(value).max(initial=0.0)), 1e-6) / most)
        if zero == self._onnx.TensorProto.UINT8 and lowest < 0:
            raise CheckpointError(
                f"expected gates of at least 0 for {printable(node.name)} of {self._name}, whose numbers "
                f"have no sign, found {lowest:g}; write a .pt2"
            )
        float32 = self._onnx.TensorProto.FLOAT
        numbers = (np.rint(value / scale), zero), (np.array(scale), float32), (np.zeros(()), zero)
        for place, (array, kind) in enumerate(numbers, first):
            name = self._free(f"{node.input[place]}_folded")
            self._graph.initializer.append(self._tensor(array, kind, name))
            node.input[place] = name

    def edit(self, edit: Edit) -> None:
        """Take a node out, or give it a constant."""
        if edit.value is not None:
            self.give(edit.output, edit.position, edit.value.cpu().numpy())
            return
        node = self._maker(edit.output)
        for other in self._graph.node:
            for i, name in enumerate(other.input):
                if name == edit.output:
                    other.input[i] = edit.kept
        if edit.output in {v.name for v in self._graph.output}:
            node.CopyFrom(
                self._onnx.helper.make_node("Identity", [edit.kept], [edit.output], node.name)
            )

    def tidy(self) -> None:
        """Remove what nothing needs any more, and say what was done."""
        graph = self._graph
        wanted = {v.name for v in graph.output}
        kept = []
        for node in reversed(graph.node):
            if wanted.intersection(node.output):
                wanted.update(_taken(node))
                kept.append(node)
        kept.reverse()
        _replaced(graph.node, kept)
        _replaced(graph.initializer, [t for t in graph.initializer if t.name in wanted])
        numbers = {t.name for t in graph.initializer}
        made = {name for node in graph.node for name in node.output}
        free = {v.name for v in graph.input if v.name not in self._types}
        _replaced(graph.input, [v for v in graph.input if v.name in numbers | free])
        _replaced(graph.value_info, [v for v in graph.value_info if v.name in made])
        _replaced(
            graph.quantization_annotation,
            [a for a in graph.quantization_annotation if a.tensor_name in made | numbers],
        )

    def _maker(self, output: str) -> Any:
        for node in self._graph.node:
            if output in node.output:
                return node
        raise CheckpointError(
            f"expected {printable(output)} as a value of {self._name}, found it in none of its operators "
            "(it is in a branch or a loop, or they compute with whole numbers); write a .pt2"
        )

    def _tensor(self, value: Array, kind: int, name: str) -> Any:
        dtype = self._onnx.helper.tensor_dtype_to_np_dtype(kind)
        return self._onnx.numpy_helper.from_array(np.asarray(value).astype(dtype), name)

    def _free(self, name: str) -> str:
        taken = {t.name for t in self._graph.initializer}
        taken |= {output for node in self._graph.node for output in node.output}
        while name in taken:
            name += "_"
        return name


def _taken(node: Any) -> Iterator[str]:
    """Yield the names of the values that a node takes, in its branches too."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for inner in graph.node:
                yield from _taken(inner)
            yield from (v.name for v in graph.output)


def _replaced(field: Any, values: list[Any]) -> None:
    """Put other values into a repeated field of a protocol buffer."""
    copies = []
    for value in values:
        copy = type(value)()
        copy.CopyFrom(value)
        copies.append(copy)
    del field[:]
    field.extend(copies)
