"""Going on with smaller batches where memory does not hold a whole one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from seviz.collect.fast.backends import Answer, Backend
from seviz.errors import DeviceError

# How torch says it where it has no error of its own: on the CPU, and on MPS before 2.6.
_WORDS = ("not enough memory", "can't allocate memory", "out of memory")


class Halving:
    """Run batches whole, or in parts of half the size, a quarter, ..., once memory is not enough.

    The answer is that of the whole batch: whoever counts sees no difference.

    Args:
        way: What computes.
        device: Where it computes.
    """

    def __init__(self, way: Backend, device: torch.device) -> None:
        self._way, self._device = way, device
        self._most: int | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the record must know."""
        if self._most is None:
            return ()
        return (f"memory on {self._device} held {self._most} images at a time, not a whole batch",)

    def __call__(self, images: Tensor) -> Answer:
        """Return the answer for images [N, C, H, W], wherever they are.

        Raises:
            DeviceError: If memory is not enough for one image.
        """
        answers: list[Answer] = []
        done = 0
        while done < len(images):
            size = min(self._most or len(images), len(images) - done)
            answer = self._part(images[done : done + size])
            if answer is None:
                self._shrink(size)
                continue
            answers.append(answer)
            done += size
        return answers[0] if len(answers) == 1 else _joined(answers)

    def _part(self, images: Tensor) -> Answer | None:
        # What the failed pass made is freed only after its exception is gone: on return.
        try:
            return self._way(images.to(self._device, non_blocking=True))
        except (MemoryError, RuntimeError) as exc:
            if not out_of_memory(exc):
                raise
            return None

    def _shrink(self, size: int) -> None:
        if size == 1:
            raise DeviceError(
                f"expected memory for at least one image on {self._device}, found it exhausted; give "
                "another --device, or a smaller --input-size"
            )
        if self._device.type in ("cuda", "mps"):
            getattr(torch, self._device.type).empty_cache()
        self._most = (size + 1) // 2


def out_of_memory(exc: BaseException) -> bool:
    """Whether an exception says that memory is exhausted.

    >>> out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
    True
    >>> out_of_memory(RuntimeError("shape '[2]' is invalid"))
    False
    """
    if isinstance(exc, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(exc, RuntimeError) and any(w in str(exc) for w in _WORDS)


def _joined(answers: list[Answer]) -> Answer:
    gates = {name: torch.cat([a.gates[name] for a in answers]) for name in answers[0].gates}
    outputs, form = zip(*(tree_flatten(a.logits) for a in answers), strict=True)
    whole = [torch.cat(parts) for parts in zip(*outputs, strict=True)]
    return Answer(tree_unflatten(whole, form[0]), gates)
