"""Whatever ends a command, and at whatever moment: the next run gives what one that was not ended gives.

The moments are the steps that change something: a file is begun, a file is about to take its place, a batch
has gone through the network.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutants
import pytest
import torch
from conftest import Tiny

import seviz.collect.observers
import seviz.collect.resume  # before the forks, not in each of them
from seviz.cli import main

posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
pytestmark = [posix, forks]
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
# What a run leaves only while it is not at its end.
_UNFINISHED = re.compile(rb"\.seviz-tmp$|record\.resume")
DATA = ("--data", "images", "-j", "0", "-b", "8")
SVG = ("--format", "svg")


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        words: What it is called with.
        output: Where its results go: a folder, or a file and its neighbours.
        resumes: Whether ``--resume`` goes on with what it kept.
    """

    words: tuple[str, ...]
    output: str
    resumes: bool = False

    def again(self) -> tuple[str, ...]:
        """Return the words of the next run."""
        return (*self.words, "--resume") if self.resumes else self.words


COMMANDS = {
    "collect": Command(("collect", "net.pt", *DATA, "-o", "out"), "out", resumes=True),
    "report": Command(("report", "net.pt", *DATA, "-o", "out"), "out", resumes=True),
    "ablate": Command(("ablate", "net.pt", *DATA, "-o", "out", "--format", "svg"), "out"),
    "fold": Command(
        ("fold", "net.pt", *DATA, "--blocks", "SE_4", "--pairs", "0", "-o", "out/slim.pt"), "out"
    ),
    "merge": Command(("merge", "part1", "part2", "-o", "out"), "out"),
}
# Those that only look at a network.
LOOKS = {
    "compare": Command(("compare", "net.pt", "other.pt", *DATA, *SVG, "-o", "out"), "out"),
    "shift": Command(
        ("shift", "net.pt", *DATA, "--corrupt", "noise", "--severity", "3", *SVG, "-o", "out"),
        "out",
    ),
    "image": Command(("image", "net.pt", "images/ant/00.png", "-o", "out"), "out"),
    "track": Command(
        ("track", "epoch_1.pt", "epoch_2.pt", "--log", "log.csv", *DATA, *SVG, "-o", "out"),
        "out",
        resumes=True,
    ),
    "activations": Command(
        ("activations", "net.pt", *DATA, *SVG, "-o", "out"), "out", resumes=True
    ),
    "confusion": Command(
        (
            "confusion",
            "net.pt",
            *DATA,
            *SVG,
            "--allow-missing",
            "--predictions",
            "out/rows.csv",
            "-o",
            "out",
        ),
        "out",
    ),
    "audit": Command(("audit", "net.pt", "-o", "out"), "out"),
    "channel": Command(("channel", "part1", "SE_2_1:3", "net.pt", *DATA, *SVG, "-o", "out"), "out"),
    "channels": Command(("channels", "part1", "net.pt", "-o", "out"), "out"),
    "swap": Command(("swap", "net.pt", *DATA, "--pairs", "8", *SVG, "-o", "out"), "out"),
}
EVERY = {**COMMANDS, **LOOKS}


