"""Files that failed once, each made by a few lines: they are read again with every run."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import mutants
import numpy as np
import torch


@dataclass(frozen=True)
class Case:
    """A file that failed.

    Attributes:
        reader: Name of the reader that it is for.
        make: Returns its bytes.
    """

    reader: str
    make: Callable[[], bytes]


def _torch_save() -> dict[str, bytes]:
    from fuzz.checkpoints import network

    stream = io.BytesIO()
    torch.save(network().state_dict(), stream)
    with zipfile.ZipFile(stream) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _of_another_length(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    """A storage that is not as long as the pickle says, in an archive whose checksums are right."""

    def make() -> bytes:
        content = _torch_save()
        name = next(n for n in content if n.endswith("data/12"))
        content[name] = change(content[name])
        return mutants.packed(content)

    return make


def _cleared_without_checksums() -> bytes:
    """Zeros over some weights and their headers, where no checksum tells."""
    content = _torch_save()
    name = next(n for n in content if n.endswith("data/1"))
    whole = bytearray(mutants.packed(content))
    for info in zipfile.ZipFile(io.BytesIO(whole)).infolist():
        whole[info.header_offset + 14 : info.header_offset + 18] = bytes(4)
        directory = whole.index(b"PK\x01\x02")
    while directory >= 0:
        whole[directory + 16 : directory + 20] = bytes(4)
        directory = whole.find(b"PK\x01\x02", directory + 4)
    begin = whole.index(name.encode()) - 30
    whole[begin : begin + 100] = bytes(100)
    return bytes(whole)


def _tar_with_a_damaged_header() -> bytes:
    """The checksum of the second header is wrong; tar ends there, and says nothing."""
    from fuzz.images import encoded

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number in range(3):
            info = tarfile.TarInfo(f"ant/{number}.png")
            content = encoded("PNG", number)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    whole = bytearray(stream.getvalue())
    whole[whole.index(b"ant/1.png") + 4] = ord("7")
    return bytes(whole)


def _tar_that_is_cut() -> bytes:
    """After the first image, in the padding behind it."""
    from fuzz.images import encoded

    return _tar_with_a_damaged_header()[: 512 + len(encoded("PNG", 0)) + 1]


def _npz_with_a_member_that_is_no_array() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, images=np.zeros((2, 9, 9, 3), np.uint8), labels=np.zeros(2, np.int64))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("names.npy", b"no array")
    return stream.getvalue()


def _array_header(text: str) -> Callable[[], bytes]:
    """A header of NumPy's that its reader chokes on in a way of its own."""
    header = text.encode().ljust(117) + b"\n"
    return lambda: b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


def _eps() -> bytes:
    """PostScript under the name of an image: Pillow starts Ghostscript for it."""
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def _yaml_of_references() -> bytes:
    """Nine lists of nine references each: 400 million names in 400 bytes."""
    lines = ["a0: &a0 [" + ", ".join("abcdefghi") + "]"]
    for i in range(1, 9):
        lines.append(f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]")
    return "\n".join([*lines, "names: *a8"]).encode()


