"""From the graph of an ONNX model to the steps of a network: constants computed, weights named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seviz.errors import CheckpointError, printable
from seviz.networks.formats.graph_network import GraphNetwork, Step
from seviz.networks.formats.onnx.graph import Node, OnnxGraph
from seviz.networks.formats.onnx.names import module_path
from seviz.networks.formats.onnx.operators import FUNCTIONS, OPERATORS, Operator
from seviz.results.stats import Array

# A constant that is computed holds no more numbers than this, or a few times those it is made of; all of
# them together no more than so many.
_SMALL, _TIMES, _ALL = 1 << 22, 4, 1 << 26
# Numbers of floating point that sizes are computed with.
_FACTORS = 64


@dataclass(frozen=True, eq=False)
class Converted:
    """A network made from a graph.

    Attributes:
        network: It runs; its steps are the nodes that were not computed when the file was read.
        nodes: For a step's path, the node that it is.
    """

    network: GraphNetwork
    nodes: Mapping[str, Node]


def converted(
    graph: OnnxGraph, *, before: tuple[Node, ...] = (), outputs: tuple[str, ...]
) -> Converted:
    """Make a network of a graph.

    Args:
        graph: The graph, without operators on whole numbers.
        before: Nodes that are put in front.
        outputs: Which of its outputs the network returns.

    Raises:
        CheckpointError: If it has operators or forms of them that are not known.
    """
    graph = replace(graph, nodes=_used((*before, *graph.nodes), outputs))
    constants = _Constants(graph)
    nodes = [node for node in graph.nodes if not constants.take(node)]
    nodes = [replace(n, inputs=tuple(map(constants.name, n.inputs))) for n in nodes]
    inputs = [value.name for value in graph.inputs]
    lowering = _Lowering(graph, constants.numbers)
    steps = [lowering.step(node, number) for number, node in enumerate(nodes)]
    fixed = [name for name in outputs if constants.name(name) in constants.numbers]
    if fixed:
        raise CheckpointError(
            f"expected an output that depends on the image in {graph.name}, found {printable(fixed[0])}, "
            "which is constant; export the network for inference"
        )
    network = GraphNetwork(
        steps,
        inputs,
        [constants.name(name) for name in outputs],
        lowering.parameters,
        lowering.buffers,
        FUNCTIONS,
        paths=dict.fromkeys((*lowering.parameters, *lowering.buffers), ""),
        name=graph.name,
    )
    network.standing = frozenset(constants.standing)
    placed = {step.name: node for step, node in zip(network.steps, nodes, strict=True)}
    return Converted(network, placed)


def constant_of(graph: OnnxGraph, name: str) -> Array | None:
    """Return a value of a graph that is made of constants alone, or nothing."""
    constants = _Constants(graph)
    for node in _used(graph.nodes, (name,)):
        constants.take(node)
    return constants.numbers.get(constants.name(name))


def _used(nodes: tuple[Node, ...], outputs: tuple[str, ...]) -> tuple[Node, ...]:
    """Return the nodes that the outputs depend on, without outputs at their ends that nothing takes."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        used = [i for i, name in enumerate(node.outputs) if name in wanted]
        if used:
            wanted.update(filter(None, node.inputs))
            kept.append(replace(node, outputs=node.outputs[: used[-1] + 1]))
    return tuple(reversed(kept))


