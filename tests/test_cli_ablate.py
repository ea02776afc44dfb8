"""``seviz ablate``: text, files, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run, Tiny

import seviz
from seviz.results.ablation import Ablation


@pytest.fixture(autouse=True)
def _nowhere(elsewhere: Path) -> None:
    pass


@pytest.fixture(scope="module")
def digits() -> str:
    return str(seviz.sample("se_resnet_digits"))


def test_text_and_files(run: Run, digits: str, tmp_path: Path) -> None:
    said = run(
        "ablate", digits, "--data", "digits", "--with", "shuffle", "--by", "stage", "-o", "out"
    )
    assert said.code == 0, said.err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "ablation.json",
        "ablation.csv",
        "ablation.png",
        "ablation.svg",
    }
    result = Ablation.load("out")
    assert (result.by, result.gates, result.images, result.right) == ("stage", "shuffle", 364, 361)
    assert result.command.startswith("seviz ablate")
    assert "99.18% [97.61%, 99.72%] (95 % interval, Wilson)" in said.out
    for part in result.single:
        line = next(x for x in said.out.splitlines() if x.startswith(part.name))
        assert f"{result.top1_with(part):.2%}" in line
        assert f"{part.params:,}" in line
    assert "Agresti and Min" in said.out
    assert "McNemar" in said.out
    assert "p (Holm) is adjusted for all 3 tests" in " ".join(said.out.split())
    assert "note: each image gets the gates of the image before it" in said.err


def test_one_json_document(run: Run, tiny: Tiny, pictures: Path) -> None:
    words = ["ablate", tiny.path, "--data", pictures, "--format", "pdf", "--json"]
    said = run(*words)
    assert said.code == 0, said.err
    document = json.loads(said.out)
    result = Ablation.load("reports/tiny")
    assert document["schema_version"] == 1
    assert document["baseline"]["top1"] == result.top1
    assert len(document["blocks"]) == len(document["cumulative"]) == 6
    for row, part in zip(document["blocks"], result.single, strict=True):
        assert {"name", "top1", "delta", "ci_low", "ci_high", "params", "macs", "p"} <= set(row)
        assert (row["name"], row["params"], row["macs"]) == (part.name, part.params, part.macs)
        assert row["delta"] == pytest.approx(result.top1_with(part) - result.top1)
        assert row["ci_low"] <= row["delta"] <= row["ci_high"]
        assert 0 <= row["p"] <= row["p_holm"] <= 1
    assert (document["by"], document["gates"]) == ("block", "one")
    assert [Path(f).name for f in document["files"]] == [
        "ablation.json",
        "ablation.csv",
        "ablation.pdf",
    ]
    assert "no images of bee" in document["notes"]


@pytest.mark.usefixtures("no_figures")
def test_means_from_a_record(run: Run, digits: str) -> None:
    mean = ["ablate", digits, "--with", "mean", "--by", "stage", "--format", "svg"]
    first = run(*mean, "--data", "digits", "-o", "a")
    assert "(from a first pass)" in first.err
    assert run("collect", digits, "--data", "digits", "-o", "b").code == 0
    # The record in the folder of the results is taken, as is one that is named.
    for words in (["-o", "b"], ["-o", "c", "--record", "b"]):
        said = run(*mean, "--data", "digits", *words)
        assert said.code == 0
        assert "(from the record of" in said.err
        assert Ablation.load(words[1]).single == Ablation.load("a").single
    # One of other images is refused where it is named, and left alone where it happens to be there.
    other = [*mean, "--data", "digits", "--split", "train", "--num-samples", "5"]
    said = run(*other, "-o", "d", "--record", "b")
    assert (said.code, said.err.count("\n")) == (4, 3)
    assert "expected a record of the same pass, found one with another split" in said.err
    said = run(*other, "-o", "b")
    assert said.code == 0
    assert "(from a first pass)" in said.err


def test_usage(run: Run, digits: str, digits_record: Path) -> None:
    for words, part in (
        ([digits], "expected --data"),
        ([digits_record, "--data", "digits"], "which holds no network"),
        ([digits, "--data", "digits", "--record", digits_record], "--record with --with mean"),
        ([digits, "--data", "digits", "--format", "gif"], "--format"),
        ([digits, "--data", "digits", "--with", "two"], "--with"),
        ([digits, "--data", "digits", "--without-squeeze"], "without"),
    ):
        said = run("ablate", *words)
        assert said.code == 2, said.err
        assert part in said.err
        assert not said.out
    assert not Path("reports").exists()


def test_refused(run: Run, tmp_path: Path, pictures: Path) -> None:
    from seviz.networks import save_checkpoint
    from seviz.networks.architectures.registry import build

    plain = save_checkpoint(
        tmp_path / "plain.pt",
        build("resnet20"),
        arch="resnet20",
        arch_args={},
        classes=[str(i) for i in range(10)],
    )
    said = run("ablate", plain, "--data", pictures)
    assert said.code == 3
    assert "expected SE blocks in this network, found none" in said.err
    assert run("ablate", seviz.sample("se_resnet_digits"), "--data", pictures).code == 4


@pytest.mark.usefixtures("no_figures")
def test_interrupted(run: Run, digits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    from seviz.pruning.ablation import study

    plain = study.Tally.undisturbed

    def undisturbed(self, output, rows):  # type: ignore[no-untyped-def]
        signal.raise_signal(signal.SIGINT)
        return plain(self, output, rows)

    monkeypatch.setattr(study.Tally, "undisturbed", undisturbed)
    said = run("ablate", digits, "--data", "digits", "-b", "100", "-o", "out")
    assert said.code == 130
    assert "interrupted: the result is of 100 images" in said.err
    assert "100 images (partial)" in said.out
    result = Ablation.load("out")
    assert (result.partial, result.images, result.cumulative) == (True, 100, ())
