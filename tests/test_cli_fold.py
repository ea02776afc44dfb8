"""``seviz fold`` as a user calls it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run, Tiny

import seviz
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.gates import evaluating, trace
from seviz.gates.rerun import Rerun
from seviz.pruning.budget import choose_blocks
from seviz.pruning.folding import fold, mean_gates
from seviz.results.ablation import Ablation, Replaced

DIGITS = seviz.sample("se_resnet_digits")
QUICK = ("--no-export", "--pairs", 0)


def ablation(*losses: int, images: int = 1000) -> Ablation:
    """Return an ablation whose n-th cumulative step loses so many images."""
    steps = tuple(
        Replaced(f"SE_2_{n}", tuple(f"SE_2_{i}" for i in range(1, n + 1)), lost + 3, 3, 10, 10)
        for n, lost in enumerate(losses, 1)
    )
    return Ablation(
        *("x.pt", "0" * 64, "net", "data", "test"), images, images // 2, "block", "mean", 0,
        *(100, 50, 1000), single=steps[:1], cumulative=steps,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "budget", "count"),
    [
        ((1, 2, 5), 0.2, 2),
        ((1, 2, 5), 0.19, 1),
        ((1, 2, 5), 0.5, 3),
        ((1, 2, 5), 0.05, 0),
        ((-2, -1, 0), 0.0, 3),
        ((1, 9, 2), 0.3, 3),
        ((), 1.0, 0),
    ],
)
def test_choose_blocks(losses: tuple[int, ...], budget: float, count: int) -> None:
    chosen = choose_blocks(ablation(*losses), budget)
    assert chosen == tuple(f"SE_2_{n}" for n in range(1, count + 1))


def test_json_has_the_fixed_keys(run: Run, elsewhere: Path) -> None:
    said = run(
        "fold", DIGITS, "--blocks", "SE_2", "SE_4_1", "--data", "digits", "-o", "slim.pt", "--json"
    )
    assert said.code == 0
    document: dict[str, Any] = json.loads(said.out)
    assert document["output"] == "slim.pt"
    assert document["exported"] == "slim.pt2"
    assert (document["params_before"], document["params_after"]) == (180_346, 178_042)
    assert document["macs_before"] - document["macs_after"] == 2304
    blocks = [(b["name"], b["into"], b["how"], b["params"]) for b in document["blocks"]]
    assert blocks == [
        ("SE_2_1", ["layer1.0.bn2"], "norm before", 128),
        ("SE_2_2", ["layer1.1.bn2"], "norm before", 128),
        ("SE_4_1", ["layer3.0.bn2"], "norm before", 2048),
    ]
    top1 = document["top1"]
    assert top1["images"] == 364
    assert top1["before"] == pytest.approx(361 / 364)
    assert top1["after"] == pytest.approx((361 - top1["lost"] + top1["won"]) / 364)
    assert top1["ci_low"] <= top1["delta"] <= top1["ci_high"]
    assert document["latency"]["ratio_low"] <= document["latency"]["ratio"]
    assert document["difference"] < 1e-5
    assert sorted(p.name for p in elsewhere.iterdir()) == ["slim.pt", "slim.pt2"]


def test_text_and_what_can_be_done_with_the_result(run: Run, elsewhere: Path) -> None:
    said = run("fold", DIGITS, "--blocks", "SE_4", "--data", "digits", "-o", "slim.pt", *QUICK)
    assert said.code == 0
    assert "SE_4_2       2,048  norm before  layer3.1.bn2" in said.out
    assert "parameters  180,346 -> 176,250 (-4,096, -2.27%)" in said.out
    assert "wrote slim.pt" in said.out
    seen = run("inspect", "slim.pt")
    assert seen.code == 0
    assert "SE            4 blocks, 1,280 parameters" in seen.out
    assert "SE_4_1, SE_4_2 of se_resnet_digits.pt" in seen.err
    assert run("audit", "slim.pt", "-o", "audit").code == 0
    assert run("collect", "slim.pt", "--data", "digits", "-o", "run").code == 0
    twice = run("fold", "run", "--blocks", "all", "-o", "slimmer.pt", *QUICK)
    assert twice.code == 0, twice.err
    none = run("inspect", "slimmer.pt")
    assert none.code == 3
    assert "expected SE blocks in this network, found none" in none.err


def test_from_a_record(run: Run, elsewhere: Path, digits_record: Path) -> None:
    """The means are the record's; nothing is measured without images."""
    said = run("fold", digits_record, "--blocks", "SE_4_2", "-o", "a.pt", "--json", *QUICK)
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert document["top1"] is None
    assert "accuracy was not measured: --data gives it" in document["notes"]
    other = run(
        "fold", DIGITS, "--record", digits_record, "--blocks", "SE_4_2", "-o", "b.pt", *QUICK
    )
    assert other.code == 0
    network = seviz.load(DIGITS)
    means = mean_gates(seviz.Record.load(digits_record))
    expected = fold(network, ["SE_4_2"], means).loaded.model.state_dict()
    for name in ("a.pt", "b.pt"):
        held = torch.load(name, weights_only=True)["state_dict"]
        assert all(torch.equal(held[k], v) for k, v in expected.items())


