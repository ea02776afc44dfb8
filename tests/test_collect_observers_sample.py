"""The sample of single images, against a brute-force choice of the smallest keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import SE_RESNET_50, SE_RESNET_152, make_blocks, record_of_gates

import seviz
from seviz.collect.observers import GateSample, Observation
from seviz.collect.observers.sample import packed
from seviz.collect.options import PassOptions
from seviz.errors import DataError
from seviz.results.record import Record
from seviz.results.sample import capacity, image_keys, merge_samples

CPU = torch.device("cpu")
BLOCKS = make_blocks([(1, 3), (1, 2)])
MOST = 7


def key(index: int) -> int:
    """Return splitmix64 in Python's integers, as its authors' C code has it."""
    mask = 2**64 - 1
    z = (index + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("seviz.results.sample", "seviz.collect.observers.sample"):
        monkeypatch.setattr(f"{module}.capacity", lambda blocks: MOST)


def gates_of(index: int) -> list[np.ndarray]:
    """Return gates that tell which image they are of, exact in float16."""
    return [np.arange(3) + 8 * index, np.arange(2) - 8 * index]


def sample(batches: list[list[int]]) -> dict[str, Any]:
    observer = GateSample(BLOCKS, CPU)
    for indices in batches:
        parts = [np.stack([gates_of(i)[b] for i in indices]).astype(np.float32) for b in (0, 1)]
        gates = {b.name: torch.from_numpy(g) for b, g in zip(BLOCKS, parts, strict=True)}
        index = torch.tensor(indices)
        observer.update(Observation(index % 5, gates, torch.zeros(len(indices), 2), index))
    return observer.compute()


def expected(indices: list[int]) -> list[int]:
    return sorted(indices, key=key)[:MOST]


def check(arrays: dict[str, Any], indices: list[int]) -> None:
    chosen = expected(indices)
    assert arrays["sample/index"].tolist() == chosen
    assert arrays["sample/row"].tolist() == [i % 5 for i in chosen]
    for b, block in enumerate(BLOCKS):
        assert arrays[f"sample/{block.name}"].tolist() == [gates_of(i)[b].tolist() for i in chosen]


@pytest.mark.parametrize(
    ("seed", "first"), [(0, 0xE220A8397B1DCDAF), (1234567, 6457827717110365317)]
)
def test_keys_are_splitmix64(seed: int, first: int) -> None:
    """First outputs of the published generator."""
    assert int(image_keys(np.array([seed]))[0]) == key(seed) == first


@pytest.mark.usefixtures("few")
@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=40, unique=True),
    st.lists(st.integers(1, 9), min_size=40, max_size=40),
)
@settings(max_examples=60)
def test_batches_and_order_do_not_matter(indices: list[int], sizes: list[int]) -> None:
    batches, rest = [], list(indices)
    for size in sizes:
        batches.append(rest[:size])
        rest = rest[size:]
    check(sample([b for b in batches if b]), indices)


@pytest.mark.usefixtures("few")
@given(st.lists(st.lists(st.integers(0, 60), max_size=14), min_size=3, max_size=3))
@settings(max_examples=60)
def test_merging_is_associative_and_gives_the_whole(parts: list[list[int]]) -> None:
    """Images in two parts count twice, as they do in sums."""
    a, b, c = (sample([p] if p else []) for p in parts)
    left = merge_samples(merge_samples(a, b, BLOCKS), c, BLOCKS)
    right = merge_samples(a, merge_samples(c, b, BLOCKS), BLOCKS)
    check(left, [i for p in parts for i in p])
    check(right, [i for p in parts for i in p])


def test_a_part_without_a_sample_leaves_the_whole_without() -> None:
    gates, labels = [np.random.default_rng(0).random((6, 4))], np.arange(6) % 2
    old = record_of_gates(gates, labels, "ab")
    new = record_of_gates(gates, labels, "ab", indices=np.arange(6))
    assert old.sample("SE_2_1") is None
    for merged in (old + new, new + old):
        assert merged.sample("SE_2_1") is None
        assert merged.count.sum() == 12
    both = new + replace(new)
    found = both.sample("SE_2_1")
    assert found is not None
    assert len(found.rows) == 12


def test_every_image_is_as_likely() -> None:
    """Positions in a source are regular; their keys must not be."""
    ranks = np.argsort(np.argsort(image_keys(np.arange(100_000))))
    for step in (2, 10, 1000):
        means = [ranks[begin::step].mean() for begin in range(step)]
        # Mean rank of n of 100,000: standard error 100,000 / sqrt(12 n).
        far = np.abs(np.array(means) - 49999.5) / (1e5 / np.sqrt(12 * 1e5 / step))
        assert far.max() < 4.5
    assert len(set(image_keys(np.arange(100_000)).tolist())) == 100_000


@pytest.mark.parametrize(
    ("stages", "images"),
    [([(3, 64)], 2048), (SE_RESNET_50, 2048), (SE_RESNET_152, 700), ([(50, 2048)], 512)],
    ids=["small", "se-resnet-50", "se-resnet-152", "huge"],
)
def test_memory_is_bounded(stages: Any, images: int) -> None:
    """64 MB / (2 bytes of 47,872 channels) are 700 images in SE-ResNet-152."""
    assert capacity(make_blocks(stages)) == images


def test_batches_without_positions_are_refused() -> None:
    gates = {b.name: torch.zeros(2, b.channels) for b in BLOCKS}
    observation = Observation(torch.zeros(2, dtype=torch.int64), gates, torch.zeros(2, 2))
    with pytest.raises(DataError, match="the position of each image"):
        GateSample(BLOCKS, CPU).update(observation)


def test_no_image() -> None:
    arrays = GateSample(BLOCKS, CPU).compute()
    assert arrays["sample/index"].shape == (0,)
    assert arrays["sample/SE_2_1"].shape == (0, 3)


@pytest.mark.parametrize(
    ("centre", "width", "dtype"),
    [
        (0.5, 0.1, np.float16),
        (0.97, 0.01, np.float16),
        # float16 has steps of 0.0005 there: such gates would be all alike.
        (0.97, 2e-4, np.float32),
        (1e6, 10.0, np.float32),
        (0.5, 0.0, np.float16),
    ],
)
def test_rounding_takes_nothing_away(centre: float, width: float, dtype: Any) -> None:
    noise = np.random.default_rng(0).normal(size=(300, 6))
    gates = np.float32(centre + width * noise)
    kept = packed(gates)
    assert kept.dtype == dtype
    assert np.isfinite(kept).all()
    if width:
        assert kept.astype(np.float64).std() == pytest.approx(
            gates.astype(np.float64).std(), rel=0.01
        )


def test_the_pass_keeps_the_gates_of_its_images(tmp_path: Path) -> None:
    """All 364 digits fit: mean gates of the sample are those of the sums, class by class."""
    net = seviz.load(seviz.sample("se_resnet_digits"))
    record = seviz.collect(net, "digits")
    other = seviz.collect(net, "digits", PassOptions(batch_size=50))
    record.save(tmp_path)
    for block in record.blocks:
        found, again = record.sample(block.name), other.sample(block.name)
        stored = Record.load(tmp_path).sample(block.name)
        assert found is not None
        assert again is not None
        assert stored is not None
        np.testing.assert_array_equal(stored.gates, found.gates)
        assert stored.gates.dtype == found.gates.dtype
        np.testing.assert_array_equal(again.rows, found.rows)
        np.testing.assert_allclose(again.gates, found.gates, atol=1e-3)
        assert np.bincount(found.rows).tolist() == record.count.tolist()
        for row in range(10):
            mean = found.gates[found.rows == row].astype(np.float64).mean(0)
            np.testing.assert_allclose(mean, record.stats(block.name).mean[row], atol=3e-4)


class Together:
    """Processes that hand in their state one after the other."""

    def __init__(self, parts):
        self.parts = parts

    def reduce(self, tensor, how):
        raise AssertionError("a sample is gathered")

    def gather(self, value):
        return self.parts


def test_samples_of_several_processes_are_that_of_one():
    blocks = make_blocks(((1, 4), (2, 8)))
    rng = np.random.default_rng(0)
    images = 5000
    gates = {b.name: torch.from_numpy(rng.random((images, b.channels), np.float32)) for b in blocks}
    rows = torch.from_numpy(rng.integers(0, 3, images))

    def watch(chosen):
        sample = GateSample(blocks, torch.device("cpu"))
        for part in np.array_split(chosen, 7):
            at = torch.from_numpy(part)
            own = {name: g[at] for name, g in gates.items()}
            sample.update(Observation(rows[at], own, torch.zeros(len(part), 3), at))
        return sample

    whole = watch(np.arange(images)).compute()
    shares = [watch(share) for share in np.array_split(np.arange(images), 3)]
    shares[0].merge(Together([s.state() for s in shares]))
    resumed = GateSample(blocks, torch.device("cpu"))
    resumed.restore(watch(np.arange(images)).state())
    for found in (shares[0].compute(), resumed.compute()):
        assert found.keys() == whole.keys()
        for name, array in whole.items():
            np.testing.assert_array_equal(found[name], array)
