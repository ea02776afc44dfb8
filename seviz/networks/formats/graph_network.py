"""A network that a file describes as a list of operators, as one PyTorch module.

Formats for running networks (ONNX, TFLite) hold no modules, but operators in the order in which they
run, tensors by name, and numbers. Here every operator becomes a submodule, placed by its name, and the
numbers that it takes become its parameters and buffers: `layer1.0.se.fc1.weight`. So whatever works on
networks written in PyTorch (hooks, names of blocks, counting, ablation, export) works on these unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from seviz.errors import CheckpointError, printable
from seviz.networks.formats.places import free_name, put_at, take_out

# Computes an operator: takes tensors (``None`` for one that is left out), and attributes by name; returns
# a tensor or a tuple of them. Sizes may travel between operators as NumPy arrays.
Function = Callable[..., Any]
# Operators that do nothing but round a map to what a few bits can hold, or keep it in their range.
_ROUNDING = frozenset({"QuantizeLinear", "rounding", "rounding up"})
# Operators that a message names.
_SHOWN = 3


@dataclass(frozen=True)
class Step:
    """One operator of the graph.

    Attributes:
        name: Where its module goes, a dotted path; need not be free.
        operator: Its name in the table of functions.
        inputs: Names of the values it takes; empty for one that is left out.
        outputs: Names of the values it makes.
        attributes: What else its function takes.
        roles: What weights among its inputs are called where their own names do not tell, input by input.
        node: What the file calls it, for messages.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    node: str = ""


@dataclass(frozen=True, eq=False)
class Edit:
    """What was done to a step of the graph as the file has it.

    Attributes:
        output: Name of the value that the step makes.
        kept: Name of its input that goes on in its place; empty where the step stays.
        position: The input that a constant was given for, where the step stays.
        value: That constant.
    """

    output: str
    kept: str = ""
    position: int = 0
    value: Tensor | None = None


class GraphStep(nn.Module):
    """One operator with its weights; called with the rest of what it takes.

    Args:
        step: The operator.
        function: What computes it.
    """

    def __init__(self, step: Step, function: Function) -> None:
        super().__init__()
        self._function, self._operator = function, step.operator
        self.attributes = dict(step.attributes)
        # Read where gates are followed: such a map is the one before.
        self.only_rounds = step.operator in _ROUNDING
        # For each input the name of the parameter or buffer that stands for it, if one does.
        self._held: list[str | None] = [None] * len(step.inputs)

    def hold(self, position: int, name: str, tensor: Tensor) -> None:
        """Take a parameter, or a tensor as a buffer, for an input; ``name`` is changed where it is taken."""
        name = free_name(self, name)
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)
        self._held[position] = name

    def held(self, position: int) -> str | None:
        """Return the name of the parameter or buffer that stands for an input."""
        return self._held[position]

    def forward(self, *given: Any) -> Any:
        """Compute the operator from what it does not hold itself, in order."""
        rest = iter(given)
        taken = [next(rest) if name is None else getattr(self, name) for name in self._held]
        return self._function(*taken, **self.attributes)

    def extra_repr(self) -> str:
        """Return the operator."""
        return self._operator


