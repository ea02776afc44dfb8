"""One forward pass, recorded operator by operator.

The graph knows tensors by the values they hold: an in-place operator makes a new value of the same
tensor. Nothing is judged here; `seviz.gates.flow` reads the graph.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from seviz.gates.attributes import copied
from seviz.gates.inputs import call, outputs_in
from seviz.gates.mode import DispatchMode
from seviz.gates.ops import MULTIPLY
from seviz.gates.shapes import run


class Call(NamedTuple):
    """The ``number``-th call (from 1) of the module at ``path`` in one forward pass."""

    path: str
    number: int


class Exit(NamedTuple):
    """A call, and the position of a value among the tensors that it returned."""

    call: Call
    position: int


# No generated repr: values and operators refer to each other.
@dataclass(eq=False, repr=False)
class Value:
    """What a tensor holds between two operators.

    Attributes:
        shape: Shape at that time.
        stride: Strides; 0 marks an expanded dimension.
        floating: Whether the type is a floating-point one.
        op: The operator that made it; ``None`` for inputs, constants and parameters.
        output: Which of the operator's outputs it is.
        parameter: State-dict name, for parameters and buffers and what is computed from them alone.
        exits: The calls that returned this value, innermost first.
        uses: Operators that take it.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    floating: bool
    op: Op | None = None
    output: int = 0
    parameter: str | None = None
    exits: list[Exit] = field(default_factory=list)
    uses: list[Op] = field(default_factory=list)

    @property
    def numel(self) -> int:
        """Return the number of elements."""
        return int(torch.Size(self.shape).numel())


@dataclass(eq=False, repr=False)
class Op:
    """One operator as it was called; tensors in its arguments are replaced by their `Value`.

    ``rounds`` tells an operator of a module that does nothing but round numbers to those that a few bits can
    hold (its attribute ``only_rounds`` says so).
    """

    name: str
    func: Any
    args: Any
    kwargs: Any
    call: Call
    ordinal: int
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    rounds: bool = False

    @property
    def parameters(self) -> list[Value]:
        """Return the inputs that are parameters, or come from parameters alone."""
        return [v for v in self.inputs if v.parameter is not None]

    @property
    def weight(self) -> Value | None:
        """Return the parameter with the most dimensions, of several the largest."""
        return max(self.parameters, key=lambda v: (len(v.shape), v.numel), default=None)

    @property
    def activations(self) -> list[Value]:
        """Return the inputs that depend on the images (or are constants)."""
        return [v for v in self.inputs if v.parameter is None]


@dataclass
class Graph:
    """A recorded pass.

    Attributes:
        ops: Operators in the order in which they ran.
        parameter_shapes: Shapes of parameters and buffers by state-dict name.
        outputs: Width of the network's output if that is one tensor [N, outputs], else ``None``.
        batch: Images N in the pass.
        results: What the network returned.
        heads: Names of its outputs, where it gives several.
    """

    ops: list[Op]
    parameter_shapes: dict[str, tuple[int, ...]]
    outputs: int | None
    batch: int
    results: tuple[Value, ...]
    heads: tuple[str, ...] = ()


def op_name(func: Any) -> str:
    """Return the overload packet's name without namespace and in-place underscore."""
    name: str = func._schema.name.split("::")[-1]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


