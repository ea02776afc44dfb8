"""onnxruntime in place of PyTorch: the same record, and never where the network was changed."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Refuses, Run
from onnx_models import Small, apart, exported, reference, trained

import seviz
from seviz.collect.fast.copies import changed_copy, has_maps
from seviz.errors import UsageError
from seviz.networks import LoadedModel, load
from seviz.networks.formats.graph_network import GraphNetwork
from seviz.results.record import Record

SIZE = (3, 12, 12)
IMAGES = torch.randn(8, *SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "small.onnx"
    return exported(trained(Small()), path, SIZE, new=False)


class Counted:
    """An engine that counts how often it answered."""

    def __init__(self, loaded: LoadedModel) -> None:
        assert isinstance(loaded.model, GraphNetwork)
        assert loaded.model.engine is not None
        self._engine, self.answers = loaded.model.engine, 0
        loaded.model.engine = self

    def __deepcopy__(self, memo: object) -> Counted:
        return self

    def __call__(self, network: GraphNetwork, images: object) -> object:
        found = self._engine(network, images)
        self.answers += found is not None
        return found


def test_the_same_record(file: Path) -> None:
    batches = [(IMAGES, torch.arange(8) % 4)] * 10
    plain, quick = load(file), load(file, engine="onnxruntime")
    counted = Counted(quick)
    ours, theirs = seviz.collect(plain, batches), seviz.collect(quick, batches)
    assert counted.answers >= 10
    assert [b.name for b in ours.blocks] == [b.name for b in theirs.blocks]
    assert np.array_equal(ours.count, theirs.count)
    for block in ours.blocks:
        assert apart(theirs.stats(block.name).sum, ours.stats(block.name).sum) < 1e-5
    assert ours.arrays.keys() == theirs.arrays.keys()


def test_it_is_onnxruntime_that_answers(file: Path) -> None:
    quick = load(file, engine="onnxruntime")
    counted = Counted(quick)
    with torch.no_grad():
        found = quick.model(IMAGES).numpy()
    assert counted.answers == 1
    assert apart(found, reference(file, IMAGES.numpy())[0]) < 1e-5


def test_a_changed_network_is_not_what_the_file_holds(file: Path) -> None:
    quick = load(file, engine="onnxruntime")
    counted = Counted(quick)
    changed = copy.deepcopy(quick.model)
    assert isinstance(changed, GraphNetwork)
    with torch.no_grad():
        before = changed(IMAGES)
        next(changed.parameters()).mul_(2.0)
        assert not torch.allclose(changed(IMAGES), before)
        quick.model.get_submodule("head").bias.add_(1.0)  # type: ignore[union-attr, operator]
        assert torch.allclose(quick.model(IMAGES), before + 1.0, atol=1e-5)
    assert counted.answers == 0
    edited = load(file, engine="onnxruntime").model
    assert isinstance(edited, GraphNetwork)
    with torch.no_grad():
        edited.without("layer1.0.se.Mul", 0)
        assert not torch.allclose(edited(IMAGES), before, atol=1e-3)


def test_other_networks_are_refused(refuses: Refuses) -> None:
    with refuses(UsageError, "--engine onnxruntime with an ONNX model"):
        load(seviz.sample("se_resnet_digits"), engine="onnxruntime")


@pytest.mark.usefixtures("elsewhere")
def test_on_the_command_line(run: Run, file: Path, pictures: Path) -> None:
    words = ("collect", file, "--data", pictures, "--device", "cpu", "-j", "0", "-q")
    assert run(*words, "-o", "a").code == 0
    assert run(*words, "--engine", "onnxruntime", "-o", "b").code == 0
    ours, theirs = Record.load(Path("a")), Record.load(Path("b"))
    for block in ours.blocks:
        assert apart(theirs.stats(block.name).sum, ours.stats(block.name).sum) < 1e-5
    assert run("ablate", file, *words[2:], "--engine", "onnxruntime", "-o", "c").code in (0, 4)


def test_kernels_of_a_graph_are_arranged_as_those_of_layers(file: Path) -> None:
    network = load(file).model
    assert has_maps(network)
    arranged = changed_copy(network, channels_last=True)
    kernels = {n: p for n, p in arranged.named_parameters() if p.dim() == 4 and p.shape[1] > 1}
    assert "layer1.0.conv.weight" in kernels
    for name, kernel in kernels.items():
        assert kernel.is_contiguous(memory_format=torch.channels_last), name
        assert network.get_parameter(name).is_contiguous(), name
    with torch.inference_mode():
        images = IMAGES.contiguous(memory_format=torch.channels_last)
        assert apart(arranged(images).numpy(), network(IMAGES).numpy()) < 1e-6


def test_sizes_that_the_file_does_not_take_are_computed_by_pytorch(file: Path) -> None:
    larger = torch.randn(2, 3, 20, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = load(file).model(larger)
        assert torch.equal(load(file, engine="onnxruntime").model(larger), expected)


def test_onnxruntime_is_not_tried_against_copies(tmp_path: Path) -> None:
    size = (3, 64, 64)
    file = exported(trained(Small()), tmp_path / "wide.onnx", size, new=False)
    images = torch.randn(44, *size, generator=torch.Generator().manual_seed(0))
    batches = [(images, torch.arange(44) % 4)] * 8  # a long pass, in which copies are tried
    assert any("channels last" in note for note in seviz.collect(load(file), batches).header.notes)
    quick = load(file, engine="onnxruntime")
    counted = Counted(quick)
    record = seviz.collect(quick, batches)
    assert counted.answers >= 8
    assert not any("channels last" in note for note in record.header.notes)
