"""TFLite files that are no network for images, or damaged: one line that says what was found."""

from __future__ import annotations

import random
import resource
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses
from tflite_models import Graph, Op, made

import seviz
from seviz.errors import CheckpointError, SevizError

# Bytes beside what the file has; a damaged one that takes more was made to fill the memory.
MOST_MEMORY = 1 << 30
SEEDS = 12


def write(folder: Path, content: bytes) -> Path:
    file = folder / "network.tflite"
    file.write_bytes(content)
    return file


def one(
    kind: str, options: str = "", shape: tuple[int, ...] = (1, 8, 8, 4), **values: Any
) -> Graph:
    graph = Graph()
    x = graph.image(1, 8, 8, 4)
    graph.outputs.append(graph.op(kind, (x,), "net/made", shape, options, **values))
    return graph


def test_an_unknown_operator_is_named_with_its_place(tmp_path: Path, refuses: Refuses) -> None:
    file = write(tmp_path, one("LOCAL_RESPONSE_NORMALIZATION").write())
    with refuses(CheckpointError, "LOCAL_RESPONSE_NORMALIZATION (node net/made)"):
        seviz.load(file)


def test_an_unknown_operator_that_nothing_needs_is_none(tmp_path: Path) -> None:
    graph = one("RELU")
    graph.op("RANK", (0,), "rank", (), "RankOptions", "int32")
    assert seviz.load(write(tmp_path, graph.write())).format == "TFLite"


def test_no_images(tmp_path: Path, refuses: Refuses) -> None:
    graph = Graph()
    x = graph.image(1, 20)
    graph.outputs.append(graph.op("RELU", (x,), "y", (1, 20)))
    with refuses(CheckpointError, "takes images", "found inputs of shape [1, 20]"):
        seviz.load(write(tmp_path, graph.write()))


def test_shapes_that_are_not_made(tmp_path: Path, refuses: Refuses) -> None:
    file = write(tmp_path, one("RELU", shape=(1, 8, 8, 5)).write())
    with refuses(CheckpointError, "net/made of shape [1, 8, 8, 5]", "makes [1, 4, 8, 8]"):
        seviz.load(file)


def test_operators_that_do_not_fit(tmp_path: Path, refuses: Refuses) -> None:
    graph = one("RELU")
    other = graph.constant("other", np.zeros((1, 3, 3, 4)))
    graph.outputs = [graph.op("ADD", (graph.outputs[0], other), "sum", (1, 8, 8, 4), "AddOptions")]
    with refuses(CheckpointError, "operators that fit each other"):
        seviz.load(write(tmp_path, graph.write()))


def test_a_map_that_fills_the_memory(tmp_path: Path, refuses: Refuses) -> None:
    """Two vectors that are multiplied into a wall: no number of it is made."""
    graph = Graph()
    x = graph.image(1, 8, 8, 4)
    side = 1 << 14
    row = graph.constant("row", np.ones((1, side, 1, 1)))
    column = graph.constant("column", np.ones((1, 1, side, 1)))
    wall = graph.op("MUL", (row, column), "wall", (1, side, 1, 1), "MulOptions")
    graph.outputs.append(graph.op("ADD", (x, wall), "y", (1, 8, 8, 4), "AddOptions"))
    with refuses(CheckpointError, "network.tflite"):
        seviz.load(write(tmp_path, graph.write()))


def test_a_tensor_of_billions(tmp_path: Path, refuses: Refuses) -> None:
    file = write(tmp_path, one("RELU", shape=(1, 1 << 20, 1 << 20, 4)).write())
    with refuses(CheckpointError, "net/made of shape [1, 1048576, 1048576, 4]"):
        seviz.load(file)


def test_weights_that_are_not_all_there(tmp_path: Path, refuses: Refuses) -> None:
    graph = one("RELU")
    graph.tensors.append(graph.tensors[0].__class__("w", (3, 3), "float32", np.zeros(8, "float32")))
    with refuses(CheckpointError, "w in 32 bytes"):
        seviz.load(write(tmp_path, graph.write()))


def test_a_value_that_nothing_makes(tmp_path: Path, refuses: Refuses) -> None:
    graph = one("RELU")
    graph.tensors.append(graph.tensors[0].__class__("nothing", (1, 8, 8, 4)))
    graph.ops[0].inputs = (len(graph.tensors) - 1,)
    with refuses(CheckpointError, "before node net/made"):
        seviz.load(write(tmp_path, graph.write()))


def test_a_circle(tmp_path: Path, refuses: Refuses) -> None:
    graph = one("RELU")
    graph.tensors.append(graph.tensors[0].__class__("other", (1, 8, 8, 4)))
    graph.ops = [Op("ADD", (0, 2), (1,), "AddOptions"), Op("RELU", (1,), (2,))]
    with refuses(CheckpointError, "before node net/made"):
        seviz.load(write(tmp_path, graph.write()))


def test_an_impossible_option(tmp_path: Path, refuses: Refuses) -> None:
    pool = {"StrideH": 0, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2}
    file = write(tmp_path, one("MAX_POOL_2D", "Pool2DOptions", **pool).write())
    with refuses(CheckpointError, "MAX_POOL_2D", "StrideH and StrideW of 0 and 1"):
        seviz.load(file)


@pytest.mark.parametrize("length", [8, 40, 400, 0.5, 0.99])
def test_a_file_that_was_cut(length: float, tmp_path: Path, refuses: Refuses) -> None:
    content = made("float").content
    kept = int(length if length > 1 else length * len(content))
    with refuses(CheckpointError, "network.tflite"):
        seviz.load(write(tmp_path, content[:kept]))


def test_without_the_package(
    tmp_path: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tflite", None)
    with refuses(CheckpointError, "pip install 'seviz[tflite]'"):
        seviz.load(write(tmp_path, made("float").content))


@cache
def whole(kind: str) -> bytes:
    return made(kind).content


def damaged(kind: str, seed: int) -> bytes:
    """Return a file with some of its bytes changed, most of them in the table and not in the weights."""
    rng = random.Random(seed)
    content = bytearray(whole(kind))
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        near_end = rng.random() < 0.7  # operators and tensors lie before or behind their weights
        place = rng.randrange(len(content) // 3) if near_end else rng.randrange(len(content))
        how = rng.choice(["bit", "byte", "long"])
        if how == "bit":
            content[place] ^= 1 << rng.randrange(8)
        elif how == "byte":
            content[place] = rng.randrange(256)
        else:
            number = rng.choice([0, 1, 1 << 20, (1 << 31) - 1, (1 << 32) - 1])
            content[place : place + 4] = number.to_bytes(4, "little")
    return bytes(content)


def check(kind: str, seed: int, folder: Path) -> None:
    """A damaged file is read, or refused in one line, in bounded memory."""
    file = write(folder, damaged(kind, seed))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error: SevizError | None = None
    try:
        loaded = seviz.load(file, allow_nan=True)
    except SevizError as exc:
        error = exc
    else:
        with torch.no_grad():
            loaded.model(torch.zeros(1, *loaded.preprocessing.input_size))
    assert error is None or (error.exit_code == 3 and "\n" not in str(error))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < MOST_MEMORY + len(file.read_bytes())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_damage(seed: int, tmp_path: Path) -> None:
    check(("float", "uint8")[seed % 2], seed, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(SEEDS, SEEDS + 300))
def test_more_damage(seed: int, tmp_path: Path) -> None:
    check(("float", "uint8", "half", "int8 per channel")[seed % 4], seed, tmp_path)
