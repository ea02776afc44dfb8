"""A pass that was cut short goes on, and ends with the record of one that was not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from conftest import Run, Said, Tiny, at_night
from test_cli_process import HELD, environment, wait_for

import seviz
from seviz.collect.execute import execute
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.resume import Checkpointer
from seviz.networks import save_checkpoint
from seviz.networks.architectures.registry import build
from seviz.results.record import Record

posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
STATE = Path("out/record.resume.npz")
# Interrupts itself once, at the batch that a file names.
ONCE = """
import os, pathlib, signal
import torch
from seviz.networks.architectures.registry import build

class Once(torch.nn.Sequential):
    passes = -1  # one image goes through before the pass, to learn which layers come first

    def forward(self, x):
        after = pathlib.Path("after")
        y = super().forward(x)  # what looks at the first layers alone ends here, and is not counted
        if not x.is_meta:
            self.passes += 1
            if after.exists() and self.passes == int(after.read_text()):
                after.unlink()
                os.kill(os.getpid(), signal.SIGINT)
        return y

def make(**kwargs):
    return Once(build("se_resnet14", **kwargs))
"""
OFTEN = """
import sys
import seviz.collect.resume
from seviz.cli import main
seviz.collect.resume.EVERY = seviz.collect.resume.REST = 0
sys.exit(main(sys.argv[1:]))
"""

pytestmark = pytest.mark.usefixtures("elsewhere")


def identical(one: Record, other: Record) -> None:
    """To the last bit."""
    assert set(one.arrays) == set(other.arrays)
    for name, expected in one.arrays.items():
        assert other.arrays[name].tobytes() == expected.tobytes(), name
    for what in ("images", "skipped", "missing", "partial", "notes"):
        assert getattr(one.header, what) == getattr(other.header, what), what


@pytest.fixture
def images(pictures: Path, elsewhere: Path) -> Path:
    """Return the pictures with some that cannot be read, early and late."""
    folder = elsewhere / "images"
    shutil.copytree(pictures, folder)
    for name in ("ant/00a.png", "ant/10a.png", "cat/05a.png", "dog/19a.png"):
        (folder / name).write_text("not a picture")
    return folder


@pytest.fixture
def command(tiny: Tiny, images: Path, run: Run) -> Callable[..., Said]:
    """Return ``seviz collect ... -o out`` with the network that interrupts itself."""
    torch.save({f"0.{n}": t for n, t in tiny.model.state_dict().items()}, "bare.pt")
    Path("once.py").write_text(ONCE)
    arch = ["--arch", "once.py:make", *tiny.words[2:], "--data", images, "-j", "0"]

    def call(
        *words: object, name: str = "collect", after: int | None = None, batch: int = 4
    ) -> Said:
        if after is not None:
            Path("after").write_text(str(after))
        return run(name, "bare.pt", *arch, "-b", str(batch), "-o", "out", *words)

    return call


@posix
@pytest.mark.parametrize("after", [at_night(1), 7, at_night(16)])
def test_ctrl_c_and_on(command: Callable[..., Said], after: int) -> None:
    assert command().code == 0
    whole = Record.load("out")
    dict(whole.arrays)  # read before the file is replaced
    assert whole.header.images == 60
    assert len(whole.header.skipped) == 4

    said = command("--no-cache", after=after)
    assert said.code == 130
    assert Record.load("out").header.partial
    images = Record.load("out").header.images
    assert f"its state is in {STATE}; --resume goes on with it" in said.err.splitlines()
    assert sorted(p.name for p in Path("out").iterdir()) == ["record.npz", STATE.name]

    said = command("--resume")
    assert said.code == 0
    assert f"resumed after {images} images, from {STATE}" in said.err.splitlines()
    identical(whole, Record.load("out"))
    assert [p.name for p in Path("out").iterdir()] == ["record.npz"]


@posix
def test_twice_interrupted_and_other_batches(command: Callable[..., Said]) -> None:
    assert command().code == 0
    whole = Record.load("out")
    dict(whole.arrays)
    assert command("--no-cache", after=5).code == 130
    assert command("--resume", after=5).code == 130
    assert 36 <= Record.load("out").header.images <= 40
    assert command("--resume", batch=9).code == 0  # batches of another size are other sums
    record = Record.load("out")
    assert record.header.skipped == whole.header.skipped
    for name, expected in whole.arrays.items():
        if expected.dtype.kind in "iu":
            np.testing.assert_array_equal(record.arrays[name], expected)
        else:
            np.testing.assert_allclose(record.arrays[name], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.nightly
@pytest.mark.usefixtures("no_figures")
@posix
def test_predictions_of_single_images_go_on_too(command: Callable[..., Said], images: Path) -> None:
    (images / "bee").mkdir()
    shutil.copyfile(images / "ant/01.png", images / "bee/01.png")
    words = ("--labels", "sorted", "--format", "svg", "--predictions")
    assert command(*words, "whole.csv", name="confusion").code == 0
    assert command(*words, "part.csv", name="confusion", after=7).code == 130
    assert command(*words, "rest.csv", "--resume", name="confusion").code == 0
    whole, rest = pandas.read_csv("whole.csv"), pandas.read_csv("rest.csv")
    assert len(pandas.read_csv("part.csv")) < len(whole) == 61
    pandas.testing.assert_frame_equal(whole, rest, check_exact=True)
    # A pass that keeps them is another than one that does not.
    assert command(*words, "part.csv", name="confusion", after=7).code == 130
    said = command("--labels", "sorted", "--resume")
    assert said.code == 2
    assert "expected to resume with the same collected, found " in said.err


@posix
def test_sigkill(tiny: Tiny, images: Path, tmp_path: Path, run: Run) -> None:
    torch.save({f"0.{n}": t for n, t in tiny.model.state_dict().items()}, "bare.pt")
    Path("held_net.py").write_text(HELD)
    words = ["collect", "bare.pt", "--arch", "held_net.py:make", *tiny.words[2:]]
    words += ["--data", str(images), "-b", "2", "-j", "0", "-o", "out"]
    with subprocess.Popen(
        [sys.executable, "-c", OFTEN, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**environment(), "HELD_IN": "9"},
    ) as process:
        try:
            wait_for(tmp_path / "held", process)
        finally:
            process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert STATE.exists()
    assert not Path("out/record.npz").exists()
    said = run(*words, "--resume")
    assert said.code == 0
    (line,) = [x for x in said.err.splitlines() if x.startswith("resumed after ")]
    assert int(line.split()[2]) == 14  # eight batches of two, of which two could not be read
    resumed = Record.load("out")
    dict(resumed.arrays)
    assert run(*words, "--no-cache").code == 0
    identical(Record.load("out"), resumed)
    assert [p.name for p in Path("out").iterdir()] == ["record.npz"]


# -------------------------------------------------------------------------------------------------
# What does not go on


class EndsError(Exception):
    """The end of a process, in place of a signal."""


@pytest.fixture
def begun(tiny: Tiny, images: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Leave a pass after its third batch, which is kept; return the words that made it."""
    for name in ("EVERY", "REST"):
        monkeypatch.setattr(f"seviz.collect.resume.{name}", 0)
    batches = iter(range(4))

    def end(count: int) -> None:
        if next(batches) == 3:
            raise EndsError

    ready = prepare(seviz.load(tiny.path), str(images), PassOptions(batch_size=4, workers=0))
    with pytest.raises(EndsError):
        execute(ready, keeper=Checkpointer(Path("out")), progress=lambda _: nullcontext(end))
    return ["collect", tiny.path, "--data", images, "-b", "4", "-j", "0", "-o", "out"]


