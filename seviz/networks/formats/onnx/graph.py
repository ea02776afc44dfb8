"""The graph of an ONNX model as plain Python: nodes with attributes, and the numbers that they take.

Functions of the model's own are put in place of the nodes that call them; branches and bodies of loops are
read with them, for `seviz.networks.formats.onnx.branches` to put in place of their nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seviz.errors import CheckpointError, printable
from seviz.networks.formats.onnx.proto import (
    MOST_NODES,
    OWN_DOMAINS,
    TensorReader,
    damaged,
    read_model,
)
from seviz.results.stats import Array

# Before this, operators were told by attributes which numbers to broadcast.
_FIRST_OPSET = 7


@dataclass(frozen=True, eq=False)
class Node:
    """One operator of the file.

    Attributes:
        operator: Its name; with its domain in front where that is not ONNX's own.
        inputs: Names of values; empty for one that is left out.
        outputs: Names of values.
        attributes: By name; graphs and tensors as they are in the file.
        name: What the file calls it; may be empty.
        scopes: The path of the module that it was in, where the exporter says it.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    scopes: str = ""

    @property
    def shown(self) -> str:
        """Return its name for messages."""
        return printable(self.name or next(filter(None, self.outputs), "without a name"))


@dataclass(frozen=True, eq=False)
class Body:
    """A branch of a condition, or what a loop repeats; its values have names that no other has.

    Attributes:
        nodes: Its operators, in the order in which they run; they may take values from around it.
        inputs: Names of what it is called with.
        outputs: Names of what it returns.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def renamed(self, name: Callable[[str], str]) -> Body:
        """Return it with other names of values."""
        nodes = tuple(renamed(node, name) for node in self.nodes)
        return Body(nodes, tuple(map(name, self.inputs)), tuple(map(name, self.outputs)))


def renamed(node: Node, name: Callable[[str], str]) -> Node:
    """Return a node that takes and makes values of other names."""
    return replace(
        node,
        inputs=tuple(map(name, node.inputs)),
        outputs=tuple(map(name, node.outputs)),
        attributes={
            k: v.renamed(name) if isinstance(v, Body) else v for k, v in node.attributes.items()
        },
    )


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A model that was read.

    Attributes:
        name: Name of the file.
        nodes: Its operators, in the order in which they run.
        numbers: Initialisers and constants, by value name.
        inputs: What it is called with: name, type and shape (a number, or nothing where it is free).
        outputs: What it returns, the same way.
        opset: Version of ONNX's operators.
        metadata: What the file says beside the graph.
        producer: Who wrote it.
        external: Files of weights beside it.
        standing: Which numbers stand for whole ones that the file has in their place.
    """

    name: str
    nodes: tuple[Node, ...]
    numbers: Mapping[str, Array]
    inputs: tuple[GraphValue, ...]
    outputs: tuple[GraphValue, ...]
    opset: int
    metadata: Mapping[str, str]
    producer: str
    external: tuple[Path, ...]
    standing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GraphValue:
    """An input or an output of a graph.

    Attributes:
        name: Of the value.
        type: Number of its element type in ONNX.
        shape: Length of each dimension, nothing where it is free; ``None`` where nothing is said.
    """

    name: str
    type: int
    shape: tuple[int | None, ...] | None


def read_graph(path: Path) -> OnnxGraph:
    """Read an ONNX file, and what lies beside it.

    Raises:
        CheckpointError: If it is damaged, too old, or claims what is not there.
    """
    model = whole_model(path)
    opset = max((o.version for o in model.opset_import if o.domain in OWN_DOMAINS), default=0)
    if opset < _FIRST_OPSET:
        raise CheckpointError(
            f"expected an ONNX model of opset {_FIRST_OPSET} or newer, found {opset} in {path.name}; convert "
            "it with onnx.version_converter, or export it again"
        )
    tensors = TensorReader(path)
    graph = model.graph
    if graph.sparse_initializer:
        raise CheckpointError(
            f"expected dense weights in {path.name}, found {len(graph.sparse_initializer)} sparse ones; "
            "export the network with dense weights"
        )
    reading = _Reading(tensors, path.name)
    for tensor in graph.initializer:
        reading.numbers[tensor.name] = tensors.array(tensor)
    inputs = tuple(_value(v) for v in graph.input if v.name not in reading.numbers)
    reading.read(graph.node)
    return OnnxGraph(
        path.name,
        tuple(reading.nodes),
        reading.numbers,
        inputs,
        tuple(map(_value, graph.output)),
        opset,
        {p.key: p.value for p in model.metadata_props},
        " ".join(filter(None, (model.producer_name, model.producer_version))),
        tuple(tensors.external),
    )


def whole_model(path: Path) -> Any:
    """Return the ModelProto of a file, with its own functions put in place of the nodes that call them.

    Raises:
        CheckpointError: If it is damaged.
    """
    model = read_model(path)
    return _inlined(model, path.name) if model.functions else model


