"""Records made up for tests: the shapes of real networks, and gates whose statistics are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.results.blocks import SEBlock
from seviz.results.classes import ClassTable
from seviz.results.header import Header
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record
from seviz.results.sample import capacity, key_order
from seviz.results.stats import SATURATED_HIGH, SATURATED_LOW

# (blocks, channels) of each stage, from stage 2 on.
Stages = Sequence[tuple[int, int]]
SE_RESNET_50: Stages = ((3, 256), (4, 512), (6, 1024), (3, 2048))
SE_RESNET_152: Stages = ((3, 256), (8, 512), (36, 1024), (3, 2048))
CIFAR: Stages = ((3, 16), (3, 32), (3, 64))

CIFAR_LABELS = (
    "airplane automobile bird cat deer dog frog horse ship truck".split()  # noqa: SIM905
)


def make_blocks(stages: Stages, **changes: Any) -> tuple[SEBlock, ...]:
    """Return blocks named as in the paper; ``changes`` apply to each."""
    blocks = []
    for stage, (depth, channels) in enumerate(stages, start=2):
        for index in range(1, depth + 1):
            path = f"layer{stage - 1}.{index - 1}.se"
            block = SEBlock(
                name=f"SE_{stage}_{index}",
                path=path,
                stage=stage,
                index=index,
                channels=channels,
                hidden=max(1, channels // 16),
                gate="sigmoid",
                squeeze="mean",
                placement="standard",
                parameters=(f"{path}.fc1.weight", f"{path}.fc2.weight"),
                params=2 * channels * max(1, channels // 16),
                spatial=(2 ** (8 - stage), 2 ** (8 - stage)),
            )
            blocks.append(replace(block, **changes))
    return tuple(blocks)


def make_header(images: int, **changes: Any) -> Header:
    """Return a plausible header."""
    header = Header(
        checkpoint="se_net.pt",
        architecture="se_net",
        checkpoint_sha256="0" * 64,
        source="pictures",
        split="val",
        preprocessing=Preprocessing(),
        num_classes=10,
        images=images,
    )
    return replace(header, **changes)


def record_of_gates(
    gates: Sequence[npt.NDArray[np.floating[Any]]],
    labels: npt.NDArray[np.int64],
    names: Sequence[str],
    *,
    indices: npt.NDArray[np.int64] | None = None,
    **header: Any,
) -> Record:
    """Return the record of raw gates [N, C], one array per block, one block per stage.

    Without the positions of images in their source it has no sample, as records of an older seviz.
    """
    stages = [(1, g.shape[1]) for g in gates]
    blocks = make_blocks(stages)
    rows = range(len(names))
    arrays: dict[str, npt.NDArray[Any]] = {
        "count": np.array([(labels == k).sum() for k in rows], np.int64)
    }
    for block, values in zip(blocks, gates, strict=True):
        parts = [values[labels == k] for k in rows]
        wide = [p.astype(np.float64) for p in parts]
        arrays |= {
            f"gates/{block.name}/sum": np.array([p.sum(axis=0) for p in wide]),
            f"gates/{block.name}/sumsq": np.array([(p**2).sum(axis=0) for p in wide]),
            f"gates/{block.name}/minimum": np.array(
                [p.min(axis=0, initial=np.inf) for p in parts], np.float32
            ),
            f"gates/{block.name}/maximum": np.array(
                [p.max(axis=0, initial=-np.inf) for p in parts], np.float32
            ),
            f"gates/{block.name}/low": np.array(
                [(p < SATURATED_LOW).sum(axis=0) for p in parts], np.int32
            ),
            f"gates/{block.name}/high": np.array(
                [(p > SATURATED_HIGH).sum(axis=0) for p in parts], np.int32
            ),
        }
    if indices is not None:
        kept = key_order(indices, labels)[: capacity(blocks)]
        arrays |= {"sample/index": indices[kept], "sample/row": labels[kept]}
        arrays |= {
            f"sample/{b.name}": np.float32(g[kept]) for b, g in zip(blocks, gates, strict=True)
        }
    table = ClassTable.from_labels(names)
    return Record(make_header(len(labels), **header), table, blocks, arrays)


def make_record(
    stages: Stages = SE_RESNET_50,
    names: Sequence[str] = ("goldfish", "pug", "plane", "cliff"),
    *,
    images: int = 50,
    scale: float = 1.0,
    seed: int = 0,
    **header: Any,
) -> Record:
    """Return the record of a network that behaves as the paper's does; makes no single images.

    Shallow blocks gate every class alike, deep ones by class. The last but one block is saturated
    near 1, the last is dead: one pattern for all classes that hardly moves.

    Args:
        stages: Blocks and channels of each stage.
        names: Labels of the classes.
        images: Images of each class.
        scale: Top of the gates' range (2 for networks that double the sigmoid).
        seed: Of the random numbers.
        **header: Changes to the header.
    """
    rng = np.random.default_rng(seed)
    blocks = make_blocks(stages)
    count = np.full(len(names), images, np.int64)
    arrays: dict[str, npt.NDArray[Any]] = {"count": count}
    for position, block in enumerate(blocks):
        mean, std = _gates(rng, position, len(blocks), len(names), block.channels)
        mean, std = scale * mean, scale * std
        shape = mean.shape
        saturated = np.full(shape, images if position == len(blocks) - 2 else 0, np.int32)
        arrays |= {
            f"gates/{block.name}/sum": mean * images,
            f"gates/{block.name}/sumsq": (mean**2 + std**2) * images,
            f"gates/{block.name}/minimum": (mean - std).astype(np.float32),
            f"gates/{block.name}/maximum": (mean + std).astype(np.float32),
            f"gates/{block.name}/low": np.zeros(shape, np.int32),
            f"gates/{block.name}/high": saturated,
        }
    table = ClassTable.from_labels(names)
    return Record(make_header(images * len(names), **header), table, blocks, arrays)


def _gates(
    rng: np.random.Generator, position: int, blocks: int, classes: int, channels: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and standard deviation within each class, [classes, channels], within 0..1."""
    common = rng.normal(0, 1.1, channels)
    if position == blocks - 1:
        common, own, noise = 0.3 * common - 0.5, 0.02, 0.003
    elif position == blocks - 2 and blocks > 2:
        common, own, noise = np.where(rng.random(channels) < 0.9, 5.0, common), 0.1, 0.004
    else:
        depth = position / max(blocks - 1, 1)
        own, noise = 0.03 + 0.9 * depth**2, 0.03 + 0.15 * depth
    logits = common + own * rng.normal(size=(classes, channels))
    mean = 1 / (1 + np.exp(-logits))
    # Gates near 0 or 1 have no room to vary.
    return mean, noise * 4 * mean * (1 - mean)


