"""Operators that are one sweep over a map, not several: what a compiler would write, by kernels that exist.

oneDNN computes a convolution and, while its result is still in the registers, the activation behind it and a
residual before that: PyTorch has the operators for its compiler. A gate multiplied onto a map and the
residual added are one operator of PyTorch (``addcmul``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seviz.collect.fast.program.nodes import Node, Nodes, Ref, Slot
from seviz.collect.fast.program.squeezing import pool

_aten = torch.ops.aten
# Activations by what oneDNN calls them, with the places of their arguments after the map.
_PLAIN = {
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "hardswish": "hardswish",
    "silu": "swish",
    "hardsigmoid": "hardsigmoid",
}
_RELU = frozenset({"relu"})


@dataclass(frozen=True)
class _Layer:
    """The arguments of a convolution that fused ones take too."""

    weight: Slot
    bias: Slot | None
    padding: list[int]
    stride: list[int]
    dilation: list[int]
    groups: int


def can_fuse() -> bool:
    """Whether this PyTorch has the operators, for this processor."""
    try:
        mkldnn: Any = torch.backends.mkldnn
        operator: Any = torch.ops.mkldnn._convolution_pointwise
        fused = {"default", "binary"} <= set(operator.overloads())
        return bool(mkldnn.is_available()) and fused and _reorder() is not None
    except (AttributeError, RuntimeError):
        return False


def _reorder() -> Any:
    return getattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", None)


def fuse(given: Nodes, images: int) -> int:
    """Fuse in place what can be; return with how many convolutions something was.

    Args:
        given: The network.
        images: In a batch: weights are stored as kernels want them for so many.
    """
    pool(given)
    _scale_and_add(given)
    count = 0
    for node in list(given.todo):
        if node.name == "convolution" and (layer := _layer(given, node)) is not None:
            if _is_product(given, node, layer):
                _as_product(given, node, layer)
            elif not _is_vector(given, node):
                count += _fuse_convolution(given, node, layer, images)
    _in_place(given)
    return count


def _layer(given: Nodes, node: Node) -> _Layer | None:
    """Return the layer of a 2-D convolution by the network's own numbers."""
    x, weight, bias, stride, padding, dilation, transposed, _, groups = node.args
    if transposed or not isinstance(weight, Ref) or weight.slot not in given.constants:
        return None
    if bias is not None and bias.slot not in given.constants:
        return None
    kernel = given.constants[weight.slot]
    if kernel.dim() != 4 or kernel.dtype is not torch.float32 or kernel.device.type != "cpu":
        return None
    if x.slot in given.constants or len(given.shape(x.slot)) != 4:
        return None
    return _Layer(weight.slot, bias and bias.slot, padding, stride, dilation, groups)


def _is_vector(given: Nodes, node: Node) -> bool:
    return given.shape(node.args[0].slot)[2:] == (1, 1)


def _is_product(given: Nodes, node: Node, layer: _Layer) -> bool:
    """Whether a convolution is a matrix product: 1 x 1 of one pixel, as in squeeze and excitation."""
    one = given.constants[layer.weight].shape[2:] == (1, 1)
    return one and _is_vector(given, node) and layer.groups == 1 and not any(layer.padding)


def _as_product(given: Nodes, node: Node, layer: _Layer) -> None:
    weight = given.constants[layer.weight].flatten(1).contiguous()
    bias = given.constants.get(layer.bias) if layer.bias is not None else None

    def product(x: Tensor) -> Tensor:
        rows = torch.nn.functional.linear(x.flatten(1), weight, bias)
        return rows.reshape(len(x), -1, 1, 1)

    place = given.todo.index(node)
    given.todo[place] = Node(product, node.args[:1], {}, node.outputs, name="convolution")


def _fuse_convolution(given: Nodes, node: Node, layer: _Layer, images: int) -> bool:
    """Put one operator in the place of a convolution and what follows it."""
    chain, residual = [node], None
    activation: tuple[str, list[Any], str] = ("none", [], "")
    following = _only_user(given, node)
    if following is not None and (other := _added(given, following, node.outputs[0])) is not None:
        last = _only_user(given, following)
        if last is None or last.name not in _RELU or not _stays(given, node, last):
            last = None
        if _stays(given, node, last or following):
            chain += [following, *([last] if last is not None else [])]
            residual = other
    elif (
        following is not None
        and (found := _activation(following)) is not None
        and _stays(given, node, following)
    ):
        chain.append(following)
        activation = found
    run = _convolution(given, node, layer, images, activation, residual, relu=len(chain) == 3)
    end = given.todo.index(chain[-1])
    refs = (node.args[0],) if residual is None else (node.args[0], Ref(residual))
    given.todo[end] = Node(run, refs, {}, chain[-1].outputs, name="convolution")
    for out in chain[-1].outputs:
        given.bases[out] = out
    for done in chain[:-1]:
        given.todo.remove(done)
    return len(chain) > 1


