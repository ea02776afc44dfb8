"""The SE-ResNets of the SENet notes, whose blocks share one BN module between their convolutions.

Depths as in He et al. (arXiv 1512.03385), table 1. The state-dict names are those of the notes: stages
``conv2_x`` to ``conv5_x`` of blocks ``block_2_0``, ``block_2_1``, ...; in a basic block ``bn`` follows both
convolutions; in a bottleneck ``bn1`` follows the first two and ``bn2`` the third, and the shortcut projects
in every block. The notes call an SE class without showing it, so its layers may have any names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

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
from seviz.networks.architectures.se import NamedSqueezeExcite, are_separate

_EXPANSION = 4
_STAGES = (2, 3, 4, 5)

MakeSE = Callable[[int], nn.Module]


def _projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with one BN between them; the shortcut projects where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int, make_se: MakeSE) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.se = make_se(width)
        same = stride == 1 and inputs == width
        self.short_cut = nn.Sequential() if same else _projection(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, width, H / stride, W / stride]."""
        out = F.relu(self.bn(self.conv1(x)), inplace=True)
        out = self.se(self.bn(self.conv2(out)))
        return F.relu(out + self.short_cut(x), inplace=True)


class BottleNeck(nn.Module):
    """Convolutions 1x1, 3x3, 1x1, the first two with one BN; the shortcut always projects."""

    def __init__(
        self, inputs: int, width: int, stride: int, make_se: MakeSE, stride_in_1x1: bool
    ) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        strides = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = nn.Conv2d(inputs, width, 1, strides[0], bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, strides[1], padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.se = make_se(outputs)
        self.shortcut = _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, 4 width, H / stride, W / stride]."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn1(self.conv2(out)), inplace=True)
        out = self.se(self.bn2(self.conv3(out)))
        return F.relu(out + self.shortcut(x), inplace=True)


class SharedBNResNet(nn.Module):
    """SE-ResNet with shared norms and a softmax at its end.

    Args:
        bottleneck: Whether the blocks are bottlenecks.
        blocks: Number of blocks of the four stages.
        num_classes: Width of the classifier.
        reduction: Reduction ratio of the SE blocks.
        in_chans: Channels of the images.
        se_layers: Dotted names, below ``se.``, of the two layers of the excitation.
        se_conv: Whether these are 1x1 convolutions instead of fully connected layers.
        se_bias: Whether they carry a bias.
        stride_in_1x1: Whether bottlenecks shrink the map in their first 1x1 convolution instead of the
            3x3. The weights have the same names and shapes in both forms.
        plain_stem: Whether the first convolution and its norm are called ``conv1`` and ``bn``, instead of
            ``conv1.0`` and ``conv1.1``.
    """

    def __init__(
        self,
        bottleneck: bool,
        blocks: Sequence[int],
        *,
        num_classes: int = 1000,
        reduction: int = 16,
        in_chans: int = 3,
        se_layers: Sequence[str] = ("fc.0", "fc.2"),
        se_conv: bool = False,
        se_bias: bool = False,
        stride_in_1x1: bool = False,
        plain_stem: bool = False,
    ) -> None:
        super().__init__()
        make_se = partial(
            NamedSqueezeExcite, reduction=reduction, layers=se_layers, conv=se_conv, bias=se_bias
        )
        conv, norm = nn.Conv2d(in_chans, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64)
        self.conv1 = conv if plain_stem else nn.Sequential(conv, norm, nn.ReLU(inplace=True))
        self.bn = norm if plain_stem else None
        inputs = 64
        for stage, width, count in zip(_STAGES, (64, 128, 256, 512), blocks, strict=True):
            layer = nn.Sequential()
            for index in range(count):
                stride = 2 if stage > 2 and index == 0 else 1
                block = (
                    BottleNeck(inputs, width, stride, make_se, stride_in_1x1)
                    if bottleneck
                    else BasicBlock(inputs, width, stride, make_se)
                )
                layer.add_module(f"block_{stage}_{index}", block)
                inputs = width * _EXPANSION if bottleneck else width
            self.add_module(f"conv{stage}_x", layer)
        self.fc = nn.Linear(inputs, num_classes)
        kaiming_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities [N, num_classes] for images [N, in_chans, H, W]."""
        x = self.conv1(x)
        if self.bn is not None:
            x = F.relu(self.bn(x), inplace=True)
        x = F.max_pool2d(x, 3, 2, padding=1)
        for stage in _STAGES:
            x = self.get_submodule(f"conv{stage}_x")(x)
        return F.softmax(self.fc(x.mean((2, 3))), dim=1)


_SIZES = {
    "shared_bn_se_resnet18": (False, (2, 2, 2, 2)),
    "shared_bn_se_resnet34": (False, (3, 4, 6, 3)),
    "shared_bn_se_resnet50": (True, (3, 4, 6, 3)),
    "shared_bn_se_resnet101": (True, (3, 4, 23, 3)),
    "shared_bn_se_resnet152": (True, (3, 8, 36, 3)),
}
BUILDERS: dict[str, Builder] = {
    name: partial(SharedBNResNet, *sizes) for name, sizes in _SIZES.items()
}


@reader
def read(found: Landmarks) -> Reading:
    """Tell the depth, how the excitation is written, and classes and input channels, from the shapes."""
    plain_stem = "conv1.weight" in found
    _, in_chans, *_ = found.weight("conv1" if plain_stem else "conv1.0", 4, kernel=7)
    stages = [found.numbered(f"conv{s}_x.block_{s}_{{}}.conv1") for s in _STAGES]
    blocks = [path.removesuffix(".conv1") for paths in stages for path in paths]
    sizes = (f"{blocks[0]}.conv3.weight" in found, tuple(map(len, stages)))
    name = next((name for name, known in _SIZES.items() if known == sizes), None)
    if name is None:
        raise OtherFamilyError(f"{sizes}")
    layers, rank, bias = _excitation(found, f"{blocks[0]}.se.")
    arguments = {
        "num_classes": found.weight("fc", 2)[0],
        "reduction": found.reduction((f"{block}.se.{layers[0]}" for block in blocks), rank),
        "in_chans": in_chans,
        "se_layers": layers,
        "se_conv": rank == 4,
        "se_bias": bias,
        "plain_stem": plain_stem,
    }
    return name, changed(BUILDERS[name], arguments)


def _excitation(found: Landmarks, prefix: str) -> tuple[tuple[str, str], int, bool]:
    """Return the two paths (to the bottleneck, back), the rank of the weights, and whether biased."""
    layers = found.below(prefix)
    ranks = {len(shape) for shape in layers.values()}
    if len(layers) != 2 or len(ranks) != 1 or not are_separate(list(layers)):
        raise OtherFamilyError(prefix)
    # Where both are square (r = 1), the order of the file decides.
    down, up = sorted(layers, key=lambda path: layers[path][0])
    return (down, up), ranks.pop(), f"{prefix}{down}.bias" in found
