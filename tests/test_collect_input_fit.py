"""The fit check: misfits equal NumPy's, the right way is named, and nothing is said without ground."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run, at_night
from PIL import Image
from synthetic import make_header
from torch import nn

import seviz
from seviz.collect.input_fit import check_input, misfits
from seviz.collect.input_ways import other_shapes
from seviz.collect.observers.norm_inputs import NormInputs, is_new, memory
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.prepared import Prepared
from seviz.data import build_transform, open_source
from seviz.networks import LoadedModel, save_checkpoint
from seviz.networks.architectures.registry import build
from seviz.results.classes import ClassTable
from seviz.results.header import Header
from seviz.results.input_fit import InputFit, Limits, OtherNetwork
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record

PLAIN = Preprocessing((3, 24, 24), (0.0,) * 3, (1.0,) * 3, "bilinear", 1.0, "ours")
IMAGENET = replace(PLAIN, mean=Preprocessing().mean, std=Preprocessing().std)
HALF = replace(PLAIN, mean=(0.5,) * 3, std=(0.5,) * 3)
BYTES = replace(PLAIN, std=(1 / 255,) * 3)
BLUE_FIRST = replace(
    IMAGENET, channel_order="bgr", mean=IMAGENET.mean[::-1], std=IMAGENET.std[::-1]
)
STRETCHED = replace(IMAGENET, crop_mode="squash")


def divergence(x: np.ndarray, mean: np.ndarray, var: np.ndarray) -> float:
    """Return the misfit of what enters a norm [N, C, H, W], from its definition."""
    seen = x.astype(np.float64).transpose(1, 0, 2, 3).reshape(x.shape[1], -1)
    ratio = seen.var(axis=1) / var
    kl = 0.5 * (ratio - 1 - np.log(ratio) + (seen.mean(axis=1) - mean) ** 2 / var)
    return float(np.minimum(kl, 1).mean())


def smooth(rng: np.random.Generator, height: int, width: int, colour: float) -> Image.Image:
    """Return an image with large shapes, more red than blue: other sizes and orders are other images."""
    coarse = rng.normal([150, 110, 50 + colour], [60, 40, 25], (6, 8, 3))
    image = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8)).resize((width, height))
    noise = rng.normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def folder(root: Path, classes: int = 6, each: int = 24, size: tuple[int, int] = (24, 24)) -> Path:
    rng = np.random.default_rng(0)
    for k in range(classes):
        (root / f"class_{k}").mkdir(parents=True)
        for i in range(each):
            smooth(rng, *size, 5 * k).save(root / f"class_{k}" / f"{i:02}.png")
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 144 images of six classes, 24 x 24."""
    return folder(tmp_path_factory.mktemp("fit") / "d")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 144 images of six classes, 24 x 72."""
    return folder(tmp_path_factory.mktemp("fit") / "w", size=(24, 72))


def remembering(data: Path, prepared: Preprocessing, classes: int = 6) -> LoadedModel:
    """Return a network whose norms remember the images of a folder exactly, prepared in some way."""
    torch.manual_seed(0)
    channels = prepared.input_size[0]
    network = build("se_resnet14", num_classes=classes, widths=(8, 8, 16), in_chans=channels)
    source, transform = open_source(str(data)), build_transform(prepared)
    batch = torch.stack([transform(source.image(i)) for i in range(len(source))])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches; there is one
    with torch.no_grad():
        network.train()(batch)
    network.eval()
    return LoadedModel(network, "net", "se_resnet14", "0" * 64, None, prepared)


def trained(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """Return a norm that has seen an image."""
    norm.train()(torch.ones(1, norm.num_features, 2, 2))
    return norm


def ready(loaded: LoadedModel, data: Path | str, **options: Any) -> Prepared:
    return prepare(loaded, str(data), PassOptions(labels="data", **{"workers": 0, **options}))


# -------------------------------------------------------------------------------------------------
# The misfit


def test_misfits_are_those_of_the_definition() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4)
    )
    for name, tensor in model.state_dict().items():
        if "running" in name:
            tensor.uniform_(0.3, 1.2)
    model.eval()
    x = torch.randn(9, 3, 10, 12) + 0.4
    seen = NormInputs(model, 6)
    for part in x.split(4):
        seen.update(part)
    with torch.no_grad():
        first, second = model[:1](x).numpy(), model[:4](x).numpy()
    expected = [
        divergence(inputs, norm.running_mean.numpy(), norm.running_var.numpy())
        for inputs, norm in ((first, model[1]), (second, model[4]))
    ]
    assert seen.compute() == pytest.approx(expected, rel=1e-5)
    assert seen.images == 9


def test_only_the_first_norms_and_no_further() -> None:
    reached = []
    last = nn.Linear(4, 2)
    last.register_forward_pre_hook(lambda *_: reached.append(1))
    model = nn.Sequential(
        *(nn.BatchNorm2d(4) for _ in range(3)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last
    ).eval()
    seen = NormInputs(model, 2)
    seen.update(torch.randn(2, 4, 3, 3))
    assert len(seen.compute()) == 2
    assert reached == [1]  # one image went through, to learn which norms come first
    assert not any(m._forward_pre_hooks for m in model[:3])


def test_a_norm_that_is_shared_is_left_out() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn, self.own = nn.BatchNorm2d(2), nn.BatchNorm2d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.bn(self.own(self.bn(x)))

    model = Shared().eval()
    model.own.running_mean += 1
    seen = NormInputs(model, 1)
    seen.update(torch.randn(8, 2, 4, 4))
    (value,) = seen.compute()
    assert value > 0.2  # that of `own`, whose mean is one deviation away


def test_norms_of_one_dimension_and_halves() -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12)).half().eval()
    x = torch.randn(64, 3, 2, 2)
    seen = NormInputs(model, 6)
    seen.update(x.half())
    expected = divergence(
        x.half().float().flatten(1)[:, :, None, None].numpy(), np.zeros(12), np.ones(12)
    )
    assert seen.compute() == pytest.approx([expected], rel=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_norms_of_keras(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras_models").keras  # on PyTorch
    from seviz.networks.formats.keras.files import read_keras

    layers = keras.layers
    norm = layers.BatchNormalization()
    inputs = keras.Input((8, 10, 3))
    x = layers.GlobalAveragePooling2D()(norm(layers.Conv2D(5, 3)(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(x))
    rng = np.random.default_rng(0)
    mean, var = rng.uniform(-0.5, 0.5, 5), rng.uniform(0.3, 2, 5)
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(var)
    model.save(tmp_path / "x.keras")
    network = read_keras(tmp_path / "x.keras").model
    pixels = rng.normal(size=(7, 3, 8, 10)).astype(np.float32)
    seen = NormInputs(network, 6)
    seen.update(torch.from_numpy(pixels))
    before = keras.Model(inputs, model.layers[1].output)
    maps = np.asarray(before.predict(pixels.transpose(0, 2, 3, 1), verbose=0))
    expected = divergence(maps.transpose(0, 3, 1, 2), mean, var)
    assert seen.compute() == pytest.approx([expected], rel=1e-4)


def test_what_remembers() -> None:
    assert is_new(nn.BatchNorm2d(3))
    assert not is_new(trained(nn.BatchNorm2d(3)))
    assert not is_new(nn.GroupNorm(1, 3))
    assert memory(nn.BatchNorm2d(3)) is not None
    assert memory(nn.BatchNorm2d(3, track_running_stats=False)) is None
    assert memory(nn.GroupNorm(1, 3)) is None


# -------------------------------------------------------------------------------------------------
# What is said


@pytest.mark.parametrize("prepared", [PLAIN, IMAGENET, HALF, BYTES, BLUE_FIRST])
def test_the_right_way_fits(images: Path, prepared: Preprocessing) -> None:
    fit = check_input(ready(remembering(images, prepared), images))
    assert fit.verdict == "fits"
    assert fit.images == 64
    assert fit.norms == 6
    assert fit.misfit < 0.03
    assert "fits what the network remembers" in fit.sentence


@pytest.mark.parametrize(
    ("right", "taken", "options"),
    [
        (PLAIN, IMAGENET, "--mean 0 0 0 --std 1 1 1"),
        (IMAGENET, PLAIN, "--mean 0.485 0.456 0.406 --std 0.229 0.224 0.225"),
        (HALF, PLAIN, "--mean 0.5 0.5 0.5 --std 0.5 0.5 0.5"),
        (BYTES, HALF, "--mean 0 0 0 --std 0.003922 0.003922 0.003922"),
        (PLAIN, BYTES, "--mean 0 0 0 --std 1 1 1"),
        (
            BLUE_FIRST,
            IMAGENET,
            "--channel-order bgr --mean 0.406 0.456 0.485 --std 0.225 0.224 0.229",
        ),
        (
            IMAGENET,
            replace(IMAGENET, channel_order="bgr"),
            "--channel-order rgb",
        ),
        at_night((IMAGENET, replace(IMAGENET, input_size=(3, 48, 48)), "--input-size 3 24 24")),
        pytest.param(
            *(IMAGENET, replace(IMAGENET, input_size=(3, 96, 96)), "--input-size 3 24 24"),
            marks=pytest.mark.nightly,
        ),
        (
            PLAIN,
            replace(IMAGENET, input_size=(3, 48, 48), crop_pct=0.875),
            "--input-size 3 24 24 --mean 0 0 0 --std 1 1 1",
        ),
    ],
)
def test_the_way_that_fits_is_named(
    images: Path, right: Preprocessing, taken: Preprocessing, options: str
) -> None:
    loaded = replace(remembering(images, right), preprocessing=taken)
    fit = check_input(ready(loaded, images))
    assert fit.is_alarm
    assert fit.options == options
    assert fit.better_misfit < 0.25 * fit.than
    assert f"fits better (misfit {fit.better_misfit:.3f}" in fit.sentence
    assert fit.sentence.endswith(options)


def test_stretched_or_cropped(wide: Path) -> None:
    loaded = replace(remembering(wide, STRETCHED), preprocessing=IMAGENET)
    fit = check_input(ready(loaded, wide))
    if fit.is_alarm:
        assert "--crop-mode squash" in fit.options
    assert fit.misfit > misfits(ready(loaded, wide), STRETCHED)[0]


def test_other_images_than_in_training(images: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(6):
        (tmp_path / f"{k}").mkdir()
        for i in range(12):
            noise = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / f"{k}" / f"{i}.png")
    fit = check_input(ready(remembering(images, IMAGENET), tmp_path))
    assert fit.verdict == "does not fit"
    assert fit.better == "" or fit.better_misfit > 0.1
    assert not fit.better or "fits better" in fit.sentence


def test_one_class_alone_is_judged_mildly(tmp_path: Path) -> None:
    data = folder(tmp_path / "d", classes=1, each=70)
    loaded = remembering(data, IMAGENET)
    fit = check_input(
        ready(replace(loaded, preprocessing=replace(IMAGENET, std=(0.25,) * 3)), data)
    )
    assert fit.limit == 0.45
    assert not fit.is_alarm
    assert check_input(ready(replace(loaded, preprocessing=BYTES), data)).is_alarm


@pytest.mark.parametrize(
    ("model", "each", "why"),
    [
        (nn.Identity(), 20, "no batch norm"),
        (nn.GroupNorm(1, 3), 20, "no batch norm"),
        (nn.BatchNorm2d(3), 20, "have seen no images"),
        (trained(nn.BatchNorm2d(3)), 2, "12 images of 16"),
    ],
)
def test_what_cannot_be_said(tmp_path: Path, model: nn.Module, each: int, why: str) -> None:
    data = folder(tmp_path / "d", each=each)
    network = nn.Sequential(model, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    loaded = LoadedModel(network.eval(), "net", "net", "0" * 64, None, PLAIN)
    fit = check_input(ready(loaded, data, require_se=False))
    assert fit.verdict == "cannot be said"
    assert not fit.is_alarm
    assert why in fit.sentence


def test_images_that_cannot_be_read_are_no_images(tmp_path: Path) -> None:
    data = folder(tmp_path / "d", each=3)
    loaded = remembering(data, IMAGENET)
    for i in range(3):
        (data / "class_0" / f"{i:02}.png").write_bytes(b"no image")
    fit = check_input(ready(loaded, data))
    assert fit.images == 15
    assert "15 images of 16" in fit.sentence


def test_few_images_are_judged_mildly(images: Path, tmp_path: Path) -> None:
    loaded = remembering(images, PLAIN)
    data = folder(tmp_path / "d", each=5)
    fit = check_input(ready(loaded, data))
    assert (fit.images, fit.limit, fit.verdict) == (30, 0.45, "seems to fit")
    assert "so few images" in fit.sentence
    assert fit.alike == ()
    fit = check_input(ready(replace(loaded, preprocessing=IMAGENET), data))
    assert fit.verdict == "does not fit"
    assert fit.options == "--mean 0 0 0 --std 1 1 1"


def test_what_is_as_good_is_no_misfit(images: Path) -> None:
    # CIFAR-10's constants are nearly ImageNet's; pixels from 0 to 255 are not.
    fit = check_input(ready(remembering(images, IMAGENET), images))
    assert "CIFAR-10's mean and std" in fit.alike
    assert (
        "half or twice the size" in fit.alike
    )  # none was tried, since nothing is left to be better
    assert not any("255" in name for name in fit.alike)
    assert f"not told apart from {fit.alike[0]}" in fit.sentence


class OneSize(nn.Module):
    """Takes images of 24 x 24 alone."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2:] != (24, 24):
            raise ValueError("24 x 24")
        return self.net(x)


