"""Building networks whose numbers come from elsewhere: without memory, or without random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class _EmptyOnMeta(TorchFunctionMode):
    """Puts what layers allocate on the meta device, and leaves other tensors where they are.

    Some networks compute their widths with tensors (torchvision's RegNet); those need numbers.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves out the random initialisation of tensors that will be overwritten."""

    _SKIPPED = frozenset(
        {
            torch.Tensor.normal_,
            torch.Tensor.uniform_,
            torch.Tensor.log_normal_,
            torch.Tensor.erfinv_,
            nn.init.normal_,
            nn.init.uniform_,
            nn.init.trunc_normal_,
            nn.init.kaiming_normal_,
            nn.init.kaiming_uniform_,
            nn.init.xavier_normal_,
            nn.init.xavier_uniform_,
            nn.init.orthogonal_,
        }
    )

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in self._SKIPPED:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network on the meta device: names and shapes, no memory, no numbers."""
    try:
        with torch.device("meta"):
            return build()
    except Exception:
        with _EmptyOnMeta():
            return build()


@contextmanager
def no_random_numbers() -> Iterator[None]:
    """Within this context networks are built without random weights; what they hold is arbitrary."""
    with _NoRandomNumbers():
        yield
