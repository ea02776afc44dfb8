"""Building networks whose numbers come from elsewhere: without memory, or without random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# Equal random tensors in a row that are taken for layers in a row, and not for drawing again.
_MOST_REPEATED = 20


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
    """Leaves out the random initialisation of tensors that will be overwritten.

    Their memory is not even touched. What draws until the numbers please it (``trunc_normal_``) would look at
    the same memory for ever: the same call again and again is let through.
    """

    _SKIPPED = frozenset(
        {
            torch.Tensor.normal_,
            torch.Tensor.uniform_,
            nn.init.normal_,
            nn.init.uniform_,
            nn.init.kaiming_normal_,
            nn.init.kaiming_uniform_,
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[Any, ...] = ()
        self._repeated = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self._SKIPPED:
            tensor = args[0] if args else kwargs["tensor"]
            if not self._is_again((func, tensor.shape, *args[1:])):
                return tensor
        return func(*args, **kwargs)

    def _is_again(self, call: tuple[Any, ...]) -> bool:
        self._repeated = self._repeated + 1 if call == self._last else 0
        self._last = call
        return self._repeated > _MOST_REPEATED


class _NoRandomNumbersOnMeta(_NoRandomNumbers):
    """Leaves out the random initialisation of tensors that hold no numbers, and of no others.

    Drawing changes nothing there, and the first time torch loads its compiler for it: two seconds.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self._SKIPPED:
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network on the meta device: names and shapes, no memory, no numbers."""
    try:
        with torch.device("meta"), _NoRandomNumbersOnMeta():
            return build()
    except Exception:
        with _EmptyOnMeta(), _NoRandomNumbersOnMeta():
            return build()


@contextmanager
def no_random_numbers() -> Iterator[None]:
    """Within this context networks are built without random weights; what they hold is arbitrary."""
    with _NoRandomNumbers():
        yield
