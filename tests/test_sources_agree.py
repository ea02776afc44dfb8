"""The same images give the same record, bit for bit: from any form, on any number of processes, in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Tiny, crossed
from picture_forms import BATCH, LABELLED, UNLABELLED, as_folder, flat_folder
from rank_threads import shared
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

import seviz
from seviz.collect.execute import execute
from seviz.collect.prepare import prepare
from seviz.data import build_transform

PROCESSES = (1, 2, 3)


def options(workers: int = 0, shard: tuple[int, int] | None = None) -> seviz.PassOptions:
    return seviz.PassOptions(fast=False, batch_size=BATCH, workers=workers, shard=shard)


def same(one: seviz.Record, other: seviz.Record, images: int = 60) -> None:
    """Counts, sums, extremes, the matrix, the sample; not where the images came from."""
    assert one.header.images == other.header.images == images
    assert one.classes.labels == other.classes.labels
    assert one.header.missing == other.header.missing
    assert {"count", "sample/index"} <= set(one.arrays)
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        found = other.arrays[name]
        assert found.dtype == array.dtype, name
        assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f"), name


@pytest.fixture(scope="module")
def network(tiny: Tiny) -> Any:
    return seviz.load(tiny.path)


@pytest.fixture(scope="module")
def labelled(network: Any, pictures: Path) -> seviz.Record:
    record = seviz.collect(network, as_folder(pictures, pictures), options())
    assert record.top1 is not None
    return record


@pytest.fixture(scope="module")
def unlabelled(
    network: Any, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> seviz.Record:
    place = flat_folder(pictures, tmp_path_factory.mktemp("flat"))
    record = seviz.collect(network, place, options())
    assert record.classes.labels == ["all"]
    return record


def on_processes(number: int, network: Any, data: Any) -> list[seviz.Record]:
    def make(ranks: Any) -> seviz.Record:
        return execute(prepare(network, data, options()), ranks=ranks)

    return shared(number, make)


@pytest.mark.parametrize(("form", "processes"), crossed(["folder", *LABELLED], PROCESSES, of=2))
def test_images_with_classes(
    form: str,
    processes: int,
    network: Any,
    pictures: Path,
    labelled: seviz.Record,
    tmp_path: Path,
) -> None:
    make = {"folder": as_folder, **LABELLED}[form]
    for record in on_processes(processes, network, make(pictures, tmp_path)):
        same(labelled, record)


@pytest.mark.parametrize(("form", "processes"), crossed(UNLABELLED, PROCESSES))
def test_images_without_classes(
    form: str,
    processes: int,
    network: Any,
    pictures: Path,
    unlabelled: seviz.Record,
    tmp_path: Path,
) -> None:
    for record in on_processes(processes, network, UNLABELLED[form](pictures, tmp_path)):
        same(unlabelled, record)


@pytest.mark.parametrize("processes", PROCESSES)
def test_a_loader(processes: int, network: Any, pictures: Path, labelled: seviz.Record) -> None:
    data = ImageFolder(str(pictures), build_transform(network.preprocessing))
    loader = seviz.Loader(DataLoader(data, BATCH))
    for record in on_processes(processes, network, loader):
        same(labelled, record)


# Every form is cut by its positions, so that a few show it by day.
@pytest.mark.parametrize(("form", "parts"), crossed(LABELLED, (3, 2, 5), of=2))
def test_merged_parts(
    form: str,
    parts: int,
    network: Any,
    pictures: Path,
    labelled: seviz.Record,
    tmp_path: Path,
) -> None:
    place = LABELLED[form](pictures, tmp_path)
    records = [seviz.collect(network, place, options(shard=(n + 1, parts))) for n in range(parts)]
    same(labelled, seviz.merge(records[::-1]))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("form", [*LABELLED])
@pytest.mark.nightly
def test_images_decoded_by_other_processes(
    form: str, network: Any, pictures: Path, labelled: seviz.Record, tmp_path: Path
) -> None:
    place = LABELLED[form](pictures, tmp_path)
    same(labelled, seviz.collect(network, place, options(workers=2)))
