"""What training scripts and hubs write of their images, against what the scripts themselves do with it."""

from __future__ import annotations

import json
import types
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from conftest import Refuses
from safetensors.torch import save_file
from timm.data import resolve_data_config
from torch import nn

import seviz
from seviz.data import build_transform
from seviz.errors import CheckpointError
from seviz.networks.written import crop_share, written
from seviz.results.preprocessing import ASSUMED, Preprocessing

KNOWN = Preprocessing(origin="somebody's", assumed=ASSUMED)
# The defaults of timm's train.py.
TIMMS: dict[str, Any] = {
    "img_size": None,
    "input_size": None,
    "in_chans": None,
    "mean": None,
    "std": None,
    "crop_pct": None,
    "interpolation": "",
}
NAME = "lcnet_035"


def timm_network() -> nn.Module:
    return timm.create_model(NAME, num_classes=7)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"img_size": 128},
        {"input_size": [3, 96, 64], "crop_pct": 0.9},
        {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "interpolation": "bilinear"},
        {"mean": [0.5], "std": [0.25], "img_size": 160, "crop_pct": 1.0},
    ],
)
def test_timms_script(tmp_path: Path, given: dict[str, Any]) -> None:
    network = timm_network()
    args = Namespace(model=NAME, num_classes=7, **{**TIMMS, **given})
    state = {"arch": NAME, "args": args, "state_dict": network.state_dict()}
    torch.save(state, tmp_path / "last.pth.tar")
    loaded = seviz.load(tmp_path / "last.pth.tar")
    expected = resolve_data_config(vars(args), model=network)
    found = loaded.preprocessing.to_dict()
    assert {k: found[k] for k in expected} == expected
    assert loaded.preprocessing.assumed == ()
    assert not any("assumed" in note for note in loaded.notes)


@pytest.mark.parametrize(("crop", "resize"), [(224, 256), (224, 232), (176, 176), (240, 277)])
def test_torchvisions_script(crop: int, resize: int) -> None:
    from torchvision.transforms._presets import ImageClassification
    from torchvision.transforms.functional import InterpolationMode

    facts = {
        "args.val_crop_size": crop,
        "args.val_resize_size": resize,
        "args.interpolation": "bilinear",
    }
    prepared = written(facts, KNOWN)
    assert prepared is not None
    assert (prepared.assumed, prepared.origin) == ((), "the checkpoint's args")
    theirs = ImageClassification(
        crop_size=crop, resize_size=resize, interpolation=InterpolationMode.BILINEAR
    )
    image = pictures(60, 90)
    assert torch.allclose(build_transform(prepared)(image), theirs(image), atol=1e-6)


def test_a_crop_share_gives_the_size_back() -> None:
    for crop in range(1, 600, 7):
        for resize in range(crop, crop + 90):
            assert int(crop / crop_share(crop, resize)) == resize


def test_values_of_pixels_as_they_are_stored() -> None:
    facts = {"cfg.mean": [123.675, 116.28, 103.53], "cfg.std": [58.395, 57.12, 57.375]}
    prepared = written(facts, KNOWN)
    assert prepared is not None
    assert prepared.mean == pytest.approx((0.485, 0.456, 0.406))
    assert prepared.std == pytest.approx((0.229, 0.224, 0.225))
    assert prepared.assumed == ("input_size", "crop_pct")
    caffe = written({"mean": [103.94, 116.78, 123.68], "std": [1, 1, 1]}, KNOWN)
    assert caffe is not None
    assert caffe.std == pytest.approx((1 / 255,) * 3)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"args.mean": [0.5, 0.5, 0.5]},
        {"stats.mean": 0.3, "stats.std": 1.2},  # of a target, not of an image
        {"args.mean": [0.5, 0.5], "args.std": [0.5, 0.5]},
        {"args.mean": [0.5] * 3, "args.std": [0.5, 0.0, 0.5]},
        {"args.mean": ["a"] * 3, "args.std": [True] * 3},
        {"args.mean": [float("nan")] * 3, "args.std": [1.0] * 3},
        {"args.img_size": "224"},
        {"args.img_size": -3},
        {"args.image_size": [1, 2, 3, 4]},
        {"args.val_crop_size": 300, "args.val_resize_size": 256, "args.interpolation": "bilinear"},
    ],
)
def test_what_tells_nothing(facts: dict[str, Any]) -> None:
    assert written(facts, KNOWN) is None


def test_a_size_alone_takes_the_whole_image() -> None:
    prepared = written({"hparams.image_size": 64, "hparams.in_chans": 3}, KNOWN)
    assert prepared is not None
    assert (prepared.input_size, prepared.crop_pct) == ((3, 64, 64), 1.0)
    assert prepared.assumed == ("mean", "std")


