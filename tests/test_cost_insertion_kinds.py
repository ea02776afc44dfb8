"""Gates of several kinds, at several places, put into networks that have none."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import timm.layers
import torch
import torch.nn.functional as F
import torchvision
from conftest import Refuses, Run
from timm.layers.cbam import ChannelAttn
from torch import Tensor, nn

import seviz
from seviz.cost import insert
from seviz.errors import CheckpointError, UsageError
from seviz.networks.architectures.attention import (
    EfficientChannelAttention,
    GatherExcite,
    PooledChannelAttention,
    eca_kernel,
)
from seviz.networks.architectures.cifar_resnet import CifarResNet

SIZE = (3, 32, 32)
CONSTANT = 0.25


def plain() -> nn.Module:
    """Two residual units in each of three stages of 16, 32 and 64 channels, with statistics of images."""
    torch.manual_seed(0)
    model = CifarResNet(14, reduction=None, num_classes=5)
    with torch.no_grad():
        model(torch.rand(8, *SIZE))
    return model.eval()


def test_the_kernel_of_eca_is_that_of_timm() -> None:
    for channels in (16, 24, 32, 48, 64, 128, 256, 512, 1024, 2048):
        assert eca_kernel(channels) == timm.layers.EcaModule(channels).conv.kernel_size[0]


@torch.no_grad()
def test_the_gates_are_those_of_timm() -> None:
    """With the same weights, timm's modules give the same."""
    torch.manual_seed(0)
    x = torch.randn(3, 32, 5, 4)
    eca, theirs = EfficientChannelAttention(32), timm.layers.EcaModule(32)
    theirs.conv.weight.copy_(eca.conv.weight)
    assert torch.allclose(eca(x), theirs(x), atol=1e-6)
    cbam, pooled = PooledChannelAttention(32, 4), ChannelAttn(32, rd_channels=8)
    pooled.fc1.weight.copy_(cbam.fc[0].weight[:, :, None, None])
    pooled.fc2.weight.copy_(cbam.fc[2].weight[:, :, None, None])
    assert torch.allclose(cbam(x), pooled(x), atol=1e-6)
    gather = timm.layers.GatherExcite(32, use_mlp=False)
    assert torch.allclose(GatherExcite()(x), gather(x), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("se", sum(2 * (2 * c * (c // 16) + c // 16 + c) for c in (16, 32, 64))),
        ("eca", 6 * 3),
        ("cbam", sum(2 * (2 * c * (c // 16) + c // 16 + c) for c in (16, 32, 64))),
        ("ge", 0),
    ],
)
def test_each_kind_is_found_under_its_name(kind: str, params: int) -> None:
    model = plain()
    made = seviz.insert(model, kind, SIZE)
    blocks = seviz.find(made, SIZE, kind).blocks
    assert [(b.stage, b.channels) for b in blocks] == [(2, 16)] * 2 + [(3, 32)] * 2 + [(4, 64)] * 2
    assert {b.placement for b in blocks} == {"standard"}
    audit = seviz.audit(model, SIZE, insertion=seviz.Insertion(kind=kind))
    assert (audit.se_params, audit.mechanism, len(audit.inserted)) == (params, kind, 6)
    assert audit.params_without_se == sum(p.numel() for p in model.parameters())
    assert audit.twin_macs == audit.macs_without_se


def held(made: nn.Module) -> None:
    """Hold every gate of SE that was put in at one number."""
    for name, p in made.named_parameters():
        if ".se.fc.2." in name:
            p.data.fill_(
                0.0 if name.endswith("weight") else torch.logit(torch.tensor(CONSTANT)).item()
            )


def units(model: nn.Module, x: Tensor, place: str) -> Tensor:
    """Compute the plain network's answer with a number in each residual unit, written out."""
    x = F.relu(model.bn1(model.conv1(x)))
    for block in (b for n in (1, 2, 3) for b in model.get_submodule(f"layer{n}")):
        inner = CONSTANT * x if place == "pre" else x
        branch = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(inner)))))
        short = CONSTANT * x if place == "identity" else x
        if place == "standard":
            branch = CONSTANT * branch
        x = F.relu(branch + block.downsample(short))
        if place == "post":
            x = CONSTANT * x
    out: Tensor = model.get_submodule("fc")(x.mean((2, 3)))
    return out


@torch.no_grad()
@pytest.mark.parametrize("place", ["standard", "pre", "post", "identity"])
def test_where_the_gate_goes(place: str) -> None:
    """Table 14 of the paper, by the equations of its figure 5."""
    model, x = plain(), torch.rand(4, *SIZE)
    assert torch.allclose(units(model, x, ""), model(x), atol=1e-5)
    made = seviz.insert(model, "se", SIZE, placement=place)
    assert not torch.allclose(made(x), model(x), atol=1e-3)
    held(made)
    assert torch.allclose(made(x), units(model, x, place), atol=1e-5)
    found = seviz.find(made, SIZE).blocks
    assert len(found) == 6
    if place == "standard":
        assert {b.placement for b in found} == {place}


@pytest.mark.parametrize("place", ["pre", "post", "identity"])
def test_a_network_of_torchvision(place: str) -> None:
    with torch.device("meta"):
        model = torchvision.models.get_model("resnet18").eval()
    made, places = insert(model, (3, 64, 64), kind="eca", placement=place)
    assert len(places) == 8
    found = Counter(b.placement for b in seviz.find(made, (3, 64, 64), "eca").blocks)
    # On the shortcut, what goes through a projection comes before that.
    expected = {"pre": {"pre": 8}, "identity": {"identity": 5, "pre": 3}}
    if place in expected:
        assert found == expected[place]


@torch.no_grad()
def test_its_state_loads_again_and_it_learns(tmp_path: Path) -> None:
    named: dict[str, Any] = {"network": "resnet14", "kind": "cbam", "input_size": SIZE}
    named |= {"placement": "identity", "stages": [3, 4], "reduction": 4}
    made = seviz.insert(**named)
    again = seviz.insert(**named)
    again.load_state_dict(made.state_dict())
    x = torch.rand(2, *SIZE)
    assert torch.equal(again.eval()(x), made.eval()(x))
    torch.save(made.state_dict(), tmp_path / "made.pt")
    loaded = seviz.load(tmp_path / "made.pt", arch="seviz.cost.entry:insert", arch_args=named)
    assert torch.equal(loaded.model(x), made(x))
    with torch.enable_grad():
        made.train()(x).sum().backward()
    gates = [p for n, p in made.named_parameters() if ".cbam." in n]
    # The maps on the shortcuts: three of 32 x 32 (the last is that of the next stage), two, one.
    assert len(gates) == 3 * 4
    assert all(p.grad is not None for p in gates)


def test_stages() -> None:
    made = seviz.insert(plain(), "eca", SIZE, stages=[3])
    assert [(b.name, b.channels) for b in seviz.find(made, SIZE, "eca").blocks] == [
        ("ECA_2_1", 32),
        ("ECA_2_2", 32),
    ]


def test_what_cannot_be_inserted(refuses: Refuses) -> None:
    model = plain()
    with refuses(UsageError, "expected a kind of gates that can be inserted", "'srm'"):
        seviz.insert(model, "srm", SIZE)
    with refuses(UsageError, "--reduction", "found ECA"):
        seviz.insert(model, "eca", SIZE, reduction=4)
    with refuses(UsageError, "--placement", "'above'"):
        seviz.insert(model, "eca", SIZE, placement="above")
    with refuses(UsageError, "--stages among 2, 3, 4, found 7"):
        seviz.insert(model, "eca", SIZE, stages=[3, 7])
    with refuses(UsageError, "--after", "post"):
        seviz.insert(model, "eca", SIZE, placement="post", after="layer1")
    with refuses(UsageError, "depth"):
        seviz.insert(model, "eca", SIZE, depth=3)
    with refuses(CheckpointError, "6 ECA blocks", "leave --insert out"):
        seviz.insert(seviz.insert(model, "eca", SIZE), "eca", SIZE)
    chain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    with refuses(CheckpointError, "branches that are added, found none"):
        seviz.insert(chain, "eca", SIZE, placement="pre")


@pytest.mark.usefixtures("no_figures")
def test_the_command_line(run: Run, elsewhere: Path) -> None:
    """ResNet-20 has three units of 16, 32 and 64 channels each; a kernel of 3 for all."""
    said = run(
        "audit", "resnet20", "--input-size", 3, 32, 32, "--insert", "eca", "--json", "-o", "out"
    )
    assert said.code == 0
    values = json.loads(said.out)
    assert (values["mechanism"], values["params"]["gates"]) == ("eca", 9 * 3)
    assert values["macs"]["gates_layers"] == 3 * 3 * (16 + 32 + 64)
    words = ["audit", "resnet20", "--insert", "cbam", "--placement", "post", "--stages", 3]
    said = run(*words, "--reduction", 8, "--sweep", 4, "-o", "out")
    assert said.code == 0
    assert "This network has no CBAM. With 3 CBAM blocks put into it (r = 8)" in said.out
    for wrong in (
        ["--stages", "3"],
        ["--placement", "pre"],
        ["--insert", "eca", "--insert-se"],
        ["--insert", "eca", "--mechanism", "cbam"],
        ["--insert", "eca", "--sweep", "4"],
        ["--insert", "eca", "--reduction", "4"],
    ):
        assert run("audit", "resnet20", *wrong).code == 2, wrong