class _Constants:
    """Computes what depends on constants alone, within limits."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.numbers: dict[str, Array] = dict(graph.numbers)
        self._same: dict[str, str] = {}
        self._graph = graph
        self._left = _ALL
        self.standing: set[str] = set(graph.standing)

    def name(self, value: str) -> str:
        """Return the name under which a value is kept: a constant passed on is one constant."""
        return self._same.get(value, value)

    def take(self, node: Node) -> bool:
        """Compute a node, if all it takes is constant; return whether that was done."""
        inputs = [self.name(n) for n in node.inputs]
        operator = OPERATORS.get(node.operator)
        if operator is None or not all(not n or n in self.numbers for n in inputs):
            return False
        if node.operator == "DequantizeLinear" or not self.standing.isdisjoint(inputs):
            self.standing.update(node.outputs)
        if node.operator in ("Identity", "Dropout") and inputs:
            array = self.numbers[inputs[0]]
            if array.ndim == 1 and array.dtype.kind == "f" and self._left >= array.size:
                # Exporters write equal vectors once (biases that are all zero), not because they are shared.
                self._left -= array.size
                self.numbers[node.outputs[0]] = array.copy()
            else:
                self._same[node.outputs[0]] = inputs[0]
            return True
        given = [self.numbers[n] if n else None for n in inputs]
        try:
            result = self._computed(operator, node, given)
        except (
            Exception
        ):  # what cannot be computed here is told with its node when the network runs
            return False
        if result is None:
            return False
        self.numbers.update(zip(node.outputs, result, strict=False))
        return True

    def _computed(
        self, operator: Operator, node: Node, given: list[Array | None]
    ) -> list[Array] | None:
        attributes = attributes_of(node, operator, self._graph.opset)
        if operator.on_sizes and all(g is None or _are_sizes(g, node) for g in given):
            return self._within(operator.function(*given, **attributes), given)
        size = sum(g.size for g in given if g is not None)
        limit = max(_SMALL, _TIMES * size)

        def tensors(meta: bool) -> list[Any]:
            made: list[Any] = []
            for i, g in enumerate(given):
                is_tensor = g is not None and g.dtype.kind == "f" and i not in operator.sizes
                t = torch.from_numpy(g) if is_tensor else g
                made.append(t.to("meta") if meta and isinstance(t, Tensor) else t)
            return made

        tried = operator.function(*tensors(True), **attributes)
        shapes = [t.shape for t in (tried if isinstance(tried, tuple) else (tried,))]
        if sum(math.prod(s) for s in shapes) > limit:
            return None
        with torch.no_grad():
            return self._within(operator.function(*tensors(False), **attributes), given)

    def _within(self, result: Any, given: list[Array | None]) -> list[Array] | None:
        parts = result if isinstance(result, tuple) else (result,)
        arrays = [p.numpy() if isinstance(p, Tensor) else np.asarray(p) for p in parts]
        self._left -= sum(a.size for a in arrays) - sum(g.size for g in given if g is not None)
        return arrays if self._left >= 0 else None


def _are_sizes(given: Array, node: Node) -> bool:
    if "Quantize" in node.operator or "Dequantize" in node.operator:
        return True
    return given.dtype.kind in "iub" or given.size <= _FACTORS


def attributes_of(node: Node, operator: Operator, opset: int) -> dict[str, Any]:
    """Return what a function takes beside its inputs.

    Raises:
        CheckpointError: If the node has an attribute that changes what it computes in a way not known.
    """
    attributes = dict(node.attributes)
    if node.operator == "Resize":
        for unused in ("extrapolation_value", "exclude_outside"):
            attributes.pop(unused, None)
    if operator.versioned:
        attributes["opset"] = opset
    if node.operator == "Split":
        attributes["outputs"] = max(int(attributes.pop("num_outputs", 0)), len(node.outputs))
    known = operator.attributes
    return {k: v for k, v in attributes.items() if known is None or k in known}


class _Lowering:
    """Makes steps of nodes: sizes become part of the operator, weights its parameters."""

    def __init__(self, graph: OnnxGraph, numbers: Mapping[str, Array]) -> None:
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        self._graph, self._numbers = graph, numbers

    def step(self, node: Node, number: int) -> Step:
        operator = OPERATORS.get(node.operator)
        if operator is None:
            return Step(node.operator, node.operator, node.inputs, node.outputs, node=node.shown)
        if len(node.outputs) > 1 and not operator.many:
            raise CheckpointError(
                f"expected one output of node {node.shown} in {self._graph.name}, found {len(node.outputs)} "
                f"of a {node.operator}; export the network for inference"
            )
        inputs = list(node.inputs)
        constants, weights = [], []
        for i, name in enumerate(inputs):
            array = self._numbers.get(name)
            if array is None:
                continue
            value = _constant(array, i, operator)
            if value is None:
                self._weight(name, array, i in operator.counted)
                weights.append(name)
            else:
                constants.append((i, value))
                inputs[i] = ""
        attributes = attributes_of(node, operator, self._graph.opset)
        if constants:
            attributes["constants"] = tuple(constants)
        return Step(
            module_path(node, number, weights),
            node.operator,
            tuple(inputs),
            node.outputs,
            attributes,
            operator.roles or ("", "scale"),
            node.shown,
        )

    def _weight(self, name: str, array: Array, counted: bool) -> None:
        if name in self.parameters or name in self.buffers:
            return
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if counted or not tensor.is_floating_point():
            self.buffers[name] = tensor
        else:
            self.parameters[name] = tensor


def _constant(array: Array, position: int, operator: Operator) -> Any:
    """Return a constant as part of an operator; ``None`` where it is a weight."""
    if position in operator.sizes:
        return array
    if array.dtype.kind != "f":
        return array if operator.on_sizes else None
    if array.size == 1 and position not in operator.kept and array.ndim <= 1:
        return float(array.reshape(-1)[0])
    return None
