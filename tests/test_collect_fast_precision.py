"""float32 is float32 during a pass, whatever the device or the user would put in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch

import seviz
from seviz.collect.fast import full_float32
from seviz.collect.options import PassOptions
from seviz.results.record import Record

CUDNN = torch.backends.cudnn
NEW = hasattr(CUDNN, "conv")


MKLDNN = torch.backends.mkldnn
MATMUL = torch.backends.cuda.matmul
OPERATORS = (CUDNN, CUDNN.conv, CUDNN.rnn, MATMUL, MKLDNN.conv, MKLDNN.matmul) if NEW else ()
CUDA = torch.device("cuda")


def settings() -> dict[str, Any]:
    """Return what torch says of its precision, in its old words where they are clear, and its new ones."""
    found: dict[str, Any] = {}
    for name, read in (
        ("matmul", torch.get_float32_matmul_precision),
        ("cudnn", lambda: CUDNN.allow_tf32),
        ("cuda matmul", lambda: MATMUL.allow_tf32),
    ):
        with suppress(RuntimeError):
            found[name] = read()
    return found | {str(i): o.fp32_precision for i, o in enumerate(OPERATORS)}


def shorter() -> list[Any]:
    return [v for v in settings().values() if v in (True, "tf32", "bf16", "high", "medium")]


@pytest.fixture(autouse=True)
def default() -> Iterator[None]:
    """Put the settings back: the old ones first, for they write the new ones."""
    before = settings()
    yield
    torch.set_float32_matmul_precision(before["matmul"])
    CUDNN.allow_tf32 = before["cudnn"]
    for i, operator in enumerate(OPERATORS):
        if operator.fp32_precision != before[str(i)]:
            operator.fp32_precision = before[str(i)]


def high() -> None:
    torch.set_float32_matmul_precision("high")


def medium() -> None:
    torch.set_float32_matmul_precision("medium")


def no_tf32() -> None:
    CUDNN.allow_tf32 = False


def cublas() -> None:
    MATMUL.allow_tf32 = True


def medium_but_for_one() -> None:
    medium()
    if NEW:
        MKLDNN.matmul.fp32_precision = "ieee"


def high_but_for_one() -> None:
    high()
    if NEW:
        MATMUL.fp32_precision = "ieee"


def convolutions_by_name() -> None:
    if NEW:
        CUDNN.conv.fp32_precision, CUDNN.rnn.fp32_precision = "tf32", "ieee"


def bfloat16_convolutions() -> None:
    if NEW:
        MKLDNN.conv.fp32_precision = "bf16"


@pytest.mark.parametrize(
    "choose",
    [
        *(lambda: None, high, medium, no_tf32, cublas, medium_but_for_one, high_but_for_one),
        *(convolutions_by_name, bfloat16_convolutions),
    ],
)
def test_the_users_settings_are_back_afterwards(choose: Callable[[], None]) -> None:
    choose()
    before = settings()
    with full_float32(CUDA):
        assert shorter() == []
        with full_float32(CUDA):
            assert shorter() == []
        assert shorter() == []
    assert settings() == before
    with pytest.raises(KeyError), full_float32(CUDA):
        raise KeyError
    assert settings() == before


def test_threads_share_it() -> None:
    before, go, done = settings(), threading.Event(), threading.Event()

    def hold() -> None:
        with full_float32(CUDA):
            go.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    go.wait(10)
    with full_float32(CUDA):
        assert shorter() == []
    assert shorter() == []  # the other one is still inside
    done.set()
    thread.join()
    assert settings() == before


@pytest.mark.parametrize("what", ["collect", "ablate"])
def test_a_pass_computes_in_float32(what: str) -> None:
    loaded = seviz.load(seviz.sample("se_resnet_digits"))
    seen: list[list[Any]] = []
    handle = loaded.model.register_forward_hook(lambda *_: seen.append(shorter()))
    no_tf32()  # of cuDNN: a pass on the CPU leaves it alone
    medium()
    try:
        getattr(seviz, what)(loaded, "digits", PassOptions(device="cpu", workers=0))
    finally:
        handle.remove()
    # The first runs record what the network does, on no device.
    assert seen[-1] == []
    assert torch.get_float32_matmul_precision() == "medium"


def test_a_pass_on_the_cpu_leaves_cudnn_alone() -> None:
    before = CUDNN.allow_tf32
    with full_float32(torch.device("cpu")):
        assert CUDNN.allow_tf32 is before is True


def rounds() -> bool:
    """Whether "medium" makes a difference here: the processor has bfloat16."""
    one = torch.linspace(0, 1, 512 * 512).reshape(512, 512)
    exact = one @ one
    medium()
    try:
        return not torch.equal(one @ one, exact)
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.skipif(not rounds(), reason="needs a processor with bfloat16")
def test_a_users_choice_changes_no_number() -> None:
    records: list[Record] = []
    for choose in (medium, lambda: torch.set_float32_matmul_precision("highest")):
        choose()
        loaded = seviz.load(seviz.sample("se_resnet_digits"))
        records.append(seviz.collect(loaded, "digits", PassOptions(device="cpu", workers=0)))
    one, other = records
    assert sorted(one.arrays) == sorted(other.arrays)
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def rounded(x: torch.Tensor) -> torch.Tensor:
    """Return float32 with 10 bits of mantissa, rounded to the nearest, half to even."""
    bits = x.detach().contiguous().view(torch.int32)
    return ((bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def test_what_tensorfloat32_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor that has it not: the convolutions' operands rounded as cuDNN rounds them."""
    assert rounded(torch.tensor([1 + 2**-10 + 2**-12, 1 + 2**-11, -3.0])).tolist() == [
        *(1 + 2**-10, 1, -3),
    ]
    forward = torch.nn.Conv2d._conv_forward

    def shorter_forward(self: Any, x: torch.Tensor, weight: torch.Tensor, bias: Any) -> Any:
        on_cpu = type(x) is torch.Tensor and x.device.type == "cpu"
        return forward(self, *(map(rounded, (x, weight)) if on_cpu else (x, weight)), bias)

    def collected() -> Record:
        options = PassOptions(device="cpu", fast=False, workers=0)
        return seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits", options)

    exact = collected()
    monkeypatch.setattr(torch.nn.Conv2d, "_conv_forward", shorter_forward)
    other = collected()
    moved = max(
        np.abs(exact.stats(b.name).mean - other.stats(b.name).mean).max() for b in exact.blocks
    )
    # More than a faster copy may differ by, and what the README says.
    assert 1e-5 < moved <= 1e-4
