"""Image files that may be opened: raster formats alone, from files of bytes alone.

Pillow has decoders that start programs (EPS runs Ghostscript, whatever a file is called) and finds the
decoder by the content. So every image of seviz is opened here, with the formats of the table below.
"""

from __future__ import annotations

import io
import os
import re
import stat
import warnings
from typing import IO, TYPE_CHECKING

from seviz.data.deep import bytes_beside, load_whole

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow's name of each format with the suffixes of its files; the usual first, since they are tried in
# this order. TGA has no mark at its beginning, and comes last.
RASTERS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "ICO": (".ico",),
    "PCX": (".pcx",),
    "QOI": (".qoi",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
}
_SUFFIXES = tuple(os.fsencode(suffix) for found in RASTERS.values() for suffix in found)
# How the files begin that may come without a suffix.
_BEGINNINGS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"qoif"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
)
_MOST_BEGINNING = 16
# A pipe is opened without waiting for its writer, so that it can be seen to be one.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
SPECIAL = "a pipe, socket or device, not a file"
# Memory that decoding one image may take: a kilobyte can hold a hundred million pixels.
MOST_BYTES = 1 << 30
TOO_MANY = "too many pixels (a decompression bomb?)"
# Bytes of a pixel, by Pillow's mode: as it is stored, and to make it RGB of 8 bits; of other modes 4 and 4.
_MODES = {"1": (1, 4), "L": (1, 4), "P": (1, 8), "I;16": (2, 8), "I": (4, 16), "RGB": (4, 0)}
# Bytes that a decoder takes beside them: for each pixel, and for each channel of it. WebP and AVIF keep a
# canvas and hand out a copy, JPEG 2000 and progressive JPEG keep numbers of the whole image.
_DECODERS = {"WEBP": (12, 0), "AVIF": (12, 0), "JPEG2000": (0, 6), "progressive": (0, 2)}
# Those that Pillow has in Python keep what they have decoded, and take up to a microsecond for a byte: larger
# files take longer than ten seconds. By Pillow's names of them.
_IN_PYTHON = {"qoi": 10 << 20, "ppm": 16 << 20, "ppm_plain": 32 << 20, "bmp_rle": 32 << 20}
# For each comment among the numbers of a PPM in text all that follows is copied.
_MOST_COMMENTS = 10_000
# Each scan of a progressive JPEG goes over the whole image: these are ten times those that encoders write.
_MOST_SCANS = 100


def has_raster_suffix(name: bytes) -> bool:
    """Return whether a file is called like an image.

    >>> has_raster_suffix(b"goldfish.JPEG"), has_raster_suffix(b"goldfish.txt")
    (True, False)
    """
    return name.lower().endswith(_SUFFIXES) and name.lower() not in _SUFFIXES


def has_no_suffix(name: bytes) -> bool:
    """Return whether a file's name says nothing of its content: ``0001``, ``frame.17``."""
    suffix = os.path.splitext(name)[1][1:]
    return not suffix or suffix.isdigit()


def begins_as_raster(path: bytes) -> bool:
    """Return whether a file begins as an image does; the name does not count."""
    try:
        with open(descriptor(path), "rb") as stream:
            beginning = stream.read(_MOST_BEGINNING)
    except OSError:
        return False
    in_box = beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP"
    in_brand = beginning[4:12] in (b"ftypavif", b"ftypavis")
    in_size = beginning[:2] == b"BM" and beginning[6:10] == b"\0\0\0\0"
    in_text = re.match(rb"P[1-6]\s+[#\d]", beginning) is not None
    return beginning.startswith(_BEGINNINGS) or in_box or in_brand or in_size or in_text


def read_raster(path: str | bytes | os.PathLike[str]) -> Image:
    """Return an image, decoded, in the mode in which it is stored; the first frame where there are several.

    Raises:
        OSError: If it is no file of bytes, or empty, or no image of a raster format.
        Exception: Whatever else the decoder raises for a damaged file.
    """
    with open(descriptor(path), "rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            raise OSError("empty file")
        return _decoded(stream)


def decode_raster(content: bytes) -> Image:
    """Return the image that is in these bytes, as `read_raster` returns that of a file.

    Raises:
        OSError: If there are none, or they are no image of a raster format.
        Exception: Whatever else the decoder raises for damaged bytes.
    """
    if not content:
        raise OSError("empty file")
    return _decoded(io.BytesIO(content))


def _decoded(stream: IO[bytes]) -> Image:
    from PIL import Image

    # Pillow warns of corrupt EXIF data, odd palettes and images above 89 megapixels, and reads
    # them all the same. What it cannot read it raises; above 179 megapixels too.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(stream, formats=tuple(RASTERS))
        _check_size(image)
        if image.info.get("progressive"):
            _check_scans(stream)
        _check_decoder(image, stream)
        load_whole(image, stream, tuple(RASTERS))
    return image


def _check_size(image: Image) -> None:
    """Refuse an image that would take more memory than there is for one; nothing of it is decoded yet."""
    kept, made = _MODES.get(image.mode, (4, 4))
    kind = "progressive" if image.info.get("progressive") else image.format or ""
    each, channel = (2, 1) if _decoder(image) in _IN_PYTHON else _DECODERS.get(kind, (0, 0))
    pixel = kept + made + each + channel * len(image.getbands()) + bytes_beside(image)
    if image.width * image.height * pixel > MOST_BYTES:
        raise OSError(TOO_MANY)


def _check_scans(stream: IO[bytes]) -> None:
    """Refuse a JPEG of thousands of scans, which decodes for minutes."""
    scans = _count(stream, b"\xff\xda")
    if scans > _MOST_SCANS:
        raise OSError(f"{scans:,} scans in a progressive JPEG (a decompression bomb?)")


def _decoder(image: Image) -> str:
    """Return Pillow's name of the decoder of an image that is opened, and not decoded."""
    tiles = getattr(image, "tile", ())
    return str(tiles[0][0]) if tiles else ""


def _check_decoder(image: Image, stream: IO[bytes]) -> None:
    """Refuse a file that a decoder in Python would take minutes for."""
    name, size = _decoder(image), _size(stream)
    most = _IN_PYTHON.get(name, size)
    if size > most:
        raise OSError(
            f"a {image.format} of {size:,} bytes, more than {most:,} of which take too long to decode: save "
            "it as PNG"
        )
    if name == "ppm_plain" and (comments := _count(stream, b"#")) > _MOST_COMMENTS:
        raise OSError(f"{comments:,} comments in a PPM (a decompression bomb?)")


def _size(stream: IO[bytes]) -> int:
    place = stream.tell()
    size = stream.seek(0, os.SEEK_END)
    stream.seek(place)
    return size


def _count(stream: IO[bytes], mark: bytes) -> int:
    """Return how often some bytes are in a file."""
    place = stream.tell()
    stream.seek(0)
    found = sum(part.count(mark) for part in iter(lambda: stream.read(1 << 20), b""))
    stream.seek(place)
    return found


def descriptor(path: str | bytes | os.PathLike[str]) -> int:
    """Open a file of bytes; anything else would be waited for, or never ends."""
    descriptor = os.open(path, _FLAGS)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise OSError("a folder, not a file" if stat.S_ISDIR(mode) else SPECIAL)
    return descriptor