def hub_folder(folder: Path) -> Path:
    """Write a network as timm's push_to_hf_hub lays it out."""
    folder.mkdir()
    save_file(timm_network().state_dict(), folder / "model.safetensors")
    config = {
        "architecture": NAME,
        "num_classes": 7,
        "label_names": list("abcdefg"),
        "pretrained_cfg": {
            "input_size": [3, 96, 96],
            "mean": [0.5, 0.4, 0.3],
            "std": [0.25, 0.2, 0.3],
            "crop_pct": 0.95,
            "crop_mode": "squash",
            "interpolation": "bilinear",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("named", [".", "model.safetensors"])
def test_a_folder_as_a_hub_gives_it(tmp_path: Path, named: str) -> None:
    loaded = seviz.load(hub_folder(tmp_path / "mine") / named)
    assert loaded.preprocessing == Preprocessing(
        (3, 96, 96),
        (0.5, 0.4, 0.3),
        (0.25, 0.2, 0.3),
        "bilinear",
        0.95,
        crop_mode="squash",
    )
    assert loaded.preprocessing.told_by == "config.json"
    assert loaded.classes is not None
    assert loaded.classes.labels == list("abcdefg")
    assert loaded.name == ("mine" if named == "." else named)
    assert not any("assumed" in note for note in loaded.notes)


def as_a_processor_does(config: dict[str, Any], colour: tuple[int, int, int]) -> list[float]:
    """Return what transformers' processors make of a colour, step by step."""
    x = [float(v) for v in colour]
    if config.get("do_rescale", True):
        x = [v * config.get("rescale_factor", 1 / 255) for v in x]
        x = [v - 1 for v in x] if config.get("rescale_offset") else x
    if config.get("do_normalize", True) and "image_mean" in config:
        x = [
            (v - m) / s
            for v, m, s in zip(x, config["image_mean"], config["image_std"], strict=True)
        ]
        x = [
            v / s if config.get("include_top") else v
            for v, s in zip(x, config["image_std"], strict=True)
        ]
    return x[::-1] if config.get("do_flip_channel_order") else x


NORMALISED: dict[str, Any] = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.25, 0.2, 0.3]}


@pytest.mark.parametrize(
    "config",
    [
        {**NORMALISED, "rescale_factor": 0.00392156862745098},
        {**NORMALISED, "do_normalize": False},
        {**NORMALISED, "rescale_factor": 1 / 127.5, "rescale_offset": True},
        {"do_rescale": False, "image_mean": [123.7, 116.3, 103.5], "image_std": [58.0, 57.0, 56.0]},
        # EfficientNet's, whose deviation is the root of ImageNet's.
        {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.4785, 0.4733, 0.4743]}
        | {"include_top": True, "do_rescale": True, "rescale_offset": False},
        # MobileViT's.
        {"image_processor_type": "MobileViTImageProcessor", "do_flip_channel_order": True},
        {"feature_extractor_type": "X", "do_rescale": True, "rescale_factor": 1.0},
    ],
)
def test_each_step_of_a_processor(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = hub_folder(tmp_path / "mine")
    (folder / "config.json").unlink()
    sized = {**config, "size": {"height": 8, "width": 8}}
    (folder / "preprocessor_config.json").write_text(json.dumps(sized))
    loaded = seviz.load(folder)
    assert loaded.preprocessing.assumed == ()
    from PIL import Image

    for colour in ((0, 0, 0), (255, 128, 7)):
        ours = build_transform(loaded.preprocessing)(Image.new("RGB", (9, 8), colour))
        theirs = as_a_processor_does(config, colour)
        for channel, value in enumerate(theirs):
            assert ours[channel].flatten().tolist() == pytest.approx([value] * 64, abs=1e-4)


@pytest.mark.parametrize(
    ("config", "size", "crop_pct", "crop_mode"),
    [
        ({"size": 80}, 80, 1.0, "squash"),  # as ViT's were
        ({"size": 80, "crop_pct": 0.8}, 80, 0.8, "center"),  # ConvNeXt's
        ({"size": {"shortest_edge": 80}, "crop_pct": 0.8}, 80, 0.8, "center"),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.8}, 384, 1.0, "squash"),
        ({"size": 100, "crop_size": 80, "do_center_crop": True}, 80, 0.8, "squash"),  # BEiT's
    ],
)
def test_the_sizes_of_a_processor(
    tmp_path: Path, config: dict[str, Any], size: int, crop_pct: float, crop_mode: str
) -> None:
    folder = hub_folder(tmp_path / "mine")
    (folder / "config.json").unlink()
    (folder / "preprocessor_config.json").write_text(json.dumps({**NORMALISED, **config}))
    found = seviz.load(folder).preprocessing
    assert (found.input_size, found.crop_pct, found.crop_mode) == (
        (3, size, size),
        crop_pct,
        crop_mode,
    )


