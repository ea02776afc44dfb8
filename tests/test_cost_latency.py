"""Wall time: the ratio, its interval, and that both networks run in turns."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import Refuses
from scipy import stats
from torch import Tensor, nn

import seviz
from seviz.cost import measure
from seviz.cost.latency import ratio_interval
from seviz.errors import DeviceError, UsageError


class Slow(nn.Module):
    """Takes a given time of a clock, and says when it ran."""

    def __init__(self, name: str, seconds: float, log: list[str], clock: list[float]) -> None:
        super().__init__()
        self.name, self.seconds, self.log, self.clock = name, seconds, log, clock

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        self.log.append(f"{self.name}{len(x)}")
        self.clock[0] += self.seconds
        return x


def test_pairs_in_turns_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that runs while they do, and not otherwise."""
    log: list[str] = []
    clock = [0.0]
    monkeypatch.setattr("seviz.cost.latency.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    model, twin = Slow("a", 0.03, log, clock), Slow("b", 0.01, log, clock)
    found = measure(model, twin, (3, 4, 4), batch=5, pairs=4, warm_up=2)
    assert log == ["a5", "b5"] * 2 + ["a5", "b5", "b5", "a5"] * 2
    assert (found.ratio_low, found.ratio, found.ratio_high) == pytest.approx((3, 3, 3))
    assert found.with_se_ms == pytest.approx(30)
    assert found.without_se_ms == pytest.approx(10)
    assert (found.batch, found.pairs, found.device) == (5, 4, "cpu")
    assert model.training
    assert twin.training


def test_the_interval_is_the_bootstrap_of_the_median() -> None:
    ratios = np.random.default_rng(1).normal(1.05, 0.02, 25)
    median, low, high = ratio_interval(ratios)
    assert median == np.median(ratios)
    reference = stats.bootstrap(
        (ratios,), np.median, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert low == pytest.approx(reference.low, abs=0.003)
    assert high == pytest.approx(reference.high, abs=0.003)


def test_what_cannot_be_timed(refuses: Refuses) -> None:
    with refuses(UsageError, "at least 1"):
        measure(nn.Identity(), nn.Identity(), (3, 4, 4), batch=0)
    with refuses(DeviceError, "cuda:99"):
        measure(nn.Identity(), nn.Identity(), (3, 4, 4), batch=1, device="cuda:99")


def test_latency_of_a_network_and_its_twin() -> None:
    model = seviz.load(seviz.sample("se_resnet_digits"))
    before = {k: v.clone() for k, v in model.model.state_dict().items()}
    audit = seviz.audit(model, timing=seviz.Timing(batch_size=2, pairs=3))
    assert [t.batch for t in audit.latency] == [1, 2]
    assert all(t.with_se_ms > 0 and t.without_se_ms > 0 for t in audit.latency)
    assert all(torch.equal(v, before[k]) for k, v in model.model.state_dict().items())


def test_a_network_without_weights_is_not_timed(refuses: Refuses) -> None:
    model = seviz.load(seviz.sample("se_resnet_digits")).model.to("meta")
    with refuses(UsageError, "weights"):
        seviz.audit(model, (1, 8, 8), timing=seviz.Timing())
