"""What SE does to one image: as own hooks see it, and as holding gates by hand answers it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from conftest import Refuses, Tiny, sampled
from dialects import SETTABLE, Dialect, set_by_hand, true_gates
from mechanisms import FOREIGN
from PIL import Image
from test_gates_sites import ZOO, hooked
from torch import Tensor, nn

import seviz
from seviz.collect import holding
from seviz.collect.pictures import shown
from seviz.data.transforms import build_transform
from seviz.errors import DataError, NoSEBlockError, UsageError
from seviz.networks import LoadedModel
from seviz.results.image import ImageExplanation
from seviz.results.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def network(tiny: Tiny) -> LoadedModel:
    return seviz.load(tiny.path)


@pytest.fixture(scope="module")
def record(network: LoadedModel, pictures: Path) -> seviz.Record:
    return seviz.collect(network, pictures)


@pytest.fixture(scope="module")
def photo(pictures: Path) -> Path:
    return pictures / "cat" / "03.png"


@pytest.fixture(scope="module")
def explained(network: LoadedModel, photo: Path, record: seviz.Record) -> ImageExplanation:
    return seviz.explain_image(network, photo, record=record, channels=2)


def tensor_of(network: LoadedModel, photo: Path) -> Tensor:
    return build_transform(network.preprocessing)(Image.open(photo))[None]


def se_modules(network: LoadedModel, explained: ImageExplanation) -> dict[str, nn.Module]:
    return {
        b.block.name: network.model.get_submodule(b.block.path) for b in explained.images[0].blocks
    }


@contextmanager
def scaled_by(module: nn.Module, gate: np.ndarray[Any, Any]) -> Iterator[None]:
    """Let an SE module multiply its map by a gate of ours, as a hook that replaces its output."""
    fixed = torch.from_numpy(np.asarray(gate, np.float32))[None, :, None, None]
    handle = module.register_forward_hook(lambda m, args, output: args[0] * fixed)
    yield
    handle.remove()


def test_gates_and_maps_are_what_own_hooks_see(
    network: LoadedModel, explained: ImageExplanation, photo: Path
) -> None:
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    handles = [
        module.register_forward_hook(
            lambda m, args, output, name=name: seen.__setitem__(name, (args[0][0], output[0]))
        )
        for name, module in se_modules(network, explained).items()
    ]
    with torch.no_grad():
        network.model(
            tensor_of(network, photo).repeat(2, 1, 1, 1)
        )  # as it is run: sums may take another order
    for handle in handles:
        handle.remove()
    (image,) = explained.images
    assert len(image.blocks) == 6
    for found in image.blocks:
        before, after = seen[found.block.name]
        for maps in (*found.up, *found.down):
            np.testing.assert_allclose(maps.before, before[maps.channel], rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(maps.after, after[maps.channel], rtol=1e-6, atol=1e-6)
            scaled = maps.before * found.gates[maps.channel]
            np.testing.assert_allclose(maps.after, scaled, rtol=1e-6, atol=1e-6)


def test_channels_are_those_that_moved_most(
    explained: ImageExplanation, record: seviz.Record
) -> None:
    for found in explained.images[0].blocks:
        stats = record.stats(found.block.name)
        moved = found.gates - stats.sum.sum(0) / 60
        order = sorted(range(len(moved)), key=lambda c: -moved[c])
        assert [m.channel for m in found.up] == order[:2]
        assert [m.channel for m in found.down] == order[::-1][:2]
        spread = np.sqrt(stats.sumsq.sum(0) / 60 - (stats.sum.sum(0) / 60) ** 2)
        if not spread.any():
            assert found.unusual is None
            continue
        ratio = np.sqrt((moved**2).mean() / (spread**2).mean())
        assert found.unusual == pytest.approx(ratio, rel=1e-3)


def test_over_the_images_of_the_record_gates_are_usual(
    network: LoadedModel, pictures: Path
) -> None:
    record = seviz.collect(network, pictures, seviz.PassOptions(num_samples=2))
    files = [f for name in ("ant", "cat", "dog") for f in sorted((pictures / name).iterdir())[:2]]
    found = seviz.explain_image(network, files, record=record, blocks=["SE_2_1"])
    squares = [image.blocks[0].unusual ** 2 for image in found.images]  # type: ignore[operator]
    assert np.mean(squares) == pytest.approx(1, rel=1e-3)


def test_the_class_mean_is_that_of_the_answer(
    explained: ImageExplanation, record: seviz.Record
) -> None:
    (image,) = explained.images
    answer = image.top[0]
    rows = [r for r, c in enumerate(record.classes.classes) if c.index == answer.index]
    for found in image.blocks:
        if not rows or not record.count[rows[0]]:
            assert found.own_class is None
        else:
            mean = record.stats(found.block.name).mean[rows[0]]
            np.testing.assert_allclose(found.own_class, mean, rtol=1e-6)


def test_the_answer_and_every_held_one_as_by_hand(
    network: LoadedModel, explained: ImageExplanation, photo: Path, record: seviz.Record
) -> None:
    images = tensor_of(network, photo)
    with torch.no_grad():
        plain = network.model(images)[0].softmax(0).numpy()
    (image,) = explained.images
    assert image.top[0].index == plain.argmax()
    assert [a.probability for a in image.top] == pytest.approx(sorted(plain)[::-1], rel=1e-4)
    assert [a.label for a in image.top] == [network.classes.labels[a.index] for a in image.top]  # type: ignore[union-attr]
    modules = se_modules(network, explained)
    for found in image.blocks:
        mean = record.stats(found.block.name).sum.sum(0) / 60
        for how, gate in (("mean", mean), ("neutral", np.ones_like(mean))):
            with scaled_by(modules[found.block.name], gate), torch.no_grad():
                expected = network.model(images)[0].softmax(0).numpy()
            assert found.held[how].kept == pytest.approx(expected[plain.argmax()], abs=1e-5)
            assert found.held[how].index == expected.argmax()


@pytest.mark.parametrize("ending", [nn.Softmax(1), nn.LogSoftmax(1)], ids=str)
def test_a_network_that_ends_in_a_softmax_gets_no_second_one(
    network: LoadedModel, photo: Path, ending: nn.Module
) -> None:
    images = tensor_of(network, photo)
    with torch.no_grad():
        expected = network.model(images)[0].softmax(0).numpy()
    ended = replace(network, model=nn.Sequential(network.model, ending).eval())
    (image,) = seviz.explain_image(ended, photo).images
    for answer in image.top:
        assert answer.probability == pytest.approx(expected[answer.index], abs=1e-6)


def test_all_held_at_once(network: LoadedModel, explained: ImageExplanation, photo: Path) -> None:
    modules = se_modules(network, explained)
    with ExitStack() as stack, torch.no_grad():
        for found in explained.images[0].blocks:
            stack.enter_context(scaled_by(modules[found.block.name], np.ones(found.block.channels)))
        expected = network.model(tensor_of(network, photo))[0].softmax(0).numpy()
    held = explained.images[0].all_held["neutral"]
    assert held.top[0].probability == pytest.approx(expected.max(), abs=1e-5)
    assert held.index == expected.argmax()


def test_whole_passes_say_the_same(
    network: LoadedModel,
    explained: ImageExplanation,
    photo: Path,
    record: seviz.Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of images so large that what later passes begin with would not fit."""
    monkeypatch.setattr(holding, "MOST_BYTES", 0)
    monkeypatch.setattr(holding, "Rerun", None)
    whole = seviz.explain_image(network, photo, record=record, channels=2)
    for a, b in zip(whole.images[0].blocks, explained.images[0].blocks, strict=True):
        for how in ("mean", "neutral"):
            assert a.held[how].kept == pytest.approx(b.held[how].kept, abs=1e-6)