@pytest.mark.parametrize(
    "told",
    [
        {"input_space": "BGR"},
        {"channel_order": "bgr"},
        {"bgr": True},
        {"to_rgb": False},
    ],
)
def test_blue_first_is_read(told: dict[str, Any]) -> None:
    """A file's numbers are in the order of the tensor; those of nobody's file are turned with it."""
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    facts = {f"cfg.{key}": value for key, value in {"mean": mean, "std": std, **told}.items()}
    prepared = written(facts, KNOWN)
    assert prepared is not None
    assert (prepared.channel_order, prepared.mean) == ("bgr", (0.1, 0.2, 0.3))
    alone = written({f"cfg.{key}": value for key, value in told.items()}, KNOWN)
    assert alone is not None
    assert (alone.channel_order, alone.mean) == ("bgr", (0.406, 0.456, 0.485))
    assert alone.assumed == ASSUMED
    other = {key: {"BGR": "RGB", "bgr": "rgb"}.get(value, not value) for key, value in told.items()}
    assert written({f"cfg.{key}": value for key, value in other.items()}, KNOWN) is None


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ([96, 64, 3], (3, 96, 64)),
        ((96, 64, 1), (1, 96, 64)),
        ([3, 96, 64], (3, 96, 64)),
        ([1, 4, 4], (1, 4, 4)),
    ],
)
def test_a_size_with_its_channels_last(size: Any, expected: tuple[int, ...]) -> None:
    prepared = written({"args.input_size": size}, KNOWN)
    assert prepared is not None
    assert prepared.input_size == expected


OPENMMLAB = """
model = dict(type='ImageClassifier', backbone=dict(type='SEResNet', depth=50))
img_norm_cfg = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb={rgb})
train_pipeline = [dict(type='Normalize',
                       mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb={rgb})]
"""
YAML = "data:\n  mean:\n    - 0.4914\n    - 0.4822\n    - 0.4465\n  std: [0.2023, 0.1994, 0.201]\n"
CIFARS = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.201))


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (OPENMMLAB.format(rgb="True"), "rgb"),
        (OPENMMLAB.format(rgb="False"), "bgr"),
        (YAML, "rgb"),
        (YAML.upper(), "rgb"),
        ("PIXEL_MEAN = (0.4914, 0.4822, .4465)\nPIXEL_STD = (0.2023, 0.1994, 0.201)", "rgb"),
        ("mean=[0.4914 * 255, 0.4822 * 255, 0.4465 * 255], std=[51.5865, 50.847, 51.255]", "rgb"),
    ],
)
def test_a_configuration_as_text(text: str, order: str) -> None:
    prepared = written({"meta.config": text}, KNOWN)
    assert prepared is not None
    assert prepared.channel_order == order
    assert prepared.mean == pytest.approx(CIFARS[0], abs=1e-6)
    assert prepared.std == pytest.approx(CIFARS[1], abs=1e-6)
    assert prepared.assumed == ("input_size", "crop_pct")


@pytest.mark.parametrize(
    "text",
    [
        "mean=[0.1, 0.2, 0.3], std=[1, 1, 1]\nmean=[0.3, 0.2, 0.1]",  # which one?
        "mean=[0.5] * channels, std=[0.5] * channels",
        "mean=[float('inf')], std=[1, 1, 1]",
        "mean=[a, b, c], std=[1 / 0, 1, 1]",
        "running_mean=[1, 2, 3], running_std=[1, 2, 3]",
        "# mean and std of the images",
    ],
)
def test_a_text_that_tells_nothing(text: str) -> None:
    assert written({"meta.config": text}, KNOWN) is None


