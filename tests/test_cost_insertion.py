"""SE put into networks that have none: where it goes, and what the paper says it costs there."""

from __future__ import annotations

import io

import pytest
import timm
import torch
import torchvision
from conftest import Refuses, at_night
from torch import Tensor, nn

import seviz
from seviz.cost import WithSE, audit_network, insert
from seviz.errors import CheckpointError, UsageError
from seviz.networks.architectures.cifar_resnet import CifarResNet
from seviz.results.cost import Audit

SIZE = (3, 224, 224)


def on_meta(zoo: str, name: str) -> nn.Module:
    with torch.device("meta"):
        make = timm.create_model if zoo == "timm" else torchvision.models.get_model
        return make(name).eval()


def audited(model: nn.Module, size: tuple[int, ...] = SIZE, reduction: int = 16) -> Audit:
    made, places = insert(model, size, reduction=reduction)
    return audit_network(made, size, inserted=[p.path for p in places])


def printed(audit: Audit) -> tuple[str, str]:
    convention = audit.convention("paper")
    assert convention is not None
    return convention.printed


def stride_in_first(model: nn.Module) -> nn.Module:
    """Move each bottleneck's stride from the 3x3 to the first 1x1 convolution, as in the paper's ResNet."""
    for module in model.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
    return model


def test_resnet_50_becomes_the_papers_se_resnet_50() -> None:
    audit = audited(stride_in_first(on_meta("torchvision", "resnet50")))
    assert audit.params == 28_088_024
    assert audit.se_params == 2_530_992
    assert audit.totals is not None
    assert audit.totals.macs == 3_860_488_192
    assert printed(audit) == ("3.86 G", "3.87 G")
    assert {b.block.placement for b in audit.blocks} == {"standard"}
    assert audit.inserted[0] == "layer1.0.bn3"
    assert len(audit.inserted) == 16


def test_vgg_16_by_the_rule_without_batch_norm() -> None:
    audit = audited(on_meta("torchvision", "vgg16_bn"))
    assert printed(audit) == ("15.47 G", "15.48 G")
    convention = audit.convention("paper")
    assert convention is not None
    assert "no batch norm in a plain chain" in convention.rule
    # The reference's own numbers: 15.4703 -> 15.4840.
    assert round((convention.without_se or 0) / 1e9, 4) == 15.4703
    assert round(convention.with_se / 1e9, 4) == 15.4840
    assert len(audit.blocks) == 13


def test_mobilenet() -> None:
    audit = audited(on_meta("timm", "mobilenetv1_100"))
    assert printed(audit) == ("569 M", "572 M")
    assert f"{audit.params_without_se / 1e6:.1f}" == "4.2"
    assert f"{audit.params / 1e6:.1f}" == "4.7"
    convention = audit.convention("paper")
    assert convention is not None
    assert round((convention.without_se or 0) / 1e6, 2) == 568.74
    assert round(convention.with_se / 1e6, 2) == 571.93


