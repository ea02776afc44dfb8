"""How many processors there are for a pass, and who gets them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from seviz.collect.fast import few_threads
from seviz.data.processors import Division, available, divide


@pytest.fixture
def processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it a machine of 32, of whose threads nobody has said anything."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(32)), raising=False)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("seviz.data.processors._quota", lambda _: None)


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("cpu_max", "cpu.max").replace(
            "cfs", "cpu.cfs"
        )
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu_max": "200000 100000"}, 2),
        ({"cpu_max": "150000 100000"}, 2),
        ({"cpu_max": "10000 100000"}, 1),
        ({"cpu_max": "max 100000"}, 32),
        ({"cpu_max": "6400000 100000"}, 32),  # a quota of more than there are
        ({"cpu__cfs_quota_us": "300000", "cpu__cfs_period_us": "100000"}, 3),
        ({"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"}, 32),
        ({"cpu_max": "nonsense"}, 32),
        ({}, 32),
    ],
)
def test_a_container_has_what_it_is_allowed(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(32)), raising=False)
    assert available(written(tmp_path, **files)) == expected


@pytest.mark.usefixtures("processors")
def test_processes_share() -> None:
    assert divide() == Division(threads=32, workers=4)
    assert divide(gpu=True) == Division(threads=32, workers=16)
    assert divide(16) == Division(threads=2, workers=2)
    assert divide(100) == Division(threads=1, workers=1)


@pytest.mark.usefixtures("processors")
@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_number_of_threads_that_the_user_gave_stays(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "7")
    assert divide().threads is None


@pytest.mark.usefixtures("processors")
def test_threads_are_lowered_for_a_while_and_never_raised() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(6)
        with few_threads(16):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 6
        with few_threads():
            assert torch.get_num_threads() == 6
        with pytest.raises(KeyError), few_threads(16):
            raise KeyError
        assert torch.get_num_threads() == 6
    finally:
        torch.set_num_threads(before)