class GraphNetwork(nn.Module):
    """Runs a list of operators; each is a submodule, and its weights are parameters of that.

    A value is let go after its last use, so no more is in memory than in a network written by hand.

    Args:
        steps: The operators, in an order in which they can run.
        inputs: Names of the values that the network is called with.
        outputs: Names of the values that it returns: one tensor, or a tuple of several.
        parameters: Trained numbers by value name, floating-point.
        constants: Other tensors by value name.
        functions: What computes each operator, by name.
        paths: Dotted state-dict names of weights by value name, where the graph knows them: a weight named
            as its step and something more (``fc1.weight`` of ``fc1``) is called so.
        name: Name of the file, for messages.
        num_classes: Outputs of a classifier, where they are known.

    Raises:
        CheckpointError: If an operator is in no table, or takes a value that nothing makes.

    >>> import torch
    >>> step = Step("head.act", "Relu", ("x",), ("y",))
    >>> network = GraphNetwork([step], ["x"], ["y"], {}, {}, {"Relu": torch.relu})
    >>> network(torch.tensor([-1.0, 2.0])), [n for n, _ in network.named_modules()]
    (tensor([0., 2.]), ['', 'head', 'head.act'])
    """

    def __init__(
        self,
        steps: Sequence[Step],
        inputs: Sequence[str],
        outputs: Sequence[str],
        parameters: Mapping[str, Tensor],
        constants: Mapping[str, Tensor],
        functions: Mapping[str, Function],
        *,
        paths: Mapping[str, str] | None = None,
        name: str = "the graph",
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        check_operators(steps, functions, name)
        self.num_classes = num_classes
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        weights: dict[str, Tensor] = {
            n: t if isinstance(t, nn.Parameter) else nn.Parameter(t) for n, t in parameters.items()
        }
        weights |= constants
        # Attributes first: modules are named around them.
        self.steps: tuple[Step, ...] = ()
        self._plan: _Plan = []
        # What was changed, in order, and the file that it was changed from, so that it can be written back.
        self.edits: tuple[Edit, ...] = ()
        self.source: Path | None = None
        # Values that stand for whole numbers of the file, or for what is only known there as it runs.
        self.standing: frozenset[str] = frozenset()
        # Computes the output in place of the steps, or gives nothing where it cannot.
        self.engine: Callable[[GraphNetwork, Any], Any] | None = None
        placed = []
        numbers: dict[tuple[int, str], int] = {}
        for step in steps:
            module = GraphStep(step, functions[step.operator])
            placed.append(replace(step, name=put_at(self, step.name, module, numbers)))
            for position, value in enumerate(step.inputs):
                if value in weights:
                    path = (paths or {}).get(value, value)
                    module.hold(position, _role(step, position, path), weights[value])
        self.steps = tuple(placed)
        self._plan = _plan(self, name)

    def forward(self, images: Any, *others: Any) -> Any:
        """Return what the graph returns for its inputs."""
        if self.engine is not None and (found := self.engine(self, images)) is not None:
            return found
        values = dict(zip(self.inputs, (images, *others), strict=True))
        for place, given, outputs, last in self._plan:
            module: Any = self
            for part in place:
                module = module._modules[part]
            result = module(*[values[name] if name else None for name in given])
            if len(outputs) == 1:
                values[outputs[0]] = result[0] if isinstance(result, tuple) else result
            else:
                values.update(zip(outputs, result, strict=False))
            for name in last:
                values.pop(name, None)
        results = tuple(values[name] for name in self.outputs)
        return results[0] if len(results) == 1 else results

    def step_at(self, path: str) -> Step | None:
        """Return the step whose module is at ``path``."""
        return next((step for step in self.steps if step.name == path), None)

    def without(self, path: str, position: int) -> None:
        """Take a step out: whoever took its (only) output takes its input at ``position``.

        Operators that nothing needs any more go with it, and their weights.

        Args:
            path: Of the step's module.
            position: Which of its inputs goes on in its place.
        """
        gone = self.step_at(path)
        assert gone is not None, "a step of this network"
        (made,), kept = gone.outputs, gone.inputs[position]
        self.steps = tuple(
            replace(step, inputs=tuple(kept if name == made else name for name in step.inputs))
            for step in self.steps
            if step is not gone
        )
        self.outputs = tuple(kept if name == made else name for name in self.outputs)
        self.edits += (Edit(made, kept=kept),)
        take_out(self, path)
        self._tidy()

    def fixed(self, path: str, position: int, value: Tensor) -> None:
        """Give a step a constant in place of what was computed for one of its inputs.

        Operators that nothing needs any more go, and their weights.

        Args:
            path: Of the step's module.
            position: Which of its inputs.
            value: The constant; becomes a buffer.
        """
        module: Any = self.get_submodule(path)
        module.hold(position, "scale", value)
        step = self.step_at(path)
        assert step is not None, "a step of this network"
        self.edits += (Edit(step.outputs[0], position=position, value=value),)
        self._tidy()

    def held_values(self) -> dict[str, str]:
        """Return the state-dict names of weights by ``output:position`` of the step that takes them."""
        found = {}
        for step in self.steps:
            module: Any = self.get_submodule(step.name)
            for position in range(len(step.inputs)):
                name = module.held(position)
                if name is not None:
                    found[f"{step.outputs[0]}:{position}"] = f"{step.name}.{name}"
        return found

    def standing_weights(self) -> frozenset[str]:
        """Return the state-dict names of weights that the file has as whole numbers.

        Other numbers have no place in it: its operators take whole ones, and scales that go with them.
        """
        held = self.held_values()
        return frozenset(
            held[f"{step.outputs[0]}:{position}"]
            for step in self.steps
            for position, value in enumerate(step.inputs)
            if value in self.standing and f"{step.outputs[0]}:{position}" in held
        )

    def needed(self) -> set[str]:
        """Return the names of the values that the outputs depend on."""
        wanted = set(self.outputs)
        for step in reversed(self.steps):
            if wanted.intersection(step.outputs):
                module: Any = self.get_submodule(step.name)
                wanted |= {n for i, n in enumerate(step.inputs) if n and module.held(i) is None}
        return wanted

    def _tidy(self) -> None:
        """Remove the steps that nothing needs."""
        wanted = self.needed()
        for step in self.steps:
            if not wanted.intersection(step.outputs):
                take_out(self, step.name)
        self.steps = tuple(step for step in self.steps if wanted.intersection(step.outputs))
        self._plan = _plan(self, "the graph")


def check_operators(steps: Iterable[Step], known: Iterable[str], name: str) -> None:
    """Refuse a graph with operators that are not known.

    Args:
        steps: The graph.
        known: Names of operators.
        name: Name of the file, for messages.

    Raises:
        CheckpointError: If there are others; the message names them with their nodes.
    """
    table = frozenset(known)
    unknown: dict[str, str] = {}
    for step in steps:
        if step.operator not in table:
            unknown.setdefault(step.operator, step.node or step.name)
    if unknown:
        shown = [f"{printable(o)} (node {printable(n)})" for o, n in list(unknown.items())[:_SHOWN]]
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise CheckpointError(
            f"expected operators of convolutional networks in {name}, found {', '.join(shown)}{more}, which "
            "seviz does not compute; export the network without it"
        )


_Plan = list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]]


