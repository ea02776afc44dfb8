"""Damaged ONNX models: read, or refused in one line; never a crash, a hang or the memory."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx_models import Small, exported, trained

from seviz.errors import CheckpointError, SevizError
from seviz.gates import find
from seviz.networks import BareWeights, LoadOptions, open_checkpoint

SIZE = (3, 16, 16)
MOST_MEMORY = 1 << 30
LONGEST = 30.0  # seconds; one takes a tenth of one
EACH = 3
OFTEN = 60
NUMBERS = (-1, 0, 1, 2, 3, 7, 1 << 20, (1 << 31) - 1, 1 << 40, (1 << 62) + 1, -(1 << 62))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "small.onnx"
    return exported(trained(Small()), path, SIZE, new=False).read_bytes()


Damage = Callable[[random.Random, bytes], bytes]


def cut(chance: random.Random, whole: bytes) -> bytes:
    return whole[: chance.randrange(len(whole))]


def flip(chance: random.Random, whole: bytes) -> bytes:
    damaged = bytearray(whole)
    for _ in range(chance.randint(1, 8)):
        damaged[chance.randrange(len(whole))] ^= chance.randint(1, 255)
    return bytes(damaged)


def insert(chance: random.Random, whole: bytes) -> bytes:
    where = chance.randrange(len(whole))
    return whole[:where] + chance.randbytes(chance.randint(1, 64)) + whole[where:]


def claim(chance: random.Random, whole: bytes) -> bytes:
    """Change numbers that say how large something is, or what kind: shapes, attributes, types."""
    model = onnx.ModelProto.FromString(whole)
    graph = model.graph
    for _ in range(chance.randint(1, 3)):
        number = chance.choice(NUMBERS)
        what = chance.randrange(6)
        if what == 0:
            tensor = chance.choice(graph.initializer)
            if tensor.dims:
                tensor.dims[chance.randrange(len(tensor.dims))] = number
        elif what == 1:
            chance.choice(graph.initializer).data_type = abs(number) % 40
        elif what == 2:
            attributes = [a for n in graph.node for a in n.attribute]
            attribute = chance.choice(attributes)
            if attribute.ints:
                attribute.ints[chance.randrange(len(attribute.ints))] = number
            else:
                attribute.i = number
        elif what == 3:
            graph.input[0].type.tensor_type.shape.dim[chance.randrange(4)].dim_value = number
        elif what == 4:
            constants = [n for n in graph.node if n.op_type == "Constant"]
            if constants:
                tensor = chance.choice(constants).attribute[0].t
                values = np.full(chance.randint(0, 5), number, np.int64)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        else:
            tensor = chance.choice(graph.initializer)
            tensor.dims.extend([chance.choice((0, 1, number))])
    return model.SerializeToString()


def rewire(chance: random.Random, whole: bytes) -> bytes:
    """Change what is connected to what, and which operators there are."""
    model = onnx.ModelProto.FromString(whole)
    nodes = list(model.graph.node)
    values = [name for node in nodes for name in (*node.input, *node.output)]
    kinds = [
        *(n.op_type for n in nodes),
        "Expand",
        "Tile",
        "Reshape",
        "ConstantOfShape",
        "Resize",
        "Pad",
    ]
    for _ in range(chance.randint(1, 4)):
        node = chance.choice(nodes)
        what = chance.randrange(5)
        if what == 0 and node.input:
            node.input[chance.randrange(len(node.input))] = chance.choice(["", *values])
        elif what == 1:
            node.op_type = chance.choice(kinds)
        elif what == 2:
            node.input.append(chance.choice(values))
        elif what == 3:
            node.output[0] = chance.choice(values)
        else:
            del node.attribute[:]
    return model.SerializeToString()


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def check(damaged: bytes, path: Path) -> None:
    path.write_bytes(damaged)
    measured = Path("/proc/self/statm").exists()
    before, start = resident() if measured else 0, time.monotonic()
    try:
        opened = open_checkpoint(path, LoadOptions())
        assert not isinstance(opened, BareWeights)
        size = opened.preprocessing.input_size
        find(opened.model, size)
        if np.prod(size) <= 3 * 64 * 64:
            with torch.no_grad():
                opened.model(torch.zeros(2, *size))
    except SevizError as exc:
        refused: SevizError | None = exc
    else:
        refused = None
    if refused is not None:
        assert isinstance(refused, CheckpointError)
        assert str(refused).startswith("expected ")
        assert str(refused).isprintable()
    assert time.monotonic() - start < LONGEST
    assert not measured or resident() - before < MOST_MEMORY + len(damaged)


@pytest.mark.parametrize("damage", [cut, flip, insert, claim, rewire])
def test_damage(damage: Damage, whole: bytes, tmp_path: Path) -> None:
    chance = random.Random(damage.__name__)
    for _ in range(EACH):
        check(damage(chance, whole), tmp_path / "x.onnx")


@pytest.mark.nightly
@pytest.mark.parametrize("damage", [cut, flip, insert, claim, rewire])
def test_more_damage(damage: Damage, whole: bytes, tmp_path: Path) -> None:
    """300 files, other ones than above."""
    chance = random.Random(f"more {damage.__name__}{os.environ.get('SEVIZ_FUZZ', '')}")
    for number in range(OFTEN):
        try:
            check(damage(chance, whole), tmp_path / "x.onnx")
        except Exception as exc:
            exc.add_note(f"{damage.__name__} {number}")
            raise
