"""What a worker process does: one image to a tensor, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seviz.data.base import Source
from seviz.data.depth import Depth
from seviz.data.rasters import TOO_MANY
from seviz.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

Failed = list[tuple[int, str]]
# A tensor or the reason why there is none, its row, its index, and a remark on how it was read.
Item = tuple["Tensor | str", int, int, "str | None"]
Collated = tuple["Tensor | None", "Tensor", "Tensor", Failed, "set[str]"]


@dataclass(frozen=True, eq=False)
class Decoder:
    """The data set that workers get: everything in it can be pickled.

    Attributes:
        source: The images.
        transform: Makes an image a tensor.
        indices: Images of the source to read, int64 [N].
        rows: Row of each in the record, int64 [N].
        depth: How images of more than 8 bits become images of 8.
    """

    source: Source
    transform: Callable[[Image], Tensor]
    indices: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    depth: Depth = field(default_factory=Depth)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Item:
        """Return the tensor, or why there is none, with the row and the index of the image and a remark."""
        index, row = int(self.indices[position]), int(self.rows[position])
        try:
            image = self.source.image(index)
        except MemoryError:
            raise
        except Exception as exc:  # decoders raise nearly anything for a damaged file
            return reason(exc), row, index, None
        try:
            image, remark = self.depth.reduce(self.source, image)
            return self.transform(image), row, index, remark
        except DataError as exc:
            return str(exc), row, index, None


def collate(items: list[Item]) -> Collated:
    """Return images, rows, indices, failures and remarks of one batch; no images where all failed."""
    import torch
    from torch.utils.data import default_collate

    good = [(x, row, index) for x, row, index, _ in items if not isinstance(x, str)]
    failed = [(index, x) for x, _, index, _ in items if isinstance(x, str)]
    images, rows, indices = zip(*good, strict=True) if good else ((), (), ())
    return (
        default_collate(list(images)) if good else None,
        torch.tensor(rows, dtype=torch.int64),
        torch.tensor(indices, dtype=torch.int64),
        failed,
        {remark for *_, remark in items if remark is not None},
    )


def joined(pieces: list[Collated], *, pinned: bool = False) -> Collated:
    """Return one batch of several pieces, in their order.

    Args:
        pieces: From `collate`.
        pinned: Whether the images are to lie in pinned memory, from which a GPU copies by itself.
    """
    import torch

    images, rows, indices, failed, remarks = zip(*pieces, strict=True)
    good = [own for own in images if own is not None]
    whole = good[0] if len(good) == 1 else None
    if good and (whole is None or pinned):
        shape = (sum(map(len, good)), *good[0].shape[1:])
        whole = torch.cat(good, out=torch.empty(shape, dtype=good[0].dtype, pin_memory=pinned))
    return (
        whole,
        torch.cat(rows).pin_memory() if pinned else torch.cat(rows),
        torch.cat(indices),
        [one for own in failed for one in own],
        set().union(*remarks),
    )


def reason(exc: Exception) -> str:
    """Return one line without the path, which is given beside it and may name the user's home."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(exc, UnidentifiedImageError):
        return "not an image"
    if isinstance(exc, Image.DecompressionBombError):
        return TOO_MANY
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    text = " ".join(str(exc).split())
    return text if isinstance(exc, OSError) and text else f"{type(exc).__name__}: {text}"
