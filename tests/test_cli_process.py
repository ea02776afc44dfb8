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

from seviz.results.record import Record

LIGHT = """
import sys
from seviz.cli import main
assert main(["--help"]) == 0
assert main(["--version"]) == 0
assert main(["bogus"]) == 2
heavy = {"torch", "torchvision", "timm", "numpy", "matplotlib", "pandas", "PIL", "sklearn"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
words = ["--classes", "2", "9", "--blocks", "SE_4_2", "--format", "svg", "-o", sys.argv[2]]
assert main(["activations", sys.argv[1], *words]) == 0
heavy = {"torch", "torchvision", "timm", "sklearn"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
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
            if self.passes == int(os.environ.get("HELD_IN", 0)):
                pathlib.Path("held").touch()
                while not pathlib.Path("go").exists():
                    time.sleep(0.01)
        return y

def make(**kwargs):
    return Held(build("se_resnet14", **kwargs))
"""


def environment() -> dict[str, str]:
    hidden = ("SEVIZ_DEBUG", "FORCE_COLOR", "TTY_COMPATIBLE")
    return {**{k: v for k, v in os.environ.items() if k not in hidden}, "OMP_NUM_THREADS": "1"}


def test_help_and_a_redraw_import_no_torch(digits_record: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIGHT, str(digits_record), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "activations.csv",
        "activations.svg",
        "depth.svg",
        "findings.csv",
        "selective_channels.csv",
    }


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
