"""What the last layer of a network reads of single images: its features. NumPy alone."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.results.archive import read_array
from seviz.results.checking import DamageError, Form
from seviz.results.files import plain_file, written_whole

FEATURES_NAME = "features.npz"
_MOST_TEXT, _MOST_FEATURES = 2**16, 2**20


@dataclass(frozen=True, eq=False)
class SampledFeatures:
    """The features of the images that a record keeps singly.

    Attributes:
        index: Position of each image in its source, int64 [n].
        values: Their features, float32 [n, F].
    """

    index: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]

    def save(self, path: Path, made: str) -> Path:
        """Write them beside a record.

        Args:
            path: The file.
            made: When the record was made: features of another one do not serve.
        """
        with written_whole(path) as temporary, temporary.open("wb") as file:
            arrays: dict[str, Any] = {"index": self.index, "values": self.values}
            np.savez(file, made=np.array(made), **arrays)
        return path

    @classmethod
    def load(cls, path: Path, made: str) -> SampledFeatures | None:
        """Read what `save` wrote; ``None`` where there is nothing, or nothing that serves."""
        try:
            with zipfile.ZipFile(plain_file(path, 2**62)) as archive:
                if str(np.lib.format.read_array(io.BytesIO(_small(archive, "made.npy")))) != made:
                    return None
                index = _array(archive, "index.npy", Form((np.dtype(np.int64),), (None,)))
                wide = Form((np.dtype(np.float32),), (len(index), None), most=_MOST_FEATURES)
                values = _array(archive, "values.npy", wide)
        except Exception:  # what a damaged archive makes its reader do is anybody's guess
            return None
        distinct = len(np.unique(index)) == len(index) and bool((index >= 0).all())
        return cls(index, values) if distinct and np.isfinite(values).all() else None


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return a member that is stored as it is, as `save` does: it holds no more than the file."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise DamageError(f"a packed {name}")
    return member


def _small(archive: zipfile.ZipFile, name: str) -> bytes:
    member = _member(archive, name)
    if member.file_size > _MOST_TEXT:
        raise DamageError(f"{member.file_size:,} bytes in {name}")
    return archive.read(member)


def _array(archive: zipfile.ZipFile, name: str, form: Form) -> npt.NDArray[Any]:
    member = _member(archive, name)
    with archive.open(member) as file:
        return read_array(file, name, member.file_size, form)
