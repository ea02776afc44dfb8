"""The Python way to an audit: names, files and networks; nothing fetched, nothing allocated."""

from __future__ import annotations

import pytest
import torch
from conftest import Refuses, Tiny
from torch import nn

import seviz
from seviz.cost.entry import blueprint, has_blueprint
from seviz.errors import CheckpointError, NoSEBlockError, UsageError


@pytest.mark.parametrize(
    "name", ["timm:legacy_seresnet18", "torchvision:mobilenet_v3_small", "se_resnet20"]
)
def test_a_name_is_built_without_weights(name: str, no_network: None) -> None:
    loaded = blueprint(name)
    assert all(p.is_meta for p in loaded.model.parameters())
    assert not loaded.model.training
    assert has_blueprint(name)
    real = blueprint(name, on_meta=False)
    assert not any(p.is_meta for p in real.model.parameters())


def test_arguments_of_the_architecture(no_network: None) -> None:
    loaded = blueprint("timm:legacy_seresnet18", arch_args={"num_classes": 3, "pretrained": True})
    assert seviz.audit(loaded).params == seviz.audit("timm:legacy_seresnet18").params - 997 * 513


def test_a_file_is_no_blueprint(tiny: Tiny) -> None:
    assert not has_blueprint(tiny.path)
    assert not has_blueprint("timm:hf-hub:someone/something")
    assert not has_blueprint("package.module:factory")


def test_a_checkpoint_its_network_and_what_was_loaded_cost_the_same(tiny: Tiny) -> None:
    by_file = seviz.audit(tiny.path)
    by_load = seviz.audit(seviz.load(tiny.path))
    by_model = seviz.audit(tiny.model, (3, 12, 12))
    assert by_file == by_load
    assert by_file.input_size == (3, 12, 12)
    assert by_model.blocks == by_file.blocks
    assert by_model.totals == by_file.totals


def test_insertion_and_sweep_together(no_network: None) -> None:
    audit = seviz.audit(
        "torchvision:resnet18", insertion=seviz.Insertion(reduction=8), sweep=(8, 16)
    )
    assert audit.reduction == 8
    assert len(audit.inserted) == 8
    assert audit.sweep[0].params == audit.params
    sixteen = seviz.audit("torchvision:resnet18", insertion=seviz.Insertion(reduction=16))
    assert audit.sweep[1].params == sixteen.params


def test_what_is_refused(refuses: Refuses) -> None:
    with refuses(UsageError, "input size"):
        seviz.audit(nn.Conv2d(3, 4, 1))
    with refuses(UsageError, "reduction ratios"):
        seviz.audit("se_resnet20", sweep=(0,))
    with refuses(UsageError, "--convention"):
        seviz.audit("se_resnet20", conventions=("flops",))
    with pytest.raises(NoSEBlockError):
        seviz.audit("torchvision:resnet18")
    with refuses(CheckpointError, "SE blocks"):
        seviz.audit("se_resnet20", insertion=seviz.Insertion())


def test_inserted_networks_have_weights_and_run() -> None:
    network = seviz.insert_se("resnet14", (3, 32, 32))
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)
