"""The networks that are measured, and images for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from common import network
from torch import Tensor, nn

from seviz.gates import Trace, trace
from seviz.networks.architectures.registry import build

CLASSES, POOL = 10, 4


@dataclass(frozen=True)
class Subject:
    """A network with random weights, and the size of its images.

    Attributes:
        name: Of timm, or one of seviz's own.
        size: [C, H, W].
    """

    name: str
    size: tuple[int, int, int]

    def make(self, device: torch.device) -> tuple[nn.Module, Trace]:
        """Return the network on the device, and what is found in it."""
        torch.manual_seed(0)
        own = self.name.startswith("se_resnet")
        model = build(self.name).eval() if own else network(self.name)
        traced = trace(model, self.size)
        return model.to(device), traced


LARGE = (
    Subject("legacy_seresnet50", (3, 224, 224)),
    Subject("mobilenetv3_large_100", (3, 224, 224)),
    Subject("se_resnet20", (3, 32, 32)),
)
SMALL = (Subject("se_resnet14", (3, 32, 32)),)


@dataclass(frozen=True)
class Batch:
    """Images with the rows of their classes, and their positions in a made-up source."""

    images: Tensor
    rows: Tensor
    indices: Tensor


def pool(size: tuple[int, int, int], count: int) -> list[tuple[Tensor, Tensor]]:
    """Return a few batches on the host, in pinned memory where there is a driver."""
    generator = torch.Generator().manual_seed(0)
    made: list[tuple[Any, Any]] = [
        (
            torch.randn(count, *size, generator=generator),
            torch.randint(0, CLASSES, (count,), generator=generator),
        )
        for _ in range(POOL)
    ]
    if torch.cuda.is_available():
        return [(images.pin_memory(), rows.pin_memory()) for images, rows in made]
    return made


def stream(pooled: list[tuple[Tensor, Tensor]], steps: int) -> Iterator[Batch]:
    """Yield so many batches, those of the pool again and again, each at another position."""
    for step, (images, rows) in enumerate(itertools.islice(itertools.cycle(pooled), steps)):
        yield Batch(images, rows, torch.arange(len(rows)) + step * len(rows))
