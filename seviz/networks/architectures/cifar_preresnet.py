"""ResNet-164 for small images with pre-activation bottlenecks, with and without SE.

He et al., "Identity Mappings in Deep Residual Networks" (arXiv 1603.05027), section 5: a 3x3 stem, then
three stages of n bottlenecks, depth = 9n + 2 (n = 18 gives 164), and a last norm before the pooling. The
shortcut carries the block's input as it is; where the shape changes it is one 1x1 convolution without a
norm. SE sits at the end of each residual branch, before the addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from seviz.networks.architectures.initialisation import kaiming_normal
from seviz.networks.architectures.landmarks import Builder, Landmarks, Reading, by_depth, reader
from seviz.networks.architectures.se import SqueezeExcite

_EXPANSION = 4


class PreActivationBottleneck(nn.Module):
    """Three times BN-ReLU-convolution (1x1, 3x3, 1x1), SE, addition."""

    def __init__(self, inputs: int, width: int, stride: int, reduction: int | None) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.se = nn.Identity() if reduction is None else SqueezeExcite(outputs, reduction)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, 4 width, H / stride, W / stride]."""
        out = self.conv1(F.relu(self.bn1(x), inplace=True))
        out = self.conv2(F.relu(self.bn2(out), inplace=True))
        out = self.conv3(F.relu(self.bn3(out), inplace=True))
        total: Tensor = self.se(out) + self.downsample(x)
        return total


class CifarPreResNet(nn.Module):
    """Pre-activation residual network for 32 x 32 (or smaller) images.

    Args:
        depth: 9n + 2 for n blocks in each of the three stages.
        num_classes: Width of the classifier.
        reduction: Reduction ratio of the SE blocks; ``None`` builds the twin without SE.
        in_chans: Channels of the images.
        widths: Channels of the 3x3 convolutions of the three stages; the maps have four times as many.

    Raises:
        ValueError: If ``depth`` is not 9n + 2.
    """

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int = 10,
        reduction: int | None = 16,
        in_chans: int = 3,
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__()
        if depth < 11 or (depth - 2) % 9:
            raise ValueError(f"expected a depth of 9n + 2 (11, 20, ..., 164), found {depth}")
        self.conv1 = nn.Conv2d(in_chans, widths[0], 3, padding=1, bias=False)
        inputs = widths[0]
        for number, width in enumerate(widths, 1):
            layer = nn.Sequential()
            for index in range((depth - 2) // 9):
                stride = 2 if number > 1 and index == 0 else 1
                layer.append(PreActivationBottleneck(inputs, width, stride, reduction))
                inputs = width * _EXPANSION
            self.add_module(f"layer{number}", layer)
        self.stages = len(widths)
        self.bn = nn.BatchNorm2d(inputs)
        self.fc = nn.Linear(inputs, num_classes)
        kaiming_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, num_classes] for images [N, in_chans, H, W]."""
        x = self.conv1(x)
        for number in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(F.relu(self.bn(x), inplace=True).mean((2, 3)))
        return logits


BUILDERS: dict[str, Builder] = {
    "se_resnet164": partial(CifarPreResNet, 164),
    "resnet164": partial(CifarPreResNet, 164, reduction=None),
    "cifar_preresnet": CifarPreResNet,
}


@reader
def read(found: Landmarks) -> Reading:
    """Tell depth, widths, reduction, classes and input channels from the shapes."""
    _, in_chans, *_ = found.weight("conv1", 4, kernel=3)
    found.weight("bn", 1)
    layers = [path.split(".")[0] for path in found.numbered("layer{}.0.conv3", start=1)]
    blocks = len(found.numbered("layer1.{}.conv3"))
    reduction = None
    if "layer1.0.se.fc.0.weight" in found:
        reduction = found.reduction(
            f"{layer}.{index}.se.fc.0" for layer in layers for index in range(blocks)
        )
    return by_depth(
        BUILDERS,
        "cifar_preresnet",
        depth=9 * blocks + 2,
        num_classes=found.weight("fc", 2)[0],
        reduction=reduction,
        in_chans=in_chans,
        widths=tuple(found.weight(f"{layer}.0.conv1", 4, kernel=1)[0] for layer in layers),
    )
