"""Reading gates while a network runs, and leaving no trace of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils._pytree import tree_leaves

from seviz.errors import CheckpointError
from seviz.gates.graph import Call, ModuleStack, op_name
from seviz.gates.inputs import call
from seviz.gates.mode import DispatchMode
from seviz.gates.ops import MULTIPLY
from seviz.gates.reading import HookReading, ModeReading, Reading

__all__ = ["Tap", "evaluating", "require_weights", "uncompiled", "unwrap"]

# A block's name, and which part of its gate.
_Part = tuple[str, int]


def unwrap(model: nn.Module) -> nn.Module:
    """Return the network inside ``torch.compile`` and data-parallel wrappers.

    Hooks that are added to a compiled module after its first call never fire; on the module inside
    they do.
    """
    while True:
        if hasattr(model, "_orig_mod"):
            inner = model._orig_mod
        elif type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
            inner = model.module
        else:
            return model
        assert isinstance(inner, nn.Module)
        model = inner


def require_weights(model: nn.Module) -> None:
    """Raise unless all weights of a network are there.

    Raises:
        CheckpointError: If layers wait for their first batch to know their size (``nn.LazyLinear``).
    """
    lazy = [
        name or type(module).__name__
        for name, module in model.named_modules()
        if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params()
    ]
    if lazy:
        more = f" and {len(lazy) - 1} more" if len(lazy) > 1 else ""
        raise CheckpointError(
            f"expected a network whose weights are there, found {lazy[0]}{more} waiting for a first batch; "
            "call the network once"
        )


def uncompiled(model: nn.Module) -> nn.Module:
    """Return the network inside ``torch.compile``: compiled for another batch, its hooks may not fire."""
    while hasattr(model, "_orig_mod"):
        inner = model._orig_mod
        assert isinstance(inner, nn.Module)
        model = inner
    return model


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Hold every module in evaluation mode and uncompiled, and give each its own flag back.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1).eval())
    >>> with evaluating(model):
    ...     [m.training for m in model]
    [False, False]
    >>> [m.training for m in model]
    [True, False]
    """
    flags = [(module, module.training) for module in model.modules()]
    # Of ``module.compile()``, which compiles in place.
    compiled = [
        (m, m._compiled_call_impl)
        for m, _ in flags
        if getattr(m, "_compiled_call_impl", None) is not None
    ]
    try:
        for module, _ in compiled:
            module._compiled_call_impl = None
        for module, _ in flags:
            # Not .eval(): networks override train() to freeze or to fuse.
            module.training = False
        yield model
    finally:
        for module, flag in flags:
            module.training = flag
        for module, call in compiled:
            module._compiled_call_impl = call


