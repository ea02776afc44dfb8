"""Loaders that misbehave: a line that says what and where, what came before kept; or the right record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_collect_loaders import CLASSES, PLAIN, X, Y, cut, same, seeded
from test_collect_loaders import Net as Small
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import seviz
from seviz.data.keeping import KeptBatches
from seviz.errors import EndedEarlyError, SevizError

BATCHES = list(zip(cut(X), cut(Y), strict=True))
Batch = tuple[Tensor, Tensor]
KEPT = 8  # images of the two batches before the third, which is the one that is changed


def third(change: Callable[[Tensor, Tensor], Any]) -> list[Any]:
    return [change(x, y) if n == 2 else (x, y) for n, (x, y) in enumerate(BATCHES)]


def every(change: Callable[[Tensor, Tensor], Any]) -> list[Any]:
    return [change(x, y) for x, y in BATCHES]


def spoiled(x: Tensor, y: Tensor, value: float) -> Batch:
    x = x.clone()
    x[1, 2, 3, 4] = value
    return x, y


def raising(kind: type[BaseException]) -> Iterator[Batch]:
    yield from BATCHES[:2]
    raise kind("a damaged file")


# What a loader does in its third batch, and the line.
MIDDLE: dict[str, tuple[Callable[[], Any], str]] = {
    "raises": (lambda: raising(OSError), "found OSError: a damaged file in batch 2; mend it"),
    "has no memory": (lambda: raising(MemoryError), "found MemoryError: a damaged file in batch 2"),
    "gives NaN": (
        lambda: third(lambda x, y: spoiled(x, y, float("nan"))),
        r"batch 2 of the loader: expected finite gates, found NaN or Inf in SE_2_1 \(se\); check the images",
    ),
    "gives Inf": (lambda: third(lambda x, y: spoiled(x, y, float("inf"))), "batch 2 .*NaN or Inf"),
    "labels of floating point": (
        lambda: third(lambda x, y: (x, y.float())),
        r"expected labels that are numbers for 4 images in batch 2 .*, found others \(float32 4\)",
    ),
    "labels to be ignored": (
        lambda: third(lambda x, y: (x, torch.full_like(y, -100))),
        "labels from 0 to 2 in batch 2 of the loader, found -100",
    ),
    "labels far out of range": (
        lambda: third(lambda x, y: (x, y + 2**40)),
        "labels from 0 to 2 in batch 2 of the loader, found 1099511627778",
    ),
    "names instead of numbers": (
        lambda: third(lambda x, y: (x, ["ant"] * len(y))),
        r"labels that are numbers for 4 images in batch 2 .*, found others \(names\)",
    ),
    "no label": (lambda: third(lambda x, y: (x, None)), "found none; give every image a label"),
    "channels last": (
        lambda: third(lambda x, y: (x.permute(0, 2, 3, 1), y)),
        "expected images of 3x12x12 in batch 2 of the loader, as in its first batch, found 12x12x3",
    ),
    "bytes": (
        lambda: third(lambda x, y: ((x * 255).byte(), y)),
        "expected the network to take batch 2 of the loader, found RuntimeError: Input type",
    ),
    "another device": (
        lambda: third(lambda x, y: (x.to("meta"), y)),
        "batch 2 of the loader, found NotImplementedError: Cannot copy out of meta tensor",
    ),
    "labels on another device": (
        lambda: third(lambda x, y: (x, y.to("meta"))),
        "a batch of the loader, found NotImplementedError: Cannot copy out of meta tensor.* in batch 2",
    ),
    "unknown keys": (
        lambda: third(lambda x, y: {"front": x, "back": x}),
        "expected images in each batch, found front, back, .*; name them with inputs=",
    ),
    "nothing": (lambda: third(lambda x, y: None), "found a NoneType; change what the loader gives"),
    "no image": (lambda: third(lambda x, y: (None, y)), "tensors or arrays .*, found NoneType"),
    "text": (
        lambda: third(lambda x, y: (np.array(["a"] * len(y)), y)),
        "expected tensors or arrays of numbers in each batch, found ndarray of <U1",
    ),
    "images of several sizes": (
        lambda: third(lambda x, y: ([x[0], x[1][:, :5]], y[:2])),
        "expected images of one size in each batch, found a list of 3x12x12, 3x5x12; resize them",
    ),
}


@pytest.mark.parametrize("what", MIDDLE)
def test_what_came_before_is_kept(what: str) -> None:
    make, line = MIDDLE[what]
    network = seeded(Small)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(EndedEarlyError, match=line) as caught:
        seviz.collect(network, make(), PLAIN)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(f"the record of the {KEPT} images before it is kept")
    assert caught.value.record.header.partial
    same(caught.value.record, seviz.collect(seeded(Small), BATCHES[:2], PLAIN))
    assert network.training
    assert not any(m._forward_hooks for m in network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


FIRST: dict[str, tuple[Callable[[], Any], str]] = {
    "negative": (lambda: every(lambda x, y: (x, y - 1)), "labels from 0 to 2 in batch 0 .* -1"),
    "NaN": (
        lambda: every(lambda x, y: spoiled(x, y, float("nan")) if len(x) > 1 else (x, y)),
        "expected finite gates, found NaN or Inf in SE_2_1",
    ),
    "channels last": (
        lambda: every(lambda x, y: (x.permute(0, 2, 3, 1), y)),
        "run on images of size 12x12x3, .*; put the channels first",
    ),
    "bytes": (
        lambda: every(lambda x, y: ((x * 255).byte(), y)),
        "Input type .*; give batches as it was trained with",
    ),
    "empty": (
        lambda: [(X[:0], Y[:0]), *BATCHES],
        "expected images in the first batch of the loader, found an empty one; leave it out",
    ),
    "nothing": (
        lambda: [None],
        "found a NoneType; change what the loader gives, or its collate_fn",
    ),
    "several sizes": (
        lambda: [([X[0], X[1][:, :5]], Y[:2])],
        "expected images of one size in each batch, found a list of 3x12x12, 3x5x12",
    ),
    "objects": (
        lambda: every(lambda x, y: (np.array([None] * len(y), object), y)),
        "numbers in each batch, found ndarray of object",
    ),
}


@pytest.mark.parametrize("what", FIRST)
def test_one_line_before_anything_is_computed(what: str) -> None:
    make, line = FIRST[what]
    with pytest.raises(SevizError, match=line) as caught:
        seviz.collect(seeded(Small), make(), PLAIN)
    assert "\n" not in str(caught.value)


RIGHT: dict[str, Callable[[], Any]] = {
    "an empty batch": lambda: [*BATCHES[:3], (X[:0], Y[:0]), *BATCHES[3:]],
    "an empty last batch": lambda: [*BATCHES, (X[:0], Y[:0])],
    "one-hot labels": lambda: every(lambda x, y: (x, torch.nn.functional.one_hot(y, 3))),
    "labels of bytes": lambda: every(lambda x, y: (x, y.byte())),
    "three parts": lambda: every(lambda x, y: (x, y, ["a.png"] * len(y))),
    "other floating-point numbers": lambda: third(lambda x, y: (x.double(), y)),
    "gradients": lambda: every(lambda x, y: (x.clone().requires_grad_(), y)),
    "a generator": lambda: (batch for batch in BATCHES),
}


@pytest.mark.parametrize("what", RIGHT)
def test_what_is_harmless_gives_the_right_record(what: str) -> None:
    expected = seviz.collect(seeded(Small), BATCHES, PLAIN, classes=CLASSES)
    same(expected, seviz.collect(seeded(Small), RIGHT[what](), PLAIN, classes=CLASSES))


class Lengths:
    """Batches that say of their number what is none, or raise."""

    def __init__(self, says: Any) -> None:
        self.says = says

    def __iter__(self) -> Iterator[Any]:
        return iter(BATCHES)

    def __len__(self) -> int:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says  # type: ignore[no-any-return]


@pytest.mark.parametrize("says", [-1, 2.5, None, "three", 2**70, ValueError("unknown"), OSError()])
def test_a_length_that_is_none_is_not_believed(says: Any) -> None:
    record = seviz.collect(seeded(Small), Lengths(says), PLAIN)
    same(record, seviz.collect(seeded(Small), list(BATCHES), PLAIN))


def test_a_loader_that_ends_the_program_ends_the_pass() -> None:
    def leaving() -> Iterator[Any]:
        yield from BATCHES[:2]
        raise SystemExit(3)

    with pytest.raises(EndedEarlyError, match=r"ends the program \(SystemExit: 3\)") as caught:
        seviz.collect(seeded(Small), leaving(), PLAIN)
    same(caught.value.record, seviz.collect(seeded(Small), BATCHES[:2], PLAIN))


def test_another_size_in_the_middle_is_computed_at_that_size() -> None:
    twice = third(lambda x, y: (x.repeat_interleave(2, -1), y))
    record = seviz.collect(seeded(Small), twice, PLAIN)
    network = seeded(Small).eval()
    found = torch.zeros(8, dtype=torch.float64)
    with torch.no_grad():
        for x, _ in twice:
            network(x)
            found += network.se.last.double().sum(0)
    np.testing.assert_allclose(record.stats("SE_2_1").sum.sum(0), found, rtol=1e-6)
    assert record.header.images == len(X)


@pytest.mark.parametrize("soft", [False, True])
def test_labels_that_are_no_classes_are_told(soft: bool) -> None:
    def change(x: Tensor, y: Tensor) -> Any:
        hot = torch.nn.functional.one_hot(y, 3).float()
        return x, torch.softmax(hot, 1) if soft else y.float()

    record = seviz.collect(seeded(Small), every(change), PLAIN)
    assert record.count.tolist() == [len(X)]
    assert any("are no whole numbers of classes" in note for note in record.header.notes)


class Changing:
    """Gives fewer batches, or more, from its second pass on."""

    def __init__(self, later: list[Any]) -> None:
        self.now, self.later = BATCHES, later

    def __iter__(self) -> Iterator[Any]:
        now, self.now = self.now, self.later
        return iter(now)


SAME = "expected the same images in every pass, found others; .*a loader that does not change"


@pytest.mark.parametrize(
    ("later", "line"),
    [
        (BATCHES[:3], SAME),
        ([*BATCHES, BATCHES[0]], SAME),
        (BATCHES[::-1], "the same images in every pass, found others: the loader shuffles"),
    ],
    ids=["fewer", "more", "others"],
)
def test_another_second_pass(later: list[Any], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that fit into memory are kept, and one pass is all there is; of others each pass is compared."""
    expected = seviz.ablate(seeded(Small), BATCHES, PLAIN)
    kept = seviz.ablate(seeded(Small), Changing(later), PLAIN)
    assert kept.single == expected.single
    monkeypatch.setattr(KeptBatches.__init__, "__defaults__", (0,))
    with pytest.raises(SevizError, match=line) as caught:
        seviz.ablate(seeded(Small), Changing(later), PLAIN)
    assert "\n" not in str(caught.value)


def test_an_iterator_is_told_apart_where_it_is_needed_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KeptBatches.__init__, "__defaults__", (0,))
    with pytest.raises(SevizError, match="found an iterator, which is used up after one pass"):
        seviz.ablate(seeded(Small), iter(BATCHES), PLAIN)


def test_a_worker_that_raises(tmp_path: Path) -> None:
    class Damaged(TensorDataset):
        def __getitem__(self, place: int) -> Any:
            if place == 9:
                raise ValueError("a damaged file")
            return super().__getitem__(place)

    loader = DataLoader(Damaged(X, Y), 4)
    with pytest.raises(EndedEarlyError, match="found ValueError: a damaged file in batch 2"):
        seviz.collect(seeded(Small), loader, PLAIN, folder=tmp_path)
    assert seviz.Record.load(tmp_path).header.images == KEPT
