"""TensorFlow's operators in the configuration of a Keras 2 model.

TensorFlow 2.0 to 2.3 wrote ``TensorFlowOpLayer`` with the operator's graph node; later versions write
``TFOpLambda`` and ``SlicingOpLambda`` with the name of a Python function. Both become one layer entry of
`seviz.networks.formats.keras.operators`.
"""

from __future__ import annotations

import json
from typing import Any

_CLASSES = frozenset({"TensorFlowOpLayer", "TFOpLambda", "SlicingOpLambda"})
_FUNCTIONS = {
    "__operators__.add": "AddV2",
    "clip_by_value": "ClipByValue",
    "compat.v1.squeeze": "Squeeze",
    "expand_dims": "ExpandDims",
    "identity": "Identity",
    "math.add": "AddV2",
    "math.divide": "RealDiv",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
    "math.multiply": "Mul",
    "math.reduce_mean": "Mean",
    "math.sigmoid": "Sigmoid",
    "math.subtract": "Sub",
    "math.tanh": "Tanh",
    "math.truediv": "RealDiv",
    "nn.relu": "Relu",
    "nn.relu6": "Relu6",
    "nn.sigmoid": "Sigmoid",
    "nn.silu": "Silu",
    "nn.softmax": "Softmax",
    "nn.swish": "Silu",
    "reshape": "Reshape",
    "squeeze": "Squeeze",
}
# How TensorFlow's functions call what follows the first tensor, in the order of the operator.
_SECOND = ("y", "shape", "axis", "clip_value_min", "clip_value_max")
OPERATORS = frozenset({*_FUNCTIONS.values(), "StridedSlice"})


class UnknownOperatorError(Exception):
    """The operator, or the way it is used, is not supported; the text names it."""


def is_tensorflow(entry: dict[str, Any]) -> bool:
    """Return whether a layer entry is an operator of TensorFlow."""
    return str(entry.get("class_name")) in _CLASSES


def rewritten(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a ``TensorFlowOp`` layer that computes the same.

    Raises:
        UnknownOperatorError: If there is none.
    """
    kind, config = entry["class_name"], entry.get("config")
    name = entry.get("name") or (config or {}).get("name")
    nodes = entry.get("inbound_nodes")
    what = f"{kind} {name}"
    try:
        assert isinstance(config, dict)
        assert isinstance(nodes, list)
        (node,) = nodes
        if kind == "TensorFlowOpLayer":
            operator, operands, options = _from_node_def(config, len(node))
            tensors = [t[:3] for t in node]
        else:
            operator, operands, options, tensors = _from_function(config, node)
    except UnknownOperatorError as exc:
        raise UnknownOperatorError(f"{what} ({exc})") from exc
    except Exception as exc:
        raise UnknownOperatorError(f"{what} (malformed)") from exc
    return {
        "class_name": "TensorFlowOp",
        "name": name,
        "config": {
            "name": name,
            "operator": f"tf.{operator}",
            "operands": operands,
            "options": options,
        },
        "inbound_nodes": [[[*t, {}] for t in tensors]],
    }


def _from_node_def(config: dict[str, Any], inputs: int) -> tuple[str, list[Any], dict[str, Any]]:
    node = config["node_def"]
    if isinstance(node, str):  # TensorFlow 2.1 and 2.2 wrote the node as text
        node = json.loads(node)
    operator = node["op"]
    if operator == "Add":
        operator = "AddV2"
    if operator not in OPERATORS:
        raise UnknownOperatorError(operator)
    constants = {int(k): v for k, v in (config.get("constants") or {}).items()}
    places = iter(range(inputs))
    operands = [
        {"value": constants[i]} if i in constants else {"input": next(places)}
        for i in range(inputs + len(constants))
    ]
    attributes = node.get("attr") or {}
    if operator == "StridedSlice":
        begin, end, strides = (_values(o) for o in operands[1:])
        masks = {k: int(v.get("i", 0)) for k, v in attributes.items() if k.endswith("_mask")}
        return operator, operands[:1], {"index": _index(begin, end, strides, masks)}
    options: dict[str, Any] = {}
    if operator == "Mean":
        options["keepdims"] = bool(attributes.get("keep_dims", {}).get("b", False))
    if operator == "Squeeze":
        listed = attributes.get("squeeze_dims", {}).get("list", {}).get("i", [])
        operands.append({"value": [int(n) for n in listed]})
    return operator, operands, options


def _values(operand: dict[str, Any]) -> list[int]:
    if "value" not in operand:
        raise UnknownOperatorError("a slice whose bounds are computed")
    return [int(n) for n in operand["value"]]


def _index(
    begin: list[int], end: list[int], strides: list[int], masks: dict[str, int]
) -> list[Any]:
    """Return the entries of a subscript: ``None``, ``"..."``, a number, or [start, stop, step].

    An ellipsis takes precedence over a new axis, and that over a single position, as in TensorFlow.
    """

    def is_set(mask: str, place: int) -> bool:
        return bool(masks.get(f"{mask}_mask", 0) >> place & 1)

    index: list[Any] = []
    for i, (start, stop, step) in enumerate(zip(begin, end, strides, strict=True)):
        if is_set("ellipsis", i):
            index.append("...")
        elif is_set("new_axis", i):
            index.append(None)
        elif is_set("shrink_axis", i):
            index.append(start)
        elif step < 1:
            raise UnknownOperatorError("a slice that runs backwards")
        else:
            bounds = (None if is_set("begin", i) else start, None if is_set("end", i) else stop)
            index.append([*bounds, step])
    return index


def _from_function(
    config: dict[str, Any], node: Any
) -> tuple[str, list[Any], dict[str, Any], list[list[Any]]]:
    function = config["function"]
    first, given = _first(node)
    tensors: list[list[Any]] = []

    def operand(value: Any) -> dict[str, Any]:
        if _is_tensor(value):
            tensors.append(value[:3])
            return {"input": len(tensors) - 1}
        return {"value": value}

    operands = [operand(first)]
    if function == "__operators__.getitem":
        index = [_subscript(s) for s in _items(given.pop("slice_spec"))]
        return "StridedSlice", operands, {"index": index}, tensors
    if function not in _FUNCTIONS:
        raise UnknownOperatorError(function)
    given.pop("name", None)
    options = {k: given.pop(k) for k in ("keepdims",) if k in given}
    operands += [operand(_items(given.pop(k))) for k in _SECOND if k in given]
    if given:
        raise UnknownOperatorError(f"{function} with {', '.join(given)}")
    return _FUNCTIONS[function], operands, options, tensors


def _first(node: list[Any]) -> tuple[Any, dict[str, Any]]:
    """Return the first argument of a call, and the others by name."""
    if not isinstance(node[0], str):
        raise UnknownOperatorError("a list of tensors")
    rest = dict(node[3]) if len(node) > 3 else {}
    return (node[2] if node[0] == "_CONSTANT_VALUE" else node[:3]), rest


def _is_tensor(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )


def _items(value: Any) -> Any:
    """Return the list in a written-out tuple; anything else as it is."""
    return value["items"] if isinstance(value, dict) and "items" in value else value


def _subscript(entry: Any) -> Any:
    if isinstance(entry, int | None):
        return entry
    if entry.get("class_name") == "__ellipsis__":
        return "..."
    bounds = [entry["start"], entry["stop"], entry["step"]]
    if any(not isinstance(b, int | None) for b in bounds) or (bounds[2] or 1) < 1:
        raise UnknownOperatorError("a slice that runs backwards, or whose bounds are computed")
    return bounds
