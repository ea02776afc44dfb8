"""Building networks whose numbers come from elsewhere."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn

from seviz.networks.building import no_random_numbers, on_meta


@pytest.mark.parametrize(
    "build",
    [
        lambda: timm.create_model("mobilenetv3_small_050"),
        torchvision.models.regnet_y_400mf,  # computes its widths with tensors
    ],
    ids=["plain", "computing"],
)
def test_the_meta_device_has_names_and_shapes(build) -> None:  # type: ignore[no-untyped-def]
    model, real = on_meta(build), build()
    assert all(p.is_meta for p in model.parameters())
    assert [(k, v.shape) for k, v in model.state_dict().items()] == [
        (k, v.shape) for k, v in real.state_dict().items()
    ]


def test_random_numbers_are_left_out() -> None:
    with no_random_numbers():
        layer = nn.Linear(400, 300)
        seed = torch.random.get_rng_state()
        nn.Conv2d(30, 40, 3)
        assert torch.equal(torch.random.get_rng_state(), seed)
        kept = torch.full((3,), 7.0)
        assert torch.equal(kept.clone().normal_(2.0, 1.0), kept)
        assert torch.equal(nn.init.xavier_uniform_(kept.repeat(3, 1)), kept.repeat(3, 1))
    assert layer.weight.shape == (300, 400)
    assert torch.empty(100).normal_().std() > 0


def test_numbers_that_are_not_random_stay() -> None:
    """What no file has: the filters of a blur pool, tables of positions."""
    with no_random_numbers():
        pool = timm.layers.BlurPool2d(4)
        norm = nn.BatchNorm2d(3)
    assert torch.equal(pool.filt, timm.layers.BlurPool2d(4).filt)
    assert torch.equal(norm.weight, torch.ones(3))


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (0.1, 3.0)])
def test_drawing_until_the_numbers_please_comes_to_an_end(low: float, high: float) -> None:
    """Left as they are, numbers that do not please would be looked at for ever.

    What the tensor holds then does not matter; that this test ends does.
    """
    with no_random_numbers():
        tensor = torch.full((20, 20), float("inf"))
        nn.init.trunc_normal_(tensor, 0.0, 1.0, low, high)
    assert not torch.isposinf(tensor).all()
