"""Gates of one image in another: exact passes, pairs, shares with intervals, the command line."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, Run, Tiny, sampled
from dialects import SETTABLE, Dialect, set_by_hand, true_gates
from mechanisms import FOREIGN, Foreign
from scipy import stats as scipy_stats
from torch import Tensor, nn

import seviz
from seviz.analysis.dyads import Dyads
from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.findings.verdicts import FAILS, HOLDS, UNKNOWN
from seviz.analysis.swap import Swap, describe, swap_of
from seviz.collect import holding
from seviz.collect.pairs import images_each, pairs_across, pairs_within
from seviz.collect.prepare import prepare
from seviz.collect.swap import swapped_gates
from seviz.collect.swapping import Exchanging, Swapping
from seviz.errors import CheckpointError, DataError, NoSEBlockError, UsageError
from seviz.figures import swap_figure
from seviz.gates import trace
from seviz.results.swap import ALL_BLOCKS, MEAN, OTHER, SHUFFLED, Pairs, SwapImage, SwappedGates
from seviz.tables import FORMATS, render, tables_of

DIGITS = seviz.sample("se_resnet_digits")


# -------------------------------------------------------------------------------------------------
# The passes


def exchanged(
    model: nn.Module, images: Tensor, mechanism: str = "se"
) -> tuple[Swapping, Exchanging]:
    """Return four images that can exchange gates, as if they were of classes 0, 1, 2, 0."""
    traced = trace(model, tuple(images.shape[1:]), mechanism)
    swapping = Swapping(model, traced, traced.blocks, torch.device("cpu"))
    logs, gates = swapping.read(images)
    return swapping, Exchanging(images, gates, np.array([0, 1, 2, 0]), logs)


@pytest.mark.parametrize("dialect", sampled(SETTABLE, 12), ids=lambda d: d.name)
def test_as_a_hook_of_ours_that_multiplies_by_the_other_gates(dialect: Dialect) -> None:
    model, images = dialect.build(), dialect.example(4, seed=3)
    swapping, exchanging = exchanged(model, images)
    with torch.no_grad():
        own = true_gates(model, images)
    donors, receivers = np.array([1, 2, 3, 0]), np.array([0, 1, 2, 3])
    found = swapping.answers(exchanging, donors, receivers, controls=False)
    places = [*({i: g[donors]} for i, g in enumerate(own)), dict(enumerate(g[donors] for g in own))]
    assert len(found.answers[OTHER]) == len(places)
    # What the classes 0, 1, 2 are compared with: the third one, or both others within a class.
    against = [(1, 0, [2]), (2, 1, [0]), (0, 2, [1]), (0, 0, [1, 2])]
    for place, gates in enumerate(places):
        with set_by_hand(gates), torch.no_grad():
            expected = model(images).double().log_softmax(1)
        assert found.answers[OTHER][place].tolist() == expected.argmax(1).tolist()
        for pair, (one, _, third) in enumerate(against):
            after, before = (
                float(v[pair, one] - v[pair, third].mean()) for v in (expected, exchanging.logs)
            )
            assert found.lifts[OTHER][place][pair] == pytest.approx(after - before, abs=1e-3)


@pytest.mark.parametrize("dialect", sampled(SETTABLE, 12), ids=lambda d: d.name)
def test_an_images_own_gates_change_no_bit(dialect: Dialect) -> None:
    model, images = dialect.build(), dialect.example(3, seed=4)
    traced = trace(model, tuple(images.shape[1:]))
    swapping = Swapping(model, traced, traced.blocks, torch.device("cpu"))
    held = swapping._held(images)
    output, gates = held.read(images)
    for own in (*({n: g} for n, g in gates.items()), gates):
        assert torch.equal(held.answer(own), output)
    # What is no image's own is seen.
    assert not torch.equal(held.answer({n: g.flip(0) for n, g in gates.items()}), output)


@pytest.mark.parametrize("foreign", sampled(FOREIGN, 3), ids=lambda f: f.name)
def test_every_mechanism(foreign: Foreign) -> None:
    model, images = foreign.build(), foreign.example(4, seed=3)
    traced = trace(model, tuple(images.shape[1:]), foreign.key)
    if any(b.mechanism.per_pixel for b in traced.found.blocks):
        pytest.skip("its gates differ from pixel to pixel")
    swapping, exchanging = exchanged(model, images, foreign.key)
    every = np.arange(4)
    same = swapping.answers(exchanging, every, every, controls=False)
    assert (same.answers[OTHER] == exchanging.logs.argmax(1).numpy()).all()
    assert np.abs(same.lifts[OTHER]).max() < 1e-5
    other = swapping.answers(exchanging, every[::-1].copy(), every, controls=False)
    assert np.abs(other.lifts[OTHER][-1]).max() > 1e-3


def test_whole_passes_and_small_batches_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network = seviz.load(DIGITS)
    asked: dict[str, Any] = {"classes": ["0", "3", "8"], "pairs": 12, "seed": 2}
    few = seviz.PassOptions(num_samples=4)
    quick = swapped_gates(network, "digits", few, **asked)
    monkeypatch.setattr(holding, "MOST_BYTES", 0)
    monkeypatch.setattr(holding, "Rerun", None)
    whole = swapped_gates(network, "digits", few, **asked)
    assert whole.images == quick.images
    for way in (OTHER, MEAN, SHUFFLED):
        assert (whole.across.answers[way] == quick.across.answers[way]).all()
        np.testing.assert_allclose(whole.across.lifts[way], quick.across.lifts[way], atol=1e-3)
    assert (whole.within.answers[OTHER] == quick.within.answers[OTHER]).all()


def test_controls_are_means_and_permutations() -> None:
    gates = {"a": torch.tensor([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0], [9.0, 8.0, 7.0]])}
    exchanging = Exchanging(torch.zeros(3, 1), gates, np.array([5, 5, 6]), torch.zeros(3, 3))
    means = exchanging.means()
    assert means is not None
    assert means["a"].tolist() == [[1, 2, 3], [1, 2, 3], [9, 8, 7]]
    alone = Exchanging(torch.zeros(3, 1), gates, np.array([4, 5, 6]), torch.zeros(3, 3))
    assert alone.means() is None
    from seviz.collect.swapping import _shuffled

    wide = {"a": torch.arange(40.0).repeat(2, 1), "b": torch.arange(40.0).repeat(2, 1)}
    found = _shuffled(wide, np.array([3, 4]), seed=1)
    assert found["a"].sort(1).values.equal(wide["a"])
    rows = {tuple(row.tolist()) for own in found.values() for row in own}
    assert len(rows) == 4  # each pair and block has an order of its own
    again = _shuffled({n: g[1:] for n, g in wide.items()}, np.array([4]), seed=1)
    assert again["b"][0].equal(found["b"][1])  # whatever passes with it


class Obeys(nn.Module):
    """Answers what its gates say, and nothing else; or what its map says, whatever the gates."""

    def __init__(self, by_gates: bool) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8), nn.Sigmoid())
        self.by_gates = by_gates

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3))
        scaled = x * self.fc(mean)[:, :, None, None]
        scaled = scaled / x if self.by_gates else x + 1e-6 * scaled
        return scaled.mean((2, 3))[:, :4] * 20


@pytest.mark.parametrize(("by_gates", "verdict"), [(True, HOLDS), (False, FAILS)])
def test_a_network_that_obeys_its_gates_and_one_that_does_not(by_gates: bool, verdict: str) -> None:
    torch.manual_seed(0)
    model = Obeys(by_gates).eval()
    images = torch.rand(400, 8, 4, 4) * torch.rand(400, 8, 1, 1) * 3 + 0.1
    swap = seviz.swap_gates(model, images, pairs=400)
    whole = swap.all_blocks
    assert len(swap.rates) == 2
    assert not swap.swapped.labelled
    assert len(swap.classes) > 1
    assert whole.follows.value == (1.0 if by_gates else 0.0)
    assert whole.stays.value == 1 - whole.follows.value
    assert whole.verdict == verdict
    if by_gates:
        # An image of the same class answers the same, and a shuffled gate something.
        assert whole.within is not None
        assert (whole.within.value, whole.within.low) == (0.0, 0.0)
        assert 0 < whole.shuffled.value < 0.9


# -------------------------------------------------------------------------------------------------
# Images and pairs


def test_images_and_pairs_are_even() -> None:
    classes = np.repeat([3, 5, 9], [4, 6, 2])
    rng = np.random.default_rng(0)
    donors, receivers = pairs_across(classes, 60, rng)
    cells = Counter(zip(classes[donors].tolist(), classes[receivers].tolist(), strict=True))
    # Ten of each, but no more than there are.
    assert cells == {
        (3, 5): 10,
        (5, 3): 10,
        (3, 9): 8,
        (9, 3): 8,
        (5, 9): 10,
        (9, 5): 10,
    }
    pairs = list(zip(donors.tolist(), receivers.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    served = Counter(d for d, r in pairs if (classes[d], classes[r]) == (5, 3))
    assert set(served.values()) <= {1, 2}
    few = pairs_across(np.arange(100), 30, rng)
    assert len(set(zip(*map(tuple, few), strict=True))) == 30
    inside = pairs_within(np.array([1, 1, 1, 2, 3, 3]), 100, rng)
    assert sorted(zip(*(i.tolist() for i in inside), strict=True)) == [
        (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (4, 5), (5, 4),
    ]  # fmt: skip
    assert len(pairs_within(np.arange(4), 9, rng)[0]) == 0
    assert [images_each(k, 720) for k in (2, 10, 128, 256)] == [128, 8, 2, 2]


@pytest.fixture(scope="module")
def found() -> Swap:
    return seviz.swap_gates(DIGITS, "digits", classes=["1", "4", "7"], pairs=48, seed=3)


def test_images_are_those_that_the_network_has_right(found: Swap) -> None:
    swapped, network = found.swapped, seviz.load(DIGITS)
    assert network.classes is not None
    tables: list[Any] = []
    seviz.collect(network, "digits", each=tables.append)
    (table,) = tables
    known = dict(zip(table.paths, zip(table.true, table.predicted, strict=True), strict=True))
    assert len(swapped.images) == 3 * 8
    for image in swapped.images:
        true, predicted = known[image.name]
        assert table.labels[true] == table.labels[predicted] == network.classes.labels[image.answer]
    assert Counter(i.answer for i in swapped.images) == {1: 8, 4: 8, 7: 8}
    assert swapped.labelled
    assert swapped.tried < 364
    other = seviz.swap_gates(DIGITS, "digits", classes=["1", "4", "7"], pairs=48, seed=4)
    assert other.swapped.images != swapped.images
    # A class whose images are all wrong has none.
    assert found.classes == ("1", "4", "7")


def test_loaders_and_images_without_labels() -> None:
    ready = prepare(DIGITS, "digits", seviz.PassOptions())
    images = torch.cat([b.images for b in ready.batches()])
    rows = torch.cat([b.rows for b in ready.batches()])
    unlabelled = seviz.swap_gates(DIGITS, images, pairs=90)
    assert not unlabelled.swapped.labelled
    assert "of the classes it answers" in str(unlabelled)
    same = seviz.swap_gates(DIGITS, [(images, rows)], classes=["1", "4", "7"], pairs=48, seed=3)
    assert same.swapped.labelled
    # In the order of the loader, and not in a random one: the first of each class that are right.
    with torch.no_grad():
        answers = seviz.load(DIGITS).model(images).argmax(1)
    for label in (1, 4, 7):
        first = ((rows == label) & (answers == label)).nonzero()[:8, 0].tolist()
        assert [i.index for i in same.swapped.images if i.answer == label] == first
    batches = [
        (
            torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(i)),
            torch.zeros(8).long(),
        )
        for i in range(3)
    ]
    with pytest.raises(DataError, match="two classes or more that the network has right"):
        seviz.swap_gates(DIGITS, batches)


def test_what_is_refused(
    tiny: Tiny, pictures: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refuses(UsageError, "at least 1"):
        seviz.swap_gates(DIGITS, "digits", pairs=0)
    with refuses(UsageError, "'3' alone"):
        seviz.swap_gates(DIGITS, "digits", classes=["3"])
    with refuses(UsageError, "eleven"):
        seviz.swap_gates(DIGITS, "digits", classes=["3", "eleven"])
    with refuses(UsageError, "SE_9"):
        seviz.swap_gates(DIGITS, "digits", blocks=["SE_9"])
    with refuses(DataError, "found none in the data; it has ant"):
        source = seviz.data.sources.open_source(str(pictures))  # type: ignore[attr-defined]
        rest = replace(source, labels=np.zeros_like(source.labels))
        seviz.swap_gates(tiny.path, rest, classes=["ant", "dog"])
    with refuses(UsageError, "pixel to pixel"):
        seviz.swap_gates(DIGITS, "digits", seviz.PassOptions(mechanism="gate"))
    with pytest.raises(NoSEBlockError):
        seviz.swap_gates(nn.Sequential(nn.Conv2d(1, 3, 1)), torch.zeros(4, 1, 8, 8))
    with refuses(CheckpointError, "NaN"):
        broken = seviz.load(DIGITS)
        with torch.no_grad():
            next(reversed(list(broken.model.parameters()))).fill_(float("nan"))
        seviz.swap_gates(broken, "digits")


# -------------------------------------------------------------------------------------------------
# Shares and intervals


def brute_variance(first: Any, second: Any, values: Any) -> float:
    """The sum over all pairs of pairs that have an image in common, as it is written."""
    apart, total = values - values.mean(), 0.0
    for i in range(len(values)):
        for j in range(len(values)):
            if {first[i], second[i]} & {first[j], second[j]}:
                total += apart[i] * apart[j]
    images = len(set(first) | set(second))
    return float(total * images / (images - 1) / len(values) ** 2)


def test_the_variance_is_that_of_all_pairs_of_pairs() -> None:
    rng = np.random.default_rng(1)
    found = set()
    for _ in range(20):
        first = rng.integers(0, 7, 30)
        second = (first + rng.integers(1, 7, 30)) % 7
        values = rng.normal(size=7)[first] + rng.normal(size=7)[second] + rng.normal(size=30)
        expected = brute_variance(first.tolist(), second.tolist(), values)
        independent = values.var(ddof=1) / 30
        made = Dyads(first, second).variance(values)
        assert made == pytest.approx(max(expected, independent))
        found.add(expected > independent)
    assert found == {True, False}


def test_independent_pairs_have_the_usual_intervals() -> None:
    """Each image in one pair: Wilson's and Student's intervals, as SciPy has them."""
    first = np.arange(2000)
    hits = np.zeros(2000, bool)
    hits[:300] = True
    share = Dyads(first, first + 2000).share(hits)
    usual = scipy_stats.binomtest(300, 2000).proportion_ci(method="wilson")
    assert share is not None
    assert (share.value, share.low, share.high) == pytest.approx(
        (0.15, usual.low, usual.high), abs=2e-4
    )
    values = np.random.default_rng(0).normal(size=50)
    mean = Dyads(np.arange(50), np.arange(50) + 50).mean(values)
    low, high = scipy_stats.t.interval(
        0.95, 49, loc=values.mean(), scale=values.std(ddof=1) / 50**0.5
    )
    assert mean is not None
    # The correction is for 100 images: a hair less than for 50 pairs, which it is not taken below.
    assert (mean.low, mean.high) == pytest.approx((low, high), rel=1e-9)
    few = Dyads(np.array([0]), np.array([1])).share(np.array([True]))
    assert few is not None
    assert (few.value, few.low) == (1.0, None)
    assert Dyads(first[:0], first[:0]).share(hits[:0]) is None


def crossed(seed: int, images: int = 24, each: int = 8) -> tuple[Dyads, Any, Any]:
    """Return pairs of two groups whose images each have an effect of their own on two outcomes."""
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(2, 2 * images)) * 1.2
    first = np.tile(np.arange(images), each)
    second = images + (first + np.repeat(np.arange(each), images)) % images
    chance = -1.0 + one[first] + other[second]
    hits = rng.logistic(size=len(first)) < chance
    control = rng.logistic(size=len(first)) < -1.0 + 0.5 * one[first]
    return Dyads(first, second), hits, control


def test_intervals_hold_where_pairs_share_images() -> None:
    """Over 300 draws 95 % intervals hold at least 92 in 100 times; those of independent pairs do not."""
    draws = [crossed(seed) for seed in range(300)]
    true = np.mean([hits.mean() for _, hits, _ in map(crossed, range(300, 2300))])
    apart = np.mean([hits.mean() - c.mean() for _, hits, c in map(crossed, range(300, 2300))])
    held, naive, differences = 0, 0, 0
    for dyads, hits, control in draws:
        share, difference = dyads.share(hits), dyads.difference(hits, control)
        assert share is not None
        assert difference is not None
        held += share.low <= true <= share.high  # type: ignore[operator]
        differences += difference.low <= apart <= difference.high  # type: ignore[operator]
        usual = seviz.analysis.wilson(int(hits.sum()), len(hits))  # type: ignore[attr-defined]
        naive += usual.low <= true <= usual.high
    assert held >= 276
    assert differences >= 276
    assert naive < 255


def made_of(answers: dict[str, list[list[int]]]) -> Swap:
    """Return pairs of four images of classes 0, 0, 1, 2, with these answers for one block and for all."""
    blocks = seviz.collect(seviz.load(DIGITS), "digits", seviz.PassOptions(num_samples=1)).blocks[
        :1
    ]
    donors, receivers = np.array([0, 1, 2, 3]), np.array([2, 3, 0, 1])
    across = {way: np.array(rows) for way, rows in answers.items()}
    lifts = {OTHER: np.array([[0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]], np.float32)}
    return swap_of(
        SwappedGates(
            "a.pt", "", "net", "data", "", tuple(blocks), 4,
            {0: "ant", 1: "bee", 2: "cat", 3: "dog"},
            tuple(SwapImage(f"{i}.png", i, c) for i, c in enumerate([0, 0, 1, 2])),
            Pairs(donors, receivers, across, lifts),
            Pairs(np.array([0, 1]), np.array([1, 0]), {OTHER: np.array([[0, 0], [0, 3]])}),
            9, True,
        )
    )  # fmt: skip


def test_shares_by_hand() -> None:
    # Gates of 0, 0, 1, 2 in images of 1, 2, 0, 0.
    swap = made_of(
        {
            OTHER: [[1, 2, 0, 0], [0, 1, 1, 0]],
            SHUFFLED: [[1, 2, 0, 0], [0, 2, 3, 3]],
            MEAN: [[0] * 4] * 2,
        }
    )
    alone, whole = swap.rates
    assert [e.value for e in (alone.follows, alone.stays, alone.neither)] == [0, 1, 0]
    assert [e.value for e in (whole.follows, whole.stays, whole.neither)] == [0.5, 0.25, 0.25]
    assert whole.third is not None
    assert whole.third.value == 0.25  # there is one
    assert (whole.shuffled.value, whole.shuffled_stays.value) == (0.25, 0.25)
    assert whole.disturbed.value == 0.75
    assert whole.disturbed.low == 1 - whole.stays.high  # type: ignore[operator]
    assert whole.mean is not None
    assert whole.mean.value == 0.5
    assert whole.beyond_third is not None
    assert (whole.beyond_third.value, whole.beyond_shuffled.value) == (0.25, 0.25)
    assert whole.lift is not None
    assert alone.lift is not None
    assert (alone.lift.value, whole.lift.value) == (1.5, 1.0)
    assert alone.within is not None
    assert whole.within is not None
    assert (alone.within.value, whole.within.value) == (0.0, 0.5)
    assert whole.verdict == UNKNOWN
    # An interval around 0 tells no direction, and not that there is none.
    wide = replace(swap, rates=(alone, replace(whole, lift=Estimate(0.5, -1.0, 2.0))))
    assert "neither rise nor fall beyond chance: +0.50 [-1.00, +2.00]" in str(wide)
    assert swap.cells == ()  # four pairs of six pairs of classes
    assert "does not follow" not in str(swap)
    # An answer of a class that does not take part is no third class.
    other = made_of({OTHER: [[1, 2, 0, 0], [0, 3, 1, 0]], SHUFFLED: [[1, 2, 0, 0]] * 2}).all_blocks
    assert (other.neither.value, other.mean) == (0.25, None)
    assert other.third is not None
    assert other.third.value == 0.0


def test_matrix_tables_and_figure(found: Swap) -> None:
    swapped = found.swapped
    classes = swapped.classes
    for cell in found.cells:
        pairs = swapped.across if cell.gates != cell.image else swapped.within
        place = swapped.places.index(cell.place)
        one, other = int(cell.gates), int(cell.image)
        own = [
            int(a)
            for d, r, a in zip(
                pairs.donors, pairs.receivers, pairs.answers[OTHER][place], strict=True
            )
            if (classes[d], classes[r]) == (one, other)
        ]
        assert cell.pairs == len(own)
        shares = [own.count(one), own.count(other), sum(a not in (one, other) for a in own)]
        got = [cell.follows, cell.stays, cell.neither]
        assert [e.value for e in got] == pytest.approx([s / len(own) for s in shares])
    assert len(found.matrix) == 9
    tables = tables_of(found)
    assert list(tables) == ["swap", "swap_controls", "swap_matrix"]
    for table in tables.values():
        assert all(render(table, kind) for kind in FORMATS)
    assert "all blocks" in render(tables["swap"])
    figure = swap_figure(found)
    becomes, _, *panels = figure.axes
    assert [t.get_text() for t in becomes.get_yticklabels()] == ["1", "4", "7"]
    drawn = becomes.collections[0].get_array().filled(np.nan)  # type: ignore[union-attr]
    shown = {(c.gates, c.image): c.follows.value for c in found.matrix if c.gates != c.image}
    for (row, one), (column, other) in (
        (a, b) for a in enumerate(found.classes) for b in enumerate(found.classes) if a != b
    ):
        assert drawn[row, column] == pytest.approx(shown[one, other])
    values = panels[0].lines[0].get_ydata()
    assert np.allclose(values, [100 * r.follows.value for r in found.rates])
    without = replace(found, swapped=replace(swapped, across=cut(swapped.across)))
    assert len(swap_figure(without).axes) == 3


def cut(pairs: Pairs) -> Pairs:
    """Return the first five pairs."""
    return Pairs(
        pairs.donors[:5],
        pairs.receivers[:5],
        {way: a[:, :5] for way, a in pairs.answers.items()},
        {way: v[:, :5] for way, v in pairs.lifts.items()},
    )


# -------------------------------------------------------------------------------------------------
# The command line


@pytest.mark.usefixtures("elsewhere")
def test_the_command(run: Run) -> None:
    words = ("swap", DIGITS, "--data", "digits", "--classes", "1", "4", "7", "--pairs", "48")
    said = run(*words, "--seed", "3", "-o", "out", "--json", "--format", "svg")
    assert said.code == 0, said.err
    shown = json.loads(said.out)
    again = seviz.swap_gates(DIGITS, "digits", classes=["1", "4", "7"], pairs=48, seed=3)
    assert shown["said"] == describe(again)
    assert [r["place"] for r in shown["rates"]] == [
        *(b.name for b in again.swapped.blocks),
        ALL_BLOCKS,
    ]
    last = again.all_blocks
    assert shown["rates"][-1]["follows_high"] == last.follows.high
    assert shown["rates"][-1]["beyond_third"] == last.beyond_third.value  # type: ignore[union-attr]
    assert (shown["pairs"], shown["seed"], shown["labelled"]) == (48, 3, True)
    assert all(Path(f).is_file() for f in (*shown["figures"], *shown["csv"]))
    rows = list(csv.DictReader(Path("out/swap_pairs.csv").read_text().splitlines()))
    assert len(rows) == 7 * (48 + len(again.swapped.within))
    follows = [r["answer"] == r["gates"] for r in rows if r["place"] == "all blocks"][:48]
    assert np.mean(follows) == last.follows.value
    rows = list(csv.DictReader(Path("out/swap.csv").read_text().splitlines()))
    assert [float(r["shuffled"]) for r in rows] == [r.shuffled.value for r in again.rates]
    said = run(*words, "--blocks", "SE_4", "-o", "text", "-q", "--format", "png")
    assert said.code == 0, said.err
    assert said.out.startswith("With all gates of an image of another class, the answer follows")
    assert said.err == ""


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ((DIGITS,), 2, "--data"),
        ((DIGITS, "--data", "digits", "--classes", "3"), 2, "alone"),
        ((DIGITS, "--data", "digits", "--format", "gif"), 2, "gif"),
        (("none.pt", "--data", "digits"), 3, "none.pt"),
        ((DIGITS, "--data", "none"), 4, "none"),
        ((DIGITS, "--data", "digits", "--device", "cuda:99"), 5, "cuda:99"),
    ],
)
def test_what_cannot_be_asked(run: Run, words: tuple[str, ...], code: int, part: str) -> None:
    said = run("swap", *words)
    assert said.code == code
    assert part in said.err


@pytest.mark.usefixtures("elsewhere")
def test_a_record_holds_no_network(run: Run, digits_record: Path) -> None:
    said = run("swap", digits_record, "--data", "digits")
    assert said.code == 2
    assert "holds no network" in said.err
