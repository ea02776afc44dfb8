"""One pass over several processes: the same record as over one, or an error and none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from conftest import Refuses, Run, Tiny, crossed
from PIL import Image
from pretended import IMPOSSIBLE, NEEDS, pretended
from rank_processes import forked
from rank_threads import shared
from test_cli_process import environment

import seviz
from seviz.collect.distributed import Ranks, launched
from seviz.collect.execute import execute
from seviz.collect.observers import Probabilities
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.data import make_batches, match_classes, open_source
from seviz.errors import CheckpointError, DataError, DeviceError, UsageError
from seviz.results.predictions import PredictionTable
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record

forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
TORCHRUN = {
    "RANK": "1",
    "WORLD_SIZE": "3",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "1",
}
# Several commands in one launch, since starting Python is what takes long; they share one group.
SEVERAL = """
import sys
import torch.distributed
from seviz.cli import main
torch.distributed.init_process_group("gloo")
for line in open(sys.argv[1]).read().splitlines():
    try:
        code = main(line.split())
    except SystemExit as exc:
        code = exc.code
    if code:
        sys.exit(code)
"""
# A network that is killed in process 1, at its third batch, the first time.
DEADLY = """
import os, pathlib, signal, sys
import torch
import seviz.collect.resume
from seviz.networks.architectures.registry import build

seviz.collect.resume.EVERY = seviz.collect.resume.REST = 0

class Deadly(torch.nn.Sequential):
    passes = -1  # one image goes through before the pass, to learn which layers come first

    def forward(self, x):
        y = super().forward(x)  # what looks at the first layers alone ends here, and is not counted
        if not x.is_meta:
            self.passes += 1
            if self.passes == 3 and os.environ.get("DEADLY") == os.environ.get("RANK", "-"):
                os.kill(os.getpid(), signal.SIGKILL)
        return y

def make(**kwargs):
    return Deadly(build("se_resnet14", **kwargs))
"""


def torchrun(
    processes: int, *words: str, cwd: Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*launcher, "--nproc-per-node", str(processes), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**environment(), **(more or {})},
        timeout=300,
    )


def same(one: Record, other: Record) -> None:
    """All numbers, bit for bit."""
    assert set(one.arrays) == set(other.arrays)
    for name, expected in one.arrays.items():
        found = other.arrays[name]
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes(), name
    for what in ("images", "skipped", "missing", "partial", "notes", "request", "dtype"):
        assert getattr(one.header, what) == getattr(other.header, what), what
    assert one.blocks == other.blocks
    assert one.classes.to_list() == other.classes.to_list()


@pytest.fixture(scope="module")
def damaged(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the pictures, the first and the last class with files that are no images."""
    folder = tmp_path_factory.mktemp("damaged") / "damaged"
    shutil.copytree(pictures, folder)
    for name in ("ant/00a.png", "ant/00b.png", "dog/99.png"):
        (folder / name).write_text("not a picture")
    return folder


# -------------------------------------------------------------------------------------------------
# torchrun


