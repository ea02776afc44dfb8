"""What Python and the command line make of the same words is the same record, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run, Tiny

import seviz
from seviz.collect.options import PassOptions
from seviz.results.preprocessing import Preprocessing

SAID: dict[str, dict[str, Any]] = {
    "the file says it": {},
    "stretched, blue first": {
        "input_size": (3, 16, 12),
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "crop_pct": 0.9,
        "crop_mode": "squash",
        "interpolation": "bicubic",
        "channel_order": "bgr",
    },
    "border": {"input_size": (3, 16, 16), "crop_pct": 0.8, "crop_mode": "border"},
    "constants alone": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
}


def flags(said: dict[str, Any]) -> list[object]:
    words: list[object] = []
    for name, value in said.items():
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{name.replace('_', '-')}", *values]
    return words


def members(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files if not name.endswith(".json")}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_the_record(
    said: dict[str, Any], run: Run, tiny: Tiny, pictures: Path, elsewhere: Path
) -> None:
    told = run(
        *("collect", tiny.path, "--data", pictures, "-b", 7, "-j", 0, "-o", "line"),
        *("--num-samples", 9, *flags(said)),
    )
    assert told.code == 0, told.err
    options = PassOptions(batch_size=7, workers=0, num_samples=9)
    seviz.collect(seviz.load(tiny.path, **said), str(pictures), options, folder="python")
    line, python = (members(Path(folder) / "record.npz") for folder in ("line", "python"))
    assert len(line) > 6 * 5  # of each of six blocks at least count, sums, extremes
    assert sorted(line) == sorted(python)
    for name, array in line.items():
        assert (array.dtype, array.shape) == (python[name].dtype, python[name].shape), name
        assert array.tobytes() == python[name].tobytes(), name
    one, other = (seviz.Record.load(f"{folder}/record.npz") for folder in ("line", "python"))
    assert one.header.images == 27
    same = {"command": "", "created": ""}
    assert replace(one.header, **same) == replace(other.header, **same)
    assert (one.blocks, one.classes) == (other.blocks, other.classes)


def test_a_network_of_ones_own(run: Run, tiny: Tiny, pictures: Path, elsewhere: Path) -> None:
    """Weights alone, prepared in one object instead of in words."""
    torch.save(tiny.model.state_dict(), "weights.pt")
    given = Preprocessing((3, 16, 16), (0.5,) * 3, (0.25,) * 3, "bilinear", 0.9, "me", "squash")
    words = {"mean": given.mean, "std": given.std, "crop_mode": "squash", "crop_pct": 0.9}
    told = run(
        *("collect", "weights.pt", "--data", pictures, "-j", 0, "-o", "line", "--labels", "data"),
        *("--arch", tiny.arch, "--arch-args", "reduction=4", "widths=(8,8,16)", "num_classes=4"),
        *("--input-size", 3, 16, 16, "--interpolation", "bilinear", *flags(words)),
    )
    assert told.code == 0, told.err
    network = seviz.load(
        "weights.pt",
        arch=tiny.arch,
        arch_args={**tiny.arch_args, "num_classes": 4},
        preprocessing=given,
    )
    made = seviz.collect(network, str(pictures), PassOptions(workers=0, labels="data"))
    line = seviz.Record.load("line/record.npz")
    assert dict(line.arrays).keys() == dict(made.arrays).keys()
    for name, array in made.arrays.items():
        assert array.tobytes() == line.arrays[name].tobytes(), name
    assert replace(line.header.preprocessing, origin="me") == made.header.preprocessing
