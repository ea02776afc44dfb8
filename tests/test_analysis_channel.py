"""One channel and the ranking of all: against NumPy and SciPy, and against brute force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from conftest import Refuses, Tiny

import seviz
from seviz.analysis.channel import needed, view_channel
from seviz.analysis.channel_text import describe_channel
from seviz.analysis.channels import rank_channels
from seviz.errors import DataError, UsageError
from seviz.pruning.channels import _Extremes
from seviz.results.channels import ChannelEffects, HeldChannel, extremes, find_channel
from seviz.tables import render, tables_of
from seviz.tables.channels import channel_images_table, ranking_table, write_channels_csv


@pytest.fixture(scope="module")
def record(digits_record: Path) -> seviz.Record:
    return seviz.Record.load(digits_record)


def test_by_class_as_scipy_has_it(record: seviz.Record) -> None:
    """The digits are fewer than a sample holds: it has all images, in float16."""
    view = view_channel(record, "SE_4_2:29")
    sampled = record.sample("SE_4_2")
    assert sampled is not None
    gates = sampled.gates[:, 29].astype(np.float64)
    assert view.images == view.sampled == len(gates) == 364
    assert view.mean == pytest.approx(gates.mean(), abs=1e-3)
    assert view.spread == pytest.approx(gates.std(), abs=1e-3)
    assert [c.mean.value for c in view.classes] == sorted(
        (c.mean.value for c in view.classes), reverse=True
    )
    labels = record.classes.labels
    for one in view.classes:
        own = gates[sampled.rows == labels.index(one.name)]
        np.testing.assert_array_equal(view.sample[one.name], own)
        assert one.images == len(own)
        low, high = scipy.stats.t.interval(
            1 - 0.05 / 10, len(own) - 1, own.mean(), scipy.stats.sem(own)
        )
        assert (one.mean.low, one.mean.high) == pytest.approx((low, high), abs=1e-3)
        assert (one.low, one.high) == pytest.approx((own.min(), own.max()), abs=1e-3)
    between = sum(len(own) * (own.mean() - gates.mean()) ** 2 for own in view.sample.values())
    assert view.class_share == pytest.approx(between / (len(gates) * gates.var()), abs=2e-3)
    assert view.chance == pytest.approx(9 / 363)


def test_companions_as_scipy_has_them(record: seviz.Record) -> None:
    view = view_channel(record, "SE_4_2:29")
    samples = {b.name: record.sample(b.name) for b in record.blocks}
    own = samples["SE_4_2"].gates[:, 29].astype(np.float64)  # type: ignore[union-attr]
    found = {}
    for name, sampled in samples.items():
        assert sampled is not None
        for c in range(sampled.gates.shape[1]):
            other = sampled.gates[:, c].astype(np.float64)
            if (name, c) != ("SE_4_2", 29) and other.std() > 1e-6:
                found[name, c] = scipy.stats.pearsonr(own, other).statistic
    assert view.looked_at == len(found)
    best = sorted(found, key=lambda key: -abs(found[key]))[:8]
    assert [(c.block, c.channel) for c in view.companions] == best
    level = 1 - 0.05 / len(found)
    one = view.companions[0]
    other = samples[one.block].gates[:, one.channel].astype(np.float64)  # type: ignore[union-attr]
    expected = scipy.stats.pearsonr(own, other).confidence_interval(level)
    assert one.correlation.value == pytest.approx(found[best[0]])
    assert (one.correlation.low, one.correlation.high) == pytest.approx(expected, rel=1e-6)
    known = [
        key
        for key, r in found.items()
        if abs(np.arctanh(r)) > scipy.stats.norm.ppf(1 - 0.05 / 2 / len(found)) / np.sqrt(361)
    ]
    assert view.moving == len(known)
    rows = samples["SE_4_2"].rows  # type: ignore[union-attr]
    deviations = [v - np.array([v[rows == r].mean() for r in rows]) for v in (own, other)]
    assert one.within == pytest.approx(scipy.stats.pearsonr(*deviations).statistic, rel=1e-6)


def test_chance_is_not_told_for_company() -> None:
    """Of 200 records of noise, at most one in twenty or so says that two channels move together."""
    rng = np.random.default_rng(0)
    from seviz.analysis.channel import _correlated, quantile

    said = 0
    for _ in range(200):
        own, others = rng.normal(size=60), rng.normal(size=(60, 50))
        r = _correlated(own, others)
        said += bool((np.abs(np.arctanh(r)) > quantile(50) / np.sqrt(57)).any())
    assert said <= scipy.stats.binom.ppf(0.999, 200, 0.05)


def test_extremes_are_those_of_the_sample(record: seviz.Record) -> None:
    view = view_channel(record, "SE_3_1:5", name_of=lambda i: f"n{i}")
    sampled = record.sample("SE_3_1")
    assert sampled is not None
    gates = sampled.gates[:, 5].astype(np.float64)
    assert [i.gate for i in view.largest] == sorted(gates)[::-1][:8]
    assert [i.gate for i in view.smallest] == sorted(gates)[:8]
    place = int(np.argmax(gates))
    assert view.largest[0].name.startswith("n")
    assert view.largest[0].class_name == record.classes.labels[sampled.rows[place]]
    assert view_channel(record, "SE_3_1:5").largest[0].name.startswith("image ")
    assert "random sample of 364 of the 364" in view.where


def test_names_and_effects_with_the_images(record: seviz.Record) -> None:
    named = seviz.channel(record, "SE_4_2:29", data="digits")
    assert named.largest[0].name == "digits/test/42"
    with pytest.raises(DataError, match="found 1,433 of digits train"):
        seviz.channel(record, "SE_4_2:29", data="digits", options=seviz.PassOptions(split="train"))


def test_sentences_rest_on_intervals(record: seviz.Record) -> None:
    view = view_channel(record, "SE_4_2:29")
    first, classes, company = describe_channel(view)
    assert first.startswith("SE_4_2:29: mean gate 0.469, standard deviation 0.120")
    assert "most open for 6 (0.676), least for 7 (0.292)" in classes
    assert "closest is SE_4_2:25 (r = +0.92 [+0.89, +0.95]" in company
    wide = [replace(c, mean=replace(c.mean, low=0.0, high=1.0)) for c in view.classes]
    assert (
        "that one class opens it more than another cannot be said"
        in describe_channel(replace(view, classes=tuple(wide)))[1]
    )
    unknown = [replace(c, mean=replace(c.mean, low=None, high=None)) for c in view.classes]
    assert (
        "needs about 3 images of each class"
        in describe_channel(replace(view, classes=tuple(unknown)))[1]
    )
    few = replace(view, companions=(), sampled=5, moving=0)
    said = describe_channel(few)[2]
    assert (
        said
        == f"Which channels move with it cannot be said (5 images in the sample; needs about {needed(223)})."
    )
    still = replace(view, spread=0.001)
    assert "hardly moves" in describe_channel(still)[1]
    held = tuple(
        HeldChannel("SE_4_2", 29, how, lost, 0) for how, lost in (("mean", 40), ("zero", 1))
    )
    effects = ChannelEffects(364, 361, held, source="digits test")
    mean, zero = describe_channel(replace(view, effects=effects))[3:]
    assert "Held at its mean, over 364 images: -10.99 points" in mean
    assert "cannot be said" not in mean
    assert "that it matters cannot be said" in zero


def test_as_many_images_as_are_needed_tell() -> None:
    """Of so many images a correlation of 0.5 lies just beyond the interval of none."""
    for channels in (1, 50, 2000):
        images = needed(channels)
        far = scipy.stats.norm.ppf(1 - 0.025 / channels)
        assert np.arctanh(0.5) >= far / np.sqrt(images - 3)
        assert np.arctanh(0.5) < far / np.sqrt(images - 4)


def test_channels_are_found_by_name(record: seviz.Record, refuses: Refuses) -> None:
    assert find_channel(record.blocks, "se_4_2:29")[1] == 29
    assert find_channel(record.blocks, "layer3.1.se:0")[0].name == "SE_4_2"
    with refuses(UsageError, "BLOCK:NUMBER"):
        find_channel(record.blocks, "SE_4_2")
    with refuses(UsageError, "SE_9_9"):
        find_channel(record.blocks, "SE_9_9:1")
    with refuses(UsageError, "from 0 to 63, found 64"):
        find_channel(record.blocks, "SE_4_2:64")


def test_the_ranking_is_that_of_brute_force(record: seviz.Record) -> None:
    """Mean gates from the sample of all images, weights from the state dict, answers channel by channel."""
    loaded = seviz.load(seviz.sample("se_resnet_digits"))
    ranking = seviz.channels(record, loaded, "digits", blocks=["SE_4_2"], ablate="zero")
    state = loaded.model.state_dict()
    sampled = record.sample("SE_4_2")
    assert sampled is not None
    mean = sampled.gates.astype(np.float64).mean(axis=0)
    norm = state["fc.weight"].double().norm(dim=0).numpy()
    order = np.argsort(mean * norm)
    rows = ranking.blocks["SE_4_2"]
    assert list(ranking.blocks) == ["SE_4_2"]
    assert [r.rank for r in rows] == list(range(1, 65))
    importance = np.array([r.importance for r in rows])
    np.testing.assert_allclose(importance, (mean * norm)[order], rtol=2e-3)
    assert (np.diff(importance) >= 0).all()
    assert {r.read_by for r in rows} == {("fc.weight",)}
    images, labels = every_digit(loaded)
    module = loaded.model.get_submodule("layer3.1.se")
    plain = right(loaded.model, images, labels)
    for row in rows[::7]:

        def cut(m: Any, args: Any, output: torch.Tensor, c: int = row.channel) -> torch.Tensor:
            output = output.clone()
            output[:, c] = 0
            return output

        handle = module.register_forward_hook(cut)
        now = right(loaded.model, images, labels)
        handle.remove()
        assert (row.lost, row.won) == (int((plain & ~now).sum()), int((now & ~plain).sum()))
        assert row.effect is not None
        assert row.effect.delta == pytest.approx((now.sum() - plain.sum()).item() / 364)


def every_digit(loaded: Any) -> tuple[torch.Tensor, torch.Tensor]:
    from seviz.data import open_source
    from seviz.data.transforms import build_transform

    source = open_source("digits")
    transform = build_transform(loaded.preprocessing)
    images = torch.stack([transform(source.image(i)) for i in range(len(source))])  # type: ignore[union-attr,arg-type]
    return images, torch.as_tensor(source.labels)  # type: ignore[union-attr]


def right(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(images).argmax(1) == labels


def test_what_a_pass_over_all_images_adds(tiny: Tiny, pictures: Path) -> None:
    network = seviz.load(tiny.path)
    record = seviz.collect(network, pictures)
    view = seviz.channel(record, "SE_2_1:3", network, pictures)
    sampled = record.sample("SE_2_1")
    assert sampled is not None
    gates = sampled.gates[:, 3].astype(np.float64)
    np.testing.assert_allclose([i.gate for i in view.largest], sorted(gates)[::-1][:8], atol=1e-3)
    assert view.where == "all 60 images of pictures0"
    assert all(i.name.endswith(".png") for i in (*view.largest, *view.smallest))
    assert view.around is not None
    weight = tiny.model.state_dict()["layer1.1.conv1.weight"].double()
    np.testing.assert_allclose(view.around.norm[3], weight[:, 3].norm(), rtol=1e-9)
    for how in ("mean", "zero"):
        effect = view.effect(how)
        assert effect is not None
        assert effect.images == 60


def test_from_a_record_alone_the_mean_gate_ranks(record: seviz.Record, tmp_path: Path) -> None:
    ranking = rank_channels(record)
    assert ranking.by == "mean gate"
    for name, rows in ranking.blocks.items():
        mean = record.stats(name).sum.sum(0) / 364
        assert [r.channel for r in rows] == np.argsort(mean, kind="stable").tolist()
        assert all(r.norm is None and r.effect is None for r in rows)
    columns = [c.key for c in ranking_table(ranking, every=False).columns]
    assert "norm" not in columns
    assert "delta" not in columns
    lines = write_channels_csv(ranking, tmp_path / "c.csv").read_text().splitlines()
    assert lines[0].startswith(
        "block,rank,channel,importance,mean,spread,class_share,low,high,norm"
    )
    assert len(lines) == 1 + sum(b.channels for b in record.blocks)


def test_tables_and_what_is_refused(record: seviz.Record, tiny: Tiny, refuses: Refuses) -> None:
    view = view_channel(record, "SE_4_2:29")
    assert list(tables_of(view)) == ["channel_classes", "channel_images", "channel_companions"]
    assert "| 6 " in render(tables_of(view)["channel_classes"], "markdown")
    assert "SE_4_2:29" in view._repr_html_()
    assert "channels" in tables_of(rank_channels(record))
    with refuses(DataError, "with other weights"):
        seviz.channels(record, tiny.path)
    with refuses(UsageError, "no network"):
        seviz.channels(record, ablate="mean")
    with refuses(UsageError, "found 'one'"):
        seviz.channels(record, ablate="one")  # type: ignore[arg-type]
    with refuses(DataError, "found batches"):
        seviz.channel(record, "SE_4_2:29", data=[torch.zeros(1)])


# -------------------------------------------------------------------------------------------------
# Images that share a gate


@pytest.mark.parametrize(
    ("gates", "most", "listed", "shared"),
    [
        ([0.1, 1, 1, 1, 0.5, 1], 3, [], (4, 1.0)),  # more than are listed: none is special
        ([0.1, 1, 1, 0.7, 0.5, 0.2], 3, [1, 2, 3], None),  # all of them are listed
        ([0.1, 0.9, 0.7, 0.7, 0.7, 1.0], 3, [5, 1], (3, 0.7)),  # those that are further stay
        ([1, 1, 1], 3, [0, 1, 2], None),
        ([0.5, 0.2], 3, [0, 1], None),
        ([1 - 6e-8, 1, 1 - 1.2e-7, 1, 0.2], 3, [], (4, 1.0)),  # the last bits of a float32
    ],
)
def test_images_that_share_a_gate_are_not_told_apart(
    gates: list[float], most: int, listed: list[int], shared: tuple[int, float] | None
) -> None:
    values, order = np.array(gates), np.arange(len(gates))
    found = extremes(values, order, most, largest=True)
    turned = extremes(-values, order, most, largest=False)
    assert found[0] == turned[0] == listed
    for one, sign in ((found[1], 1), (turned[1], -1)):
        assert (one is None) == (shared is None)
        if one is not None and shared is not None:
            assert (one.images, sign * one.gate) == (shared[0], pytest.approx(shared[1], abs=1e-5))


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_batches_find_the_same_as_all_images_at_once(size: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        gates = rng.choice(np.linspace(0, 1, int(rng.integers(2, 40))), 100).astype(np.float32)
        ends = _Extremes(("SE_2_1", 0), 8)
        for begin in range(0, 100, size):
            part = torch.from_numpy(gates[begin : begin + size])
            indices = torch.arange(begin, begin + len(part))
            ends.look(indices, {"SE_2_1": part[:, None]}, torch.zeros(len(part), dtype=torch.long))
        for largest in (True, False):
            places, shared = extremes(gates.astype(np.float64), np.arange(100), 8, largest=largest)
            end = ends._ends[largest]
            assert [index for index, _, _ in end.alone] == places
            assert ends.shared(largest=largest) == shared


def test_a_saturated_channel_has_no_images_that_open_it_most(record: seviz.Record) -> None:
    key = next(k for k in record.arrays if k.startswith("sample/") and k.endswith("SE_3_1"))
    gates = record.arrays[key].copy()
    gates[:, 5] = np.where(np.arange(len(gates)) < 300, 1.0, gates[:, 5] * 0.5)
    view = view_channel(replace(record, arrays={**record.arrays, key: gates}), "SE_3_1:5")
    assert view.largest == ()
    assert view.largest_shared is not None
    assert view.largest_shared.images == 300
    assert len(view.smallest) == 8
    where = "a random sample of 364 of the 364 images"
    said = f"300 images of {where} share the gate 1.000, and are not listed among the largest"
    assert f"{said}." in describe_channel(view)
    table = channel_images_table(view)
    assert f"{said}." in table.notes
    assert {row["end"] for row in table.records()} == {"smallest"}


def test_a_shortcut_that_passes_the_map_on_is_said(record: seviz.Record) -> None:
    """In a residual network the next block reads the map, and so does its shortcut; the last has none."""
    network = seviz.load(seviz.sample("se_resnet_digits"))
    ranking = seviz.channels(record, network)
    (note,) = [n for n in ranking.notes if "through a shortcut" in n]
    assert "SE_4_2" not in note  # the classifier alone reads it
    named = note.rpartition("(")[2].rstrip(")").split(", ")
    first = seviz.channel(record, f"{named[0]}:0", network)
    assert any("through a shortcut" in said for said in describe_channel(first))
    last = seviz.channel(record, "SE_4_2:0", network)
    assert not any("through a shortcut" in said for said in describe_channel(last))
