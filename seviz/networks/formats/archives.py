"""Zip archives: intact, and no larger inside than a checkpoint can be."""

from __future__ import annotations

import zipfile
from copy import copy
from pathlib import Path
from typing import BinaryIO

from seviz.errors import CheckpointError

# Weights hardly compress; PyTorch does not even try. A file that claims to unpack to more than this
# many times its size, and to more than a small network, was made to fill the memory.
_MOST_EXPANSION = 100
_SMALL = 1 << 28
_START = b"PK\x03\x04"
# The largest networks have a few thousand tensors; with averages and an optimiser's state ten times as many.
# Each takes a tenth of a millisecond to read, so more would take a minute and be no network.
MOST_TENSORS = 50_000
_OTHER_MEMBERS = 1_000
# What PyTorch's own reader knows.
_PACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


def too_many_tensors(found: str, name: str) -> CheckpointError:
    """Return the error for a file of more tensors than networks have."""
    return CheckpointError(
        f"expected at most {MOST_TENSORS:,} tensors, found {found} in {name}; save model.state_dict() of one "
        "network"
    )


def is_archive(source: Path | BinaryIO) -> bool:
    """Return whether a file begins and ends as zip archives do.

    PyTorch looks at the beginning, Python at the end; a file that shows each another content is none.
    """
    if not zipfile.is_zipfile(source):
        return False
    if isinstance(source, Path):
        with source.open("rb") as file:
            return file.read(len(_START)) == _START
    source.seek(0)
    start = source.read(len(_START))
    source.seek(0)
    return start == _START


def check_archive(source: Path | BinaryIO, name: str) -> bool:
    """Compare the checksums, which PyTorch does not do; return whether this is an intact zip archive.

    A flipped bit in a weight would otherwise go unnoticed.

    Args:
        source: The file.
        name: What to call it.

    Raises:
        CheckpointError: If the archive is damaged, or unpacks to far more than its size.
    """
    try:
        if not is_archive(source):
            return False
        with zipfile.ZipFile(source) as archive:
            _check_members(archive, name)
            # torch.serialization.set_crc32_options(False) writes zeros.
            if any(member.CRC for member in archive.infolist()):
                damaged = archive.testzip()
                if damaged is not None:
                    raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
            else:
                for member in archive.infolist():
                    archive.open(member).close()  # its own header says what the directory says
    except CheckpointError:
        raise
    except Exception as exc:
        raise CheckpointError(
            f"expected an intact checkpoint, found damage in {name} "
            f"({' '.join(str(exc).split())[:200]}); copy or download it again"
        ) from exc
    return True


def _check_members(archive: zipfile.ZipFile, name: str) -> None:
    listed = archive.infolist()
    if len(listed) > MOST_TENSORS + _OTHER_MEMBERS:
        raise too_many_tensors(f"an archive of {len(listed):,} parts", name)
    # PyTorch finds the first of two, Python the last.
    if len({member.filename.lower() for member in listed}) < len(listed):
        raise zipfile.BadZipFile("two members of one name")
    for member in listed:
        if member.compress_type not in _PACKED:
            raise zipfile.BadZipFile(f"a compression that PyTorch cannot read: {member.filename}")
    packed = max(1, archive.fp.seek(0, 2) if archive.fp is not None else 0)
    unpacked = sum(member.file_size for member in listed)
    if unpacked > _SMALL and unpacked > _MOST_EXPANSION * packed:
        raise CheckpointError(
            f"expected weights, found an archive of {packed:,} bytes that claims {unpacked:,} bytes in "
            f"{name} (a zip bomb); it was not unpacked: get the file from a source you trust"
        )


def is_stored(path: Path) -> bool:
    """Return whether nothing in an archive is compressed, so that it can be mapped into memory."""
    with zipfile.ZipFile(path) as archive:
        return all(m.compress_type == zipfile.ZIP_STORED for m in archive.infolist())


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a member; a checksum that was not written (zero) is not compared."""
    member = copy(archive.getinfo(name))
    if not member.CRC:
        del member.CRC
    with archive.open(member) as file:
        return file.read()


def members(path: Path) -> frozenset[str]:
    """Return the names in a zip archive, without the folder that PyTorch puts around them."""
    with zipfile.ZipFile(path) as archive:
        return frozenset(name.partition("/")[2] or name for name in archive.namelist())
