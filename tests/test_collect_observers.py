"""The pass and its sums, against plain NumPy on gates that are all kept."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, top_k_accuracy_score
from torch import Tensor, nn

from seviz.collect.fast import sums_device
from seviz.collect.forward import resolve_device, run
from seviz.collect.observers import GateSums, Observation, Predictions
from seviz.errors import CheckpointError, DeviceError
from seviz.gates import Tap, evaluating, find
from seviz.networks.architectures.registry import build
from seviz.results.blocks import GateBlock
from seviz.results.stats import BlockStats

CPU = torch.device("cpu")
SIZE = (3, 16, 16)
CLASSES = 4
FIELDS = ("sum", "sumsq", "minimum", "maximum", "low", "high")


@dataclass(frozen=True, eq=False)
class Batch:
    images: Tensor
    rows: Tensor


def network() -> nn.Module:
    """A small SE network whose gates vary from image to image."""
    torch.manual_seed(0)
    model = build("se_resnet14", num_classes=6, reduction=4).eval()
    for name, parameter in model.named_parameters():
        if ".se." in name:
            nn.init.normal_(parameter, std=0.5)
    return model


def images(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(count, *SIZE, generator=generator) * 2,
        torch.randint(0, CLASSES, (count,), generator=generator),
    )


def batched(x: Tensor, rows: Tensor, size: int) -> list[Batch]:
    return [Batch(a, b) for a, b in zip(x.split(size), rows.split(size), strict=True)]


def collected(model: nn.Module, batches: Sequence[Batch]) -> dict[str, Any]:
    found = find(model, SIZE)
    sums = GateSums(found.blocks, CLASSES, CPU)
    predictions = Predictions([0, 2, 3, 5], 6, CPU)
    passed = run(model, found.se_readings, batches, [sums, predictions], device=CPU)
    assert not passed.interrupted
    assert passed.images == sum(len(b.rows) for b in batches)
    return {**sums.compute(), **predictions.compute()}


def stats(arrays: dict[str, Any], name: str) -> BlockStats:
    return BlockStats(arrays["count"], **{f: arrays[f"gates/{name}/{f}"] for f in FIELDS})


def kept_gates(model: nn.Module, x: Tensor) -> dict[str, np.ndarray[Any, Any]]:
    """Every gate, from hooks on the modules that this network is known to have."""
    kept: dict[str, list[Tensor]] = {}
    handles = []
    stage = {"layer1": 2, "layer2": 3, "layer3": 4}
    for path, module in model.named_modules():
        if path.endswith("se.fc"):
            layer, index = path.split(".")[:2]
            name = f"SE_{stage[layer]}_{int(index) + 1}"
            kept[name] = []
            handles.append(
                module.register_forward_hook(lambda m, a, out, name=name: kept[name].append(out))
            )
    with torch.no_grad():
        for one in x.split(1):
            model(one)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(gates).double().numpy() for name, gates in kept.items()}


def test_sums_equal_numpy_on_all_gates() -> None:
    model = network()
    x, rows = images(90)
    arrays = collected(model, batched(x, rows, 16))
    labels = rows.numpy()
    gates = kept_gates(model, x)
    assert len(gates) == 6
    assert arrays["count"].tolist() == np.bincount(labels, minlength=CLASSES).tolist()
    for name, every in gates.items():
        block = stats(arrays, name)
        for k in range(CLASSES):
            own = every[labels == k]
            np.testing.assert_allclose(block.mean[k], own.mean(0), atol=1e-6, rtol=0)
            np.testing.assert_allclose(block.std[k], own.std(0), atol=1e-6, rtol=0)
            np.testing.assert_allclose(block.minimum[k], own.min(0), atol=1e-6, rtol=0)
            np.testing.assert_allclose(block.maximum[k], own.max(0), atol=1e-6, rtol=0)
        means = [every[labels == k].mean(0) for k in range(CLASSES)]
        np.testing.assert_allclose(block.all_mean, np.mean(means, 0), atol=1e-6, rtol=0)
        np.testing.assert_allclose(block.all_std, every.std(0), atol=1e-6, rtol=0)


def test_saturation_counts() -> None:
    block = find(build("se_resnet14"), (3, 32, 32)).blocks[0]
    sums = GateSums([block], 2, CPU)
    gates = torch.full((3, block.channels), 0.5)
    gates[0, 0], gates[1, 0], gates[2, 0] = 0.96, 0.951, 0.95
    gates[0, 1], gates[1, 1] = 0.0, 0.049
    rows = torch.tensor([1, 1, 1])
    sums.update(Observation(rows, {block.name: gates}, torch.zeros(3, 2)))
    found = stats(sums.compute(), block.name)
    # 0.95 in float32 is 0.949999988: not above the threshold.
    assert found.high[:, :3].tolist() == [[0, 0, 0], [2, 0, 0]]
    assert found.low[:, :3].tolist() == [[0, 0, 0], [0, 2, 0]]
    assert found.minimum[0].tolist() == [float("inf")] * block.channels


@pytest.mark.parametrize("size", [1, 7, 64, 90])
def test_batch_size_does_not_matter(size: int) -> None:
    model = network()
    x, rows = images(90)
    whole, parts = collected(model, batched(x, rows, 90)), collected(model, batched(x, rows, size))
    assert_equal(whole, parts)


def test_order_does_not_matter() -> None:
    model = network()
    x, rows = images(90)
    shuffled = torch.randperm(90, generator=torch.Generator().manual_seed(3))
    assert_equal(
        collected(model, batched(x, rows, 16)),
        collected(model, batched(x[shuffled], rows[shuffled], 16)),
    )


def assert_equal(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for name in ("count", "confusion", "top5"):
        assert np.array_equal(a[name], b[name])
    for name in {n.split("/")[1] for n in a if "/" in n}:
        one, other = stats(a, name), stats(b, name)
        for field in ("mean", "std", "minimum", "maximum"):
            np.testing.assert_allclose(
                getattr(one, field), getattr(other, field), atol=1e-6, rtol=0
            )


@cache
def first_block() -> GateBlock:
    return find(build("se_resnet14"), (3, 32, 32)).blocks[0]


@given(
    rows=st.lists(st.integers(0, 2), min_size=1, max_size=40),
    cut=st.integers(0, 40),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=40)
def test_any_split_adds_up_to_numpy(rows: list[int], cut: int, seed: int) -> None:
    """Two observers that saw two parts add up to the statistics of the whole."""
    block = first_block()
    gates = np.random.default_rng(seed).random((len(rows), block.channels), dtype=np.float32)
    halves = []
    for part in (slice(None, cut), slice(cut, None)):
        sums = GateSums([block], 3, CPU)
        if rows[part]:
            x = torch.from_numpy(gates[part])
            at = torch.tensor(rows[part])
            sums.update(Observation(at, {block.name: x}, torch.zeros(len(at), 2)))
        halves.append(stats(sums.compute(), block.name))
    merged = halves[0] + halves[1]
    labels = np.array(rows)
    assert merged.count.tolist() == np.bincount(labels, minlength=3).tolist()
    for k in set(rows):
        own = gates[labels == k].astype(np.float64)
        np.testing.assert_allclose(merged.mean[k], own.mean(0), atol=1e-9)
        np.testing.assert_allclose(merged.std[k], own.std(0), atol=1e-7)
        assert np.array_equal(merged.low[k], (gates[labels == k] < np.float32(0.05)).sum(0))
        assert np.array_equal(merged.high[k], (gates[labels == k] > np.float32(0.95)).sum(0))


def test_predictions_equal_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(500, 8, generator=generator)
    rows = torch.randint(0, 3, (500,), generator=generator)
    targets = [1, 4, 6]
    predictions = Predictions(targets, 8, CPU)
    for part in range(0, 500, 64):
        at = slice(part, part + 64)
        predictions.update(Observation(rows[at], {}, logits[at]))
    arrays = predictions.compute()
    true = np.array(targets)[rows.numpy()]
    full = confusion_matrix(true, logits.argmax(1).numpy(), labels=range(8))
    assert np.array_equal(arrays["confusion"], full[targets])
    expected = top_k_accuracy_score(true, logits.numpy(), k=5, labels=range(8), normalize=False)
    assert arrays["top5"].sum() == expected


def test_nan_gates_are_an_error() -> None:
    model = network()
    x, rows = images(4)
    x[2] = float("nan")
    with pytest.raises(CheckpointError, match=r"finite gates.*SE_2_1"):
        collected(model, batched(x, rows, 4))


def test_the_pass_leaves_no_trace() -> None:
    model = network()
    model.get_submodule("layer2.0.bn1").training = True
    flags = [m.training for m in model.modules()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    x, rows = images(8)
    with torch.no_grad(), evaluating(model):
        before = model(x)
    collected(model, batched(x, rows, 4))
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with torch.no_grad(), evaluating(model):
        assert torch.equal(model(x), before)


def test_an_exception_in_the_model_leaves_no_hook() -> None:
    model = network()
    found = find(model, SIZE)
    x, rows = images(8)
    with pytest.raises(RuntimeError, match="size"):
        run(model, found.se_readings, [Batch(x[:, :2], rows)], [], device=CPU)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not any(m.training for m in model.modules())


def test_a_block_that_does_not_run_is_an_error() -> None:
    model = network()
    found = find(model, SIZE)

    class Shorter(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

    with Tap(model, found) as tap:
        Shorter(model)(images(2)[0])
        with pytest.raises(CheckpointError, match="expected a gate from each of 6 blocks"):
            tap.take()


def test_ctrl_c_ends_after_the_batch_that_every_observer_saw() -> None:
    model = network()
    found = find(model, SIZE)
    x, rows = images(40)

    def interrupted() -> Iterator[Batch]:
        for number, batch in enumerate(batched(x, rows, 8)):
            if number == 2:
                signal.raise_signal(signal.SIGINT)
            yield batch

    sums = GateSums(found.blocks, CLASSES, CPU)
    before = signal.getsignal(signal.SIGINT)
    passed = run(model, found.se_readings, interrupted(), [sums], device=CPU)
    assert passed.interrupted
    assert passed.images == 24 == sums.compute()["count"].sum()
    assert signal.getsignal(signal.SIGINT) is before


def test_the_pass_runs_outside_the_main_thread() -> None:
    model = network()
    x, rows = images(8)
    results: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: results.append(collected(model, batched(x, rows, 4))))
    thread.start()
    thread.join()
    assert results[0]["count"].sum() == 8


def test_nothing_keeps_batches_or_the_model_alive() -> None:
    model = network()
    found = find(model, SIZE)
    x, rows = images(32)
    alive: list[weakref.ref[Tensor]] = []

    def watched() -> Iterator[Batch]:
        for batch in batched(x, rows, 8):
            own = Batch(batch.images.clone(), batch.rows)
            alive.append(weakref.ref(own.images))
            yield own

    run(model, found.se_readings, watched(), [GateSums(found.blocks, CLASSES, CPU)], device=CPU)
    gc.collect()
    assert not [a for a in alive if a() is not None]
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_unknown_device() -> None:
    with pytest.raises(DeviceError, match=r"expected a device of this machine \(cpu"):
        resolve_device("cuda:99")
    with pytest.raises(DeviceError, match="found --device toaster"):
        resolve_device("toaster")
    assert resolve_device("cpu") == CPU


def test_sums_stay_on_a_device_with_float64() -> None:
    assert sums_device(torch.device("mps")) == CPU
    assert sums_device(torch.device("cuda")).type == "cuda"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu() -> None:
    model = network()
    x, rows = images(64)
    expected = collected(model, batched(x, rows, 16))
    found = find(model, SIZE)
    device = torch.device("cuda")
    sums = GateSums(found.blocks, CLASSES, device)
    run(model, found.se_readings, batched(x, rows, 16), [sums], device=device)
    arrays = sums.compute()
    assert np.array_equal(arrays["count"], expected["count"])
    for block in found.blocks:
        np.testing.assert_allclose(
            stats(arrays, block.name).mean, stats(expected, block.name).mean, atol=1e-4
        )
