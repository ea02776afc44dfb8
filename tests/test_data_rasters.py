"""Images that are small as files and large in memory, or long to decode: refused before they are decoded."""

from __future__ import annotations

import io
import math
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from seviz.data import rasters
from seviz.data.rasters import TOO_MANY, decode_raster, read_raster


def png_header(side: int, kind: int, depth: int = 8) -> bytes:
    """Return a PNG that says how large it is, and has no pixels: 0 grey, 2 RGB, 3 palette, 6 RGBA."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", side, side, depth, kind, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(768)) if kind == 3 else b""
    pixels = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("side", "kind", "depth", "refused"),
    [
        (13_300, 2, 8, False),  # 0.7 GB
        (13_300, 0, 8, False),  # 0.2 GB, 0.9 as RGB
        (13_300, 6, 8, True),  # 0.7 GB, 1.4 with the copy without opacity
        (13_300, 3, 8, True),  # 0.2 GB, 1.6 as RGBA and as RGB
        (13_300, 0, 16, True),  # 0.4 GB, 1.8 as numbers of 8 bits
        (9_000, 6, 8, False),
        (9_000, 3, 8, False),
        (30_000, 0, 1, True),  # more than Pillow opens
    ],
)
def test_pixels_that_memory_has_no_room_for(
    side: int, kind: int, depth: int, refused: bool
) -> None:
    with pytest.raises(Exception, match=r"\w") as caught:  # there are no pixels
        decode_raster(png_header(side, kind, depth))
    said = str(caught.value)
    assert (said == TOO_MANY or "decompression bomb" in said) is refused, said


def progressive(scans: int) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(stream, "JPEG", progressive=True)
    whole = stream.getvalue()
    last, end = whole.rindex(b"\xff\xda"), whole.rindex(b"\xff\xd9")
    own = whole.count(b"\xff\xda")
    return whole[:end] + whole[last:end] * (scans - own) + whole[end:]


def test_a_jpeg_of_thousands_of_scans() -> None:
    assert decode_raster(progressive(20)).size == (64, 64)
    with pytest.raises(OSError, match="3,000 scans in a progressive JPEG"):
        decode_raster(progressive(3000))


def qoi(width: int, height: int, steps: bytes) -> bytes:
    return b"qoif" + struct.pack(">IIBB", width, height, 3, 0) + steps + bytes(7) + b"\1"


SLOW = {
    "QOI": (qoi(9000, 9000, b"\xa0\x88" * (11 << 19)), "a QOI of 11,534,358 bytes"),
    "PPM": (b"P5 9000 9000 254\n" + b"a" * (17 << 20), "a PPM of 17,8"),
    "PPM in text": (b"P2 9000 9000 255\n" + b"1 " * (33 << 19), "a PPM of 34,6"),
    "comments": (b"P2 3 1 255\n" + b"#\n" * 20_000 + b"1 2 3\n", "20,000 comments in a PPM"),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_is_decoded_in_python_is_not_decoded_for_minutes(name: str) -> None:
    content, part = SLOW[name]
    begin = time.process_time()
    with pytest.raises(OSError, match=part):
        decode_raster(content)
    assert time.process_time() - begin < 1


def test_small_files_of_such_decoders_are_read() -> None:
    run = decode_raster(qoi(31, 4, b"\xfe\1\2\3" + b"\xfd\xfc"))  # a pixel, and 62 and 61 like it
    assert run.getcolors() == [(124, (1, 2, 3))]
    grey = decode_raster(b"P5 2 1 100\n" + bytes((0, 100)))
    assert list(grey.tobytes()) == [0, 255]
    text = decode_raster(b"P2 # a comment\n3 1 255 # another\n1 2 3\n")
    assert list(text.tobytes()) == [1, 2, 3]


def test_the_first_of_several_frames(tmp_path: Path) -> None:
    frames = [Image.new("L", (9, 9), 40 * i) for i in range(5)]
    for form in ("GIF", "TIFF", "WEBP", "PNG"):
        path = tmp_path / f"x.{form.lower()}"
        frames[0].save(path, form, save_all=True, append_images=frames[1:])
        assert read_raster(path).convert("L").getextrema() == (0, 0)


# The largest square that is taken, of each way to decode: mode, and how it is saved.
LARGEST = {
    "JPEG": ("CMYK", {}),
    "JPEG, progressive": ("RGB", {"progressive": True, "subsampling": 0}),
    "PNG": ("P", {"transparency": 0}),
    "TIFF": ("I;16", {"compression": "tiff_lzw"}),
    "WEBP": ("RGBA", {"lossless": True, "quality": 0, "method": 0}),
    "AVIF": ("RGBA", {"speed": 10}),
    "JPEG2000": ("RGB", {}),
    "GIF": ("P", {}),
}
DECODE = """
import sys, time
import torch
from PIL import Image
from seviz.data.rasters import read_raster
from seviz.data.transforms import to_mode
Image.init()
def memory(name):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(name)) << 10
open("/proc/self/clear_refs", "w").write("5")
before, begin = memory("VmRSS"), time.process_time()
to_mode(read_raster(sys.argv[1]), "RGB")
print(memory("VmHWM") - before, time.process_time() - begin)
"""


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is told by Linux")
@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_image_takes_no_more_than_a_gigabyte(name: str, tmp_path: Path) -> None:
    mode, how = LARGEST[name]
    kind = name.split(",", maxsplit=1)[0]
    key = "progressive" if "progressive" in name else kind
    each, channel = rasters._DECODERS.get(key, (0, 0))
    pixel = (
        sum(rasters._MODES.get(mode, (4, 4)))
        + each
        + channel * len(Image.new(mode, (1, 1)).getbands())
    )
    side = math.isqrt(min(rasters.MOST_BYTES // pixel, 178_000_000))
    path = tmp_path / "x.img"
    with path.open("wb") as file:
        Image.new(mode, (side, side)).save(file, kind, **how)
    done = subprocess.run(
        [sys.executable, "-c", DECODE, str(path)], capture_output=True, text=True, check=True
    )
    peak, seconds = map(float, done.stdout.split())
    assert 1 << 28 < peak < 1.05 * (1 << 30)
    assert seconds < 10
