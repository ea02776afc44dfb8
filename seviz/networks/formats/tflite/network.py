"""A TFLite graph as a PyTorch network: what each operator becomes, put in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from torch import Tensor

from seviz.errors import CheckpointError
from seviz.networks.formats.graph_network import GraphNetwork, Step, check_operators
from seviz.networks.formats.tflite.arithmetic import CUTS
from seviz.networks.formats.tflite.layout import MAP, held
from seviz.networks.formats.tflite.rounding import Rounding, rounding_of
from seviz.networks.formats.tflite.rules import FUNCTIONS, RULES
from seviz.networks.formats.tflite.schema import GraphEntry, OperatorEntry
from seviz.networks.formats.tflite.use import Source, Use, value_name

# Layers whose weights lie beside them under one name: ".../Conv/weights", ".../Conv/bias".
_LAYERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
# Shares of the classes. They are in the order of what they are made from; rounded, many would be equal.
_SHARES = frozenset({"LOGISTIC", "LOG_SOFTMAX", "SOFTMAX"})


class TFLiteNetwork(GraphNetwork):
    """Runs a TFLite graph on images [N, C, H, W].

    Args:
        graph: What the file says.
        name: Its name, for messages.

    Raises:
        CheckpointError: If it does not take images, or has operators that are not known.
    """

    def __init__(self, graph: GraphEntry, name: str) -> None:
        _check_input(graph, name)
        source = Source(graph, name, {t: o for o in graph.operators for t in o.outputs})
        steps = _steps(source)
        shape = graph.tensors[graph.outputs[0]].shape
        super().__init__(
            steps,
            [value_name(graph.inputs[0])],
            [value_name(t) for t in graph.outputs],
            source.parameters,
            source.constants,
            FUNCTIONS,
            name=name,
            num_classes=shape[-1] if len(graph.outputs) == 1 and set(shape[1:-1]) <= {1} else None,
        )
        self.channels_first = channels_first(graph)

    def forward(self, *images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return what the graph returns: [N, outputs] of a classifier, else maps [N, C, H, W]."""
        taken = tuple(map(held, images)) if self.channels_first else images
        found = super().forward(*taken)
        results = found if isinstance(found, tuple) else (found,)
        rows = tuple(
            r.flatten(1) if r.dim() == MAP and r.shape[2:] == (1, 1) else r for r in results
        )
        return rows if len(rows) > 1 else rows[0]


def channels_first(graph: GraphEntry) -> bool:
    """Return whether the file's images are [N, C, H, W], as in what was converted from PyTorch."""
    _, first, _, last = graph.tensors[graph.inputs[0]].shape
    return last not in (1, 3, 4) and first in (1, 3, 4)


def image_size(graph: GraphEntry) -> tuple[int, int, int]:
    """Return channels, height and width of the file's images."""
    _, *sides = graph.tensors[graph.inputs[0]].shape
    channels, height, width = sides if channels_first(graph) else (sides[2], *sides[:2])
    return channels, height, width