@pytest.mark.parametrize(
    ("zoo", "name", "places", "first", "last"),
    [
        ("torchvision", "resnet18", 8, "layer1.0.bn2", "layer4.1.bn2"),
        ("timm", "resnet50", 16, "layer1.0.bn3", "layer4.2.bn3"),
        pytest.param(
            *("timm", "resnext50_32x4d", 16, "layer1.0.bn3", "layer4.2.bn3"),
            marks=pytest.mark.nightly,
        ),
        ("timm", "resnetv2_50", 16, "stages.0.blocks.0.conv3", "stages.3.blocks.2.conv3"),
        ("torchvision", "vgg11_bn", 8, "features.1", "features.26"),
        ("torchvision", "vgg11", 8, "features.0", "features.18"),
        at_night(("torchvision", "googlenet", 9, "inception3a", "inception5b")),
        pytest.param(
            *("torchvision", "inception_v3", 11, "Mixed_5b", "Mixed_7c"), marks=pytest.mark.nightly
        ),
        at_night(("torchvision", "densenet121", 4, "features.denseblock1", "features.denseblock4")),
        pytest.param(
            *("timm", "densenet121", 4, "features.denseblock1", "features.denseblock4"),
            marks=pytest.mark.nightly,
        ),
        ("torchvision", "mobilenet_v2", 10, "features.3.conv.3", "features.16.conv.3"),
        ("timm", "mobilenetv1_100", 13, "blocks.0.0.bn2", "blocks.4.1.bn2"),
        pytest.param(
            *("timm", "inception_resnet_v2", 40, "repeat.0.conv2d", "block8.conv2d"),
            marks=pytest.mark.nightly,
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The default weight initialization of")
def test_places(zoo: str, name: str, places: int, first: str, last: str) -> None:
    model = on_meta(zoo, name)
    size = (3, 299, 299) if "inception" in name else SIZE
    made, found = insert(model, size)
    assert (len(found), found[0].path, found[-1].path) == (places, first, last)
    audit = audit_network(made, size)
    assert len(audit.blocks) == places
    assert audit.params_without_se == sum(p.numel() for p in model.parameters())
    assert audit.se_params == sum(
        2 * p.channels * max(1, p.channels // 16) + p.channels + max(1, p.channels // 16)
        for p in found
    )
    assert audit.twin_macs == audit.macs_without_se


@torch.no_grad()
def test_the_inserted_blocks_scale_and_can_be_trained_and_saved() -> None:
    plain = CifarResNet(14, reduction=None, num_classes=10).eval()
    before = {k: v.clone() for k, v in plain.state_dict().items()}
    made = seviz.insert_se(plain, (3, 32, 32), reduction=4)
    assert all(torch.equal(v, before[k]) for k, v in plain.state_dict().items())
    assert not any(isinstance(m, WithSE) for m in plain.modules())
    x = torch.rand(2, 3, 32, 32)
    blocks = [m for m in made.modules() if isinstance(m, WithSE)]
    assert len(blocks) == 6
    for block in blocks:  # gates of one: the network of before
        block.se.fc[2].weight.zero_()
        block.se.fc[2].bias.fill_(40.0)
    assert torch.allclose(made(x), plain(x), atol=1e-6)
    for block in blocks:
        block.se.fc[2].bias.fill_(0.0)  # gates of a half
    assert not torch.allclose(made(x), plain(x), atol=1e-3)
    found = seviz.find(made, (3, 32, 32))
    assert [(b.channels, b.hidden) for b in found.blocks] == [(16, 4)] * 2 + [(32, 8)] * 2 + [
        (64, 16)
    ] * 2
    file = io.BytesIO()
    torch.save(made, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), made(x))
    with torch.enable_grad():
        made.train()(x).sum().backward()
    assert all(p.grad is not None for b in blocks for p in b.se.parameters())


def test_chosen_places() -> None:
    model = on_meta("torchvision", "resnet18")
    _, found = insert(model, SIZE, after=r"layer\d")
    assert [(p.path, p.channels) for p in found] == [
        ("layer1", 64),
        ("layer2", 128),
        ("layer3", 256),
        ("layer4", 512),
    ]


def test_no_biases_gives_the_papers_formula() -> None:
    model = on_meta("torchvision", "resnet50")
    made, _ = insert(model, SIZE, bias=False)
    assert audit_network(made, SIZE).se_params == 2_514_944


def test_one_hidden_unit_is_still_se() -> None:
    audit = audited(on_meta("torchvision", "mobilenet_v2"))
    assert min(b.block.hidden for b in audit.blocks) == 1


def test_what_cannot_be_inserted(refuses: Refuses) -> None:
    model = CifarResNet(14, reduction=None)
    with refuses(UsageError, "--after", "nothing"):
        insert(model, (3, 32, 32), after="nothing")
    with refuses(UsageError, "regular expression"):
        insert(model, (3, 32, 32), after="(")
    with refuses(UsageError, "--reduction"):
        insert(model, (3, 32, 32), reduction=0)
    with refuses(CheckpointError, "6 SE blocks"):
        insert(CifarResNet(14), (3, 32, 32))
    with refuses(CheckpointError, "place for SE"):
        insert(on_meta("timm", "vit_tiny_patch16_224"), SIZE)


class Attribute(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * float(self.conv.out_channels)


def test_a_network_that_looks_at_its_modules_still_finds_them() -> None:
    made, _ = insert(Attribute(), (3, 8, 8))
    assert isinstance(made.conv, WithSE)
    assert made.conv.out_channels == 32
    with pytest.raises(AttributeError):
        _ = made.conv.nothing
    assert made(torch.rand(1, 3, 8, 8)).shape == (1, 32, 6, 6)