class Tap:
    """Context manager that reads the gates of one forward pass after the other.

    Hooks are armed on entry and removed, each by its own handle, on exit. The network's output,
    parameters and flags are not touched.

    Args:
        model: The network; wrappers of ``torch.compile`` and data parallelism are looked through.
        readings: How to read each block: ``Found.readings`` or a part of it, or a `Found`.
        stop: Whether `run` ends a pass once every gate is read.

    Raises:
        CheckpointError: If the network is a program of TorchScript.

    >>> from seviz.gates import find
    >>> from seviz.networks.architectures.registry import build
    >>> import torch
    >>> model = build("se_resnet14")
    >>> with Tap(model, find(model, (3, 32, 32))) as tap, torch.no_grad():
    ...     _ = model(torch.rand(5, 3, 32, 32))
    ...     {name: tuple(gate.shape) for name, gate in tap.take().items()}
    {'SE_2_1': (5, 16), 'SE_2_2': (5, 16), 'SE_3_1': (5, 32),
     'SE_3_2': (5, 32), 'SE_4_1': (5, 64), 'SE_4_2': (5, 64)}
    """

    def __init__(self, model: nn.Module, readings: Any, *, stop: bool = False) -> None:
        self._whole, self._model = model, unwrap(model)
        if isinstance(self._model, torch.jit.ScriptModule):
            raise CheckpointError(
                "expected a network of Python modules to read gates in, found a "
                f"{type(self._model).__name__}, which takes no hooks; give the module that it was made from, "
                "or load its weights into one"
            )
        self._stop = stop
        chosen: Mapping[str, Reading] = getattr(readings, "se_readings", readings)
        self._parts: dict[str, list[_Part]] = {}
        self._hooked: dict[str, dict[int, list[tuple[_Part, HookReading]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        watched: dict[tuple[Call, int], list[tuple[_Part, ModeReading]]] = defaultdict(list)
        for name, whole in chosen.items():
            self._parts[name] = [(name, number) for number in range(len(whole.parts))]
            for part, reading in zip(self._parts[name], whole.parts, strict=True):
                if isinstance(reading, HookReading):
                    self._hooked[reading.call.path][reading.call.number].append((part, reading))
                else:
                    watched[reading.call, reading.ordinal].append((part, reading))
        self._watcher = _Watcher(self._model, dict(watched), self._keep) if watched else None
        self._calls: Counter[str] = Counter()
        self._gates: dict[_Part, Tensor] = {}
        self._armed = ExitStack()

    def __enter__(self) -> Tap:
        modules = dict(self._model.named_modules())
        with ExitStack() as stack:

            def arm(handle: Any) -> None:
                stack.callback(handle.remove)

            arm(self._model.register_forward_pre_hook(self._restart))
            for path, calls in self._hooked.items():
                arm(modules[path].register_forward_hook(self._hook(path, calls)))
            if self._watcher is not None:
                stack.enter_context(self._watcher)
            self._armed = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._armed.close()
        self._gates.clear()

    def run(self, images: Any) -> Any:
        """Run the network; return its output, or ``None`` where the pass was ended after the last gate."""
        try:
            return call(self._whole, images)
        except _EveryGateIsRead:
            return None

    def take(self) -> dict[str, Tensor]:
        """Return the gates [N, C] of the last forward pass, by block name, and forget them.

        Raises:
            CheckpointError: If the pass did not run every block.
        """
        missing = [
            n for n, parts in self._parts.items() if any(p not in self._gates for p in parts)
        ]
        if missing:
            raise CheckpointError(
                f"expected a gate from each of {len(self._parts)} blocks, found none from "
                f"{', '.join(missing[:5])}; the network takes another way through its blocks for "
                "these images than in the traced pass"
            )
        read = {name: [self._gates[p] for p in parts] for name, parts in self._parts.items()}
        self._gates = {}
        return {name: g[0] if len(g) == 1 else torch.cat(g, 1) for name, g in read.items()}

    def _keep(self, part: _Part, gate: Tensor) -> None:
        self._gates[part] = gate
        if self._stop and len(self._gates) == sum(map(len, self._parts.values())):
            raise _EveryGateIsRead

    def _restart(self, module: nn.Module, args: Any) -> None:
        self._calls.clear()
        self._gates.clear()

    def _hook(self, path: str, calls: Mapping[int, list[tuple[_Part, HookReading]]]) -> Any:
        def after(module: nn.Module, args: Any, output: Any) -> None:
            self._calls[path] += 1
            for part, reading in calls.get(self._calls[path], ()):
                tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
                self._keep(part, reading.read(tensors[reading.output], self._model))

        return after


class _EveryGateIsRead(BaseException):  # no error, and not for a network to catch
    """Ends a forward pass of which the rest is not needed."""


class _Watcher(DispatchMode):
    """Sees every multiplication of the pass; for gates that no module returns."""

    def __init__(
        self,
        model: nn.Module,
        wanted: dict[tuple[Call, int], list[tuple[_Part, ModeReading]]],
        keep: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._model, self._wanted, self._keep = model, wanted, keep
        self._counts: Counter[Call] = Counter()
        self._stack = CountingStack(model, self._counts)

    def __enter__(self) -> Any:
        self._stack.__enter__()
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)  # type: ignore[no-untyped-call]
        self._stack.__exit__(*exc)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        if op_name(func) in MULTIPLY and sum(isinstance(a, Tensor) for a in args) > 1:
            top = self._stack.top
            self._counts[top] += 1
            for part, reading in self._wanted.get((top, self._counts[top]), ()):
                factors = args[1:3] if op_name(func) == "addcmul" else args[:2]
                self._keep(part, reading.read(factors[reading.factor], self._model))
        return func(*args, **(kwargs or {}))


class CountingStack(ModuleStack):
    """A module stack whose restart also restarts the count of multiplications."""

    def __init__(self, model: nn.Module, counts: Counter[Call]) -> None:
        super().__init__(model)
        self._counts = counts

    def restart(self) -> None:
        super().restart()
        self._counts.clear()
