"""What the last layer of a network reads of single images: its features. NumPy alone."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.results.files import written_whole

FEATURES_NAME = "features.npz"


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
            # Opened here: of a damaged file numpy leaves its own open.
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                if str(file["made"]) != made:
                    return None
                index, values = file["index"], file["values"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        fits = index.ndim == 1 and values.ndim == 2 and len(index) == len(values)
        numbers = index.dtype == np.int64 and values.dtype == np.float32
        return cls(index, values) if fits and numbers and np.isfinite(values).all() else None