class _Reading:
    """Collects nodes and numbers."""

    def __init__(self, tensors: TensorReader, name: str, around: _Reading | None = None) -> None:
        self.nodes: list[Node] = []
        self.numbers: dict[str, Array] = {}
        self._tensors, self._name = tensors, name
        self._found: Counter[str] = Counter() if around is None else around._found

    def read(self, nodes: Sequence[Any]) -> None:
        self._found["nodes"] += len(nodes)
        if self._found["nodes"] > MOST_NODES:
            raise _too_many(self._found["nodes"], self._name)
        for node in nodes:
            attributes = {a.name: self._attribute(a) for a in node.attribute}
            if node.op_type == "Constant" and node.domain in OWN_DOMAINS and len(node.output) == 1:
                self.numbers[node.output[0]] = self._constant(node, attributes)
                continue
            domain = "" if node.domain in OWN_DOMAINS else f"{node.domain}."
            self.nodes.append(
                Node(
                    f"{domain}{node.op_type}",
                    tuple(node.input),
                    tuple(node.output),
                    attributes,
                    node.name,
                    _scopes(node),
                )
            )

    def _attribute(self, attribute: Any) -> Any:
        import onnx

        if attribute.type == onnx.AttributeProto.TENSOR:
            return self._tensors.array(attribute.t)
        if attribute.type == onnx.AttributeProto.GRAPH:
            return self._body(attribute.g)
        try:
            value = onnx.helper.get_attribute_value(attribute)
        except ValueError as exc:
            raise damaged(
                self._name, f"an attribute {printable(attribute.name)} of no type"
            ) from exc
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, int | float):
            return value
        if hasattr(value, "DESCRIPTOR"):  # a type: no operator that is known takes one
            return value
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]

    def _body(self, graph: Any) -> Body:
        inner = _Reading(self._tensors, self._name, self)
        for tensor in graph.initializer:
            inner.numbers[tensor.name] = self._tensors.array(tensor)
        inner.read(graph.node)
        self._found["bodies"] += 1
        before = f"body {self._found['bodies']}: "
        inputs = tuple(v.name for v in graph.input)
        own = {*inner.numbers, *inputs, *(n for node in inner.nodes for n in node.outputs)} - {""}

        def named(name: str) -> str:
            return before + name if name in own else name

        self.numbers.update((named(name), array) for name, array in inner.numbers.items())
        found = Body(tuple(inner.nodes), inputs, tuple(v.name for v in graph.output))
        return found.renamed(named)

    def _constant(self, node: Any, attributes: Mapping[str, Any]) -> Array:
        import numpy as np

        for key, dtype in (
            ("value", None),
            ("value_float", np.float32),
            ("value_floats", np.float32),
            ("value_int", np.int64),
            ("value_ints", np.int64),
        ):
            if key in attributes:
                return np.asarray(attributes[key], dtype)
        raise CheckpointError(
            f"expected numbers in the constant {printable(node.output[0])} of {self._name}, found "
            f"{', '.join(map(printable, attributes)) or 'nothing'}; export the network without it"
        )


def _too_many(found: int, name: str) -> CheckpointError:
    return CheckpointError(
        f"expected at most {MOST_NODES:,} operators in {name}, found {found:,}; is it one network?"
    )


def _value(proto: Any) -> GraphValue:
    kind = proto.type.tensor_type
    shape = None
    if kind.HasField("shape"):
        shape = tuple(
            d.dim_value if d.WhichOneof("value") == "dim_value" and d.dim_value > 0 else None
            for d in kind.shape.dim
        )
    return GraphValue(proto.name, kind.elem_type, shape)


def _scopes(node: Any) -> str:
    """Return the module path that PyTorch's newer exporter writes beside a node: ``layer1.0.se``."""
    import ast

    for prop in node.metadata_props:
        if prop.key == "pkg.torch.onnx.name_scopes" and len(prop.value) < 10_000:
            try:
                names = ast.literal_eval(prop.value)
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                return ""
            # The last one is the operator itself.
            named = [n for n in names[:-1] if isinstance(n, str)] if isinstance(names, list) else []
            return named[-1] if named else ""
    return ""


def _inlined(model: Any, name: str) -> Any:
    """Return the model with its own functions put in place of the nodes that call them.

    Raises:
        CheckpointError: If they call themselves, or each other so often that no memory would hold them.
    """
    import onnx.inliner

    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    sizes: dict[Any, int] = {}

    def size(nodes: Any, around: tuple[Any, ...]) -> int:
        total = 0
        calls = Counter((n.domain, n.op_type, n.overload) for n in nodes)
        for key, times in calls.items():
            if key in around or len(around) > 50:
                raise damaged(name, f"a function {printable(key[1])} that calls itself")
            if key in functions and key not in sizes:
                sizes[key] = size(functions[key].node, (*around, key))
            total += times * sizes.get(key, 1)
        if total > MOST_NODES:
            raise _too_many(total, name)
        return total

    size(model.graph.node, ())
    return onnx.inliner.inline_local_functions(model)
