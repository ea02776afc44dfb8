"""A processor without bfloat16: told, and computed in what is faster there."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import torch
from conftest import Run, Tiny
from torch import Tensor, nn

import seviz
from seviz.collect.fast import REDUCED, emulated, slower_here
from seviz.collect.options import PassOptions
from seviz.data.processors import computes_in

CPU = torch.device("cpu")
SIZE = (3, 8, 8)
INTEL = "processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f amx_bf16 amx_tile\nflags\t\t: other\n"
AVX2 = "processor\t: 0\nflags\t\t: fpu sse2 avx2 fma\nbugs\t\t: avx512_bf16 of old\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd fphp asimdhp\n"


class Slow(nn.Module):
    """Takes its time in mixed precision."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.layer, self.seconds = nn.Conv2d(3, 4, 1), seconds

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(self.seconds if torch.is_autocast_enabled("cpu") else 0.02)
        return self.layer(x).mean((2, 3))


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seviz.data.processors.computes_in", lambda name: False)


@pytest.mark.parametrize(
    ("described", "bfloat16", "float16"),
    [(INTEL, True, False), (AVX2, False, False), (ARM, False, True), (None, False, False)],
)
def test_what_linux_says(
    described: str | None,
    bfloat16: bool,
    float16: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    file = tmp_path / "cpuinfo"
    if described is not None:
        file.write_text(described)
    assert (computes_in("bfloat16", file), computes_in("float16", file)) == (bfloat16, float16)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert not computes_in("bfloat16", file)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_what_is_slower_is_left(name: str) -> None:
    said = slower_here(Slow(0.3), SIZE, REDUCED[name], CPU, measured=True)
    assert said is not None
    assert (
        f"computed in float32: this processor is not known to have instructions for {name}" in said
    )
    found = re.search(r"takes ([\d.]+) times as long", said)
    assert found
    assert (
        1.5 < float(found[1]) < 16
    )  # 300 ms and a little by 20 ms and whatever a busy machine adds
    assert slower_here(Slow(0), SIZE, REDUCED[name], CPU, measured=True) is None
    broken = nn.Sequential(nn.Linear(7, 7))  # does not run on such images: the pass says so
    assert slower_here(broken, SIZE, REDUCED[name], CPU, measured=True) is None


@pytest.mark.usefixtures("without")
def test_of_several_processes_each_decides_alike() -> None:
    said = slower_here(Slow(0), SIZE, REDUCED["bfloat16"], CPU, measured=False)
    assert said is not None
    assert "times as long" not in said


def test_with_instructions_or_a_gpu_or_another_type_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Slow(1)
    assert slower_here(slow, SIZE, REDUCED["bfloat16"], CPU, measured=True) is None
    monkeypatch.setattr("seviz.data.processors.computes_in", lambda name: False)
    assert slower_here(slow, SIZE, REDUCED["bfloat16"], torch.device("cuda"), measured=True) is None
    assert slower_here(slow, SIZE, REDUCED["tf32"], CPU, measured=True) is None


@pytest.mark.usefixtures("without", "elsewhere")
def test_a_pass_in_what_is_faster(
    tiny: Tiny, pictures: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the pass without ``--amp``, to the last bit, and its record serves both."""
    monkeypatch.setattr(emulated, "_times_as_long", lambda *words: 7.1)
    words = ("collect", tiny.path, "--data", pictures, "-j", "0", "-o")
    said = run(*words, "a", "--amp")
    assert said.code == 0
    told = [line for line in said.err.splitlines() if "7.1 times as long" in line]
    assert len(told) == 1
    assert told[0].startswith("note: computed in float32: ")
    assert run(*words, "b").code == 0
    a, b = seviz.Record.load("a"), seviz.Record.load("b")
    assert a.header.dtype == b.header.dtype == "float32"
    for name, array in b.arrays.items():
        assert array.tobytes() == a.arrays[name].tobytes(), name
    monkeypatch.setattr(emulated, "_times_as_long", lambda *words: 1.1)
    kept = seviz.collect(
        seviz.load(tiny.path), str(pictures), PassOptions(amp_dtype="bfloat16", workers=0)
    )
    assert kept.header.dtype == "bfloat16 autocast"
