"""What a source of images is, and its kinds: files in folders or in a list, and arrays in memory."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from seviz.data.rasters import read_raster
from seviz.data.scanning import shown

if TYPE_CHECKING:
    from PIL.Image import Image

# The one group of images that have no classes.
UNLABELLED = "all"


@dataclass(frozen=True, eq=False, kw_only=True)
class Source(ABC):
    """Labelled images in a fixed order; one is read when it is asked for.

    Attributes:
        name: Name for records and figures, never a path of this machine.
        split: Part of the data set; empty where there are no parts.
        folders: Names of the class folders, in order; some may hold no image.
        labels: Folder of each image, int64 [N].
        notes: Remarks on what was chosen or left out.
        labelled: Whether the folders are classes; else they are one group, `UNLABELLED`.
    """

    name: str
    split: str
    folders: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    notes: tuple[str, ...] = ()
    labelled: bool = True

    in_memory: ClassVar[bool]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Return the number of images in each folder, [F]."""
        return np.bincount(self.labels, minlength=len(self.folders)).astype(np.int64)

    @abstractmethod
    def image(self, index: int) -> Image:
        """Return one image, decoded, in the mode in which it is stored.

        Raises:
            Exception: Whatever the decoder raises for a damaged file.
        """

    @abstractmethod
    def image_name(self, index: int) -> str:
        """Return a name under which the user finds the image."""

    def file(self, index: int) -> Path | None:
        """Return the file of one image; ``None`` where it has none of its own."""
        return None

    @abstractmethod
    def fingerprint(
        self, indices: npt.NDArray[np.int64] | None = None, *, times: bool = False
    ) -> str:
        """Return a SHA-256 that changes when images are added, removed, renamed or resized.

        Args:
            indices: These images alone; all by default.
            times: Whether it also changes when a file is written again. A copy of the files has other
                times.
        """


@dataclass(frozen=True, eq=False, kw_only=True)
class FolderSource(Source):
    """Image files in one folder per class.

    Attributes:
        root: The folder that holds the class folders.
        files: Paths below ``root``, as the file system spells them. An array of bytes, since worker
            processes would copy a million Python strings one by one as they touch them.
        prefix: Where ``root`` lies inside the folder that the user named.
    """

    root: Path
    files: npt.NDArray[np.bytes_]
    prefix: str = ""

    in_memory: ClassVar[bool] = False

    def _path(self, index: int) -> bytes:
        return os.path.join(os.fsencode(self.root), bytes(self.files[index]))

    def file(self, index: int) -> Path:
        """Return the file of one image."""
        return Path(os.fsdecode(self._path(index)))

    def image(self, index: int) -> Image:
        """Return one image, decoded, in its stored mode; the first frame where there are several.

        Raises:
            Exception: Whatever the decoder raises for a damaged file.
        """
        return read_raster(self._path(index))

    def image_name(self, index: int) -> str:
        """Return the path below the folder that the user named."""
        return self.prefix + shown(bytes(self.files[index]))

    def fingerprint(
        self, indices: npt.NDArray[np.int64] | None = None, *, times: bool = False
    ) -> str:
        """Return a SHA-256 over the relative names, sizes and, if asked for, times of the files."""
        digest = hashlib.sha256()
        for i in range(len(self.files)) if indices is None else indices:
            try:
                status = os.stat(self._path(i))
                size, written = status.st_size, status.st_mtime_ns
            except OSError:
                size, written = -1, -1
            known = b"%s\0%d" % (self._known(i), size)
            digest.update(known + (b"\0%d\n" % written if times else b"\n"))
        return digest.hexdigest()

    def _known(self, index: int) -> bytes:
        """Return what an image is told by, besides its size."""
        return bytes(self.files[index])


@dataclass(frozen=True, eq=False, kw_only=True)
class ListSource(FolderSource):
    """Image files named in a list; their paths may be absolute, and do not say the class."""

    def image_name(self, index: int) -> str:
        """Return the path as the list has it; of one that leads elsewhere, the folder and the name."""
        path = bytes(self.files[index])
        root = os.fsencode(self.root)
        below = os.path.relpath(os.path.join(root, path), root)
        if below.split(os.sep.encode())[0] == b"..":
            path = b"/".join(path.replace(b"\\", b"/").split(b"/")[-2:])
        elif os.path.isabs(path):
            path = below
        return shown(path)

    def _known(self, index: int) -> bytes:
        return super()._known(index) + b"\0" + os.fsencode(self.folders[self.labels[index]])


@dataclass(frozen=True, eq=False, kw_only=True)
class ArraySource(Source):
    """Images that are in memory as a whole.

    Attributes:
        pixels: Images uint8, [N, H, W] grey or [N, H, W, 3] colour.
    """

    pixels: npt.NDArray[np.uint8]

    in_memory: ClassVar[bool] = True

    def image(self, index: int) -> Image:
        """Return one image, of mode L or RGB."""
        from PIL import Image

        return Image.fromarray(self.pixels[index])

    def image_name(self, index: int) -> str:
        """Return source, split and position: ``digits/test/17``."""
        return f"{self.name}/{self.split}/{index}" if self.split else f"{self.name}/{index}"

    def fingerprint(
        self, indices: npt.NDArray[np.int64] | None = None, *, times: bool = False
    ) -> str:
        """Return a SHA-256 over names, labels and pixels; pixels have no time."""
        chosen = slice(None) if indices is None else indices
        labels, pixels = self.labels[chosen], self.pixels[chosen]
        digest = hashlib.sha256(repr((self.name, self.split, pixels.shape)).encode())
        digest.update(np.ascontiguousarray(labels).data)
        digest.update(np.ascontiguousarray(pixels).data)
        return digest.hexdigest()