# By day torchrun starts the job that is killed, and processes of another kind make records of one.
@pytest.mark.nightly
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_make_the_record_of_one(
    tiny: Tiny, pictures: Path, damaged: Path, tmp_path: Path, run: Run, processes: int
) -> None:
    commands = [
        f"collect {tiny.path} --data {damaged} -b 7 -o whole",
        f"collect {tiny.path} --data {damaged} -b 4 --num-samples 1 -o few",  # one batch: the others idle
        f"confusion {tiny.path} --data {pictures} -b 8 --allow-missing --format svg "
        "--predictions each.csv -o matrix",
    ]
    (tmp_path / "commands").write_text("\n".join(commands))
    (tmp_path / "several.py").write_text(SEVERAL)
    done = torchrun(processes, "several.py", "commands", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # One process speaks.
    assert done.stdout.count("record: whole/record.npz\n") == 1
    assert done.stderr.count("warning: 3 images could not be read: ant/00a.png (") == 1
    assert sorted(p.name for p in (tmp_path / "whole").iterdir()) == ["record.npz"]
    for line, folder in zip(commands, ("whole", "few", "matrix"), strict=True):
        words = [tmp_path / w if w in (folder, "each.csv") else w for w in line.split()]
        if folder == "matrix":
            shutil.move(tmp_path / "each.csv", tmp_path / "shared.csv")
        found = Record.load(shutil.move(tmp_path / folder, tmp_path / f"shared-{folder}"))
        assert run(*words).code == 0
        same(Record.load(tmp_path / folder), found)
    pandas.testing.assert_frame_equal(
        pandas.read_csv(tmp_path / "shared.csv"), pandas.read_csv(tmp_path / "each.csv")
    )
    assert len(pandas.read_csv(tmp_path / "each.csv")) == 60


@contextmanager
def on_gpu(number: int) -> Iterator[None]:
    """Pretend the GPU of this number, and say what ran on it."""
    with pretended(number) as mode:
        yield
    print(f"cuda:{number}: {mode.calls}", file=sys.stderr)


@pytest.mark.nightly
@posix
@forks
@pytest.mark.skipif(IMPOSSIBLE, reason=NEEDS)
def test_two_processes_on_two_pretended_gpus(
    tiny: Tiny, pictures: Path, tmp_path: Path, run: Run
) -> None:
    words = ["collect", str(tiny.path), "--data", str(pictures), "-b", "7", "-j", "0", "--no-fast"]
    ended = forked(2, [*words, "--device", "cuda", "-o", "shared"], tmp_path, on_gpu)
    assert [one.code for one in ended] == [0, 0], ended
    calls = [n for i, one in enumerate(ended) for n in re.findall(rf"cuda:{i}: (\d+)", one.err)]
    assert len(calls) == 2
    assert min(map(int, calls)) > 100
    assert run(*words, "--device", "cpu", "-o", tmp_path / "whole").code == 0
    one, other = (Record.load(tmp_path / name) for name in ("shared", "whole"))
    assert (one.header.device, other.header.device) == ("a pretended GPU", "cpu")
    same(one, other)


@posix
@forks
def test_a_killed_process_ends_the_job_and_the_job_resumes(
    tiny: Tiny, pictures: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({f"0.{n}": t for n, t in tiny.model.state_dict().items()}, tmp_path / "bare.pt")
    (tmp_path / "deadly.py").write_text(DEADLY)
    words = ["collect", "bare.pt", "--arch", "deadly.py:make", *tiny.words[2:]]
    words += ["--data", str(pictures), "-b", "4", "-j", "0", "-o", "out"]
    done = torchrun(2, "-m", "seviz", *words, cwd=tmp_path, more={"DEADLY": "1"})
    assert done.returncode != 0
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("seviz: ")]
    assert line.startswith("seviz: expected ")
    assert "no record is written" in line
    assert done.stdout == ""
    left = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert "record.resume.1.npz" in left
    assert not set(left) - {"record.resume.0.npz", "record.resume.1.npz"}

    ended = forked(2, [*words, "--resume"], tmp_path)
    assert [one.code for one in ended] == [0, 0], ended
    assert "resumed after " in ended[0].err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["record.npz"]
    monkeypatch.chdir(tmp_path)
    for name in ("EVERY", "REST"):  # the network sets them, in this process too
        monkeypatch.setattr(f"seviz.collect.resume.{name}", 0)
    assert run(*words[:-1], "alone").code == 0
    same(Record.load("alone"), Record.load("out"))


# -------------------------------------------------------------------------------------------------
# The same without processes: threads of which one runs at a time


def passes(tiny: Tiny, data: Path, options: PassOptions, size: int) -> list[Any]:
    """Return record and predictions of each process."""

    def make(ranks: Ranks) -> tuple[Record, list[PredictionTable]]:
        tables: list[PredictionTable] = []
        ready = prepare(seviz.load(tiny.path), str(data), options)
        return execute(ready, each=tables.append, ranks=ranks), tables

    return shared(size, make)


# By day single images by one process, the only batch by two, usual batches by five.
@pytest.mark.parametrize(
    ("options", "size"),
    crossed(
        [
            PassOptions(batch_size=1, workers=0, num_samples=3),
            PassOptions(batch_size=100, workers=0),
            PassOptions(batch_size=7, workers=0),
        ],
        [1, 2, 5],
    ),
)
def test_any_number_of_processes(
    tiny: Tiny, damaged: Path, options: PassOptions, size: int
) -> None:
    tables: list[PredictionTable] = []
    alone = execute(prepare(seviz.load(tiny.path), str(damaged), options), each=tables.append)
    made = passes(tiny, damaged, options, size)
    for record, _ in made:
        same(alone, record)
    assert [len(kept) for _, kept in made] == [1] + [0] * (size - 1)
    (table,) = made[0][1]
    assert table.paths == tables[0].paths
    for name in ("true", "predicted", "confidence", "top", "probability"):
        np.testing.assert_array_equal(getattr(table, name), getattr(tables[0], name))


@pytest.mark.parametrize("count", [0, 1, 5, 36, 37])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
def test_every_image_has_one_process(count: int, size: int, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for i in range(max(count, 1)):
        Image.new("L", (2, 2)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    source = open_source(str(tmp_path))
    match = match_classes(source.folders, source.counts, None)
    plain = Preprocessing((1, 2, 2), (0.5,), (0.5,), "nearest", 1.0)
    batches = make_batches(source, match, plain, batch_size=4, workers=0)
    batches = batches.only(range(count))
    shares = [batches.share(rank, size) for rank in range(size)]
    assert [i for share in shares for i in share] == list(range(count))
    assert all(share.start % 4 == 0 or not share for share in shares)
    steps = [-(-len(share) // 4) for share in shares]
    assert max(steps) - min(steps) <= 1
    seen = [i for share in shares for b in batches.only(share) for i in b.indices.tolist()]
    assert seen == list(range(count))


def test_an_image_that_one_process_may_not_skip(
    tiny: Tiny, pictures: Path, tmp_path: Path, refuses: Refuses
) -> None:
    shutil.copytree(pictures, tmp_path / "all")
    (tmp_path / "all/dog/99.png").write_text("not a picture")
    with refuses(DataError, "found dog/99.png: not an image"):
        passes(tiny, tmp_path / "all", PassOptions(batch_size=7, workers=0, strict=True), 2)


def test_no_image_can_be_read_by_any(
    tiny: Tiny, pictures: Path, tmp_path: Path, refuses: Refuses
) -> None:
    shutil.copytree(pictures, tmp_path / "all")
    for file in (tmp_path / "all").rglob("*.png"):
        file.write_text("not a picture")
    with refuses(DataError, "none among 60 (first: ant/00.png: not an image)"):
        passes(tiny, tmp_path / "all", PassOptions(batch_size=7, workers=0), 3)


def test_other_images_on_another_machine(
    tiny: Tiny, pictures: Path, tmp_path: Path, refuses: Refuses
) -> None:
    """A copy has other times, which is no matter; a file that is missing is."""
    options = PassOptions(batch_size=7, workers=0)
    places = [pictures, tmp_path / "copy" / pictures.name]
    shutil.copytree(pictures, places[1], copy_function=shutil.copyfile)

    def make(ranks: Ranks) -> Record:
        data = str(places[ranks.rank])
        return execute(prepare(seviz.load(tiny.path), data, options), ranks=ranks)

    alone = execute(prepare(seviz.load(tiny.path), str(pictures), options))
    same(alone, shared(2, make)[0])
    (places[1] / "cat" / "03.png").unlink()
    with refuses(DataError, "the same images in every process", "in process 1"):
        shared(2, make)


def test_outputs_of_two_kinds_are_not_added_up(refuses: Refuses) -> None:
    def make(ranks: Ranks) -> str | None:
        probabilities = Probabilities()
        values = [torch.tensor([[3.0, 1.0]]), torch.tensor([[0.25, 0.75]])]
        if ranks.rank < 2:
            probabilities(values[ranks.rank * mixed])
        probabilities.merge(ranks)
        return probabilities.kind

    mixed = 0
    assert shared(3, make) == ["logits"] * 3  # the third has no image
    mixed = 1
    with refuses(CheckpointError, "logits and probabilities"):
        shared(3, make)


# -------------------------------------------------------------------------------------------------
# What the environment says


@pytest.fixture
def second_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("seviz.cli.MANNERS", 0.0)


@pytest.mark.usefixtures("second_of_three")
def test_the_environment_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched() == Ranks(rank=1, size=3, local=1, neighbours=3)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert launched().neighbours == 2
    monkeypatch.delenv("MASTER_ADDR")  # a batch system that sets RANK is not torchrun
    assert launched() == Ranks()


@pytest.mark.usefixtures("second_of_three")
@pytest.mark.parametrize(
    "words",
    [("compare", "a.pt", "b.pt", "--data", "digits"), ("activations", "run"), ("inspect", "a.pt")],
)
def test_what_is_not_shared_is_refused(run: Run, words: tuple[str, ...]) -> None:
    said = run(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(
        "seviz: process 1 of 3: expected activations, collect, confusion, report with"
    )
    assert said.err.count("\n") == 1


def test_the_device_of_a_process(monkeypatch: pytest.MonkeyPatch, refuses: Refuses) -> None:
    ranks = Ranks(rank=5, size=8, local=1, neighbours=4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert (ranks.device("auto"), ranks.device("cpu")) == ("cpu", "cpu")
    assert Ranks().device("cuda:1") == "cuda:1"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert (ranks.device("auto"), ranks.device("cuda")) == ("cuda:1", "cuda:1")
    with refuses(UsageError, "found cuda:0"):
        ranks.device("cuda:0")
    with refuses(DeviceError, "each of 4 processes, found 2"):
        Ranks(rank=2, size=8, local=2, neighbours=4).device("auto")


def test_variables_of_another_launcher_are_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1" if "RANK" in name else "2")
    assert launched().several
    for name, wrong in (
        *(("RANK", number) for number in ("x", "", "-1", "1.5", "2", "5")),
        *(("WORLD_SIZE", "0"), ("LOCAL_RANK", "2"), ("LOCAL_WORLD_SIZE", "3")),
    ):
        with monkeypatch.context() as changed:
            changed.setenv(name, wrong)
            assert not launched().several, (name, wrong)
