"""Speed in whole passes: records, options, the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Refuses, Run, Tiny
from dialects import settle

from seviz.collect.fast import Choice
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.run import collect
from seviz.data.base import ArraySource
from seviz.errors import UsageError
from seviz.networks import LoadedModel
from seviz.networks.architectures.registry import build
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record

LABELS = ["ant", "bee", "cat"]
SHAPE = Preprocessing((3, 64, 64), (0.5,) * 3, (0.25,) * 3, "bilinear", 1.0, "ours")
LONG = 352  # the fewest that make a long pass at 64 x 64, rounded up
IMAGES = 88


@pytest.fixture(scope="module")
def net() -> LoadedModel:
    model = settle(build("se_resnet14", num_classes=3, reduction=4, widths=(8, 8, 16)))
    table = ClassTable.from_labels(LABELS)
    return LoadedModel(model, "net.pt", "se_resnet14", "0" * 64, table, SHAPE)


def noise(images: int) -> ArraySource:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, 64, 64, 3), dtype=np.uint8)
    pixels //= rng.integers(1, 8, (images, 1, 1, 1), dtype=np.uint8)
    labels = np.arange(images) % 3
    return ArraySource(
        name="noise", split="test", folders=tuple(LABELS), labels=labels, pixels=pixels
    )


@pytest.fixture(scope="module")
def source() -> ArraySource:
    return noise(IMAGES)


@pytest.fixture(scope="module", autouse=True)
def never_too_slow() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seviz.collect.fast.trial.SLOWER", float("inf"))
        yield


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a pass of few images for a long one."""
    monkeypatch.setattr("seviz.collect.prepared._LEAST_NUMBERS", 1)


def passed(net: LoadedModel, source: ArraySource, **options: object) -> Record:
    return collect(net, source, PassOptions(**{"batch_size": 11, "device": "cpu", **options}))


@pytest.fixture(scope="module")
def reference(net: LoadedModel, source: ArraySource) -> Record:
    return passed(net, source, fast=False)


@pytest.mark.usefixtures("soon")
def test_a_long_pass_is_fast_and_says_so(
    net: LoadedModel, source: ArraySource, reference: Record
) -> None:
    record = passed(net, source)
    assert [n for n in record.header.notes if n.startswith("computed with")]
    assert record.header.images == reference.header.images == IMAGES
    np.testing.assert_array_equal(record.count, reference.count)
    for block in reference.blocks:
        one, other = record.stats(block.name), reference.stats(block.name)
        np.testing.assert_allclose(one.mean, other.mean, atol=1e-5, rtol=0)
        np.testing.assert_allclose(one.std, other.std, atol=1e-5, rtol=0)
    again = passed(net, source)
    assert again.header.notes == record.header.notes
    for name, array in record.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])


def test_the_reference_needs_no_word(reference: Record) -> None:
    assert not [n for n in reference.header.notes if "computed" in n]


def test_short_passes_run_the_network_as_it_is(net: LoadedModel) -> None:
    source = noise(LONG)
    for options in (PassOptions(num_samples=100), PassOptions(batch_size=LONG)):
        ready = prepare(net, source, options)
        assert not ready.speed(ready.batches(), Choice()).fast
    ready = prepare(net, source, PassOptions(batch_size=44))
    assert ready.speed(ready.batches(), Choice()).fast


@pytest.mark.nightly
def test_blocks_and_no_predictions(
    net: LoadedModel, source: ArraySource, reference: Record
) -> None:
    record = passed(net, source, blocks=("SE_3_1", "SE_2"), predictions=False, fast=False)
    assert [b.name for b in record.blocks] == ["SE_2_1", "SE_2_2", "SE_3_1"]
    assert "confusion" not in record.arrays
    assert record.top1 is None
    for name, array in record.arrays.items():
        np.testing.assert_array_equal(array, reference.arrays[name])
    scored = passed(net, source, blocks=("SE_2",), fast=False)
    assert [b.name for b in scored.blocks] == ["SE_2_1", "SE_2_2"]
    assert scored.top1 == reference.top1


def test_what_cannot_be_asked_for(net: LoadedModel, source: ArraySource, refuses: Refuses) -> None:
    with refuses(UsageError, "--no-predictions"):
        collect(net, source, PassOptions(predictions=False), each=lambda table: None)
    with pytest.raises(UsageError, match="SE_9"):
        collect(net, source, PassOptions(blocks=("SE_9",)))


@pytest.mark.usefixtures("soon")
def test_the_deviation_of_mixed_precision_is_in_the_record(
    net: LoadedModel, source: ArraySource
) -> None:
    record = passed(net, source, amp_dtype="bfloat16")
    (note,) = [n for n in record.header.notes if n.startswith("bfloat16 with")]
    assert "batch norms folded and channels last" in note
    assert record.header.dtype == "bfloat16 autocast"


def test_threads_are_as_before(net: LoadedModel, source: ArraySource) -> None:
    before = torch.get_num_threads()
    passed(net, source, num_samples=10)
    assert torch.get_num_threads() == before


@pytest.mark.usefixtures("elsewhere")
def test_the_command_line(run: Run, tiny: Tiny, pictures: Path) -> None:
    words = ["collect", tiny.path, "--data", pictures, "--json", "-q"]
    said = run(*words, "--blocks", "SE_2", "--no-predictions", "--no-fast", "-o", "early")
    assert said.code == 0
    document = json.loads(said.out)
    assert {b["stage"] for b in document["blocks"]} == {2}
    assert document["top1"] is None
    whole = json.loads(run(*words, "-o", "whole").out)
    assert len(whole["blocks"]) == 6
    assert whole["top1"] is not None
    early, full = Record.load("early"), Record.load("whole")
    for block in early.blocks:
        np.testing.assert_array_equal(early.stats(block.name).mean, full.stats(block.name).mean)
