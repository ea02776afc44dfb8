"""Networks that detect and segment: torchvision's by name and from weights, a U-Net with scSE."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import seviz
from seviz.networks import load as load_network

SMALL = ("--input-size", "3", "64", "64")
# name, number of SE blocks: eight in the backbone of MobileNetV3-Large, all of which both use.
NAMES = [
    pytest.param("lraspp_mobilenet_v3_large", 8),
    pytest.param("ssdlite320_mobilenet_v3_large", 8, marks=pytest.mark.nightly),
    pytest.param("fasterrcnn_mobilenet_v3_large_fpn", 8, marks=pytest.mark.nightly),
]


@pytest.fixture
def images(elsewhere: Path) -> Path:
    """Return a folder of images without classes, of several sizes."""
    rng = np.random.default_rng(0)
    (elsewhere / "images").mkdir()
    for i in range(4):
        pixels = rng.integers(0, 255, (60 + 8 * i, 90, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(elsewhere / "images" / f"{i}.png")
    return elsewhere / "images"


def own_hooks(net: nn.Module, inputs: Tensor) -> list[np.ndarray]:
    """Return what the hard sigmoids of excitations give: of one value per channel."""
    seen: list[np.ndarray] = []
    handles = [
        m.register_forward_hook(lambda m, i, o: seen.append(o.flatten(1).double().numpy()))
        for name, m in net.named_modules()
        if name.endswith("scale_activation")
    ]
    with torch.no_grad():
        net(inputs)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.usefixtures("no_figures")
@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("name", "blocks"), NAMES)
def test_by_name_and_from_weights(name: str, blocks: int, images: Path, run: Run) -> None:
    arch = f"torchvision:{name}"
    built = load_network(arch, arch_args={"pretrained": False, "num_classes": 5})
    torch.save(built.model.state_dict(), "net.pt")
    words = ("--arch", arch, "--arch-args", "num_classes=5", *SMALL)
    said = run("collect", "net.pt", *words, "--data", images, "-o", "out", "--workers", 0)
    assert said.code == 0, said.err
    record = seviz.Record.load("out")
    assert len(record.blocks) == blocks
    assert record.classes.labels == ["all"]
    inputs = torch.rand(3, 3, 64, 64)
    collected = seviz.collect(built.model, [inputs])
    for block, gates in zip(collected.blocks, own_hooks(built.model, inputs), strict=True):
        found = collected.stats(block.name)
        assert found.mean[0] == pytest.approx(gates.mean(0), abs=1e-6)
    assert run("audit", "net.pt", *words).code == 0


class ChannelAndSpatial(nn.Module):
    """Concurrent spatial and channel squeeze and excitation (Roy et al., MICCAI 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = (
            nn.Conv2d(channels, channels // 2, 1),
            nn.Conv2d(channels // 2, channels, 1),
        )
        self.pixel = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        self.last = gate.detach()
        return x * gate + x * torch.sigmoid(self.pixel(x))


class UNet(nn.Module):
    """Two steps down and two up, with scSE after each."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()

        def step(a: int, b: int) -> nn.Sequential:
            conv = nn.Conv2d(a, b, 3, padding=1)
            return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU(), ChannelAndSpatial(b))

        self.first, self.second, self.lowest = step(3, 8), step(8, 16), step(16, 32)
        self.up2, self.up1 = step(48, 16), step(24, 8)
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        b = self.second(F.max_pool2d(a, 2))
        c = self.lowest(F.max_pool2d(b, 2))
        b = self.up2(torch.cat([b, F.interpolate(c, scale_factor=2)], 1))
        a = self.up1(torch.cat([a, F.interpolate(b, scale_factor=2)], 1))
        return self.head(a)


@pytest.fixture
def unet() -> UNet:
    torch.manual_seed(0)
    return UNet().eval()


def test_a_unet_with_scse(unet: UNet, tmp_path: Path) -> None:
    inputs = torch.randn(5, 3, 32, 32)
    record = seviz.collect(unet, [inputs])
    with torch.no_grad():
        maps = unet(inputs)
    modules: dict[str, Any] = dict(unet.named_modules())
    assert [b.channels for b in record.blocks] == [8, 16, 32, 16, 8]
    # Down and up again, in the order of the pass; as large a map is as early a stage.
    assert {b.name.rpartition("_")[0] for b in record.blocks} == {"SE_2", "SE_3", "SE_4"}
    for block in record.blocks:
        path = block.path if hasattr(modules[block.path], "last") else block.path.rpartition(".")[0]
        own = modules[path].last.flatten(1).double().numpy()
        assert record.stats(block.name).mean[0] == pytest.approx(own.mean(0), abs=1e-6)
    audit = seviz.audit(unet, [inputs])
    by_hand = sum(p.numel() for n, p in unet.named_parameters() if ".down." in n or ".up." in n)
    assert sum(b.params for b in record.blocks) == by_hand
    assert audit.totals is not None
    assert record.header.notes  # maps are no scores, and that is said
    assert maps.shape == (5, 3, 32, 32)


@pytest.fixture
def yolo(images: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Write a whole pickled detector and its code into the current folder."""
    shutil.copy(Path(__file__).with_name("yolo_fork.py"), "fork.py")
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.delitem(sys.modules, "fork", raising=False)
    fork = importlib.import_module("fork")
    torch.manual_seed(0)
    net: nn.Module = fork.DetectionModel().eval()
    with torch.no_grad():
        for name, tensor in net.named_buffers():
            if name.endswith("running_mean"):
                tensor.uniform_(-0.3, 0.3)
        for module in net.modules():
            if type(module).__name__ == "SE":  # as initialised, all gates are about one half
                module.fc[2].weight.normal_(0, 3)
    torch.save({"model": net, "epoch": 3, "train_args": {"imgsz": 64}}, "yolo.pt")
    return net


WORDS = ("yolo.pt", "--unsafe-load", "--import", "fork.py", *SMALL)


@pytest.mark.nightly
@pytest.mark.usefixtures("no_figures")
@pytest.mark.usefixtures("no_network")
def test_a_whole_detector_of_a_fork(yolo: nn.Module, images: Path, run: Run) -> None:
    data = ("--data", images, "--workers", 0)
    said = run("collect", *WORDS, *data, "-o", "out")
    assert said.code == 0, said.err
    record = seviz.Record.load("out")
    assert [b.path for b in record.blocks] == ["model.3", "model.6", "model.10"]
    audit = json.loads(run("audit", *WORDS, "--json").out)
    with FlopCounterMode(display=False) as counter:
        yolo(torch.zeros(1, 3, 64, 64))
    assert 2 * audit["macs"]["total"] == counter.get_total_flops()
    assert not any("cannot be run" in note for note in audit["notes"])
    said = run("fold", *WORDS, *data, "--blocks", "SE_3_1", "SE_2_2", "-o", "slim.pt2")
    assert said.code == 0, said.err
    program = torch.export.load("slim.pt2").module()
    held = {"model.6": "SE_3_1", "model.10": "SE_2_2"}
    handles = [
        yolo.get_submodule(f"{path}.fc").register_forward_hook(
            lambda module, args, out, name=name: _mean(record, name).expand_as(out)
        )
        for path, name in held.items()
    ]
    inputs = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = yolo(inputs)[0]
        found = program(inputs)[0]
    for handle in handles:
        handle.remove()
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def _mean(record: seviz.Record, name: str) -> Tensor:
    return torch.from_numpy(record.stats(name).mean[0]).float()


def test_gates_and_ablation_of_a_detector(yolo: nn.Module) -> None:
    batches = [torch.rand(4, 3, 64, 64), torch.rand(2, 3, 64, 64)]
    kept = vars(yolo.get_submodule("model.11")).copy()
    record = seviz.collect(yolo, batches)
    assert vars(yolo.get_submodule("model.11")).keys() == kept.keys()
    own: list[Tensor] = []
    handle = yolo.get_submodule("model.6.fc").register_forward_hook(
        lambda module, args, out: own.append(out)
    )
    with torch.no_grad():
        for images in batches:
            yolo(images)
    handle.remove()
    expected = torch.cat(own).double().mean(0).numpy()
    assert record.stats("SE_3_1").mean[0] == pytest.approx(expected, abs=1e-6)
    # After a run of its own it keeps places for two images; the same is folded.
    folded = seviz.fold(yolo, ["SE_3_1"], record)
    assert folded.params_before - folded.params_after == 512
