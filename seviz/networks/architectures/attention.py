"""Gates of other kinds than SE, as their papers describe them: what is put into a network that has none."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def eca_kernel(channels: int) -> int:
    """Return the kernel of ECA for C channels: odd, near (log2 C + 1) / 2 (arXiv 1910.03151, eq. 12).

    >>> [eca_kernel(c) for c in (16, 64, 256, 512, 2048)]
    [3, 3, 5, 5, 7]
    """
    near = int(abs((math.log2(channels) + 1) / 2))
    return near if near % 2 else near + 1


class EfficientChannelAttention(nn.Module):
    """ECA of Wang et al. (arXiv 1910.03151): a convolution over the channels of the mean, and a sigmoid.

    Args:
        channels: Number of channels C of the map that is gated.
        kernel: Channels that one gate depends on; by default `eca_kernel` of C.
    """

    def __init__(self, channels: int, kernel: int | None = None) -> None:
        super().__init__()
        size = kernel or eca_kernel(channels)
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``x`` [N, C, H, W] by its gate."""
        gate = torch.sigmoid(self.conv(x.mean((2, 3)).unsqueeze(1)))
        return x * gate.transpose(1, 2).unsqueeze(-1)


class PooledChannelAttention(nn.Module):
    """Channel half of CBAM (Woo et al., arXiv 1807.06521, eq. 2): mean and maximum through one bottleneck.

    Args:
        channels: Number of channels C of the map that is gated.
        reduction: Ratio r; the bottleneck has ``max(1, C // r)`` units.
        bias: Whether its two layers carry a bias.
    """

    def __init__(self, channels: int, reduction: int = 16, *, bias: bool = False) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=bias),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``x`` [N, C, H, W] by its gate."""
        gate = torch.sigmoid(self.fc(x.mean((2, 3))) + self.fc(x.amax((2, 3))))
        return x * gate[:, :, None, None]


class GatherExcite(nn.Module):
    """Gather-excite without parameters over the whole map (Hu et al., arXiv 1810.12348, GE-theta-minus)."""

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``x`` [N, C, H, W] by the sigmoid of its mean."""
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))
