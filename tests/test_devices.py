"""A pass on a GPU: it is the CPU's pass, tensors are where they must be, and nothing waits for the device.

On a GPU that is there, and on one that is only pretended (`pretended`), so that every machine can tell.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, Run, at_night, crossed
from PIL import Image
from pretended import Pretended, pretended
from torch import nn

import seviz
from seviz.collect.fast import (
    REDUCED,
    Answer,
    Chosen,
    Halving,
    Speed,
    full_float32,
    sent_ahead,
)
from seviz.collect.forward import run as run_pass
from seviz.collect.observers import EachPrediction, GateSample, GateSums, Predictions
from seviz.collect.options import PassOptions
from seviz.data.loaders import usual_batch
from seviz.errors import DeviceError
from seviz.gates import find, trace
from seviz.networks import LoadedModel
from seviz.networks.architectures.registry import build
from seviz.results.record import Record

CLASSES = 10
FEW = 7  # images of each class, where each operation is looked at: several batches, the last one short
CUDA = torch.device("cuda", 0)
DIGITS = seviz.sample("se_resnet_digits")


has_float64 = pytest.mark.parametrize("float64", [True, False], ids=["float64", "no float64"])


@pytest.fixture(scope="module")
def digits() -> LoadedModel:
    return seviz.load(DIGITS)


@pytest.fixture(scope="module")
def expected(digits: LoadedModel) -> Record:
    return seviz.collect(digits, "digits", PassOptions(device="cpu", fast=False))


@pytest.fixture(scope="module")
def few(digits: LoadedModel) -> Record:
    return seviz.collect(
        digits, "digits", PassOptions(device="cpu", fast=False, num_samples=FEW, workers=0)
    )


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


@pytest.mark.parametrize(("float64", "batch_size"), crossed([True, False], [7, 64]))
def test_a_pass_on_a_pretended_gpu(few: Record, float64: bool, batch_size: int) -> None:
    options = PassOptions(
        device="cuda:0", fast=False, batch_size=batch_size, workers=0, num_samples=FEW
    )
    with pretended(float64=float64) as mode:
        found = seviz.collect(seviz.load(DIGITS), "digits", options)
    assert mode.calls > 500
    assert found.header.device == "a pretended GPU"
    assert_same(found, few, tolerance=1e-6)


@pytest.mark.parametrize("kind", ["bfloat16", at_night("float16")])
def test_mixed_precision_on_a_pretended_gpu(kind: str) -> None:
    def collected(device: str) -> Record:
        options = PassOptions(
            device=device, amp_dtype=kind, fast=False, workers=0, batch_size=64, num_samples=FEW
        )
        return seviz.collect(seviz.load(DIGITS), "digits", options)

    with pretended():
        found = collected("cuda:0")
    expected = collected("cpu")
    assert found.header.dtype == f"{kind} autocast"
    assert found.header.notes == expected.header.notes
    assert "differ from float32 by at most" in found.header.notes[0]
    assert_same(found, expected, tolerance=1e-6)


def test_tensor_float32_on_a_pretended_gpu() -> None:
    options = PassOptions(device="cuda:0", amp_dtype="tf32", fast=False, workers=0, num_samples=FEW)
    with pretended():
        found = seviz.collect(seviz.load(DIGITS), "digits", options)
    assert found.header.dtype == "tf32"
    assert "tf32 with the untouched network: the gates of the first batch" in found.header.notes[0]


def test_a_device_without_tensor_float32(refuses: Refuses) -> None:
    loaded = seviz.load(DIGITS)
    with refuses(DeviceError, "for --amp-dtype tf32, found cpu; give another type"):
        seviz.collect(loaded, "digits", PassOptions(device="cpu", amp_dtype="tf32"))
    with pretended(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.get_device_capability", lambda device=None: (7, 5))
        with refuses(DeviceError, "found a pretended GPU; give another type"):
            seviz.collect(loaded, "digits", PassOptions(device="cuda:0", amp_dtype="tf32"))


@dataclass
class OnHost:
    """A batch, and what is told when its images leave the host."""

    images: Any
    rows: torch.Tensor
    indices: torch.Tensor


class Told:
    """Images that tell when they are copied; a copy that memory does not hold."""

    def __init__(self, number: int, told: list[str], *, holds: bool = True) -> None:
        self._number, self._told, self._holds = number, told, holds

    def to(self, device: torch.device, **options: Any) -> Any:
        self._told.append(f"copied {self._number}")
        if not self._holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.full((2,), float(self._number)).to(device, **options)


def test_a_batch_is_copied_while_the_one_before_is_computed() -> None:
    told: list[str] = []

    def batches() -> Iterator[OnHost]:
        for number in range(3):
            yield OnHost(Told(number, told), torch.zeros(2).long(), torch.arange(2) + 2 * number)
        raise OSError("the disk is gone")

    given = []

    def compute_all() -> None:
        for batch in sent_ahead(batches(), CUDA):
            assert batch.images.device == batch.rows.device == CUDA
            given.append((batch.images.tolist()[0], batch.indices.tolist()))
            told.append(f"computed {len(given) - 1}")

    with pretended() as mode, pytest.raises(OSError, match="the disk is gone"):
        compute_all()
    assert given == [
        (0, [0, 1]),
        (1, [2, 3]),
        (2, [4, 5]),
    ]  # what came before the error is not lost
    assert mode.waits == ["aten::_to_copy"] * 3  # of this test's tolist()
    assert told == ["copied 0", "copied 1", "computed 0", "copied 2", "computed 1", "computed 2"]


def test_a_batch_that_memory_does_not_hold_ahead_stays_on_the_host() -> None:
    one, other = Told(0, [], holds=False), Told(1, [])
    host = [OnHost(images, torch.zeros(2).long(), torch.arange(2)) for images in (one, other)]
    with pretended():
        first, second = sent_ahead(host, CUDA)
        assert first is host[0]
        assert second.images.device == CUDA


def test_batches_for_a_processor_are_given_as_they_are() -> None:
    batches = [object(), object()]
    assert list(sent_ahead(batches, torch.device("cpu"))) == batches


@pytest.mark.parametrize(
    ("size", "device", "images", "expected"),
    [
        ((3, 224, 224), "cuda", 50_000, 256),
        ((3, 32, 32), "cuda", 100_000, 2048),
        ((3, 384, 384), "cuda", 50_000, 64),  # 87 would be as many pixels
        ((3, 2048, 2048), "cuda", 50_000, 8),  # 3 would be, and 8 are the least
        ((3, 224, 224), "cuda", 3_925, 64),  # 122 would be 32 batches
        ((3, 224, 224), "cuda", 364, 32),
        ((3, 224, 224), "cpu", 50_000, 32),
        ((3, 32, 32), "cpu", 50_000, 256),
        ((3, 32, 32), "mps", 50_000, 256),
    ],
)
def test_images_per_batch(size: Any, device: str, images: int, expected: int) -> None:
    assert usual_batch(size, gpu=device == "cuda", images=images) == expected


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


@pytest.mark.parametrize("float64", [at_night(True), False], ids=["float64", "no float64"])
def test_a_fast_pass_on_a_pretended_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, float64: bool
) -> None:
    monkeypatch.setattr("seviz.collect.prepared._LEAST_BATCHES", 1)
    monkeypatch.setattr("seviz.collect.prepared._LEAST_NUMBERS", 1)
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
    # In float32 a GPU is slower with channels last.
    assert "computed with 21 batch norms folded;" in one.header.notes[0]
    assert (
        "computed with 21 batch norms folded and channels last, operators fused;"
        in other.header.notes[0]
    )
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


@pytest.mark.usefixtures("no_figures")
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("name", "float64"),
    [
        ("confusion", True),
        ("ablate-stages", False),
        *(
            at_night((name, True))
            for name in ("ablate", "ablate-stages", "ablate-shuffled", "compare", "fold")
        ),
    ],
)
def test_a_command_on_a_pretended_gpu(run: Run, name: str, float64: bool) -> None:
    (command, *more), keys = COMMANDS[name]

    def said(device: str) -> dict[str, Any]:
        out = Path("gpu" if "cuda" in device else "cpu").with_suffix(".pt" * (command == "fold"))
        words = [
            command,
            DIGITS,
            *more,
            "--data",
            "digits",
            "--num-samples",
            3,
            "-o",
            out,
            "--json",
        ]
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


@pytest.mark.nightly
@pytest.mark.usefixtures("no_figures")
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


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Twice(nn.Module):
    """An SE block, and what a test does in every pass."""

    def __init__(self, each: Any = None) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(8, 2), nn.Linear(2, 8)
        self.head = nn.Linear(8, 10)
        self.each = each

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.up(self.down(x.mean((2, 3))).relu()).sigmoid()
        if self.each is not None:
            self.each(gate)
        out: torch.Tensor = self.head((x * gate[:, :, None, None]).mean((2, 3)))
        return out


def way_of(model: nn.Module, x: torch.Tensor, **options: Any) -> tuple[Any, Any]:
    """Return the answer to two batches, and how the second is computed."""
    traced = trace(model, tuple(x.shape[1:]))
    model.cuda()
    speed = Speed(fast=True, graph=traced.own_size)
    with torch.inference_mode(), full_float32(CUDA):
        chosen = Chosen(model, traced.found.se_readings, CUDA, speed=speed, **options)
        with chosen as way:
            way(x.cuda())
            answer = way(x.cuda().flip(0))
            return Answer(answer.logits.cpu(), {n: g.cpu() for n, g in answer.gates.items()}), type(
                way._way
            ).__name__


@needs_cuda
@pytest.mark.parametrize("reduced", [None, *REDUCED.values()])
def test_a_replayed_pass_gives_the_bits_of_a_plain_one(reduced: Any) -> None:
    torch.manual_seed(0)
    model, x = build("se_resnet20").eval(), torch.randn(64, 3, 32, 32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seviz.collect.fast.trial.WORTH", 0.0)
        plain, how = way_of(model, x, reduced=reduced)
        assert how == "Eager"
        patch.setattr("seviz.collect.fast.trial.WORTH", float("inf"))
        replayed, how = way_of(model, x, reduced=reduced)
        assert how == "Replayed"
    assert torch.equal(plain.logits, replayed.logits)
    assert plain.gates.keys() == replayed.gates.keys()
    for name, gate in plain.gates.items():
        assert torch.equal(gate, replayed.gates[name])


@needs_cuda
def test_a_network_that_waits_for_the_gpu_is_not_replayed() -> None:
    seen = []
    model = Twice(lambda gate: seen.append(gate.mean().item())).eval()
    x = torch.randn(4, 8, 5, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seviz.collect.fast.trial.WORTH", float("inf"))
        answer, how = way_of(model, x)
    assert how == "Eager"
    assert torch.allclose(answer.logits, model.cpu()(x.flip(0)), atol=1e-5)
    assert bool(torch.zeros(3, device="cuda").sum() == 0)  # and the GPU goes on


@needs_cuda
def test_hooks_of_others_are_called_for_every_batch() -> None:
    calls = []
    model = Twice().eval()
    model.down.register_forward_hook(lambda *_: calls.append(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seviz.collect.fast.trial.WORTH", float("inf"))
        _, how = way_of(model, torch.randn(4, 8, 5, 5))
    assert how == "Eager"
    assert len(calls) >= 2


@needs_cuda
@pytest.mark.parametrize("fast", [True, False])
def test_no_batch_waits_for_a_gpu(fast: bool) -> None:
    model = build("se_resnet20").eval()
    traced = trace(model, (3, 32, 32))
    blocks = traced.found.blocks
    observers = [
        GateSums(blocks, CLASSES, CUDA),
        GateSample(blocks, CUDA),
        Predictions(range(CLASSES), CLASSES, CUDA),
    ]

    def debug(mode: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is a prototype, torch says
            torch.cuda.set_sync_debug_mode(mode)

    def batches() -> Iterator[Any]:
        for number in range(8):
            # A batch or two prepare; then whatever waits is an error.
            debug("error" if number > 3 else "default")
            images = torch.randn(16, 3, 32, 32).pin_memory()
            rows = torch.randint(0, CLASSES, (16,)).pin_memory()
            yield OnHost(images, rows, torch.arange(16) + 16 * number)

    try:
        run_pass(
            model,
            traced.found.se_readings,
            batches(),
            observers,
            device=CUDA,
            speed=Speed(fast=fast, graph=traced.own_size),
        )
    finally:
        debug("default")
    assert int(observers[0].compute()["count"].sum()) == 128


@needs_cuda
@pytest.mark.parametrize("kind", ["tf32", "bfloat16"])
def test_shorter_types_on_a_gpu_stay_near(digits: LoadedModel, expected: Record, kind: str) -> None:
    found = seviz.collect(digits, "digits", PassOptions(device=GPU, amp_dtype=kind))
    for block in expected.blocks:
        one, other = found.stats(block.name), expected.stats(block.name)
        far = np.abs(one.mean - other.mean).max()
        assert 0 < far < {"tf32": 0.002, "bfloat16": 0.02}[kind]


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