def test_without_a_record_gates_are_measured_against_one(network: LoadedModel, photo: Path) -> None:
    found = seviz.explain_image(network, str(photo), blocks=["SE_3"])
    assert (found.reference, found.recorded) == ("neutral", 0)
    assert found.against == "1, which leaves a map as it is"
    (image,) = found.images
    assert [b.block.name for b in image.blocks] == ["SE_3_1", "SE_3_2"]
    for block in image.blocks:
        assert set(block.held) == {"neutral"}
        assert block.gates[block.up[0].channel] == block.gates.max()
        assert block.gates[block.down[0].channel] == block.gates.min()
        assert block.unusual is None


@pytest.mark.parametrize("foreign", sampled(FOREIGN, 3), ids=lambda f: f.name)
def test_every_mechanism_can_be_explained(foreign: Any) -> None:
    model = foreign.build()
    options = seviz.PassOptions(mechanism=foreign.key)
    found = seviz.explain_image(model, foreign.example(1, seed=2)[0], options=options, channels=2)
    (image,) = found.images
    with torch.no_grad():
        plain = model(foreign.example(1, seed=2).repeat(2, 1, 1, 1))[0].softmax(0)
    assert image.top[0].index == int(plain.argmax())
    for block in image.blocks:
        assert len(block.gates) == block.block.channels
        for maps in (*block.up, *block.down):
            if not block.block.mechanism.per_pixel:
                scaled = maps.before * block.gates[maps.channel]
                np.testing.assert_allclose(maps.after, scaled, rtol=1e-5, atol=1e-6)
        assert 0 <= block.held["neutral"].kept <= 1


