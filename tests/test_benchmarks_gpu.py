"""The script for a GPU that is lent: on a pretended one, every part of it runs and writes what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pretended import pretended

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    import gpu

    yield gpu.main
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("gpu", "gpu_parts", "common", "endtoend"):
            del sys.modules[name]


@pytest.mark.nightly
def test_the_script_on_a_pretended_gpu(main: Any, tmp_path: Path) -> None:
    words = ["--small", "--device", "cuda:0", "--out", str(tmp_path)]
    with pretended():
        failed = main([*words, "--only", "tests", "passes", "files", "commands"])
    assert failed == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["machine"]["gpu"] == "a pretended GPU"
    for mode in ("float32", "tf32", "bfloat16"):
        ways = found["passes"][f"se_resnet14, {mode}, batches of 8"]
        for way in ("bare", "bare, channels last", "hooks and lists", "seviz --no-fast", "seviz"):
            assert ways[way]["images_per_s"] > 0, way
        assert ways["bare"]["against_bare"] == 1
        # There is no driver to record a graph, and that ends nothing.
        assert "failed" in ways["bare, CUDA graph"]
    assert found["files"]["images"] == 16
    assert found["files"]["seviz.collect, float32"] > 0
    table = (tmp_path / "gpu.md").read_text()
    assert "| se_resnet14, tf32, batches of 8 | seviz |" in table


def test_the_time_is_kept(main: Any, tmp_path: Path) -> None:
    with pretended():
        words = ["--device", "cuda:0", "--minutes", "0", "--out", str(tmp_path)]
        assert main([*words, "--only", "commands"]) == 0
        found = main.__globals__["PARTS"]["passes"](
            __import__("torch").device("cuda", 0), main.__globals__["Clock"](0.0), small=False
        )
    assert {"left out": "no time"} in found.values()
    assert all(v == {"left out": "no time"} for v in found.values())


def test_a_part_that_fails_ends_no_other(
    main: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the driver is gone")

    monkeypatch.setitem(main.__globals__["PARTS"], "waits", broken)
    with pretended():
        words = ["--small", "--device", "cuda:0", "--out", str(tmp_path)]
        assert main([*words, "--only", "waits", "commands"]) == 1
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["waits"]["failed"] == "RuntimeError: the driver is gone"
    assert found["commands"]["left out"] == "no GPU"