class Moments:
    """Counts the steps of a process that change something, and ends it at one of them.

    Args:
        file: Where the number of steps is written.
        at: The step at which the signal is sent; never by default.
        number: The signal.
    """

    def __init__(self, file: Path, at: int | None, number: int) -> None:
        self._file, self._at, self._number, self._count = file, at, number, 0

    def step(self) -> None:
        """Count one."""
        self._count += 1
        if self._count == self._at:
            self._file.write_text("reached")
            os.kill(os.getpid(), self._number)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Take part as an audit hook: a temporary file is begun, or moved to its place."""
        begun = event == "open" and str(args[0]).endswith(".seviz-tmp") and args[2] & os.O_CREAT
        if begun or (event == "os.rename" and str(args[0]).endswith(".seviz-tmp")):
            self.step()


def _child(words: tuple[str, ...], folder: Path, moments: Moments) -> None:
    import datetime

    class Noon(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            return datetime.datetime(2026, 1, 1, 12, tzinfo=tz)

    for number in SIGNALS[1:]:
        default = signal.default_int_handler if number == "SIGINT" else signal.SIG_DFL
        signal.signal(getattr(signal, number), default)
    for number, name in ((1, "out.txt"), (2, "err.txt")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
    os.chdir(folder)
    datetime.datetime = Noon  # type: ignore[misc]
    torch.set_num_threads(1)  # the threads of the process that was forked are not here
    seviz.collect.resume.EVERY = seviz.collect.resume.REST = 0
    observe = seviz.collect.forward._observe

    def observed(*args: Any) -> None:
        observe(*args)
        moments.step()

    seviz.collect.forward._observe = observed
    sys.addaudithook(moments.audit)
    code = main(list(words))
    moments._file.write_text(str(moments._count))
    os._exit(code)


def run(
    words: tuple[str, ...], folder: Path, *, at: int | None = None, number: int = 0
) -> tuple[int | None, int]:
    """Run a command in a process of its own; return its exit code, and the steps that it took."""
    file = folder / "steps.txt"
    moments = Moments(file, at, number)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_child, args=(words, folder, moments))
    process.start()
    process.join(300)
    assert process.exitcode is not None, "it hangs"
    text = file.read_text()
    file.unlink()
    return process.exitcode, int(text) if text.isdecimal() else 0


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def told(name: str, content: bytes) -> Any:
    """Return what a file says, but for the word that a second run has more on its command line."""
    if name.endswith((".npz", ".pt2")):
        members = mutants.members_of(content)
        return {n: c.replace(b" --resume", b"") for n, c in members.items()}
    return content.replace(b" --resume", b"")


@pytest.fixture
def place(
    tiny: Tiny, pictures: Path, tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> Path:
    shutil.copy(tiny.path, tmp_path / "net.pt")
    other = torch.load(tiny.path)
    for weights in tensors(other):
        weights.add_(0.01)
    torch.save(other, tmp_path / "other.pt")
    for epoch, file in enumerate(("net.pt", "other.pt"), 1):
        shutil.copy(tmp_path / file, tmp_path / f"epoch_{epoch}.pt")
    (tmp_path / "log.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    shutil.copytree(pictures, tmp_path / "images")
    # In this process, so that what is forked from it has all that a pass imports.
    assert main(["collect", "net.pt", *DATA, "-o", "out"]) == 0
    shutil.rmtree("out")
    capsys.readouterr()
    return tmp_path


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield every tensor of numbers in nested dictionaries."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from tensors(inner)
    elif isinstance(value, torch.Tensor) and value.is_floating_point():
        yield value


def parts(place: Path) -> None:
    for i in (1, 2):
        words = ("collect", "net.pt", *DATA, "--shard", f"{i}/2", "-o", f"part{i}")
        assert run(words, place)[0] == 0


# What each command leaves that nobody ends, and in how many steps.
_whole: dict[str, tuple[int, Mapping[str, bytes]]] = {}


def whole(name: str, place: Path) -> tuple[int, Mapping[str, bytes]]:
    """Return that of one command, which is run once."""
    if "part1" in EVERY[name].words:
        parts(place)
    if name not in _whole:
        code, steps = run(EVERY[name].words, place)
        assert code == 0, (place / "err.txt").read_text()
        left = files(place / "out")
        assert not [n for n in left if _UNFINISHED.search(n.encode())]
        shutil.rmtree(place / "out")
        _whole[name] = steps, left
    return _whole[name]


def check(name: str, number: str, at: int, place: Path) -> None:
    """End a command at one of its steps, look at what is there, run it again."""
    steps, expected = whole(name, place)
    command = EVERY[name]
    sent = getattr(signal, number)
    code, _ = run(command.words, place, at=1 + at % steps, number=sent)
    # Ctrl-C is asked for, and answered: with what there is so far.
    ended = (130, 0) if number == "SIGINT" else (-sent,)
    assert code in ended, (place / "err.txt").read_text()
    there = files(place / "out") if (place / "out").exists() else {}
    for file, content in there.items():
        if not _UNFINISHED.search(file.encode()):
            half_written(file, content)
            if (
                number != "SIGINT"
            ):  # of a pass that was ended by hand the record is marked as partial
                assert told(file, content) == told(file, expected[file]), file
    code, _ = run(command.again(), place)
    err = (place / "err.txt").read_text()
    assert code == 0, err
    after = files(place / "out")
    assert after.keys() == expected.keys()
    assert [n for n in after if told(n, after[n]) != told(n, expected[n])] == []


def half_written(name: str, content: bytes) -> None:
    """Raise unless a file is whole."""
    ends = {".json": b"}", ".html": b"</html>", ".svg": b"</svg>", ".png": b"IEND\xaeB`\x82"}
    suffix = Path(name).suffix
    if suffix in ends:
        assert content.rstrip().endswith(ends[suffix]), name
    if suffix == ".json":
        json.loads(content)
    if suffix in (".npz", ".pt", ".pt2"):
        mutants.members_of(content)
    if suffix == ".csv":
        assert content.endswith(b"\n"), name


def test_ended_in_the_middle(place: Path) -> None:
    check("collect", "SIGHUP", 5, place)


def test_ended_before_the_last_file_takes_its_place(place: Path) -> None:
    check("collect", "SIGKILL", -1, place)


@pytest.mark.nightly
@pytest.mark.parametrize("turn", range(2))
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("name", COMMANDS)
def test_ended_anywhere(name: str, number: str, turn: int, place: Path) -> None:
    check(name, number, random.Random(f"{name} {number} {turn}").randrange(1 << 30), place)


@pytest.mark.nightly
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("name", LOOKS)
def test_a_look_ended_anywhere(name: str, number: str, place: Path) -> None:
    check(name, number, random.Random(f"{name} {number}").randrange(1 << 30), place)
