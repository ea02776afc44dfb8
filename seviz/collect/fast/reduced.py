"""Shorter types than float32 that a network may be computed in, where a user asks for speed."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from seviz.collect.fast.precision import tensor_float32
from seviz.errors import DeviceError, UsageError


@dataclass(frozen=True)
class Reduced:
    """A shorter type.

    Attributes:
        name: Of the command line.
        dtype: Of torch's automatic mixed precision; ``None`` for TensorFloat-32, to which a GPU rounds the
            factors of float32 products, and in which nothing is stored.
    """

    name: str
    dtype: torch.dtype | None

    @property
    def label(self) -> str:
        """Return what a record's header calls it."""
        return self.name if self.dtype is None else f"{self.name} autocast"

    def computing(
        self, device: torch.device, *, cached: bool = True
    ) -> AbstractContextManager[object]:
        """Return the context in which a network computes in it.

        Args:
            device: Of the network.
            cached: Whether a weight is made shorter once, not at each use, until the context ends.
        """
        if self.dtype is None:
            return tensor_float32()
        return torch.autocast(device.type, self.dtype, cache_enabled=cached)

    def require(self, device: torch.device) -> None:
        """Raise unless a device computes in it.

        Raises:
            DeviceError: If it does not.
        """
        if self.dtype is None:
            _require_tensor_float32(device)
        else:
            _require_autocast(self.name, self.dtype, device)


REDUCED = {
    r.name: r
    for r in (
        Reduced("float16", torch.float16),
        Reduced("bfloat16", torch.bfloat16),
        Reduced("tf32", None),
    )
}
# From Ampere on: compute capability 8.
_TENSOR_FLOAT = (8, 0)


def reduced(name: str | None, device: torch.device) -> Reduced | None:
    """Return the type of this name, ``None`` for none.

    Raises:
        UsageError: If there is no such type.
        DeviceError: If the device does not compute in it.
    """
    if name is None:
        return None
    if name not in REDUCED:
        raise UsageError(
            f"expected --amp-dtype {' or '.join(REDUCED)}, found {name!r}; give one of them"
        )
    REDUCED[name].require(device)
    return REDUCED[name]


def _require_tensor_float32(device: torch.device) -> None:
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= _TENSOR_FLOAT:
        return
    found = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    raise DeviceError(
        "expected a GPU that has TensorFloat-32 (of NVIDIA, from Ampere on) for --amp-dtype tf32, found "
        f"{found}; give another type, or leave --amp out"
    )


def _require_autocast(name: str, dtype: torch.dtype, device: torch.device) -> None:
    current = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    with warnings.catch_warnings(), current:
        # Where it cannot, torch warns, computes in float32, and the record would say otherwise.
        warnings.simplefilter("ignore")
        try:
            with torch.autocast(device.type, dtype):
                possible = torch.is_autocast_enabled(device.type)
        except RuntimeError as exc:
            reason = str(exc).splitlines()[0].partition(". ")[0]
            other = next(r.name for r in REDUCED.values() if r.dtype and r.name != name)
            raise DeviceError(
                f"expected a device that computes in {name}, found {device} ({reason}); give "
                f"--amp-dtype {other}, or leave --amp out"
            ) from exc
    if not possible:
        raise DeviceError(
            f"expected a device that computes in {name}, found {device}, on which torch would go on in "
            "float32; leave --amp out"
        )