def test_images_of_every_kind_are_the_same_image(network: LoadedModel, photo: Path) -> None:
    pixels = np.asarray(Image.open(photo))
    ways: list[Any] = [photo, Image.open(photo), pixels, tensor_of(network, photo)[0]]
    found = [seviz.explain_image(network, way, blocks=["SE_2_1"]).images[0] for way in ways]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].blocks[0].gates, other.blocks[0].gates)
    # 12 x 12 is the network's own size: what is shown is the picture itself.
    for image in found:
        assert image.picture is not None
        assert np.abs(image.picture.astype(int) - pixels).max() <= 1


def test_names_and_positions_in_a_source(network: LoadedModel, pictures: Path, photo: Path) -> None:
    one, two, three = seviz.explain_image(
        network, ["cat/03.png", "23", 23], data=pictures, blocks=["SE_2_1"]
    ).images
    alone = seviz.explain_image(network, photo, blocks=["SE_2_1"]).images[0]
    assert one.name == two.name == three.name == "cat/03.png"
    for image in (one, two, three):
        np.testing.assert_array_equal(image.blocks[0].gates, alone.blocks[0].gates)


def test_what_is_shown_of_a_tensor() -> None:
    prepared = Preprocessing((3, 2, 2), (0.5, 0.4, 0.3), (0.1, 0.2, 0.5), "bilinear", 1.0)
    pixels = np.array([[[0, 51, 255], [10, 20, 30]], [[1, 2, 3], [255, 254, 0]]], np.uint8)
    values = (pixels / 255 - prepared.mean) / prepared.std
    tensor = torch.from_numpy(values.transpose(2, 0, 1)).float()
    np.testing.assert_array_equal(shown(tensor, prepared), pixels)
    backwards = Preprocessing(
        (3, 2, 2), prepared.mean, prepared.std, "bilinear", 1.0, channel_order="bgr"
    )
    np.testing.assert_array_equal(shown(tensor, backwards), pixels[..., ::-1])
    grey = shown(torch.tensor([[[-1.0, 0.0, 3.0]]]), None)
    np.testing.assert_array_equal(grey, [[[0] * 3, [64] * 3, [255] * 3]])
    assert shown(torch.zeros(5, 4, 4), None) is None
    large = shown(torch.zeros(1, 2000, 1000), None)
    assert large is not None
    assert large.shape == (512, 256, 3)


def test_the_network_is_left_as_it_was(network: LoadedModel, photo: Path) -> None:
    before = {k: v.clone() for k, v in network.model.state_dict().items()}
    hooks = [len(m._forward_hooks) for m in network.model.modules()]
    seviz.explain_image(network, photo)
    assert all(torch.equal(v, before[k]) for k, v in network.model.state_dict().items())
    assert [len(m._forward_hooks) for m in network.model.modules()] == hooks


def test_json(explained: ImageExplanation) -> None:
    document = json.loads(json.dumps(explained.to_dict(), allow_nan=False))
    (image,) = document["images"]
    assert image["top5"][0]["label"] == explained.images[0].top[0].label
    block = image["blocks"][0]
    assert block["name"] == "SE_2_1"
    assert len(block["gates"]) == len(block["reference"]) == block["channels"] == 8
    assert block["held"]["mean"]["top5"][0]["probability"] <= 1
    assert "Explanation of tiny.pt: cat/03.png" not in repr(explained)
    assert "03.png: " in repr(explained)


