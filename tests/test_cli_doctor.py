"""``seviz doctor``: what is wrong around seviz is found, and said first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from conftest import Run
from test_cli_process import environment

import seviz
from seviz.cli import process, surroundings

pytestmark = pytest.mark.usefixtures("elsewhere")
posix = pytest.mark.skipif(os.name == "nt", reason="permissions and limits of POSIX")
GB = 1 << 30


def found(name: str) -> surroundings.Checked:
    """Return what came of one check."""
    return surroundings.guarded(name, surroundings._CHECKS[name])


def usage(free: int) -> Callable[[Any], Any]:
    return lambda path: SimpleNamespace(total=100 * GB, used=100 * GB - free, free=free)


def test_here(run: Run, elsewhere: Path) -> None:
    said = run("doctor")
    assert said.code == 0, said.out
    lines = said.out.splitlines()
    assert lines[0].startswith("ready: everything that seviz needs works here")
    assert lines[-1] == "reading gates: works"
    assert not any(line.split()[:1] == ["bfloat16"] and "FAILS" in line for line in lines)
    assert list(elsewhere.iterdir()) == []  # nothing is left where it wrote


def test_as_json(run: Run) -> None:
    said = run("doctor", "--json")
    assert (said.code, said.err) == (0, "")
    values = json.loads(said.out)
    assert values["verdict"].startswith("ready: ")
    assert {c["state"] for c in values["checks"]} <= {"ok", "note"}
    assert [c["name"] for c in values["checks"]][:3] == ["libraries", "memory", "this folder"]
    assert values["versions"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert values["versions"]["timm"] == timm.__version__
    assert values["versions"]["seviz"] == seviz.__version__
    assert "cpu" in values["devices"]
    assert values["gates_readable"] is True


def test_bad_news_come_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seviz.cli.doctor._check", lambda: False)
    monkeypatch.setenv("OMP_NUM_THREADS", "4000")
    said = run("doctor")
    assert said.code == 1
    first = said.out.splitlines()[0]
    assert first.startswith("not ready: reading gates; could be better: ")
    assert "threads" in first
    assert said.out.splitlines()[-1] == "reading gates: FAILS"


def test_a_check_that_fails_is_a_result(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr("seviz.cli.doctor._check", broken)
    said = run("doctor", "--json")
    assert said.code == 1
    (gates,) = (c for c in json.loads(said.out)["checks"] if c["name"] == "reading gates")
    assert gates["said"] == "RuntimeError: no such operator"


@posix
def test_too_little_address_space() -> None:
    """In which PyTorch aborts, or waits for ever: nothing of it is tried."""
    import resource

    limit = 1 << 30
    done = subprocess.run(
        [sys.executable, "-m", "seviz", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 1, done.stderr
    values = json.loads(done.stdout)
    assert values["verdict"].startswith("not ready: memory, reading gates")
    (memory,) = (c for c in values["checks"] if c["name"] == "memory")
    assert "found a limit of 1.0 GB; raise it with ulimit -v unlimited" in memory["said"]


@posix
def test_of_a_command_it_is_the_error(tmp_path: Path) -> None:
    import resource

    limit = 1 << 30
    done = subprocess.run(
        [
            *(sys.executable, "-m", "seviz", "collect", seviz.sample("se_resnet_digits")),
            *("--data", "digits", "-o", str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 5
    assert done.stderr.splitlines()[-1].startswith("seviz: expected at least ")
    assert "of address space for PyTorch, found a limit of 1.0 GB" in done.stderr


def test_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("libraries").state == "ok"
    monkeypatch.setattr(
        "importlib.metadata.requires", lambda name: ["notorch>=2", "x; extra == 'y'"]
    )
    checked = found("libraries")
    assert (checked.state, checked.said) == ("bad", "not installed: notorch; pip install seviz")


@posix
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_to(elsewhere: Path) -> None:
    elsewhere.chmod(0o500)
    try:
        checked = found("this folder")
    finally:
        elsewhere.chmod(0o700)
    assert (checked.state, "--output" in checked.said) == ("note", True)


def test_a_read_only_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(target: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(surroundings, "written_whole", refuse)
    checked = found("this folder")
    assert checked.state == "note"
    assert "Read-only file system" in checked.said


@pytest.mark.parametrize("name", ["this folder", "temporary folder"])
def test_a_full_disk(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(name).state == "ok"
    monkeypatch.setattr("shutil.disk_usage", usage(free=50 << 20))
    assert found(name).state == "note"


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    checked = found("temporary folder")
    assert checked.state == "note"
    assert "set TMPDIR" in checked.said


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise RuntimeError("Could not determine home directory.")

    for name in ("SEVIZ_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", none)
    checked = found("cache")
    assert checked.state == "note"
    assert "set SEVIZ_CACHE_DIR" in checked.said
    monkeypatch.setenv("SEVIZ_CACHE_DIR", "here")
    assert found("cache").state == "ok"


@pytest.mark.parametrize(
    ("encoding", "state"), [("utf-8", "ok"), ("cp1252", "note"), ("x", "note")]
)
def test_text(encoding: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", SimpleNamespace(encoding=encoding))
    assert found("text").state == state


def test_the_backend_of_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "asked_backend", "module://matplotlib_inline.backend_inline")
    assert "MPLBACKEND=module://matplotlib_inline" in found("backend").said


@pytest.mark.parametrize(
    ("text", "state"), [("", "ok"), ("1", "ok"), ("4000", "note"), ("x", "note")]
)
def test_threads(text: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert found("threads").state == state


def test_workers(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    monkeypatch.setattr(surroundings, "_SHARED", elsewhere)
    monkeypatch.setattr("shutil.disk_usage", usage(free=64 << 20))  # of a container
    assert (
        found("workers").said == "64 MB of shared memory; give -j 0, or the container --shm-size 1g"
    )
    monkeypatch.setattr("shutil.disk_usage", usage(free=GB))
    monkeypatch.setattr(surroundings, "_files", lambda: 64)
    assert "64 files may be open at once" in found("workers").said


def test_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert found("launch").said == "one process"
    monkeypatch.setenv("RANK", "x")
    assert found("launch").state == "note"
    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "2")
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "1")
    assert found("launch").said == "process 1 of 2"
