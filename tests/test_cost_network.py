"""The cost of a whole network, with SE or without, against torch and the libraries that define it."""

from __future__ import annotations

import pytest
import timm
import torch
from conftest import at_night
from torch.utils.flop_counter import FlopCounterMode

from seviz.cost.audit import audit_network, network_cost
from seviz.networks.architectures.registry import build


@pytest.mark.parametrize(
    ("make", "size", "se_blocks"),
    [
        (lambda: build("resnet20"), (3, 32, 32), 0),
        (lambda: build("se_resnet20"), (3, 32, 32), 9),
        (lambda: timm.create_model("resnet18"), (3, 64, 64), 0),
        (lambda: timm.create_model("seresnet18"), (3, 64, 64), 8),
        at_night((lambda: timm.create_model("vgg11"), (3, 224, 224), 0)),
    ],
    ids=["resnet20", "se_resnet20", "resnet18", "seresnet18", "vgg11"],
)
def test_counts_are_those_of_torch(make, size, se_blocks):
    model = make().eval()
    found = network_cost(model, size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *size))
    assert found.macs == counter.get_total_flops() // 2
    assert found.params == sum(p.numel() for p in model.parameters())
    assert found.se_blocks == se_blocks


def test_the_papers_flops():
    """Table 2: VGG-16 without SE 15.47 GFLOPs; SE-ResNet-50 3.87."""
    with torch.device("meta"):
        vgg, se = timm.create_model("vgg16_bn"), timm.create_model("legacy_seresnet50")
    assert network_cost(vgg, (3, 224, 224)).paper.printed[1] == "15.47 G"
    assert network_cost(se, (3, 224, 224)).paper.printed[1] == "3.87 G"


def test_with_se_it_is_the_audits():
    model = build("se_resnet14")
    audit, found = audit_network(model, (3, 32, 32)), network_cost(model, (3, 32, 32))
    assert found.paper == audit.convention("paper")
    assert (found.params, found.macs) == (audit.params, audit.totals.macs)
