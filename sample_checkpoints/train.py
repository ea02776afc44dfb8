#!/usr/bin/env python3
"""Train the sample checkpoints of seviz, and write a card with what was measured beside each.

    python sample_checkpoints/train.py se_resnet_digits
    python sample_checkpoints/train.py se_resnet20_cifar10 --data path/to/cifar10
    python sample_checkpoints/train.py twins --data path/to/cifar10

``twins`` stands for four networks that differ in their gates alone (none, SE, ECA, the channel half of
CBAM): one recipe, one seed, the same random weights to start from in all that they share, the same
batches. A twin whose card is there already is left as it is, so that the command can be run again.

The CIFAR-10 folder holds ``train/<class>/*`` and ``test/<class>/*`` image files. The images are decoded
once into an array that is kept under ``--cache``, so that no epoch waits for a decoder.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seviz.networks.architectures.registry import build
from seviz.networks.formats.own import save_checkpoint
from seviz.results.preprocessing import Preprocessing

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Recipe:
    """One training run; everything that decides its result.

    Attributes:
        cycles: Epochs and peak learning rate of each one-cycle schedule; each begins with a fresh
            optimizer from the weights that the one before it left.
        like: The twin whose random weights, drawn with the same seed, this one begins with where both
            have them; empty for its own.
    """

    arch: str
    data: str
    cycles: tuple[tuple[int, float], ...]
    arch_args: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 64
    weight_decay: float = 5e-4
    warmup: float = 0.2
    shift: int = 4
    flip: bool = True
    compile: bool = False
    seed: int = 0
    like: str = ""


CIFAR_CYCLES = ((30, 0.1), (12, 0.05))
PLAIN = "resnet14"
# Trained one after another by the name of them all.
TWINS = {
    f"{arch}_cifar10": Recipe(
        arch,
        "cifar10",
        ((8, 0.2),),
        {"reduction": 8} if arch.startswith(("se", "cbam")) else {},
        batch_size=128,
        warmup=0.25,
        like=PLAIN,
    )
    for arch in (PLAIN, f"se_{PLAIN}", f"eca_{PLAIN}", f"cbam_{PLAIN}")
}

RECIPES = {
    "se_resnet20_cifar10": Recipe("se_resnet20", "cifar10", CIFAR_CYCLES, {"reduction": 8}),
    "resnet20_cifar10": Recipe("resnet20", "cifar10", CIFAR_CYCLES),
    "senet_notes_cifar10": Recipe(
        "senet_notes",
        "cifar10",
        ((5, 0.1), (6, 0.1)),
        {"filters": 32, "squeeze": True},
        compile=True,
    ),
    "se_resnet_digits": Recipe(
        "se_resnet14",
        "digits",
        ((30, 0.1),),
        {"in_chans": 1, "reduction": 4},
        batch_size=32,
        weight_decay=0.0,
        shift=1,
        flip=False,
    ),
    **TWINS,
}

NORMALISATION = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "digits": ((0.3055,), (0.3761,)),
}


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W] and labels int64 [N]."""

    images: Tensor
    labels: Tensor


def load_digits() -> tuple[list[str], Split, Split]:
    """scikit-learn's handwritten digits, split as ``--data digits`` splits them."""
    from seviz.data.builtin import digits

    names, splits = digits()
    return names, *(
        Split(torch.from_numpy(splits[s][0])[:, None], torch.from_numpy(splits[s][1]))
        for s in ("train", "test")
    )


def load_folders(root: Path, cache: Path) -> tuple[list[str], Split, Split]:
    """Decode ``root/{train,test}/<class>/*`` once; later runs read the cached arrays."""
    from PIL import Image

    names = sorted(p.name for p in (root / "train").iterdir() if p.is_dir())
    splits = []
    for split in ("train", "test"):
        stored = cache / f"{split}.npz"
        if not stored.is_file():
            files = [
                (f, i) for i, n in enumerate(names) for f in sorted((root / split / n).iterdir())
            ]
            images = np.stack([np.asarray(Image.open(f).convert("RGB")) for f, _ in files])
            cache.mkdir(parents=True, exist_ok=True)
            np.savez(stored, images=images, labels=np.array([i for _, i in files]))
        with np.load(stored) as arrays:
            images = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2).contiguous()
            splits.append(Split(images, torch.from_numpy(arrays["labels"])))
    return names, splits[0], splits[1]


