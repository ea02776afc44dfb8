"""TFLite networks: what they compute here and in the TFLite interpreter, and what the file says of them."""

from __future__ import annotations

import io
import json
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from tflite_models import Graph, Made, Op, Reference, Tensor, images, made, quantised, se_network

import seviz
from seviz.cli import main
from seviz.collect.options import PassOptions
from seviz.cost.audit import network_cost
from seviz.gates import Tap
from seviz.networks import LoadedModel
from seviz.networks.imagenet import imagenet_classes, imagenet_with_background
from seviz.pruning.budget import answers
from seviz.results.preprocessing import Preprocessing

Array = npt.NDArray[Any]
KINDS = ("float", "half", "dynamic", "uint8", "int8", "int8 per channel")
# The network of Google that reports/mobilenet_v3_small_in1k.py is about; not part of the repository.
REAL = os.environ.get("SEVIZ_TFLITE", "")
# Gates that move from image to image; the constant blocks are compared by their constant.
CONSTANT = {"SE_2_1"}


@cache
def network(kind: str) -> Made:
    return made(kind)


def load(content: bytes, folder: Path) -> LoadedModel:
    file = folder / "network.tflite"
    file.write_bytes(content)
    return seviz.load(file)


def fed(reference: Reference, floats: Array) -> tuple[Array, Array]:
    """Return images as the interpreter takes them, and what they stand for."""
    dtype = np.dtype(reference.input["dtype"])
    if dtype == np.float32:
        return floats, floats
    scale, zero = reference.input["quantization"]
    info = np.iinfo(dtype)
    whole = np.clip(np.round(floats / scale) + zero, info.min, info.max)
    return whole, ((whole - zero) * scale).astype(np.float32)


def both(
    loaded: LoadedModel, content: bytes, gates: tuple[int, ...], floats: Array
) -> tuple[Array, Array, list[Array], list[Array]]:
    """Return outputs and gates, ours and the interpreter's, for the same images."""
    reference = Reference(content)
    whole, real = fed(reference, floats)
    theirs: list[Array] = []
    their_gates: list[list[Array]] = []
    for image in whole:
        reference.run(image)
        theirs.append(reference.answer().reshape(-1))
        their_gates.append([reference.tensor(t).reshape(-1) for t in gates])
    found = seviz.find(loaded.model, loaded.preprocessing.input_size)
    assert len(found.blocks) == len(gates)
    batch = torch.from_numpy(real).permute(0, 3, 1, 2)
    with Tap(loaded.model, found) as tap, torch.no_grad():
        outputs = loaded.model(batch).numpy()
        mine = [gate.numpy() for gate in tap.take().values()]
    return outputs, np.stack(theirs), mine, [np.stack(g) for g in zip(*their_gates, strict=True)]


