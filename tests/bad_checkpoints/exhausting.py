"""Files that are made to exhaust the reader."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bad_checkpoints.cases import case, raw


def with_pickle(content: bytes, storage: bytes = bytes(12)) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", content)
            archive.writestr("x/data/0", storage)
            archive.writestr("x/version", "3\n")

    return make


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def claimed(stored: int, size: int, stride: int) -> bytes:
    """Return the pickle of a tensor that says it has ``size`` numbers, of ``stored`` that are there."""
    return (
        b"\x80\x02}" + text("fc.weight") + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        b"" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
        + number(stored) + b"tQ" + number(0) + number(size) + b"\x85" + number(stride) + b"\x85"
        b"\x89ccollections\nOrderedDict\n)RtRs."
    )  # fmt: skip


LEVELS = 100_000
MEETS_ITSELF = b"\x80\x02}q\x00(" + b"".join(text(str(i)) + b"h\x00" for i in range(50)) + b"u."
COPIES = (
    b"\x80\x02](" + b"N" * 10_000 + b"eq\x000" + b"cbuiltins\nset\nh\x00\x85R0" * 10_000 + b"N."
)
case("expanded", with_pickle(claimed(3, 10**12, 0)), "1,000,000,000,000 numbers", "12 bytes")
case("storage-of-4-tb", with_pickle(claimed(10**12, 10**12, 1)), "x.pt", "is it complete?")
case("view-of-4-tb", with_pickle(claimed(3, 10**12, 1)), "x.pt", "is it complete?")
case("itself", with_pickle(MEETS_ITSELF), "found a dict without one")
for word, content in {
    "dicts": b"\x80\x02" + b"}X\x01\0\0\0a" * 10_000 + b"}" + b"s" * 10_000 + b".",
    "lists": b"\x80\x02}" + text("a") + b"]" * LEVELS + b"a" * (LEVELS - 1) + b"s.",
    "tuples": b"\x80\x02})" + b"\x85" * LEVELS + b"K\x01s.",  # hashing it overflows the C stack
}.items():
    case(f"deep/{word}", with_pickle(content), "nested more than 1,000 deep", "it was not read")
case("deep/raw", raw(b"\x80\x02})" + b"\x85" * LEVELS + b"K\x01s."), "nested more than 1,000 deep")
case("copies", with_pickle(COPIES), "copies in", "made to exhaust")
case(
    "bytearray",
    with_pickle(b"\x80\x02cbuiltins\nbytearray\n" + number(10**10) + b"\x85R."),
    "builtins.bytearray, which fills memory",
)
case(
    "storage-by-hand",
    with_pickle(b"\x80\x02ctorch.storage\nUntypedStorage\n" + number(10**10) + b"\x85R."),
    "torch.storage.UntypedStorage, which allocates memory",
)


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        with archive.open("x/data/0", "w") as member:
            for _ in range(300):
                member.write(bytes(1 << 20))


def forged_bomb(path: Path) -> None:
    """Claim 3 GB in the directory of an archive of a few hundred bytes."""
    with_pickle(b"\x80\x02}.")(path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"x/data/0") - 46
    content[entry + 24 : entry + 28] = struct.pack("<I", 3 << 30)
    path.write_bytes(content)


def packed(method: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("x/data.pkl", b"\x80\x02}.")

    return make


def twice(path: Path) -> None:
    """Hold two pickles under what is one name to PyTorch, and two to Python."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        archive.writestr("x/DATA.PKL", b"\x80\x02N.")


case("zip-bomb", bomb, "a zip bomb", "it was not unpacked")
case("zip-bomb/forged", forged_bomb, "a zip bomb", "it was not unpacked")
case("zip/lzma", packed(zipfile.ZIP_LZMA), "damage in x.pt", "compression")
case("zip/bzip2", packed(zipfile.ZIP_BZIP2), "damage in x.pt", "compression")
case("zip/two-of-one-name", twice, "damage in x.pt", "two members of one name")


def tensors_file(
    header: object, data: bytes = b"", length: int | None = None
) -> Callable[[Path], object]:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(content) if length is None else length
    return raw(struct.pack("<Q", size) + content + data)


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


for word, make in {
    "header-of-10-gb": tensors_file({"a": entry("F32", [1], 0, 4)}, bytes(4), 10 * 1024**3),
    "header-of-everything": tensors_file(b"{", length=2**64 - 1),
    "overlap": tensors_file(
        {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)
    ),
    "hole": tensors_file({"a": entry("F32", [1], 4, 8)}, bytes(8)),
    "out-of-range": tensors_file({"a": entry("F32", [250], 0, 1000)}, bytes(4)),
    "backwards": tensors_file({"a": entry("F32", [1], 4, 0)}, bytes(4)),
    "shape-of-10^36": tensors_file({"a": entry("F32", [10**12] * 3, 0, 4)}, bytes(4)),
    "other-json": tensors_file(b"{nonsense}"),
    "deep-json": tensors_file(b'{"a":' * 50_000),
    "other-dtype": tensors_file({"a": entry("F99", [1], 0, 4)}, bytes(4)),
    "not-utf-8": tensors_file(b'{"\xff\xfe":1}'),
}.items():
    case(f"safetensors/{word}", make, "expected an intact safetensors file", file="x.safetensors")
case("safetensors/empty", tensors_file({}), "found an empty dict", file="x.safetensors")