def other_weights(tiny: Tiny, images: Path) -> list[object]:
    torch.manual_seed(1)
    model = build("se_resnet14", num_classes=4, **tiny.arch_args)
    kept: dict[str, Any] = {"classes": tiny.classes, "preprocessing": tiny.preprocessing}
    return [
        save_checkpoint("other.pt", model, arch="se_resnet14", arch_args=tiny.arch_args, **kept)
    ]


def touched(tiny: Tiny, images: Path) -> list[object]:
    os.utime(images / "dog/03.png", ns=(1, 1))
    return [tiny.path]


def one_more(tiny: Tiny, images: Path) -> list[object]:
    shutil.copyfile(images / "dog/03.png", images / "dog/03a.png")
    return [tiny.path]


def renamed(tiny: Tiny, images: Path) -> list[object]:
    (images / "dog/03.png").rename(images / "dog/03b.png")
    return [tiny.path]


def unchanged(tiny: Tiny, images: Path) -> list[object]:
    return [tiny.path]


@pytest.mark.parametrize(
    ("change", "words", "code", "field", "values"),
    [
        (other_weights, [], 3, "checkpoint (sha256)", ()),
        at_night((touched, [], 4, "images (sha256 of names, sizes, times)", ())),
        at_night((one_more, [], 4, "images (sha256 of names, sizes, times)", ())),
        at_night((renamed, [], 4, "images (sha256 of names, sizes, times)", ())),
        at_night((unchanged, ["--crop-pct", "0.9"], 4, "preprocessing: crop_pct", ("0.9", "1.0"))),
        (
            unchanged,
            ["--mean", "0.1", "0.2", "0.3"],
            4,
            "preprocessing: mean",
            ("[0.1, 0.2, 0.3]", "[0.5, 0.5, 0.5]"),
        ),
        (unchanged, ["--amp"], 2, "dtype", ("bfloat16 autocast", "float32")),
        at_night(
            (unchanged, ["--num-samples", "20"], 4, "images (sha256 of names, sizes, times)", ())
        ),
        at_night((unchanged, ["--num-samples", "40"], 2, "--num-samples", ("40", "null"))),
        at_night((unchanged, ["--labels", "data"], 2, "--labels", ("data", "model"))),
    ],
)
def test_another_pass_is_refused(
    begun: list[object],
    run: Run,
    tiny: Tiny,
    images: Path,
    change: Callable[[Tiny, Path], list[object]],
    words: list[str],
    code: int,
    field: str,
    values: tuple[str, ...],
) -> None:
    before = STATE.read_bytes()
    (checkpoint,) = change(tiny, images)
    said = run("collect", checkpoint, *begun[2:], "--resume", *words)
    assert said.code == code
    line = said.err.splitlines()[-1]
    assert line.startswith(f"seviz: expected to resume with the same {field}, found ")
    if values:
        assert f"found {values[0]} where {STATE} has {values[1]}; start anew without" in line
    assert STATE.read_bytes() == before
    assert not Path("out/record.npz").exists()


