"""A pass on a GPU: it is the CPU's pass, tensors are where they must be, and nothing waits for the device.

On a GPU that is there, and on one that is only pretended (`pretended`), so that every machine can tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, Run
from PIL import Image
from pretended import Pretended, pretended

import seviz
from seviz.collect.fast import Halving
from seviz.collect.fast.backends import Answer
from seviz.collect.observers import EachPrediction, GateSample, GateSums, Predictions
from seviz.collect.observers import run as run_pass
from seviz.collect.prepare import PassOptions
from seviz.errors import DeviceError
from seviz.gates import find
from seviz.networks import LoadedModel
from seviz.results.record import Record

CLASSES = 10
CUDA = torch.device("cuda", 0)
DIGITS = seviz.sample("se_resnet_digits")


has_float64 = pytest.mark.parametrize("float64", [True, False], ids=["float64", "no float64"])


@pytest.fixture(scope="module")
def digits() -> LoadedModel:
    return seviz.load(DIGITS)


@pytest.fixture(scope="module")
def expected(digits: LoadedModel) -> Record:
    return seviz.collect(digits, "digits", PassOptions(device="cpu", fast=False))


class Made:
    """Batches of made-up images; tells how often the device was waited for when the third one came."""

    def __init__(self, mode: Pretended) -> None:
        self._mode = mode
        self.waits = 0

    def __iter__(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(0)
        for number in range(5):
            batch = type("Batch", (), {})()
            batch.images = torch.randn(8, 1, 8, 8, generator=generator)
            batch.rows = torch.randint(0, CLASSES, (8,), generator=generator)
            batch.indices = torch.arange(8 * number, 8 * number + 8)
            if number == 2:
                self.waits = len(self._mode.waits)
            yield batch


def test_no_batch_waits_for_the_device() -> None:
    # A network of its own: what was on a pretended device stays there.
    loaded = seviz.load(DIGITS)
    found = find(loaded.model, loaded.preprocessing.input_size)
    with pretended() as mode:
        observers = [
            GateSums(found.blocks, CLASSES, CUDA),
            GateSample(found.blocks, CUDA),
            Predictions(range(CLASSES), CLASSES, CUDA),
            EachPrediction(),
        ]
        batches = Made(mode)
        passed = run_pass(loaded.model, found.se_readings, batches, observers, device=CUDA)
        assert mode.waits[batches.waits :] == []
    assert passed.images == 40
    assert mode.calls > 500


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x[0].item(),
        lambda x: x.nonzero(),
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: x[x > 0],
        lambda x: torch.zeros(3).copy_(x),
        lambda x: x.copy_(torch.zeros(3)),
        lambda x: torch.ones(3).to(x.device),
        lambda x: torch.tensor([1], device=x.device),
        lambda x: bool((x > 0).any()),
    ],
)
def test_what_waits_is_noticed(operation: Any) -> None:
    with pretended() as mode:
        x = torch.ones(3, device="cuda:0")
        assert mode.waits == []
        operation(x)
        assert mode.waits


def test_what_does_not_wait() -> None:
    with pretended() as mode:
        x = torch.ones(3).to("cuda:0", non_blocking=True)
        x.index_add_(0, torch.ones(2, dtype=torch.int64, device="cuda:0"), x[:2] * 2)
        x[torch.tensor([0])] = 1  # an index may be on the host
        assert x.device == CUDA
        assert mode.waits == []
        assert x.tolist() == [1, 5, 1]


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.cat([x, torch.ones(3)]),
        lambda x: x.index_add_(0, torch.tensor([1]), x[:1]),
        lambda x: x.numpy(),
        lambda x: torch.ones(3)[x.long()],
        lambda x: x.index_put_((torch.tensor([1, 2]),), torch.ones(2)),
        lambda x: x.to("cuda:1"),
        lambda x: torch.nn.functional.linear(x, torch.ones(3, 3)),
    ],
)
def test_a_pretended_gpu_refuses_what_a_gpu_refuses(operation: Any) -> None:
    with pretended(), torch.inference_mode(), pytest.raises(RuntimeError):
        operation(torch.ones(3, device="cuda:0"))


def test_one_without_float64_refuses_it() -> None:
    with pretended(float64=False), pytest.raises(TypeError):
        torch.ones(3, device="cuda:0").double()


@has_float64
@pytest.mark.parametrize("batch_size", [7, 64])
def test_a_pass_on_a_pretended_gpu(expected: Record, float64: bool, batch_size: int) -> None:
    options = PassOptions(device="cuda:0", fast=False, batch_size=batch_size, workers=0)
    with pretended(float64=float64) as mode:
        found = seviz.collect(seviz.load(DIGITS), "digits", options)
    assert mode.calls > 500
    assert found.header.device == "a pretended GPU"
    assert_same(found, expected, tolerance=1e-6)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_mixed_precision_on_a_pretended_gpu(kind: str) -> None:
    def collected(device: str) -> Record:
        options = PassOptions(device=device, amp_dtype=kind, fast=False, workers=0)
        return seviz.collect(seviz.load(DIGITS), "digits", options)

    with pretended():
        found = collected("cuda:0")
    expected = collected("cpu")
    assert found.header.dtype == f"{kind} autocast"
    assert found.header.notes == expected.header.notes
    assert "differ from float32 by at most" in found.header.notes[0]
    assert_same(found, expected, tolerance=1e-6)


def test_a_gpu_without_the_type_of_mixed_precision(refuses: Refuses) -> None:
    loaded = seviz.load(DIGITS)
    options = PassOptions(device="cuda:0", amp_dtype="bfloat16")
    with pretended(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_bf16_supported", lambda *_: False)
        with refuses(DeviceError, "bfloat16, found cuda:0 (", "not support", "--amp-dtype float16"):
            seviz.collect(loaded, "digits", options)
    with pretended(), pytest.MonkeyPatch.context() as patch:
        # torch says so with a warning, and goes on in float32.
        patch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: True)
        with refuses(DeviceError, "would go on in float32; leave --amp out"):
            seviz.collect(loaded, "digits", options)


@has_float64
def test_a_fast_pass_on_a_pretended_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, float64: bool
) -> None:
    monkeypatch.setattr("seviz.collect.prepare._LEAST_BATCHES", 1)
    monkeypatch.setattr("seviz.collect.prepare._LEAST_NUMBERS", 1)
    monkeypatch.setattr("seviz.collect.fast.trial.SLOWER", float("inf"))
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(10):
            pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")

    def collected(device: str) -> Record:
        options = PassOptions(device=device, workers=0, batch_size=8)
        loaded = seviz.load(seviz.sample("se_resnet20_cifar10"))
        return seviz.collect(loaded, str(tmp_path), options)

    with pretended(float64=float64):
        one = collected("cuda:0")
    other = collected("cpu")
    assert "batch norms folded and channels last" in one.header.notes[0]
    assert len(one.header.notes) == 1
    assert_same(one, other, tolerance=1e-6)


def test_memory_that_runs_out_on_a_gpu() -> None:
    emptied = []

    class Small:
        def __call__(self, images: torch.Tensor) -> Answer:
            if len(images) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return Answer(2 * images, {"SE_2_1": images + 1})

    with pretended(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.empty_cache", lambda: emptied.append(True))
        halving = Halving(Small(), CUDA)  # type: ignore[arg-type]
        answer = halving(torch.arange(8.0)[:, None])
        assert answer.logits.device == CUDA
        assert answer.logits[:, 0].tolist() == [2 * i for i in range(8)]
        assert answer.gates["SE_2_1"][:, 0].tolist() == [i + 1 for i in range(8)]
    assert len(emptied) == 2  # 8, 4, 2
    assert "held 2 images" in halving.notes[0]


COMMANDS = {
    "ablate": (("ablate", "--with", "one"), ("baseline", "blocks", "cumulative")),
    "ablate-stages": (("ablate", "--by", "stage", "--with", "mean"), ("baseline", "blocks")),
    "ablate-shuffled": (("ablate", "--with", "shuffle"), ("baseline", "blocks")),
    "confusion": (("confusion",), ("top1", "top5", "ece", "confusions", "per_class")),
    "compare": (("compare", DIGITS), ("blocks", "per_class", "top1", "top5", "finding")),
    "fold": (("fold", "--blocks", "SE_2_1"), ("params_after", "macs_after", "top1", "blocks")),
}


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("name", "float64"), [*((name, True) for name in COMMANDS), ("ablate-stages", False)]
)
def test_a_command_on_a_pretended_gpu(run: Run, name: str, float64: bool) -> None:
    (command, *more), keys = COMMANDS[name]

    def said(device: str) -> dict[str, Any]:
        out = Path("gpu" if "cuda" in device else "cpu").with_suffix(".pt" * (command == "fold"))
        words = [command, DIGITS, *more, "--data", "digits", "-o", out, "--json"]
        if command == "confusion":
            words += ["--predictions", f"{out}.csv"]
        found = run(*words, "--device", device, "-j", 0, "--no-fast")
        assert found.code == 0, found.err
        values: dict[str, Any] = json.loads(found.out)
        return values

    expected = said("cpu")
    with pretended(float64=float64) as mode:
        found = said("cuda:0")
    assert mode.calls > 500
    for key in keys:
        assert found[key] == expected[key], key
    if command == "confusion":
        assert Path("gpu.csv").read_text() == Path("cpu.csv").read_text()


@pytest.mark.usefixtures("elsewhere")
def test_latency_on_a_pretended_gpu(run: Run) -> None:
    with pretended() as mode:
        said = run("audit", DIGITS, "--latency", "--device", "cuda:0", "--json")
    assert said.code == 0, said.err
    assert "pretended" in json.loads(said.out)["latency"]["device"]
    assert mode.calls > 1000


needs_gpu = pytest.mark.skipif(
    not (torch.cuda.is_available() or torch.backends.mps.is_available()),
    reason="needs a CUDA or MPS device",
)
GPU = "cuda" if torch.cuda.is_available() else "mps"


def assert_same(
    found: Record, expected: Record, tolerance: float, means: float | None = None
) -> None:
    assert np.array_equal(found.count, expected.count)
    for block in expected.blocks:
        one, other = found.stats(block.name), expected.stats(block.name)
        for field in ("mean", "std", "minimum", "maximum"):
            atol = means if means is not None and field == "mean" else tolerance
            np.testing.assert_allclose(
                getattr(one, field), getattr(other, field), atol=atol, rtol=0
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
    # TensorFloat-32 would move the means by up to 1e-4.
    assert_same(found, expected, tolerance=1e-4, means=1e-5)


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
