"""Where the shift of a scale-plus-shift block is added to its map, and how it is read and replaced there.

The excitation of such a block gives 2C numbers: a gate that the map is multiplied by, and a shift that is
added to the product, ``y = x * gate + shift``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from seviz.gates.classify import added
from seviz.gates.find import TracedBlock
from seviz.gates.graph import Op, Value
from seviz.gates.reading import ModeReading


@dataclass(frozen=True, eq=False)
class Addition:
    """The addition of a shift.

    Attributes:
        op: The operator.
        addend: What it adds.
        place: Position of that among its arguments.
        factor: What that is multiplied by as it is added.
        reading: How it is read, one number for each channel.
    """

    op: Op
    addend: Value
    place: int
    factor: float
    reading: ModeReading

    def read(self, args: Any, model: nn.Module) -> Tensor:
        """Return the shifts [N, C] from the arguments of the operator; where they vary over pixels, means."""
        return self.factor * self.reading.read(args[self.place], model)

    def replaced(self, args: Any, shift: Tensor) -> Any:
        """Return the arguments of the operator with another shift, [C] for all images, or [N, C]."""
        old, reading = args[self.place], self.reading
        shape = [1] * reading.rank
        shape[0] = shift.shape[0] if shift.dim() == 2 else 1
        for dim, size in zip(reading.dims, reading.sizes, strict=True):
            shape[dim] = size
        new = (shift / self.factor).to(device=old.device, dtype=old.dtype).reshape(shape)
        return (*args[: self.place], new, *args[self.place + 1 :])


def addition(traced: TracedBlock) -> Addition | None:
    """Return where a block's shift is added; ``None`` if it has none, or none that can be held.

    Args:
        traced: The block.
    """
    site = traced.site
    found = added(site, traced.excitation) if len(traced.sites) == 1 else None
    if found is None:
        return None
    op, addend = found
    place = next(n for n, value in enumerate(op.args) if value is addend)
    factor = _factor(op, place)
    # The product may have been given another shape on its way, in which channels are elsewhere.
    if factor is None or op.outputs[0].shape != site.op.outputs[0].shape:
        return None
    # In place, the sum would be written into the constant.
    if place == 0 and op.func._schema.is_mutable:
        return None
    sizes = tuple(site.scaled.shape[d] for d in traced.dims)
    reading = ModeReading(
        op.call,
        op.ordinal,
        place,
        len(site.scaled.shape),
        traced.dims,
        sizes,
        traced.block.mechanism.per_pixel,
    )
    return Addition(op, addend, place, factor, reading)


def _factor(op: Op, place: int) -> float | None:
    """Return what the addend is multiplied by; ``None`` where the product is multiplied by something."""
    if op.name == "addcmul":
        return 1.0 if op.kwargs.get("value", 1) == 1 else None
    alpha = float(op.kwargs.get("alpha", 1))
    if op.name == "sub":
        return -alpha if place == 1 and alpha else None
    return alpha or None if place == 1 else (1.0 if alpha == 1 else None)


def parted(held: Tensor, channels: int) -> tuple[Tensor, Tensor | None]:
    """Return gate and shift of [..., 2C] numbers; [..., C] are a gate alone, which leaves a shift as is."""
    shift = held[..., channels:]
    return held[..., :channels], shift if shift.shape[-1] else None
