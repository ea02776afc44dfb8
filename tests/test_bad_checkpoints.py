"""Files that are no usable checkpoint: one line, the right exit code, nothing run and nothing written."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_checkpoints import CASES
from bad_checkpoints.cases import CLASSES, Case, state
from bad_checkpoints.traps import MARK, TRAPS, Call, built_trap, traps
from bad_checkpoints.weights import spoiled
from conftest import Run, Said, sampled

import seviz
from seviz.errors import one_line

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*legacy:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*[Ss]parse CSR:UserWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
]
# -------------------------------------------------------------------------------------------------


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Run in an empty folder beside the one of the files."""
    for name in ("SEVIZ_DEBUG", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "files").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def there(root: Path) -> set[str]:
    found = {str(p.relative_to(root)) for p in root.rglob("*")}
    return {name for name in found if "__pycache__" not in name}


def check_said(said: Said, one: Case) -> None:
    assert said.code == one.code, said.err
    assert "Traceback" not in said.err
    *remarks, line = said.err.split("\n")[:-1]
    assert line.startswith("seviz: ")
    assert line.isprintable()
    assert len(line) <= 1600
    assert not any(r.startswith("seviz: ") for r in remarks)
    assert len(remarks) <= 10
    assert all(len(r) <= 1600 and r.isprintable() for r in remarks)
    expected, found = line.index("expected "), line.index(", found ")
    assert expected < found
    assert "; " in line[found:] or "found none" in line
    for part in one.parts:
        assert part in line
    assert "bug" not in line


@pytest.mark.parametrize("name", sampled(CASES, 4))
def test_bad_input(run: Run, monkeypatch: pytest.MonkeyPatch, here: Path, name: str) -> None:
    one = CASES[name]
    file = here / "files" / one.file
    one.make(file)
    for variable, value in one.environment.items():
        monkeypatch.setenv(variable, value)
    before = there(here)
    spec = one.file if one.file.startswith("timm:") or one.file.startswith("torchvision:") else file
    words = [w.replace("{folder}", str(here / "files")) for w in one.words]
    if one.command != "inspect" and "--data" not in words:
        words += ["--data", "digits"]

    said = run(one.command, spec, *words)
    check_said(said, one)
    assert said.out == ""

    if one.detailed:
        said = run(one.command, spec, *words, "--json")
        check_said(said, one)
        document = json.loads(said.out)
        assert document["exit_code"] == one.code
        assert said.err == one_line(f"seviz: {document['error']}") + "\n"
        assert all(isinstance(names, list) and names for names in document["details"].values())
    assert there(here) == before
    assert not (here / "files" / MARK).exists()


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", TRAPS)
def test_the_traps_work(tmp_path: Path, name: str) -> None:
    """Unpickled without care, each leaves its mark."""
    made = pickle.loads(pickle.dumps(traps(tmp_path)[name], 2))
    if isinstance(made, subprocess.Popen):
        made.wait()
    elif isinstance(made, io.IOBase):
        made.close()
    assert (tmp_path / MARK).exists()


def test_the_trap_of_two_states_works(tmp_path: Path) -> None:
    pickle.loads(built_trap(tmp_path))
    assert (tmp_path / MARK).exists()


def test_weights_that_are_not_finite_load_when_asked_for(run: Run, here: Path) -> None:
    torch.save(spoiled(float("nan"), float("inf")), "x.pt")
    said = run("inspect", "x.pt", "--allow-nan")
    assert said.code == 0
    assert "note: NaN or infinity in 2 of " in said.err
    assert "layer1.0.conv1.weight (1), fc.bias (1)" in said.err


def test_two_complete_copies(run: Run, here: Path) -> None:
    copies = {f"{p}.{name}": t for p in ("first", "second") for name, t in state().items()}
    torch.save(copies, "x.pt")
    said = run("inspect", "x.pt")
    assert said.code == 0
    assert "those under first were taken, not those under second" in said.err


def test_a_compressed_archive(run: Run, here: Path) -> None:
    """PyTorch maps the compressed bytes into memory and takes them for the weights."""
    torch.save(state(), "x.pt")
    with zipfile.ZipFile("x.pt") as old, zipfile.ZipFile("y.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    mapped = torch.load("y.pt", weights_only=True, mmap=True)
    assert any(not torch.equal(mapped[name], tensor) for name, tensor in state().items())
    loaded = seviz.load("y.pt").model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state().items())


def test_weights_of_nothing_but_excitations(run: Run, here: Path) -> None:
    torch.save({"se.fc1.weight": torch.ones(2, 8), "se.fc2.weight": torch.ones(8, 2)}, "x.pt")
    said = run("inspect", "x.pt")
    assert said.code == 0
    assert "1 excitation, 32 parameters\n" in said.out


def test_names_that_would_write_to_the_terminal(run: Run, here: Path) -> None:
    bad = "\x1b[2Jse\n"
    weights = {f"{bad}.fc1.weight": torch.ones(2, 8), f"{bad}.fc2.weight": torch.ones(8, 2)}
    torch.save({**weights, "conv.weight": torch.ones(8, 3, 3, 3)}, "x.pt")
    said = run("inspect", "x.pt")
    assert said.code == 0
    assert r"\x1b[2Jse\n" in said.out
    assert "\x1b" not in said.out + said.err


class Kind:
    """Pickles as a type of NumPy's whose state says that eight bytes of the file are an address."""

    def __reduce__(self) -> Any:
        inner = Call(np.dtype, "O8", False, True)
        fields = (3, "|", None, ("a",), {"a": (inner, 0)}, 8, 1, 0)
        return np.dtype, ("V8", False, True), fields


class Addresses:
    """Pickles as an array of that type: showing it would read wherever the file says."""

    def __reduce__(self) -> Any:
        rebuild = np.zeros(1).__reduce__()[0]
        return rebuild, (np.ndarray, (0,), b"b"), (1, (1,), Kind(), False, b"AAAAAAAA")


def test_an_array_of_addresses_is_never_made(run: Run, here: Path) -> None:
    content = {"seviz_format": 1, "arch": Addresses(), "state_dict": {}}
    with zipfile.ZipFile("x.pt", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(content, 2))
        archive.writestr("x/version", "3\n")
    said = run("inspect", "x.pt")
    assert said.code == 3
    assert "expected a name under 'arch'" in said.err


def test_numbers_of_numpy_are_read(here: Path) -> None:
    """They are no weights, but class names may be among them."""
    names = [np.str_(name) for name in CLASSES]
    best = {"accuracy": np.float64(0.5), "epoch": np.int64(3), "curve": np.arange(3.0)}
    torch.save({"state_dict": state(), "classes": names, **best}, "x.pt")
    table = seviz.load("x.pt").classes
    assert table is not None
    assert table.labels == CLASSES


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read")
def test_a_file_that_may_not_be_read(run: Run, here: Path) -> None:
    torch.save(state(), "x.pt")
    Path("x.pt").chmod(0)
    said = run("inspect", "x.pt")
    assert said.code == 3
    assert "Permission denied in x.pt" in said.err
