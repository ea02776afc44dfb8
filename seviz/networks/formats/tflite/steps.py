"""From a TFLite graph to the steps that are run: operators, activations fused into them, and rounding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import takewhile

from seviz.networks.formats.graph_network import Step, check_operators
from seviz.networks.formats.tflite.arithmetic import CUTS
from seviz.networks.formats.tflite.rounding import Rounding, rounding_of
from seviz.networks.formats.tflite.rules import MOVES, RULES
from seviz.networks.formats.tflite.schema import GraphEntry, OperatorEntry
from seviz.networks.formats.tflite.use import Source, Use, value_name

# Layers whose weights lie beside them under one name: ".../Conv/weights", ".../Conv/bias".
_LAYERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
# Shares of the classes. They are in the order of what they are made from; rounded, many would be equal.
_SHARES = frozenset({"LOGISTIC", "LOG_SOFTMAX", "SOFTMAX"})
_KEEPS = frozenset({"DEQUANTIZE", "EXPAND_DIMS", "RESHAPE", "SQUEEZE"})
# What a step is called inside the place that has its name.
_WORDS = {"convolution": "conv", "FULLY_CONNECTED": "fc", "global average": "mean"}


def steps_of(source: Source) -> list[Step]:
    """Return what is run, in order; what the outputs do not depend on is left out.

    Sizes that TensorFlow computes while it runs are such: the shapes in the file say them already.

    Raises:
        CheckpointError: If an operator is in no table, or says what cannot be computed.
    """
    graph = source.graph
    ends = _ends(source)
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
        group = list(_group(Use(operator, source, path), ends))
        wanted.update(name for step in group for name in step.inputs)
        groups.append(group)
    check_operators(unknown[::-1], RULES, source.name)
    return _apart([step for group in reversed(groups) for step in group])


def _group(use: Use, ends: Set[int]) -> Iterator[Step]:
    """Yield an operator, the activation that is fused into it, and the rounding of what it makes."""
    step = RULES[use.kind](use)
    after: list[Step] = []
    if len(step.outputs) == 1:
        fused, rounding = use.fused, _rounding(use, ends, step)
        if fused is not None and not (rounding is not None and _cuts_all(rounding, fused)):
            after.append(Step(f"{use.path}.{fused.lower()}", fused, (), ()))
        if rounding is not None:
            how = "rounding up" if _rounds_up(use) else "rounding"
            after.append(Step(f"{use.path}.rounding", how, (), (), rounding._asdict()))
    between = [f"{step.outputs[0]} {number}" for number in range(len(after))]
    made = [(name,) for name in between] + [step.outputs]
    yield replace(step, outputs=made[0])
    for number, following in enumerate(after):
        yield replace(following, inputs=made[number], outputs=made[number + 1], node=step.node)


def _ends(source: Source) -> set[int]:
    """Return the outputs, and the tensors that are outputs but for their shape and for what holds them."""
    ends = set(source.graph.outputs)
    left = list(ends)
    while left:
        maker = source.makers.get(left.pop())
        # An operator that takes a part of a map is none of these; and each tensor has one maker.
        if maker is not None and maker.kind in _KEEPS and maker.inputs[0] not in ends:
            ends.add(maker.inputs[0])
            left.append(maker.inputs[0])
    return ends


def _rounding(use: Use, ends: Set[int], step: Step) -> Rounding | None:
    """Return what the result is rounded to, unless its numbers are rounded so already."""
    rounding = rounding_of(use.output)
    if step.operator == "looked up" or (use.kind in _SHARES and use.entry.outputs[0] in ends):
        return None
    given = [rounding_of(use.tensor(n)) for n in range(len(use.entry.inputs)) if use.has(n)]
    return None if use.kind in MOVES and given[:1] == [rounding] else rounding


def _rounds_up(use: Use) -> bool:
    """Return whether halves are rounded up, as the sums of a mean of uint8 are."""
    return use.kind == "AVERAGE_POOL_2D" and use.output.kind == "UINT8"


def _cuts_all(rounding: Rounding, fused: str) -> bool:
    """Return whether a rounding leaves nothing for an activation to cut."""
    low, high = CUTS.get(fused, (float("inf"), float("-inf")))
    return low <= rounding.range[0] and rounding.range[1] <= high


def _apart(steps: Sequence[Step]) -> list[Step]:
    """Return steps of which none is inside another, so that each can be replaced alone."""
    around = {place for step in steps for place in _above(step.name)}
    return [
        replace(step, name=f"{step.name}.{_WORDS.get(step.operator, step.operator.lower())}")
        if step.name in around
        else step
        for step in steps
    ]


def _above(path: str) -> Iterator[str]:
    """Yield the places that a path is in."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _path(graph: GraphEntry, operator: OperatorEntry) -> str:
    """Return where the module of an operator goes: by its layer's name, else its result's."""
    path = _parts(graph.tensors[operator.outputs[0]].name)
    if operator.kind in _LAYERS:
        names = [path, *(_parts(graph.tensors[t].name) for t in operator.inputs[-2:] if t >= 0)]
        alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*names, strict=False))
        path = [parts[0] for parts in alike] or path
    return ".".join(path) or operator.kind.lower()


def _parts(name: str) -> list[str]:
    """Return the parts of a TensorFlow name; of what was fused into one operator, the first.

    >>> _parts("model/conv1/Relu;model/bn1/FusedBatchNormV3"), _parts("StatefulPartitionedCall:0")
    (['model', 'conv1', 'Relu'], ['StatefulPartitionedCall_0'])
    """
    first = next((part for part in name.split(";") if part), "")
    cleaned = "".join(c if c.isalnum() or c in "_-/" else "_" for c in first)[:200]
    return [part for part in cleaned.split("/") if part]
