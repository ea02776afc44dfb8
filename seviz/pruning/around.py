"""The layers around a block, by data flow: what makes the map that it scales, and what reads it next.

From the multiplication the channels are followed through the recorded pass, forwards and backwards: through
norms, activations, pooling, sums and changes of shape, to the first layers with weights. Names play no part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from seviz.gates import Trace, TracedBlock, unwrap
from seviz.gates.elementwise import is_elementwise
from seviz.gates.graph import Op, Value
from seviz.gates.ops import CONVOLUTION, JOIN, LINEAR, NORM, POOL, REDUCE, SOFTMAX, VIEW
from seviz.pruning.folding.absorbing import moved
from seviz.results.channels import Around
from seviz.results.stats import Floats

# Of the same size afterwards, and in another order, or a mixture.
_MIXING = (
    frozenset(
        [
            "flip",
            "roll",
            "cumsum",
            "cumprod",
            "logcumsumexp",
            "sort",
            "index",
            "gather",
            "scatter",
            "index_put",
            "channel_shuffle",
            "native_channel_shuffle",
            "rot90",
            "tril",
            "triu",
        ]
    )
    | SOFTMAX
)
# Which channel each number along a dimension belongs to; -1 for none of the block's.
_Owners = npt.NDArray[np.int64]


def around(model: nn.Module, traced: Trace) -> dict[str, Around]:
    """Return what is around each block of a network, by name; blocks that weigh maps apart are left out.

    The norm of channel c is taken over all weights that multiply it in the layers that read the scaled map
    next: the root of the sum of squares of ``W[:, c]`` (of one group, in grouped convolutions; of all
    pixels, where the map is flattened first). After a sum (a shortcut) what reads the sum counts; where a
    layer reads the map and a shortcut passes it on beside it, the layer alone does, and `Around.passed_on`
    says so. The excitations of blocks further on are no readers.

    Args:
        model: The network.
        traced: What was found in it.

    >>> import seviz
    >>> from seviz.gates import trace
    >>> net = seviz.load(seviz.sample("se_resnet_digits")).model
    >>> found = around(net, trace(net, (1, 8, 8)))["SE_4_2"]
    >>> found.made_by, found.read_by, found.norm.shape
    (('layer3.1.conv2.weight',), ('fc.weight',), (64,))
    """
    model = unwrap(model)
    tensors = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers()),
    }
    excitations = {op for block in traced.blocks for op in block.excitation.ops}
    return {
        block.block.name: _Walk(block, excitations, tensors).found()
        for block in traced.blocks
        if len(block.sites) == 1
    }


@dataclass
class _Walk:
    block: TracedBlock
    excitations: set[Op]
    tensors: Mapping[str, Tensor]
    squares: Floats = field(init=False)
    read_by: dict[str, None] = field(default_factory=dict)
    made_by: dict[str, None] = field(default_factory=dict)
    lost: dict[str, None] = field(default_factory=dict)
    passed_on: bool = False

    def found(self) -> Around:
        self.squares = np.zeros(self.block.block.channels)
        site, dims = self.block.site, self.block.dims
        product = site.op.outputs[0]
        if len(dims) == 1:
            self._forwards(product, dims[0], np.arange(product.shape[dims[0]]))
            self._backwards(site.scaled, set())
        else:  # several maps in one tensor, which a sum makes one
            self.lost["stacked maps"] = None
        name = self.block.block.name
        norm = np.sqrt(self.squares)
        return Around(
            name, tuple(self.made_by), tuple(self.read_by), norm, tuple(self.lost), self.passed_on
        )

    # Forwards

    def _forwards(self, start: Value, dim: int, owners: _Owners) -> None:
        todo, seen = [(start, dim, owners)], set()
        while todo:
            value, place, own = todo.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            uses = [op for op in dict.fromkeys(value.uses) if op not in self.excitations]
            readers = [op for op in uses if self._weight(op, value) is not None]
            for op in readers:
                self._read(op, value, place, own)
            # What reads the map next is known; beyond a shortcut there are others, further on.
            if readers:
                others = [op for op in uses if op not in readers]
                self.passed_on |= any(op.outputs and op.outputs[0].uses for op in others)
            else:
                todo += [step for op in uses for step in self._step(op, value, place, own)]

    def _weight(self, op: Op, value: Value) -> tuple[str, int] | None:
        """Return the weight of a layer that reads a value, and along which dimension it has its inputs."""
        if op.name not in LINEAR or op.weight is None or op.weight is value:
            return None
        name = op.weight.parameter
        if name is None or name not in self.tensors or value not in op.activations:
            return None
        return (name, 1) if self.tensors[name].dim() > 1 else None

    def _read(self, op: Op, value: Value, dim: int, owners: _Owners) -> None:
        found = self._weight(op, value)
        assert found is not None
        name, inputs = found
        weight = self.tensors[name].detach().double().cpu()
        last = dim == len(value.shape) - 1
        if op.name in CONVOLUTION:
            fits = dim == 1
            groups = len(owners) // weight.shape[inputs] if weight.shape[inputs] else 0
        else:
            fits, groups = last, 1
        if not fits or groups * weight.shape[inputs] != len(owners) or weight.shape[0] % groups:
            self.lost[op.name] = None
            return
        # Each group of outputs reads its own group of inputs: [groups, outputs, inputs, ...].
        grouped = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        squares = (grouped**2).movedim(2, 1).flatten(2).sum(-1).flatten().numpy()
        known = owners >= 0
        np.add.at(self.squares, owners[known], squares[known])
        self.read_by[name] = None

    def _step(
        self, op: Op, value: Value, dim: int, owners: _Owners
    ) -> Iterator[tuple[Value, int, _Owners]]:
        """Yield where an operator has the channels afterwards."""
        if not op.outputs:
            return
        out = op.outputs[0]
        if not out.uses or not out.floating:
            return
        place: int | None = None
        if op.name in VIEW:
            yield from self._viewed(op, value, dim, owners)
            return
        if op.name in JOIN and op.name == "cat":
            yield from self._joined(op, value, dim, owners)
            return
        if op.name in POOL:
            place = moved(value, out, dim) if op.inputs[0] is value else None
        elif op.name in REDUCE:
            place = _reduced(op, value, dim)
        elif op.name in _MIXING:
            place = None
        elif op.name in NORM or is_elementwise(op) or out.shape == value.shape:
            place = dim if out.shape == value.shape else None
        elif op.name.startswith(("upsample", "_upsample", "constant_pad", "reflection_pad")):
            place = moved(value, out, dim)
        if place is None:
            self.lost[op.name] = None
        else:
            yield out, place, owners

    def _viewed(
        self, op: Op, value: Value, dim: int, owners: _Owners
    ) -> Iterator[tuple[Value, int, _Owners]]:
        out = op.outputs[0]
        place = moved(value, out, dim)
        if place is not None:
            yield out, place, owners
            return
        # Flattened: each channel becomes as many numbers as it has pixels.
        before = math.prod(value.shape[:dim])
        for place, size in enumerate(out.shape):
            each = math.prod(value.shape[dim + 1 :])
            if math.prod(out.shape[:place]) == before and size == len(owners) * each:
                yield out, place, np.repeat(owners, each)
                return
        self.lost[op.name] = None

    def _joined(
        self, op: Op, value: Value, dim: int, owners: _Owners
    ) -> Iterator[tuple[Value, int, _Owners]]:
        out = op.outputs[0]
        given = op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)
        if given % len(out.shape) != dim:
            yield out, dim, owners
            return
        parts = [
            owners if part is value else np.full(part.shape[dim], -1, np.int64)
            for part in op.inputs
        ]
        yield out, dim, np.concatenate(parts)

    # Backwards

    def _backwards(self, value: Value, seen: set[int]) -> None:
        op = value.op
        if op is None or id(value) in seen:
            return
        seen.add(id(value))
        if op.name in LINEAR and op.weight is not None:
            if op.weight.parameter is not None:
                self.made_by[op.weight.parameter] = None
            return
        maps = [v for v in op.activations if v.numel == value.numel or op.name in VIEW | POOL]
        for before in maps if op.name not in JOIN else op.activations:
            self._backwards(before, seen)


def _reduced(op: Op, value: Value, dim: int) -> int | None:
    """Return where the channels are after a mean over other dimensions."""
    rank = len(value.shape)
    given = op.args[1] if len(op.args) > 1 else op.kwargs.get("dim")
    dims = [d % rank for d in ([given] if isinstance(given, int) else list(given or ()))]
    if not dims or dim in dims or 0 in dims or op.inputs[0] is not value:
        return None
    kept = len(op.outputs[0].shape) == rank
    return dim if kept else dim - sum(d < dim for d in dims)