def _jpeg_of_many_scans() -> bytes:
    """The last scan of a progressive JPEG over and over: each takes as long as the first."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (2000, 2000)).save(stream, "JPEG", progressive=True)
    whole = stream.getvalue()
    last, end = whole.rindex(b"\xff\xda"), whole.rindex(b"\xff\xd9")
    return whole[:end] + whole[last:end] * 5000 + whole[end:]


def _png_of_many_pixels() -> bytes:
    """Half a megabyte that takes a gigabyte and a half: a palette with transparency, 13,300 x 13,300."""
    side = 13_300
    row = bytes(side + 1)
    packing = zlib.compressobj(9)
    pixels = b"".join(packing.compress(row * 100) for _ in range(side // 100)) + packing.flush()
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", side, side, 8, 3, 0, 0, 0),
        b"PLTE": bytes(768),
        b"tRNS": b"\0",
        b"IDAT": pixels,
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    )


def _json_too_deep() -> bytes:
    return b"[" * 100_000 + b"]" * 100_000


def _parquet_of_many_rows() -> bytes:
    """A few kilobytes that hold fifty million rows of one class."""
    import pyarrow
    from pyarrow import parquet

    stream = io.BytesIO()
    column = pyarrow.DictionaryArray.from_arrays(np.zeros(1 << 20, np.int32), ["cat"])
    table = pyarrow.table({"true": column, "predicted": column})
    with parquet.ParquetWriter(stream, table.schema, compression="zstd") as writer:
        for _ in range(48):
            writer.write_table(table)
    return stream.getvalue()


def _archive_of_zeros() -> bytes:
    """An array that its directory says to be of 4 GB."""
    stream = io.BytesIO()
    np.savez_compressed(stream, images=np.zeros((2, 9, 9, 3), np.uint8))
    content = stream.getvalue()
    begin = content.rindex(b"PK\x01\x02") + 24
    return content[:begin] + b"\xf0\xff\xff\xff" + content[begin + 4 :]


def _edited_record(
    name: str, change: Callable[[mutants.Array], mutants.Array]
) -> Callable[[], bytes]:
    """Numbers that no pass leaves behind, in an archive whose checksums are right."""

    def make() -> bytes:
        from test_results_damage import good_record

        stream = _saved(good_record())
        content = mutants.members_of(stream)
        content[name] = mutants.pack_array(change(mutants.unpack_array(content[name])))
        return mutants.packed(content)

    return make


def _record_with(**values: object) -> Callable[[], bytes]:
    """A header that another hand, or another version, has written."""

    def make() -> bytes:
        from test_results_damage import good_record

        content = mutants.members_of(_saved(good_record()))
        meta = json.loads(content["meta.json"])
        meta["header"].update(values)
        content["meta.json"] = json.dumps(meta).encode()
        return mutants.packed(content)

    return make


def _saved(record: object) -> bytes:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path: Path = record.save(folder)  # type: ignore[attr-defined]
        return path.read_bytes()


def _number_of_5000_digits() -> bytes:
    return b"true,predicted\n1,1\n" + b"9" * 5000 + b",1\n"


CASES: dict[str, Case] = {
    "a storage that is too long": Case("torch.save", _of_another_length(lambda b: b"\0" * 51 + b)),
    "a storage that is too short": Case("torch.save", _of_another_length(lambda b: b[:-8])),
    "zeros where no checksum tells": Case("torch.save", _cleared_without_checksums),
    "a tar archive with a damaged header": Case("shard.tar", _tar_with_a_damaged_header),
    "a tar archive that is packed": Case(
        "shard.tar", lambda: gzip.compress(_tar_with_a_damaged_header())
    ),
    "a tar archive that is cut": Case("shard.tar", _tar_that_is_cut),
    "an archive with a member that is no array": Case(
        "images.npz", _npz_with_a_member_that_is_no_array
    ),
    "a name of two lines": Case(
        "classes.csv", lambda: b'id,name\n0,"ant"\n1,"tench,\n\x1c Tinca"\n'
    ),
    "an array with half a header": Case(
        "classes.npy", _array_header("{'descr': '<U4', 'shape': (4,")
    ),
    "an array with an open string": Case("classes.npy", _array_header("{''''descr': '<U4'}")),
    "an array of 10 TB": Case(
        "classes.npy",
        _array_header("{'descr': '<U4', 'fortran_order': False, 'shape': (700000000000,)}"),
    ),
    "images of 10 TB": Case(
        "images.npy",
        _array_header("{'descr': '|u1', 'fortran_order': False, 'shape': (10000000, 1000, 1000)}"),
    ),
    "PostScript as an image": Case("PNG", _eps),
    "names by reference": Case("classes.yaml", _yaml_of_references),
    "names too deep": Case("classes.json", _json_too_deep),
    "a table of fifty million rows": Case("predictions.parquet", _parquet_of_many_rows),
    "a number of 5,000 digits": Case("predictions.csv", _number_of_5000_digits),
    "an archive of zeros": Case("images.npz", _archive_of_zeros),
    "a record of larger sums": Case(
        "record", _edited_record("gates/SE_2_1/sum.npy", lambda a: a * 100)
    ),
    "a record of other counts": Case("record", _edited_record("count.npy", lambda a: a * 2)),
    "a record of 5,000 images": Case("record", _record_with(images=5000)),
    "a record with a field of tomorrow": Case("record", _record_with(weather={"rain": 1})),
    "names with an escape of Python's": Case(
        "classes.json", lambda: rb'["ant", "\u010d\10d", "cat", "dog"]'
    ),
    "a log with a column twice": Case(
        "training log of steps", lambda: b"epoch;step;loss;step\n0;9;1.5;\n"
    ),
    "a number with an underscore": Case("distances.csv", lambda: b"ant,bee,1_5\nbee,cat,2\n"),
    "a JPEG of thousands of scans": Case("JPEG", _jpeg_of_many_scans),
    "a PNG of many pixels": Case("PNG", _png_of_many_pixels),
}
