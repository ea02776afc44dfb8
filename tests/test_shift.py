"""Gates in other worlds: passes, pairs, verdicts, the command line, and what is drawn."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, Run
from dialects import DIALECTS, Dialect
from scipy import stats
from synthetic import record_of_gates

import seviz
from seviz.analysis.drift import Exchange, drift
from seviz.analysis.proportions import paired_difference
from seviz.analysis.shift import Shift, shift_of
from seviz.collect.prepare import prepare
from seviz.collect.shift import shifted_worlds
from seviz.data.sources import open_source
from seviz.errors import DataError, UsageError
from seviz.figures import shift_figure
from seviz.gates.features import Features
from seviz.results.record import Record
from seviz.results.shift import World
from seviz.tables import render, tables_of

BLOCKS = ("SE_2_1", "SE_3_1", "SE_4_1")
DIGITS = seviz.sample("se_resnet_digits")


def world(name: str, gates: dict[str, Any], **more: Any) -> World:
    images = len(next(iter(gates.values())))
    labels = np.zeros(images, np.int64)
    return World(
        name,
        record_of_gates(list(gates.values()), labels, ["all"], indices=np.arange(images)),
        **more,
    )


def halves(seed: int, images: int = 40) -> tuple[World, World]:
    """Return two worlds that are random halves of one."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(images, 2))
    gates = {b: 1 / (1 + np.exp(-causes @ rng.normal(size=(2, 8)))) for b in BLOCKS}
    order = rng.permutation(images)
    return tuple(  # type: ignore[return-value]
        world(name, {b: g[own] for b, g in gates.items()})
        for name, own in (("one", order[::2]), ("other", order[1::2]))
    )


def test_a_half_has_not_moved_from_the_other() -> None:
    """Of 200 networks without drift, at most 5 in 100 have a block that is said to drift.

    More than 17 alarms would come up once in 100 such tests at a true rate of 5 %.
    """
    alarms = sum(bool(shift_of(a, [b]).worlds[0].significant) for a, b in map(halves, range(200)))
    assert alarms <= 17


def moved(amount: dict[str, float], seed: int = 0, images: int = 60) -> tuple[World, World]:
    rng = np.random.default_rng(seed)
    gates = {b: rng.uniform(0.3, 0.7, (images, 8)) for b in BLOCKS}
    after = {b: g + amount.get(b, 0) + 0.05 * rng.normal(size=g.shape) for b, g in gates.items()}
    return world("clean", gates), world("blur 3", after, corruption="blur", severity=3)


def test_the_first_block_is_said_where_the_tests_say_it() -> None:
    clean, other = moved({"SE_3_1": 0.1, "SE_4_1": 0.3})
    found = shift_of(clean, [other])
    assert [b.block for b in found.worlds[0].significant] == ["SE_3_1", "SE_4_1"]
    assert str(found.first[0]) == "blur: SE_3_1 is the first block whose gates drift at severity 3"
    order = np.argsort(clean.record.arrays["sample/index"])
    for block in found.blocks:
        a, b = (w.record.sample(block.block).gates[order] for w in (clean, other))  # type: ignore[union-attr]
        assert block.drift == drift(a, b, Exchange(60, 60, paired=True, tests=3))
    # Of two severities the smaller one, and p-values for both together.
    weaker = replace(moved({"SE_4_1": 0.1})[1], name="blur 1", severity=1)
    both = shift_of(clean, [other, weaker])
    assert [w.name for w in both.worlds] == ["blur 1", "blur 3"]
    assert (both.first[0].block, both.first[0].severity) == ("SE_4_1", 1)
    assert both.worlds[0].blocks[2].p_adjusted == pytest.approx(6 * 0.001)


def test_what_cannot_be_said() -> None:
    clean, same = moved({})
    still = replace(same, record=clean.record)
    found = shift_of(clean, [still])
    assert [(b.drift.value, b.p_adjusted) for b in found.blocks] == [(0.0, 1.0)] * 3
    assert str(found.first[0]).endswith("cannot be said (60 images; no drift beyond chance)")
    # A drift too small for so few images is seen with about as many as are said to be needed.
    clean, other = moved({"SE_4_1": 0.012}, images=12)
    few = shift_of(clean, [other]).first[0]
    assert few.block is None
    assert few.needed is not None
    assert f"12 images; needs about {few.needed:,}" in str(few)
    clean, other = moved({"SE_4_1": 0.012}, images=4 * few.needed)
    assert shift_of(clean, [other]).first[0].block == "SE_4_1"


