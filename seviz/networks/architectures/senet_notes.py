"""The CIFAR-10 network of the SENet notes: nine residual blocks at one resolution, scale-plus-shift SE.

The state-dict names are those of the notes (``conv_block``, ``res_blocks.N.conv_lower``, ``conv_upper``,
``se_block.fc``, ``out_conv``, ``fc``), so that weights trained with the notes' code load here. That code
computes the squeeze and then overwrites it; ``squeeze=False`` builds the network as published.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from seviz.networks.architectures.landmarks import Builder, Landmarks, Reading, changed, reader
from seviz.networks.architectures.se import ScaleShiftExcite


class ResidualBlock(nn.Module):
    """conv-BN-ReLU-conv-BN, scale-plus-shift SE, addition, ReLU."""

    def __init__(self, filters: int, reduction: int, squeeze: bool) -> None:
        super().__init__()
        self.conv_lower = nn.Sequential(
            nn.Conv2d(filters, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
        )
        self.conv_upper = nn.Sequential(
            nn.Conv2d(filters, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters)
        )
        self.se_block = ScaleShiftExcite(filters, reduction, squeeze=squeeze)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, filters, H, W] to the same shape."""
        return F.relu(x + self.se_block(self.conv_upper(self.conv_lower(x))), inplace=True)


class SENetNotes(nn.Module):
    """Stem, ``blocks`` residual blocks, 1x1 convolution to 128, average pooling, linear, log-softmax.

    Args:
        filters: Width of the residual blocks (the notes use 128).
        blocks: Number of residual blocks (the notes use 9).
        reduction: Reduction ratio of the SE blocks.
        squeeze: Whether the excitation sees the squeezed map (SE) or the map itself (as published).
        num_classes: Width of the classifier.
        in_chans: Channels of the images.
    """

    def __init__(
        self,
        *,
        filters: int = 128,
        blocks: int = 9,
        reduction: int = 16,
        squeeze: bool = True,
        num_classes: int = 10,
        in_chans: int = 3,
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(in_chans, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
        )
        self.res_blocks = nn.Sequential(
            *(ResidualBlock(filters, reduction, squeeze) for _ in range(blocks))
        )
        self.out_conv = nn.Sequential(
            nn.Conv2d(filters, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(inplace=True)
        )
        self.fc = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return log-probabilities [N, num_classes] for images [N, in_chans, H, W]."""
        x = self.out_conv(self.res_blocks(self.conv_block(x)))
        return F.log_softmax(self.fc(x.mean((2, 3))), dim=1)


BUILDERS: dict[str, Builder] = {"senet_notes": SENetNotes}


@reader
def read(found: Landmarks) -> Reading:
    """Tell everything but ``squeeze``, which the shapes do not show."""
    filters, in_chans, *_ = found.weight("conv_block.0", 4, kernel=3)
    blocks = len(found.numbered("res_blocks.{}.conv_lower.0"))
    arguments = {
        "filters": filters,
        "blocks": blocks,
        "reduction": found.reduction(
            (f"res_blocks.{index}.se_block.fc.0" for index in range(blocks)), rank=4
        ),
        "num_classes": found.weight("fc", 2)[0],
        "in_chans": in_chans,
    }
    return "senet_notes", changed(SENetNotes, arguments)
