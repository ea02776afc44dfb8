"""A detector with SE as people who change YOLOv8 have it: layers in a list, which say where inputs are from.

The tests copy this file into a user's folder, and pickle the whole network. What matters of the original is
kept: `f` and `i` at every layer, lists of maps as inputs, two outputs, and a head that computes the places of
its boxes when the size of its input is new.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Conv(nn.Module):
    """Convolution, norm and SiLU."""

    def __init__(self, given: int, made: int, k: int = 1, s: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, made, k, s, k // 2, bias=False)
        self.bn = nn.BatchNorm2d(made)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.act(self.bn(self.conv(x))))


class C2f(nn.Module):
    """Two halves; one goes through a pair of convolutions, and all are put together."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        half = made // 2
        self.cv1, self.cv2 = Conv(given, made), Conv(3 * half, made)
        self.m = nn.ModuleList([nn.Sequential(Conv(half, half, 3), Conv(half, half, 3))])

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        parts.extend(parts[-1] + m(parts[-1]) for m in self.m)
        return torch.as_tensor(self.cv2(torch.cat(parts, 1)))


class SE(nn.Module):
    """As it is copied from repository to repository: Linear layers without bias."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = channels // reduction
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        y = self.fc(self.avg_pool(x).view(b, c)).view(b, c, 1, 1)
        return x * y.expand_as(x)


class Concat(nn.Module):
    """Puts maps together."""

    def forward(self, x: list[Tensor]) -> Tensor:
        return torch.cat(x, 1)


class Detect(nn.Module):
    """Boxes as expected distances, from places that are kept for inputs of the same size."""

    shape: Any = None

    def __init__(self, classes: int, channels: tuple[int, ...], steps: tuple[float, ...]) -> None:
        super().__init__()
        self.classes, self.bins = classes, 4
        self.stride = torch.tensor(steps)
        self.boxes = nn.ModuleList(
            nn.Sequential(Conv(c, 16, 3), nn.Conv2d(16, 4 * self.bins, 1)) for c in channels
        )
        self.kinds = nn.ModuleList(
            nn.Sequential(Conv(c, 16, 3), nn.Conv2d(16, classes, 1)) for c in channels
        )
        self.distance = nn.Conv2d(self.bins, 1, 1, bias=False)
        self.distance.weight.data[:] = torch.arange(float(self.bins)).view(1, -1, 1, 1)

    def places(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return where each cell's middle is, and how many pixels it is wide."""
        points, widths = [], []
        for x, step in zip(maps, self.stride, strict=True):
            h, w = x.shape[2:]
            rows, columns = torch.arange(h) + 0.5, torch.arange(w) + 0.5
            grid = torch.meshgrid(rows, columns, indexing="ij")
            points.append(torch.stack(grid[::-1], -1).view(-1, 2))
            widths.append(step.expand(h * w, 1))
        return torch.cat(points).t(), torch.cat(widths).t()

    def forward(self, maps: list[Tensor]) -> Any:
        for n, (box, kind) in enumerate(zip(self.boxes, self.kinds, strict=True)):
            maps[n] = torch.cat((box(maps[n]), kind(maps[n])), 1)
        if self.training:
            return maps
        if self.shape != maps[0].shape:
            self.anchors, self.widths = self.places(maps)
            self.shape = maps[0].shape
        flat = torch.cat([x.flatten(2) for x in maps], 2)
        box, kind = flat.split((4 * self.bins, self.classes), 1)
        b, _, cells = box.shape
        shares = box.view(b, 4, self.bins, cells).transpose(2, 1).softmax(1)
        before, behind = self.distance(shares).view(b, 4, cells).chunk(2, 1)
        sides = (self.anchors - before, self.anchors + behind)
        boxes = torch.cat([(sides[0] + sides[1]) / 2, sides[1] - sides[0]], 1) * self.widths
        return torch.cat((boxes, kind.sigmoid()), 1), maps


class DetectionModel(nn.Module):
    """Three maps, two of which go into the head."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        layers: list[tuple[Any, nn.Module]] = [
            *((-1, m) for m in (Conv(3, 8, 3, 2), Conv(8, 16, 3, 2), C2f(16, 16), SE(16))),
            *((-1, m) for m in (Conv(16, 32, 3, 2), C2f(32, 32), SE(32))),
            *((-1, nn.Upsample(scale_factor=2.0)), ([-1, 3], Concat())),
            *((-1, C2f(48, 16)), (-1, SE(16))),
            ([10, 6], Detect(classes, (16, 32), (4.0, 8.0))),
        ]
        for number, (source, layer) in enumerate(layers):
            layer.i, layer.f = number, source  # type: ignore[assignment]
        self.model = nn.Sequential(*(layer for _, layer in layers))
        self.save = [3, 6, 10]
        self.names = {0: "cat", 1: "dog", 2: "bird"}

    def forward(self, x: Any) -> Any:
        kept: list[Any] = []
        for layer in self.model:
            source: Any = layer.f
            if source != -1:
                x = [x if n == -1 else kept[n] for n in source]
            x = layer(x)
            kept.append(x if layer.i in self.save else None)
        return x
