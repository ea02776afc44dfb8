"""Networks of the zoos exported by PyTorch, and PP-OCR's files, against onnxruntime: `make nightly`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
import torchvision
from onnx_models import Floats, apart, exported, reference, trained
from PIL import Image, ImageDraw, ImageFont

from seviz.cost.audit import network_cost
from seviz.gates import find, trace
from seviz.gates.tap import Tap
from seviz.networks import LoadedModel, load
from seviz.networks.formats.graph_network import GraphNetwork
from seviz.pruning.folding import fold

SIZE = (3, 64, 64)
TIMM = (
    *(
        "seresnet18",
        "legacy_seresnet18",
        "seresnext26d_32x4d",
        "regnety_002",
        "mobilenetv3_small_050",
    ),
    *("tinynet_e", "lcnet_050", "efficientnet_b0", "semnasnet_075", "ghostnet_050"),
)
TORCHVISION = (
    *(
        "mobilenet_v3_small",
        "mobilenet_v3_large",
        "efficientnet_b0",
        "regnet_y_400mf",
        "regnet_y_800mf",
    ),
)
# Files of rapidocr-onnxruntime, and their SE blocks: the text's place, its letters, its direction.
PP_OCR = {
    "ch_PP-OCRv4_det_infer.onnx": ((3, 96, 96), 10),
    "ch_PP-OCRv4_rec_infer.onnx": ((3, 48, 96), 2),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": ((3, 48, 192), 9),
}


def noise(size: tuple[int, ...]) -> Floats:
    return np.random.default_rng(0).normal(size=(3, *size)).astype(np.float32)


def text(size: tuple[int, ...]) -> Floats:
    """Return words on paper: on noise a detector of text gives nothing at all, and that is no number."""
    pages = []
    for word in ("Squeeze", "Excite", "Scale 12"):
        page = Image.new("L", (size[2], size[1]), 255)
        font = ImageFont.load_default(size=size[1] // 3)
        ImageDraw.Draw(page).text((6, size[1] // 4), word, fill=0, font=font)
        pages.append(np.asarray(page, np.float32)[None].repeat(3, 0) / 127.5 - 1)
    return np.stack(pages)


def agree(file: Path, images: Floats) -> LoadedModel:
    """Compare outputs, and every gate, with onnxruntime's."""
    loaded, size = load(file), images.shape[1:]
    assert isinstance(loaded.model, GraphNetwork)
    found = find(loaded.model, size)
    last = loaded.model.steps[-1]
    # The detector ends in a sigmoid of numbers up to 128: there both differ by 2e-5 from what float64 gives.
    before = last.inputs[0] if last.operator == "Sigmoid" else last.outputs[0]
    (maker,) = (s for s in loaded.model.steps if before in s.outputs)
    kept: list[torch.Tensor] = []
    handle = loaded.model.get_submodule(maker.name).register_forward_hook(
        lambda module, args, output: kept.append(output)
    )
    with torch.no_grad(), Tap(loaded.model, found.se_readings) as tap:
        tap.run(torch.from_numpy(images))
        gates = {name: gate.numpy() for name, gate in tap.take().items()}
    handle.remove()
    values = gate_values(loaded, size)
    _, ended, *theirs = reference(file, images, [before, *values.values()])
    assert apart(kept[0].numpy(), ended) < 1e-5
    for name, gate in zip(values, theirs, strict=True):
        assert (
            np.abs(gates[name].reshape(len(images), -1) - gate.reshape(len(images), -1)).max()
            < 1e-5
        )
    return loaded


def gate_values(loaded: LoadedModel, size: tuple[int, ...]) -> dict[str, str]:
    """Return the names of the values in the graph that multiply the maps."""
    assert isinstance(loaded.model, GraphNetwork)
    found = {}
    for traced in trace(loaded.model, size).blocks:
        step = loaded.model.step_at(traced.site.op.call.path)
        assert step is not None
        found[traced.block.name] = step.inputs[list(traced.site.op.args).index(traced.site.gate)]
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("new", [False, True], ids=["older", "newer"])
@pytest.mark.parametrize(
    "name", [*(f"timm:{n}" for n in TIMM), *(f"torchvision:{n}" for n in TORCHVISION)]
)
def test_exported_networks(name: str, new: bool, tmp_path: Path) -> None:
    zoo, _, entry = name.partition(":")
    network: Any = (
        timm.create_model(entry)
        if zoo == "timm"
        else getattr(torchvision.models, entry)(weights=None)
    )
    trained(network)
    file = exported(network, tmp_path / "x.onnx", SIZE, new=new)
    loaded = agree(file, noise(SIZE))
    blocks, own = find(loaded.model, SIZE).blocks, find(network, SIZE).blocks
    assert [(b.name, b.path, b.channels, b.hidden) for b in blocks] == [
        (b.name, b.path, b.channels, b.hidden) for b in own
    ]
    assert network_cost(loaded.model, SIZE).macs == network_cost(network, SIZE).macs
    gates = {b.name: np.linspace(0.2, 0.9, b.channels) for b in blocks}
    folded = fold(loaded, ["all"], gates)
    images = np.random.default_rng(1).normal(size=(3, *SIZE)).astype(np.float32)
    with torch.no_grad():
        ours = folded.loaded.model(torch.from_numpy(images)).numpy()
    slim = folded.save(tmp_path / "slim.onnx")
    assert apart(ours, reference(slim, images)[0]) < 1e-5
    assert apart(reference(slim, images)[0], reference(held(file, loaded, gates), images)[0]) < 1e-5


def held(file: Path, loaded: LoadedModel, gates: dict[str, Any]) -> onnx.ModelProto:
    """Return the model with constants in place of gates."""
    model = onnx.load(file)
    for name, value in gate_values(loaded, SIZE).items():
        array = gates[name].astype(np.float32).reshape(1, -1, 1, 1)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, f"{name}_held"))
        for node in model.graph.node:
            if value in node.input and node.op_type == "Mul":
                node.input[list(node.input).index(value)] = f"{name}_held"
    return model


@pytest.mark.nightly
@pytest.mark.parametrize("name", PP_OCR)
def test_networks_that_read_text(name: str) -> None:
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("without the package rapidocr-onnxruntime")
    file = Path(spec.submodule_search_locations[0], "models", name)
    size, blocks = PP_OCR[name]
    loaded = agree(file, text(size))
    assert len(find(loaded.model, size).blocks) == blocks
    # In the numbers that come out both differ from what float64 gives, and ours no more than onnxruntime's.
    images = torch.from_numpy(text(size))
    with torch.no_grad():
        ours = loaded.model(images).numpy()
        exact = load(file).model.double()(images.double()).numpy()
    theirs = reference(file, text(size))[0]
    assert apart(ours, exact) < 3e-5
    assert apart(theirs, exact) < 3e-5
    assert np.abs(ours - exact).mean() < 1.5 * np.abs(theirs - exact).mean()
