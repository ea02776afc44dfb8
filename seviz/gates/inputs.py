"""What a network is called with, and the output that counts: the one place where networks are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

# The output that networks which return several call the one that counts.
LOGITS = "logits"
# Which of several outputs counts: its name or position, or a function of all of them; by default the
# one that is called `LOGITS`.
Chosen = str | int | Callable[[Any], Any]


class Inputs:
    """A batch of several inputs, cut, moved and copied as one tensor [N, ...] is.

    Args:
        args: Inputs by position: tensors, or whatever else the network takes.
        kwargs: Inputs by name.
        output: Which output counts; by default all, or the one that is called ``logits``.

    A tensor is part of the batch if its first dimension is as long as that of the first one; all others
    are given whole each time.

    >>> batch = Inputs((torch.zeros(4, 3, 8, 8),), {"age": torch.ones(4), "scale": torch.ones(1)})
    >>> len(batch), batch[:3].kwargs["age"].shape, batch.shape
    (4, torch.Size([3]), (4, 3, 8, 8))
    """

    def __init__(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None = None,
        output: Chosen | None = None,
    ) -> None:
        self.args, self.kwargs, self.output = tuple(args), dict(kwargs or {}), output

    @property
    def tensors(self) -> list[Tensor]:
        """Return all tensors, those by position first."""
        return [t for t in tree_leaves((self.args, self.kwargs)) if isinstance(t, Tensor)]

    @property
    def main(self) -> Tensor:
        """Return the first tensor."""
        return self.tensors[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the first tensor."""
        return tuple(self.main.shape)

    @property
    def device(self) -> torch.device:
        """Return where the first tensor is."""
        return self.main.device

    @property
    def nbytes(self) -> int:
        """Return the bytes of all tensors."""
        return sum(t.nbytes for t in self.tensors)

    def __len__(self) -> int:
        return len(self.main)

    def __getitem__(self, chosen: slice | Tensor) -> Inputs:
        return self._batched(lambda t: t[chosen])

    def to(self, *place: Any, **how: Any) -> Inputs:
        """Return the batch elsewhere, as ``Tensor.to`` does."""
        return self.map(lambda t: t.to(*place, **how))

    def detach(self) -> Inputs:
        """Return other tensors with the same numbers, as ``Tensor.detach`` does."""
        return self.map(Tensor.detach)

    def clone(self) -> Inputs:
        """Return a copy."""
        return self.map(Tensor.clone)

    def repeat_interleave(self, times: int, dim: int) -> Inputs:
        """Return each image several times, as ``Tensor.repeat_interleave`` does along the batch."""
        return self._batched(lambda t: t.repeat_interleave(times, dim))

    def new_empty(self, *size: int) -> Tensor:
        """Return a new tensor where the batch is."""
        return torch.empty(*size, device=self.device)

    @classmethod
    def joined(cls, batches: Sequence[Inputs]) -> Inputs:
        """Return several batches as one."""
        first = batches[0]
        lengths = {id(t): len(first) for t in first.tensors if t.dim() and len(t) == len(first)}

        def join(*leaves: Any) -> Any:
            return torch.cat(leaves) if id(leaves[0]) in lengths else leaves[0]

        args, kwargs = tree_map(
            join, (first.args, first.kwargs), *((b.args, b.kwargs) for b in batches[1:])
        )
        return cls(args, kwargs, first.output)

    def map(self, change: Callable[[Tensor], Tensor]) -> Inputs:
        """Return each tensor changed."""

        def changed(leaf: Any) -> Any:
            return change(leaf) if isinstance(leaf, Tensor) else leaf

        args, kwargs = tree_map(changed, (self.args, self.kwargs))
        return Inputs(args, kwargs, self.output)

    def describe(self) -> str:
        """Return the shapes of one image's inputs: ``3x32x32 and age 5``."""
        by_place = ["x".join(map(str, t.shape[1:])) or "1" for t in tree_leaves(self.args)]
        by_name = [
            f"{name} {'x'.join(map(str, t.shape[1:])) or '1'}"
            for name, t in self.kwargs.items()
            if isinstance(t, Tensor)
        ]
        return " and ".join([*by_place, *by_name])

    def _batched(self, change: Callable[[Tensor], Tensor]) -> Inputs:
        images = len(self)
        return self.map(lambda t: change(t) if t.dim() and len(t) == images else t)


# What a network is traced with: the size of one image, or a batch.
Example = Sequence[int] | Inputs


def call(model: nn.Module, images: Any) -> Any:
    """Return what a network gives for a batch: the output that counts, where it gives several.

    Args:
        model: The network.
        images: A tensor [N, ...], or `Inputs`.
    """
    if not isinstance(images, Inputs):
        return taken(model(images), None)
    return taken(model(*images.args, **images.kwargs), images.output)


def taken(result: Any, output: Chosen | None) -> Any:
    """Return the output that counts.

    Raises:
        LookupError: If there is none of that name or position.

    >>> taken({"logits": 1, "features": 2}, None), taken((3, 4), 1), taken([5], None)
    (1, 4, [5])
    """
    if output is None:
        return result if isinstance(result, Tensor) else _named(result, LOGITS, result)
    if callable(output):
        return output(result)
    if isinstance(output, int):
        return result[output]
    found = _named(result, output, None)
    if found is None:
        there = list(result) if isinstance(result, Mapping) else type(result).__name__
        raise LookupError(f"no output {output!r}, but {there}")
    return found


def _named(result: Any, name: str, otherwise: Any) -> Any:
    if isinstance(result, Mapping):
        return result.get(name, otherwise)
    return getattr(result, name, otherwise)


def outputs_in(result: Any, prefix: str = "") -> tuple[str, ...]:
    """Return the names of the tensors [N, ...] that a network gives, as ``--head`` takes them.

    >>> outputs_in({"age": torch.zeros(1, 2), "maps": (torch.zeros(1, 3), torch.zeros(1, 4)), "note": "x"})
    ('age', 'maps.0', 'maps.1')
    >>> outputs_in(torch.zeros(1, 2))
    ()
    """
    if isinstance(result, Tensor):
        return (prefix,) if prefix and result.dim() else ()
    if isinstance(result, Mapping):
        named: Iterable[tuple[Any, Any]] = result.items()
    elif isinstance(result, tuple | list):
        names = getattr(result, "_fields", range(len(result)))
        named = zip(names, result, strict=True)
    elif is_dataclass(result):
        named = vars(result).items()
    else:
        return ()
    lead = f"{prefix}." if prefix else ""
    return tuple(n for name, value in named for n in outputs_in(value, f"{lead}{name}"))


def like_traced(example: Example, images: int, model: nn.Module, device: torch.device) -> Any:
    """Return a batch to trace a network with: of zeros where only a size is known.

    Args:
        example: Size of an image, or a batch.
        images: How many images.
        model: The network, whose type of numbers is taken where only a size is known.
        device: Where.
    """
    if isinstance(example, Inputs):
        cut = example[:images]
        if len(cut) < images:
            cut = cut.repeat_interleave(images, 0)[:images]
        return cut.to(device)
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros((images, *example), dtype=like.dtype, device=device)


def size_of(example: Example) -> tuple[int, ...]:
    """Return the size of one image, of several inputs the first."""
    return example.shape[1:] if isinstance(example, Inputs) else tuple(int(n) for n in example)


def described(example: Example) -> str:
    """Return the size of an image, or of several inputs, for people."""
    return example.describe() if isinstance(example, Inputs) else "x".join(map(str, example))