def _plan(network: GraphNetwork, name: str) -> _Plan:
    """Return for each step: its place, the values it is called with, those it makes, those last used."""
    made = set(network.inputs)
    rows = []
    for step in network.steps:
        module: Any = network.get_submodule(step.name)
        given = tuple(n for i, n in enumerate(step.inputs) if module.held(i) is None)
        missing = [n for n in given if n and n not in made]
        if missing:
            raise CheckpointError(
                f"expected the value {printable(missing[0])} before node {printable(step.node or step.name)} "
                f"in {name}, found nothing that makes it; is the file complete?"
            )
        made.update(step.outputs)
        rows.append((tuple(step.name.split(".")), given, step.outputs))
    missing = [n for n in network.outputs if n not in made]
    if missing:
        raise CheckpointError(
            f"expected the output {printable(missing[0])} in {name}, found nothing that makes it; is the "
            "file complete?"
        )
    after = set(network.outputs)
    plan: _Plan = []
    for place, given, outputs in reversed(rows):
        # What nothing takes is let go as soon as it is made.
        last = tuple(n for n in dict.fromkeys((*given, *outputs)) if n and n not in after)
        after.update(last)
        plan.append((place, given, outputs, last))
    return plan[::-1]


def _role(step: Step, position: int, path: str) -> str:
    """Return what a weight is called in the module of its step."""
    before, _, leaf = path.rpartition(".")
    if before == step.name and leaf:
        return leaf
    given = step.roles[position] if position < len(step.roles) else ""
    return given or "weight"
