"""A pass on a GPU: nothing in it waits for the device, and its record is the one of the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import seviz
from seviz.gates import find
from seviz.loading import LoadedModel
from seviz.observe import EachPrediction, GateSample, GateSums, Predictions, run
from seviz.preparation import PassOptions
from seviz.results import Record

CPU = torch.device("cpu")
CLASSES = 10
# Operators whose result has to come from the device before the program goes on.
WAITING = {
    "aten::_local_scalar_dense",
    "aten::is_nonzero",
    "aten::item",
    "aten::equal",
    "aten::nonzero",
    "aten::masked_select",
    "aten::bincount",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::repeat_interleave.Tensor",
}


class Waits(TorchDispatchMode):
    """Collects the operators that would wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        self.calls += 1
        masks = name.startswith("aten::index") and any(
            getattr(i, "dtype", None) is torch.bool for a in args if isinstance(a, list) for i in a
        )
        if name in WAITING or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def digits() -> LoadedModel:
    return seviz.load(seviz.sample("se_resnet_digits"))


class Watched:
    """Batches of made-up images; after the second, operators that wait are collected."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits

    def __iter__(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(0)
        for number in range(5):
            batch = type("Batch", (), {})()
            batch.images = torch.randn(8, 1, 8, 8, generator=generator)
            batch.rows = torch.randint(0, CLASSES, (8,), generator=generator)
            batch.indices = torch.arange(8 * number, 8 * number + 8)
            if number == 2:
                self._waits.__enter__()
            yield batch


def test_no_batch_waits_for_the_device(digits: LoadedModel) -> None:
    found = find(digits.model, digits.preprocessing.input_size)
    observers = [
        GateSums(found.blocks, CLASSES, CPU),
        GateSample(found.blocks, CPU),
        Predictions(range(CLASSES), CLASSES, CPU),
        EachPrediction(),
    ]
    waits = Waits()
    try:
        passed = run(digits.model, found.se_readings, Watched(waits), observers, device=CPU)
    finally:
        waits.__exit__(None, None, None)
    assert passed.images == 40
    assert waits.calls > 100
    assert waits.found == []


@pytest.mark.parametrize("operation", [torch.Tensor.item, lambda x: x[x > 0], torch.Tensor.nonzero])
def test_what_waits_is_noticed(operation: Any) -> None:
    waits = Waits()
    with waits:
        operation(torch.ones(1))
    assert waits.found


needs_gpu = pytest.mark.skipif(
    not (torch.cuda.is_available() or torch.backends.mps.is_available()),
    reason="needs a CUDA or MPS device",
)
GPU = "cuda" if torch.cuda.is_available() else "mps"


@pytest.fixture(scope="module")
def expected(digits: LoadedModel) -> Record:
    return seviz.collect(digits, "digits", PassOptions(device="cpu", fast=False))


def assert_same(found: Record, expected: Record, tolerance: float) -> None:
    assert np.array_equal(found.count, expected.count)
    for block in expected.blocks:
        one, other = found.stats(block.name), expected.stats(block.name)
        for field in ("mean", "std", "minimum", "maximum"):
            np.testing.assert_allclose(
                getattr(one, field), getattr(other, field), atol=tolerance, rtol=0
            )
    for name in ("confusion", "top5"):
        assert np.array_equal(found.arrays[name], expected.arrays[name])
    chosen = [n for n in expected.arrays if n.startswith("sample/")]
    assert sorted(chosen) == sorted(n for n in found.arrays if n.startswith("sample/"))


@needs_gpu
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("batch_size", [7, 64])
def test_a_gpu_gives_the_record_of_the_cpu(
    digits: LoadedModel, expected: Record, fast: bool, batch_size: int
) -> None:
    options = PassOptions(device=GPU, fast=fast, batch_size=batch_size)
    found = seviz.collect(digits, "digits", options)
    assert found.header.device != "cpu"
    assert_same(found, expected, tolerance=1e-4)


@needs_gpu
def test_mixed_precision_on_a_gpu_stays_near(digits: LoadedModel, expected: Record) -> None:
    found = seviz.collect(digits, "digits", PassOptions(device=GPU, amp_dtype="float16"))
    assert found.header.dtype == "float16 autocast"
    for block in expected.blocks:
        one, other = found.stats(block.name), expected.stats(block.name)
        np.testing.assert_allclose(one.mean, other.mean, atol=0.02, rtol=0)


@needs_gpu
def test_a_gpu_ablates_as_the_cpu_does(digits: LoadedModel) -> None:
    on_gpu, on_cpu = (
        seviz.ablate(digits, "digits", PassOptions(device=device), by="stage", gates="mean")
        for device in (GPU, "cpu")
    )
    assert on_gpu.right == on_cpu.right
    assert on_gpu.single == on_cpu.single
