"""The examples of docs/scale.md, as they stand there, with small numbers: `make nightly`."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import Tiny
from picture_forms import as_shards
from test_cli_process import environment
from test_documentation import DOCS, blocks

import seviz

PAGE = DOCS / "scale.md"
# What stands for Slurm here.
SLURM = """
set -e
scontrol() { echo localhost; }
srun() { "$@"; }
seviz() { "$PYTHON" -m seviz "$@"; }
torchrun() { "$PYTHON" -m torch.distributed.run "$@"; }
"""


def example(word: str) -> str:
    """Return the block of the page that has a word."""
    (found,) = (b.text for b in blocks(PAGE, "text") if word in b.text)
    return found


def smaller(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"{old!r} is no longer in the example"
        text = text.replace(old, new)
    return text


def bash(text: str, cwd: Path, **more: str) -> None:
    done = subprocess.run(
        ["bash", "-c", SLURM + text],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**environment(), "PYTHON": sys.executable, **more},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def same(one: seviz.Record, other: seviz.Record) -> None:
    assert one.header.images == other.header.images == 60
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        assert array.tobytes() == other.arrays[name].tobytes(), name


@pytest.fixture
def whole(tiny: Tiny, pictures: Path, tmp_path: Path) -> tuple[str, seviz.Record]:
    """Return shards, and the record of a single process."""
    data = as_shards(pictures, tmp_path)
    options = seviz.PassOptions(batch_size=10, workers=0)
    return data, seviz.collect(seviz.load(tiny.path), data, options)


def common(tiny: Tiny, data: str, out: Path) -> dict[str, str]:
    return {
        "ckpt.pt": str(tiny.path),
        "/data/shard-{00000..09999}.tar": data,
        "-b 256 -j 16 --amp --amp-dtype tf32": "-b 10 -j 0",
        "/scratch/gates": str(out),
    }


@pytest.mark.nightly
def test_torchrun(tiny: Tiny, whole: tuple[str, seviz.Record], tmp_path: Path) -> None:
    data, record = whole
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    changes = {"--nproc-per-node 8": "--nproc-per-node 2", ":29500": f":{port}"}
    text = smaller(example("srun torchrun"), {**common(tiny, data, tmp_path / "out"), **changes})
    bash(text, tmp_path, SLURM_NNODES="1", SLURM_JOB_ID="7", SLURM_JOB_NODELIST="localhost")
    same(record, seviz.Record.load(tmp_path / "out"))


@pytest.mark.nightly
def test_slurm_arrays(tiny: Tiny, whole: tuple[str, seviz.Record], tmp_path: Path) -> None:
    data, record = whole
    text = smaller(example("--array="), common(tiny, data, tmp_path / "out"))
    for task in range(1, 5):
        bash(text, tmp_path, SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_COUNT="4")
    bash(smaller(example("seviz merge"), {"/scratch/gates": str(tmp_path / "out")}), tmp_path)
    same(record, seviz.Record.load(tmp_path / "out/whole"))


@pytest.mark.nightly
def test_ray_data(tiny: Tiny, whole: tuple[str, seviz.Record], tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("without the package ray")
    data, record = whole
    changes = {
        "concurrency=64, num_gpus=1": "concurrency=2",
        "batch_size=256": "batch_size=10, workers=0",
    }
    (tmp_path / "parts.py").write_text(smaller(example("import ray"), changes))
    words = [sys.executable, "parts.py", tiny.path, data, "4", "out"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**environment(), "RAY_USAGE_STATS_ENABLED": "0"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"60 images", done.stdout), done.stdout
    same(record, seviz.Record.load(tmp_path / "out"))
    assert sorted(p.name for p in (tmp_path / "out").glob("part*")) == [
        f"part{n:05}" for n in range(1, 5)
    ]