@pytest.mark.parametrize("kind", ["float", "half"])
def test_outputs_and_gates_are_the_interpreters(kind: str, tmp_path: Path) -> None:
    file = network(kind)
    loaded = load(file.content, tmp_path)
    ours, theirs, mine, their_gates = both(loaded, file.content, file.gates, images(6, seed=5))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    for a, b in zip(mine, their_gates, strict=True):
        assert b.std() > 0.1  # they move, so that being near says something
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["uint8", "int8", "int8 per channel"])
def test_whole_numbers_are_the_interpreters(kind: str, tmp_path: Path) -> None:
    """All but single numbers are the same whole numbers, so nearly all gates are equal."""
    file = network(kind)
    loaded = load(file.content, tmp_path)
    ours, theirs, mine, their_gates = both(loaded, file.content, file.gates, images(6, seed=5))
    assert (ours.argmax(1) == theirs.argmax(1)).all()
    assert np.abs(ours - theirs).max() < 1 / 200  # of the interpreter's, which are rounded to 1/256
    for a, b in zip(mine, their_gates, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9999
        assert np.mean(np.abs(a - b) < 1e-6) > 0.99


def test_weights_of_8_bits_alone(tmp_path: Path) -> None:
    """The interpreter rounds the maps before each layer as well, which is not done here, and said."""
    file = network("dynamic")
    loaded = load(file.content, tmp_path)
    _, _, mine, their_gates = both(loaded, file.content, file.gates, images(6, seed=5))
    for a, b in zip(mine, their_gates, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    assert any("weights of int8" in note for note in loaded.notes)


def test_blocks_and_parameters(tmp_path: Path) -> None:
    loaded = load(network("float").content, tmp_path)
    found = seviz.find(loaded.model, loaded.preprocessing.input_size)
    assert [(b.name, b.path, b.channels, b.hidden, b.gate) for b in found.blocks] == [
        ("SE_2_1", "net.block1", 8, 4, "hardsigmoid"),
        ("SE_3_1", "net.block2.se", 16, 4, "sigmoid"),
        ("SE_4_1", "net.block3.se", 24, 6, "sigmoid"),
    ]
    graph, _ = se_network()
    # Every floating-point constant but the 3 and the 1/6 of the hard sigmoid.
    numbers = [t.values.size for t in graph.tensors if t.values is not None]
    kinds = [t.dtype for t in graph.tensors if t.values is not None]
    weights = [n for n, kind in zip(numbers, kinds, strict=True) if kind == "float32" and n > 1]
    assert loaded.params == sum(weights)
    assert {"net.stem.conv.weight", "net.block2.se.fc0.fc.bias"} <= set(loaded.model.state_dict())
    assert loaded.format == "TFLite"


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_a_gate_is_called_the_same_in_whole_numbers(kind: str, tmp_path: Path) -> None:
    loaded = load(network(kind).content, tmp_path)
    found = seviz.find(loaded.model, loaded.preprocessing.input_size)
    assert [b.gate.partition(" ")[0] for b in found.blocks] == ["hardsigmoid", "sigmoid", "sigmoid"]


def test_macs(tmp_path: Path) -> None:
    """Counted by hand: outputs times kernel times channels of each layer."""
    loaded = load(network("float").content, tmp_path)
    cost = network_cost(loaded.model, (3, 33, 33))
    stem = 17 * 17 * 8 * 9 * 3
    block1 = 8 * 4 * 2
    block2 = 17 * 17 * 16 * 8 + 9 * 9 * 16 * 25 + 16 * 4 * 2 + 9 * 9 * 16 * 16
    block3 = 5 * 5 * 24 * 9 * 16 + 24 * 6 * 2
    assert cost.macs == stem + block1 + block2 + block3 + 24 * 10


# What the file says of its images and classes


def small(classes: int, shape: tuple[int, ...] = (1, 8, 6, 3), *, dtype: str = "float32") -> bytes:
    """Return a network of one mean and one layer; of whole numbers where that is asked for."""
    graph = Graph()
    x = graph.image(*shape)
    axes = graph.constant("axes", [1, 2] if shape[-1] == 3 else [2, 3], "int32")
    x = graph.op("MEAN", (x, axes), "mean", (1, 3), "ReducerOptions", KeepDims=False)
    rng = np.random.default_rng(0)
    weight = graph.constant("fc/weight", rng.normal(size=(classes, 3)))
    bias = graph.constant("fc/bias", rng.normal(size=classes))
    x = graph.op(
        "FULLY_CONNECTED", (x, weight, bias), "fc/out", (1, classes), "FullyConnectedOptions"
    )
    graph.outputs.append(x)
    if dtype != "float32":
        zero = {"uint8": 128, "int8": -1}[dtype]
        graph.tensors[0] = Tensor("image", shape, dtype, None, (1 / 127,), (zero,))
        graph.tensors.append(Tensor("real", shape))
        place = len(graph.tensors) - 1
        graph.ops[0].inputs = (place, axes)
        graph.ops.insert(0, Op("DEQUANTIZE", (0,), (place,), "DequantizeOptions"))
    return graph.write()


@pytest.mark.parametrize(("dtype", "zero"), [("uint8", 128), ("int8", -1)])
def test_pixels_are_what_the_input_says(dtype: str, zero: int, tmp_path: Path) -> None:
    said = load(small(4, dtype=dtype), tmp_path).preprocessing
    assert said.input_size == (3, 8, 6)
    lowest = {"uint8": 0, "int8": -128}[dtype]
    for pixel in (0, 100, 255):  # stored as it is, or 128 less
        wanted = (pixel + lowest - zero) / 127
        found = [(pixel / 255 - m) / s for m, s in zip(said.mean, said.std, strict=True)]
        assert found == pytest.approx([wanted] * 3, abs=1e-6)
    assert said.assumed == ("crop_pct",)


def test_floating_point_images_are_assumed(tmp_path: Path) -> None:
    said = load(small(4), tmp_path).preprocessing
    assert (said.mean, said.std) == (Preprocessing().mean, Preprocessing().std)
    assert said.assumed == ("mean", "std", "crop_pct")


def test_channels_first(tmp_path: Path) -> None:
    content = small(4, (1, 3, 8, 6))
    loaded = load(content, tmp_path)
    assert loaded.preprocessing.input_size == (3, 8, 6)
    reference = Reference(content)
    image = np.random.default_rng(1).normal(size=(3, 8, 6)).astype(np.float32)
    reference.run(image)
    with torch.no_grad():
        ours = loaded.model(torch.from_numpy(image)[None]).numpy()
    np.testing.assert_allclose(ours[0], reference.answer()[0], rtol=1e-5, atol=1e-6)


def test_a_thousand_and_one_outputs(tmp_path: Path) -> None:
    loaded = load(small(1001), tmp_path)
    assert loaded.classes is not None
    assert loaded.classes.labels[:2] == ["background", "tench"]
    chosen = loaded.classes.choose(["senet-paper"])
    known = imagenet_classes()
    assert [c.row for c in chosen] == [c.row + 1 for c in known.choose(["senet-paper"])]
    assert [c.index for c in loaded.classes.classes] == list(range(1001))
    assert any("background" in note for note in loaded.notes)
    assert load(small(1000), tmp_path).classes is None


def test_folders_count_for_the_outputs_behind_the_background(tmp_path: Path) -> None:
    """A network that always answers with output 2 is right on images of ImageNet's class 1."""
    content = small(1001)
    graph_bias = np.zeros(1001, dtype=np.float32)
    graph_bias[2] = 100
    loaded = load(content, tmp_path)
    with torch.no_grad():
        loaded.model.get_submodule("fc").bias.copy_(torch.from_numpy(graph_bias))  # type: ignore[operator, union-attr]
    for wnid in ("n01440764", "n01443537"):  # classes 0 and 1: tench, goldfish
        (tmp_path / "val" / wnid).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "val" / wnid / "a.png")
    record, _ = answers(loaded, str(tmp_path / "val"), PassOptions())
    assert record.classes.labels == ["tench", "goldfish"]
    assert record.top1 == 0.5
    assert imagenet_with_background().classes[2].label == "goldfish"


def photos(folder: Path) -> Path:
    """Write two folders of noise."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, size=(33, 33, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "data" / name / f"{number}.png")
    return folder / "data"


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_folding_gives_the_network_with_its_gates_held(kind: str, tmp_path: Path) -> None:
    loaded = load(network(kind).content, tmp_path)
    gates = {
        b.name: np.linspace(0.1, 0.9, b.channels)
        for b in seviz.find(loaded.model, (3, 33, 33)).blocks
    }
    folded = seviz.fold(loaded, ["SE_2_1", "SE_3_1"], gates)
    assert folded.difference < 1e-5
    assert folded.params_before - folded.params_after == (8 * 4 * 2 + 4 + 8) + (16 * 4 * 2 + 4 + 16)
    assert [b.name for b in seviz.find(folded.loaded.model, (3, 33, 33)).blocks] == ["SE_2_1"]
    with pytest.raises(seviz.SevizError, match=r"NAME.pt2 for network.tflite"):
        folded.save(tmp_path / "slim.pt")


@pytest.mark.nightly
def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(network("uint8").content, tmp_path)
    file, data = str(tmp_path / "network.tflite"), str(photos(tmp_path))
    assert main(["inspect", file, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [b["name"] for b in document["blocks"]] == ["SE_2_1", "SE_3_1", "SE_4_1"]
    assert main(["activations", file, "--data", data, "-o", str(tmp_path / "out"), "-q"]) == 0
    assert (tmp_path / "out" / "activations.png").is_file()
    words = ["--blocks", "SE_2_1", "--record", str(tmp_path / "out"), "--pairs", "0"]
    assert main(["fold", file, *words, "-o", str(tmp_path / "slim.pt2"), "-q"]) == 0
    program = torch.export.load(tmp_path / "slim.pt2").module()
    with torch.no_grad():
        assert program(torch.zeros(3, 3, 33, 33)).shape == (3, 10)


# Google's MobileNetV3-Small, where it is at hand


@pytest.mark.skipif(not REAL, reason="SEVIZ_TFLITE names mobilenet_v3_small_in1k.tflite")
def test_mobilenet_v3_small() -> None:
    import timm

    from seviz.networks.formats.tflite.schema import read_graph

    content = Path(REAL).read_bytes()
    loaded = seviz.load(REAL)
    found = seviz.find(loaded.model, (3, 224, 224))
    assert len(found.blocks) == 9
    original = timm.create_model("tf_mobilenetv3_small_100", pretrained=False)
    # One output more: the background.
    size = (3, 224, 224)
    assert network_cost(loaded.model, size).macs == network_cost(original, size).macs + 1024
    same = seviz.find(original, (3, 224, 224)).blocks
    assert [(b.channels, b.hidden) for b in found.blocks] == [(b.channels, b.hidden) for b in same]
    graph = read_graph(content, "real")
    gates = [
        min(o.inputs, key=lambda t: np.prod(graph.tensors[t].shape))
        for o in graph.operators
        if o.kind == "MUL" and all(graph.tensors[t].numbers is None for t in o.inputs)
    ]
    ours, theirs, mine, their_gates = both(loaded, content, tuple(gates), images(20, 224, seed=3))
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.9
    for block, a, b in zip(found.blocks, mine, their_gates, strict=True):
        if block.name in CONSTANT:
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
            assert len(np.unique(a)) == 1
        else:
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] >= 0.98


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("way", ["DEQUANTIZE", "RESHAPE"])
def test_shares_behind_their_steps_keep_their_order(kind: str, way: str, tmp_path: Path) -> None:
    """Rounded to 1/256, small shares are equal; the order is that of what they are made from."""
    graph, _ = se_network()
    whole = quantised(graph, kind, per_channel=False, images=images(8))
    (shares,) = whole.outputs
    last = whole.tensors[shares]
    if way == "DEQUANTIZE":
        made_of = Tensor("float shares", last.shape)
    else:
        made_of = Tensor("flat", last.shape, last.dtype, None, last.scale, last.zero)
    place = whole.add(made_of)
    inputs = (shares,)
    if way == "RESHAPE":
        inputs = (shares, whole.constant("shape", last.shape, "int32"))
    whole.ops.append(Op(way, inputs, (place,)))
    whole.outputs = [place]
    loaded = load(whole.write(), tmp_path)
    batch = torch.from_numpy(images(6, seed=5)).permute(0, 3, 1, 2)
    with torch.no_grad():
        ours = loaded.model(batch)
    torch.testing.assert_close(ours.sum(1), torch.ones(6))
    assert ((ours * 256 - (ours * 256).round()).abs() > 0.01).any(1).all()  # no steps


def with_files(content: bytes, files: dict[str, bytes]) -> bytes:
    """Return a network with files packed behind it, as TensorFlow Lite's metadata writer does."""
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return whole.getvalue()


NAMES = [f"kind {i}" for i in range(10)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "\n".join(NAMES)),
        ("labelmap.txt", "".join(f"{i} {n}\r\n" for i, n in enumerate(NAMES))),
        ("labels.json", json.dumps(NAMES)),
    ],
)
def test_labels_packed_into_the_file(name: str, text: str, tmp_path: Path) -> None:
    packed = {"notes.txt": b"trained for long\n", name: text.encode()}
    loaded = load(with_files(network("float").content, packed), tmp_path)
    assert loaded.classes is not None
    assert loaded.classes.labels == NAMES
    assert any(f"named by {name}, packed into the file" in note for note in loaded.notes)


@pytest.mark.parametrize(
    "content",
    [
        with_files(network("float").content, {"labels.txt": b"cat\ndog\n"}),
        with_files(network("float").content, {"labels.txt": b"\xff\xfe\xff" * 99}),
        with_files(network("float").content, {"labels.txt": "\n".join(NAMES).encode()})[:-9],
    ],
    ids=["two for ten", "no text", "cut off"],
)
def test_other_packed_files_name_nothing(content: bytes, tmp_path: Path) -> None:
    loaded = load(content, tmp_path)
    plain = load(network("float").content, tmp_path)
    assert loaded.notes == plain.notes
    assert (loaded.classes is None) == (plain.classes is None)
