"""float32 that is float32 while a pass is made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

_lock = threading.Lock()
_inside: list[None] = []  # one for each pass
_changed: list[tuple[_Switch, Any]] = []


@dataclass(frozen=True)
class _Switch:
    """A setting of torch.

    Attributes:
        read: Returns it; raises ``RuntimeError`` where torch finds it at odds with a newer setting.
        write: Sets it.
        shorter: Its values that allow a shorter type in place of float32.
        full: Its value that does not.
    """

    read: Callable[[], Any]
    write: Callable[[Any], None]
    shorter: tuple[Any, ...]
    full: Any


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute in float32 what is float32, not in a shorter type that the device offers for it.

    From Ampere on, PyTorch lets cuDNN round what goes into a float32 convolution to TensorFloat-32, with
    10 bits of mantissa ("Numerical accuracy" in PyTorch's notes): mean gates of the sample networks are
    then off by up to 1e-4, the record of a GPU is not that of a CPU, and no faster copy agrees to 1e-5. A
    user may have asked for the same in matrix products (``torch.set_float32_matmul_precision``). Whoever
    wants speed for accuracy has ``--amp``, which is measured and noted. May be nested, and entered in
    several threads; the user's settings are back after the last one.
    """
    with _lock:
        if not _inside:
            _change()
        _inside.append(None)
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            while _changed and not _inside:
                switch, value = _changed.pop()
                switch.write(value)


def _change() -> None:
    for switch in _switches():
        try:
            value = switch.read()
        except RuntimeError:
            continue
        if value in switch.shorter:
            _changed.append((switch, value))
            switch.write(switch.full)


def _switches() -> Iterator[_Switch]:
    """Yield the settings: first those for all, which torch wants to agree with the newer, finer ones."""
    cudnn: Any = torch.backends.cudnn
    yield _Switch(
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
        ("high", "medium"),
        "highest",
    )
    yield _attribute(cudnn, "allow_tf32", (True,), False)
    if not hasattr(cudnn, "conv"):  # before PyTorch 2.9
        return
    mkldnn: Any = torch.backends.mkldnn
    operators = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul, mkldnn.conv, mkldnn.matmul)
    for operator in operators:
        yield _attribute(operator, "fp32_precision", ("tf32", "bf16"), "ieee")


def _attribute(owner: Any, name: str, shorter: tuple[Any, ...], full: Any) -> _Switch:
    return _Switch(
        lambda: getattr(owner, name), lambda value: setattr(owner, name, value), shorter, full
    )
