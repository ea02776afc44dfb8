#!/usr/bin/env python3
"""Train small networks of several kinds, each on images prepared in another way, for ``input_fit.py``.

    python benchmarks/input_fit_networks.py path/to/cifar10 path/to/imagenet/val FOLDER

CIFAR-10 lies in ``train/<class>/*``, ImageNet's images in one folder per class. Each network takes about a
minute on one core, and is written to ``FOLDER`` with how its images were prepared; one that is there is kept.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import seviz
from seviz.data import build_transform, open_source
from seviz.networks.arch import build_architecture
from seviz.results.preprocessing import Preprocessing

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR = ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
HALF = ((0.5,) * 3, (0.5,) * 3)
PLAIN = ((0.0,) * 3, (1.0,) * 3)
IMAGES, EPOCHS, BATCH = 5000, 2, 64


@dataclass(frozen=True)
class Recipe:
    """A network to train.

    Attributes:
        arch: Its architecture.
        data: ``cifar10``, ``imagenet`` or ``digits``.
        prepared: How its images are prepared.
        args: Arguments of the architecture.
        augment: ``mirror``, ``zoom`` (a random part of 35 to 100 % of the image, as for ImageNet) or none.
    """

    arch: str
    data: str
    prepared: Preprocessing
    args: dict[str, Any] = field(default_factory=dict)
    augment: str = "mirror"


def small(constants: Any, size: int = 32, **more: Any) -> Preprocessing:
    """Return square colour images, uncropped."""
    mean, std = constants
    channels = len(mean)
    return Preprocessing((channels, size, size), mean, std, "bilinear", 1.0, "recipe", **more)


RECIPES = {
    "plain": Recipe("se_resnet14", "cifar10", small(PLAIN), {"widths": (8, 16, 32)}),
    "half": Recipe("se_resnet14", "cifar10", small(HALF), {"widths": (16, 16, 32)}),
    "cifar": Recipe(
        "cifar_preresnet", "cifar10", small(CIFAR), {"depth": 20, "widths": (4, 8, 16)}
    ),
    "blue_first": Recipe(
        "se_resnet14",
        "cifar10",
        small((IMAGENET[0][::-1], IMAGENET[1][::-1]), channel_order="bgr"),
        {"widths": (8, 16, 32)},
    ),
    "grey": Recipe(
        "se_resnet14", "cifar10", small(((0.5,), (0.25,))), {"widths": (8, 16, 32), "in_chans": 1}
    ),
    "bytes": Recipe(
        "se_resnet14", "cifar10", small(((0.0,) * 3, (1 / 255,) * 3)), {"widths": (8, 16, 32)}
    ),
    "lcnet": Recipe("timm:lcnet_035", "cifar10", small(IMAGENET, 64)),
    "mobilenetv3": Recipe("timm:mobilenetv3_small_050", "cifar10", small(IMAGENET, 64)),
    "efficientnet": Recipe("timm:test_efficientnet", "cifar10", small(HALF, 48)),
    "zoom": Recipe("timm:test_efficientnet", "cifar10", small(IMAGENET, 32), augment="zoom"),
    "resnet": Recipe("timm:test_resnet", "imagenet", small(IMAGENET, 64, crop_mode="squash")),
    "digits_1": Recipe("se_resnet14", "digits", small(((0.3,), (0.35,)), 8), {"in_chans": 1}, ""),
    "digits_2": Recipe(
        "cifar_preresnet",
        "digits",
        small(((0.0,), (1.0,)), 16),
        {"depth": 20, "in_chans": 1, "widths": (8, 16, 32)},
        "",
    ),
}


def images(recipe: Recipe, folders: dict[str, str]) -> tuple[Tensor, Tensor]:
    """Return training images as the recipe prepares them, in a random order, and their classes."""
    source = open_source(folders[recipe.data], split=None if recipe.data == "imagenet" else "train")
    chosen = np.random.default_rng(0).permutation(len(source))[:IMAGES]
    transform = build_transform(recipe.prepared)
    labels = torch.from_numpy(source.labels[chosen]) % 10  # ImageNet's classes are a thousand
    return torch.stack([transform(source.image(int(i))) for i in chosen]), labels


def augmented(batch: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """Return a batch [N, C, H, W] as training sees it."""
    if how and torch.rand((), generator=generator) < 0.5:
        batch = batch.flip(3)
    if how != "zoom":
        return batch
    height, width = batch.shape[2:]
    share = float(0.35 + 0.65 * torch.rand((), generator=generator)) ** 0.5
    h, w = max(1, int(share * height)), max(1, int(share * width))
    top = int(torch.randint(height - h + 1, (), generator=generator))
    left = int(torch.randint(width - w + 1, (), generator=generator))
    part = batch[:, :, top : top + h, left : left + w]
    return nn.functional.interpolate(part, (height, width), mode="bilinear", antialias=True)


def train(recipe: Recipe, folders: dict[str, str], seed: int) -> nn.Module:
    """Return the network, trained for a minute."""
    torch.manual_seed(seed)
    x, y = images(recipe, folders)
    network = build_architecture(recipe.arch, {**recipe.args, "num_classes": 10})
    epochs = EPOCHS * max(1, IMAGES // len(x) // 2)
    steps = epochs * -(-len(x) // BATCH)
    rate = 0.01 if recipe.arch.startswith("timm:") else 0.1
    optimiser = torch.optim.SGD(network.parameters(), rate, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3 * rate, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=generator).split(BATCH):
            if len(part) < 2:
                schedule.step()
                continue
            loss = nn.functional.cross_entropy(
                network(augmented(x[part], recipe.augment, generator)), y[part]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        right = float((network(x[:1000]).argmax(1) == y[:1000]).double().mean())
    print(f"{recipe.arch}: loss {float(loss.detach()):.2f}, {right:.1%} of training images right")
    return network


def main() -> None:
    """Train what is not there."""
    cifar10, imagenet, target = sys.argv[1:4]
    folders = {"cifar10": cifar10, "imagenet": imagenet, "digits": "digits"}
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, recipe) in enumerate(RECIPES.items()):
        path = folder / f"{name}.pt"
        if path.exists():
            continue
        network = train(recipe, folders, seed)
        seviz.save_checkpoint(
            path,
            network,
            arch=recipe.arch,
            arch_args={**recipe.args, "num_classes": 10},
            preprocessing=recipe.prepared,
        )


if __name__ == "__main__":
    main()
