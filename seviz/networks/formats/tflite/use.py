"""One operator of a TFLite graph, as the rules of `seviz.networks.formats.tflite.rules` look at it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seviz.errors import CheckpointError, printable
from seviz.networks.formats.graph_network import Step
from seviz.networks.formats.tflite.layout import held, held_axis
from seviz.networks.formats.tflite.rounding import real_numbers
from seviz.networks.formats.tflite.schema import GraphEntry, OperatorEntry, TensorEntry

# Rows of the schema's ActivationFunctionType.
_FUSED = {0: None, 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH"}
_SAME = 0


@dataclass(frozen=True, eq=False)
class Source:
    """A graph, with what its rules make of it.

    Attributes:
        graph: The graph.
        name: Name of the file, for messages.
        makers: For each tensor the operator that makes it.
        parameters: Weights, by value name.
        constants: Other numbers, by value name.
    """

    graph: GraphEntry
    name: str
    makers: Mapping[int, OperatorEntry]
    parameters: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, Tensor] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Return the number of images that the file's shapes are for."""
        shape = self.graph.tensors[self.graph.inputs[0]].shape
        return shape[0] if shape else 1

    def numbers(self, place: int) -> npt.NDArray[Any] | None:
        """Return what a constant stands for, in the file's order; ``None`` for what is computed."""
        tensor = self.graph.tensors[place]
        if tensor.numbers is not None:
            return real_numbers(tensor.numbers, tensor.quantised)
        maker = self.makers.get(place)
        if maker is not None and maker.kind == "DEQUANTIZE" and maker.inputs[:1] != (place,):
            source = maker.inputs[0]
            # Weights of 16 bits are constants behind an operator of their own.
            if self.graph.tensors[source].numbers is not None:
                return self.numbers(source)
        return None


@dataclass(frozen=True, eq=False)
class Use:
    """One operator.

    Attributes:
        entry: The operator.
        source: Where it is from.
        path: Where its module goes.
    """

    entry: OperatorEntry
    source: Source
    path: str

    @property
    def kind(self) -> str:
        """Return the operator's name."""
        return self.entry.kind

    @property
    def output(self) -> TensorEntry:
        """Return the first tensor that it makes."""
        return self.source.graph.tensors[self.entry.outputs[0]]

    @property
    def fused(self) -> str | None:
        """Return the activation that it ends with."""
        number = self.option("FusedActivationFunction", 0)
        if number not in _FUSED:
            raise self.refuse(f"the fused activation {number}")
        return _FUSED[number]

    @property
    def same(self) -> bool:
        """Return whether it pads as ``SAME``."""
        return bool(self.option("Padding", _SAME) == _SAME)

    def option(self, name: str, default: Any) -> Any:
        """Return an option; its default where the file leaves it out."""
        return self.entry.options.get(name, default)

    def pair(self, height: str, width: str, default: int = 1) -> tuple[int, int]:
        """Return two options, of rows and of columns, which are 1 or more."""
        found = (self.option(height, default), self.option(width, default))
        if not all(1 <= n <= 1 << 16 for n in found):
            raise self.refuse(f"{height} and {width} of {found[0]} and {found[1]}")
        return found

    def refuse(self, found: str) -> CheckpointError:
        """Return the error for an operator that says what cannot be computed."""
        return CheckpointError(
            f"expected a {printable(self.kind)} that can be computed at "
            f"{printable(self.output.name)[:100]} in {self.source.name}, found {found}; is the file complete?"
        )

    def count(self, least: int, most: int) -> None:
        """Check how many inputs it has."""
        if not least <= len(self.entry.inputs) <= most:
            raise self.refuse(f"{len(self.entry.inputs)} inputs")

    def axis(self, axis: int, rank: int) -> int:
        """Return the number of a dimension, counted from the first.

        Raises:
            CheckpointError: If there is no such dimension.
        """
        if not -rank <= axis < rank:
            raise self.refuse(f"dimension {axis} of {rank}")
        return axis % rank

    def held_axis(self, axis: int, rank: int) -> int:
        """Return where a dimension lies in the tensors that are computed with.

        Raises:
            CheckpointError: If there is no such dimension.
        """
        return held_axis(self.axis(axis, rank), rank)

    def place(self, position: int) -> int:
        """Return which tensor an input is."""
        inputs = self.entry.inputs
        if position >= len(inputs) or inputs[position] < 0:
            raise self.refuse(f"no input {position + 1}")
        return inputs[position]

    def has(self, position: int) -> bool:
        """Return whether there is such an input."""
        return position < len(self.entry.inputs) and self.entry.inputs[position] >= 0

    def tensor(self, position: int) -> TensorEntry:
        """Return what the file says of an input."""
        return self.source.graph.tensors[self.place(position)]

    def numbers(self, position: int) -> npt.NDArray[Any] | None:
        """Return what a constant input stands for; ``None`` for what is computed."""
        return self.source.numbers(self.place(position))

    def integers(self, position: int) -> tuple[int, ...]:
        """Return an input that is a list of whole numbers, told by the file."""
        found = self.numbers(position)
        if found is None or found.dtype.kind not in "iu" or found.size > 64:
            raise self.refuse("sizes that are known only when it runs")
        return tuple(int(n) for n in found.reshape(-1))

    def value(self, position: int) -> str:
        """Return the name of an input; a constant one becomes a parameter or a buffer."""
        numbers = self.numbers(position)
        if numbers is None:
            return value_name(self.place(position))
        return self.weight(position, held(torch.from_numpy(np.array(numbers))))

    def weight(self, position: int, tensor: Tensor) -> str:
        """Return the name of a constant input, which stands there as ``tensor``."""
        name = f"{value_name(self.place(position))} of {value_name(self.entry.outputs[0])}"
        if tensor.is_floating_point() and math.prod(tensor.shape) > 0:
            self.source.parameters[name] = nn.Parameter(tensor.contiguous(), requires_grad=False)
        else:
            self.source.constants[name] = tensor.contiguous()
        return name

    def constant(self, word: str, tensor: Tensor) -> str:
        """Return the name of numbers that are not in the file, and are no weights."""
        name = f"{word} of {value_name(self.entry.outputs[0])}"
        self.source.constants[name] = tensor
        return name

    def step(
        self,
        function: str,
        inputs: tuple[str, ...],
        roles: tuple[str, ...] = (),
        **attributes: Any,
    ) -> Step:
        """Return what is run: a function of `seviz.networks.formats.tflite.functions`, with its inputs."""
        outputs = tuple(map(value_name, self.entry.outputs))
        return Step(self.path, function, inputs, outputs, attributes, roles, self.output.name)


def value_name(place: int) -> str:
    """Return what a tensor is called while the network runs."""
    return f"t{place}"


# What an operator becomes: the step that runs it.
Rule = Callable[[Use], Step]