def test_other_networks_and_too_few_images(refuses: Refuses) -> None:
    clean, other = moved({})
    header = replace(other.record.header, checkpoint_sha256="other")
    with refuses(DataError, "different networks"):
        shift_of(clean, [replace(other, record=replace(other.record, header=header))])
    unsampled = {k: v for k, v in clean.record.arrays.items() if not k.startswith("sample/")}
    with refuses(DataError, "single images"):
        shift_of(clean, [replace(other, record=replace(other.record, arrays=unsampled))])
    with refuses(DataError, "at least 2"):
        shift_of(clean, [moved({}, images=1)[1]])
    with refuses(UsageError):
        shift_of(clean, [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture(scope="module")
def found(folder: Path) -> Shift:
    return seviz.shift(DIGITS, "digits", corrupt=["noise", "jpeg"], severity=[5, 0], folder=folder)


@pytest.mark.nightly
def test_the_sample_network(found: Shift, folder: Path) -> None:
    assert [w.name for w in found.worlds] == [f"{c} {s}" for c in ("noise", "jpeg") for s in (0, 5)]
    assert found.images == 364
    for kind in found.kinds:
        same, worst = found.of(kind)
        # Images as they are: the very same gates and answers.
        assert all(b.drift.value == 0 and b.p_adjusted == 1 for b in same.blocks)
        assert (same.changed.count, same.change.delta) == (0, 0)  # type: ignore[union-attr]
        assert len(worst.significant) == 6
    # Against the records themselves.
    clean, worst = Record.load(folder / "clean"), Record.load(folder / "noise_5")
    assert (clean.arrays["sample/index"] == worst.arrays["sample/index"]).all()
    for block in found.of("noise")[1].blocks:
        a, b = (np.asarray(r.sample(block.block).gates, float) for r in (clean, worst))  # type: ignore[union-attr]
        within = (a.var(axis=0) + b.var(axis=0)) * 364 / 726
        square = ((b.mean(axis=0) - a.mean(axis=0)) ** 2 / within)[within > 0].mean()
        assert block.drift.value < square < block.drift.value + 0.05
    # Top-1, image by image, from the tables beside them.
    tables = [seviz.read_predictions(folder / n / "predictions.csv") for n in ("clean", "noise_5")]
    right = [t.true == t.predicted for t in tables]
    assert found.of("noise")[1].change == paired_difference(*right)
    assert found.of("noise")[1].top1.value == right[1].mean()  # type: ignore[union-attr]
    assert found.of("noise")[1].answers.p_value < 0.05  # type: ignore[union-attr]


def test_features_are_what_the_last_layer_reads(found: Shift, folder: Path) -> None:
    """By a hook of our own on the last layer; drift from NumPy alone."""
    network = seviz.load(DIGITS)
    seen: list[Any] = []
    handle = network.model.fc.register_forward_pre_hook(lambda m, args: seen.append(args[0]))  # type: ignore
    ready = prepare(network, open_source("digits"), seviz.PassOptions())
    for batch in ready.batches():
        with torch.no_grad():
            network.model(batch.images)
    handle.remove()
    truth = torch.cat(seen).numpy()
    with np.load(folder / "clean" / "features.npz") as kept:
        assert kept["index"].tolist() == list(range(364))
        np.testing.assert_allclose(kept["values"], truth, rtol=1e-5, atol=1e-6)
    for kind in found.kinds:
        same, worst = found.of(kind)
        assert same.features is not None
        assert worst.features is not None
        assert (same.features.drift.value, same.features.p_adjusted) == (0.0, 1.0)
        assert worst.features.significant
        with np.load(folder / f"{kind}_5" / "features.npz") as file:
            after = file["values"].astype(float)
        within = (truth.var(axis=0) + after.var(axis=0)) * 364 / 726
        square = ((after.mean(axis=0) - truth.mean(axis=0)) ** 2 / within)[within > 0].mean()
        assert worst.features.drift.value < square < worst.features.drift.value + 0.05
        assert worst.features.channels == truth.shape[1]


@pytest.mark.parametrize("dialect", DIALECTS[::29], ids=lambda d: d.name)
def test_the_last_layer_of_any_network(dialect: Dialect) -> None:
    model, images = dialect.build(), dialect.example(3, seed=1)
    seen: list[Any] = []
    (head,) = (m for name, m in model.named_modules() if name.split(".")[-1] == "head")
    handle = head.register_forward_pre_hook(lambda m, args: seen.append(args[0].clone()))
    with torch.no_grad():
        model(images)
    handle.remove()
    assert torch.equal(Features(model, images)(images), seen[0].flatten(1))


@pytest.mark.nightly
def test_a_twin_is_compared_image_by_image(folder: Path, found: Shift, refuses: Refuses) -> None:
    """Of a network beside itself nothing differs; beside another one each image counts."""
    asked: dict[str, Any] = {"corrupt": ["noise"], "severity": [5]}
    few = seviz.PassOptions(num_samples=4)
    own = folder / "itself"
    itself = seviz.shift(DIGITS, "digits", **asked, options=few, folder=own, twin=DIGITS)
    assert itself.twin is not None
    (world,) = itself.twin.worlds
    assert world.paired
    assert world.more is not None
    assert (world.more.value, world.change) == (0.0, world.twin_change)
    assert world.more.low < 0 < world.more.high  # type: ignore[operator]
    assert world.features == world.twin_features
    assert (own / "twin" / "clean" / "features.npz").is_file()
    ungated = seviz.load(DIGITS)
    with torch.no_grad():  # without what its gates know
        for block in seviz.find(ungated.model, (1, 32, 32)).blocks:
            for parameter in ungated.model.get_submodule(block.path).parameters():
                parameter.zero_()
    ungated = replace(ungated, name="flat", sha256="0" * 64)
    asked["options"] = seviz.PassOptions(num_samples=10)
    both = seviz.shift(DIGITS, "digits", **asked, twin=ungated)
    assert both.twin is not None
    (world,) = both.twin.worlds
    tables = [
        [w.predictions for w in shifted_worlds(n, "digits", **asked)] for n in (DIGITS, ungated)
    ]
    change = [
        np.subtract(*(np.equal(t.true, t.predicted).astype(float) for t in reversed(own)))  # type: ignore[union-attr]
        for own in tables
    ]
    apart = change[0] - change[1]
    assert world.more is not None
    assert world.more.value == pytest.approx(apart.mean())
    low, high = stats.t.interval(0.95, 99, apart.mean(), apart.std(ddof=1) / 10)
    assert (world.more.low, world.more.high) == pytest.approx((low, high), abs=0.01)
    assert "shift_twin" in tables_of(both)
    assert all(render(tables_of(both)["shift_twin"], kind) for kind in ("text", "latex", "html"))
    with refuses(UsageError, "twin"):
        seviz.shift(folder / "clean", against=folder / "noise_5", twin=DIGITS)


@pytest.mark.nightly
def test_nothing_is_passed_twice(
    found: Shift, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    import seviz.collect.run as passes

    real = passes.execute
    monkeypatch.setattr(
        passes, "execute", lambda ready, **k: made.append(ready.source.name) or real(ready, **k)
    )
    asked: dict[str, Any] = {"corrupt": ["noise", "jpeg"], "severity": [0, 5], "folder": folder}
    again = seviz.shift(DIGITS, "digits", **asked)
    assert made == []
    assert again.worlds == found.worlds
    # Features of another pass do not serve, either.
    damaged = folder / "noise_5" / "features.npz"
    damaged.write_bytes((folder / "jpeg_5" / "features.npz").read_bytes()[:-40])
    assert seviz.shift(DIGITS, "digits", **asked).worlds == found.worlds
    # Without its answers, or with those of another pass, a record does not serve.
    kept = folder / "noise_5" / "predictions.csv"
    kept.write_bytes((folder / "jpeg_5" / "predictions.csv").read_bytes())
    assert seviz.shift(DIGITS, "digits", **asked).worlds == found.worlds
    assert made == ["digits with noise 5"]


def test_against_other_images(folder: Path, found: Shift, refuses: Refuses) -> None:
    worlds = shifted_worlds(DIGITS, "digits", against="digits", against_split="train")
    other = shift_of(worlds[0], worlds[1:])
    assert other.worlds[0].name == "digits train"
    assert not other.worlds[0].paired
    assert (other.images, other.worlds[0].images) == (364, 1433)
    change = other.worlds[0].change
    assert change is not None
    assert change.delta > 0  # it was trained on these
    # From records alone: the same pass, without networks.
    clean, worse = folder / "clean", folder / "noise_5"
    seen = seviz.shift(clean, against=worse)
    assert len(seen.worlds[0].significant) == 6
    assert seen.worlds[0].answers is not None
    unlabelled = seviz.shift(
        seviz.load(DIGITS), open_source("digits"), against=np.zeros((2, 1, 8, 8), np.float32)
    )
    assert unlabelled.worlds[0].top1 is None
    assert "in another way" in unlabelled.notes[0]
    table = tables_of(unlabelled)["shift_worlds"]
    assert table.records()[0]["change"] is None
    assert "top-1" not in render(table, "text")
    with refuses(UsageError, "another record"):
        seviz.shift(clean, "digits", against=worse)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"against": "digits", "corrupt": ["blur"]},
        {"against": "digits", "severity": [1]},
        {"corrupt": ["fog"]},
        {"corrupt": ["blur"], "severity": [9]},
    ],
)
def test_what_is_no_question(asked: dict[str, Any], refuses: Refuses) -> None:
    with refuses(UsageError):
        seviz.shift("no such file", "digits", **asked)


