"""Zip archives: intact, and no larger inside than a checkpoint can be."""

from __future__ import annotations

import zipfile
from pathlib import Path

from seviz.errors import CheckpointError

# Weights hardly compress; PyTorch does not even try. A file that claims to unpack to more than this
# many times its size, and to more than a small network, was made to fill the memory.
_MOST_EXPANSION = 100
_SMALL = 1 << 28


def check_archive(path: Path) -> bool:
    """Compare the checksums, which PyTorch does not do; return whether this is an intact zip archive.

    A flipped bit in a weight would otherwise go unnoticed.

    Raises:
        CheckpointError: If the archive is damaged, or unpacks to far more than its size.
    """
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            _check_expansion(archive, path)
            # torch.serialization.set_crc32_options(False) writes zeros.
            if any(member.CRC for member in archive.infolist()):
                damaged = archive.testzip()
                if damaged is not None:
                    raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    except (MemoryError, CheckpointError):
        raise
    except Exception as exc:
        raise CheckpointError(
            f"expected an intact checkpoint, found damage in {path.name} "
            f"({' '.join(str(exc).split())[:200]}); copy or download it again"
        ) from exc
    return True


def _check_expansion(archive: zipfile.ZipFile, path: Path) -> None:
    packed = max(1, path.stat().st_size)
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > _SMALL and unpacked > _MOST_EXPANSION * packed:
        raise CheckpointError(
            f"expected weights, found an archive of {packed:,} bytes that claims {unpacked:,} bytes in "
            f"{path.name} (a zip bomb); it was not unpacked: get the file from a source you trust"
        )


def members(path: Path) -> frozenset[str]:
    """Return the names in a zip archive, without the folder that PyTorch puts around them."""
    with zipfile.ZipFile(path) as archive:
        return frozenset(name.partition("/")[2] or name for name in archive.namelist())