def test_the_checkpoint_of_a_record(run: Run, elsewhere: Path, tiny: Tiny, pictures: Path) -> None:
    shutil.copy(tiny.path, "mine.pt")
    assert run("collect", "mine.pt", "--data", pictures, "-o", "run").code == 0
    words = ("fold", "run", "--blocks", "SE_2", "-o", "slim.pt", *QUICK)
    assert run(*words).code == 0
    Path("mine.pt").rename("run/mine.pt")
    assert run(*words).code == 0
    Path("run/mine.pt").rename("moved.pt")
    lost = run(*words)
    assert lost.code == 2
    assert "expected the checkpoint mine.pt" in lost.err
    assert "add --checkpoint PATH" in lost.err
    assert run(*words, "--checkpoint", "moved.pt").code == 0
    wrong = run(*words, "--checkpoint", DIGITS)
    assert wrong.code == 4
    assert "expected a record of se_resnet_digits.pt" in wrong.err


def test_without_names_of_classes(run: Run, elsewhere: Path, tiny: Tiny, pictures: Path) -> None:
    """Mean gates need no labels; accuracy does."""
    words = ("fold", tiny.path, "--blocks", "all", "--data", pictures, "--labels", "data")
    said = run(*words, "-o", "slim.pt", "--json", *QUICK)
    assert said.code == 0, said.err
    assert json.loads(said.out)["top1"] is None


