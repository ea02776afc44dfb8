"""Images of more than 8 bits: what ImageFolder gives where the values are 8-bit ones, else a remark."""

from __future__ import annotations

import io
import struct
import zlib
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


def png_of(values: np.ndarray) -> bytes:
    """Write a PNG of 16 bits a channel by its standard; Pillow cannot."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    colour = {2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    )


def tiff_of(values: np.ndarray, order: str = "<", packed: bool = False) -> bytes:
    """Write a TIFF of 16 bits a channel by its standard."""
    height, width, channels = values.shape
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    entries = 10 + (channels == 4)
    after = 8 + 2 + 12 * entries + 4
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, after)]
    tags += [(259, 3, 1, 8 if packed else 1), (262, 3, 1, 2), (273, 4, 1, after + 2 * channels)]
    tags += [(277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(data)), (284, 3, 1, 1)]
    tags += [(338, 3, 1, 2)] if channels == 4 else []
    body = struct.pack(f"{order}H", entries)
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        inside = struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
        body += struct.pack(f"{order}HHI", tag, kind, count) + inside
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return start + body + bytes(4) + struct.pack(f"{order}{channels}H", *[16] * channels) + data


def ppm_of(values: np.ndarray) -> bytes:
    head = f"P6\n{values.shape[1]} {values.shape[0]}\n65535\n".encode()
    return head + values.astype(">u2").tobytes()


DEEP = {
    "png": (png_of, 3),
    "opacity.png": (png_of, 4),
    "grey.png": (png_of, 2),
    "tif": (tiff_of, 3),
    "opacity.tif": (tiff_of, 4),
    "big.tif": (lambda values: tiff_of(values, ">"), 3),
    "packed.tif": (lambda values: tiff_of(values, packed=True), 3),
    "packed.big.tif": (lambda values: tiff_of(values, ">", packed=True), 3),
    "ppm": (ppm_of, 3),
}


@pytest.mark.parametrize(("highest", "shift"), [(255, 0), (4095, 4), (65535, 8)])
@pytest.mark.parametrize("kind", DEEP)
def test_colours_of_sixteen_bits(tmp_path, kind, highest, shift):
    """What 8-bit or 12-bit values in 16 bits are, and full ones as Pillow, and so ImageFolder, has them."""
    write, channels = DEEP[kind]
    values = np.random.default_rng(0).integers(0, highest, (4, 4, channels))
    values[0, 0] = highest
    if channels in (2, 4):
        values[..., -1] = 65535  # opaque
    (tmp_path / "a").mkdir()
    file = tmp_path / f"a/1.{kind}"
    file.write_bytes(write(values))
    passing = batches(tmp_path)
    (batch,) = passing
    colours = values[..., :3] if channels > 2 else np.repeat(values[..., :1], 3, axis=-1)
    expected = torch.from_numpy(((colours >> shift) / 255).astype(np.float32)).permute(2, 0, 1)
    if highest == 65535:
        assert torch.equal(batch.images[0], to_tensor(default_loader(str(file))))
        assert passing.remarks == set()
        assert float((batch.images[0] - expected).abs().max()) < 1.01 / 255
    else:
        assert torch.equal(batch.images[0], expected)
        (remark,) = passing.remarks
        assert f"no further than {highest}" in remark
        assert "ImageFolder and timm" in remark
        assert float(to_tensor(default_loader(str(file))).max()) < 0.07  # black


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


def test_deep_colours_are_counted_before_they_are_decoded():
    from seviz.data.deep import bytes_beside

    for write, channels in DEEP.values():
        opened = Image.open(io.BytesIO(write(np.zeros((2, 2, channels)))))
        assert bytes_beside(opened) > 2 * channels
    for plain in ("PNG", "JPEG", "TIFF", "PPM"):
        buffer = io.BytesIO()
        Image.new("RGB", (2, 2)).save(buffer, plain)
        assert bytes_beside(Image.open(buffer)) == 0
