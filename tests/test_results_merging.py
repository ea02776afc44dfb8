"""Parts of one pass, added up: the record of the whole, or a line that says why not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run, Tiny
from torch.utils.data import DataLoader, TensorDataset

import seviz
from seviz.errors import DataError, UsageError


def same(one: seviz.Record, other: seviz.Record) -> None:
    """All numbers, bit for bit."""
    assert one.classes == other.classes
    assert one.blocks == other.blocks
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        assert other.arrays[name].dtype == array.dtype, name
        assert other.arrays[name].tobytes() == array.tobytes(), name
    for what in ("images", "skipped", "missing", "extra", "partial", "notes", "part", "whole"):
        assert getattr(one.header, what) == getattr(other.header, what), what


def options(shard: tuple[int, int] | None = None, **more: object) -> seviz.PassOptions:
    return seviz.PassOptions(batch_size=4, workers=0, shard=shard, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(tiny: Tiny, pictures: Path) -> seviz.Record:
    return seviz.collect(seviz.load(tiny.path), str(pictures), options())


@pytest.fixture(scope="module")
def thirds(tiny: Tiny, pictures: Path) -> list[seviz.Record]:
    network = seviz.load(tiny.path)
    return [seviz.collect(network, str(pictures), options((i, 3))) for i in (1, 2, 3)]


def test_merged_thirds_are_the_whole(
    whole: seviz.Record, thirds: list[seviz.Record], tmp_path: Path
) -> None:
    assert [t.header.part for t in thirds] == [((0, 20),), ((20, 40),), ((40, 60),)]
    for order in ((0, 1, 2), (2, 0, 1)):
        same(whole, seviz.merge([thirds[n] for n in order]))
    for n, part in enumerate(thirds):
        part.save(tmp_path / str(n))
    merged = seviz.merge([tmp_path / str(n) for n in range(3)], tmp_path / "out")
    same(whole, seviz.Record.load(tmp_path / "out"))
    same(merged, whole)


def test_some_parts_are_merged_further(whole: seviz.Record, thirds: list[seviz.Record]) -> None:
    two = seviz.merge([thirds[2], thirds[0]])
    assert two.header.part == ((0, 20), (40, 60))
    assert two.header.images == 40
    same(whole, seviz.merge([two, thirds[1]]))
    with pytest.raises(DataError, match="found images of pictures0 in both part 1 and part 2"):
        seviz.merge([two, thirds[0]])


def test_parts_of_a_loader(tiny: Tiny) -> None:
    network = seviz.load(tiny.path)
    x = torch.rand(22, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(x, torch.arange(22) // 6), 4)
    parts = [seviz.collect(network, loader, options((i, 3))) for i in (1, 2, 3)]
    assert parts[0].classes.labels != parts[2].classes.labels
    same(seviz.collect(network, loader, options()), seviz.merge(parts))


def test_the_smallest_difference_that_is_kept_of_a_sample(tiny: Tiny, pictures: Path) -> None:
    """A part keeps its sample in float32, also where its own gates would fit into float16."""
    part = seviz.collect(seviz.load(tiny.path), str(pictures), options((1, 5)))
    names = [n for n in part.arrays if n.startswith("sample/SE")]
    assert names
    assert {part.arrays[n].dtype for n in names} == {np.dtype(np.float32)}


def test_other_networks_and_passes_are_refused(
    thirds: list[seviz.Record], tiny: Tiny, pictures: Path
) -> None:
    network = seviz.load(tiny.path)
    with torch.no_grad():
        next(network.model.parameters()).add_(1)
    other = replace(thirds[1], header=replace(thirds[1].header, checkpoint_sha256="0" * 64))
    with pytest.raises(DataError, match=r"same checkpoint, found part 1 and part 2 .*tiny"):
        seviz.merge([thirds[0], other])
    few = seviz.collect(seviz.load(tiny.path), str(pictures), options((2, 3), num_samples=10))
    with pytest.raises(DataError, match="of different ones"):
        seviz.merge([thirds[0], few])
    with pytest.raises(DataError, match="expected two records or more"):
        seviz.merge(thirds[:1])
    blocks = seviz.collect(seviz.load(tiny.path), str(pictures), options((2, 3), blocks=("SE_2",)))
    with pytest.raises(DataError, match="list of blocks"):
        seviz.merge([thirds[0], blocks])


def test_whole_records_of_one_source_overlap(whole: seviz.Record) -> None:
    with pytest.raises(DataError, match="expected disjoint parts"):
        seviz.merge([whole, whole])
    moved = replace(whole, header=replace(whole.header, source="elsewhere"))
    both = seviz.merge([whole, moved])
    assert both.count.tolist() == (2 * whole.count).tolist()
    assert both.header.source == f"{whole.header.source} + elsewhere"
    np.testing.assert_array_equal(
        both.arrays["confusion"], 2 * np.asarray(whole.arrays["confusion"])
    )


@pytest.mark.parametrize(
    ("shard", "message"),
    [((0, 3), "i from 1 to n"), ((4, 3), "found 4/3"), ((1, 99), "at most 15")],
)
def test_shards_that_are_none(
    shard: tuple[int, int], message: str, tiny: Tiny, pictures: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        seviz.collect(seviz.load(tiny.path), str(pictures), options(shard))


def test_the_command(tiny: Tiny, pictures: Path, tmp_path: Path, run: Run) -> None:
    common = ("collect", tiny.path, "--data", pictures, "-b", 4, "-j", 0)
    for n in (1, 2, 3):
        assert run(*common, "--shard", f"{n}/3", "-o", tmp_path / str(n)).code == 0
    assert run(*common, "-o", tmp_path / "whole").code == 0
    done = run("merge", *(tmp_path / str(n) for n in (1, 2, 3)), "-o", tmp_path / "all", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["images"] == 60
    same(seviz.Record.load(tmp_path / "whole"), seviz.Record.load(tmp_path / "all"))
    done = run("merge", tmp_path / "1", tmp_path / "2", "-o", tmp_path / "some")
    assert "40 of 60 images; some parts are not here yet" in done.err
    done = run("merge", tmp_path / "1", tmp_path / "1", "-o", tmp_path / "x")
    assert done.code == 4
    assert not (tmp_path / "x").exists()
    assert run("merge", tmp_path / "1", tmp_path / "2").code == 2
    assert run(*common, "--shard", "x", "-o", tmp_path / "x").code == 2
    done = run("ablate", tiny.path, "--data", pictures, "--shard", "1/3", "-o", tmp_path / "x")
    assert done.code == 2
    # The record of a part is no record of the next one.
    assert "used again" not in run(*common, "--shard", "2/3", "-o", tmp_path / "1").err
