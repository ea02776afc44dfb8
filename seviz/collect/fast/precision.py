"""float32 that is float32 while a pass is made, and where float64 is to be had."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from seviz.collect.fast.together import Together


def sums_device(device: torch.device) -> torch.device:
    """Return where float64 is computed: the device itself, or the host where it has none."""
    return torch.device("cpu") if device.type == "mps" else device


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Compute in float32 what is float32, not in a shorter type that the device offers for it.

    From Ampere on, PyTorch lets cuDNN round what goes into a float32 convolution to TensorFloat-32, with
    10 bits of mantissa ("Numerical accuracy" in PyTorch's notes): mean gates of the sample networks are
    then off by up to 1e-4, the record of a GPU is not that of a CPU, and no faster copy agrees to 1e-5. A
    user may have asked for the same in matrix products (``torch.set_float32_matmul_precision``). Whoever
    wants speed for accuracy has ``--amp``, which is measured and noted. May be nested, and entered in
    several threads. Afterwards every setting reads as before; one that was torch's own default is then
    set to what it was.

    Args:
        device: Where the pass is made.
    """
    with ExitStack() as held:
        held.enter_context(_PRODUCTS)
        if device.type == "cuda":
            held.enter_context(_CONVOLUTIONS)
        yield


@contextmanager
def tensor_float32() -> Iterator[None]:
    """Let a GPU round the factors of float32 products to TensorFloat-32, also inside `full_float32`.

    Not in several threads: it is a setting of the whole process.
    """
    switches = _Switches(_shorter_products)
    switches.turn()
    try:
        yield
    finally:
        switches.turn_back()


@dataclass(frozen=True)
class _Switch:
    """A setting of torch.

    Attributes:
        read: Returns it; raises ``RuntimeError`` where torch finds it at odds with a newer setting.
        write: Sets it.
        unwanted: Its values that are changed.
        wanted: What they are changed to.
    """

    read: Callable[[], Any]
    write: Callable[[Any], None]
    unwanted: tuple[Any, ...]
    wanted: Any


class _Switches:
    """Settings that are changed together.

    Args:
        switches: Yields those of this version of torch; writing one may change only later ones.
    """

    def __init__(self, switches: Callable[[], Iterator[_Switch]]) -> None:
        self._switches = switches
        self._before: list[tuple[_Switch, Any]] = []

    def turn(self) -> None:
        """Set all to what is wanted."""
        with _no_warnings():
            values = [(switch, _read(switch)) for switch in self._switches()]
            self._before = [(switch, value) for switch, value in values if value is not None]
            for switch, _ in self._before:
                if _read(switch) in switch.unwanted:
                    switch.write(switch.wanted)

    def turn_back(self) -> None:
        """Set all to what they were."""
        with _no_warnings():
            for switch, value in self._before:
                if _read(switch) != value:
                    switch.write(value)


@contextmanager
def _no_warnings() -> Iterator[None]:
    # PyTorch 2.9 warns of the settings for all operators, without which the newer ones are at odds.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(switch: _Switch) -> Any:
    try:
        return switch.read()
    except RuntimeError:
        return None


def _products() -> Iterator[_Switch]:
    yield _Switch(
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
        ("high", "medium"),
        "highest",
    )
    mkldnn: Any = torch.backends.mkldnn
    if _has_single():
        yield from map(_single, (torch.backends.cuda.matmul, mkldnn.matmul, mkldnn.conv))


def _convolutions() -> Iterator[_Switch]:
    cudnn: Any = torch.backends.cudnn
    yield _attribute(cudnn, "allow_tf32", (True,), False)
    if _has_single():
        yield from map(_single, (cudnn, cudnn.conv, cudnn.rnn))


def _shorter_products() -> Iterator[_Switch]:
    cudnn: Any = torch.backends.cudnn
    cuda: Any = torch.backends.cuda
    yield _attribute(cudnn, "allow_tf32", (False,), True)
    yield _attribute(cuda.matmul, "allow_tf32", (False,), True)
    if _has_single():
        for operator in (cudnn, cudnn.conv, cudnn.rnn, cuda.matmul):
            yield _attribute(operator, "fp32_precision", ("ieee", "none"), "tf32")


def _has_single() -> bool:
    """Return whether there are settings for single operators: from PyTorch 2.9 on."""
    return hasattr(torch.backends.cudnn, "conv")


def _single(operator: Any) -> _Switch:
    return _attribute(operator, "fp32_precision", ("tf32", "bf16"), "ieee")


def _attribute(owner: Any, name: str, unwanted: tuple[Any, ...], wanted: Any) -> _Switch:
    return _Switch(
        lambda: getattr(owner, name), lambda value: setattr(owner, name, value), unwanted, wanted
    )


def _together(switches: Callable[[], Iterator[_Switch]]) -> Together:
    own = _Switches(switches)
    return Together(own.turn, own.turn_back)


_PRODUCTS, _CONVOLUTIONS = _together(_products), _together(_convolutions)
