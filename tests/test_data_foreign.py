"""Code of the user's own: batches by function, modules that a file needs, inputs that are no images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run

import seviz
from seviz.data.sources import open_source
from seviz.errors import DataError, UsageError

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, rank=3, channels=1):
        super().__init__()
        kinds = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
        self.conv = kinds[rank](channels, 8, 3)
        self.down, self.up, self.head = nn.Linear(8, 2), nn.Linear(2, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        gate = torch.sigmoid(self.up(torch.relu(self.down(x.flatten(2).mean(2)))))
        x = x * gate.reshape(*gate.shape, *[1] * (x.dim() - 2))
        return self.head(x.flatten(2).mean(2))

def factory(rank=3, channels=1):
    return Net(rank, channels)

def volumes(split="all"):
    x = torch.rand(6, 1, 8, 9, 10, generator=torch.Generator().manual_seed(0))
    y = torch.arange(6) % 3
    return (x[:3], y[:3]) if split == "half" else (x, y)

def digits():
    return "digits"

def nothing():
    pass

def failing():
    raise ValueError("no disk")

def leaving():
    raise SystemExit(3)
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # A name of its own for each test: Python keeps modules by name.
    file = tmp_path / f"own_{abs(hash(tmp_path.name))}.py"
    file.write_text(CODE)
    return file


def saved(code: Path, *, whole: bool = False, **args: int) -> Path:
    from seviz.data.foreign import import_code

    torch.manual_seed(0)
    net = import_code(str(code), "--arch", DataError).Net(**args)
    target = code.parent / "net.pt"
    torch.save(net if whole else {"state_dict": net.state_dict()}, target)
    return target


@pytest.mark.parametrize(
    ("args", "size"), [({}, "1 8 9 10"), ({"rank": 1, "channels": 12}, "12 100")]
)
def test_inputs_of_any_rank(code: Path, run: Run, args: dict[str, int], size: str) -> None:
    ckpt = saved(code, **args)
    words = [f"{k}={v}" for k, v in args.items()]
    common = [ckpt, "--arch", f"{code.name}:factory", *(["--arch-args", *words] * bool(words))]
    done = run("inspect", *common, "--input-size", *size.split(), "--json")
    assert done.code == 0, done.err
    assert [b["name"] for b in json.loads(done.out)["blocks"]] == ["SE_2_1"]
    done = run("audit", *common, "--input-size", *size.split(), "--json", "-o", "audit")
    assert done.code == 0, done.err
    assert json.loads(done.out)["input_size"] == [int(n) for n in size.split()]
    done = run("collect", *common, "--input-size", *size.split(), "--data", "digits", "-o", "out")
    assert done.code == 2
    assert "expected a network that sees images" in done.err


@pytest.mark.parametrize("spec", ["{file}:volumes", "{module}:volumes"])
def test_batches_of_a_function(code: Path, run: Run, spec: str) -> None:
    ckpt = saved(code)
    if "module" in spec:
        package = code.parent / f"pack_{code.stem}"
        package.mkdir()
        (package / "data.py").write_text(CODE)
    where = spec.format(file=code.name, module=f"pack_{code.stem}.data")
    common = ("collect", ckpt, "--arch", f"{code.name}:factory", "--data", where, "-o", "out")
    done = run(*common)
    assert done.code == 0, done.err
    record = seviz.Record.load("out")
    assert record.count.tolist() == [2, 2, 2]
    assert record.header.source == "volumes"
    assert record.header.preprocessing.input_size == (1, 8, 9, 10)
    assert record.top1 is not None
    done = run(*common, "--split", "half")
    assert done.code == 0, done.err
    assert seviz.Record.load("out").count.tolist() == [1, 1, 1]
    assert code.parent.name not in record.header.command


def test_a_function_may_name_what_data_takes(code: Path) -> None:
    source = open_source(f"{code.name}:digits")
    assert source.name == "digits"


@pytest.mark.parametrize(
    ("spec", "split", "error", "message"),
    [
        ("{file}:volume", None, UsageError, "it has volumes"),
        ("{file}:nothing", None, DataError, "found nothing; let it return them"),
        ("{file}:failing", None, DataError, "found ValueError: no disk"),
        ("{file}:leaving", None, DataError, r"code that ends the program \(SystemExit: 3\)"),
        ("{file}:digits", "test", UsageError, "expected a function that takes split="),
        ("absent.py:f", None, UsageError, "found none at absent.py"),
        ("absent.module:f", None, DataError, "found ModuleNotFoundError"),
    ],
)
def test_what_is_no_function(
    code: Path, spec: str, split: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        open_source(spec.format(file=code.name), split=split)
    assert "\n" not in str(caught.value)


def test_a_pickled_network_finds_its_code(code: Path, run: Run) -> None:
    import sys

    elsewhere = code.parent / "fork" / code.name
    ckpt = saved(code, whole=True)
    elsewhere.parent.mkdir()
    code.rename(elsewhere)
    del sys.modules[code.stem]
    common = ("inspect", ckpt, "--unsafe-load", "--input-size", *["1", "8", "8", "8"])
    sys.path[:] = [p for p in sys.path if p != str(code.parent)]
    assert run(*common).code == 3
    done = run(*common, "--import", elsewhere)
    assert done.code == 0, done.err
    assert "SE_2_1" in done.out
    done = run(*common, "--import", "no_such_module")
    assert done.code == 3
    assert "expected to import no_such_module for --import" in done.err


def test_a_network_of_volumes_is_folded_and_read_again(code: Path, run: Run) -> None:
    ckpt = saved(code)
    arch = f"{code.name}:factory"
    network = seviz.load(ckpt, arch=arch, input_size=(1, 8, 9, 10))
    record = seviz.collect(network, f"{code.name}:volumes")
    folded = seviz.fold(network, ["SE_2_1"], record).save("slim.pt")
    again = seviz.load(folded, arch=arch)
    assert again.preprocessing.input_size == (1, 8, 9, 10)
    x = torch.rand(2, 1, 8, 9, 10)
    gates = record.stats("SE_2_1").mean
    assert np.isfinite(gates).all()
    assert again.model(x).shape == (2, 3)
