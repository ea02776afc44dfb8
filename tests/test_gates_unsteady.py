"""Gates that depend on more than the image: on those beside it, on chance. It is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_collect_loaders import PLAIN, Net, X, Y, seeded
from torch import Tensor, nn
from torch.nn import functional as F

import seviz
from seviz.errors import CheckpointError
from seviz.gates import trace
from seviz.gates.unsteady import norms_of_the_batch, random_numbers


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, training=True)


def with_norm(norm: nn.Module) -> nn.Module:
    network = seeded(Net)
    network.norm = norm
    return network


@pytest.mark.parametrize(
    ("norm", "told"),
    [
        (nn.BatchNorm2d(8), False),
        (nn.BatchNorm2d(8, track_running_stats=False), True),
        (Functional(), True),
        (nn.InstanceNorm2d(8), False),
        (nn.InstanceNorm2d(8, track_running_stats=True), False),
        (nn.GroupNorm(2, 8), False),
    ],
    ids=["running", "batch", "functional", "instance", "instance-running", "group"],
)
def test_gates_that_depend_on_the_batch_are_told(norm: nn.Module, told: bool) -> None:
    network = with_norm(norm).train()
    assert bool(norms_of_the_batch(trace(network, (3, 12, 12)).own_size)) == told
    pairs, all_at_once = (
        seviz.collect(network, list(zip(X.split(n), Y.split(n), strict=True)), PLAIN)
        for n in (3, 21)
    )
    apart = np.abs(pairs.stats("SE_2_1").mean - all_at_once.stats("SE_2_1").mean).max()
    assert (apart > 1e-4) == told  # the remark is true
    said = [n for n in pairs.header.notes if "statistics of each batch" in n]
    assert len(said) == told
    assert not told or said[0].startswith("a norm (norm) takes the statistics")


def test_a_trained_sample_has_none() -> None:
    found = trace(seviz.load(seviz.sample("se_resnet_digits")).model, (1, 8, 8))
    assert norms_of_the_batch(found.own_size) == random_numbers(found.own_size) == ()


class Always(nn.Module):
    """Dropout of which somebody forgot that it has an argument."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x)


@pytest.mark.parametrize(
    ("module", "told"),
    [(Always(), True), (nn.Dropout(), False), (nn.Dropout2d(), False)],
    ids=["functional", "module", "module-2d"],
)
def test_gates_that_depend_on_chance_are_told(module: nn.Module, told: bool) -> None:
    network = with_norm(module)
    one, other = (seviz.collect(network, [(X, Y)], PLAIN) for _ in range(2))
    apart = np.abs(one.stats("SE_2_1").mean - other.stats("SE_2_1").mean).max()
    assert (apart > 1e-4) == told
    said = [n for n in one.header.notes if "draws random numbers" in n]
    assert len(said) == told
    assert not told or said[0].startswith("a module (norm) draws random numbers")


class Frames(nn.Module):
    """Images in pairs beside each other, as frames of a film are put into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = seeded(Net)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([x, x.flip(-1)])
        return sum(self.inner(both).chunk(2))  # type: ignore[return-value]


def test_gates_of_several_maps_of_an_image_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"for each image, found 2 in SE_2_1 \(inner.se\)"):
        seviz.collect(Frames(), [(X, Y)], PLAIN)
    # Held at one number for all, it makes no difference whose they are.
    gate = {"SE_2_1": np.full(8, 0.5)}
    assert seviz.fold(Frames().eval(), ["SE_2_1"], gate, images=X).difference < 1e-5