def test_sizes_that_were_not_tried_are_not_told_apart(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something is left for another size to be better at, and the network takes no other one."""
    nothing_is_chance = Limits(0.08, 0.25, 0.0)
    monkeypatch.setattr(Limits, "of", lambda *_: nothing_is_chance)
    loaded = remembering(images, IMAGENET)
    sizes = {"12 x 12 pixels (not tried)", "48 x 48 pixels (not tried)"}
    tried = check_input(ready(loaded, images))
    assert not sizes & set(tried.alike)
    fit = check_input(ready(replace(loaded, model=OneSize(loaded.model)), images))
    assert fit.verdict == "fits"
    assert sizes <= set(fit.alike)


def test_no_size_is_tried_that_takes_as_long_as_a_pass() -> None:
    def tried(size: int) -> list[int]:
        (ways,) = other_shapes(replace(IMAGENET, input_size=(3, size, size)), None, every=False)
        return [way.prepared.input_size[1] for way in ways]

    assert tried(112) == [224, 56]
    assert tried(224) == [112]
    assert tried(1) == [2]  # half of it is nothing


def test_it_depends_on_no_batch_size_and_leaves_no_trace(images: Path) -> None:
    loaded = replace(remembering(images, HALF), preprocessing=PLAIN)
    before = {k: v.clone() for k, v in loaded.model.state_dict().items()}
    loaded.model.train()
    fits = [
        check_input(ready(loaded, images, **options))
        for options in ({}, {"batch_size": 7}, {"workers": 1}, {"fast": False})
    ]
    assert all(m.training for m in loaded.model.modules())
    assert all(torch.equal(v, before[k]) for k, v in loaded.model.state_dict().items())
    for fit in fits[1:]:
        assert fit.better == fits[0].better
        assert fit.misfit == pytest.approx(fits[0].misfit, rel=1e-6)


@pytest.mark.parametrize("squeeze", [at_night(True), False])
def test_networks_of_equal_weights_are_told_apart_over_all_norms(
    images: Path, tmp_path: Path, squeeze: bool
) -> None:
    """The squeeze computed, or not: no tensor tells, and nobody says it; the norms remember which it was."""
    torch.manual_seed(0)
    trained_one = build("senet_notes", num_classes=6, filters=8, blocks=2, squeeze=squeeze)
    source, transform = open_source(str(images)), build_transform(PLAIN)
    batch = torch.stack([transform(source.image(i)) for i in range(len(source))])
    for module in trained_one.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for name, weight in trained_one.named_parameters():
            if "se_block" in name and weight.dim() > 1:
                weight.mul_(8)  # gates that look at the image, as training makes them
        trained_one.train()(batch)
    torch.save(trained_one.state_dict(), tmp_path / "bare.pt")

    loaded = seviz.load(tmp_path / "bare.pt", preprocessing=PLAIN)
    assert loaded.arch == "senet_notes"
    now = ready(loaded, images, require_se=False)
    fit = check_input(now)
    other = fit.other
    assert other is not None
    assert other.option == "--arch-args squeeze=false"
    assert (other.fits_worse, other.fits_better) == (squeeze, not squeeze), other
    assert fit.is_alarm == (not squeeze)
    assert fit.sentence.endswith("give --arch-args squeeze=false") == (not squeeze)
    # It is the network that does not fit, and not the images.
    start = "the input fits" if squeeze else "the weights fit another network too"
    assert fit.sentence.startswith(start)
    # By hand: what leaves a misfit is the network that was not trained.
    built = build("senet_notes", num_classes=6, filters=8, blocks=2, squeeze=not squeeze)
    built.load_state_dict(trained_one.state_dict())
    seen = NormInputs(built.eval(), 999)
    seen.update(batch)
    assert max(other.misfit, other.than) > 0.5 * np.mean(seen.compute()) > 0.005

    assert InputFit.from_dict(json.loads(json.dumps(asdict(fit)))) == fit
    # Who says which it is, is not asked.
    for said in (True, False):
        named = seviz.load(
            tmp_path / "bare.pt",
            arch="senet_notes",
            arch_args={"squeeze": said},
            preprocessing=PLAIN,
        )
        assert check_input(ready(named, images, require_se=False)).other is None


def test_too_few_images_tell_no_networks_apart() -> None:
    near = OtherNetwork("--arch-args squeeze=false", 0.02, 0.09, chance=0.1)
    assert not near.fits_better
    assert "do not tell" in near.sentence
    assert not InputFit(images=20, norms=3, other=near).is_alarm
    alike = OtherNetwork("--arch-args squeeze=false", 0.02, 0.03)
    assert "do not tell" in alike.sentence


# -------------------------------------------------------------------------------------------------
# Where it is said


def test_a_record_keeps_it(images: Path, tmp_path: Path) -> None:
    loaded = replace(remembering(images, HALF), preprocessing=PLAIN)
    options = PassOptions(labels="data", workers=0)
    with pytest.warns(seviz.RecordWarning, match=r"--mean 0\.5 0\.5 0\.5"):
        record = seviz.collect(loaded, str(images), options)
    fit = record.header.fit
    assert fit is not None
    assert fit.is_alarm
    record.save(tmp_path)
    assert Record.load(tmp_path).header.fit == fit
    assert fit.sentence in seviz.findings(record).warnings
    (said,) = seviz.findings(record).warnings[:1]
    assert said == fit.sentence


def test_the_worse_of_two_parts_stands_for_both(images: Path) -> None:
    loaded = remembering(images, HALF)
    options = PassOptions(labels="data", workers=0)
    right = seviz.collect(loaded, str(images), options)
    assert right.header.fit is not None
    bad = replace(right.header.fit, misfit=0.5)
    other = replace(right, header=replace(right.header, fit=bad))
    assert (right + other).header.fit == (other + right).header.fit == bad
    older = replace(right, header=replace(right.header, fit=None))
    assert (older + right).header.fit == right.header.fit
    assert (older + older).header.fit is None


@pytest.mark.usefixtures("no_figures")
def test_the_command_line_says_it(run: Run, images: Path, elsewhere: Path) -> None:
    loaded = remembering(images, HALF)
    names = sorted(p.name for p in images.iterdir())
    arch_args = {"num_classes": 6, "widths": (8, 8, 16)}
    save_checkpoint(
        "net.pt",
        loaded.model,
        arch="se_resnet14",
        arch_args=arch_args,
        classes=names,
        preprocessing=PLAIN,
    )
    said = run("collect", "net.pt", "--data", images, "--json", "-o", "out")
    assert said.code == 0
    values = json.loads(said.out)
    assert values["input_fit"]["verdict"] == "does not fit"
    assert values["input_fit"]["options"] == "--mean 0.5 0.5 0.5 --std 0.5 0.5 0.5"
    assert values["warnings"][0] == values["input_fit"]["sentence"]
    assert "warning: the input does not fit" in said.err
    said = run("collect", "net.pt", "--data", images, "-o", "out")
    assert "is used again" in said.err
    assert "warning: the input does not fit" in said.err
    fixed = values["input_fit"]["options"].split()
    said = run("confusion", "net.pt", "--data", images, *fixed, "-o", "fixed", "--json")
    assert json.loads(said.out)["input_fit"]["verdict"] == "fits"
    assert "the input fits what the network remembers" in said.err
    assert run("report", "out", "-o", "report").code == 0
    page = next(Path("report").glob("*.html")).read_text(encoding="utf-8")
    assert "the input does not fit what the network remembers" in page


def test_a_record_of_an_older_seviz_does_not_say() -> None:
    values = asdict(make_header(10))
    del values["fit"]
    assert Header.from_dict(values).fit is None


def test_an_ablation_says_it(images: Path) -> None:
    loaded = replace(remembering(images, HALF), preprocessing=BYTES)
    names = sorted(p.name for p in images.iterdir())
    loaded = replace(loaded, classes=ClassTable.from_labels(names))
    notes = seviz.ablate(loaded, str(images), PassOptions(workers=0), by="stage").notes
    (said,) = [note for note in notes if "does not fit" in note]
    assert said.endswith("--mean 0.5 0.5 0.5 --std 0.5 0.5 0.5")
    # The weights of its last layer are random; that is no news where the input does not fit.
    (said,) = [note for note in notes if note.startswith(("top-1 is at", "the network's answers"))]
    assert "preprocessing?" not in said


@pytest.mark.parametrize(("prepared", "verdict"), [(IMAGENET, "fits"), (PLAIN, "does not fit")])
def test_the_first_batch_of_a_loader(images: Path, prepared: Preprocessing, verdict: str) -> None:
    model = remembering(images, IMAGENET).model
    source, transform = open_source(str(images)), build_transform(prepared)
    order = np.random.default_rng(0).permutation(len(source))
    x = torch.stack([transform(source.image(int(i))) for i in order])
    labels = torch.as_tensor(source.labels)[order]
    loader = [(x[i : i + 72], labels[i : i + 72]) for i in (0, 72)]
    said: list[str] = []
    record = seviz.collect(model, loader, tell=said.append, classes=list("abcdef"))
    fit = record.header.fit
    assert fit is not None
    assert (fit.verdict, fit.images) == (verdict, 72)
    first = model.get_submodule("conv1")(x[:72]).detach().numpy()
    norm = model.get_submodule("bn1")
    assert fit.first == pytest.approx(
        divergence(first, norm.running_mean.numpy(), norm.running_var.numpy()), rel=1e-4
    )
    assert any("does not fit" in text for text in said) == (verdict != "fits")


def test_a_check_ends_no_pass(images: Path) -> None:
    class Refusing(nn.Module):
        """Takes no single image."""

        def __init__(self) -> None:
            super().__init__()
            self.net = remembering(images, PLAIN).model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) == 1 and not x.is_meta:
                raise ValueError("two at least")
            return self.net(x)

    loaded = replace(remembering(images, PLAIN), model=Refusing().eval())
    record = seviz.collect(loaded, str(images), PassOptions(labels="data", workers=0))
    assert record.header.images == 144
    assert record.header.fit is not None
    assert record.header.fit.unknown == "ValueError: two at least"
