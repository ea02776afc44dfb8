"""Sums of parts of a pass: the same to the bit in whatever order, against exact fractions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_threads import shared

from seviz.collect.distributed import Ranks
from seviz.collect.observers.exact import ExactSum, places_of, places_without_waiting
from seviz.collect.observers.gates import GateSums, Observation
from seviz.results.blocks import SEBlock
from seviz.results.exact import add_pairs, added, low_name, rounded

CPU = torch.device("cpu")
SIZES = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def block(channels: int) -> SEBlock:
    return SEBlock(
        name="SE_2_1",
        path="se",
        stage=2,
        index=1,
        channels=channels,
        hidden=2,
        gate="sigmoid",
        squeeze="mean",
        placement="standard",
        parameters=(),
        params=1,
        spatial=(4, 4),
    )


def batches(seed: int, count: int, size: int = 7) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Gates of sigmoids from 1e-9 to 1, which float64 does not add up exactly."""
    rng = np.random.default_rng(seed)
    gates = 1 / (1 + np.exp(-rng.normal(scale=5, size=(count, size, 6))))
    rows = rng.integers(0, 3, (count, size))
    return [
        (torch.from_numpy(g.astype(np.float32)), torch.from_numpy(r))
        for g, r in zip(gates, rows, strict=True)
    ]


def summed(parts: list[tuple[torch.Tensor, torch.Tensor]], *, whole: bool) -> dict[str, np.ndarray]:
    sums = GateSums([block(6)], 3, CPU, whole=whole)
    for gates, rows in parts:
        sums.update(Observation(rows, {"SE_2_1": gates}, torch.zeros(len(rows), 0)))
    return sums.compute()


@given(
    numbers=st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_any_parts_give_the_correctly_rounded_sum(numbers: list[float], cuts: list[int]) -> None:
    """Python's fsum rounds once; so does a sum of pairs, however it is split."""
    edges = [0, *sorted(min(c, len(numbers)) for c in cuts), len(numbers)]
    totals = []
    for begin, end in itertools.pairwise(edges):
        total = ExactSum(1, (), CPU)
        for number in numbers[begin:end]:
            values = torch.tensor([number], dtype=torch.float64)
            total.add(places_of(torch.tensor([0]), total.spare), values)
        totals.append((total.high.numpy().copy(), total.low.numpy().copy()))
    made = totals[0]
    for other in totals[1:]:
        made = add_pairs(made, other)
    exact = sum(map(Fraction, numbers))
    assert float(made[0][0] + made[1][0]) == math.fsum(numbers) == float(exact)


def test_squares_of_gates_are_added_up_exactly() -> None:
    """Image by image, as of batches of one, from 1e-9 to 1: the nearest float64 of the exact sum."""
    parts = batches(1, 400, size=1)
    found = summed(parts, whole=True)
    for row in range(3):
        own = np.concatenate([g[r == row] for g, r in ((g.numpy(), r.numpy()) for g, r in parts)])
        for channel in range(6):
            exact = [Fraction(float(v)) for v in own[:, channel]]
            assert found["gates/SE_2_1/sum"][row, channel] == float(sum(exact))
            squares = sum(v * v for v in exact)
            assert found["gates/SE_2_1/sumsq"][row, channel] == float(squares)


@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 60), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_parts_in_any_order_make_the_whole(seed: int, cuts: list[int]) -> None:
    every = batches(seed, 60)
    whole = summed(every, whole=True)
    edges = [0, *sorted(cuts), 60]
    parts = [summed(every[i:j], whole=False) for i, j in itertools.pairwise(edges)]
    order = np.random.default_rng(seed).permutation(len(parts))
    made = parts[order[0]]
    for place in order[1:]:
        made = added(made, parts[place])
    made = rounded(made)
    assert made.keys() == whole.keys()
    for name, array in whole.items():
        assert made[name].tobytes() == array.tobytes(), name


def test_plain_float64_would_not() -> None:
    """Else the tests above show nothing."""
    every = batches(0, 60)
    plain = [summed(part, whole=True) for part in (every[:20], every[20:40], every[40:])]
    name = "gates/SE_2_1/sumsq"
    added_up = plain[0][name] + plain[1][name] + plain[2][name]
    assert (added_up != summed(every, whole=True)[name]).any()
    lost = summed(every, whole=False)[low_name(name)]
    assert (lost != 0).any()


def test_where_the_host_does_not_know_the_rows() -> None:
    rows = torch.tensor([4, 1, 4, 0, 1, 4])
    values = torch.arange(12, dtype=torch.float64).reshape(6, 2)
    tables = []
    for places in (places_of(rows, 5), places_without_waiting(rows, 5)):
        total = ExactSum(5, (2,), CPU)
        total.add(places, values)
        total.add(places, values / 3)
        tables.append((total.high.clone(), total.low.clone()))
    assert torch.equal(tables[0][0], tables[1][0])
    assert torch.equal(tables[0][1], tables[1][1])
    by_hand = torch.tensor([[6.0, 7.0], [10.0, 12.0], [0, 0], [0, 0], [14.0, 17.0]]).double()
    assert torch.allclose(tables[0][0], by_hand * 4 / 3)
    assert places_without_waiting(rows, 5).rows.tolist() == [4, 1, 5, 0, 5, 5]


@pytest.mark.parametrize("size", [2, 3])
def test_processes_add_up_to_one(size: int) -> None:
    every = batches(3, 60)

    def work(ranks: Ranks) -> dict[str, np.ndarray]:
        own = every[ranks.rank * 60 // ranks.size : (ranks.rank + 1) * 60 // ranks.size]
        sums = GateSums([block(6)], 3, CPU)
        for gates, rows in own:
            sums.update(Observation(rows, {"SE_2_1": gates}, torch.zeros(len(rows), 0)))
        sums.merge(ranks)
        return sums.compute()

    one = summed(every, whole=True)
    for found in shared(size, work):
        for name, array in one.items():
            assert found[name].tobytes() == array.tobytes(), name
