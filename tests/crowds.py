"""Results of any size, made up: every figure is to be looked at with few classes and with very many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from synthetic import make_record, record_of_gates, with_predictions

from seviz.analysis import (
    ChannelView,
    Comparison,
    Shift,
    Swap,
    Track,
    compare_subjects,
    shift_of,
    swap_of,
    track_of,
    view_channel,
)
from seviz.results.blocks import SEBlock
from seviz.results.image import (
    Answer,
    ChannelMaps,
    ExplainedBlock,
    ExplainedImage,
    Held,
    ImageExplanation,
)
from seviz.results.record import Record
from seviz.results.shift import World
from seviz.results.subject import Subject
from seviz.results.swap import MEAN, OTHER, SHUFFLED, Pairs, SwapImage, SwappedGates
from seviz.results.tracking import Moment

Gates = list[npt.NDArray[np.float64]]
LONG = "a class with a rather long name, as those of ImageNet have"


def labels(count: int) -> list[str]:
    """Return names of classes, one of which is very long."""
    return [LONG if i == 1 else f"class {i}" for i in range(count)]


def gates_of(
    classes: int, blocks: int, images: int, *, moved: float = 0.0, seed: int = 0
) -> tuple[Gates, npt.NDArray[np.int64]]:
    """Return gates of single images, [N, 8] for each block, and their classes; ``moved`` grows with depth."""
    rng = np.random.default_rng(seed)
    rows = np.arange(images) % classes
    made = []
    for place in range(blocks):
        own = np.random.default_rng(place)
        centre = own.normal(size=8) + 1.2 * own.normal(size=(classes, 8))[rows] * place / blocks
        shift = moved * own.normal(size=8) * (place + 1) / blocks
        made.append(1 / (1 + np.exp(-(centre + shift + 0.5 * rng.normal(size=(images, 8))))))
    return made, rows.astype(np.int64)


def sampled_record(classes: int, blocks: int, **more: Any) -> Record:
    """Return a record with single images: two of each class, 60 at least."""
    images = max(60, 2 * classes)
    gates, rows = gates_of(classes, blocks, images, **more)
    return record_of_gates(gates, rows, labels(classes), indices=np.arange(images))


def channel_of(classes: int, blocks: int) -> ChannelView:
    """Return what a record tells of one channel."""
    record = sampled_record(classes, blocks)
    return view_channel(record, f"{record.blocks[-1].name}:3")


def shift_with(kinds: Sequence[str], blocks: int, severities: Sequence[int] = (1, 3, 5)) -> Shift:
    """Return how far gates move under some corruptions."""
    worlds = [
        World(f"{kind} {s}", sampled_record(2, blocks, moved=0.2 * s * i, seed=s), None, kind, s)
        for i, kind in enumerate(kinds)
        for s in severities
    ]
    return shift_of(World("clean", sampled_record(2, blocks, seed=99)), worlds)


def track_with(blocks: int, epochs: int) -> Track:
    """Return a training."""
    return track_of(
        [
            Moment(f"e{i}", i, sampled_record(4, blocks, moved=0.1 * i, seed=i))
            for i in range(epochs)
        ]
    )


def swap_with(classes: int, blocks: int) -> Swap:
    """Return exchanged gates of two images of each class."""
    rng = np.random.default_rng(0)
    own = np.arange(2 * classes) // 2
    donors, receivers = (rng.integers(0, len(own), 24 * min(classes, 40)) for _ in "gi")
    donors, receivers = (v[own[donors] != own[receivers]] for v in (donors, receivers))
    ways = {}
    for way, share in ((OTHER, 0.6), (SHUFFLED, 0.1), (MEAN, 0.5)):
        follows = rng.random((blocks + 1, len(donors))) < share
        ways[way] = np.where(follows, own[donors], own[receivers])
    lifts = {OTHER: rng.normal(1, 1, (blocks + 1, len(donors))).astype(np.float32)}
    one, other = np.arange(0, len(own), 2), np.arange(1, len(own), 2)
    inside = {OTHER: np.tile(own[other], (blocks + 1, 1))}
    return swap_of(
        SwappedGates(
            "net.pt", "", "net", "pictures", "val", sampled_record(2, blocks).blocks, classes,
            dict(enumerate(labels(classes))),
            tuple(SwapImage(f"{i}.png", i, int(c)) for i, c in enumerate(own)),
            Pairs(donors, receivers, ways, lifts), Pairs(one, other, inside), 2 * classes, True,
        )
    )  # fmt: skip


def comparison_of(classes: int, stages: Sequence[tuple[int, int]]) -> Comparison:
    """Return two networks side by side."""
    made = [
        Subject(
            f"network_{seed}_trained_on_many_pictures",
            with_predictions(
                make_record(stages, labels(classes), images=100, seed=seed),
                accuracy=0.7 + 0.1 * seed,
            ),
        )
        for seed in (0, 1)
    ]
    return compare_subjects(*made)


def explained_with(blocks: int, images: int, shown: int = 3) -> ImageExplanation:
    """Return pictures with long names, whose answer changes when some of their blocks are held."""
    rng = np.random.default_rng(0)
    shares = (0.5, 0.2, 0.1, 0.1, 0.05)
    top = tuple(Answer(n, i, p) for i, (n, p) in enumerate(zip(labels(5), shares, strict=True)))
    other = Held((Answer(LONG, 1, 0.6), top[0]), 0.3)
    same = Held(top, 0.45)
    made = []
    for i in range(blocks):
        block = SEBlock(
            f"SE_{2 + i // 6}_{1 + i % 6}", f"b.{i}", 2 + i // 6, 1 + i % 6, 16, 4, "sigmoid", "mean",
            "standard", (), 0, (8, 8),
        )  # fmt: skip
        maps = [
            ChannelMaps(c, *(rng.normal(size=(2, 8, 8)).astype(np.float32)))
            for c in range(2 * shown)
        ]
        made.append(
            ExplainedBlock(
                block=block,
                gates=rng.uniform(size=16).astype(np.float32),
                reference=np.full(16, 0.5, np.float32),
                spread=np.full(16, 0.2, np.float32),
                own_class=rng.uniform(0.3, 0.7, 16).astype(np.float32),
                up=tuple(maps[:shown]),
                down=tuple(maps[shown:]),
                held={"mean": other if i % 3 else same, "neutral": same},
            )
        )
    pixels = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
    one = [
        ExplainedImage(
            f"a_picture_with_a_rather_long_name_{i}.jpeg", pixels, top, tuple(made),
            {"mean": other, "neutral": same},
        )
        for i in range(images)
    ]  # fmt: skip
    return ImageExplanation(
        "net.pt",
        "",
        "a_network",
        (3, 48, 64),
        tuple(one),
        "mean",
        "the mean gate over 1,000 images",
        1000,
    )