class ModuleStack:
    """Which module call is running; kept by forward hooks that are removed on exit."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._handles = ExitStack()
        self._calls: Counter[str] = Counter()
        self._stack = [Call("", 0)]

    @property
    def top(self) -> Call:
        """Return the innermost running call; ``("", 0)`` outside the model."""
        return self._stack[-1]

    def left(self, call: Call, output: Any) -> None:
        """React to the end of a call; subclasses may look at its output."""

    def __enter__(self) -> ModuleStack:
        for path, module in self._model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # Takes no hooks; its operators are seen all the same.
            before, after = self._hooks(path)
            for handle in (
                module.register_forward_pre_hook(before),
                module.register_forward_hook(after),
            ):
                self._handles.callback(handle.remove)
        return self

    def __exit__(self, *exc: object) -> None:
        self._handles.close()

    def _hooks(self, path: str) -> tuple[Any, Any]:
        def before(module: nn.Module, args: Any) -> None:
            if path == "":
                self.restart()
            self._calls[path] += 1
            self._stack.append(Call(path, self._calls[path]))

        def after(module: nn.Module, args: Any, output: Any) -> None:
            self.left(self._stack.pop(), output)

        return before, after

    def restart(self) -> None:
        """Begin to count calls anew: a forward pass starts, perhaps after one that failed."""
        self._calls.clear()
        del self._stack[1:]


class _Recorder(DispatchMode):
    """Builds the graph while the model runs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[Op] = []
        self._values: dict[int, Value] = {}
        # Tensors stay alive while recording, so that no id is used twice.
        self._alive: list[Tensor] = []
        self._multiplications: Counter[Call] = Counter()
        self._rounding = {p for p, m in model.named_modules() if getattr(m, "only_rounds", False)}
        self.stack = _ReturnWatcher(model, self)
        named = [
            *model.named_parameters(remove_duplicate=False),
            *model.named_buffers(remove_duplicate=False),
        ]
        self.shapes = {name: tuple(tensor.shape) for name, tensor in named}
        for name, tensor in named:
            if id(tensor) not in self._values:
                self._new(tensor).parameter = name

    def _new(self, tensor: Tensor) -> Value:
        value = Value(tuple(tensor.shape), tensor.stride(), tensor.dtype.is_floating_point)
        self._values[id(tensor)] = value
        self._alive.append(tensor)
        return value

    def value(self, tensor: Tensor) -> Value:
        return self._values.get(id(tensor)) or self._new(tensor)

    def known(self, tensor: Tensor) -> Value | None:
        return self._values.get(id(tensor))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        kwargs = kwargs or {}

        def replace(leaf: Any) -> Any:
            return self.value(leaf) if isinstance(leaf, Tensor) else leaf

        # Before the call: an in-place operator must be recorded with the value that it reads.
        taken = tree_map(replace, (args, kwargs))
        name = op_name(func)
        result = run(func, args, kwargs)
        inputs = [leaf for leaf in tree_leaves(taken) if isinstance(leaf, Value)]
        ordinal = 0
        if name in MULTIPLY and len(inputs) > 1:
            self._multiplications[self.stack.top] += 1
            ordinal = self._multiplications[self.stack.top]
        op = Op(name, func, taken[0], taken[1], self.stack.top, ordinal, inputs)
        op.rounds = op.call.path in self._rounding
        for value in dict.fromkeys(inputs):
            value.uses.append(op)
        constant = inputs and all(v.parameter is not None for v in inputs)
        for number, tensor in enumerate(tree_leaves(result)):
            if isinstance(tensor, Tensor):
                made = self._new(tensor)
                made.op, made.output = op, number
                if constant:
                    made.parameter = max(inputs, key=lambda v: v.numel).parameter
                op.outputs.append(made)
        self.ops.append(op)
        return result


class _ReturnWatcher(ModuleStack):
    """A module stack that tells the recorder which values a module returned."""

    def __init__(self, model: nn.Module, recorder: _Recorder) -> None:
        super().__init__(model)
        self._recorder = recorder

    def left(self, call: Call, output: Any) -> None:
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        for position, tensor in enumerate(tensors):
            if (value := self._recorder.known(tensor)) is not None:
                value.exits.append(Exit(call, position))


def record(model: nn.Module, example: Any) -> Graph:
    """Run ``model`` once on ``example``, a tensor [N, ...] or `Inputs`; modes are the caller's to set."""
    recorder = _Recorder(model)
    with torch.no_grad(), recorder.stack, recorder:
        output = call(model, example)
    logits = isinstance(output, Tensor) and output.dim() == 2
    results = [recorder.known(leaf) for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
    return Graph(
        recorder.ops,
        recorder.shapes,
        output.shape[1] if logits else None,
        len(example),
        tuple(value for value in results if value is not None),
        outputs_in(output),
    )


def is_on_meta(model: nn.Module) -> bool:
    """Return whether a network has no numbers: every parameter and buffer is a meta tensor."""
    return all(t.is_meta for t in (*model.parameters(), *model.buffers()))


def meta_copy(model: nn.Module) -> nn.Module:
    """Return a copy of the network without its numbers: meta tensors, no memory, no arithmetic."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(
            parameter.to("meta"), requires_grad=parameter.requires_grad
        )
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.to("meta")
    # Hooks of the user's must not run on the copy; torch's own (weight norm, pruning) are part of the
    # network.
    for module in model.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            kept = {k: h for k, h in hooks.items() if type(h).__module__.startswith("torch.")}
            memo[id(hooks)] = OrderedDict(kept)
    return copied(model, memo)


def walk_back(value: Value, stop: set[int] | None = None) -> Iterator[Op]:
    """Yield the operators that ``value`` depends on, the latest first of each branch.

    Args:
        value: Where to begin.
        stop: ``id`` of values whose makers are not entered.
    """
    seen: set[int] = set()
    todo = [value]
    while todo:
        current = todo.pop()
        if current.op is None or (stop and id(current) in stop) or id(current.op) in seen:
            continue
        seen.add(id(current.op))
        yield current.op
        todo.extend(current.op.inputs)
