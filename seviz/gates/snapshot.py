"""Keeping tensors of a running network as they are at one moment, with no copy unless one is needed.

A kept tensor is a reference until an operator is about to write into its memory; only then is that memory
copied. Tensors that share memory share it again when they are taken out: a write through a view must reach
the map that it is a view of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Form:
    """What is needed to make a tensor that stands for another."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, tensor: Tensor) -> Form:
        """Return the form of a tensor."""
        return cls(tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)

    def empty(self) -> Tensor:
        """Return a tensor of this form, with whatever is in the memory."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=self.device)


@dataclass(eq=False)
class _Memory:
    """Memory that kept tensors live in.

    Attributes:
        storage: As the network left it at that moment.
        written: Whether the network wrote into its own memory afterwards, so that ``storage`` is a copy.
    """

    storage: torch.UntypedStorage
    written: bool = False


@dataclass(frozen=True, eq=False)
class Kept:
    """A tensor as it was.

    Attributes:
        memory: What it lives in, with all that shares it.
        form: How it lies in it.
        offset: Where it begins.
    """

    memory: _Memory
    form: Form
    offset: int


class Keeper:
    """Keeps tensors while a network runs; `before_writing` is called before every write."""

    def __init__(self) -> None:
        # By address, with the storage itself: a freed one would give its address to another.
        self._unwritten: dict[int, _Memory] = {}

    def keep(self, tensor: Tensor) -> Kept:
        """Keep a tensor as it is now."""
        storage = tensor.untyped_storage()
        memory = self._unwritten.setdefault(storage._cdata, _Memory(storage))
        return Kept(memory, Form.of(tensor), int(tensor.storage_offset()))

    def before_writing(self, targets: Iterable[Any]) -> None:
        """Copy what is kept in the memory of the tensors among ``targets``."""
        for tensor in tree_leaves(list(targets)):
            if not isinstance(tensor, Tensor):
                continue
            memory = self._unwritten.pop(tensor.untyped_storage()._cdata, None)
            if memory is not None:
                memory.storage, memory.written = _copied(memory.storage), True


class Taker:
    """Takes kept tensors out for one run, which may write into them."""

    def __init__(self) -> None:
        self._copies: dict[_Memory, torch.UntypedStorage] = {}

    def take(self, kept: Kept) -> Tensor:
        """Return the tensor; what shares memory shares it."""
        empty = torch.empty(0, dtype=kept.form.dtype, device=kept.form.device)
        return self.put(kept, empty)

    def put(self, kept: Kept, target: Tensor) -> Tensor:
        """Make ``target`` the tensor, and return it."""
        memory = kept.memory
        if memory not in self._copies:
            # The same operators follow as did then: what they did not write into, they will not.
            self._copies[memory] = _copied(memory.storage) if memory.written else memory.storage
        with torch.no_grad():
            return target.set_(self._copies[memory], kept.offset, kept.form.shape, kept.form.stride)


def _copied(storage: torch.UntypedStorage) -> torch.UntypedStorage:
    copy: torch.UntypedStorage = storage.clone()  # type: ignore[no-untyped-call]
    return copy


def writes(func: Any) -> tuple[int | str, ...]:
    """Return which arguments an operator writes into: positions, and names of keyword arguments."""
    return tuple(
        argument.name if argument.kwarg_only else place
        for place, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )
