"""Conditions and loops of an ONNX graph, decided before it is run, so that one list of operators is left.

Exporters write them for what is known in the network: whether a dimension is one, how often a cell is
repeated. A condition that is constant, or follows from the sizes of maps, is replaced by the branch that it
leads to; a loop of as many rounds as are known by its rounds, one behind the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from seviz.errors import CheckpointError
from seviz.networks.formats.onnx.convert import constant_of, converted
from seviz.networks.formats.onnx.graph import Body, Node, OnnxGraph, renamed
from seviz.networks.formats.onnx.proto import MOST_NODES
from seviz.networks.formats.onnx.quantised import rewritten
from seviz.networks.formats.onnx.trial import StepError, sizes_made
from seviz.results.stats import Array

# Operators that hold others.
_HOLDING = frozenset({"If", "Loop"})
# Conditions of one file that are decided by running what is before them.
_MOST_DECIDED = 256


def straight(graph: OnnxGraph, shape: tuple[int, ...]) -> OnnxGraph:
    """Return a graph without conditions and loops.

    Args:
        graph: As it was read.
        shape: Of the images that its conditions are decided for, as it takes them.

    Raises:
        CheckpointError: If a condition, or how often a loop goes round, is only known with an image.
    """
    if not any(node.operator in _HOLDING for node in graph.nodes):
        return graph
    return _Straightening(graph, shape).graph()


class _Straightening:
    """Goes through the operators in order, and puts others in place of those that hold them."""

    def __init__(self, graph: OnnxGraph, shape: tuple[int, ...]) -> None:
        self._graph, self._shape = graph, shape
        self._numbers = dict(graph.numbers)
        self._done: list[Node] = []
        self._decided = 0

    def graph(self) -> OnnxGraph:
        waiting = deque(self._graph.nodes)
        while waiting:
            node = waiting.popleft()
            if node.operator not in _HOLDING:
                self._done.append(node)
                continue
            inside = list(self._branch(node) if node.operator == "If" else self._rounds(node))
            if len(self._done) + len(waiting) + len(inside) > MOST_NODES:
                raise self._refused(node, f"more than {MOST_NODES:,} operators")
            waiting.extendleft(reversed(inside))
        return replace(self._graph, nodes=tuple(self._done), numbers=self._numbers)

    def _branch(self, node: Node) -> Iterator[Node]:
        condition = self._known(node, node.inputs[0] if node.inputs else "", "a condition")
        body = node.attributes.get("then_branch" if condition.any() else "else_branch")
        if not isinstance(body, Body) or len(body.outputs) < len(node.outputs):
            raise self._refused(node, "no branch for it")
        yield from body.nodes
        yield from _passed_on(node, body.outputs, node.outputs)

    def _rounds(self, node: Node) -> Iterator[Node]:
        body = node.attributes.get("body")
        limit, condition, *state = (*node.inputs, "", "")[: max(len(node.inputs), 2)]
        carried = len(state)
        if (
            not isinstance(body, Body)
            or len(body.inputs) != carried + 2
            or len(body.outputs) < carried + 1
        ):
            raise self._refused(node, "no body for it")
        if not limit:
            raise self._refused(node, "a loop that ends by what it computes")
        rounds = int(self._known(node, limit, "a number of rounds").reshape(-1)[0])
        goes = not condition or bool(self._known(node, condition, "a condition").any())
        rounds = max(rounds, 0) if goes else 0
        if rounds * max(len(body.nodes), 1) > MOST_NODES:
            raise self._refused(node, f"{rounds:,} rounds")
        own = {*body.inputs, *(name for inner in body.nodes for name in inner.outputs)} - {""}
        stacked: list[list[str]] = [[] for _ in body.outputs[carried + 1 :]]
        for number in range(rounds):
            before = f"round {number} of "

            def named(name: str, before: str = before) -> str:
                return before + name if name in own else name

            inputs = [named(name) for name in body.inputs]
            self._numbers[inputs[0]] = np.asarray(number, np.int64)
            self._numbers[inputs[1]] = np.asarray(True)
            inner = [renamed(each, named) for each in body.nodes]
            passed = list(_passed_on(node, state, inputs[2:]))
            yield from passed
            yield from inner
            outputs = [named(name) for name in body.outputs]
            if not self._goes_on(node, (*passed, *inner), outputs[0]):
                raise self._refused(node, "a loop that ends by what it computes")
            state = outputs[1 : carried + 1]
            for column, name in zip(stacked, outputs[carried + 1 :], strict=True):
                column.append(name)
        yield from _passed_on(node, state, node.outputs[:carried])
        for column, made in zip(stacked, node.outputs[carried:], strict=False):
            if not made:
                continue
            if not column:
                raise self._refused(node, "a loop of no rounds")
            yield from self._stacked(node, column, made)

    def _stacked(self, node: Node, column: list[str], made: str) -> Iterator[Node]:
        axes = f"{made}: axis"
        self._numbers[axes] = np.asarray([0], np.int64)
        parts = []
        for name in column:
            parts.append(f"{name} in {made}")
            old = self._graph.opset < _AXES_AS_INPUT
            inputs, attributes = ((name,), {"axes": [0]}) if old else ((name, axes), {})
            yield Node("Unsqueeze", inputs, (parts[-1],), attributes, node.name, node.scopes)
        yield Node("Concat", tuple(parts), (made,), {"axis": 0}, node.name, node.scopes)

    def _goes_on(self, node: Node, inner: tuple[Node, ...], condition: str) -> bool:
        """Whether what a round computes lets the next one begin, as where rounds are counted."""
        value = self._constant((*self._done, *inner), condition)
        return value is not None and bool(value.any())

    def _known(self, node: Node, name: str, what: str) -> Array:
        found = self._constant(tuple(self._done), name)
        if found is None:
            found = self._by_sizes(name)
        if found is None or found.size != 1:
            raise self._refused(node, f"{what} that depends on the image")
        return found

    def _constant(self, nodes: tuple[Node, ...], name: str) -> Array | None:
        return constant_of(replace(self._graph, nodes=nodes, numbers=self._numbers), name)

    def _by_sizes(self, name: str) -> Array | None:
        """Return a value that follows from sizes alone, by a run without numbers."""
        self._decided += 1
        if self._decided > _MOST_DECIDED:
            return None
        before = replace(self._graph, nodes=tuple(self._done), numbers=self._numbers)
        if not any(name in node.outputs for node in before.nodes):
            return None
        try:
            return sizes_made(converted(rewritten(before)[0], outputs=(name,)).network, self._shape)
        except StepError:
            return None

    def _refused(self, node: Node, found: str) -> CheckpointError:
        return CheckpointError(
            f"expected conditions and loops that are known before an image is, in {self._graph.name}, found "
            f"{found} in node {node.shown} ({node.operator}); export the network without it"
        )


# Since this opset the axes of some operators are inputs.
_AXES_AS_INPUT = 13


def _passed_on(node: Node, given: Any, made: Any) -> Iterator[Node]:
    for one, other in zip(given, made, strict=False):
        if other:
            yield Node("Identity", (one,), (other,), {}, node.name, node.scopes)
