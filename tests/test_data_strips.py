"""Thin images: the same pixels as if they had been resized whole, at a fraction of the memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from seviz.data import build_transform, strips
from seviz.results.preprocessing import Preprocessing

FILTERS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


def noise(height: int, width: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    return Image.fromarray(values).convert(mode) if mode != "RGBA" else Image.fromarray(values)


sides = st.one_of(st.integers(1, 60), st.integers(1, 3), st.integers(200, 900))


@settings(deadline=None, max_examples=150)
@given(
    height=sides,
    width=sides,
    mode=st.sampled_from(["RGB", "L", "RGBA"]),
    scaled=st.integers(8, 70),
    crop=st.integers(1, 80),
    interpolation=st.sampled_from(FILTERS),
)
def test_equals_torchvisions_resize_and_crop_to_the_bit(
    height, width, mode, scaled, crop, interpolation
):
    image = noise(height, width, mode, seed=height * 1000 + width)
    after = [Resize(scaled, InterpolationMode(interpolation)), CenterCrop(crop)]
    expected = image
    for step in after:
        expected = step(expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "MOST_PIXELS", 0)
        found = strips.Narrow((scaled, scaled), (crop, crop), interpolation)(image)
    assert min(found.size) == scaled
    assert max(found.size) <= max(scaled, crop)
    for step in after:
        found = step(found)
    assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("size", [(3, 2000), (2000, 3), (300, 4000), (301, 3999)])
@pytest.mark.parametrize("interpolation", ["bilinear", "lanczos"])
def test_equals_timms_transform_on_strips_that_both_can_make(size, interpolation, monkeypatch):
    from timm.data import create_transform

    p = Preprocessing((3, 64, 64), interpolation=interpolation, crop_pct=0.875)
    theirs = create_transform(
        p.input_size,
        is_training=False,
        interpolation=interpolation,
        mean=p.mean,
        std=p.std,
        crop_pct=0.875,
    )
    image = noise(*size)
    monkeypatch.setattr(strips, "MOST_PIXELS", 2**12)
    assert strips.Narrow((73, 73), (64, 64), interpolation)(image).size == (73, 73)
    assert torch.equal(build_transform(p)(image), theirs(image))


def test_oblong_inputs(monkeypatch):
    p = Preprocessing((3, 40, 90), (0.0,) * 3, (1.0,) * 3, "bicubic", 0.9)
    for image in (noise(50, 700), noise(700, 50)):
        expected = build_transform(p)(image)
        with monkeypatch.context() as patch:
            patch.setattr(strips, "MOST_PIXELS", 0)
            assert torch.equal(build_transform(p)(image), expected)


def test_images_of_usual_shapes_are_left_alone():
    image = noise(500, 2000)
    assert strips.Narrow((256, 256), (224, 224), "bicubic")(image) is image


@pytest.mark.parametrize("size", [(1, 16_000), (16_000, 1), (2, 1_000_000), (1_000_000, 2)])
@pytest.mark.parametrize("interpolation", ["bicubic", "nearest"])
def test_a_strip_takes_little_memory(size, interpolation):
    """A pixel in 16,000 rows becomes a row of 256: 3 GB, if it is made as a whole."""
    import tracemalloc

    p = Preprocessing((3, 224, 224), (0.0,) * 3, (1.0,) * 3, interpolation, 0.875)
    transform = build_transform(p)
    image = Image.new("RGB", size, (51, 102, 204))
    middle = (size[0] // 2, size[1] // 2)
    image.putpixel(middle, (0, 0, 0))
    tracemalloc.start()
    out = transform(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Nearest pixels are found by steps, up to 16 million of them.
    assert peak < (300e6 if interpolation == "nearest" else 40e6)
    assert out.shape == (3, 224, 224)
    # The black pixel is 128 or 256 rows wide at the middle of the crop; the corners are the colour.
    assert out[:, 0, 0].tolist() == pytest.approx([0.2, 0.4, 0.8], abs=0.01) or 1 in size
    assert float(out[:, 112, 112].max()) < 0.7
