"""A GPU that is not there: tensors say that they are on it, and are refused what a GPU refuses.

Their numbers are on the host, so that results are those of the CPU. What is tested with it is where tensors
are: no operator gets tensors of two devices, nothing reads the memory of the device as if it were the
host's, a device without float64 is never asked for it; and it tells which operators waited for the device.
What a GPU rounds otherwise, how long it takes and how much memory it has, it cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# Operators that copy between devices, and those whose indices may still be on the host.
COPIES = {"aten::copy_", "aten::_to_copy"}
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_"}
# Operators whose result has to come from the device before the program goes on.
WAITING = {
    "aten::_local_scalar_dense",
    "aten::is_nonzero",
    "aten::equal",
    "aten::nonzero",
    "aten::masked_select",
    "aten::bincount",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::repeat_interleave",
}
HOST = torch.device("cpu")
TENSOR = torch.tensor


class There(Tensor):
    """A tensor that says it is on the device; its numbers are in ``here``."""

    here: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here: Tensor, device: torch.device) -> There:
        # A view of an ordinary tensor is an ordinary one, in inference mode too.
        with torch.inference_mode(False):
            made = Tensor._make_wrapper_subclass(
                cls,
                here.size(),
                strides=here.stride(),
                storage_offset=here.storage_offset(),
                dtype=here.dtype,
                device=device,
            )
        made.here = here
        return made

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.here.untyped_storage()

    def record_stream(self, stream: Any) -> None:
        """Free nothing early: the host's memory is counted."""

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"There({self.here}, {self.device})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} on a tensor of a device that is gone")


class Pretended(TorchDispatchMode):
    """While active, tensors can be put on a device that is not there.

    Args:
        device: The device.
        float64: Whether it has float64; MPS has not.

    Attributes:
        calls: Operators that ran on it.
        waits: Those that waited for it, in order.
    """

    def __init__(self, device: torch.device, *, float64: bool = True) -> None:
        super().__init__()
        self.device, self._float64 = device, float64
        self.calls = 0
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), func._schema.name
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        there = [x for x in tensors if isinstance(x, There)]
        target = kwargs.get("device")
        asked = target is not None and torch.device(target).type == self.device.type
        if not (there or asked or name == "aten::to"):
            return func(*args, **kwargs)
        # In inference mode composite operators come here whole; what counts is what they are made of.
        with self:
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        if asked and torch.device(target).index not in (None, self.device.index):
            raise RuntimeError(f"{func}: expected {self.device}, found {target}")
        self._check(func, name, args, kwargs)
        if asked:
            kwargs["device"] = torch.device("cpu")
        args, kwargs = tree_map(lambda x: x.here if isinstance(x, There) else x, (args, kwargs))
        made = func(*args, **kwargs)
        known = {id(x): x for x in tensors if not isinstance(x, There)}
        if name != "aten::set_":  # after it, the shape is another
            known |= {id(x.here): x for x in there}

        def seen_from_outside(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            if id(x) in known:
                return known[id(x)]
            return self._put(x) if asked or (there and target is None) else x

        return tree_map(seen_from_outside, made)

    def _check(self, func: Any, name: str, args: Any, kwargs: Any) -> None:
        self.calls += 1
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if name in WAITING or (name in COPIES and self._waits(name, args, kwargs)):
            self.waits.append(name)
        indices = tree_leaves(args[1]) if name in INDEXING else []
        if any(isinstance(x, Tensor) and x.dtype is torch.bool for x in indices):
            self.waits.append(name)
        if name in COPIES:
            return
        if name in INDEXING and isinstance(args[0], There):
            tensors = [x for x in tensors if not any(x is i for i in indices)]
        # A number of the host may meet tensors of the device.
        places = {x.device for x in tensors if x.dim() or isinstance(x, There)}
        if len(places) > 1:
            raise RuntimeError(f"{func}: expected all tensors on one device, found {places}")

    def _waits(self, name: str, args: Any, kwargs: Any) -> bool:
        """Return whether a copy is waited for: from the host, if it may block; to the host, always."""
        if name == "aten::copy_":
            target, source = (isinstance(x, There) for x in args[:2])
            free = len(args) > 2 and args[2]
        else:
            source, free = isinstance(args[0], There), kwargs.get("non_blocking")
            device = kwargs.get("device")
            target = source if device is None else torch.device(device).type == self.device.type
        return (source and not target) or (target and not source and not free)

    def _put(self, made: Tensor) -> There:
        if made.dtype is torch.float64 and not self._float64:
            raise TypeError("expected no float64 on a device that has none")
        return There(made, self.device)


class _Stream:
    """The order of the host."""

    def record_event(self) -> None:
        """Mark nothing."""

    def wait_event(self, event: None) -> None:
        """Wait for nothing."""


def _tensor(data: Any, *, device: Any = None, **kwargs: Any) -> Tensor:
    # No mode is told of the copy to the device that torch.tensor makes.
    made = TENSOR(data, **kwargs)
    return made if device is None else made.to(device)


NEEDS = "needs a torch for CUDA, and no GPU"
IMPOSSIBLE = torch.cuda.is_available() or not torch.backends.cuda.is_built()


@contextmanager
def pretended(number: int = 0, *, float64: bool = True) -> Iterator[Pretended]:
    """Pretend that there is a GPU, ``cuda:0`` or that of another number.

    A device of another kind cannot be pretended: only for CUDA has torch a guard without the driver, in
    builds for CUDA. The guard stays until the process ends, and belongs to the thread that came first:
    pretend in the main thread alone.

    Args:
        number: Its number.
        float64: Whether it has float64; else seviz is told that it has none, as of MPS.
    """
    if IMPOSSIBLE:
        pytest.skip(NEEDS)
    with pytest.MonkeyPatch.context() as patch:
        # What torch does before the first tensor on a device, and asks of it.
        patch.setattr("torch.cuda._lazy_init", lambda: None)
        patch.setattr("torch.cuda.get_device_name", lambda device=None: "a pretended GPU")
        patch.setattr("torch.cuda.get_device_capability", lambda device=None: (9, 0))
        patch.setattr("torch.cuda.device_count", lambda: number + 1)
        patch.setattr("torch.cuda.set_device", lambda device: None)
        patch.setattr("torch.cuda.current_device", lambda: number)
        for name in ("_exchange_device", "_maybe_exchange_device"):
            patch.setattr(f"torch.cuda.{name}", lambda device: number)
        patch.setattr("torch.cuda.synchronize", lambda device=None: None)
        # The host does one thing after the other: there is one stream, and nothing to wait for.
        for name in ("Stream", "current_stream"):
            patch.setattr(f"torch.cuda.{name}", lambda device=None: _Stream())
        patch.setattr("torch.cuda.stream", lambda stream: nullcontext())
        patch.setattr("torch.cuda.empty_cache", lambda: None)
        patch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
        patch.setattr("torch.cuda.is_bf16_supported", lambda *_: True)
        patch.setattr("torch.tensor", _tensor)
        if not float64:
            for module in ("observers.gates", "observers.predictions", "fast.precision"):
                patch.setattr(f"seviz.collect.{module}.sums_device", lambda device: HOST)
        # The data of a plain parameter cannot be on a device that is not there: it is replaced.
        patch.setattr("torch.__future__._overwrite_module_params_on_conversion", True)
        # The host has no kernels of cuDNN.
        patch.setattr("torch.backends.cudnn.enabled", False)
        torch._C._ensureCUDADeviceGuardSet()
        with Pretended(torch.device("cuda", number), float64=float64) as mode:
            yield mode
