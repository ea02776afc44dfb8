"""A way that was made for images of one size, with another for those of other sizes."""

from __future__ import annotations

from contextlib import ExitStack

from torch import Tensor

from seviz.collect.fast.backends import Answer, Backend
from seviz.gates import Inputs


class Sized:
    """Run images of the size that a way was made for with it, and others with another way.

    A list of operators has the windows of its poolings, its paddings and its shapes from the size with which
    it was recorded: of other images it would compute something else, and often without an error.

    Args:
        way: The way.
        size: Of the images that it was made for, [C, H, W].
        other: For all others; entered when the first of them comes.

    Attributes:
        others: Images of other sizes that came.
    """

    def __init__(self, way: Backend, size: tuple[int, ...], other: Backend) -> None:
        self._way, self._size, self._other = way, size, other
        self._held = ExitStack()
        self.others = 0

    def __enter__(self) -> Sized:
        self.others = 0
        self._held = ExitStack()
        self._held.enter_context(self._way)
        return self

    def __exit__(self, *exc: object) -> None:
        self._held.close()

    def __call__(self, images: Tensor) -> Answer:
        """Return the answer for images [N, C, H, W] on the network's device."""
        if not isinstance(images, Inputs) and tuple(images.shape[1:]) == self._size:
            return self._way(images)
        if not self.others:
            self._held.enter_context(self._other)
        self.others += len(images)
        return self._other(images)
