"""BN-Inception, with and without SE.

Ioffe & Szegedy, "Batch Normalization" (arXiv 1502.03167), figure 5, in the form that was released for Caffe
(4c and 4d have 608 channels there; the figure says 576), under the layer names of that release with ``_`` for
``/``. In the SE form (Hu et al., arXiv 1709.01507, figure 2) the concatenated output of every inception
block is gated.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seviz.networks.architectures.initialisation import kaiming_normal
from seviz.networks.architectures.landmarks import Builder, Landmarks, Reading, changed, reader
from seviz.networks.architectures.se import SqueezeExcite


class Widths(NamedTuple):
    """Output channels of the convolutions of one inception block.

    Attributes:
        one: The 1x1 branch; 0 leaves it out.
        three: The 3x3 branch: reduction, then 3x3.
        double: The double 3x3 branch: reduction, then both 3x3.
        proj: 1x1 after the pooling; 0 leaves it out. A block without ``one`` and ``proj`` halves the map.
        average: Whether the pooling is an average or a maximum.
    """

    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    proj: int
    average: bool = True


_BLOCKS = {
    "3a": Widths(64, (64, 64), (64, 96), 32),
    "3b": Widths(64, (64, 96), (64, 96), 64),
    "3c": Widths(0, (128, 160), (64, 96), 0, average=False),
    "4a": Widths(224, (64, 96), (96, 128), 128),
    "4b": Widths(192, (96, 128), (96, 128), 128),
    "4c": Widths(160, (128, 160), (128, 160), 128),
    "4d": Widths(96, (128, 192), (160, 192), 128),
    "4e": Widths(0, (128, 192), (192, 256), 0, average=False),
    "5a": Widths(352, (192, 320), (160, 224), 128),
    "5b": Widths(352, (192, 320), (192, 224), 128, average=False),
}


class BNInception(nn.Module):
    """BN-Inception; every convolution is followed by a norm and a ReLU.

    Args:
        num_classes: Width of the classifier.
        reduction: Reduction ratio of the SE blocks; ``None`` builds the network without SE.
        in_chans: Channels of the images.
        bias: Whether the convolutions carry a bias, as in the published weights of the plain network.
        se_bias: Whether the fully connected layers of the SE blocks carry a bias.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        reduction: int | None = None,
        in_chans: int = 3,
        bias: bool = True,
        se_bias: bool = True,
    ) -> None:
        super().__init__()
        self._bias = bias
        self._add("conv1_7x7_s2", in_chans, 64, 7, 2)
        self._add("conv2_3x3_reduce", 64, 64, 1)
        self._add("conv2_3x3", 64, 192, 3)
        inputs = 192
        for key, widths in _BLOCKS.items():
            name = f"inception_{key}"
            stride = 1 if widths.one else 2
            if widths.one:
                self._add(f"{name}_1x1", inputs, widths.one, 1)
            self._add(f"{name}_3x3_reduce", inputs, widths.three[0], 1)
            self._add(f"{name}_3x3", *widths.three, 3, stride)
            self._add(f"{name}_double_3x3_reduce", inputs, widths.double[0], 1)
            self._add(f"{name}_double_3x3_1", *widths.double, 3)
            self._add(f"{name}_double_3x3_2", widths.double[1], widths.double[1], 3, stride)
            if widths.proj:
                self._add(f"{name}_pool_proj", inputs, widths.proj, 1)
            inputs = widths.one + widths.three[1] + widths.double[1] + (widths.proj or inputs)
            gate: nn.Module = nn.Identity()
            if reduction is not None:
                gate = SqueezeExcite(inputs, reduction, bias=se_bias)
            self.add_module(f"{name}_se", gate)
        self.last_linear = nn.Linear(inputs, num_classes)
        kaiming_normal(self)

    def _add(self, name: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        padding = kernel // 2
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=self._bias)
        self.add_module(name, conv)
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs))

    def _conv(self, name: str, x: Tensor) -> Tensor:
        out = self.get_submodule(f"{name}_bn")(self.get_submodule(name)(x))
        return F.relu(out, inplace=True)

    def _inception(self, name: str, widths: Widths, x: Tensor) -> Tensor:
        branches = [self._conv(f"{name}_1x1", x)] if widths.one else []
        branches.append(self._conv(f"{name}_3x3", self._conv(f"{name}_3x3_reduce", x)))
        double = self._conv(f"{name}_double_3x3_1", self._conv(f"{name}_double_3x3_reduce", x))
        branches.append(self._conv(f"{name}_double_3x3_2", double))
        if not widths.proj:
            pooled = F.max_pool2d(x, 3, 2, ceil_mode=True)
        elif widths.average:
            pooled = F.avg_pool2d(x, 3, 1, padding=1)
        else:
            pooled = F.max_pool2d(x, 3, 1, padding=1)
        branches.append(self._conv(f"{name}_pool_proj", pooled) if widths.proj else pooled)
        gated: Tensor = self.get_submodule(f"{name}_se")(torch.cat(branches, 1))
        return gated

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, num_classes] for images [N, in_chans, H, W]."""
        x = F.max_pool2d(self._conv("conv1_7x7_s2", x), 3, 2, ceil_mode=True)
        x = self._conv("conv2_3x3", self._conv("conv2_3x3_reduce", x))
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        for key, widths in _BLOCKS.items():
            x = self._inception(f"inception_{key}", widths, x)
        logits: Tensor = self.last_linear(x.mean((2, 3)))
        return logits


# The authors of SE trained theirs without biases in the convolutions.
BUILDERS: dict[str, Builder] = {
    "bn_inception": BNInception,
    "se_bn_inception": partial(BNInception, reduction=16, bias=False),
}


@reader
def read(found: Landmarks) -> Reading:
    """Tell whether there is SE and what carries a bias, and classes and input channels."""
    _, in_chans, *_ = found.weight("conv1_7x7_s2", 4, kernel=7)
    found.weight("inception_5b_pool_proj", 4, kernel=1)
    arguments = {
        "num_classes": found.weight("last_linear", 2)[0],
        "in_chans": in_chans,
        "bias": "conv1_7x7_s2.bias" in found,
    }
    name = "bn_inception"
    if "inception_3a_se.fc.0.weight" in found:
        name = "se_bn_inception"
        arguments["reduction"] = found.reduction(f"inception_{key}_se.fc.0" for key in _BLOCKS)
        arguments["se_bias"] = "inception_3a_se.fc.0.bias" in found
    return name, changed(BUILDERS[name], arguments)
