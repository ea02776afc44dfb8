"""ResNet-20/32/44/56/110 for small images, without gates, with SE, or with gates of another kind.

He et al., "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), section 4.2: a 3x3 stem,
then three stages of n basic blocks with 16, 32 and 64 channels, depth = 6n + 2. SE sits after the last
norm of each residual branch, before the addition (Hu et al., arXiv 1709.01507, figure 3); ECA and the
channel half of CBAM sit there too, so that networks which differ in their gates alone can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from seviz.networks.architectures.attention import (
    EfficientChannelAttention,
    PooledChannelAttention,
)
from seviz.networks.architectures.initialisation import kaiming_normal
from seviz.networks.architectures.landmarks import (
    Builder,
    Landmarks,
    OtherFamilyError,
    Reading,
    by_depth,
    reader,
)
from seviz.networks.architectures.se import SqueezeExcite

# By the word that names the gate in the state dict, from channels and reduction ratio.
GATES: Mapping[str, Callable[[int, int], nn.Module]] = {
    "se": SqueezeExcite,
    "eca": lambda channels, reduction: EfficientChannelAttention(channels),
    "cbam": PooledChannelAttention,
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(
        self, inputs: int, channels: int, stride: int, reduction: int | None, attention: str = "se"
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        gate = nn.Identity() if reduction is None else GATES[attention](channels, reduction)
        self.add_module(attention, gate)
        self._attention = attention
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, channels, H / stride, W / stride]."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.get_submodule(self._attention)(self.bn2(self.conv2(out)))
        return F.relu(out + self.downsample(x), inplace=True)


class CifarResNet(nn.Module):
    """Residual network for 32 x 32 (or smaller) images.

    Args:
        depth: 6n + 2 for n blocks in each of the three stages.
        num_classes: Width of the classifier.
        reduction: Reduction ratio of the gates (ECA has none, whatever is given); ``None`` builds the
            twin without gates.
        in_chans: Channels of the images.
        widths: Channels of the three stages.
        attention: Kind of the gates: ``se``, ``eca`` or ``cbam`` (its channel half).

    Raises:
        ValueError: If ``depth`` is not 6n + 2, or there are no gates of this kind.
    """

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int = 10,
        reduction: int | None = 16,
        in_chans: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        attention: str = "se",
    ) -> None:
        super().__init__()
        if attention not in GATES:
            raise ValueError(f"expected attention among {', '.join(GATES)}, found {attention!r}")
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"expected a depth of 6n + 2 (8, 14, 20, 32, ...), found {depth}")
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(in_chans, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inputs = widths[0]
        for number, width in enumerate(widths, 1):
            layer = nn.Sequential()
            for index in range(blocks):
                stride = 2 if number > 1 and index == 0 else 1
                layer.append(BasicBlock(inputs, width, stride, reduction, attention))
                inputs = width
            self.add_module(f"layer{number}", layer)
        self.stages = len(widths)
        self.fc = nn.Linear(inputs, num_classes)
        kaiming_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, num_classes] for images [N, in_chans, H, W]."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        for number in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


_DEPTHS = (14, 20, 32, 44, 56, 110)
BUILDERS: dict[str, Builder] = {
    **{f"se_resnet{d}": partial(CifarResNet, d) for d in _DEPTHS},
    **{f"resnet{d}": partial(CifarResNet, d, reduction=None) for d in _DEPTHS},
    **{
        f"{kind}_resnet{d}": partial(CifarResNet, d, attention=kind)
        for kind in GATES
        if kind != "se"
        for d in _DEPTHS
    },
    "cifar_resnet": CifarResNet,
}


@reader
def read(found: Landmarks) -> Reading:
    """Tell depth, widths, reduction, classes and input channels from the shapes."""
    _, in_chans, *_ = found.weight("conv1", 4, kernel=3)
    if "layer1.0.conv3.weight" in found:
        raise OtherFamilyError("bottleneck")
    layers = [path.split(".")[0] for path in found.numbered("layer{}.0.conv1", start=1)]
    blocks = len(found.numbered("layer1.{}.conv1"))
    reduction, attention = None, "se"
    for kind in ("se", "cbam"):
        if f"layer1.0.{kind}.fc.0.weight" in found:
            attention = kind
            reduction = found.reduction(
                f"{layer}.{index}.{kind}.fc.0" for layer in layers for index in range(blocks)
            )
    if "layer1.0.eca.conv.weight" in found:
        reduction, attention = found.reduction(()), "eca"  # the usual one: it changes nothing
    return by_depth(
        BUILDERS,
        "cifar_resnet",
        depth=6 * blocks + 2,
        num_classes=found.weight("fc", 2)[0],
        reduction=reduction,
        in_chans=in_chans,
        widths=tuple(found.weight(f"{layer}.0.conv1", 4, kernel=3)[0] for layer in layers),
        attention=attention,
    )