class Backbone(nn.Module):
    """A network without scores: it returns its map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.fc = nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 8), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y * self.fc(y.mean((2, 3)))[:, :, None, None]


def test_a_network_without_scores_has_gates_and_maps() -> None:
    found = seviz.explain_image(Backbone().eval(), torch.rand(3, 16, 16))
    (image,) = found.images
    assert (image.top, dict(image.all_held)) == ((), {})
    assert len(image.blocks[0].up) == 3


def test_few_channels_are_on_one_side_alone(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), Backbone())
    model[1].conv = nn.Conv2d(8, 8, 1)
    found = seviz.explain_image(model.eval(), torch.rand(3, 8, 8), channels=100)
    (block,) = found.images[0].blocks
    assert len(block.up) == len(block.down) == 4
    assert not {m.channel for m in block.up} & {m.channel for m in block.down}


def test_what_is_refused(
    network: LoadedModel, record: seviz.Record, photo: Path, refuses: Refuses, tmp_path: Path
) -> None:
    damaged = tmp_path / "x.jpg"
    damaged.write_bytes(b"no image")
    with refuses(DataError, "x.jpg"):
        seviz.explain_image(network, damaged)
    with refuses(DataError, "nothing at"):
        seviz.explain_image(network, tmp_path / "none.jpg")
    with refuses(DataError, "a folder at"):
        seviz.explain_image(network, tmp_path)
    with refuses(DataError, "from 0 to 59, found 60"):
        seviz.explain_image(network, 60, data=photo.parents[1])
    with refuses(DataError, "ant/00.png"):
        seviz.explain_image(network, "ant/99.png", data=photo.parents[1])
    with refuses(UsageError, "found none"):
        seviz.explain_image(network, [])
    with refuses(UsageError, "float64"):
        seviz.explain_image(network, np.zeros((4, 4)))
    with refuses(UsageError, "at least 1"):
        seviz.explain_image(network, photo, channels=0)
    with refuses(UsageError, "SE_9"):
        seviz.explain_image(network, photo, blocks=["SE_9"])
    with refuses(DataError, "with other weights"):
        digits = seviz.load(seviz.sample("se_resnet_digits"))
        seviz.explain_image(digits, torch.zeros(1, 32, 32), record=record)
    with pytest.raises(NoSEBlockError):
        seviz.explain_image(nn.Sequential(nn.Conv2d(3, 3, 1)), torch.zeros(3, 8, 8))


# Volumes, which two dialects take, are no pictures.
PICTURED = [d for d in SETTABLE if len(d.input_size) == 3]


@pytest.mark.parametrize("dialect", sampled(PICTURED, 9), ids=lambda d: d.name)
def test_every_dialect_can_be_explained(dialect: Dialect) -> None:
    """Gates are those that the network itself notes down, and answers those with a gate set by hand."""
    model, images = dialect.build(), dialect.example(1, seed=5)
    found = seviz.explain_image(model, images[0], channels=1)
    (image,) = found.images
    with torch.no_grad():
        gates = true_gates(model, images)
    assert len(image.blocks) == len(gates)
    for place, (block, gate) in enumerate(zip(image.blocks, gates, strict=True)):
        np.testing.assert_allclose(block.gates, gate[0].float(), rtol=1e-5, atol=1e-6)
        if image.top and "neutral" in block.held:
            with torch.no_grad(), set_by_hand({place: torch.ones_like(gate)}):
                expected = model(images)[0].double().softmax(0)
            assert block.held["neutral"].kept == pytest.approx(
                float(expected[image.top[0].index]), abs=1e-5
            )


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.nightly) for n in ZOO])
def test_networks_of_the_zoos_can_be_explained(name: str) -> None:
    """Gates and maps are what hooks of ours on the modules of both zoos see."""
    zoo, _, of = name.partition(":")
    torch.manual_seed(0)
    made: Any = timm.create_model if zoo == "timm" else torchvision.models.get_model
    model = made(of).eval()
    example = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    options = seviz.PassOptions(mechanism="all")
    (image,) = seviz.explain_image(model, example[0], options=options, channels=2).images
    truth = hooked(model, example)
    assert len(truth) == len(image.blocks) > 3
    for (given, got), block in zip(truth, image.blocks, strict=True):
        before, after = (m[0].double().numpy() for m in (given, got))
        gates = block.gates[:, None, None]
        np.testing.assert_allclose(gates * before, after, rtol=1e-4, atol=1e-5)
        for maps in (*block.up, *block.down):
            np.testing.assert_allclose(maps.before, before[maps.channel], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(maps.after, after[maps.channel], rtol=1e-4, atol=1e-5)