@pytest.fixture
def fake_ablation(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Answer for `seviz.pruning.ablation.ablate`: SE_2_1 costs nothing, SE_2_2 one image, the third all."""
    calls: list[tuple[Any, ...]] = []

    def ablate(
        loaded: Any, data: Any, options: Any, *, by: str, gates: str, progress: Any
    ) -> Ablation:
        calls.append((loaded.name, data, by, gates))
        return ablation(0, 1, 364, images=364)

    module = ModuleType("seviz.pruning.ablation")
    module.ablate = ablate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "seviz.pruning.ablation", module)
    return calls


def test_budget(run: Run, elsewhere: Path, fake_ablation: list[tuple[Any, ...]]) -> None:
    words = ("fold", DIGITS, "--data", "digits", "-o", "slim.pt", "--json", *QUICK)
    said = run(*words, "--budget", 0.3)
    assert said.code == 0, said.err
    assert fake_ablation == [("se_resnet_digits.pt", "digits", "block", "mean")]
    document = json.loads(said.out)
    assert [b["name"] for b in document["blocks"]] == ["SE_2_1", "SE_2_2"]
    assert any("chosen on the images that judge them" in n for n in document["notes"])


def test_a_budget_that_cannot_be_kept(
    run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, fake_ablation: list[Any]
) -> None:
    words = ("fold", DIGITS, "--data", "digits", "-o", "slim.pt", *QUICK)
    monkeypatch.setattr("seviz.pruning.budget.choose_blocks", lambda ablation, budget: ())
    said = run(*words, "--budget", 0.1)
    assert said.code == 1
    assert "nothing written: no block can be folded for 0.1 points of top-1" in said.err
    # The ablation promises what the folded network does not keep.
    monkeypatch.setattr("seviz.pruning.budget.choose_blocks", lambda ablation, budget: ("all",))
    wrong = {
        b.name: np.zeros(b.channels) for b in seviz.find(seviz.load(DIGITS).model, (1, 8, 8)).blocks
    }
    monkeypatch.setattr("seviz.pruning.folding.folded.mean_gates", lambda record: wrong)
    said = run(*words, "--budget", 0.1)
    assert said.code == 1
    assert "nothing written: top-1 of the folded network is more than 0.1 points lower" in said.err
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--data", "digits"), 2, "expected --blocks or --budget, found neither"),
        (("--data", "digits", "--blocks", "all", "--budget", "1"), 2, "found both"),
        (("--blocks", "all"), 2, "expected --data"),
        (("--budget", "1"), 2, "expected --data with --budget"),
        (("--data", "digits", "--budget", "-1"), 2, "from 0 to 100, found -1"),
        (("--data", "digits", "--budget", "nan"), 2, "a number such as 0.5"),
        (("--data", "digits", "--blocks", "SE_9_9"), 2, "'SE_9_9'"),
        (("--data", "digits", "--blocks", "all", "--checkpoint", "x.pt"), 2, "--checkpoint with a record"),
        (("--data", "digits", "--blocks", "all", "--pairs", "-1"), 2, "--pairs"),
        (("--record", "nowhere", "--blocks", "all"), 4, "expected a record at nowhere"),
    ],
)  # fmt: skip
def test_refusals(run: Run, elsewhere: Path, words: tuple[str, ...], code: int, part: str) -> None:
    said = run("fold", DIGITS, "-o", "slim.pt", *words)
    assert said.code == code
    assert part in said.err
    assert len(said.err.splitlines()[-1:]) == 1
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("output", [None, "slim", "slim.pt2", "folder.pt"])
def test_outputs(run: Run, elsewhere: Path, output: str | None) -> None:
    Path("folder.pt").mkdir()
    words = ("-o", output) if output is not None else ()
    said = run("fold", DIGITS, "--blocks", "all", "--data", "digits", *words)
    assert said.code == 2
    assert "expected --output as" in said.err


def test_the_checkpoint_itself_is_not_overwritten(run: Run, elsewhere: Path) -> None:
    shutil.copy(DIGITS, "mine.pt")
    said = run(
        "fold", "mine.pt", "--blocks", "all", "--data", "digits", "-o", elsewhere / "mine.pt"
    )
    assert said.code == 2
    assert "found the checkpoint" in said.err
    assert Path("mine.pt").read_bytes() == DIGITS.read_bytes()


def test_shifts_are_refused(run: Run, elsewhere: Path, pictures: Path) -> None:
    notes = Path(seviz.__file__).parent.parent / "sample_checkpoints" / "senet_notes_cifar10.pt"
    if not notes.is_file():
        pytest.skip("the samples are in the source tree")
    said = run(
        "fold", notes, "--blocks", "all", "--data", pictures, "--labels", "data", "-o", "x.pt"
    )
    assert said.code == 3
    assert "whose excitation also gives a shift" in said.err


def held_and_folded(name: str, data: str) -> tuple[int, int]:
    """Return the images, and those answered otherwise by the folded network than with gates held."""
    loaded = seviz.load(seviz.sample(name))
    record = seviz.collect(loaded, data)
    folded = fold(loaded, ["all"], record).loaded.model
    means = {n: torch.from_numpy(g) for n, g in mean_gates(record).items()}
    traced = trace(loaded.model, loaded.preprocessing.input_size)
    rerun, seen, differ = None, 0, 0
    for batch in prepare(loaded, data, PassOptions(workers=0)).batches():
        rerun = rerun or Rerun(loaded.model, traced, batch.images)
        rerun.baseline(batch.images)
        held = rerun.replaced(means).argmax(1)
        with evaluating(folded), torch.no_grad():
            differ += int((folded(batch.images).argmax(1) != held).sum())
        seen += len(batch)
    return seen, differ


def test_answers_are_those_with_gates_held() -> None:
    assert held_and_folded("se_resnet_digits", "digits") == (364, 0)


@pytest.mark.skipif("SEVIZ_CIFAR10" not in os.environ, reason="needs CIFAR-10 (SEVIZ_CIFAR10)")
def test_answers_on_cifar10() -> None:
    data = f"cifar10:{os.environ['SEVIZ_CIFAR10']}"
    assert held_and_folded("se_resnet20_cifar10", data) == (10_000, 0)