def normalise(images: Tensor, data: str) -> Tensor:
    """uint8 to normalised float32, channels last."""
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in NORMALISATION[data])
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(images: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Shift each image by up to ``shift`` pixels (zeros come in), and mirror half of them."""
    n, _, h, w = images.shape
    padded = F.pad(images, [recipe.shift] * 4)
    dy, dx = torch.randint(0, 2 * recipe.shift + 1, (2, n, 1), generator=rng)
    rows, columns = dy + torch.arange(h), dx + torch.arange(w)
    if recipe.flip:
        mirrored = torch.rand(n, 1, generator=rng) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(n)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


@torch.inference_mode()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 in float32, as a share."""
    model.eval()
    right = sum(
        int((model(x).argmax(1) == y).sum())
        for x, y in zip(images.split(500), labels.split(500), strict=True)
    )
    return right / len(labels)


def train(recipe: Recipe, model: nn.Module, train_set: Split, first_cycle: int = 1) -> None:
    """Run the cycles of the recipe from ``first_cycle`` (counted from 1) on."""
    forward = torch.compile(model) if recipe.compile else model
    images, labels = normalise(train_set.images, recipe.data), train_set.labels
    for number, (epochs, peak_lr) in enumerate(recipe.cycles, 1):
        if number >= first_cycle:
            print(f"cycle {number}: {epochs} epochs, peak learning rate {peak_lr}", flush=True)
            rng = torch.Generator().manual_seed(recipe.seed + number - 1)
            run_cycle(recipe, model, forward, images, labels, epochs, peak_lr, rng)


def run_cycle(
    recipe: Recipe,
    model: nn.Module,
    forward: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    epochs: int,
    peak_lr: float,
    rng: torch.Generator,
) -> None:
    """Train for one rise and fall of the learning rate."""
    optimizer = torch.optim.SGD(
        [
            {
                "params": [p for p in model.parameters() if p.ndim > 1],
                "weight_decay": recipe.weight_decay,
            },
            {"params": [p for p in model.parameters() if p.ndim <= 1]},
        ],
        lr=peak_lr,
        momentum=0.9,
        nesterov=True,
    )
    steps = len(images) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak_lr, total_steps=steps * epochs, pct_start=recipe.warmup
    )
    start = time.monotonic()
    for epoch in range(1, epochs + 1):
        model.train()
        order = torch.randperm(len(images), generator=rng)
        total = torch.zeros(())
        for index in order[: steps * recipe.batch_size].split(recipe.batch_size):
            batch = augment(images[index], recipe, rng)
            with torch.autocast("cpu", torch.bfloat16):
                logits = forward(batch)
            loss = F.cross_entropy(logits.float(), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        print(
            f"epoch {epoch:3d}/{epochs}  loss {total / steps:.4f}  {time.monotonic() - start:.0f} s",
            flush=True,
        )


def write_card(
    path: Path, name: str, recipe: Recipe, model: nn.Module, top1: float, test: int
) -> None:
    """Write the JSON card beside the checkpoint."""
    card = {
        "name": name,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "data": recipe.data,
        "arch": recipe.arch,
        "arch_args": recipe.arch_args,
        "parameters": sum(p.numel() for p in model.parameters()),
        "epochs": sum(epochs for epochs, _ in recipe.cycles),
        "seed": recipe.seed,
        "recipe": {
            **asdict(recipe),
            "optimizer": "SGD, momentum 0.9, Nesterov; weight decay on matrices and kernels only",
            "schedule": "one cycle (cosine) for each of the cycles",
            "precision": "bfloat16 autocast, channels last",
            "augmentation": f"shift by up to {recipe.shift} px"
            + (", mirror" if recipe.flip else ""),
        },
        "test_images": test,
        "top1": top1,
        "made_with": {"torch": torch.__version__, "python": platform.python_version()},
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def start(recipe: Recipe, classes: int) -> nn.Module:
    """Return the network with the random weights that it begins with."""
    torch.manual_seed(recipe.seed)
    model = build(recipe.arch, **recipe.arch_args, num_classes=classes)
    if recipe.like:
        torch.manual_seed(recipe.seed)
        shared = build(recipe.like, num_classes=classes).state_dict()
        missing, unexpected = model.load_state_dict(shared, strict=False)
        gates = ("se.", "eca.", "cbam.")
        if unexpected or not all(any(g in name for g in gates) for name in missing):
            raise ValueError(f"expected {recipe.arch} to be {recipe.like} with gates")
    return model.to(memory_format=torch.channels_last)


def make(
    name: str, data: tuple[list[str], Split, Split], output: Path, after: tuple[int, str] | None
) -> None:
    """Train one network, save it, and write its card."""
    recipe = RECIPES[name]
    names, train_set, test_set = data
    model = start(recipe, len(names))
    done = 0
    if after is not None:
        done, left = after
        model.load_state_dict(torch.load(left, weights_only=True)["state_dict"])
    train(recipe, model, train_set, done + 1)
    test = normalise(test_set.images, recipe.data)
    top1 = accuracy(model, test, test_set.labels)
    mean, std = NORMALISATION[recipe.data]
    _, *size = train_set.images.shape
    path = save_checkpoint(
        output / f"{name}.pt",
        model,
        arch=recipe.arch,
        arch_args=recipe.arch_args,
        classes=names,
        preprocessing=Preprocessing(
            (size[0], size[1], size[2]), mean, std, crop_pct=1.0, origin="checkpoint"
        ),
    )
    write_card(path, name, recipe, model, top1, len(test_set.labels))
    print(f"{path}: top-1 {top1:.2%} on {len(test_set.labels)} images", flush=True)


def main() -> None:
    """Parse the command line, train, save, write the card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("name", choices=sorted([*RECIPES, "twins"]))
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (CIFAR-10 only)")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/seviz/train-cifar10")
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument(
        "--after-cycle",
        nargs=2,
        metavar=("N", "CHECKPOINT"),
        help="go on from the checkpoint that the first N cycles left",
    )
    args = parser.parse_args()
    twins = args.name == "twins"
    if RECIPES[next(iter(TWINS)) if twins else args.name].data == "digits":
        data = load_digits()
    elif args.data is None:
        parser.error(f"{args.name} needs --data, a folder with train/<class>/ and test/<class>/")
    else:
        data = load_folders(args.data, args.cache)
    after = (int(args.after_cycle[0]), args.after_cycle[1]) if args.after_cycle else None
    if not twins:
        make(args.name, data, args.output, after)
        return
    for name in TWINS:
        if not (args.output / f"{name}.json").is_file():
            print(name, flush=True)
            make(name, data, args.output, None)


if __name__ == "__main__":
    main()
