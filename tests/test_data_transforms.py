"""The transform gives what timm's evaluation transform gives, bit for bit, and reads odd images."""

from __future__ import annotations

import io
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional

from seviz.data import build_transform
from seviz.data.transforms import to_mode
from seviz.errors import DataError, UsageError
from seviz.results.preprocessing import Preprocessing

PLAIN = Preprocessing((3, 8, 8), (0.0,) * 3, (1.0,) * 3, "bilinear", 1.0)
GREY = Preprocessing((1, 8, 8), (0.0,), (1.0,), "bilinear", 1.0)


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def timms(p: Preprocessing):
    from timm.data import create_transform

    return create_transform(
        input_size=p.input_size,
        is_training=False,
        interpolation=p.interpolation,
        mean=p.mean,
        std=p.std,
        crop_pct=p.crop_pct,
        crop_mode=p.crop_mode,
    )


@settings(max_examples=60)
@given(
    size=st.sampled_from([7, 16, 31, 32, 64]),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    crop=st.sampled_from([0.5, 0.875, 0.9, 224 / 232, 0.95, 1.0]),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
)
def test_equals_timm_on_square_inputs(size, height, width, crop, interpolation):
    p = Preprocessing((3, size, size), interpolation=interpolation, crop_pct=crop)
    image = noise(height, width, seed=height * 100 + width)
    ours, theirs = build_transform(p)(image), timms(p)(image)
    assert ours.shape == (3, size, size)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("image_size", [(40, 90), (90, 40), (33, 33), (5, 7)])
@pytest.mark.parametrize("size", [(16, 32), (32, 16), (30, 31)])
def test_equals_timm_on_oblong_inputs(size, image_size):
    p = Preprocessing((3, *size), crop_pct=0.875)
    image = noise(*image_size)
    ours = build_transform(p)(image)
    assert ours.shape == (3, *size)
    assert torch.equal(ours, timms(p)(image))