def paper_like(record: Record) -> list[SEBlock]:
    """Return the six panels of the paper's figure."""
    wanted = ("SE_2_3", "SE_3_4", "SE_4_6", "SE_5_1", "SE_5_2", "SE_5_3")
    return [record.block(name) for name in wanted]


def with_predictions(record: Record, *, accuracy: float = 0.76, seed: int = 0) -> Record:
    """Return a record that has predictions too: wrong ones fall on a few neighbours of each class."""
    rng = np.random.default_rng(seed)
    classes = len(record.count)
    confusion = np.zeros((classes, classes), np.int64)
    calibration = {
        "count": np.zeros((classes, 15), np.int64),
        "correct": np.zeros((classes, 15), np.int64),
        "confidence": np.zeros((classes, 15)),
    }
    for row, images in enumerate(record.count.tolist()):
        right = rng.random(images) < accuracy
        near = (row + rng.integers(1, min(10, classes), images)) % classes
        np.add.at(confusion[row], np.where(right, row, near), 1)
        bins = np.clip((15 * rng.beta(5, 2, images)).astype(int), 0, 14)
        np.add.at(calibration["count"][row], bins, 1)
        np.add.at(calibration["correct"][row], bins[right], 1)
        np.add.at(calibration["confidence"][row], bins, (bins + 0.5) / 15)
    top5 = np.minimum(record.count, confusion.diagonal() + record.count // 6)
    arrays = {
        **record.arrays,
        "confusion": confusion,
        "top5": top5,
        **{f"calibration_{name}": values for name, values in calibration.items()},
    }
    return replace(record, arrays=arrays, header=replace(record.header, num_classes=classes))
