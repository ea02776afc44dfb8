"""Running a network again with some gates replaced, and computing only what comes after them.

Everything before the first replaced gate is the same as in the undisturbed pass. That pass is therefore
run once per batch; of what it computes, the few tensors are kept that are still in use at each gate (in a
residual network: the branch and the shortcut). A later run gives those back in the place of the operators
that made them, and skips the rest. No module needs to know: the operators are told by their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from seviz.errors import CheckpointError
from seviz.gates.additions import Addition, addition, parted
from seviz.gates.attributes import attributes_restored
from seviz.gates.find import Trace, TracedBlock
from seviz.gates.graph import Graph, Op, Value, op_name, record
from seviz.gates.inputs import call
from seviz.gates.mode import DispatchMode
from seviz.gates.own_size import OwnSize
from seviz.gates.reading import ModeReading, multiplication
from seviz.gates.sites import with_gate
from seviz.gates.snapshot import Form, Keeper, Kept, Taker, writes
from seviz.gates.tap import evaluating, unwrap

# PyTorch makes new tensors pass through this where somebody else holds them, as the recorder of a graph does:
# it is no operator of the network.
_PASSING = frozenset({torch.ops.aten.detach.default})
# An output of an operator: the operator's number, and which of its outputs.
_Slot = tuple[int, int]
_KeptAt = dict[int, dict[_Slot, Kept]]


@dataclass(frozen=True)
class _Way:
    """The operators of a pass, in the order in which they run.

    Attributes:
        funcs: What they are.
        writes: Which of its arguments each writes into.
        sites: Number of the operator that applies each block's gate, by block name.
        readings: How the gate is found among its arguments, by number.
        live: For each site, the results of earlier operators that are used there or later.
        additions: How a shift is found among the arguments of the operator that adds it, and the number of
            the block's site, by number.
    """

    funcs: list[Any]
    writes: list[tuple[int | str, ...]]
    sites: Mapping[str, int]
    readings: Mapping[int, ModeReading]
    live: Mapping[int, frozenset[_Slot]]
    additions: Mapping[int, tuple[int, Addition]]


@dataclass
class _State:
    """What a pass left: where later ones can begin, and the gates that it had replaced."""

    kept: _KeptAt = field(default_factory=dict)
    replaced: dict[int, Tensor] = field(default_factory=dict)


class Rerun:
    """One batch through a network as often as asked, each time with other gates replaced.

    Where a block shifts its map as well, a new gate of C numbers leaves the shift as it is; 2C numbers are
    the gate, then the shift.

    Runs of one batch must be in the same context of automatic mixed precision, with its cache off: a
    cached weight would be one operator less in the second run.

    Args:
        model: The network; its parameters and flags are not touched.
        trace: What `seviz.gates.trace` found in it.
        example: Two images or more on the network's device, of the size of the batches to come.

    Raises:
        CheckpointError: If the network takes another way for these images than in the traced pass; from
            every run, if a shift is given that cannot be replaced.

    >>> from seviz.gates import trace
    >>> from seviz.networks.architectures.registry import build
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
        self._by_name = {t.block.name: _reading(t) for t in trace.blocks}
        self._channels = {t.block.name: t.block.channels for t in trace.blocks}
        self._graph = trace.graph
        sums = {t.block.name: addition(t) for t in trace.blocks if t.block.shift}
        self._sums = {name: found for name, found in sums.items() if found is not None}
        self._way = self._recorded(example[:2])
        self._images: Tensor | None = None
        self._forms: list[Any] = []
        self._first, self._latest = _State(), _State()
        self._shifts: dict[str, Tensor] = {}

    def _recorded(self, images: Tensor) -> _Way:
        """Return the way that the network takes for these images."""
        with evaluating(self._model), attributes_restored(self._model), torch.no_grad():
            graph = record(self._model, images.clone())
        ops = [op for op in graph.ops if op.func not in _PASSING]
        sites = _numbered(ops, self._by_name)
        return _Way(
            [op.func for op in ops],
            [writes(op.func) for op in ops],
            sites,
            {sites[name]: reading for name, reading in self._by_name.items()},
            _live(ops, set(sites.values())),
            self._additions(graph, ops, sites) if self._sums else {},
        )

    def _additions(
        self, graph: Graph, ops: Sequence[Op], sites: Mapping[str, int]
    ) -> dict[int, tuple[int, Addition]]:
        number, same = {op: n for n, op in enumerate(ops)}, OwnSize(self._graph, graph)
        found = {}
        for name, sum_ in self._sums.items():
            op = same.op(sum_.op)
            if op is None:
                raise _another_way(name)
            found[number[op]] = sites[name], sum_
        return found

    @property
    def order(self) -> list[str]:
        """Return the names of the blocks in the order of the pass."""
        return sorted(self._way.sites, key=self._way.sites.__getitem__)

    def baseline(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the undisturbed network, and keep what later runs begin with.

        Args:
            images: A batch [N, ...] on the network's device.

        Returns:
            The network's output, and the gates [N, C] of every block.
        """
        gates: dict[str, Tensor] = {}
        return self._from_images(images, {}, gates), gates

    @property
    def shifts(self) -> dict[str, Tensor]:
        """Return the shifts [N, C] of the last `baseline`, of each block whose shift can be replaced."""
        return self._shifts

    def begin(self, images: Tensor, gates: Mapping[str, Tensor]) -> Tensor:
        """Run a batch with some gates replaced, for `further` runs with more of them.

        Args:
            images: A batch [N, ...] on the network's device.
            gates: Gates [C] for all images, or [N, C], by block name; with shifts [2C] or [N, 2C].

        Returns:
            The network's output.
        """
        return self._from_images(images, self._numbered(gates))

    def replaced(self, gates: Mapping[str, Tensor]) -> Tensor:
        """Run the batch of the last `baseline` or `begin` with other gates.

        Args:
            gates: Gates [C] for all images, or [N, C], by block name; with shifts [2C] or [N, 2C].

        Returns:
            The network's output.
        """
        return self._on_from(self._first, self._numbered(gates))

    def further(self, gates: Mapping[str, Tensor]) -> Tensor:
        """Run it with these gates and all those of `further` runs since, as well as those of `begin`.

        Only what comes after the new ones is computed.

        Args:
            gates: Gates [C] for all images, or [N, C], by block name; with shifts [2C] or [N, 2C].

        Returns:
            The network's output.
        """
        kept: _KeptAt = {}
        changed = self._numbered(gates)
        output = self._on_from(self._latest, changed, kept)
        state = self._latest
        self._latest = _State({**state.kept, **kept}, {**state.replaced, **changed})
        return output

    def _numbered(self, gates: Mapping[str, Tensor]) -> dict[int, Tensor]:
        for name, gate in gates.items():
            if gate.shape[-1] > self._channels[name] and name not in self._sums:
                raise CheckpointError(
                    f"expected a shift that is added to the scaled map as it is, found {name} with another; "
                    "its gate alone can be replaced, so leave it out"
                )
        return {self._way.sites[name]: gate for name, gate in gates.items()}

    def _from_images(
        self, images: Tensor, changed: dict[int, Tensor], gates: dict[str, Tensor] | None = None
    ) -> Tensor:
        # A network may write into its input, which is the caller's.
        self._images = images.clone()
        try:
            return self._begun(changed, gates)
        except _AnotherWayError:
            # What it kept of an earlier input may be for this number of images, and no other.
            names = {number: name for name, number in self._way.sites.items()}
            by_name = {names[number]: gate for number, gate in changed.items()}
            self._way = self._recorded(images)
            return self._begun(self._numbered(by_name), gates)

    def _begun(self, changed: dict[int, Tensor], gates: dict[str, Tensor] | None) -> Tensor:
        forms: list[Any] = []
        first = _State({}, changed)
        names = {number: name for name, number in self._way.sites.items()}

        def read(number: int, gate: Tensor) -> None:
            if gates is not None:
                reading = self._way.readings[number]
                gates[names[number]] = reading.read(gate, self._model)

        shifts: dict[str, Tensor] = {}

        def read_shift(number: int, args: Any) -> None:
            site, sum_ = self._way.additions[number]
            shifts[names[site]] = sum_.read(args, self._model)

        output = self._run(
            _Pass(
                self._way,
                changed,
                keep=first.kept,
                forms=forms,
                read=read,
                read_shift=read_shift if gates is not None else None,
            )
        )
        self._shifts = shifts
        self._forms = forms
        self._first = self._latest = first
        return output

    def _on_from(
        self, state: _State, changed: dict[int, Tensor], keep: _KeptAt | None = None
    ) -> Tensor:
        if self._images is None:
            raise ValueError("expected a baseline before the first run with other gates")
        begin = min(changed)
        return self._run(
            _Pass(
                self._way,
                {**state.replaced, **changed},
                begin=begin,
                start=state.kept[begin],
                old=self._forms,
                keep=keep,
            )
        )

    def _run(self, way: _Pass) -> Tensor:
        assert self._images is not None
        # Another tensor each time: a skipped write into the input gives it other memory.
        images = self._images.detach()
        with evaluating(self._model), attributes_restored(self._model), torch.no_grad(), way:
            output: Tensor = call(self._model, images)
        way.check_end()
        return output


def _reading(traced: TracedBlock) -> ModeReading:
    if len(traced.sites) > 1:
        raise CheckpointError(
            f"expected a gate that is applied in one place, found {traced.block.name} in "
            f"{len(traced.sites)}; gates that weigh separate maps can be read, and not replaced"
        )
    site, per_pixel = traced.site, traced.block.mechanism.per_pixel
    if per_pixel and any(site.op.args[n] is site.gate for n in writes(site.op.func) if n in (0, 1)):
        raise CheckpointError(
            f"expected a gate that its product leaves as it is, found {traced.block.name}, which the product "
            "is written into; it can be read, and not replaced"
        )
    return multiplication(site.op, site.gate, site.scaled, traced.dims, per_pixel=per_pixel)


def _numbered(ops: Sequence[Op], readings: Mapping[str, ModeReading]) -> dict[str, int]:
    """Return the number of the operator that applies each block's gate."""
    places = {(op.call, op.ordinal): n for n, op in enumerate(ops) if op.ordinal}
    sites = {}
    for name, reading in readings.items():
        number = places.get((reading.call, reading.ordinal))
        if number is None:
            raise _another_way(name)
        sites[name] = number
    return sites


class _AnotherWayError(CheckpointError):
    """A network that does not run the operators that it ran before."""


def _another_way(name: str = "its blocks") -> _AnotherWayError:
    return _AnotherWayError(
        f"expected the network to take the same way through {name} as in the traced pass, found another; "
        "give --input-size as the images have it"
    )


def _live(ops: Sequence[Op], sites: set[int]) -> dict[int, frozenset[_Slot]]:
    """Return, for each site, the results of earlier operators that are used there or later."""
    number = {id(op): n for n, op in enumerate(ops)}
    spans: dict[_Slot, int] = {}
    for n, op in enumerate(ops):
        for output, value in enumerate(op.outputs):
            used = [number[id(use)] for use in _uses(value)]
            if used:
                spans[n, output] = max(used)
    return {
        site: frozenset(slot for slot, last in spans.items() if slot[0] < site <= last)
        for site in sites
    }


def _uses(value: Value) -> Iterator[Op]:
    """Yield the operators that take a value, or what only passes it on."""
    for use in value.uses:
        if use.func in _PASSING:
            yield from _uses(use.outputs[0])
        else:
            yield use


class _Pass(DispatchMode):
    """Counts operators as the recorder of a graph does, and checks that they are the same ones.

    Args:
        way: The operators.
        changed: The gates to be replaced, by the number of their site.
        begin: The first operator that is run.
        start: What is in use there, of what comes before.
        old: Forms of the results of all operators, for those that are skipped.
        keep: Filled with what is in use at each site from ``begin`` on.
        forms: Filled with the forms of all results.
        read: Given each site's number and gate, before it is replaced.
        read_shift: Given the number and the arguments of each operator that adds a shift, likewise.
    """

    def __init__(
        self,
        way: _Way,
        changed: Mapping[int, Tensor],
        *,
        begin: int = 0,
        start: Mapping[_Slot, Kept] | None = None,
        old: list[Any] | None = None,
        keep: _KeptAt | None = None,
        forms: list[Any] | None = None,
        read: Callable[[int, Tensor], None] | None = None,
        read_shift: Callable[[int, Any], None] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._way, self._changed, self._begin = way, changed, begin
        self._start, self._old = start or {}, old or []
        self._keep, self._forms, self._read = keep, forms, read
        self._read_shift = read_shift
        self._number = 0
        self._taker, self._keeper = Taker(), Keeper()
        self._wanted: frozenset[_Slot] = frozenset().union(*way.live.values())
        self._held: dict[_Slot, Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        if func in _PASSING:
            return func(*args, **(kwargs or {}))
        number, self._number = self._number, self._number + 1
        if number >= len(self._way.funcs) or self._way.funcs[number] is not func:
            raise _another_way()
        kwargs = kwargs or {}
        targets = [args[w] if isinstance(w, int) else kwargs[w] for w in self._way.writes[number]]
        if number < self._begin:
            result = self._skipped(number, targets)
        else:
            result = self._computed(number, func, args, kwargs, targets)
        if self._keep is not None:
            for output, leaf in enumerate(tree_leaves(result)):
                if (number, output) in self._wanted:
                    self._held[number, output] = leaf
        return result

    def check_end(self) -> None:
        if self._number != len(self._way.funcs):
            raise _another_way()

    def _computed(self, number: int, func: Any, args: Any, kwargs: Any, targets: list[Any]) -> Any:
        reading = self._way.readings.get(number)
        if reading is not None:
            if self._keep is not None:
                slots = self._way.live[number]
                self._keep[number] = {s: self._keeper.keep(self._held[s]) for s in slots}
            if self._read is not None:
                self._read(number, args[_place(func, reading)])
            if number in self._changed:
                args = with_gate(func, args, reading, self._parted(number, reading)[0])
        if number in self._way.additions:
            args = self._shifted(number, args)
        if self._keep is not None and targets:
            self._keeper.before_writing(targets)
        result = func(*args, **kwargs)
        if self._forms is not None:
            self._forms.append(tree_map(_form, result))
        return result

    def _parted(self, site: int, reading: ModeReading) -> tuple[Tensor, Tensor | None]:
        """Return the new gate of a site, and the new shift, if there is one."""
        return parted(self._changed[site], math.prod(reading.sizes))

    def _shifted(self, number: int, args: Any) -> Any:
        """Return the arguments of the operator that adds a shift, with the new one if there is one."""
        site, sum_ = self._way.additions[number]
        if self._read_shift is not None:
            self._read_shift(number, args)
        shift = self._parted(site, sum_.reading)[1] if site in self._changed else None
        return args if shift is None else sum_.replaced(args, shift)

    def _skipped(self, number: int, targets: list[Any]) -> Any:
        if len(targets) == 1 and isinstance(targets[0], Tensor):
            # In place: whoever holds the tensor sees the new values.
            kept = self._start.get((number, 0))
            return targets[0] if kept is None else self._taker.put(kept, targets[0])
        leaves = iter(range(len(tree_leaves(self._old[number]))))

        def stand_in(form: Any) -> Any:
            kept = self._start.get((number, next(leaves)))
            if kept is not None:
                return self._taker.take(kept)
            return form.empty() if isinstance(form, Form) else form

        return tree_map(stand_in, self._old[number])


def _form(leaf: Any) -> Any:
    return Form.of(leaf) if isinstance(leaf, Tensor) else leaf


def _place(func: Any, reading: ModeReading) -> int:
    """Return the position of the gate among the arguments of a multiplication."""
    return reading.factor + (op_name(func) == "addcmul")
