"""What the command line can, Python can: reports, folders of results, resuming, records used again."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import Refuses, Run, Tiny
from rank_threads import shared

import seviz
from seviz.collect.distributed import Ranks
from seviz.errors import UsageError
from seviz.results.record import Record

SAMPLE = seviz.sample("se_resnet_digits")

pytestmark = pytest.mark.usefixtures("elsewhere")


def numbers(record: Record) -> dict[str, list[float]]:
    return {name: np.asarray(array).ravel().tolist() for name, array in record.arrays.items()}


@pytest.mark.nightly
@pytest.mark.usefixtures("no_pictures")  # they are in the files
def test_a_report_from_a_checkpoint(run: Run, tiny: Tiny, pictures: Path) -> None:
    results = seviz.report(tiny.path, str(pictures), "python", ["ant", "dog"], formats=["svg"])
    words = ["--data", pictures, "--classes", "ant", "dog", "--formats", "svg"]
    said = run("report", tiny.path, *words, "--json", "-o", "shell")
    assert said.code == 0
    document = json.loads(said.out)
    assert {p.name for p in Path("python").iterdir()} == {p.name for p in Path("shell").iterdir()}
    assert {p.name for p in results.written.figures} == {Path(p).name for p in document["figures"]}
    assert results.page == Path("python/report.html")
    assert numbers(results.record) == numbers(Record.load("shell"))
    for name in ("activations.csv", "confusion_classes.csv", "findings.csv", "audit.csv"):
        assert Path("python", name).read_bytes() == Path("shell", name).read_bytes()


def test_figures_and_tables_from_a_record(digits_record: Path) -> None:
    written = seviz.write_results(Record.load(digits_record), "out", ["3"], formats=("svg",))
    assert all(file.is_file() for file in written.files)
    assert {f.stem for f in written.figures} == {
        *("activations", "activations_lines", "activations_spread", "activations_ridges"),
        *("network_map", "depth", "confusion", "reliability", "gate_confusion"),
    }


def test_a_fitting_record_is_used_again(
    tiny: Tiny, pictures: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network = seviz.load(tiny.path)
    first = seviz.collect(network, str(pictures), folder="out")
    assert numbers(Record.load("out")) == numbers(first)
    passes = []
    real = seviz.collect.execute  # type: ignore[attr-defined]

    def counted(*args: object, **kwargs: object) -> Record:
        passes.append(1)
        return real.execute(*args, **kwargs)  # type: ignore[no-any-return]

    monkeypatch.setattr("seviz.collect.run.execute", counted)
    with caplog.at_level(logging.INFO, "seviz"):
        again = seviz.collect(network, str(pictures), folder="out")
    assert not passes
    assert "is used again" in caplog.text
    assert numbers(again) == numbers(first)
    told: list[str] = []
    anew = seviz.collect(network, str(pictures), folder="out", reuse=False, tell=told.append)
    assert passes == [1]
    assert not any("is used again" in text for text in told)
    assert numbers(anew) == numbers(first)


def test_resuming_needs_a_folder(tiny: Tiny, pictures: Path, refuses: Refuses) -> None:
    with refuses(UsageError, "folder", "give folder="):
        seviz.collect(seviz.load(tiny.path), str(pictures), resume=True)


def test_processes_share_a_folder(
    tiny: Tiny, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each returns the whole record, and the next time none makes a pass."""
    own = threading.local()

    @contextmanager
    def joined(device: str) -> Iterator[Ranks]:
        yield own.ranks

    monkeypatch.setattr("seviz.collect.run.joined", joined)
    whole = seviz.collect.run  # type: ignore[attr-defined]

    def work(ranks: Ranks) -> Record:
        own.ranks = ranks
        options = seviz.PassOptions(device="cpu", workers=0, batch_size=7, fast=False)
        made: Record = whole.collect(seviz.load(tiny.path), str(pictures), options, folder="out")
        return made

    first, second = shared(2, work)
    alone = Record.load("out")
    assert first.header.images == second.header.images == alone.header.images == 60
    np.testing.assert_array_equal(first.count, second.count)
    assert not list(Path("out").glob("*.resume*"))

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("a pass")

    monkeypatch.setattr("seviz.collect.run.execute", never)
    for again in shared(2, work):
        assert numbers(again) == numbers(alone)


def test_a_record_by_its_folder_and_classes_by_index(digits_record: Path) -> None:
    heat = seviz.activations(digits_record, [1, "7"], blocks=["SE_4_1"])
    assert {text.get_text() for text in heat.axes[0].get_yticklabels()} == {"1", "7"}
    figure = seviz.activations(digits_record, [1, "7"], blocks=["SE_4_1"], style="lines")
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"1", "7"} <= legend


def test_the_record_of_a_checkpoint_in_its_default_folder(run: Run, digits_record: Path) -> None:
    """The literal call of a script: a checkpoint, classes, nothing else."""
    default = Path("reports") / SAMPLE.stem
    shutil.copytree(digits_record, default)
    said = run("activations", SAMPLE, "--classes", "3", "8")
    assert said.code == 0, said.err
    assert (default / "activations.png").is_file()
    assert f"from {default / 'record.npz'}, the record of this checkpoint" in said.err
    # A record of another checkpoint is none of this one.
    other = Path("other.pt")
    shutil.copy(SAMPLE, other)
    with other.open("ab") as file:
        file.write(b"\0")
    shutil.copytree(digits_record, Path("reports") / "other")
    refused = run("activations", other, "--classes", "3", "8")
    assert refused.code == 2
    assert "expected --data" in refused.err
