"""What may stand beside the weights in a pickle, and what may not."""

from __future__ import annotations

import argparse
import collections
import datetime
import fractions
import os
import pathlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses
from torch import nn

from seviz.errors import CheckpointError
from seviz.networks import load
from seviz.networks.architectures.registry import build
from seviz.networks.formats.pickles import read_pickle

LEGACY = pytest.mark.filterwarnings("ignore:.*legacy:FutureWarning")


def state() -> dict[str, torch.Tensor]:
    return dict(build("se_resnet14", widths=(4, 4, 4), reduction=2).state_dict())


def save(content: Any, path: Path, is_zip: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path


HARMLESS: dict[str, Any] = {
    "namespace": argparse.Namespace(lr=0.1, out=pathlib.Path("runs") / "a"),
    "numpy scalar": np.float64(0.93),
    "numpy integer": np.int64(3),
    "numpy array": np.arange(6.0, dtype=np.float32).reshape(2, 3),
    "numpy bool array": np.array([True, False]),
    "numpy type": np.float32,
    "numpy dtype": np.dtype("float16"),
    "path": pathlib.PurePosixPath("/data/x"),
    "windows path": pathlib.PureWindowsPath("C:/x"),
    "ordered": collections.OrderedDict(a=1),
    "default": collections.defaultdict(list, a=[1]),
    "deque": collections.deque([1, 2], maxlen=5),
    "counter": collections.Counter("aab"),
    "set": {1, 2},
    "frozenset": frozenset({1}),
    "torch": [torch.float16, torch.device("cpu"), torch.Size([2])],
}


@LEGACY
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_types(kind: str, is_zip: bool, tmp_path: Path) -> None:
    path = save({"state_dict": state(), "extra": HARMLESS[kind]}, tmp_path / "x.pt", is_zip)
    loaded = load(path)
    assert loaded.recognised.startswith("se_resnet14")
    assert not any("left out" in n for n in loaded.notes)


def test_their_values_are_kept(tmp_path: Path) -> None:
    read = read_pickle(save(HARMLESS, tmp_path / "x.pt")).payload
    assert read["namespace"] == HARMLESS["namespace"]
    assert read["numpy scalar"] == 0.93
    assert read["numpy integer"] == 3
    assert read["windows path"] == HARMLESS["windows path"]
    assert read["default"] == {"a": [1]}


@pytest.fixture
def foreign() -> Iterator[types.ModuleType]:
    """Yield a library that is there when a file is written and gone when it is read."""
    module = types.ModuleType("some_library")

    class Config(dict):  # type: ignore[type-arg]
        pass

    class Buffer:
        def __init__(self) -> None:
            self.values = np.arange(3)

    class Slotted:
        __slots__ = ("a",)

        def __init__(self) -> None:
            self.a = 1

    for kind in (Config, Buffer, Slotted):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    sys.modules[module.__name__] = module
    yield module
    sys.modules.pop(module.__name__, None)


@LEGACY
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("names", [("Config", "Buffer"), ("Slotted",)], ids=str)
def test_objects_of_other_libraries_are_left_out(
    foreign: types.ModuleType, names: tuple[str, ...], is_zip: bool, tmp_path: Path
) -> None:
    """OpenMMLab keeps its history and its config in every checkpoint; nothing of them is imported."""
    objects = [getattr(foreign, name)() for name in names]
    path = save({"state_dict": state(), "message_hub": objects}, tmp_path / "x.pt", is_zip)
    del sys.modules["some_library"]
    loaded = load(path)
    (note,) = [n for n in loaded.notes if "left out" in n]
    for name in names:
        assert f"some_library.{name}" in note
    assert "some_library" not in sys.modules


def test_a_file_of_nothing_else(
    foreign: types.ModuleType, tmp_path: Path, refuses: Refuses
) -> None:
    path = save(foreign.Buffer(), tmp_path / "x.pt")
    with refuses(CheckpointError, "objects of some_library.Buffer", "--unsafe-load"):
        load(path)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (datetime.timedelta(1), "datetime.timedelta"),
        (fractions.Fraction(1, 2), "fractions.Fraction"),
        (print, "builtins.print"),
        (os.system, "posix.system"),
        (eval, "builtins.eval"),
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (nn.ReLU, "torch.nn.modules.activation.ReLU"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_python_s_own_and_networks_are_refused_by_name(
    content: object, name: str, tmp_path: Path, refuses: Refuses
) -> None:
    path = save({"state_dict": state(), "extra": content}, tmp_path / "x.pt")
    with refuses(CheckpointError, "run code", name, "--unsafe-load"):
        load(path)


def test_whole_networks_in_a_dict(tmp_path: Path, refuses: Refuses) -> None:
    raw, averaged = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
    path = save({"model": raw, "ema": averaged, "epoch": 3}, tmp_path / "x.pt")
    with refuses(CheckpointError, "a whole pickled network"):
        load(path)
    loaded = load(path, unsafe=True)
    assert torch.equal(loaded.model.get_parameter("weight"), averaged.weight)


def test_code_that_is_not_here_or_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: Refuses
) -> None:
    fork = types.ModuleType("my_fork")
    exec("from torch import nn\nclass Mine(nn.Conv2d): pass", fork.__dict__)
    monkeypatch.setitem(sys.modules, "my_fork", fork)
    path = save(fork.Mine(3, 4, 1), tmp_path / "x.pt")
    del fork.Mine
    with refuses(CheckpointError, "found another version of it", "Mine", "--import"):
        load(path, unsafe=True)
    monkeypatch.delitem(sys.modules, "my_fork")
    with refuses(CheckpointError, "found no module 'my_fork'", "--import"):
        load(path, unsafe=True)


@pytest.mark.parametrize("variable", ["SEVIZ_UNSAFE_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"])
def test_no_environment_variable_opens_the_door(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: Refuses
) -> None:
    monkeypatch.setenv(variable, "1")
    made = tmp_path / "made"

    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(made),)

    path = save({"state_dict": state(), "extra": Trap()}, tmp_path / "x.pt")
    with refuses(CheckpointError, "run code"):
        load(path)
    assert not made.exists()
