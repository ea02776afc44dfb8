"""The squeeze-and-excitation blocks that the networks in this package are built from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import torch.nn.functional as F
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Channel gate of Hu et al. (arXiv 1709.01507, eq. 2-4): ``x * sigmoid(W2 relu(W1 mean(x)))``.

    Args:
        channels: Number of channels C of the map that is gated.
        reduction: Ratio r; the bottleneck has ``max(1, C // r)`` units.
        bias: Whether the two fully connected layers carry a bias. The paper's formula has none.
    """

    def __init__(self, channels: int, reduction: int = 16, *, bias: bool = False) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=bias),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels, bias=bias),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``x`` [N, C, H, W] by its gate."""
        gate: Tensor = self.fc(x.mean((2, 3)))
        return x * gate[:, :, None, None]


def are_separate(paths: Sequence[str]) -> bool:
    """Return whether modules can have these paths, none of them being another or inside another."""
    return all(all(path.split(".")) for path in paths) and not any(
        f"{a}.".startswith(f"{b}.") for a, b in permutations(paths, 2)
    )


class NamedSqueezeExcite(nn.Module):
    """The gate of `SqueezeExcite` with its two layers under any names.

    Args:
        channels: Number of channels C of the map that is gated.
        reduction: Ratio r; the bottleneck has ``max(1, C // r)`` units.
        layers: Dotted paths of the layer to the bottleneck and of the layer back.
        conv: 1x1 convolutions on a map of one pixel instead of fully connected layers.
        bias: Whether the two layers carry a bias.

    Raises:
        ValueError: If there are not two paths, neither of them inside the other.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        *,
        layers: Sequence[str] = ("fc.0", "fc.2"),
        conv: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if len(layers) != 2 or not are_separate(layers):
            raise ValueError(f"expected the paths of two separate layers, found {layers}")
        hidden = max(1, channels // reduction)
        self._conv = conv
        self._paths = tuple(layers)
        for path, inputs, outputs in zip(
            layers, (channels, hidden), (hidden, channels), strict=True
        ):
            layer = (
                nn.Conv2d(inputs, outputs, 1, bias=bias)
                if conv
                else nn.Linear(inputs, outputs, bias=bias)
            )
            *parents, name = path.split(".")
            holder: nn.Module = self
            for parent in parents:
                if parent not in dict(holder.named_children()):
                    holder.add_module(parent, nn.Module())
                holder = holder.get_submodule(parent)
            holder.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``x`` [N, C, H, W] by its gate."""
        down, up = map(self.get_submodule, self._paths)
        gate: Tensor = up(F.relu(down(x.mean((2, 3), keepdim=self._conv)))).sigmoid()
        return x * (gate if self._conv else gate[:, :, None, None])


class ScaleShiftExcite(nn.Module):
    """SE with a scale and a shift: the excitation gives 2C numbers, ``x * sigmoid(w) + b``.

    Args:
        channels: Number of channels C.
        reduction: Ratio r of the bottleneck.
        squeeze: ``False`` feeds the excitation the map itself instead of its spatial mean. The gate
            is then one number per pixel: what the paper calls "NoSqueeze" (v4, Table 16), not SE.
            The weights have the same names and shapes in both forms.
    """

    def __init__(self, channels: int, reduction: int = 16, *, squeeze: bool = True) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = squeeze
        self.fc = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 2 * channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift ``x`` [N, C, H, W]."""
        z = x.mean((2, 3), keepdim=True) if self.squeeze else x
        w, b = self.fc(z).chunk(2, dim=1)
        out: Tensor = x * w.sigmoid() + b
        return out
