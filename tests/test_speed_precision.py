"""float32 is float32 during a pass, whatever the device or the user would put in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import seviz
from seviz.preparation import PassOptions
from seviz.results import Record
from seviz.speed import full_float32

CUDNN = torch.backends.cudnn
NEW = hasattr(CUDNN, "conv")


def settings() -> dict[str, Any]:
    """Return what torch says of its precision, in its old words and its new ones."""
    found = {
        "matmul": torch.get_float32_matmul_precision(),
        "cudnn": CUDNN.allow_tf32,
        "cuda matmul": torch.backends.cuda.matmul.allow_tf32,
    }
    if NEW:
        operators = (
            CUDNN.conv,
            CUDNN.rnn,
            torch.backends.cuda.matmul,
            torch.backends.mkldnn.matmul,
        )
        found |= {str(i): o.fp32_precision for i, o in enumerate(operators)}
    return found


def shorter() -> list[Any]:
    return [v for v in settings().values() if v in (True, "tf32", "bf16", "high", "medium")]


@pytest.fixture(autouse=True)
def default() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    CUDNN.allow_tf32 = True


def high() -> None:
    torch.set_float32_matmul_precision("high")


def medium() -> None:
    torch.set_float32_matmul_precision("medium")


def no_tf32() -> None:
    CUDNN.allow_tf32 = False


@pytest.mark.parametrize("choose", [lambda: None, high, medium, no_tf32])
def test_the_users_settings_are_back_afterwards(choose: Callable[[], None]) -> None:
    choose()
    before = settings()
    with full_float32():
        assert shorter() == []
        with full_float32():
            assert shorter() == []
        assert shorter() == []
    assert settings() == before
    with pytest.raises(KeyError), full_float32():
        raise KeyError
    assert settings() == before


@pytest.mark.skipif(not NEW, reason="torch before 2.9 has no setting for one operator")
def test_settings_of_single_operators() -> None:
    before = CUDNN.conv.fp32_precision
    CUDNN.conv.fp32_precision = "tf32"
    CUDNN.rnn.fp32_precision = "ieee"
    try:
        with full_float32():
            assert CUDNN.conv.fp32_precision == CUDNN.rnn.fp32_precision == "ieee"
        assert (CUDNN.conv.fp32_precision, CUDNN.rnn.fp32_precision) == ("tf32", "ieee")
    finally:
        CUDNN.conv.fp32_precision = CUDNN.rnn.fp32_precision = before


def test_threads_share_it() -> None:
    before, go, done = settings(), threading.Event(), threading.Event()

    def hold() -> None:
        with full_float32():
            go.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    go.wait(10)
    with full_float32():
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
    medium()
    try:
        getattr(seviz, what)(loaded, "digits", PassOptions(device="cpu", workers=0))
    finally:
        handle.remove()
    # The first runs record what the network does, on no device.
    assert seen[-1] == []
    assert torch.get_float32_matmul_precision() == "medium"


def test_a_users_choice_changes_no_number() -> None:
    # Where the processor has bfloat16, "medium" rounds the excitation's layers to it.
    records: list[Record] = []
    for choose in (medium, lambda: torch.set_float32_matmul_precision("highest")):
        choose()
        loaded = seviz.load(seviz.sample("se_resnet_digits"))
        records.append(seviz.collect(loaded, "digits", PassOptions(device="cpu", workers=0)))
    one, other = records
    assert sorted(one.arrays) == sorted(other.arrays)
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
