"""What a network keeps at its modules while it runs: anchors for the size of its last input, a counter."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils._pytree import tree_leaves


@contextmanager
def attributes_restored(model: nn.Module) -> Iterator[None]:
    """Let every module have afterwards the attributes of its own that it has now.

    A detector computes the places of its boxes when the size of its input is new, and else takes those of the
    pass before: with what it kept, it takes another way through itself, and it is no longer what it was.
    Parameters, buffers, modes and hooks are left alone, and so is what begins with an underscore.

    >>> net = nn.Identity()
    >>> with attributes_restored(net):
    ...     net.shape = (2, 3)
    >>> hasattr(net, "shape")
    False
    """
    before = [(m, _own(m)) for m in model.modules() if not isinstance(m, LazyModuleMixin)]
    try:
        yield
    finally:
        for module, kept in before:
            for name in _own(module).keys() - kept.keys():
                del module.__dict__[name]
            module.__dict__.update(kept)


def copied(model: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    """Return a copy of a network, also where it keeps what it computed while gradients were.

    Such tensors cannot be copied by torch: the copy has their numbers, without the way they came.

    Args:
        model: The network.
        memo: As for `copy.deepcopy`: what stands for some objects, by ``id``.
    """
    memo = {} if memo is None else memo
    for module in model.modules():
        for kept in tree_leaves(_own(module)):
            if isinstance(kept, Tensor) and not kept.is_leaf:
                memo.setdefault(id(kept), kept.detach())
    return copy.deepcopy(model, memo)


def _own(module: nn.Module) -> dict[str, Any]:
    return {n: v for n, v in vars(module).items() if n[0] != "_" and n != "training"}