def test_the_same_goes_on(begun: list[object], run: Run) -> None:
    said = run(*begun, "--resume")
    assert said.code == 0
    assert f"resumed after 11 images, from {STATE}" in said.err.splitlines()  # twelve, one skipped


def test_an_old_seviz_is_another_pass(
    begun: list[object], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seviz.collect.cache_key.version", lambda name: "0.0.1")
    said = run(*begun, "--resume")
    assert said.code == 2
    assert "the same version of seviz, found 0.0.1 where" in said.err


def test_a_strict_pass_does_not_go_on_over_skipped_images(begun: list[object], run: Run) -> None:
    said = run(*begun, "--resume", "--strict")
    assert said.code == 4
    assert "found ant/00a.png: not an image" in said.err


@pytest.mark.parametrize(
    "damage", [at_night(b""), at_night(b"not an archive"), None], ids=["empty", "other", "cut"]
)
def test_a_damaged_state_is_refused(begun: list[object], run: Run, damage: bytes | None) -> None:
    STATE.write_bytes(STATE.read_bytes()[:-200] if damage is None else damage)
    said = run(*begun, "--resume")
    assert said.code == 4
    assert said.err.splitlines()[-1].startswith(f"seviz: expected the state of a pass in {STATE}")
    assert run(*begun).code == 0
    assert not STATE.exists()


def test_without_resume_it_begins_anew_and_says_so(begun: list[object], run: Run) -> None:
    said = run(*begun)
    assert said.code == 0
    assert sum(STATE.name in line for line in said.err.splitlines()) == 1
    assert f"note: {STATE} holds a pass that was cut short; --resume goes on" in said.err
    assert Record.load("out").header.images == 60
    assert not STATE.exists()


def test_nothing_to_resume(run: Run, tiny: Tiny, images: Path) -> None:
    said = run("collect", tiny.path, "--data", images, "-o", "out", "--resume")
    assert said.code == 0
    assert f"nothing to resume: no {STATE}; beginning with the first image" in said.err.splitlines()
    assert Record.load("out").header.images == 60


def test_a_record_has_nothing_to_resume(run: Run, digits_record: Path) -> None:
    said = run("activations", digits_record, "--resume")
    assert said.code == 2
    assert "expected --resume with a checkpoint, found it with the record" in said.err


def test_a_full_disk_ends_the_keeping_and_not_the_pass(
    tiny: Tiny, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seviz.collect.resume.EVERY", 0)
    monkeypatch.setattr("seviz.collect.resume.write_archive", full)
    told: list[str] = []
    ready = prepare(seviz.load(tiny.path), str(images), PassOptions(batch_size=4, workers=0))
    record = execute(ready, keeper=Checkpointer(Path("out"), tell=told.append))
    assert told == ["warning: cannot keep the state of the pass: No space left on device"]
    assert record.header.images == 60
    assert not list(Path("out").iterdir())


def test_a_pass_whose_last_image_was_kept(begun: list[object], run: Run, tiny: Tiny) -> None:
    """Killed between the last batch and the record."""
    ready = prepare(seviz.load(tiny.path), str(begun[3]), PassOptions(batch_size=4, workers=0))
    whole = execute(ready, keeper=Checkpointer(Path("out")))
    assert STATE.exists()
    said = run(*begun, "--resume")
    assert said.code == 0
    assert "resumed after 60 images" in said.err
    identical(whole, Record.load("out"))
