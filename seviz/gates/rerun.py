"""Running a network again with some gates replaced, and computing only what comes after them.

Everything before the first replaced gate is the same as in the undisturbed pass. That pass is therefore
run once per batch; of what it computes, the few tensors are kept that are still in use at each gate (in a
residual network: the branch and the shortcut). A later run gives those back in the place of the operators
that made them, and skips the rest. No module needs to know: the operators are told by their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from seviz.errors import CheckpointError
from seviz.gates.classify import channel_dim
from seviz.gates.find import Trace, TracedBlock
from seviz.gates.graph import Graph, op_name, record
from seviz.gates.reading import ModeReading, multiplication
from seviz.gates.tap import evaluating, unwrap

# An output of an operator: the operator's number, and which of its outputs.
_Slot = tuple[int, int]


@dataclass(frozen=True)
class _Form:
    """What is needed to make a tensor that stands for another."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def empty(self) -> Tensor:
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=self.device)


class Rerun:
    """One batch through a network as often as asked, each time with other gates replaced.

    Args:
        model: The network; its parameters and flags are not touched.
        trace: What `seviz.gates.trace` found in it.
        example: Two images or more on the network's device, of the size of the batches to come.

    Raises:
        CheckpointError: If the network takes another way for these images than in the traced pass.

    >>> from seviz.gates import trace
    >>> from seviz.models.registry import build
    >>> model = build("se_resnet14").eval()
    >>> images = torch.rand(4, 3, 32, 32)
    >>> rerun = Rerun(model, trace(model, (3, 32, 32)), images)
    >>> logits, gates = rerun.baseline(images)
    >>> other = rerun.replaced({"SE_3_1": torch.ones(32)})
    >>> bool(torch.equal(logits, rerun.replaced({"SE_4_2": gates["SE_4_2"]})))
    True
    """

    def __init__(self, model: nn.Module, trace: Trace, example: Tensor) -> None:
        self._model = unwrap(model)
        self._readings = {t.block.name: _reading(t) for t in trace.blocks}
        with evaluating(self._model), torch.no_grad():
            graph = record(self._model, example[:2])
        self._way = [op.func for op in graph.ops]
        self._sites = self._numbered(graph)
        self._live = _live(graph, set(self._sites.values()))
        self._kept: dict[int, dict[_Slot, Tensor]] = {}
        self._forms: list[Any] = []
        self._images: Tensor | None = None

    @property
    def order(self) -> list[str]:
        """Return the names of the blocks in the order of the pass."""
        return sorted(self._sites, key=self._sites.__getitem__)

    def _numbered(self, graph: Graph) -> dict[str, int]:
        """Return the number of the operator that applies each block's gate."""
        places = {(op.call, op.ordinal): n for n, op in enumerate(graph.ops) if op.ordinal}
        sites = {}
        for name, reading in self._readings.items():
            number = places.get((reading.call, reading.ordinal))
            if number is None:
                raise _another_way(name)
            sites[name] = number
        return sites

    def baseline(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the undisturbed network, and keep what later runs begin with.

        Args:
            images: A batch [N, ...] on the network's device.

        Returns:
            The network's output, and the gates [N, C] of every block.
        """
        keeper = _Keeper(self._way, self._sites, self._readings, self._live, self._model)
        with evaluating(self._model), torch.no_grad(), keeper:
            output: Tensor = self._model(images)
        keeper.check_end()
        self._kept, self._forms, self._images = keeper.kept, keeper.forms, images
        return output, keeper.gates

    def replaced(self, gates: Mapping[str, Tensor]) -> Tensor:
        """Run the batch of the last `baseline` with other gates.

        Args:
            gates: Gates [C] for all images, or [N, C], by block name.

        Returns:
            The network's output.
        """
        if self._images is None:
            raise ValueError("expected a baseline before the first run with other gates")
        changed = {self._sites[name]: (self._readings[name], g) for name, g in gates.items()}
        begin = min(changed)
        player = _Player(self._way, changed, begin, self._kept[begin], self._forms)
        with evaluating(self._model), torch.no_grad(), player:
            output: Tensor = self._model(self._images)
        player.check_end()
        return output


def _reading(traced: TracedBlock) -> ModeReading:
    site = traced.site
    channel = channel_dim(site)
    assert channel is not None, "a gate that varies over one dimension is what makes an SE block"
    return multiplication(site.op, site.gate, site.scaled, channel)


def _another_way(name: str = "its blocks") -> CheckpointError:
    return CheckpointError(
        f"expected the network to take the same way through {name} as in the traced pass, found another; "
        "give --input-size as the images have it"
    )


def _live(graph: Graph, sites: set[int]) -> dict[int, frozenset[_Slot]]:
    """Return, for each site, the results of earlier operators that are used there or later."""
    number = {id(op): n for n, op in enumerate(graph.ops)}
    spans: dict[_Slot, int] = {}
    for n, op in enumerate(graph.ops):
        for output, value in enumerate(op.outputs):
            if value.parameter is None and value.uses:
                spans[n, output] = max(number[id(use)] for use in value.uses)
    return {
        site: frozenset(slot for slot, last in spans.items() if slot[0] < site <= last)
        for site in sites
    }


class _Numbering(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operators, as the recorder of a graph does, and checks that they are the same ones."""

    def __init__(self, way: list[Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._way, self.number = way, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        number, self.number = self.number, self.number + 1
        if number >= len(self._way) or self._way[number] is not func:
            raise _another_way()
        return self.run(number, func, args, kwargs or {})

    def run(self, number: int, func: Any, args: Any, kwargs: Any) -> Any:
        raise NotImplementedError

    def check_end(self) -> None:
        if self.number != len(self._way):
            raise _another_way()


class _Keeper(_Numbering):  # type: ignore[no-untyped-call]
    """Keeps copies of what is in use at each site, and the gates."""

    def __init__(
        self,
        way: list[Any],
        sites: Mapping[str, int],
        readings: Mapping[str, ModeReading],
        live: Mapping[int, frozenset[_Slot]],
        model: nn.Module,
    ) -> None:
        super().__init__(way)
        self._names = {number: name for name, number in sites.items()}
        self._readings, self._live, self._model = readings, live, model
        self._wanted = frozenset().union(*live.values())
        self._held: dict[_Slot, Tensor] = {}
        self._copies: dict[tuple[_Slot, int], Tensor] = {}
        self.kept: dict[int, dict[_Slot, Tensor]] = {}
        self.forms: list[Any] = []
        self.gates: dict[str, Tensor] = {}

    def run(self, number: int, func: Any, args: Any, kwargs: Any) -> Any:
        if (name := self._names.get(number)) is not None:
            self.kept[number] = {slot: self._copy(slot) for slot in self._live[number]}
            reading = self._readings[name]
            self.gates[name] = reading.read(_factors(func, args)[reading.factor], self._model)
        result = func(*args, **kwargs)
        self.forms.append(tree_map(_form, result))
        for output, leaf in enumerate(tree_leaves(result)):
            if (number, output) in self._wanted:
                self._held[number, output] = leaf
        return result

    def _copy(self, slot: _Slot) -> Tensor:
        tensor = self._held[slot]
        # Later sites may need it as well; in-place operators in between make it another.
        key = slot, tensor._version
        if key not in self._copies:
            self._copies[key] = tensor.detach().clone()
        return self._copies[key]


class _Player(_Numbering):  # type: ignore[no-untyped-call]
    """Skips what comes before ``begin``, and replaces gates from there on."""

    def __init__(
        self,
        way: list[Any],
        changed: Mapping[int, tuple[ModeReading, Tensor]],
        begin: int,
        kept: Mapping[_Slot, Tensor],
        forms: list[Any],
    ) -> None:
        super().__init__(way)
        self._changed, self._begin, self._kept, self._forms = changed, begin, kept, forms

    def run(self, number: int, func: Any, args: Any, kwargs: Any) -> Any:
        if number < self._begin:
            return self._skipped(number, func, args)
        if number in self._changed:
            reading, gate = self._changed[number]
            args = _with_gate(func, args, reading, gate)
        return func(*args, **kwargs)

    def _skipped(self, number: int, func: Any, args: Any) -> Any:
        if func._schema.name.endswith("_") and isinstance(args[0], Tensor):
            # In place: whoever holds the tensor sees the new values.
            if (number, 0) in self._kept:
                args[0].copy_(self._kept[number, 0])
            return args[0]
        leaves = iter(range(len(tree_leaves(self._forms[number]))))

        def stand_in(form: Any) -> Any:
            slot = number, next(leaves)
            if slot in self._kept:
                return self._kept[slot].clone()
            return form.empty() if isinstance(form, _Form) else form

        return tree_map(stand_in, self._forms[number])


def _form(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    return _Form(tuple(leaf.shape), leaf.stride(), leaf.dtype, leaf.device)


def _factors(func: Any, args: Any) -> Any:
    return args[1:3] if op_name(func) == "addcmul" else args[:2]


def _with_gate(func: Any, args: Any, reading: ModeReading, gate: Tensor) -> Any:
    """Return the arguments of a multiplication with another gate."""
    place = reading.factor + (op_name(func) == "addcmul")
    old = args[place]
    shape = [1] * reading.rank
    shape[0] = gate.shape[0] if gate.dim() == 2 else 1
    shape[reading.channel] = reading.channels
    new = gate.to(device=old.device, dtype=old.dtype).reshape(shape)
    return (*args[:place], new, *args[place + 1 :])