def _check_input(graph: GraphEntry, name: str) -> None:
    shapes = [graph.tensors[t].shape for t in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != MAP or min(shapes[0]) < 1 or not graph.outputs:
        shown = ", ".join(str(list(shape)) for shape in shapes[:5]) or "none"
        raise CheckpointError(
            f"expected a network that takes images of a fixed size in {name}, found inputs of shape {shown}; "
            "convert it with one input [1, height, width, channels]"
        )


def _steps(source: Source) -> list[Step]:
    """Return what is run, in order; what the outputs do not depend on is left out.

    Sizes that TensorFlow computes while it runs are such: the shapes in the file say them already.
    """
    graph = source.graph
    wanted = set(map(value_name, graph.outputs))
    groups: list[list[Step]] = []
    unknown: list[Step] = []
    for operator in reversed(graph.operators):
        names = list(map(value_name, operator.outputs))
        if not wanted.intersection(names) or source.numbers(operator.outputs[0]) is not None:
            continue
        path = _path(graph, operator)
        if operator.kind not in RULES:
            label = graph.tensors[operator.outputs[0]].name
            unknown.append(Step(path, operator.kind, (), (), node=label))
            wanted.update(value_name(t) for t in operator.inputs)
            continue
        use = Use(operator, source, path)
        group = list(_group(use, graph.outputs))
        wanted.update(name for step in group for name in step.inputs)
        groups.append(group)
    check_operators(unknown[::-1], RULES, source.name)
    return [step for group in reversed(groups) for step in group]


def _group(use: Use, outputs: Sequence[int]) -> Iterator[Step]:
    """Yield an operator, the activation that is fused into it, and the rounding of what it makes."""
    step = RULES[use.kind](use)
    if len(step.outputs) > 1:
        yield step
        return
    (name,) = step.outputs
    fused, rounding = use.fused, _rounding(use, outputs)
    if fused is not None and rounding is not None and _cuts_more(rounding, fused):
        fused = None
    last = step.outputs
    after: list[Step] = []
    if fused is not None:
        after.append(Step(f"{use.path}.{fused.lower()}", fused, ("",), ("",), node=step.node))
    if rounding is not None:
        values = rounding._asdict()
        after.append(Step(f"{use.path}.rounding", "rounding", ("",), ("",), values, node=step.node))
    chain = [f"{name} {n}" for n in range(len(after))]
    if not after:
        yield step
        return
    yield _renamed(step, step.inputs, (chain[0],))
    for number, following in enumerate(after):
        made = last if number == len(after) - 1 else (chain[number + 1],)
        yield _renamed(following, (chain[number],), made)


def _renamed(step: Step, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Step:
    return Step(step.name, step.operator, inputs, outputs, step.attributes, step.roles, step.node)


def _rounding(use: Use, outputs: Sequence[int]) -> Rounding | None:
    """Return what the result is rounded to, unless its numbers are rounded so already."""
    rounding = rounding_of(use.output)
    if use.kind in _SHARES and use.entry.outputs[0] in outputs:
        return None
    given = [rounding_of(use.tensor(n)) for n in range(len(use.entry.inputs)) if use.has(n)]
    if use.kind in MOVES and given[:1] == [rounding]:
        return None
    return rounding


def _cuts_more(rounding: Rounding, fused: str) -> bool:
    """Return whether a rounding leaves nothing for an activation to cut."""
    low, high = CUTS.get(fused, (float("inf"), float("-inf")))
    return low <= rounding.range[0] and rounding.range[1] <= high


# What only moves numbers, or takes some of them.
MOVES = frozenset(
    [
        "BATCH_TO_SPACE_ND",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "GATHER",
        "MAX_POOL_2D",
        "PAD",
        "RESHAPE",
        "RESIZE_NEAREST_NEIGHBOR",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
    ]
)


def _path(graph: GraphEntry, operator: OperatorEntry) -> str:
    """Return where the module of an operator goes: by its layer's name, else its result's."""
    names = [_parts(graph.tensors[operator.outputs[0]].name)]
    if operator.kind in _LAYERS:
        names += [_parts(graph.tensors[t].name) for t in operator.inputs[-2:] if t >= 0]
        alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*names, strict=False))
        names = [[parts[0] for parts in alike] or names[0]]
    return ".".join(names[0])


def _parts(name: str) -> list[str]:
    """Return the parts of a TensorFlow name; of what was fused into one operator, the first.

    >>> _parts("model/conv1/Relu;model/bn1/FusedBatchNormV3"), _parts("StatefulPartitionedCall:0")
    (['model', 'conv1', 'Relu'], ['StatefulPartitionedCall_0'])
    """
    first = next((part for part in name.split(";") if part), "")
    cleaned = "".join(c if c.isalnum() or c in "_-/" else "_" for c in first)[:200]
    return [part for part in cleaned.split("/") if part]