def test_the_processor_of_a_hub(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "mine")
    (folder / "config.json").unlink()
    processor = {
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.25, 0.2, 0.3],
        "size": {"shortest_edge": 120},
        "crop_size": {"height": 96, "width": 96},
        "do_center_crop": True,
        "resample": 2,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    prepared = seviz.load(folder).preprocessing
    expected = Preprocessing((3, 96, 96), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3), "bilinear", 0.8)
    assert prepared == expected
    processor |= {"size": {"height": 96, "width": 80}, "do_center_crop": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    stretched = replace(expected, input_size=(3, 96, 80), crop_pct=1.0, crop_mode="squash")
    assert seviz.load(folder).preprocessing == stretched


@pytest.mark.parametrize("content", ["[1]", "{", '{"mean": [0, 0, 0], "std": [1, 1, 1]}', "\0"])
def test_another_configuration_beside_is_left_alone(tmp_path: Path, content: str) -> None:
    folder = hub_folder(tmp_path / "mine")
    (folder / "config.json").write_text(content)
    assert seviz.load(folder).preprocessing.assumed == ASSUMED


def test_folders_without_one_file_of_weights(tmp_path: Path, refuses: Refuses) -> None:
    for names, said in (
        ([], "without one"),
        (["a.pt", "b.pt"], "(a.pt, b.pt)"),
        (["model.safetensors.index.json", "model-1.safetensors"], "shards"),
    ):
        folder = tmp_path / said
        folder.mkdir()
        for name in names:
            (folder / name).touch()
        with refuses(CheckpointError, said):
            seviz.load(folder)


def test_a_part_of_the_weights_is_not_the_whole(tmp_path: Path, refuses: Refuses) -> None:
    tensors = timm_network().state_dict()
    half = dict(list(tensors.items())[: len(tensors) // 2])
    save_file(half, tmp_path / "model-00001-of-00002.safetensors")
    with refuses(CheckpointError, "model-00001-of-00002.safetensors, part 1 of 2", "save one file"):
        seviz.load(tmp_path / "model-00001-of-00002.safetensors")
    save_file(tensors, tmp_path / "model-00001-of-00001.safetensors")
    assert seviz.load(tmp_path / "model-00001-of-00001.safetensors").name.endswith(".safetensors")


OWN = """
import torch
from torch import nn

def make(channels=3):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_channels_of_a_network_of_ones_own(elsewhere: Path, channels: int) -> None:
    Path("own.py").write_text(OWN)
    code = types.ModuleType("own")
    exec(OWN, code.__dict__)
    torch.save(code.make(channels).state_dict(), "own.pt")
    named: dict[str, Any] = {"arch": "own.py:make", "arch_args": {"channels": channels}}
    prepared = seviz.load("own.pt", **named).preprocessing
    assert prepared.input_size == (channels, 224, 224)
    assert build_transform(prepared)(pictures(9, 9)).shape == (channels, 224, 224)


def test_preprocessing_said_in_python(elsewhere: Path) -> None:
    Path("own.py").write_text(OWN)
    code = types.ModuleType("own")
    exec(OWN, code.__dict__)
    torch.save(code.make().state_dict(), "own.pt")
    small = Preprocessing((3, 32, 32), (0.5,) * 3, (0.25,) * 3, "bilinear", 1.0, "me", "squash")
    loaded = seviz.load("own.pt", arch="own.py:make", preprocessing=small)
    assert loaded.preprocessing is small
    assert loaded.notes == ()
    loaded = seviz.load(
        "own.pt",
        arch="own.py:make",
        input_size=[3, 32, 32],
        mean=[0.5] * 3,
        std=[0.25] * 3,
        interpolation="bilinear",
        crop_mode="squash",
    )
    assert loaded.preprocessing == small
    assert loaded.notes == ()
    loaded = seviz.load("own.pt", arch="own.py:make", crop_pct=0.9, channel_order="bgr")
    assert (loaded.preprocessing.crop_pct, loaded.preprocessing.mean[0]) == (0.9, 0.406)
    (note,) = loaded.notes
    assert "--mean, --std, --input-size if" in note
    assert (
        loaded.with_preprocessing(input_size=(3, 32, 32), mean=(0,) * 3, std=(1,) * 3).notes == ()
    )


def pictures(height: int, width: int) -> Any:
    import numpy as np
    from PIL import Image

    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def kept_as(kind: str) -> Any:
    """Return mean and deviation of three channels as scripts keep them, and how their entries are called."""
    import numpy as np

    mean, std = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]
    double, single, big = (
        [np.array(v, dtype) for v in (mean, std)] for dtype in ("f8", "f4", ">f8")
    )
    tensors = [torch.tensor(v) for v in (mean, std)]
    return {
        "float64": {"args": {"mean": double[0], "std": double[1]}},
        "float32": {"args": Namespace(mean=single[0], std=single[1])},
        "other bytes": {"cfg": {"mean": big[0], "std": big[1]}},
        "1 x 1 x 3": {"cfg": {"mean": double[0].reshape(1, 1, 3), "std": double[1][None, None]}},
        "scalars": {"cfg": {"mean": list(single[0]), "std": list(single[1])}},
        "255": {"args": {"mean": 255 * double[0], "std": 255 * double[1]}},
        "tensors": {"args": {"mean": tensors[0], "std": tensors[1]}},
        "images": {"data_preprocessor": {"mean": tensors[0].view(3, 1, 1), "std": tensors[1]}},
        "half": {"mean": tensors[0].double(), "std": tensors[1].double()},
        "pair": {"transform": {"mean_std": (mean, std)}},
        "pair of arrays": {"norm_stats": (double[0], double[1])},
        "two rows": {"norm_mean_std": np.stack(double)},
        "other words": {"PIXEL_MEAN": mean, "PIXEL_STD": std},
        "capitals": {"config": {"MEAN": mean, "STD": std}},
        "text": {"config": json.dumps({"data": {"mean": mean, "std": std}})},
        "text of lists": {"mean": str(mean), "std": str(tuple(std))},
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        *("float64", "float32", "other bytes", "1 x 1 x 3", "scalars", "255", "tensors", "images"),
        *("half", "pair", "pair of arrays", "two rows", "other words", "capitals", "text"),
        "text of lists",
    ],
)
def test_numbers_of_any_kind(elsewhere: Path, kind: str) -> None:
    Path("own.py").write_text(OWN)
    code = types.ModuleType("own")
    exec(OWN, code.__dict__)
    torch.save({"state_dict": code.make().state_dict(), **kept_as(kind)}, "own.pt")
    prepared = seviz.load("own.pt", arch="own.py:make").preprocessing
    assert prepared.mean == pytest.approx((0.5, 0.4, 0.3))
    assert prepared.std == pytest.approx((0.25, 0.2, 0.3))
    assert prepared.assumed == ("input_size", "crop_pct")


def test_numbers_that_are_none_of_the_images(elsewhere: Path) -> None:
    """The network's own tensors, arrays of other lengths, what cannot be read."""
    import numpy as np

    Path("own.py").write_text(OWN)
    code = types.ModuleType("own")
    exec(OWN, code.__dict__)
    for extra in (
        {"stats": {"mean": np.zeros(1000), "std": np.ones(1000)}},
        {"stats": {"mean": torch.zeros(2), "std": torch.ones(2)}},
        {"stats": {"mean": np.array([0.5, np.nan, 0.5]), "std": np.ones(3)}},
        {"stats": (0.3, 1.2)},
        {"mean": "[0.5, 0.5", "std": "{", "mean_std": "(1, 2)"},
    ):
        torch.save({"state_dict": code.make().state_dict(), **extra}, "own.pt")
        assert seviz.load("own.pt", arch="own.py:make").preprocessing.assumed == ASSUMED


TWICE = """
import torch
from torch import nn
from torchvision.transforms import Normalize

class Own(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.register_buffer("mean", scale * torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1))
        self.register_buffer("std", scale * torch.tensor([0.2, 0.2, 0.2]).view(1, 3, 1, 1))
    def forward(self, x):
        return (x - self.mean) / self.std

def make(kind):
    own = Own(255 if kind == "bytes" else 1)
    first = Normalize([0.5, 0.4, 0.3], [0.2, 0.2, 0.2]) if kind == "theirs" else own
    return nn.Sequential(first, nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""


@pytest.mark.parametrize(("kind", "scale"), [("own", 1), ("bytes", 255), ("theirs", 1)])
def test_a_network_that_normalises_its_images_is_not_given_normalised_ones(
    elsewhere: Path, kind: str, scale: int
) -> None:
    Path("twice.py").write_text(TWICE)
    code = types.ModuleType("twice")
    exec(TWICE, code.__dict__)
    torch.save(code.make(kind).state_dict(), "own.pt")
    named: dict[str, Any] = {"arch": "twice.py:make", "arch_args": {"kind": kind}}
    loaded = seviz.load("own.pt", **named)
    assert loaded.preprocessing.assumed == ("input_size", "crop_pct")
    (note,) = [n for n in loaded.notes if "normalises its images itself (0)" in n]
    assert note.endswith(f"pixels from 0 to {scale}")
    pixels = build_transform(loaded.with_preprocessing(input_size=(3, 8, 8)).preprocessing)
    image = pictures(8, 8)
    seen = loaded.model[0](pixels(image)[None])[0]
    plain = Preprocessing((3, 8, 8), (0.5, 0.4, 0.3), (0.2,) * 3, "bicubic", 1.0)
    assert torch.allclose(seen, build_transform(plain)(image), atol=1e-4)
    given = seviz.load("own.pt", **named, mean=[0.1] * 3, std=[0.1] * 3)
    assert given.preprocessing.mean == (0.1,) * 3
