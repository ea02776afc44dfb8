"""Images made worse: against colorsys, Pillow and sums by hand."""

from __future__ import annotations

import colorsys
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import Refuses
from PIL import Image

from seviz.data.corruptions import CORRUPTIONS, corrupt, corrupted
from seviz.data.sources import open_source
from seviz.errors import UsageError

RNG = np.random.default_rng(0)
PHOTO = Image.fromarray(
    (np.linspace(0, 200, 24)[:, None, None] + RNG.integers(0, 55, (24, 30, 3))).astype(np.uint8)
)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(float)


def test_brightness_raises_the_value_of_each_pixel() -> None:
    made = pixels(corrupt(PHOTO, "brightness", 2))
    for old, new in zip(pixels(PHOTO).reshape(-1, 3), made.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(old / 255))
        expected = colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.2))
        assert np.abs(np.array(expected) * 255 - new).max() <= 0.5 + 1e-9
    black = Image.new("RGB", (2, 2))
    assert (pixels(corrupt(black, "brightness", 1)) == 26).all()  # 25.5, to the even side


def test_contrast_leaves_a_part_of_the_differences() -> None:
    made = pixels(corrupt(PHOTO, "contrast", 4))
    for channel in range(3):
        old = pixels(PHOTO)[..., channel]
        assert (
            np.abs((old - old.mean()) * 0.1 + old.mean() - made[..., channel]).max() <= 0.5 + 1e-9
        )


def test_noise_has_its_size_and_is_the_image_s_own() -> None:
    grey = Image.new("L", (200, 200), 128)
    made = [corrupt(grey, "noise", 1, key) for key in (3, 3, 4)]
    assert pixels(made[0]).std() == pytest.approx(0.08 * 255, rel=0.02)
    assert pixels(made[0]).mean() == pytest.approx(128, abs=0.5)
    assert made[0] == made[1] != made[2]
    # Of more severity, more of the same.
    stronger = pixels(corrupt(grey, "noise", 2, 3)) - 128
    assert np.corrcoef(stronger.ravel(), (pixels(made[0]) - 128).ravel())[0, 1] > 0.999


def test_blur_is_a_gaussian() -> None:
    dot = np.zeros((41, 41), np.uint8)
    dot[20, 20] = 255
    made = pixels(corrupt(Image.fromarray(dot), "blur", 2))
    weights = np.exp(-(np.arange(-8, 9) ** 2) / (2 * 2**2))
    weights /= weights.sum()
    expected = np.zeros((41, 41))
    expected[12:29, 12:29] = 255 * weights[:, None] * weights
    assert np.abs(expected - made).max() <= 0.5
    colours = pixels(corrupt(PHOTO, "blur", 3))
    assert np.abs(colours.mean(axis=(0, 1)) - pixels(PHOTO).mean(axis=(0, 1))).max() < 4


def test_jpeg_is_that_of_pillow() -> None:
    with io.BytesIO() as file:
        PHOTO.save(file, "JPEG", quality=10)
        expected = np.asarray(Image.open(file))
    assert (np.asarray(corrupt(PHOTO, "jpeg", 4)) == expected).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK"])
def test_modes_and_sizes_stay(name: str, mode: str) -> None:
    image = PHOTO.convert(mode)
    made = corrupt(image, name, 5)
    assert made.size == image.size
    assert made.mode == (mode if mode in ("L", "RGB", "RGBA") else "RGB")
    if mode == "RGBA":
        assert made.getchannel("A") == image.getchannel("A")
    assert corrupt(image, name, 0) is image


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_more_is_worse(name: str) -> None:
    apart = [np.square(pixels(corrupt(PHOTO, name, s)) - pixels(PHOTO)).mean() for s in range(6)]
    assert apart[0] == 0
    if name == "jpeg":  # coarser steps may happen to lie better
        apart = [apart[0], apart[1], apart[5]]
    assert apart == sorted(set(apart))


def test_a_source_made_worse(tmp_path: Path) -> None:
    digits = open_source("digits")
    worse, less = corrupted(digits, "noise", 5), corrupted(digits, "noise", 1)
    assert len(worse) == len(digits)
    assert worse.image_name(7) == digits.image_name(7)
    assert worse.image(7) == corrupt(digits.image(7), "noise", 5, 7) != digits.image(7)
    assert len({s.fingerprint() for s in (digits, worse, less)}) == 3
    assert pickle.loads(pickle.dumps(worse)).image(7) == worse.image(7)
    # 16 bits: the depth is that of the data set.
    deep = np.array([[0, 1000], [2000, 4095]], np.uint16)
    (tmp_path / "a").mkdir()
    Image.fromarray(deep).save(tmp_path / "a" / "x.png")
    plain = corrupted(open_source(str(tmp_path)), "contrast", 1).image(0)
    eight = (deep >> 4).astype(float)
    assert np.abs((eight - eight.mean()) * 0.4 + eight.mean() - pixels(plain)).max() <= 0.5


@pytest.mark.parametrize(("name", "severity"), [("fog", 1), ("blur", 6), ("blur", -1)])
def test_what_is_no_corruption(refuses: Refuses, name: str, severity: int) -> None:
    with refuses(UsageError, "--corrupt" if name == "fog" else "--severity"):
        corrupted(open_source("digits"), name, severity)
