"""Images of more than 8 bits: what ImageFolder gives where the values are 8-bit ones, else a remark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets.folder import default_loader
from torchvision.transforms.functional import to_tensor

from seviz.collect.observers import ImageRemarks
from seviz.data import make_batches, match_classes, open_source
from seviz.data.depth import REMARKS
from seviz.results.preprocessing import Preprocessing

FOUR = Preprocessing((3, 4, 4), (0.0,) * 3, (1.0,) * 3, "bilinear", 1.0)


def saved(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def batches(folder: Path, **options):
    source = open_source(str(folder))
    match = match_classes(source.folders, source.counts, None)
    return make_batches(source, match, FOUR, batch_size=2, **options)


def ramp(highest: int) -> np.ndarray:
    return np.linspace(0, highest, 16).astype(np.uint16).reshape(4, 4)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_eight_bit_values_in_sixteen_bits_are_what_imagefolder_gives(tmp_path, suffix):
    file = saved(tmp_path / f"a/1{suffix}", ramp(255))
    passing = batches(tmp_path)
    (batch,) = passing
    assert torch.equal(batch.images[0], to_tensor(default_loader(str(file))))
    assert passing.remarks == {REMARKS[0]}


@pytest.mark.parametrize(
    ("highest", "divisor"), [(4095, 16), (1023, 16), (65535, 256), (4096, 256)]
)
def test_deeper_values_keep_their_range_and_are_said(tmp_path, highest, divisor):
    values = ramp(highest)
    saved(tmp_path / "a/1.png", values)
    passing = batches(tmp_path)
    (batch,) = passing
    expected = torch.from_numpy((values // divisor).astype(np.float32) / 255)
    assert torch.equal(batch.images[0, 1], expected)
    (remark,) = passing.remarks
    assert f"divided by {divisor}" in remark
    assert "ImageFolder and timm" in remark


def test_the_depth_is_that_of_the_data_set_so_that_dark_images_stay_dark(tmp_path):
    saved(tmp_path / "a/1.png", np.full((4, 4), 200, np.uint16))
    saved(tmp_path / "a/2.png", np.full((4, 4), 60000, np.uint16))
    (batch,) = batches(tmp_path)
    assert batch.images[:, 0, 0, 0].tolist() == pytest.approx([0, (60000 // 256) / 255])
    # Also where only the dark one is taken, and whatever the workers.
    (first,) = batches(tmp_path, num_samples=1)
    assert float(first.images.max()) == 0
    (again,) = batches(tmp_path, workers=2)
    assert torch.equal(again.images, batch.images)


def test_an_image_deeper_than_the_sample_is_said(tmp_path, monkeypatch):
    from seviz.data import depth

    monkeypatch.setattr(depth, "SAMPLE", 1)
    saved(tmp_path / "a/1.png", ramp(255))
    saved(tmp_path / "a/2.png", ramp(60000))
    passing = batches(tmp_path)
    (batch,) = passing
    assert float(batch.images[1].max()) == 1
    assert passing.remarks == {REMARKS[0], REMARKS[-1]}


def test_eight_bits_are_remarked_on_by_nobody(tmp_path):
    saved(tmp_path / "a/1.png", np.zeros((4, 4, 3), np.uint8))
    passing = batches(tmp_path)
    assert len(list(passing)) == 1
    assert passing.remarks == set()


def test_remarks_outlive_their_process_and_join(tmp_path):
    saved(tmp_path / "a/1.png", ramp(255))
    first, second = batches(tmp_path), batches(tmp_path)
    list(first)
    told, anew = ImageRemarks(first), ImageRemarks(second)
    assert (told.notes, anew.notes) == ((REMARKS[0],), ())
    anew.restore(told.state())
    assert anew.notes == told.notes
    other = ImageRemarks(batches(tmp_path))

    class Two:
        def gather(self, value):
            return [value, told.notes]

    other.merge(Two())
    assert other.notes == told.notes
    assert second.only(range(1)).remarks is second.remarks