def test_batches_are_not_corrupted(refuses: Refuses) -> None:
    with refuses(UsageError, "batches"):
        seviz.shift(DIGITS, np.zeros((4, 1, 8, 8), np.float32), corrupt=["blur"])


def test_tables_and_figure(found: Shift) -> None:
    tables = tables_of(found)
    assert list(tables) == ["shift_worlds", "shift_blocks", "shift"]
    assert len(tables["shift"]) == 28  # six blocks and the features
    for table in tables.values():
        assert all(render(table, kind) for kind in ("text", "latex", "html"))  # type: ignore[arg-type]
    figure = shift_figure(found)
    assert [p.get_title("left") for p in figure.axes] == ["noise", "jpeg"]
    for panel, kind in zip(figure.axes, found.kinds, strict=True):
        drawn = [line for line in panel.lines if line.get_linewidth() == 1.1]
        assert panel.get_xticklabels()[-1].get_text() == "features"
        for line, own in zip(drawn, found.of(kind), strict=True):
            assert np.allclose(line.get_ydata(), [b.drift.value for b in own.blocks], atol=1e-3)


@pytest.mark.usefixtures("elsewhere")
def test_the_command(run: Run) -> None:
    words = ("shift", DIGITS, "--data", "digits", "--corrupt", "blur", "--severity", "1")
    said = run(*words, "--num-samples", "4", "-o", "out", "--json")
    assert said.code == 0, said.err
    shown = json.loads(said.out)
    assert shown["worlds"][0]["name"] == "blur 1"
    assert shown["first"][0]["said"].startswith("blur: SE_2_1 is the first")
    assert len(shown["blocks"]) == 6
    assert [f["block"] for f in shown["features"]] == ["features"]
    assert all(Path(f).is_file() for f in (*shown["figures"], *shown["csv"]))
    rows = list(csv.DictReader(Path("out/shift.csv").read_text().splitlines()))
    measured = [*shown["blocks"], *shown["features"]]
    assert [float(r["drift"]) for r in rows] == pytest.approx([b["drift"] for b in measured])
    said = run(*words, "--num-samples", "4", "-o", "out", "--twin", DIGITS, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["twin"][0]["more"] == 0
    assert Path("out/shift_twin.csv").is_file()
    records = ("out/shift/clean", "--against", "out/shift/blur_1", "-o", "two", "--format", "svg")
    said = run("shift", *records)
    assert said.code == 0, said.err
    assert "SE_2_1" in said.out


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ((DIGITS, "--corrupt", "blur"), 2, "--data"),
        ((DIGITS, "--data", "digits"), 2, "neither"),
        ((DIGITS, "--data", "digits", "--corrupt", "fog"), 2, "fog"),
        ((DIGITS, "--data", "digits", "--corrupt", "blur", "--severity", "6"), 2, "found 6"),
        (("none.pt", "--data", "digits", "--corrupt", "blur"), 3, "found nothing"),
        ((DIGITS, "--data", "none", "--corrupt", "blur"), 4, "none"),
    ],
)
def test_what_cannot_be_asked(run: Run, words: tuple[str, ...], code: int, part: str) -> None:
    said = run("shift", *words)
    assert said.code == code
    assert part in said.err


@pytest.mark.usefixtures("elsewhere")
def test_an_interrupted_pass(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seviz.collect.run.execute", stop)
    said = run("shift", DIGITS, "--data", "digits", "--corrupt", "blur")
    assert said.code == 130
    assert "interrupted" in said.err
