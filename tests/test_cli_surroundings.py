"""What lies around a command and is none of its business: the current folder, closed streams, the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, Tiny
from test_cli_process import environment

posix = pytest.mark.skipif(os.name == "nt", reason="file descriptors of POSIX")
# Modules that are imported on the way to a network and to a figure, and one that Python looks for by itself.
SHADOWED = (
    *(
        "torch",
        "numpy",
        "timm",
        "torchvision",
        "matplotlib",
        "PIL",
        "pandas",
        "scipy",
        "yaml",
        "h5py",
    ),
    *(
        "safetensors",
        "sklearn",
        "seaborn",
        "fvcore",
        "jinja2",
        "bokeh",
        "rich",
        "cyclopts",
        "sympy",
    ),
    *("sitecustomize", "usercustomize", "backend"),
)
EVIL = "open('EVIL', 'a').write(__name__ + '\\n')\nraise SystemExit('evil')\n"
DATA = ("--data", "images", "-j", "0", "-b", "8")


@pytest.fixture
def place(tiny: Tiny, pictures: Path, elsewhere: Path) -> Path:
    shutil.copy(tiny.path, elsewhere / "net.pt")
    shutil.copytree(pictures, elsewhere / "images")
    rows = ["true,predicted", *["cat,cat"] * 5, "dog,cat", "dog,dog"]
    (elsewhere / "p.csv").write_text("\n".join(rows) + "\n")
    return elsewhere


def seviz(*words: str, cwd: Path, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seviz", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment(),
        **how,
    )


# -------------------------------------------------------------------------------------------------
# The current folder


def test_nothing_is_imported_from_the_current_folder(place: Path) -> None:
    for name in SHADOWED:
        (place / f"{name}.py").write_text(EVIL)
    (place / "matplotlibrc").write_text("backend: module://backend\ntext.usetex: True\n")
    done = seviz("activations", "net.pt", *DATA, "--classes", "ant", "cat", "-o", "out", cwd=place)
    assert (done.returncode, (place / "EVIL").exists()) == (0, False), done.stderr


def test_no_module_of_the_standard_library_is_taken_from_there(place: Path) -> None:
    """With the command: ``python -m`` looks there before seviz is asked."""
    for name in {*sys.stdlib_module_names, "seviz", *SHADOWED}:
        (place / f"{name}.py").write_text(EVIL)
    command = Path(sys.executable).with_name("seviz")
    words = (
        "confusion",
        "net.pt",
        *DATA[:2],
        "-j",
        "2",
        "--allow-missing",
        "--format",
        "svg",
        "-o",
        "out",
    )
    done = subprocess.run(
        [command, *words], capture_output=True, text=True, check=False, cwd=place, env=environment()
    )
    assert (done.returncode, (place / "EVIL").exists()) == (0, False), done.stderr


def test_the_evil_would_be_seen(place: Path) -> None:
    (place / "torch.py").write_text(EVIL)
    done = subprocess.run([sys.executable, "-c", "import torch"], cwd=place, check=False)
    assert done.returncode == 1
    assert (place / "EVIL").read_text() == "torch\n"


@pytest.mark.nightly
def test_code_that_is_asked_for_is_found_there(place: Path) -> None:
    (place / "mine.py").write_text(
        "from seviz.networks.architectures.registry import build\n"
        "def make(**how):\n    return build('se_resnet14', num_classes=4, **how)\n"
    )
    words = (
        "inspect",
        "net.pt",
        "--arch",
        "mine:make",
        "--arch-args",
        "reduction=4",
        "widths=(8,8,16)",
    )
    done = seviz(*words, cwd=place)
    assert done.returncode == 0, done.stderr


# -------------------------------------------------------------------------------------------------
# Closed streams


@posix
@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_streams(closed: tuple[int, ...], place: Path) -> None:
    """As ``>&-`` leaves them: results are written, and nothing else is in the files."""

    def close() -> None:
        for number in closed:
            os.close(number)

    words = [sys.executable, "-m", "seviz", "confusion", "p.csv", "--format", "svg", "-o", "out"]
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
    done = subprocess.run(
        words, check=False, cwd=place, env=environment(), preexec_fn=close, **pipes
    )
    assert done.returncode == 0
    assert (place / "out/confusion.svg").read_text().rstrip().endswith("</svg>")
    assert (place / "out/confusion.csv").read_text().count("\n") == 3


@posix
def test_an_error_does_not_go_to_standard_output_instead(place: Path) -> None:
    words = [sys.executable, "-m", "seviz", "confusion", "nothing.csv"]
    done = subprocess.run(
        words,
        check=False,
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.close(2),
    )
    assert (done.returncode, done.stdout) == (4, b"")


# -------------------------------------------------------------------------------------------------
# The network


# All commands that no download was asked of, on files.
OFFLINE = (
    ("inspect", "net.pt"),
    ("collect", "net.pt", *DATA, "-o", "a"),
    ("collect", "net.pt", *DATA, "--shard", "1/2", "-o", "one"),
    ("collect", "net.pt", *DATA, "--shard", "2/2", "-o", "two"),
    ("merge", "one", "two", "-o", "both"),
    ("activations", "a", "--classes", "ant", "cat", "--format", "svg", "-o", "out"),
    ("confusion", "a", "--allow-missing", "--format", "svg", "-o", "out"),
    ("audit", "net.pt", "-o", "out"),
    ("compare", "a", "both", "--format", "svg", "-o", "out"),
    ("fold", "net.pt", "--record", "a", "--blocks", "SE_4", "--no-export", "--pairs", "0", "-o", "s.pt"),
    ("ablate", "net.pt", *DATA, "--num-samples", "9", "--by", "stage", "--format", "svg", "-o", "out"),
    ("report", "a", "-o", "report"),
    ("doctor",),
)  # fmt: skip
_opened: list[list[str]] = []


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if _opened and event in ("socket.__new__", "socket.getaddrinfo", "socket.connect"):
        _opened[-1].append(f"{event} {args[1:]}")


sys.addaudithook(_watch)


@contextmanager
def sockets() -> Iterator[list[str]]:
    """Give the list of what is asked of the network, by Python."""
    _opened.append([])
    try:
        yield _opened[-1]
    finally:
        _opened.pop()


def test_a_socket_would_be_seen() -> None:
    import socket

    with sockets() as opened:
        socket.socket().close()
    assert len(opened) == 1


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_no_command_opens_a_socket(every: bool, place: Path, run: Run) -> None:
    with sockets() as opened:
        for words in OFFLINE if every else OFFLINE[:2]:
            said = run(*words)
            assert said.code == 0, (words, said.err)
    assert opened == []


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here")
def test_the_system_sees_no_connection(place: Path) -> None:
    """Libraries in C and worker processes too: strace lists every socket that is not of this machine."""
    for number, offline in enumerate(OFFLINE):
        words = [w if offline[i - 1] != "-j" else "2" for i, w in enumerate(offline)]
        trace = place / f"trace{number}.txt"
        command = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(trace)]
        done = subprocess.run(
            [*command, sys.executable, "-m", "seviz", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=place,
            env=environment(),
        )
        if "ptrace" in done.stderr:
            pytest.skip("nothing may be traced here")
        assert done.returncode == 0, (words, done.stderr)
        lines = trace.read_text().splitlines()
        assert [line for line in lines if re.search(r"AF_INET|connect\(.*AF_(?!UNIX)", line)] == []
