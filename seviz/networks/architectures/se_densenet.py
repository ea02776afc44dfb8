"""DenseNet-121/169/201/161 with one SE layer after each dense block.

Huang et al., "Densely Connected Convolutional Networks" (arXiv 1608.06993), table 1, with compression 0.5
and bottlenecks of four times the growth rate. The SE layer gates the whole width of its dense block, before
the transition; its two fully connected layers carry a bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seviz.networks.architectures.initialisation import kaiming_normal
from seviz.networks.architectures.landmarks import (
    Builder,
    Landmarks,
    OtherFamilyError,
    Reading,
    changed,
    reader,
)
from seviz.networks.architectures.se import SqueezeExcite

_BOTTLENECK = 4


class DenseLayer(nn.Module):
    """BN-ReLU-convolution twice (1x1, 3x3); the result is appended to the input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, _BOTTLENECK * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(_BOTTLENECK * growth)
        self.conv2 = nn.Conv2d(_BOTTLENECK * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, inputs + growth, H, W]."""
        new = self.conv1(F.relu(self.norm1(x), inplace=True))
        new = self.conv2(F.relu(self.norm2(new), inplace=True))
        return torch.cat((x, new), 1)


class GatedDenseBlock(nn.Module):
    """A dense block, then SE."""

    def __init__(self, inputs: int, layers: int, growth: int, reduction: int) -> None:
        super().__init__()
        self.dense_block = nn.Sequential()
        for index in range(layers):
            layer = DenseLayer(inputs + index * growth, growth)
            self.dense_block.add_module(f"denselayer{index + 1}", layer)
        self.se = SqueezeExcite(inputs + layers * growth, reduction, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, inputs + layers * growth, H, W]."""
        gated: Tensor = self.se(self.dense_block(x))
        return gated


class Transition(nn.Module):
    """BN-ReLU-convolution to half the channels, average pooling to half the size."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, inputs // 2, H / 2, W / 2]."""
        return F.avg_pool2d(self.conv(F.relu(self.norm(x), inplace=True)), 2)


class SEDenseNet(nn.Module):
    """DenseNet with gated dense blocks.

    Args:
        stem: Channels of the first convolution.
        growth: Channels that each layer appends.
        blocks: Number of layers of the dense blocks.
        num_classes: Width of the classifier.
        reduction: Reduction ratio of the SE layers.
        in_chans: Channels of the images.
    """

    def __init__(
        self,
        stem: int,
        growth: int,
        blocks: Sequence[int],
        *,
        num_classes: int = 1000,
        reduction: int = 16,
        in_chans: int = 3,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(in_chans, stem, 7, 2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(stem))
        self.features.add_module("relu0", nn.ReLU(inplace=True))
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, padding=1))
        width = stem
        for number, layers in enumerate(blocks, 1):
            if number > 1:
                self.features.add_module(f"transition{number - 1}", Transition(width))
                width //= 2
            block = GatedDenseBlock(width, layers, growth, reduction)
            self.features.add_module(f"denseblock{number}", block)
            width += layers * growth
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, num_classes)
        kaiming_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, num_classes] for images [N, in_chans, H, W]."""
        x = F.relu(self.features(x), inplace=True)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


_SIZES = {
    "se_densenet121": (64, 32, (6, 12, 24, 16)),
    "se_densenet169": (64, 32, (6, 12, 32, 32)),
    "se_densenet201": (64, 32, (6, 12, 48, 32)),
    "se_densenet161": (96, 48, (6, 12, 36, 24)),
}
BUILDERS: dict[str, Builder] = {name: partial(SEDenseNet, *sizes) for name, sizes in _SIZES.items()}


@reader
def read(found: Landmarks) -> Reading:
    """Tell which of the four it is, and reduction, classes and input channels, from the shapes."""
    stem, in_chans, *_ = found.weight("features.conv0", 4, kernel=7)
    layer = "features.denseblock{}.dense_block.denselayer{}.conv2"
    sizes = (
        stem,
        found.weight(layer.format(1, 1), 4)[0],
        tuple(len(found.numbered(layer.format(number, "{}"), start=1)) for number in (1, 2, 3, 4)),
    )
    name = next((name for name, known in _SIZES.items() if known == sizes), None)
    if name is None:
        raise OtherFamilyError(f"{sizes}")
    arguments = {
        "num_classes": found.weight("classifier", 2)[0],
        "reduction": found.reduction(
            f"features.denseblock{number}.se.fc.0" for number in (1, 2, 3, 4)
        ),
        "in_chans": in_chans,
    }
    return name, changed(BUILDERS[name], arguments)