def _convolution(
    given: Nodes,
    node: Node,
    layer: _Layer,
    images: int,
    activation: tuple[str, list[Any], str],
    residual: Slot | None,
    *,
    relu: bool,
) -> Callable[..., Tensor]:
    own, bias = given.constants[layer.weight], None
    if layer.bias is not None:
        bias = given.constants[layer.bias]
    rest = (layer.padding, layer.stride, layer.dilation, layer.groups)
    size = [images, *given.shape(node.args[0].slot)[1:]]
    # As the kernels want it, once.
    weight = _reorder()(own.contiguous().to_mkldnn(), *rest, size)
    given.stored.add(layer.weight)
    operator: Any = torch.ops.mkldnn._convolution_pointwise
    name, scalars, algorithm = activation
    plain, binary = operator.default, operator.binary
    then = "relu" if relu else None

    def alone(x: Tensor) -> Tensor:
        made: Tensor = plain(_inner(x), weight, bias, *rest, name, scalars, algorithm)
        return made

    def added(x: Tensor, other: Tensor) -> Tensor:
        made: Tensor = binary(
            _inner(x), _inner(other), weight, bias, *rest, "add", 1.0, then, [], ""
        )
        return made

    return alone if residual is None else added


def _inner(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _only_user(given: Nodes, node: Node) -> Node | None:
    """Return the only operator that takes what another one gives, if nothing else does."""
    if len(node.outputs) != 1:
        return None
    slot = node.outputs[0]
    if slot in given.kept or slot == given.result:
        return None
    users = given.users().get(slot, [])
    return given.todo[users[0]] if len(users) == 1 else None


def _stays(given: Nodes, first: Node, last: Node) -> bool:
    """Whether a convolution may run as late as another operator: nobody writes into its map before."""
    places = (given.todo.index(first), given.todo.index(last))
    return not given.is_written(first.args[0].slot, *places)


def _activation(node: Node) -> tuple[str, list[Any], str] | None:
    if node.kwargs and node.name != "gelu":
        return None
    if node.name in _PLAIN and len(node.args) == 1:
        return _PLAIN[node.name], [], ""
    if node.name == "hardtanh":
        low, high = (*node.args[1:], -1.0, 1.0)[:2] if len(node.args) != 2 else (node.args[1], 1.0)
        return "hardtanh", [float(low), float(high)], ""
    if node.name == "leaky_relu":
        return "leaky_relu", [float((*node.args[1:], 0.01)[0])], ""
    if node.name == "gelu" and set(node.kwargs) <= {"approximate"}:
        return "gelu", [], node.kwargs.get("approximate", "none")
    return None


def _added(given: Nodes, node: Node, slot: Slot) -> Slot | None:
    """Return what is added to a slot, a map of the same size."""
    if node.run not in (_aten.add.Tensor, _aten.add_.Tensor) or node.kwargs or len(node.args) != 2:
        return None
    if not all(isinstance(a, Ref) for a in node.args):
        return None
    one, two = (a.slot for a in node.args)
    if node.mutates and one != slot:
        return None  # the other one is written into: somebody may look at it
    other = two if one == slot else one
    alike = other != slot and given.shape(other) == given.shape(slot)
    return other if alike and other not in given.constants else None


def _scale_and_add(given: Nodes) -> None:
    """Put one operator in the place of ``map * gate + residual``."""
    for node in list(given.todo):
        if node.run is not _aten.mul.Tensor or not all(isinstance(a, Ref) for a in node.args):
            continue
        factors, made = [a.slot for a in node.args], node.outputs[0]
        following = _only_user(given, node)
        if following is None or (other := _added(given, following, made)) is None:
            continue
        first, last = given.todo.index(node), given.todo.index(following)
        if any(given.is_written(s, first, last) for s in factors):
            continue
        given.todo[last] = Node(
            torch.addcmul,
            (Ref(other), *(Ref(s) for s in factors)),
            {},
            following.outputs,
            name="addcmul",
        )
        given.bases[following.outputs[0]] = following.outputs[0]
        given.todo.remove(node)


# Those that may write into what they take.
_WRITING: dict[Any, Any] = {
    _aten.relu.default: _aten.relu_.default,
    _aten.silu.default: _aten.silu_.default,
    _aten.hardswish.default: _aten.hardswish_.default,
    _aten.sigmoid.default: _aten.sigmoid_.default,
    _aten.hardsigmoid.default: _aten.hardsigmoid_.default,
    _aten.mul.Tensor: _aten.mul_.Tensor,
    _aten.add.Tensor: _aten.add_.Tensor,
}
# Whose result is theirs alone: nothing else has its memory.
_FRESH = frozenset({"convolution", "addcmul"})


def _in_place(given: Nodes) -> None:
    """Let operators write into a map of which this is the last use."""
    makers = {s: node for node in given.todo for s in node.outputs}
    for place, node in enumerate(given.todo):
        if node.run not in _WRITING or node.kwargs or not isinstance(node.args[0], Ref):
            continue
        slot = node.args[0].slot
        maker = makers.get(slot)
        if maker is None or maker.name not in _FRESH or not given.is_own(slot):
            continue
        if slot in given.kept or slot == given.result or slot in given.constants:
            continue
        last = max(given.users()[slot]) == place
        if not last or node.args.count(node.args[0]) > 1:
            continue
        if given.shape(slot) != given.shape(node.outputs[0]):
            continue
        given.todo[place] = replace(node, run=_WRITING[node.run], mutates=(slot,))
        given.bases[node.outputs[0]] = slot
