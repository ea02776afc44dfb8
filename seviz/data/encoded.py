"""Images that lie side by side in larger files: each is read where it lies, and nothing is unpacked."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from seviz.data.base import UNLABELLED, Source
from seviz.data.rasters import decode_raster
from seviz.data.scanning import shown
from seviz.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

# An image file of more bytes is none that a network was trained on.
MOST_BYTES = 2**29


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedSource(Source):
    """Image files inside of other files.

    Attributes:
        names: What each is called there: bytes, as in `FolderSource.files`.
        sizes: Bytes of each, int64 [N].
        origin: A hash of what they lie in: names and sizes.
        written: When that was written, nanoseconds.
    """

    names: npt.NDArray[np.bytes_]
    sizes: npt.NDArray[np.int64]
    origin: str
    written: int

    in_memory: ClassVar[bool] = False

    @abstractmethod
    def encoded(self, index: int) -> bytes:
        """Return an image as it lies there.

        Raises:
            Exception: Whatever its reader raises.
        """

    def image(self, index: int) -> Image:
        """Return one image, decoded, in its stored mode; the first frame where there are several.

        Raises:
            Exception: Whatever the decoder raises for damaged bytes.
        """
        if self.sizes[index] > MOST_BYTES:
            raise OSError(f"{self.sizes[index]:,} bytes, too large for an image")
        return decode_raster(self.encoded(index))

    def image_name(self, index: int) -> str:
        """Return the name in the file."""
        return shown(bytes(self.names[index]))

    def fingerprint(
        self, indices: npt.NDArray[np.int64] | None = None, *, times: bool = False
    ) -> str:
        """Return a SHA-256 over names, sizes and labels, and over what they lie in."""
        chosen = slice(None) if indices is None else indices
        digest = hashlib.sha256(f"{self.origin} {self.written if times else ''}".encode())
        for values in (self.names[chosen], self.sizes[chosen], self.labels[chosen]):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def coded(
    labels: Sequence[str] | None, images: int
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the names of the classes, sorted, and the place of each image's among them."""
    if labels is None:
        return (UNLABELLED,), np.zeros(images, np.int64)
    folders = tuple(sorted(set(labels)))
    number = {folder: n for n, folder in enumerate(folders)}
    return folders, np.array([number[label] for label in labels], np.int64)


def some_without(missing: int, images: int, first: str, where: str) -> DataError:
    """Return the error of images some of which have no class."""
    return DataError(
        f"expected a class for each image in {where}, found none for {missing} of {images} (first: {first}); "
        "add them, or leave all out"
    )
