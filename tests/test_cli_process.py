"""The command line as a process: what it imports, signals, pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import Tiny

from seviz.api.sample import sample
from seviz.cli.process import for_networks, for_records
from seviz.networks import save_checkpoint
from seviz.networks.architectures.registry import build
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record

LIGHT = """
import os, sys
from seviz.cli import main
from seviz.cli.process import for_records

def check(*heavy):
    found = [name for name in heavy if name in sys.modules]
    assert not found, found

assert "OPENBLAS_NUM_THREADS" not in os.environ
for_records()
record, checkpoint, pictures, output = sys.argv[1:]
assert main(["--help"]) == 0
assert main(["--version"]) == 0
assert main(["bogus"]) == 2
check("numpy", "matplotlib", "PIL", "scipy", "torch", "pandas")
words = ["--classes", "2", "9", "--blocks", "SE_4_2", "--format", "svg", "-o", output]
assert main(["activations", record, *words]) == 0
assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
networks = ("timm", "torchvision", "sklearn", "pandas", "seaborn", "scipy.stats", "fvcore")
check("torch", "jinja2", "bokeh", *networks)
assert main(["inspect", checkpoint]) == 0
assert "OPENBLAS_NUM_THREADS" not in os.environ
check("torch._dynamo", "sympy", *networks)
words = ["--data", pictures, "--labels", "data", "-j", "0", "-o", output]
assert main(["collect", checkpoint, *words]) == 0
check("torch._dynamo", *networks)
"""
# Stays in the pass of the number that the environment says, until there is a file "go".
HELD = """
import os, pathlib, time
import torch
from seviz.networks.architectures.registry import build

class Held(torch.nn.Sequential):
    passes = -1  # one image goes through before the pass, to learn which layers come first

    def forward(self, x):
        y = super().forward(x)  # what looks at the first layers alone ends here, and is not counted
        if not x.is_meta:
            self.passes += 1
            if self.passes == int(os.environ.get("HELD_IN", -1)):
                pathlib.Path("held").touch()
                while not pathlib.Path("go").exists():
                    time.sleep(0.01)
        return y

def make(**kwargs):
    return Held(build("se_resnet14", **kwargs))
"""


def environment() -> dict[str, str]:
    hidden = ("SEVIZ_DEBUG", "FORCE_COLOR", "TTY_COMPATIBLE", "OPENBLAS_NUM_THREADS")
    return {**{k: v for k, v in os.environ.items() if k not in hidden}, "OMP_NUM_THREADS": "1"}


def test_each_command_imports_what_it_needs_alone(
    digits_record: Path, pictures: Path, tmp_path: Path
) -> None:
    words = [digits_record, sample("se_resnet_digits"), pictures, tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIGHT, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "activations.csv",
        "activations.svg",
        "depth.svg",
        "findings.csv",
        "record.npz",
        "selective_channels.csv",
    }


def test_the_surroundings_do_not_matter(tmp_path: Path) -> None:
    """A kernel's backend that is not installed, and a pipe whose encoding lacks the classes' letters."""
    (tmp_path / "p.csv").write_text("true,predicted\nčáp,čáp\nქათამი,čáp\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "seviz", "confusion", "p.csv", "-o", "out", "--format", "png"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={
            **environment(),
            "MPLBACKEND": "module://not_installed.backend_inline",
            "PYTHONIOENCODING": "cp1252",
        },
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "confusion.png").exists()
    assert b"?" in done.stdout


# Of a script whose author does not know of the guard, and of one who does.
# Its network is new, so that no batch is read but those of the pass: each pass spawns its workers.
UNGUARDED = """
import multiprocessing, sys
multiprocessing.set_start_method("spawn", force=True)
import seviz
from seviz.collect.options import PassOptions

net = seviz.load(sys.argv[1])
seviz.collect(net, sys.argv[2], PassOptions(batch_size=2, workers=1, labels="data", device="cpu"))
"""


# By day workers are spawned in a process of the tests.
@pytest.mark.nightly
@pytest.mark.parametrize("guarded", [False, True])
def test_a_script_whose_workers_are_spawned(guarded: bool, pictures: Path, tmp_path: Path) -> None:
    head, work = UNGUARDED.split("\nnet")
    guard = "\nif __name__ == '__main__':\n    net"
    body = guard + work.replace("\n", "\n    ") if guarded else "\nnet" + work
    (tmp_path / "script.py").write_text(head + body + "\n")
    size = {"widths": (4, 4, 8)}
    save_checkpoint(
        tmp_path / "new.pt",
        build("se_resnet14", num_classes=3, **size),
        arch="se_resnet14",
        arch_args=size,
        preprocessing=Preprocessing((3, 12, 12)),
    )
    done = subprocess.run(
        [sys.executable, "script.py", "new.pt", pictures],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment(),
    )
    assert (done.returncode == 0) == guarded, done.stderr
    if not guarded:
        last = done.stderr.strip().splitlines()[-1]
        assert "found one killed (by a script that does its work outside of if __name__ ==" in last
        assert "UsageError: expected the work of a script under if __name__ ==" in done.stderr


def test_threads_that_a_user_asks_for_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.set_threshold", lambda *counts: None)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    for_records()
    for_networks()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_of_a_terminal(tiny: Tiny, pictures: Path, tmp_path: Path) -> None:
    """Every process of the terminal gets the signal: this one, and its worker."""
    state = {f"0.{name}": tensor for name, tensor in tiny.model.state_dict().items()}
    torch.save(state, tmp_path / "bare.pt")
    (tmp_path / "held_net.py").write_text(HELD)
    words = ["--arch", "held_net.py:make", *tiny.words[2:], "--data", str(pictures)]
    with subprocess.Popen(
        [sys.executable, "-m", "seviz", "collect", "bare.pt", *words, "-b", "2", "-j", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**environment(), "HELD_IN": "3"},
        start_new_session=True,
    ) as process:
        try:
            wait_for(tmp_path / "held", process)
            os.killpg(process.pid, signal.SIGINT)
            (tmp_path / "go").touch()
            out, err = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    record = Record.load(tmp_path / "reports" / "bare")
    assert record.header.partial
    assert record.count.sum() == record.header.images == 6  # the third batch of two is the last
    assert "the record holds 6 images and is marked as partial" in err
    assert "(partial)" in out
    left = sorted(p.name for p in (tmp_path / "reports" / "bare").iterdir())
    assert left == ["record.npz", "record.resume.npz"]


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not file.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("lines", [1, 10_000], ids=["at-the-end", "in-the-middle"])
def test_a_reader_that_has_gone(lines: int) -> None:
    """``seviz inspect ... | true``: no error, and none at the end of the process either."""
    code = f"""
import sys
from seviz.cli import app, main
app.command(lambda: print("a line\\n" * {lines}), name="speak")
sys.exit(main(["speak"]))
"""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_exit_code_is_that_of_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seviz", "bogus"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("seviz: ")
    assert done.stderr.count("\n") == 1