@settings(deadline=None, max_examples=60)
@given(
    size=st.sampled_from([(16, 16), (31, 31), (16, 33), (40, 24)]),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    crop=st.sampled_from([0.5, 0.875, 0.9, 1.0]),
    mode=st.sampled_from(["squash", "border"]),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
def test_other_crop_modes_equal_timms(size, height, width, crop, mode, interpolation):
    p = Preprocessing(
        (3, *size), interpolation=interpolation, crop_pct=crop, crop_mode=mode, mean=(0.1, 0.5, 0.9)
    )
    if mode == "border" and max(height / width, width / height) > min(size):
        return  # timm stops at a strip that would be less than a pixel wide
    image = noise(height, width, seed=height * 100 + width)
    assert torch.equal(build_transform(p)(image), timms(p)(image))


@pytest.mark.nightly
def test_every_published_configuration_of_timm():
    from timm.data import create_transform, resolve_data_config
    from timm.models import get_pretrained_cfg, list_pretrained

    published = {}
    for name in list_pretrained():
        config = resolve_data_config(pretrained_cfg=get_pretrained_cfg(name).to_dict())
        prepared = Preprocessing(
            *(tuple(config[k]) for k in ("input_size", "mean", "std")),
            config["interpolation"],
            config["crop_pct"],
            crop_mode=config["crop_mode"],
        )
        published.setdefault(prepared, config)
    assert {p.crop_mode for p in published} == {"center", "squash", "border"}
    assert len(published) > 100
    image = noise(24, 40)
    for prepared, config in published.items():
        theirs = create_transform(**config, is_training=False)(image)
        assert torch.equal(build_transform(prepared)(image), theirs), prepared


def test_squash_stretches_the_whole_image():
    # Keras' loaders and transforms.Resize((h, w)) do.
    p = replace(PLAIN, crop_mode="squash")
    image = noise(20, 60)
    expected = functional.to_tensor(image.resize((8, 8), Image.Resampling.BILINEAR))
    assert torch.equal(build_transform(p)(image), expected)


def test_a_strip_thinner_than_a_pixel_keeps_one():
    p = replace(PLAIN, crop_mode="border", mean=(0.2,), std=(1.0,))
    out = build_transform(p)(Image.new("RGB", (500, 2), (255, 255, 255)))
    assert (out[0] > 0).sum() == 8  # one row; the rest is the mean


@pytest.mark.parametrize("mode", ["center", "border"])
def test_blue_comes_first(mode):
    constants = {"mean": (0.1, 0.2, 0.4), "std": (0.5, 0.6, 0.7)}
    p = replace(PLAIN, input_size=(3, 9, 8), crop_mode=mode, channel_order="bgr", **constants)
    image = noise(20, 20)
    colours = {"mean": (0.4, 0.2, 0.1), "std": (0.7, 0.6, 0.5)}
    expected = build_transform(replace(p, channel_order="rgb", **colours))(image).flip(0)
    assert torch.equal(build_transform(p)(image), expected)
    pixel = build_transform(p)(Image.new("RGB", (8, 9), (255, 0, 51)))[:, 4, 4]
    assert pixel.tolist() == pytest.approx([(0.2 - 0.1) / 0.5, -0.2 / 0.6, 0.6 / 0.7])


def test_four_channels_are_colours_and_opacity():
    p = replace(PLAIN, input_size=(4, 8, 8), mean=(0.0,), std=(1.0,))
    clear = Image.new("RGBA", (8, 8), (255, 0, 51, 102))
    assert build_transform(p)(clear)[:, 0, 0].tolist() == pytest.approx([1, 0, 0.2, 0.4])
    opaque = build_transform(p)(noise(8, 8))
    assert (opaque[3] == 1).all()
    turned = build_transform(replace(p, channel_order="bgr"))(clear)
    assert turned[:, 0, 0].tolist() == pytest.approx([0.2, 0, 1, 0.4])


@pytest.mark.parametrize("size", [(24, 24), (24, 40)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_an_image_of_the_right_size_is_not_resampled(size, interpolation):
    p = Preprocessing((3, *size), (0.0,) * 3, (1.0,) * 3, interpolation, 1.0)
    image = noise(*size)
    assert torch.equal(build_transform(p)(image), functional.to_tensor(image))


def test_an_oblong_input_shows_the_middle_of_the_image_undistorted():
    # Left, middle and right third; the crop of a 10 x 20 input from a 20 x 60 image is 20 x 40.
    values = np.repeat(np.array([[0] * 20 + [100] * 20 + [200] * 20], np.uint8), 20, axis=0)
    out = build_transform(replace(GREY, input_size=(1, 10, 20)))(Image.fromarray(values))
    middle = (out * 255).round().int()[0, 5]
    assert middle[:4].tolist() == [0] * 4
    assert middle[6:14].tolist() == [100] * 8
    assert middle[16:].tolist() == [200] * 4


def test_mean_and_std_by_hand():
    p = replace(PLAIN, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    out = build_transform(p)(Image.new("RGB", (8, 8), (255, 0, 255)))
    assert out[:, 0, 0].tolist() == [1.0, -1.0, 0.5]


def test_the_transform_can_be_pickled():
    for p in (Preprocessing(), Preprocessing((3, 20, 30))):
        image = noise(50, 50)
        transform = build_transform(p)
        assert torch.equal(pickle.loads(pickle.dumps(transform))(image), transform(image))


def test_colour_becomes_grey_as_in_torchvision():
    image = noise(8, 8)
    expected = functional.to_tensor(functional.to_grayscale(image))
    assert torch.equal(build_transform(GREY)(image), expected)


def test_grey_becomes_three_equal_channels():
    out = build_transform(PLAIN)(Image.new("L", (8, 8), 51))
    assert out[:, 3, 3].tolist() == pytest.approx([0.2] * 3)


def stored(image: Image.Image, kind: str, **options) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(buffer)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sixteen_bits_keep_their_range(kind, mode):
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    image = stored(Image.fromarray(values), kind)
    assert image.mode == "I;16"
    out = np.asarray(to_mode(image, mode))
    grey = out if mode == "L" else out[..., 0]
    assert grey.tolist() == [[0, 0, 1, 128, 255]]


def test_sixteen_bit_pgm():
    image = Image.open(io.BytesIO(b"P5 2 1 65535\n\x00\x00\xff\xff"))
    assert image.mode == "I"
    assert np.asarray(to_mode(image, "L")).tolist() == [[0, 255]]


def test_transparency_is_dropped_without_a_warning():
    rgba = Image.new("RGBA", (8, 8), (200, 100, 50, 0))
    assert to_mode(rgba, "RGB").getpixel((0, 0)) == (200, 100, 50)
    assert to_mode(Image.new("LA", (8, 8), (90, 0)), "RGB").getpixel((0, 0)) == (90, 90, 90)
    palette = noise(8, 8).quantize(8)
    expected = np.asarray(palette.convert("RGB"))
    clear = stored(palette, "PNG", transparency=bytes([0, 128, 255]))
    assert clear.mode == "P"
    assert "transparency" in clear.info
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(np.asarray(to_mode(clear, "RGB")), expected)
        assert to_mode(clear, "L").mode == "L"


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_other_modes_are_pillows(mode):
    image = noise(8, 8).convert(mode)
    assert np.array_equal(np.asarray(to_mode(image, "RGB")), np.asarray(image.convert("RGB")))


def test_cmyk_jpeg():
    image = stored(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100)
    assert image.mode == "CMYK"
    red, green, blue = to_mode(image, "RGB").getpixel((4, 4))
    assert red > 250
    assert green < 5
    assert blue < 5


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (Image.new("F", (8, 8)), "floating-point"),
        (Image.fromarray(np.full((8, 8), 70000, np.int32)), "70000"),
        (Image.fromarray(np.full((8, 8), -1, np.int32)), "-1"),
    ],
)
def test_numbers_of_unknown_meaning_are_refused(image, why):
    for mode in ("L", "RGB"):
        with pytest.raises(DataError, match=why):
            to_mode(image, mode)


def test_a_mode_that_pillow_cannot_convert_is_refused():
    with pytest.raises(DataError, match="mode LAB"):
        to_mode(Image.new("LAB", (8, 8)), "L")


def test_exif_orientation_is_not_applied():
    upright = noise(8, 8)
    exif = upright.getexif()
    exif[0x0112] = 6
    turned = stored(upright, "PNG", exif=exif)
    assert turned.getexif()[0x0112] == 6
    assert torch.equal(build_transform(PLAIN)(turned), functional.to_tensor(upright))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"input_size": (2, 8, 8)}, "1, 3 or 4 channels"),
        ({"input_size": (3, 0, 8)}, "0 x 8"),
        ({"interpolation": "cubic"}, "'cubic'"),
        ({"crop_mode": "stretch"}, "--crop-mode as one of center, squash, border"),
        ({"channel_order": "BGR"}, "--channel-order as one of rgb, bgr"),
        ({"crop_pct": 0.0}, "crop_pct"),
        ({"crop_pct": 1.5}, "1.5"),
        ({"mean": (0.5, 0.5)}, "3 values of mean"),
        ({"std": (0.5, 0.5)}, "3 values of std"),
        ({"std": (0.5, 0.0, 0.5)}, "std above 0"),
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(change, why):
    with pytest.raises(UsageError, match=why):
        build_transform(replace(PLAIN, **change))


def test_one_mean_and_std_serve_every_channel():
    out = build_transform(replace(PLAIN, mean=(0.5,), std=(0.5,)))(noise(8, 8))
    expected = build_transform(replace(PLAIN, mean=(0.5,) * 3, std=(0.5,) * 3))(noise(8, 8))
    assert torch.equal(out, expected)
